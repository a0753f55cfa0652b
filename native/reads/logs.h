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

/* Which of `count` blooms, 256 bytes each, may hold one of each group's alternatives: their indices
 * go to out, ascending, and their number is returned. bits: three for each alternative (Yellow
 * Paper, 4.3.1), group after group. */
size_t ghost_blooms_scan(uint32_t *out, const uint8_t *blooms, size_t count, const uint16_t *bits,
                         const size_t *alternatives, size_t groups);

#endif
