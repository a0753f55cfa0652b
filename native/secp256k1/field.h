/* The base field of secp256k1, p = 2^256 - 2^32 - 977, in five limbs of 52 bits.
 *
 * Sums are lazy. An element has magnitude m when every limb is at most m times the limb of a
 * fresh product (just above 2^52, the top one 2^48). Products take operands whose magnitudes
 * multiply to at most 64 and give magnitude 1; each function below states what it adds. */
#ifndef GHOST_SECP256K1_FIELD_H
#define GHOST_SECP256K1_FIELD_H

#include "../common/u256.h"

typedef unsigned __int128 u128;

#define FE_MASK 0xfffffffffffffULL /* 52 bits */
#define FE_TOP_MASK 0xffffffffffffULL /* 48 bits */
#define FE_FOLD 0x1000003d1ULL /* 2^256 mod p */
#define FE_P0 0xffffefffffc2fULL

typedef struct fe {
    uint64_t n[5];
} fe;

/* p itself as an integer. */
static const u256 FIELD_PRIME = {
    {0xfffffffefffffc2fULL, 0xffffffffffffffffULL, 0xffffffffffffffffULL, 0xffffffffffffffffULL}};

static inline fe fe_small(uint64_t value) {
    return (fe){{value, 0, 0, 0, 0}};
}

/* From an integer below 2^256; magnitude 1. */
static inline fe fe_from_u256(const u256 *a) {
    const uint64_t *l = a->limbs;
    return (fe){{l[0] & FE_MASK, (l[0] >> 52 | l[1] << 12) & FE_MASK,
                 (l[1] >> 40 | l[2] << 24) & FE_MASK, (l[2] >> 28 | l[3] << 36) & FE_MASK,
                 l[3] >> 16}};
}

/* Adds the magnitudes. */
static inline fe fe_add(const fe *a, const fe *b) {
    fe r;
    for (int i = 0; i < 5; i++) r.n[i] = a->n[i] + b->n[i];
    return r;
}

/* Multiplies the magnitude by factor. */
static inline fe fe_times(const fe *a, uint64_t factor) {
    fe r;
    for (int i = 0; i < 5; i++) r.n[i] = a->n[i] * factor;
    return r;
}

/* -a for a of magnitude at most m (m <= 60); magnitude m + 1. */
static inline fe fe_negate(const fe *a, uint64_t m) {
    uint64_t k = m + 1;
    fe r = {{FE_P0 * k - a->n[0], FE_MASK * k - a->n[1], FE_MASK * k - a->n[2],
             FE_MASK * k - a->n[3], FE_TOP_MASK * k - a->n[4]}};
    return r;
}

/* a / 2; magnitude (m + 1) / 2 rounded up. */
static inline fe fe_half(const fe *a) {
    uint64_t odd = 0 - (a->n[0] & 1);
    uint64_t t[5] = {a->n[0] + (FE_P0 & odd), a->n[1] + (FE_MASK & odd), a->n[2] + (FE_MASK & odd),
                     a->n[3] + (FE_MASK & odd), a->n[4] + (FE_TOP_MASK & odd)};
    fe r;
    for (int i = 0; i < 4; i++) r.n[i] = (t[i] >> 1) + ((t[i + 1] & 1) << 51);
    r.n[4] = t[4] >> 1;
    return r;
}

/* Reduces nine columns of weight 2^(52 i) to magnitude 1. */
static inline fe fe_reduce(const u128 t[9]) {
    const uint64_t fold = FE_FOLD << 4; /* 2^260 mod p */
    uint64_t high[5];
    u128 carry = 0;
    for (int i = 0; i < 4; i++) {
        carry += t[5 + i];
        high[i] = (uint64_t)carry & FE_MASK;
        carry >>= 52;
    }
    high[4] = (uint64_t)carry;
    fe r;
    carry = 0;
    for (int i = 0; i < 4; i++) {
        carry += t[i] + (u128)high[i] * fold;
        r.n[i] = (uint64_t)carry & FE_MASK;
        carry >>= 52;
    }
    carry += t[4] + (u128)high[4] * fold;
    r.n[4] = (uint64_t)carry & FE_TOP_MASK;
    u128 low = (u128)(uint64_t)(carry >> 48) * FE_FOLD + r.n[0];
    r.n[0] = (uint64_t)low & FE_MASK;
    r.n[1] += (uint64_t)(low >> 52);
    return r;
}

static inline fe fe_mul(const fe *a, const fe *b) {
    u128 t[9] = {0};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) t[i + j] += (u128)a->n[i] * b->n[j];
    return fe_reduce(t);
}

