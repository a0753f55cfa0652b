/* The tower of fields over BN254's base field: Fp2 = Fp[i]/(i^2 + 1), Fp6 = Fp2[v]/(v^3 - xi) with
 * xi = 9 + i, Fp12 = Fp6[w]/(w^2 - v). Included once for each multiplication of field4.h. */
#ifndef GHOST_PRECOMPILES_BN254_TOWER_H
#define GHOST_PRECOMPILES_BN254_TOWER_H

#include "field4.h"

typedef u256 fp;

typedef struct fp2 {
    fp c0, c1; /* c0 + c1 i */
} fp2;

typedef struct fp6 {
    fp2 c0, c1, c2; /* c0 + c1 v + c2 v^2 */
} fp6;

typedef struct fp12 {
    fp6 c0, c1; /* c0 + c1 w */
} fp12;

/* EIP-196: p = 36 u^4 + 36 u^3 + 24 u^2 + 6 u + 1 for u = 4965661367192848881. */
static const field4 base_field = {
    .modulus = {{0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029}},
    .one = {{0xd35d438dc58f0d9d, 0x0a78eb28f5c70b3d, 0x666ea36f7879462c, 0x0e0a77c19a07df2f}},
    .r_squared = {{0xf32cfc5b538afa89, 0xb5e71911d44501fb, 0x47ab1eff0a417ff6, 0x06d89f71cab8351f}},
    .negative_inverse = 0x87d20782e4866389,
    .has_spare_bit = true,
};

/* xi^(k (p - 1) / 6), for k = 1 to 5: what the Frobenius map multiplies w^k by. */
static const fp2 frobenius_factors[5] = {
    {{{0xaf9ba69633144907, 0xca6b1d7387afb78a, 0x11bded5ef08a2087, 0x02f34d751a1f3a7c}},
     {{0xa222ae234c492d72, 0xd00f02a4565de15b, 0xdc2ff3a253dfc926, 0x10a75716b3899551}}},
    {{{0xb5773b104563ab30, 0x347f91c8a9aa6454, 0x7a007127242e0991, 0x1956bcd8118214ec}},
     {{0x6e849f1ea0aa4757, 0xaa1c7b6d89f89141, 0xb6e713cdfae0ca3a, 0x26694fbb4e82ebc3}}},
    {{{0xe4bbdd0c2936b629, 0xbb30f162e133bacb, 0x31a9d1b6f9645366, 0x253570bea500f8dd}},
     {{0xa1d77ce45ffe77c7, 0x07affd117826d1db, 0x6d16bd27bb7edc6b, 0x2c87200285defecc}}},
    {{{0x7361d77f843abe92, 0xa5bb2bd3273411fb, 0x9c941f314b3e2399, 0x15df9cddbb9fd3ec}},
     {{0x5dddfd154bd8c949, 0x62cb29a5a4445b60, 0x37bc870a0c7dd2b9, 0x24830a9d3171f0fd}}},
    {{{0xc970692f41690fe7, 0xe240342127694b0b, 0x32bee66b83c459e8, 0x12aabced0ab08841}},
     {{0x0d485d2340aebfa9, 0x05193418ab2fcc57, 0xd3b0a40b8a4910f5, 0x2f21ebb535d2925a}}},
};

/* xi^(k (p^2 - 1) / 6), the same for the map's square; these are in Fp. */
static const fp frobenius_square_factors[5] = {
    {{0xca8d800500fa1bf2, 0xf0c5d61468b39769, 0x0e201271ad0d4418, 0x04290f65bad856e6}},
    {{0x3350c88e13e80b9c, 0x7dce557cdb5e56b9, 0x6001b4b8b615564a, 0x2682e617020217e0}},
    {{0x68c3488912edefaa, 0x8d087f6872aabf4f, 0x51e1a24709081231, 0x2259d6b14729c0fa}},
    {{0x71930c11d782e155, 0xa6bb947cffbe3323, 0xaa303344d4741444, 0x2c3b3f0d26594943}},
    {{0x08cfc388c494f1ab, 0x19b315148d1373d4, 0x584e90fdcb6c0213, 0x09e1685bdf2f8849}},
};

/* ---- Fp ---- */

