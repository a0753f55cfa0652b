/* RLP and hex-prefix encoding of trie nodes (Yellow Paper, appendices B and C). Inline, for the
 * merkle kernel only. Writers return the end of what they wrote; callers provide the room. */
#ifndef GHOST_MERKLE_ENCODE_H
#define GHOST_MERKLE_ENCODE_H

#include <stdbool.h>
#include <string.h>

#include "../common/common.h"

static inline size_t length_of_length(size_t length) {
    return (71 - (size_t)__builtin_clzll(length | 1)) / 8;
}

/* Bytes of the RLP of a string. */
static inline size_t rlp_string_length(ghost_view string) {
    if (string.length == 1 && string.data[0] < 0x80)
        return 1;
    return string.length + 1 + (string.length < 56 ? 0 : length_of_length(string.length));
}

static inline uint8_t *rlp_header(uint8_t *out, size_t length, uint8_t base) {
    if (length < 56) {
        *out = (uint8_t)(base + length);
        return out + 1;
    }
    size_t size = length_of_length(length);
    *out++ = (uint8_t)(base + 55 + size);
    for (size_t i = 0; i < size; i++)
        *out++ = (uint8_t)(length >> 8 * (size - 1 - i));
    return out;
}

static inline uint8_t *rlp_list_header(uint8_t *out, size_t payload) {
    return rlp_header(out, payload, 0xc0);
}

static inline uint8_t *rlp_string(uint8_t *out, ghost_view string) {
    if (string.length != 1 || string.data[0] >= 0x80)
        out = rlp_header(out, string.length, 0x80);
    if (string.length > 0)
        memcpy(out, string.data, string.length);
    return out + string.length;
}

/* Bytes that a reference takes in its parent: a hash is a string, a short node stands itself. */
static inline size_t reference_length(size_t length) {
    return length == 32 ? 33 : length;
}

static inline uint8_t *put_reference(uint8_t *out, const uint8_t *reference, size_t length) {
    if (length == 32)
        *out++ = 0xa0;
    memcpy(out, reference, length);
    return out + length;
}

/* Packs nibbles behind the flag nibble (2 for leaves, 1 for odd lengths). Returns the number of
 * bytes: length / 2 + 1. */
static inline size_t hex_prefix(uint8_t *out, const uint8_t *nibbles, size_t length, bool leaf) {
    uint8_t flag = leaf ? 0x20 : 0;
    size_t odd = length & 1;
    out[0] = odd ? (uint8_t)(flag | 0x10 | nibbles[0]) : flag;
    for (size_t i = 0; i < length / 2; i++)
        out[1 + i] = (uint8_t)(nibbles[odd + 2 * i] << 4 | nibbles[odd + 2 * i + 1]);
    return length / 2 + 1;
}

/* Bytes of the RLP of a hex-prefix string of this many nibbles. */
static inline size_t hex_prefix_rlp_length(size_t nibbles) {
    size_t length = nibbles / 2 + 1;
    if (length == 1)
        return 1;
    return length + 1 + (length < 56 ? 0 : length_of_length(length));
}

#endif
