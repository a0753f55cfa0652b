/* What makes pages of logs shares: a growing buffer, and how a block's records become one. */
#ifndef GHOST_READS_PAGES_H
#define GHOST_READS_PAGES_H

#include <stdbool.h>

#include "logs.h"
#include "search.h"

typedef struct page_buffer {
    uint8_t *data;
    size_t length, room;
} page_buffer;

static inline uint32_t be32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Room for so many bytes more behind what there is; NULL when memory is out. */
uint8_t *ghost_pages_reserve(page_buffer *out, size_t more);
/* As ghost_logs_page, behind what there is; what was put of a page that fails stays. */
int ghost_pages_put(page_buffer *page, const ghost_log_block *block,
                    const ghost_log_filter *filter);
/* The JSON of a page's logs that match, behind what there is, and a comma between; *count is more
 * by their number. False when memory is out. */
bool ghost_pages_select(page_buffer *out, const ghost_view *page, const ghost_log_filter *filter,
                        size_t *count);

/* ---- from the block files ---- */

enum { PLACE_BYTES = 36, PLACES_AT_ONCE = 128, BLOCKS_AT_ONCE = 8 };

/* A block that was read, or why it was not. */
typedef struct loaded_block {
    ghost_log_block block;
    int status;       /* as of ghost_pages_read */
    uint32_t segment; /* that is not open */
    uint8_t hash[32];
} loaded_block;

/* Reads blocks, best in their order. All zero but for files; ends with free(records.data). */
typedef struct block_reader {
    const ghost_log_files *files;
    uint8_t rows[PLACE_BYTES * PLACES_AT_ONCE];
    uint64_t first_row;
    size_t row_count;
    loaded_block loaded[BLOCKS_AT_ONCE];
    size_t loaded_count;
    page_buffer records; /* of those that are loaded */
} block_reader;

/* The block, if it is loaded; NULL otherwise. */
const loaded_block *ghost_reader_find(const block_reader *reader, uint64_t number);
/* Some of these blocks are loaded in place of others: the first one, and BLOCKS_AT_ONCE at most.
 * Together they are hashed several times faster. */
void ghost_reader_load(block_reader *reader, const uint64_t *numbers, size_t count);

/* As ghost_logs_page, of a block that is loaded, behind what there is; of all its logs where its
 * receipts have at most whole_max bytes. GHOST_MISSING: a segment is not open. GHOST_MALFORMED: it
 * is not to be had here. Either leaves *page as it was. */
int ghost_pages_read(page_buffer *page, bool *is_whole, const loaded_block *loaded,
                     const ghost_log_filter *filter, size_t whole_max);

#endif
