/* Fields and lists of a transaction, read strictly: what the decoders of all types share. Every
 * reader returns an enum ghost_tx_reason, for the first thing that is wrong. */
#ifndef GHOST_RLP_FIELDS_H
#define GHOST_RLP_FIELDS_H

#include <string.h>

#include "arena.h"
#include "reader.h"
#include "transaction.h"

/* Beside the reasons: there was no memory. */
enum { TX_NO_MEMORY = -1 };

static inline int check_integer(const rlp_item *item, size_t bytes_max) {
    if (item->is_list) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (item->length > 0 && item->payload[0] == 0) {
        return GHOST_TX_LEADING_ZERO;
    }
    return item->length > bytes_max ? GHOST_TX_FIELD_WIDTH : GHOST_TX_OK;
}

static inline int read_uint256(uint8_t out[32], const rlp_item *item) {
    int reason = check_integer(item, 32);
    if (reason == GHOST_TX_OK) {
        memset(out, 0, 32 - item->length);
        memcpy(out + 32 - item->length, item->payload, item->length);
    }
    return reason;
}

static inline int read_uint64(uint64_t *out, const rlp_item *item) {
    int reason = check_integer(item, 8);
    if (reason == GHOST_TX_OK) {
        uint64_t value = 0;
        for (size_t i = 0; i < item->length; i++) {
            value = value << 8 | item->payload[i];
        }
        *out = value;
    }
    return reason;
}

static inline int read_uint8(uint8_t *out, const rlp_item *item) {
    int reason = check_integer(item, 1);
    if (reason == GHOST_TX_OK) {
        *out = item->length == 0 ? 0 : item->payload[0];
    }
    return reason;
}

static inline int read_fixed(uint8_t *out, const rlp_item *item, size_t length) {
    if (item->is_list) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (item->length != length) {
        return GHOST_TX_FIELD_WIDTH;
    }
    memcpy(out, item->payload, length);
    return GHOST_TX_OK;
}

/* Counts the parts of a list and checks that each is canonical by itself; rlp_next then finds them
 * all and stops at the end. */
static inline int count_parts(size_t *count, const rlp_item *list) {
    if (!list->is_list || !rlp_split(rlp_inside(list), NULL, 0, count)) {
        return GHOST_TX_RLP_MALFORMED;
    }
    return GHOST_TX_OK;
}

/* Takes memory for the parts of a list. Those that are well-formed take at least part_bytes_min
 * bytes each and reading stops at the first that is not, so a list of many tiny wrong parts is not
 * given more room than its bytes can fill. */
static inline void *take_parts(arena *memory, const rlp_item *list, size_t count,
                               size_t part_bytes_min, size_t size) {
    size_t readable = list->length / part_bytes_min + 1;
    return arena_take(memory, size * (count < readable ? count : readable));
}

/* Splits a list that must have `length` parts. */
static inline int read_tuple(rlp_item *parts, size_t length, const rlp_item *list) {
    size_t count;
    if (!list->is_list || !rlp_split(rlp_inside(list), parts, length, &count)) {
        return GHOST_TX_RLP_MALFORMED;
    }
    return count == length ? GHOST_TX_OK : GHOST_TX_FIELD_COUNT;
}

#endif