static inline fe fe_sqr(const fe *a) {
    u128 t[9] = {0};
    for (int i = 0; i < 5; i++) {
        t[2 * i] += (u128)a->n[i] * a->n[i];
        for (int j = i + 1; j < 5; j++) t[i + j] += (u128)(2 * a->n[i]) * a->n[j];
    }
    return fe_reduce(t);
}

static inline fe fe_sqr_times(fe a, int times) {
    for (int i = 0; i < times; i++) a = fe_sqr(&a);
    return a;
}

/* The one integer below p that a stands for, as limbs. Any magnitude up to 2000. */
static inline fe fe_canonical(const fe *a) {
    fe r = *a;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t carry = (r.n[4] >> 48) * FE_FOLD;
        r.n[4] &= FE_TOP_MASK;
        for (int i = 0; i < 4; i++) {
            carry += r.n[i];
            r.n[i] = carry & FE_MASK;
            carry >>= 52;
        }
        r.n[4] += carry;
    }
    /* Now below 2^256 + 2^33; the excess over p shows as a carry out of r + (2^256 - p). */
    fe s;
    uint64_t carry = FE_FOLD;
    for (int i = 0; i < 4; i++) {
        carry += r.n[i];
        s.n[i] = carry & FE_MASK;
        carry >>= 52;
    }
    s.n[4] = r.n[4] + carry;
    if (s.n[4] >> 48) {
        s.n[4] &= FE_TOP_MASK;
        return s;
    }
    return r;
}

static inline bool fe_is_zero(const fe *a) {
    fe r = fe_canonical(a);
    return (r.n[0] | r.n[1] | r.n[2] | r.n[3] | r.n[4]) == 0;
}

static inline bool fe_equal(const fe *a, const fe *b, uint64_t magnitude_b) {
    fe minus = fe_negate(b, magnitude_b);
    fe difference = fe_add(a, &minus);
    return fe_is_zero(&difference);
}

/* The canonical integer, for storing. */
static inline u256 fe_to_u256(const fe *a) {
    fe r = fe_canonical(a);
    return (u256){{r.n[0] | r.n[1] << 52, r.n[1] >> 12 | r.n[2] << 40,
                   r.n[2] >> 24 | r.n[3] << 28, r.n[3] >> 36 | r.n[4] << 16}};
}

/* a^(2^223 - 1), with a^3 and a^(2^22 - 1): the common beginning of the root and the inverse. */
static inline fe fe_power_223_ones(const fe *a, fe *ones2, fe *ones22) {
    fe x2 = fe_sqr(a);
    x2 = fe_mul(&x2, a);
    fe x3 = fe_sqr(&x2);
    x3 = fe_mul(&x3, a);
    fe x6 = fe_sqr_times(x3, 3);
    x6 = fe_mul(&x6, &x3);
    fe x9 = fe_sqr_times(x6, 3);
    x9 = fe_mul(&x9, &x3);
    fe x11 = fe_sqr_times(x9, 2);
    x11 = fe_mul(&x11, &x2);
    fe x22 = fe_sqr_times(x11, 11);
    x22 = fe_mul(&x22, &x11);
    fe x44 = fe_sqr_times(x22, 22);
    x44 = fe_mul(&x44, &x22);
    fe x88 = fe_sqr_times(x44, 44);
    x88 = fe_mul(&x88, &x44);
    fe x176 = fe_sqr_times(x88, 88);
    x176 = fe_mul(&x176, &x88);
    fe x220 = fe_sqr_times(x176, 44);
    x220 = fe_mul(&x220, &x44);
    fe x223 = fe_sqr_times(x220, 3);
    x223 = fe_mul(&x223, &x3);
    *ones2 = x2;
    *ones22 = x22;
    return x223;
}

/* a^((p + 1) / 4): the square root when there is one (the caller squares to find out). */
static inline fe fe_root(const fe *a) {
    fe x2, x22;
    fe r = fe_power_223_ones(a, &x2, &x22);
    r = fe_sqr_times(r, 23);
    r = fe_mul(&r, &x22);
    r = fe_sqr_times(r, 6);
    r = fe_mul(&r, &x2);
    return fe_sqr_times(r, 2);
}

/* 1 / a = a^(p - 2); 0 for 0. */
static inline fe fe_inverse(const fe *a) {
    fe x2, x22;
    fe r = fe_power_223_ones(a, &x2, &x22);
    r = fe_sqr_times(r, 23);
    r = fe_mul(&r, &x22);
    r = fe_sqr_times(r, 5);
    r = fe_mul(&r, a);
    r = fe_sqr_times(r, 3);
    r = fe_mul(&r, &x2);
    r = fe_sqr_times(r, 2);
    return fe_mul(&r, a);
}

#endif
