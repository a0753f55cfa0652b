/* Keccak-f[1600] over four lanes with AVX2. */
#include "lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "rounds.h"

#define TARGET __attribute__((target("avx2")))

#define WORD __m256i
#define XOR(a, b) _mm256_xor_si256(a, b)
#define XOR5(a, b, c, d, e) XOR(XOR(XOR(a, b), XOR(c, d)), e)
#define ROL(a, n) rotate(a, n)
#define MIX(a, left, right) XOR(a, XOR(left, right))
#define CHI(a, b, c) XOR(a, _mm256_andnot_si256(b, c))
#define IOTA(a, round) XOR(a, _mm256_set1_epi64x((long long)round_constants[round]))

/* Rotations by whole bytes are one shuffle, the others two shifts and an or. n is a constant
 * wherever this is used. */
TARGET static inline __attribute__((always_inline)) __m256i rotate(__m256i a, int n) {
    if (n == 8)
        return _mm256_shuffle_epi8(a, _mm256_set_epi8(14, 13, 12, 11, 10, 9, 8, 15, 6, 5, 4, 3, 2,
                                                      1, 0, 7, 14, 13, 12, 11, 10, 9, 8, 15, 6, 5,
                                                      4, 3, 2, 1, 0, 7));
    if (n == 56)
        return _mm256_shuffle_epi8(a, _mm256_set_epi8(8, 15, 14, 13, 12, 11, 10, 9, 0, 7, 6, 5, 4,
                                                      3, 2, 1, 8, 15, 14, 13, 12, 11, 10, 9, 0, 7,
                                                      6, 5, 4, 3, 2, 1));
    return _mm256_or_si256(_mm256_slli_epi64(a, n), _mm256_srli_epi64(a, 64 - n));
}

/* Reads words 4 * group .. 4 * group + 3 of each of the four blocks, one word a row. */
TARGET static inline void read_group(__m256i rows[4], const uint8_t *const *blocks, int group) {
    __m256i lane[4];
    for (int i = 0; i < 4; i++)
        lane[i] = _mm256_loadu_si256((const __m256i *)(const void *)(blocks[i] + 32 * group));
    __m256i a = _mm256_unpacklo_epi64(lane[0], lane[1]);
    __m256i b = _mm256_unpackhi_epi64(lane[0], lane[1]);
    __m256i c = _mm256_unpacklo_epi64(lane[2], lane[3]);
    __m256i d = _mm256_unpackhi_epi64(lane[2], lane[3]);
    rows[0] = _mm256_permute2x128_si256(a, c, 0x20);
    rows[1] = _mm256_permute2x128_si256(b, d, 0x20);
    rows[2] = _mm256_permute2x128_si256(a, c, 0x31);
    rows[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

TARGET void ghost_keccak_step_avx2(keccak_lanes *state, const uint8_t *const *blocks,
                                   unsigned fresh) {
    uint64_t *words = state->words;
    __m256i bits = _mm256_set_epi64x(8, 4, 2, 1);
    __m256i wanted = _mm256_and_si256(_mm256_set1_epi64x(fresh), bits);
    __m256i kept = _mm256_cmpeq_epi64(wanted, _mm256_setzero_si256());
    __m256i input[17];
    for (int group = 0; group < 4; group++)
        read_group(input + 4 * group, blocks, group);
    long long last[4];
    for (int i = 0; i < 4; i++)
        memcpy(&last[i], blocks[i] + 128, 8);
    input[16] = _mm256_set_epi64x(last[3], last[2], last[1], last[0]);

#define FROM_MEMORY(i)                                                                             \
    _mm256_and_si256(_mm256_load_si256((const __m256i *)(const void *)(words + 4 * (i))), kept)
#define TO_MEMORY(i, word)                                                                         \
    _mm256_store_si256((__m256i *)(void *)(words + 4 * (i)), word)
#define FIRST(i) ((i) < 17 ? XOR(FROM_MEMORY(i), input[(i) < 17 ? (i) : 0]) : FROM_MEMORY(i))
    KECCAK_LOAD(FIRST);
    KECCAK_ROUNDS();
    KECCAK_STORE(TO_MEMORY);
}

#else
typedef int no_avx2_here;
#endif
