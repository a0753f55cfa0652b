/* BN254's base field and the constants of its tower (tower.h), where xi = 9 + i. Included once for
 * each multiplication of field4.h. */
#ifndef GHOST_PRECOMPILES_BN254_FIELD_H
#define GHOST_PRECOMPILES_BN254_FIELD_H

#include "field4.h"

typedef u256 fp;

typedef struct fp2 {
    fp c0, c1; /* c0 + c1 i */
} fp2;

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

ALWAYS_INLINE void fp_multiply_inline(fp *out, const fp *a, const fp *b) {
    field_multiply(out, a, b, &base_field);
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

static inline bool fp_equal(const fp *a, const fp *b) {
    return u256_equal(a, b);
}

static inline fp fp_one(void) {
    return base_field.one;
}

static inline void fp_invert(fp *out, const fp *a) {
    field_invert(out, a, &base_field);
}

/* out = 9 a, for the multiplication by xi. */
static inline void fp_multiply_by_xi_real(fp *out, const fp *a) {
    fp t;
    fp_double(&t, a);
    fp_double(&t, &t);
    fp_double(&t, &t);
    fp_add(out, &t, a);
}

#endif
