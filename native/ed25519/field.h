/* The base field of Curve25519, p = 2^255 - 19, in five limbs of 51 bits.
 *
 * Sums are lazy. A fresh product has limbs below 2^51 + 2^13; fe_add adds the bounds of its
 * operands, fe_sub gives less than 2^53.4, fe_sub_wide less than 2^54.4. A product is right when
 * the bounds of its two operands multiply to less than 2^108; every formula in group.h keeps to
 * that, and the verify build asserts it. */
#ifndef GHOST_ED25519_FIELD_H
#define GHOST_ED25519_FIELD_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;

#define FE_MASK 0x7ffffffffffffULL /* 51 bits */

typedef struct fe {
    uint64_t n[5];
} fe;

static const fe FE_ZERO = {{0, 0, 0, 0, 0}};
static const fe FE_ONE = {{1, 0, 0, 0, 0}};
/* p - 1 */
static const fe FE_MINUS_ONE = {{FE_MASK - 19, FE_MASK, FE_MASK, FE_MASK, FE_MASK}};
/* (p + 1) / 2 */
static const fe FE_HALF = {{FE_MASK - 8, FE_MASK, FE_MASK, FE_MASK, FE_MASK >> 1}};
/* i, a root of -1: 2^((p - 1) / 4) */
static const fe FE_I = {{0x61b274a0ea0b0ULL, 0xd5a5fc8f189dULL, 0x7ef5e9cbd0c60ULL,
                         0x78595a6804c9eULL, 0x2b8324804fc1dULL}};

static inline void fe_assert_product(const fe *a, const fe *b) {
#ifdef GHOST_VERIFY
    uint64_t most_a = 0, most_b = 0;
    for (int i = 0; i < 5; i++) {
        most_a |= a->n[i];
        most_b |= b->n[i];
    }
    int bits_a = most_a ? 64 - __builtin_clzll(most_a) : 0;
    int bits_b = most_b ? 64 - __builtin_clzll(most_b) : 0;
    assert(bits_a <= 55 && bits_b <= 55 && bits_a + bits_b <= 109);
#else
    (void)a;
    (void)b;
#endif
}

static inline fe fe_add(const fe *a, const fe *b) {
    fe r;
    for (int i = 0; i < 5; i++) r.n[i] = a->n[i] + b->n[i];
    return r;
}

/* a - b + 4 p, for limbs of b below 2^53 - 76. */
static inline fe fe_sub(const fe *a, const fe *b) {
    fe r;
    r.n[0] = a->n[0] + 0x1fffffffffffb4ULL - b->n[0];
    for (int i = 1; i < 5; i++) r.n[i] = a->n[i] + 0x1ffffffffffffcULL - b->n[i];
    return r;
}

/* a - b + 8 p, for limbs of b below 2^54 - 152. */
static inline fe fe_sub_wide(const fe *a, const fe *b) {
    fe r;
    r.n[0] = a->n[0] + 0x3fffffffffff68ULL - b->n[0];
    for (int i = 1; i < 5; i++) r.n[i] = a->n[i] + 0x3ffffffffffff8ULL - b->n[i];
    return r;
}

/* Limbs of a fresh product out of five columns of weight 2^(51 i), each below 2^113; the top one
 * below 2^110.6, so that its carry times 19 fits a word. */
static inline fe fe_carried(u128 t0, u128 t1, u128 t2, u128 t3, u128 t4) {
    fe r;
    t1 += (uint64_t)(t0 >> 51);
    t2 += (uint64_t)(t1 >> 51);
    t3 += (uint64_t)(t2 >> 51);
    t4 += (uint64_t)(t3 >> 51);
    uint64_t low = ((uint64_t)t0 & FE_MASK) + 19 * (uint64_t)(t4 >> 51);
    r.n[0] = low & FE_MASK;
    r.n[1] = ((uint64_t)t1 & FE_MASK) + (low >> 51);
    r.n[2] = (uint64_t)t2 & FE_MASK;
    r.n[3] = (uint64_t)t3 & FE_MASK;
    r.n[4] = (uint64_t)t4 & FE_MASK;
    return r;
}

static inline fe fe_mul(const fe *a, const fe *b) {
    fe_assert_product(a, b);
    uint64_t a0 = a->n[0], a1 = a->n[1], a2 = a->n[2], a3 = a->n[3], a4 = a->n[4];
    uint64_t b0 = b->n[0], b1 = b->n[1], b2 = b->n[2], b3 = b->n[3], b4 = b->n[4];
    uint64_t c1 = 19 * b1, c2 = 19 * b2, c3 = 19 * b3, c4 = 19 * b4; /* 2^255 is 19 */
    return fe_carried(
        (u128)a0 * b0 + (u128)a1 * c4 + (u128)a2 * c3 + (u128)a3 * c2 + (u128)a4 * c1,
        (u128)a0 * b1 + (u128)a1 * b0 + (u128)a2 * c4 + (u128)a3 * c3 + (u128)a4 * c2,
        (u128)a0 * b2 + (u128)a1 * b1 + (u128)a2 * b0 + (u128)a3 * c4 + (u128)a4 * c3,
        (u128)a0 * b3 + (u128)a1 * b2 + (u128)a2 * b1 + (u128)a3 * b0 + (u128)a4 * c4,
        (u128)a0 * b4 + (u128)a1 * b3 + (u128)a2 * b2 + (u128)a3 * b1 + (u128)a4 * b0);
}

