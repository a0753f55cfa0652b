/* Logs, from the records of a block as stored to the JSON of those that are asked for.
 *
 * A page has what a reader wants of a block's logs: for each, what is compared and what is shown.
 *
 *     length of the JSON u32 | topics u8 | address 20 | 32 each topic | JSON
 *
 * Integers little-endian. Pages come from here alone; all else is read strictly. */
#ifndef GHOST_LOGS_H
#define GHOST_LOGS_H

#include "../common/common.h"

/* Which logs: of one of these addresses, and with one of these topics at each position. None of
 * them at all matches anything; a log needs as many topics as there are positions. Each list is
 * sorted. */
typedef struct ghost_log_filter {
    const uint8_t *addresses; /* 20 bytes each */
    size_t address_count;
    const uint8_t *topics; /* 32 bytes each, position after position */
    size_t topic_counts[4];
    size_t positions;
} ghost_log_filter;

/* A block: its number and hash, its header in RLP, and its records (ghostchain/chain/records.py).
 */
typedef struct ghost_log_block {
    uint64_t number;
    const uint8_t *hash; /* 32 bytes */
    ghost_view header, body, receipts;
} ghost_log_block;

/* The page of the logs that match, of all with filter NULL. GHOST_OK, MALFORMED, or OUT_OF_MEMORY.
 * out->data is freed by the caller with free(). */
int ghost_logs_page(ghost_bytes *out, const ghost_log_block *block, const ghost_log_filter *filter);

/* Where blocks stand on disk: a file of rows (ghostchain/chain/places.py), and segments of the
 * block files (ghostchain/storage/files.py) by their numbers. Descriptors, open for reading. */
typedef struct ghost_log_files {
    int places;
    const uint32_t *segments;
    const int *files;
    size_t count;
} ghost_log_files;

/* What came of a block that was to be read. */
enum ghost_log_reading {
    GHOST_PAGE_ELSEWHERE = 0, /* it is not read here, for whatever reason: an empty page */
    GHOST_PAGE_WHOLE = 1,     /* all its logs */
    GHOST_PAGE_CHOSEN = 2     /* those that match alone: its receipts are larger than whole_max */
};

/* Pages of these blocks, one behind the other in out: in ends where each ends, in readings how it
 * was read. Stops before a block in a segment that is not open: that is *segment then, and the
 * blocks before it, *read of them, are done. GHOST_OK, MISSING for such a segment, or
 * OUT_OF_MEMORY. out as above. */
int ghost_logs_read(ghost_bytes *out, uint64_t *ends, uint8_t *readings, size_t *read,
                    uint32_t *segment, const ghost_log_files *files, const uint64_t *numbers,
                    size_t count, const ghost_log_filter *filter, size_t whole_max);

/* The JSON of the logs that match, joined by commas; in counts how many each page gave, in ends
 * where theirs end. Ends after the page with which there are more than logs_max, or more bytes than
 * bytes_max; *pages_read are read. out as above. */
int ghost_logs_select(ghost_bytes *out, uint32_t *counts, uint64_t *ends, size_t *pages_read,
                      const ghost_view *pages, size_t page_count, const ghost_log_filter *filter,
                      size_t logs_max, size_t bytes_max);

/* Which of `count` blooms, 256 bytes each, may hold one of each group's alternatives: their indices
 * go to out, ascending, and their number is returned. bits: three for each alternative (Yellow
 * Paper, 4.3.1), group after group. */
size_t ghost_blooms_scan(uint32_t *out, const uint8_t *blooms, size_t count, const uint16_t *bits,
                         const size_t *alternatives, size_t groups);

#endif
