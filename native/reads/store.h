/* What is kept of blocks for searches, as this folder's files share it. */
#ifndef GHOST_READS_STORE_H
#define GHOST_READS_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "search.h"

enum {
    SECTION_BLOCKS = 256,
    SECTION_WORDS = SECTION_BLOCKS / 64,
    BLOOM_BYTES = 256,
    BLOOM_BITS = 8 * BLOOM_BYTES,
    STORE_BUCKETS = 1 << 14
};

/* A page that somebody may be reading. */
typedef struct log_page {
    uint64_t number;
    atomic_uint holders; /* the store is one */
    struct log_page *next_in_bucket, *newer;
    size_t length;
    uint8_t data[];
} log_page;

/* One bit of each bloom: that of block j of a section in bit j % 64 of word j / 64. */
typedef uint64_t bloom_column[SECTION_WORDS];

/* Blooms of 256 blocks, of which the first `filled` are known: bit k of byte i of a bloom is in
 * columns[places[8 * i + k]]. Most bits of the blooms of a quiet chain are zero in all of them;
 * their column is the first. */
typedef struct bloom_section {
    uint64_t index;
    uint32_t filled;
    uint16_t column_count, room;
    uint16_t places[BLOOM_BITS];
    bloom_column *columns;
} bloom_section;

struct ghost_log_store {
    pthread_mutex_t lock; /* over all but is_left and what is in pages */
    atomic_bool is_left;
    log_page *buckets[STORE_BUCKETS];
    log_page *oldest, *newest;
    size_t page_count, page_bytes, pages_max, page_bytes_max;
    bloom_section **sections;
    size_t sections_max, section_bytes;
};

/* With the lock held: the page of a block, with one more holder; NULL where there is none. */
log_page *ghost_store_hold(ghost_log_store *store, uint64_t number);
void ghost_store_release(log_page *page);
/* With the lock held: the section with that index; NULL where there is none. */
bloom_section *ghost_store_section(const ghost_log_store *store, uint64_t index);
/* Of `filled` blooms one behind the other; NULL when memory is out. */
bloom_section *ghost_section_of(uint64_t index, const uint8_t *blooms, uint32_t filled);
/* With the lock held: keeps the section, whose owner the store is now. */
void ghost_store_keep(ghost_log_store *store, bloom_section *section);
void ghost_section_free(bloom_section *section);

#endif