static inline void fp_add(fp *out, const fp *a, const fp *b) {
    field_add(out, a, b, &base_field);
}

static inline void fp_sub(fp *out, const fp *a, const fp *b) {
    field_sub(out, a, b, &base_field);
}

static inline void fp_double(fp *out, const fp *a) {
    field_add(out, a, a, &base_field);
}

static inline void fp_negate(fp *out, const fp *a) {
    field_negate(out, a, &base_field);
}

static __attribute__((noinline)) void fp_multiply(fp *out, const fp *a, const fp *b) {
    field_multiply(out, a, b, &base_field);
}

static inline void fp_square(fp *out, const fp *a) {
    fp_multiply(out, a, a);
}

static inline bool fp_is_zero(const fp *a) {
    return u256_is_zero(a);
}

static inline void fp_invert(fp *out, const fp *a) {
    field_invert(out, a, &base_field);
}

/* ---- Fp2 ---- */

static inline void fp2_add(fp2 *out, const fp2 *a, const fp2 *b) {
    fp_add(&out->c0, &a->c0, &b->c0);
    fp_add(&out->c1, &a->c1, &b->c1);
}

static inline void fp2_sub(fp2 *out, const fp2 *a, const fp2 *b) {
    fp_sub(&out->c0, &a->c0, &b->c0);
    fp_sub(&out->c1, &a->c1, &b->c1);
}

static inline void fp2_double(fp2 *out, const fp2 *a) {
    fp2_add(out, a, a);
}

static inline void fp2_negate(fp2 *out, const fp2 *a) {
    fp_negate(&out->c0, &a->c0);
    fp_negate(&out->c1, &a->c1);
}

static inline void fp2_conjugate(fp2 *out, const fp2 *a) {
    out->c0 = a->c0;
    fp_negate(&out->c1, &a->c1);
}

static inline bool fp2_is_zero(const fp2 *a) {
    return fp_is_zero(&a->c0) && fp_is_zero(&a->c1);
}

static inline bool fp2_equal(const fp2 *a, const fp2 *b) {
    return u256_equal(&a->c0, &b->c0) && u256_equal(&a->c1, &b->c1);
}

/* Karatsuba: three multiplications. */
static __attribute__((noinline)) void fp2_multiply(fp2 *out, const fp2 *a, const fp2 *b) {
    fp t0, t1, sum_a, sum_b;
    fp_add(&sum_a, &a->c0, &a->c1);
    fp_add(&sum_b, &b->c0, &b->c1);
    field_multiply(&t0, &a->c0, &b->c0, &base_field);
    field_multiply(&t1, &a->c1, &b->c1, &base_field);
    field_multiply(&sum_a, &sum_a, &sum_b, &base_field);
    fp_sub(&out->c0, &t0, &t1);
    fp_sub(&sum_a, &sum_a, &t0);
    fp_sub(&out->c1, &sum_a, &t1);
}

static __attribute__((noinline)) void fp2_square(fp2 *out, const fp2 *a) {
    fp sum, difference, product;
    fp_add(&sum, &a->c0, &a->c1);
    fp_sub(&difference, &a->c0, &a->c1);
    field_multiply(&product, &a->c0, &a->c1, &base_field);
    field_multiply(&out->c0, &sum, &difference, &base_field);
    fp_double(&out->c1, &product);
}

static inline void fp2_scale(fp2 *out, const fp2 *a, const fp *factor) {
    fp_multiply(&out->c0, &a->c0, factor);
    fp_multiply(&out->c1, &a->c1, factor);
}

/* out = (9 + i) a. */
static void fp2_multiply_by_xi(fp2 *out, const fp2 *a) {
    fp2 t;
    fp2_double(&t, a);
    fp2_double(&t, &t);
    fp2_double(&t, &t);
    fp2_add(&t, &t, a);
    fp c0 = a->c0;
    fp_sub(&out->c0, &t.c0, &a->c1);
    fp_add(&out->c1, &t.c1, &c0);
}

static void fp2_invert(fp2 *out, const fp2 *a) {
    fp norm, t;
    fp_square(&norm, &a->c0);
    fp_square(&t, &a->c1);
    fp_add(&norm, &norm, &t);
    fp_invert(&norm, &norm);
    fp2_conjugate(out, a);
    fp2_scale(out, out, &norm);
}

