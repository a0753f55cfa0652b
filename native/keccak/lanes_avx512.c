/* Keccak-f[1600] over eight lanes with AVX-512F: rotate and three-input logic are single
 * instructions, and the 25 lanes of the state fit the 32 registers. */
#include "lanes.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "rounds.h"

#define TARGET __attribute__((target("avx512f")))

#define WORD __m512i
#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define XOR5(a, b, c, d, e) XOR3(XOR3(a, b, c), d, e)
#define ROL(a, n) _mm512_rol_epi64(a, n)
#define MIX(a, left, right) XOR3(a, left, right)
#define CHI(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xd2)
#define IOTA(a, round) _mm512_xor_si512(a, _mm512_set1_epi64((long long)round_constants[round]))

/* Turns eight rows of eight words into columns: after it, rows[i] holds word i of every lane. */
TARGET static inline void transpose(__m512i rows[8]) {
    __m512i pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm512_unpacklo_epi64(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi64(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            quads[i + j] = _mm512_shuffle_i64x2(pairs[i + j], pairs[i + j + 2], 0x88);
            quads[i + j + 2] = _mm512_shuffle_i64x2(pairs[i + j], pairs[i + j + 2], 0xdd);
        }
    }
    for (int j = 0; j < 4; j++) {
        __m512i even = _mm512_shuffle_i64x2(quads[j], quads[j + 4], 0x88);
        __m512i odd = _mm512_shuffle_i64x2(quads[j], quads[j + 4], 0xdd);
        rows[j] = even;
        rows[j + 4] = odd;
    }
}

TARGET void ghost_keccak_step_avx512(keccak_lanes *state, const uint8_t *const *blocks,
                                     unsigned fresh) {
    __mmask8 kept = (__mmask8)~fresh;
    uint64_t *words = state->words;
    __m512i low[8], high[8];
    for (int lane = 0; lane < 8; lane++) {
        low[lane] = _mm512_loadu_si512(blocks[lane]);
        high[lane] = _mm512_loadu_si512(blocks[lane] + 64);
    }
    transpose(low);
    transpose(high);
    __m512i last = _mm512_i64gather_epi64(_mm512_loadu_si512(blocks), (const void *)128, 1);

#define FROM_MEMORY(i) _mm512_maskz_load_epi64(kept, words + 8 * (i))
#define TO_MEMORY(i, word) _mm512_store_si512(words + 8 * (i), word)
#define ABSORB(i, word) _mm512_xor_si512(FROM_MEMORY(i), word)
#define FIRST(i)                                                                                   \
    ((i) < 8 ? ABSORB(i, low[(i) & 7])                                                             \
             : (i) < 16 ? ABSORB(i, high[(i) & 7]) : (i) == 16 ? ABSORB(i, last) : FROM_MEMORY(i))
    KECCAK_LOAD(FIRST);
    KECCAK_ROUNDS();
    KECCAK_STORE(TO_MEMORY);
}

#else
typedef int no_avx512_here;
#endif
