/* A strict RLP reader over borrowed bytes (Yellow Paper, appendix B): shortest lengths only, every
 * length inside its surroundings. Nothing is copied and nothing recurses. */
#ifndef GHOST_RLP_READER_H
#define GHOST_RLP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One item. head is its first byte, payload what it holds: bytes, or further items. */
typedef struct rlp_item {
    const uint8_t *head;
    const uint8_t *payload;
    size_t length;
    bool is_list;
} rlp_item;

/* Bytes that are yet to be read. */
typedef struct rlp_cursor {
    const uint8_t *at;
    const uint8_t *end;
} rlp_cursor;

static inline const uint8_t *rlp_end(const rlp_item *item) {
    return item->payload + item->length;
}

static inline rlp_cursor rlp_inside(const rlp_item *item) {
    return (rlp_cursor){item->payload, rlp_end(item)};
}

/* Reads a length of more than 55, written big-endian in `bytes` bytes after the head. Returns false
 * when it is cut, has a leading zero or did not need the long form. */
static inline bool rlp_long_length(rlp_cursor *cursor, size_t bytes, size_t *length) {
    if ((size_t)(cursor->end - cursor->at) < bytes || cursor->at[0] == 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | *cursor->at++;
    }
    *length = value;
    return value > 55;
}

/* Takes the next item. Returns false, with the cursor anywhere, when there is none or it is not
 * canonical. Items inside a list are not looked at. */
static inline bool rlp_next(rlp_cursor *cursor, rlp_item *item) {
    if (cursor->at == cursor->end) {
        return false;
    }
    const uint8_t *head = cursor->at++;
    item->head = head;
    if (*head < 0x80) {
        item->payload = head;
        item->length = 1;
        item->is_list = false;
        return true;
    }
    item->is_list = *head >= 0xc0;
    size_t length = *head - (item->is_list ? 0xc0 : 0x80);
    if (length > 55 && !rlp_long_length(cursor, length - 55, &length)) {
        return false;
    }
    if (length > (size_t)(cursor->end - cursor->at)) {
        return false;
    }
    if (!item->is_list && length == 1 && *cursor->at < 0x80) {
        return false;
    }
    item->payload = cursor->at;
    item->length = length;
    cursor->at += length;
    return true;
}

/* Counts the items up to the end, storing the first items_max of them. Returns false when one is
 * not canonical. */
static inline bool rlp_split(rlp_cursor cursor, rlp_item *items, size_t items_max, size_t *count) {
    size_t found = 0;
    while (cursor.at != cursor.end) {
        rlp_item item;
        if (!rlp_next(&cursor, &item)) {
            return false;
        }
        if (found < items_max) {
            items[found] = item;
        }
        found++;
    }
    *count = found;
    return true;
}

/* Writes the head of a list whose items take `length` bytes. Returns how many bytes it took, at
 * most 9. */
static inline size_t rlp_write_list_head(uint8_t *out, uint64_t length) {
    if (length <= 55) {
        out[0] = (uint8_t)(0xc0 + length);
        return 1;
    }
    size_t bytes = (size_t)(71 - __builtin_clzll(length)) / 8;
    out[0] = (uint8_t)(0xf7 + bytes);
    for (size_t i = 0; i < bytes; i++) {
        out[1 + i] = (uint8_t)(length >> 8 * (bytes - 1 - i));
    }
    return 1 + bytes;
}

/* Writes a big-endian integer of at most 55 bytes in its shortest form. Returns how many bytes it
 * took, at most length + 1. */
static inline size_t rlp_write_integer(uint8_t *out, const uint8_t *bytes, size_t length) {
    while (length > 0 && *bytes == 0) {
        bytes++;
        length--;
    }
    if (length == 1 && *bytes < 0x80) {
        out[0] = *bytes;
        return 1;
    }
    out[0] = (uint8_t)(0x80 + length);
    for (size_t i = 0; i < length; i++) {
        out[1 + i] = bytes[i];
    }
    return 1 + length;
}

#endif