/* ---- Fp6 ---- */

static inline void fp6_add(fp6 *out, const fp6 *a, const fp6 *b) {
    fp2_add(&out->c0, &a->c0, &b->c0);
    fp2_add(&out->c1, &a->c1, &b->c1);
    fp2_add(&out->c2, &a->c2, &b->c2);
}

static inline void fp6_sub(fp6 *out, const fp6 *a, const fp6 *b) {
    fp2_sub(&out->c0, &a->c0, &b->c0);
    fp2_sub(&out->c1, &a->c1, &b->c1);
    fp2_sub(&out->c2, &a->c2, &b->c2);
}

static inline void fp6_negate(fp6 *out, const fp6 *a) {
    fp2_negate(&out->c0, &a->c0);
    fp2_negate(&out->c1, &a->c1);
    fp2_negate(&out->c2, &a->c2);
}

/* out = v a. */
static void fp6_multiply_by_v(fp6 *out, const fp6 *a) {
    fp2 t;
    fp2_multiply_by_xi(&t, &a->c2);
    out->c2 = a->c1;
    out->c1 = a->c0;
    out->c0 = t;
}

/* out = (a + b) (c + d) - ac - bd = ad + bc, the cross term of Karatsuba. */
static void fp2_cross(fp2 *out, const fp2 *a, const fp2 *b, const fp2 *c, const fp2 *d,
                      const fp2 *ac, const fp2 *bd) {
    fp2 left, right;
    fp2_add(&left, a, b);
    fp2_add(&right, c, d);
    fp2_multiply(out, &left, &right);
    fp2_sub(out, out, ac);
    fp2_sub(out, out, bd);
}

static void fp6_multiply(fp6 *out, const fp6 *a, const fp6 *b) {
    fp2 t0, t1, t2, x, y, z;
    fp2_multiply(&t0, &a->c0, &b->c0);
    fp2_multiply(&t1, &a->c1, &b->c1);
    fp2_multiply(&t2, &a->c2, &b->c2);
    fp2_cross(&x, &a->c1, &a->c2, &b->c1, &b->c2, &t1, &t2);
    fp2_cross(&y, &a->c0, &a->c1, &b->c0, &b->c1, &t0, &t1);
    fp2_cross(&z, &a->c0, &a->c2, &b->c0, &b->c2, &t0, &t2);
    fp2_multiply_by_xi(&x, &x);
    fp2_add(&out->c0, &t0, &x);
    fp2_multiply_by_xi(&t2, &t2);
    fp2_add(&out->c1, &y, &t2);
    fp2_add(&out->c2, &z, &t1);
}

/* out = a (b0 + b1 v): the shape of half a line. */
static void fp6_multiply_by_01(fp6 *out, const fp6 *a, const fp2 *b0, const fp2 *b1) {
    fp2 t0, t1, x, y, z;
    fp2_multiply(&t0, &a->c0, b0);
    fp2_multiply(&t1, &a->c1, b1);
    fp2_multiply(&x, &a->c2, b1);
    fp2_multiply(&z, &a->c2, b0);
    fp2_cross(&y, &a->c0, &a->c1, b0, b1, &t0, &t1);
    fp2_multiply_by_xi(&x, &x);
    fp2_add(&out->c0, &t0, &x);
    out->c1 = y;
    fp2_add(&out->c2, &z, &t1);
}

