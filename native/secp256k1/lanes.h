/* The base field eight elements at a time: limb i of all eight in one AVX-512 register, products
 * by the 52-bit multiply-add instructions (IFMA).
 *
 * A `lanes` is tight when every limb is below 2^52 and the top one at most 2^48 + 2^12; the value
 * is then below 2^256 + 2^221, less than 2 p. Products need tight operands, since the instruction
 * reads 52 bits of each. Sums and products before their carries are loose: limbs below 2^62, none
 * negative. Subtraction adds a multiple of p that is larger in every limb than what it takes away.
 *
 * Every source that includes this file is compiled for AVX-512 IFMA. */
#ifndef GHOST_SECP256K1_LANES_H
#define GHOST_SECP256K1_LANES_H

#include <immintrin.h>

#include "group.h"

#define INLINE static inline __attribute__((always_inline))

typedef struct lanes {
    __m512i n[5];
} lanes;

/* A product before reduction: column i has weight 2^(52 i). */
typedef struct columns {
    __m512i c[10];
} columns;

INLINE __m512i broadcast(uint64_t value) {
    return _mm512_set1_epi64((long long)value);
}

INLINE lanes lanes_broadcast(const fe *a) {
    lanes r;
    for (int i = 0; i < 5; i++) r.n[i] = broadcast(a->n[i]);
    return r;
}

INLINE lanes lanes_one(void) {
    const __m512i zero = _mm512_setzero_si512();
    return (lanes){{broadcast(1), zero, zero, zero, zero}};
}

INLINE __m512i fresh_zero(void) {
    __m512i z;
    __asm__ volatile("vpxord %0, %0, %0" : "=v"(z));
    return z;
}

INLINE columns columns_zero(void) {
    columns t;
    for (int i = 0; i < 10; i++) t.c[i] = fresh_zero();
    return t;
}

/* t += a b. */
INLINE void columns_add_product(columns *t, const lanes *a, const lanes *b) {
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = 0; j < 5; j++)
            t->c[i + j] = _mm512_madd52lo_epu64(t->c[i + j], a->n[i], b->n[j]);
#pragma GCC unroll 5
        for (int j = 0; j < 5; j++)
            t->c[i + j + 1] = _mm512_madd52hi_epu64(t->c[i + j + 1], a->n[i], b->n[j]);
    }
}

INLINE columns columns_square(const lanes *a) {
    columns t = columns_zero();
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = i + 1; j < 5; j++)
            t.c[i + j] = _mm512_madd52lo_epu64(t.c[i + j], a->n[i], a->n[j]);
#pragma GCC unroll 5
        for (int j = i + 1; j < 5; j++)
            t.c[i + j + 1] = _mm512_madd52hi_epu64(t.c[i + j + 1], a->n[i], a->n[j]);
    }
#pragma GCC unroll 10
    for (int i = 1; i < 9; i++) t.c[i] = _mm512_add_epi64(t.c[i], t.c[i]);
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        t.c[2 * i] = _mm512_madd52lo_epu64(t.c[2 * i], a->n[i], a->n[i]);
        t.c[2 * i + 1] = _mm512_madd52hi_epu64(t.c[2 * i + 1], a->n[i], a->n[i]);
    }
    return t;
}

/* Folds the upper half of columns below 2^60 onto the lower: loose, limbs below 2^61, the top one
 * below 2^48. Column 9 is below 2^52, for it has one product of top limbs. */
INLINE lanes columns_fold(const columns *t) {
    const __m512i fold = broadcast(FE_FOLD << 4); /* 2^260 mod p */
    __m512i z[6];
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) z[i] = _mm512_madd52lo_epu64(t->c[i], t->c[5 + i], fold);
    z[5] = _mm512_madd52hi_epu64(fresh_zero(), t->c[9], fold);
