/* The base field eight elements at a time: limb i of all eight in one AVX-512 register, products
 * by the 52-bit multiply-add instructions (IFMA).
 *
 * Limbs have 51 bits. Every function takes and gives tight elements, limbs below 2^51 + 2^15: the
 * instruction reads 52 bits of each. Every source that includes this file is compiled for it. */
#ifndef GHOST_ED25519_LANES_H
#define GHOST_ED25519_LANES_H

#include <immintrin.h>

#include "field.h"

#define INLINE static inline __attribute__((always_inline))
#define LANES 8

typedef struct lanes {
    __m512i n[5];
} lanes;

INLINE __m512i broadcast(uint64_t value) {
    return _mm512_set1_epi64((long long)value);
}

INLINE lanes lanes_broadcast(const fe *a) {
    lanes r;
    for (int i = 0; i < 5; i++) r.n[i] = broadcast(a->n[i]);
    return r;
}

INLINE lanes lanes_load(const fe a[LANES]) {
    lanes r;
    for (int i = 0; i < 5; i++) {
        uint64_t limbs[LANES];
        for (int j = 0; j < LANES; j++) limbs[j] = a[j].n[i];
        r.n[i] = _mm512_loadu_si512(limbs);
    }
    return r;
}

INLINE void lanes_store(fe a[LANES], const lanes *b) {
    for (int i = 0; i < 5; i++) {
        uint64_t limbs[LANES];
        _mm512_storeu_si512(limbs, b->n[i]);
        for (int j = 0; j < LANES; j++) a[j].n[i] = limbs[j];
    }
}

/* b in the lanes of the mask, else a. */
INLINE lanes lanes_choose(const lanes *a, const lanes *b, __mmask8 mask) {
    lanes r;
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_mask_mov_epi64(a->n[i], mask, b->n[i]);
    return r;
}

/* 19 a, for limbs below 2^59. */
INLINE __m512i times19(__m512i a) {
    __m512i twice = _mm512_add_epi64(a, a);
    return _mm512_add_epi64(_mm512_add_epi64(a, twice), _mm512_slli_epi64(a, 4));
}

/* Tight from limbs below 2^61: what one passes on is below 2^10. */
INLINE lanes lanes_tighten(const lanes *a) {
    const __m512i mask = broadcast(FE_MASK);
    __m512i up[5];
    lanes r;
    for (int i = 0; i < 5; i++) up[i] = _mm512_srli_epi64(a->n[i], 51);
    r.n[0] = _mm512_add_epi64(_mm512_and_si512(a->n[0], mask), times19(up[4]));
    for (int i = 1; i < 5; i++)
        r.n[i] = _mm512_add_epi64(_mm512_and_si512(a->n[i], mask), up[i - 1]);
    return r;
}

INLINE lanes lanes_add(const lanes *a, const lanes *b) {
    lanes r;
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_add_epi64(a->n[i], b->n[i]);
    return lanes_tighten(&r);
}

/* a - b, by way of a - b + 4 p. */
INLINE lanes lanes_sub(const lanes *a, const lanes *b) {
    lanes r;
    for (int i = 0; i < 5; i++) {
        __m512i bias = broadcast(i ? 0x1ffffffffffffcULL : 0x1fffffffffffb4ULL);
        r.n[i] = _mm512_sub_epi64(_mm512_add_epi64(a->n[i], bias), b->n[i]);
    }
    return lanes_tighten(&r);
}

/* Tight from the columns of a product: those of the low halves, of weight 2^(51 k), and of the
 * high halves, of weight 2^(51 k + 52), twice that of the next column. Each column has five parts
 * below 2^52 at most, so a sum is below 2^56 and 19 times that fits a limb. */
INLINE lanes lanes_fold(const __m512i low[9], const __m512i high[9]) {
    __m512i z[10];
    z[0] = low[0];
    for (int k = 1; k < 9; k++)
        z[k] = _mm512_add_epi64(low[k], _mm512_add_epi64(high[k - 1], high[k - 1]));
    z[9] = _mm512_add_epi64(high[8], high[8]);
    lanes r;
    for (int k = 0; k < 5; k++) r.n[k] = _mm512_add_epi64(z[k], times19(z[k + 5]));
    return lanes_tighten(&r);
}

INLINE lanes lanes_mul(const lanes *a, const lanes *b) {
    __m512i low[9], high[9];
    for (int k = 0; k < 9; k++) low[k] = high[k] = _mm512_setzero_si512();
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = 0; j < 5; j++) {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a->n[i], b->n[j]);
            high[i + j] = _mm512_madd52hi_epu64(high[i + j], a->n[i], b->n[j]);
        }
    }
    return lanes_fold(low, high);
}

INLINE lanes lanes_square(const lanes *a) {
    __m512i low[9], high[9];
    for (int k = 0; k < 9; k++) low[k] = high[k] = _mm512_setzero_si512();
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = i + 1; j < 5; j++) {
            low[i + j] = _mm512_madd52lo_epu64(low[i + j], a->n[i], a->n[j]);
            high[i + j] = _mm512_madd52hi_epu64(high[i + j], a->n[i], a->n[j]);
        }
    }
#pragma GCC unroll 9
    for (int k = 1; k < 8; k++) {
        low[k] = _mm512_add_epi64(low[k], low[k]);
        high[k] = _mm512_add_epi64(high[k], high[k]);
    }
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a->n[i], a->n[i]);
        high[2 * i] = _mm512_madd52hi_epu64(high[2 * i], a->n[i], a->n[i]);
    }
    return lanes_fold(low, high);
}

#endif
