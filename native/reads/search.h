/* Logs over many blocks: which blocks may have what is asked for, and what of it they have; out of
 * memory where it was read before, else from disk. */
#ifndef GHOST_SEARCH_H
#define GHOST_SEARCH_H

#include "../common/common.h"
#include "logs.h"

/* What was read of the blocks of one chain, for many threads: pages of logs, of which the oldest
 * give way, and blooms in sections of 256 blocks, as columns: a bit of 256 blooms is 32 bytes that
 * stand together, of those that are set in any. A section's place is its number modulo how many are
 * kept. */
typedef struct ghost_log_store ghost_log_store;

/* NULL when memory is out. pages_max, page_bytes_max: of the pages together; sections_max: one at
 * least, 4 to 70 KB each. */
ghost_log_store *ghost_log_store_new(size_t pages_max, size_t page_bytes_max, size_t sections_max);
void ghost_log_store_free(ghost_log_store *store);
/* Keeps the page of a block, which has all its logs, unless there is one or it is too large. */
void ghost_log_store_put(ghost_log_store *store, uint64_t number, const uint8_t *page,
                         size_t length);
/* Keeps the bloom, 256 bytes, of the block after the newest, where those before it are known. */
void ghost_log_store_follow(ghost_log_store *store, uint64_t number, const uint8_t *bloom);
/* A copy of a page: GHOST_OK, GHOST_MISSING or GHOST_OUT_OF_MEMORY. out->data is freed by the
 * caller with free(). */
int ghost_log_store_get(ghost_bytes *out, ghost_log_store *store, uint64_t number);
/* What is on disk may be of another chain from now on: nothing of it is believed any more. */
void ghost_log_store_leave(ghost_log_store *store);
/* Bytes held. */
size_t ghost_log_store_memory(ghost_log_store *store);

/* Where blocks stand on disk: blooms by 256 bytes a block, rows of places
 * (ghostchain/chain/places.py), and segments of the block files (ghostchain/storage/files.py) by
 * their numbers. Descriptors, open for reading. */
typedef struct ghost_log_files {
    int blooms, places;
    const uint32_t *segments;
    const int *files;
    size_t count;
} ghost_log_files;

enum ghost_log_need {
    GHOST_NEEDS_MEMORY = 0, /* without files: what is asked for is not in memory */
    GHOST_NEEDS_SEGMENT = 1,
    GHOST_NEEDS_PAGE = 2 /* of a block that is not read here, for whatever reason */
};

/* A search under way. bits, alternatives, groups: as of ghost_blooms_scan, in the order of the
 * filter's lists, empty ones left out. */
typedef struct ghost_log_search {
    const ghost_log_filter *filter;
    const uint16_t *bits;
    const size_t *alternatives;
    size_t groups;
    uint64_t next, last, head;  /* blocks to look at; all up to head are on disk, last is too */
    size_t logs_max, bytes_max; /* of all the search finds, and a comma after each call's */
    size_t whole_max;           /* of larger receipts what matches alone is made a page */
    size_t work_max;            /* of one call, about in microseconds */
    ghost_view given;           /* the page of block `next`, where is_given */
    uint8_t is_given;
    size_t logs, bytes; /* found so far */
    uint8_t need;       /* enum ghost_log_need, and which segment */
    uint32_t segment;
} ghost_log_search;

/* Goes on: in out the JSON of the logs that this call has found, joined by commas, freed by the
 * caller with free(). files: NULL to look into memory alone, without ever waiting.
 *
 * GHOST_OK: all blocks before `next` are done; it is beyond `last` unless work_max was reached.
 * GHOST_LIMIT: with block `next` there are more logs than logs_max or more bytes than bytes_max.
 * GHOST_MISSING: the blocks before `next` are done, and `need` says what it takes to go on.
 * GHOST_MALFORMED: the file of blooms ends too early. GHOST_OUT_OF_MEMORY. */
int ghost_logs_search(ghost_bytes *out, ghost_log_search *search, ghost_log_store *store,
                      const ghost_log_files *files);

/* Keeps that many sections of blooms up to the one of block `head`, as far as their file, open as
 * `blooms`, has them. */
void ghost_logs_learn(ghost_log_store *store, int blooms, uint64_t head, size_t sections);

#endif