#pragma GCC unroll 5
    for (int i = 0; i < 4; i++) {
        z[i + 1] = _mm512_madd52hi_epu64(z[i + 1], t->c[5 + i], fold);
        /* The instruction ignores what a column has above 52 bits. */
        z[i + 1] = _mm512_madd52lo_epu64(z[i + 1], _mm512_srli_epi64(t->c[5 + i], 52), fold);
    }
    const __m512i fold256 = broadcast(FE_FOLD);
    __m512i top = _mm512_madd52lo_epu64(_mm512_srli_epi64(z[4], 48), z[5], broadcast(16));
    lanes r = {{_mm512_madd52lo_epu64(z[0], top, fold256),
                _mm512_madd52hi_epu64(z[1], top, fold256), z[2], z[3],
                _mm512_and_si512(z[4], broadcast(FE_TOP_MASK))}};
    return r;
}

/* Tight from loose limbs whose top one is below 2^49. */
INLINE lanes lanes_carry(lanes a) {
    const __m512i mask = broadcast(FE_MASK);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        a.n[i + 1] = _mm512_add_epi64(a.n[i + 1], _mm512_srli_epi64(a.n[i], 52));
        a.n[i] = _mm512_and_si512(a.n[i], mask);
    }
    return a;
}

/* Tight from any loose limbs. */
INLINE lanes lanes_tighten(lanes a) {
    __m512i top = _mm512_srli_epi64(a.n[4], 48);
    a.n[4] = _mm512_and_si512(a.n[4], broadcast(FE_TOP_MASK));
    a.n[0] = _mm512_madd52lo_epu64(a.n[0], top, broadcast(FE_FOLD));
    return lanes_carry(a);
}

INLINE lanes lanes_mul_loose(const lanes *a, const lanes *b) {
    columns t = columns_zero();
    columns_add_product(&t, a, b);
    return columns_fold(&t);
}

INLINE lanes lanes_sqr_loose(const lanes *a) {
    columns t = columns_square(a);
    return columns_fold(&t);
}

INLINE lanes lanes_mul(const lanes *a, const lanes *b) {
    return lanes_carry(lanes_mul_loose(a, b));
}

INLINE lanes lanes_sqr(const lanes *a) {
    return lanes_carry(lanes_sqr_loose(a));
}

INLINE lanes lanes_add(const lanes *a, const lanes *b) {
    lanes r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_add_epi64(a->n[i], b->n[i]);
    return r;
}

/* a << bits, loose. */
INLINE lanes lanes_shift(const lanes *a, unsigned bits) {
    lanes r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_slli_epi64(a->n[i], bits);
    return r;
}

/* a - b + factor * p, loose; factor * p exceeds b in every limb. */
INLINE lanes lanes_sub(const lanes *a, const lanes *b, uint64_t factor) {
    const uint64_t prime[5] = {FE_P0, FE_MASK, FE_MASK, FE_MASK, FE_TOP_MASK};
    lanes r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
        r.n[i] = _mm512_sub_epi64(_mm512_add_epi64(a->n[i], broadcast(prime[i] * factor)), b->n[i]);
    return r;
}

/* The lanes in which a tight a is zero modulo p: 0 or p itself. */
INLINE __mmask8 lanes_zero_mask(const lanes *a) {
    const __m512i mask = broadcast(FE_MASK);
    __m512i any = _mm512_or_si512(_mm512_or_si512(a->n[0], a->n[1]), a->n[2]);
    any = _mm512_or_si512(_mm512_or_si512(any, a->n[3]), a->n[4]);
    __m512i all = _mm512_and_si512(_mm512_and_si512(a->n[1], a->n[2]), a->n[3]);
    __m512i differs = _mm512_xor_si512(all, mask);
    differs = _mm512_or_si512(differs, _mm512_xor_si512(a->n[0], broadcast(FE_P0)));
    differs = _mm512_or_si512(differs, _mm512_xor_si512(a->n[4], broadcast(FE_TOP_MASK)));
    return (__mmask8)(_mm512_testn_epi64_mask(any, any) |
                      _mm512_testn_epi64_mask(differs, differs));
}

/* b in the lanes of mask, a elsewhere. */
INLINE lanes lanes_blend(__mmask8 mask, const lanes *a, const lanes *b) {
    lanes r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) r.n[i] = _mm512_mask_blend_epi64(mask, a->n[i], b->n[i]);
    return r;
}

#endif
