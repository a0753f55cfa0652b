/* RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996): two lines of five rounds over one block. */
#include <string.h>

#include "parts.h"

/* Order of message words and rotations, per line (left, right), round and step. */
static const uint8_t word_order[2][5][16] = {
    {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
     {7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8},
     {3, 10, 14, 4, 9, 15, 8, 1, 2, 7, 0, 6, 13, 11, 5, 12},
     {1, 9, 11, 10, 0, 8, 12, 4, 13, 3, 7, 15, 14, 5, 6, 2},
     {4, 0, 5, 9, 7, 12, 2, 10, 14, 1, 3, 8, 11, 6, 15, 13}},
    {{5, 14, 7, 0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12},
     {6, 11, 3, 7, 0, 13, 5, 10, 14, 15, 8, 12, 4, 9, 1, 2},
     {15, 5, 1, 3, 7, 14, 6, 9, 11, 8, 12, 2, 10, 0, 4, 13},
     {8, 6, 4, 1, 3, 11, 15, 0, 5, 12, 2, 13, 9, 7, 10, 14},
     {12, 15, 10, 4, 1, 5, 8, 7, 6, 2, 13, 14, 0, 3, 9, 11}},
};

static const uint8_t rotations[2][5][16] = {
    {{11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8},
     {7, 6, 8, 13, 11, 9, 7, 15, 7, 12, 15, 9, 11, 7, 13, 12},
     {11, 13, 6, 7, 14, 9, 13, 15, 14, 8, 13, 6, 5, 12, 7, 5},
     {11, 12, 14, 15, 14, 15, 9, 8, 9, 14, 5, 6, 8, 6, 5, 12},
     {9, 15, 5, 11, 6, 8, 13, 12, 5, 12, 13, 14, 11, 8, 5, 6}},
    {{8, 9, 9, 11, 13, 15, 15, 5, 7, 7, 8, 11, 14, 14, 12, 6},
     {9, 13, 15, 7, 12, 8, 9, 11, 7, 7, 12, 7, 6, 15, 13, 11},
     {9, 7, 15, 11, 8, 6, 6, 14, 12, 13, 5, 14, 13, 13, 7, 5},
     {15, 5, 8, 11, 14, 14, 6, 14, 6, 9, 12, 9, 12, 5, 15, 8},
     {8, 5, 12, 9, 12, 5, 14, 6, 8, 13, 6, 5, 15, 13, 11, 11}},
};

static const uint32_t additions[2][5] = {
    {0x00000000, 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xa953fd4e},
    {0x50a28be6, 0x5c4dd124, 0x6d703ef3, 0x7a6d76e9, 0x00000000},
};

static inline uint32_t rotate_left(uint32_t x, unsigned n) {
    return (x << n) | (x >> (32 - n));
}

/* The round functions; the left line uses 0..4, the right line 4..0. */
static inline uint32_t mix(int function, uint32_t x, uint32_t y, uint32_t z) {
    switch (function) {
    case 0: return x ^ y ^ z;
    case 1: return (x & y) | (~x & z);
    case 2: return (x | ~y) ^ z;
    case 3: return (x & z) | (y & ~z);
    default: return x ^ (y | ~z);
    }
}

/* One of the two lines over one block, into result. Unrolled by the compiler round by round. */
static inline __attribute__((always_inline)) void run_line(uint32_t result[5],
                                                           const uint32_t state[5],
                                                           const uint32_t words[16], int line) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
#pragma GCC unroll 5
    for (int round = 0; round < 5; round++) {
        int function = line == 0 ? round : 4 - round;
#pragma GCC unroll 16
        for (int step = 0; step < 16; step++) {
            uint32_t t = a + mix(function, b, c, d) + words[word_order[line][round][step]] +
                         additions[line][round];
            t = rotate_left(t, rotations[line][round][step]) + e;
            a = e;
            e = d;
            d = rotate_left(c, 10);
            c = b;
            b = t;
        }
    }
    result[0] = a;
    result[1] = b;
    result[2] = c;
    result[3] = d;
    result[4] = e;
}

static void compress(uint32_t state[5], const uint8_t *blocks, size_t count) {
    for (; count != 0; count--, blocks += 64) {
        uint32_t words[16], left[5], right[5];
        memcpy(words, blocks, 64);
        run_line(left, state, words, 0);
        run_line(right, state, words, 1);
        uint32_t t = state[1] + left[2] + right[3];
        state[1] = state[2] + left[3] + right[4];
        state[2] = state[3] + left[4] + right[0];
        state[3] = state[4] + left[0] + right[1];
        state[4] = state[0] + left[1] + right[2];
        state[0] = t;
    }
}

void ghost_ripemd160(uint8_t digest[20], const uint8_t *data, size_t length) {
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t tail[128] = {0};
    size_t whole = length / 64, rest = length % 64;
    size_t tail_blocks = rest < 56 ? 1 : 2;

    if (whole != 0) compress(state, data, whole);
    if (rest != 0) memcpy(tail, data + 64 * whole, rest);
    tail[rest] = 0x80;
    uint64_t bits = (uint64_t)length * 8;
    memcpy(tail + 64 * tail_blocks - 8, &bits, 8);
    compress(state, tail, tail_blocks);
    memcpy(digest, state, 20);
}
