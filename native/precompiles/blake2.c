/* The BLAKE2b compression function F (RFC 7693, 3.2) as EIP-152 asks for it: any round count. */
#include <string.h>

#include "parts.h"

/* RFC 7693, 2.7; round r uses row r mod 10. */
static const uint8_t schedule[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static const uint64_t initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static inline uint64_t rotate_right(uint64_t x, int n) {
    return (x >> n) | (x << (64 - n));
}

/* RFC 7693, 3.1. */
#define MIX(a, b, c, d, x, y)                \
    do {                                     \
        (a) += (b) + (x);                    \
        (d) = rotate_right((d) ^ (a), 32);   \
        (c) += (d);                          \
        (b) = rotate_right((b) ^ (c), 24);   \
        (a) += (b) + (y);                    \
        (d) = rotate_right((d) ^ (a), 16);   \
        (c) += (d);                          \
        (b) = rotate_right((b) ^ (c), 63);   \
    } while (0)

static inline __attribute__((always_inline)) void run_round(uint64_t v[16],
                                                            const uint64_t m[16],
                                                            const uint8_t s[16]) {
    MIX(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
    MIX(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
    MIX(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
    MIX(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
    MIX(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
    MIX(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
    MIX(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
    MIX(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
}

void ghost_blake2b_compress(uint64_t state[8], const uint64_t block[16],
                            const uint64_t counter[2], bool is_final, uint32_t rounds) {
    uint64_t v[16], m[16];
    memcpy(v, state, 64);
    memcpy(v + 8, initial, 64);
    memcpy(m, block, sizeof m);
    v[12] ^= counter[0];
    v[13] ^= counter[1];
    if (is_final) v[14] = ~v[14];

    /* Ten rounds at a time with the schedule known to the compiler; the rest one by one. */
    for (; rounds >= 10; rounds -= 10) {
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) run_round(v, m, schedule[round]);
    }
    for (uint32_t round = 0; round < rounds; round++) run_round(v, m, schedule[round]);

    for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}