static inline fe fe_square(const fe *a) {
    fe_assert_product(a, a);
    uint64_t a0 = a->n[0], a1 = a->n[1], a2 = a->n[2], a3 = a->n[3], a4 = a->n[4];
    uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, c3 = 19 * a3, c4 = 19 * a4;
    return fe_carried((u128)a0 * a0 + (u128)d1 * c4 + (u128)d2 * c3,
                      (u128)d0 * a1 + (u128)d2 * c4 + (u128)a3 * c3,
                      (u128)d0 * a2 + (u128)a1 * a1 + (u128)(2 * a3) * c4,
                      (u128)d0 * a3 + (u128)d1 * a2 + (u128)a4 * c4,
                      (u128)d0 * a4 + (u128)d1 * a3 + (u128)a2 * a2);
}

/* a^(2^count), count at least 1. */
static inline fe fe_squares(const fe *a, int count) {
    fe r = fe_square(a);
    while (--count) r = fe_square(&r);
    return r;
}

/* a^((p - 5) / 8) = a^(2^252 - 3), by the chain 1, 2, 4, 5, 10, 20, 40, 50, 100, 200, 250 of
 * exponents 2^n - 1. */
static inline fe fe_power(const fe *a) {
    fe t = fe_square(a);         /* 2 */
    fe x = fe_squares(&t, 2);    /* 8 */
    x = fe_mul(a, &x);           /* 9 */
    t = fe_mul(&t, &x);          /* 11 */
    t = fe_square(&t);           /* 22 */
    fe x5 = fe_mul(&x, &t);      /* 2^5 - 1 */
    t = fe_squares(&x5, 5);
    fe x10 = fe_mul(&t, &x5);
    t = fe_squares(&x10, 10);
    fe x20 = fe_mul(&t, &x10);
    t = fe_squares(&x20, 20);
    t = fe_mul(&t, &x20);
    t = fe_squares(&t, 10);
    fe x50 = fe_mul(&t, &x10);
    t = fe_squares(&x50, 50);
    fe x100 = fe_mul(&t, &x50);
    t = fe_squares(&x100, 100);
    t = fe_mul(&t, &x100);
    t = fe_squares(&t, 50);
    t = fe_mul(&t, &x50);        /* 2^250 - 1 */
    t = fe_squares(&t, 2);
    return fe_mul(&t, a);
}

/* The same element with limbs below 2^51 and a value below p; limbs of a below 2^63. */
static inline fe fe_canonical(const fe *a) {
    fe r = *a;
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 4; i++) {
            r.n[i + 1] += r.n[i] >> 51;
            r.n[i] &= FE_MASK;
        }
        r.n[0] += 19 * (r.n[4] >> 51);
        r.n[4] &= FE_MASK;
    }
    /* Now below 2^255 + 19: it is at least p when adding 19 carries out of the top. */
    uint64_t carry = (r.n[0] + 19) >> 51;
    for (int i = 1; i < 5; i++) carry = (r.n[i] + carry) >> 51;
    r.n[0] += 19 * carry;
    for (int i = 0; i < 4; i++) {
        r.n[i + 1] += r.n[i] >> 51;
        r.n[i] &= FE_MASK;
    }
    r.n[4] &= FE_MASK;
    return r;
}

/* Whether two canonical elements are the same. */
static inline int fe_same(const fe *a, const fe *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static inline int fe_is_zero(const fe *a) {
    fe r = fe_canonical(a);
    return fe_same(&r, &FE_ZERO);
}

/* 32 bytes, little-endian; the highest bit is left out. The value may be p or above. */
static inline fe fe_from_bytes(const uint8_t *bytes) {
    uint64_t w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = 0;
        for (int j = 7; j >= 0; j--) w[i] = w[i] << 8 | bytes[8 * i + j];
    }
    return (fe){{w[0] & FE_MASK, (w[0] >> 51 | w[1] << 13) & FE_MASK,
                 (w[1] >> 38 | w[2] << 26) & FE_MASK, (w[2] >> 25 | w[3] << 39) & FE_MASK,
                 w[3] >> 12 & FE_MASK}};
}

/* A canonical element as 32 bytes, little-endian. */
static inline void fe_to_bytes(uint8_t *bytes, const fe *a) {
    const uint64_t *n = a->n;
    uint64_t w[4] = {n[0] | n[1] << 51, n[1] >> 13 | n[2] << 38, n[2] >> 26 | n[3] << 25,
                     n[3] >> 39 | n[4] << 12};
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(w[i / 8] >> 8 * (i % 8));
}

/* What a fourth root of unity a t^2 is, for t = a^((p - 5) / 8). */
enum fe_class { FE_IS_ONE, FE_IS_MINUS_ONE, FE_IS_I, FE_IS_MINUS_I };

static inline enum fe_class fe_class_of(const fe *a) {
    fe q = fe_canonical(a);
    if (fe_same(&q, &FE_ONE)) return FE_IS_ONE;
    if (fe_same(&q, &FE_MINUS_ONE)) return FE_IS_MINUS_ONE;
    return fe_same(&q, &FE_I) ? FE_IS_I : FE_IS_MINUS_I;
}

/* t = a^((p - 5) / 8) and the class of a t^2; a is not zero. Where that is 1 or -1, a is a square
 * and the inverse of its root is t or t i. Else a is none (p is 5 modulo 8, so i is none). */
static inline enum fe_class fe_classify(fe *t, const fe *a) {
    *t = fe_power(a);
    fe q = fe_square(t);
    q = fe_mul(&q, a);
    return fe_class_of(&q);
}

/* The inverse of a root of a, which is not zero. Returns 0 when a is no square. */
static inline int fe_inverse_root(fe *r, const fe *a) {
    enum fe_class class = fe_classify(r, a);
    if (class == FE_IS_MINUS_ONE) *r = fe_mul(r, &FE_I);
    return class == FE_IS_ONE || class == FE_IS_MINUS_ONE;
}

#endif
