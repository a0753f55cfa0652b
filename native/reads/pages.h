/* What makes pages of logs shares: a growing buffer, and how a block's records become one. */
#ifndef GHOST_READS_PAGES_H
#define GHOST_READS_PAGES_H

#include "logs.h"

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

#endif