static void fp6_invert(fp6 *out, const fp6 *a) {
    fp2 x, y, z, t, norm;
    fp2_square(&x, &a->c0); /* x = c0^2 - xi c1 c2 */
    fp2_multiply(&t, &a->c1, &a->c2);
    fp2_multiply_by_xi(&t, &t);
    fp2_sub(&x, &x, &t);
    fp2_square(&y, &a->c2); /* y = xi c2^2 - c0 c1 */
    fp2_multiply_by_xi(&y, &y);
    fp2_multiply(&t, &a->c0, &a->c1);
    fp2_sub(&y, &y, &t);
    fp2_square(&z, &a->c1); /* z = c1^2 - c0 c2 */
    fp2_multiply(&t, &a->c0, &a->c2);
    fp2_sub(&z, &z, &t);
    fp2_multiply(&norm, &a->c2, &y); /* norm = c0 x + xi (c2 y + c1 z) */
    fp2_multiply(&t, &a->c1, &z);
    fp2_add(&norm, &norm, &t);
    fp2_multiply_by_xi(&norm, &norm);
    fp2_multiply(&t, &a->c0, &x);
    fp2_add(&norm, &norm, &t);
    fp2_invert(&norm, &norm);
    fp2_multiply(&out->c0, &x, &norm);
    fp2_multiply(&out->c1, &y, &norm);
    fp2_multiply(&out->c2, &z, &norm);
}

/* ---- Fp12 ---- */

static fp12 fp12_one(void) {
    fp12 one;
    memset(&one, 0, sizeof one);
    one.c0.c0.c0 = base_field.one;
    return one;
}

static bool fp12_is_one(const fp12 *a) {
    fp12 one = fp12_one();
    return memcmp(a, &one, sizeof one) == 0; /* elements are fully reduced */
}

static void fp12_multiply(fp12 *out, const fp12 *a, const fp12 *b) {
    fp6 t0, t1, left, right;
    fp6_add(&left, &a->c0, &a->c1);
    fp6_add(&right, &b->c0, &b->c1);
    fp6_multiply(&t0, &a->c0, &b->c0);
    fp6_multiply(&t1, &a->c1, &b->c1);
    fp6_multiply(&left, &left, &right);
    fp6_sub(&left, &left, &t0);
    fp6_sub(&out->c1, &left, &t1);
    fp6_multiply_by_v(&t1, &t1);
    fp6_add(&out->c0, &t0, &t1);
}

/* (c0 + c1 w)^2 = (c0 + c1)(c0 + v c1) - (1 + v) c0 c1 + 2 c0 c1 w. */
static void fp12_square(fp12 *out, const fp12 *a) {
    fp6 product, sum, shifted;
    fp6_multiply(&product, &a->c0, &a->c1);
    fp6_add(&sum, &a->c0, &a->c1);
    fp6_multiply_by_v(&shifted, &a->c1);
    fp6_add(&shifted, &shifted, &a->c0);
    fp6_multiply(&sum, &sum, &shifted);
    fp6_sub(&sum, &sum, &product);
    fp6_multiply_by_v(&shifted, &product);
    fp6_sub(&out->c0, &sum, &shifted);
    fp6_add(&out->c1, &product, &product);
}

/* f *= a + b w + c w^3, the shape of a line. */
static void fp12_multiply_by_line(fp12 *f, const fp2 *a, const fp2 *b, const fp2 *c) {
    fp6 t0, t1, sum;
    fp2 a_plus_b;
    fp2_multiply(&t0.c0, &f->c0.c0, a);
    fp2_multiply(&t0.c1, &f->c0.c1, a);
    fp2_multiply(&t0.c2, &f->c0.c2, a);
    fp6_multiply_by_01(&t1, &f->c1, b, c);
    fp2_add(&a_plus_b, a, b);
    fp6_add(&sum, &f->c0, &f->c1);
    fp6_multiply_by_01(&sum, &sum, &a_plus_b, c);
    fp6_sub(&sum, &sum, &t0);
    fp6_sub(&f->c1, &sum, &t1);
    fp6_multiply_by_v(&t1, &t1);
    fp6_add(&f->c0, &t0, &t1);
}

/* The p^6-power; the inverse of elements whose norm to Fp6 is 1. */
static void fp12_conjugate(fp12 *out, const fp12 *a) {
    out->c0 = a->c0;
    fp6_negate(&out->c1, &a->c1);
}

static void fp12_invert(fp12 *out, const fp12 *a) {
    fp6 norm, t;
    fp6_multiply(&norm, &a->c0, &a->c0);
    fp6_multiply(&t, &a->c1, &a->c1);
    fp6_multiply_by_v(&t, &t);
    fp6_sub(&norm, &norm, &t);
    fp6_invert(&norm, &norm);
    fp6_multiply(&out->c0, &a->c0, &norm);
    fp6_multiply(&t, &a->c1, &norm);
    fp6_negate(&out->c1, &t);
}

