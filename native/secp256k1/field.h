/* The base field of secp256k1, p = 2^256 - 2^32 - 977, in five limbs of 52 bits.
 *
 * Sums are lazy. An element has magnitude m when every limb is at most m times the limb of a
 * fresh product (just above 2^52, the top one 2^48). Products take operands whose magnitudes
 * multiply to at most 64 and give magnitude 1; each function below states what it adds. */
#ifndef GHOST_SECP256K1_FIELD_H
#define GHOST_SECP256K1_FIELD_H

#include "../common/u256.h"
#include "inverse.h"

/* Vectors of two or four limbs are slower here than the limbs one by one: they are stored singly
 * by the products, and a wide load so soon after waits for those stores. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-vectorize")
#endif

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

/* Reduces nine columns of weight 2^(52 i) to magnitude 1. The upper four are folded as they are,
 * their two words apart: 2^260 is FE_FOLD << 4 modulo p, and 2^64 is 2^12 columns further up. */
static inline fe fe_reduce(const u128 t[9]) {
    const uint64_t fold_low = FE_FOLD << 4, fold_high = FE_FOLD << 16;
    fe r;
    u128 carry = t[0] + (u128)(uint64_t)t[5] * fold_low;
    r.n[0] = (uint64_t)carry & FE_MASK;
    carry = (carry >> 52) + t[1] + (u128)(uint64_t)t[6] * fold_low +
            (u128)(uint64_t)(t[5] >> 64) * fold_high;
    r.n[1] = (uint64_t)carry & FE_MASK;
    carry = (carry >> 52) + t[2] + (u128)(uint64_t)t[7] * fold_low +
            (u128)(uint64_t)(t[6] >> 64) * fold_high;
    r.n[2] = (uint64_t)carry & FE_MASK;
    carry = (carry >> 52) + t[3] + (u128)(uint64_t)t[8] * fold_low +
            (u128)(uint64_t)(t[7] >> 64) * fold_high;
    r.n[3] = (uint64_t)carry & FE_MASK;
    carry = (carry >> 52) + t[4] + (u128)(uint64_t)(t[8] >> 64) * fold_high;
    r.n[4] = (uint64_t)carry & FE_TOP_MASK;
    u128 low = (u128)(uint64_t)(carry >> 48) * FE_FOLD + r.n[0];
    r.n[0] = (uint64_t)low & FE_MASK;
    r.n[1] += (uint64_t)(low >> 52);
    return r;
}

static inline fe fe_mul(const fe *a, const fe *b) {
    const uint64_t *x = a->n, *y = b->n;
    u128 t[9];
    t[0] = (u128)x[0] * y[0];
    t[1] = (u128)x[0] * y[1] + (u128)x[1] * y[0];
    t[2] = (u128)x[0] * y[2] + (u128)x[1] * y[1] + (u128)x[2] * y[0];
    t[3] = (u128)x[0] * y[3] + (u128)x[1] * y[2] + (u128)x[2] * y[1] + (u128)x[3] * y[0];
    t[4] = (u128)x[0] * y[4] + (u128)x[1] * y[3] + (u128)x[2] * y[2] + (u128)x[3] * y[1] +
           (u128)x[4] * y[0];
    t[5] = (u128)x[1] * y[4] + (u128)x[2] * y[3] + (u128)x[3] * y[2] + (u128)x[4] * y[1];
    t[6] = (u128)x[2] * y[4] + (u128)x[3] * y[3] + (u128)x[4] * y[2];
    t[7] = (u128)x[3] * y[4] + (u128)x[4] * y[3];
    t[8] = (u128)x[4] * y[4];
    return fe_reduce(t);
}

static inline fe fe_sqr(const fe *a) {
    const uint64_t *x = a->n;
    const uint64_t twice[4] = {2 * x[0], 2 * x[1], 2 * x[2], 2 * x[3]};
    u128 t[9];
    t[0] = (u128)x[0] * x[0];
    t[1] = (u128)twice[0] * x[1];
    t[2] = (u128)twice[0] * x[2] + (u128)x[1] * x[1];
    t[3] = (u128)twice[0] * x[3] + (u128)twice[1] * x[2];
    t[4] = (u128)twice[0] * x[4] + (u128)twice[1] * x[3] + (u128)x[2] * x[2];
    t[5] = (u128)twice[1] * x[4] + (u128)twice[2] * x[3];
    t[6] = (u128)twice[2] * x[4] + (u128)x[3] * x[3];
    t[7] = (u128)twice[3] * x[4];
    t[8] = (u128)x[4] * x[4];
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

/* a^((p + 1) / 4): the square root when there is one (the caller squares to find out). The
 * exponent's bits are 223 ones, a zero, 22 ones, four zeros, two ones and two zeros; xN is a to the
 * power of N ones. */
static inline fe fe_root(const fe *a) {
    fe x2 = fe_sqr(a);
    x2 = fe_mul(&x2, a);
    fe x3 = fe_sqr(&x2);
    x3 = fe_mul(&x3, a);
    fe r = fe_sqr_times(x3, 3);
    r = fe_mul(&r, &x3); /* 6 */
    r = fe_sqr_times(r, 3);
    r = fe_mul(&r, &x3); /* 9 */
    r = fe_sqr_times(r, 2);
    fe x11 = fe_mul(&r, &x2);
    r = fe_sqr_times(x11, 11);
    fe x22 = fe_mul(&r, &x11);
    r = fe_sqr_times(x22, 22);
    fe x44 = fe_mul(&r, &x22);
    r = fe_sqr_times(x44, 44);
    fe x88 = fe_mul(&r, &x44);
    r = fe_sqr_times(x88, 88);
    r = fe_mul(&r, &x88); /* 176 */
    r = fe_sqr_times(r, 44);
    r = fe_mul(&r, &x44); /* 220 */
    r = fe_sqr_times(r, 3);
    r = fe_mul(&r, &x3); /* 223 */
    r = fe_sqr_times(r, 23);
    r = fe_mul(&r, &x22);
    r = fe_sqr_times(r, 6);
    r = fe_mul(&r, &x2);
    return fe_sqr_times(r, 2);
}

/* 1 / a; 0 for 0. */
static inline fe fe_inverse(const fe *a) {
    const modulus prime = {
        {{0xfffffffefffffc2fULL, 0xffffffffffffffffULL, 0xffffffffffffffffULL,
          0xffffffffffffffffULL}},
        0x27c7f6e22ddacacfULL};
    u256 number = fe_to_u256(a);
    u256 inverse = modular_inverse(&number, &prime);
    return fe_from_u256(&inverse);
}

#endif