/* out = a^p. The coefficient of w^k is conjugated and multiplied by the k-th factor. */
static void fp12_frobenius(fp12 *out, const fp12 *a) {
    const fp2 *factors = frobenius_factors;
    fp2_conjugate(&out->c0.c0, &a->c0.c0);
    fp2_conjugate(&out->c1.c0, &a->c1.c0);
    fp2_conjugate(&out->c0.c1, &a->c0.c1);
    fp2_conjugate(&out->c1.c1, &a->c1.c1);
    fp2_conjugate(&out->c0.c2, &a->c0.c2);
    fp2_conjugate(&out->c1.c2, &a->c1.c2);
    fp2_multiply(&out->c1.c0, &out->c1.c0, &factors[0]);
    fp2_multiply(&out->c0.c1, &out->c0.c1, &factors[1]);
    fp2_multiply(&out->c1.c1, &out->c1.c1, &factors[2]);
    fp2_multiply(&out->c0.c2, &out->c0.c2, &factors[3]);
    fp2_multiply(&out->c1.c2, &out->c1.c2, &factors[4]);
}

/* out = a^(p^2). */
static void fp12_frobenius_square(fp12 *out, const fp12 *a) {
    const fp *factors = frobenius_square_factors;
    out->c0.c0 = a->c0.c0;
    fp2_scale(&out->c1.c0, &a->c1.c0, &factors[0]);
    fp2_scale(&out->c0.c1, &a->c0.c1, &factors[1]);
    fp2_scale(&out->c1.c1, &a->c1.c1, &factors[2]);
    fp2_scale(&out->c0.c2, &a->c0.c2, &factors[3]);
    fp2_scale(&out->c1.c2, &a->c1.c2, &factors[4]);
}

/* (x + y s)^2 = (x^2 + xi y^2) + 2 x y s with s^2 = xi. */
static void fp4_square(fp2 *out_x, fp2 *out_y, const fp2 *x, const fp2 *y) {
    fp2 x2, y2, sum;
    fp2_square(&x2, x);
    fp2_square(&y2, y);
    fp2_add(&sum, x, y);
    fp2_square(&sum, &sum);
    fp2_sub(&sum, &sum, &x2);
    fp2_sub(out_y, &sum, &y2);
    fp2_multiply_by_xi(&y2, &y2);
    fp2_add(out_x, &x2, &y2);
}

/* out = 3 square - 2 a, or 3 square + 2 a. */
static void fp2_triple_minus_double(fp2 *out, const fp2 *square, const fp2 *a) {
    fp2 t;
    fp2_sub(&t, square, a);
    fp2_double(&t, &t);
    fp2_add(out, &t, square);
}

static void fp2_triple_plus_double(fp2 *out, const fp2 *square, const fp2 *a) {
    fp2 t;
    fp2_add(&t, square, a);
    fp2_double(&t, &t);
    fp2_add(out, &t, square);
}

/* a^2 for a in the cyclotomic subgroup (Granger and Scott, "Faster squaring in the cyclotomic
 * subgroup of sixth degree extensions", 2010): three squarings in Fp4. */
static void fp12_cyclotomic_square(fp12 *a) {
    fp2 x, y;
    fp4_square(&x, &y, &a->c0.c0, &a->c1.c1);
    fp2_triple_minus_double(&a->c0.c0, &x, &a->c0.c0);
    fp2_triple_plus_double(&a->c1.c1, &y, &a->c1.c1);
    fp2 x2, y2;
    fp4_square(&x, &y, &a->c1.c0, &a->c0.c2);
    fp4_square(&x2, &y2, &a->c0.c1, &a->c1.c2);
    fp2_triple_minus_double(&a->c0.c1, &x, &a->c0.c1);
    fp2_triple_plus_double(&a->c1.c2, &y, &a->c1.c2);
    fp2_multiply_by_xi(&y2, &y2);
    fp2_triple_plus_double(&a->c1.c0, &y2, &a->c1.c0);
    fp2_triple_minus_double(&a->c0.c2, &x2, &a->c0.c2);
}

#endif
