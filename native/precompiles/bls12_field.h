/* BLS12-381's base field, 381 bits in six limbs in Montgomery's form (x is kept as x * 2^384 mod
 * p, fully reduced), and the constants of its tower (tower.h), where xi = 1 + i. Included after
 * setting GHOST_FIELD_ADX as for field4.h. Not constant-time: public data only. */
#ifndef GHOST_PRECOMPILES_BLS12_FIELD_H
#define GHOST_PRECOMPILES_BLS12_FIELD_H

#include "../common/u256.h"
#include "carry.h"

enum { FP_LIMBS = 6, FP_BYTES = 48 };

typedef struct fp {
    uint64_t limbs[FP_LIMBS];
} fp;

typedef struct fp2 {
    fp c0, c1; /* c0 + c1 i */
} fp2;

/* p = (x - 1)^2 (x^4 - x^2 + 1) / 3 + x for the curve's parameter x = -0xd201000000010000. */
static const fp field_modulus = {
    {0xb9feffffffffaaab, 0x1eabfffeb153ffff, 0x6730d2a0f6b0f624,
     0x64774b84f38512bf, 0x4b1ba7b6434bacd7, 0x1a0111ea397fe69a}};
static const uint64_t field_negative_inverse = 0x89f3fffcfffcfffd;
/* 2^384 and 2^768 mod p. */
static const fp field_one = {
    {0x760900000002fffd, 0xebf4000bc40c0002, 0x5f48985753c758ba,
     0x77ce585370525745, 0x5c071a97a256ec6d, 0x15f65ec3fa80e493}};
static const fp field_r_squared = {
    {0xf4df1f341c341746, 0x0a76e6a609d104f1, 0x8de5476c4c95b6d5,
     0x67eb88a9939d83c0, 0x9a793e85b519952d, 0x11988fe592cae3aa}};
/* (p + 1) / 4 and (p - 1) / 2, plain. */
static const fp root_exponent = {
    {0xee7fbfffffffeaab, 0x07aaffffac54ffff, 0xd9cc34a83dac3d89,
     0xd91dd2e13ce144af, 0x92c6e9ed90d2eb35, 0x0680447a8e5ff9a6}};
static const fp half_of_modulus = {
    {0xdcff7fffffffd555, 0x0f55ffff58a9ffff, 0xb39869507b587b12,
     0xb23ba5c279c2895f, 0x258dd3db21a5d66b, 0x0d0088f51cbff34d}};

/* xi^(k (p - 1) / 6), for k = 1 to 5: what the Frobenius map multiplies w^k by. */
static const fp2 frobenius_factors[5] = {
    {{{0x07089552b319d465, 0xc6695f92b50a8313, 0x97e83cccd117228f,
       0xa35baecab2dc29ee, 0x1ce393ea5daace4d, 0x08f2220fb0fb66eb}},
     {{0xb2f66aad4ce5d646, 0x5842a06bfc497cec, 0xcf4895d42599d394,
       0xc11b9cba40a8e8d0, 0x2e3813cbe5a0de89, 0x110eefda88847faf}}},
    {{{0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
       0x0000000000000000, 0x0000000000000000, 0x0000000000000000}},
     {{0xcd03c9e48671f071, 0x5dab22461fcda5d2, 0x587042afd3851b95,
       0x8eb60ebe01bacb9e, 0x03f97d6e83d050d2, 0x18f0206554638741}}},
    {{{0x7bcfa7a25aa30fda, 0xdc17dec12a927e7c, 0x2f088dd86b4ebef1,
       0xd1ca2087da74d4a7, 0x2da2596696cebc1d, 0x0e2b7eedbbfd87d2}},
     {{0x7bcfa7a25aa30fda, 0xdc17dec12a927e7c, 0x2f088dd86b4ebef1,
       0xd1ca2087da74d4a7, 0x2da2596696cebc1d, 0x0e2b7eedbbfd87d2}}},
    {{{0x890dc9e4867545c3, 0x2af322533285a5d5, 0x50880866309b7e2c,
       0xa20d1b8c7e881024, 0x14e4f04fe2db9068, 0x14e56d3f1564853a}},
     {{0x0000000000000000, 0x0000000000000000, 0x0000000000000000,
       0x0000000000000000, 0x0000000000000000, 0x0000000000000000}}},
    {{{0x82d83cf50dbce43f, 0xa2813e53df9d018f, 0xc6f0caa53c65e181,
       0x7525cf528d50fe95, 0x4a85ed50f4798a6b, 0x171da0fd6cf8eebd}},
     {{0x3726c30af242c66c, 0x7c2ac1aad1b6fe70, 0xa04007fbba4b14a2,
       0xef517c3266341429, 0x0095ba654ed2226b, 0x02e370eccc86f7dd}}},
};

/* xi^(k (p^2 - 1) / 6), the same for the map's square; these are in Fp. */
static const fp frobenius_square_factors[5] = {
    {{0xecfb361b798dba3a, 0xc100ddb891865a2c, 0x0ec08ff1232bda8e,
      0xd5c13cc6f1ca4721, 0x47222a47bf7b5c04, 0x0110f184e51c5f59}},
    {{0x30f1361b798a64e8, 0xf3b8ddab7ece5a2a, 0x16a8ca3ac61577f7,
      0xc26a2ff874fd029b, 0x3636b76660701c6e, 0x051ba4ab241b6160}},
    {{0x43f5fffffffcaaae, 0x32b7fff2ed47fffd, 0x07e83a49a2e99d69,
      0xeca8f3318332bb7a, 0xef148d1ea0f4c069, 0x040ab3263eff0206}},
    {{0xcd03c9e48671f071, 0x5dab22461fcda5d2, 0x587042afd3851b95,
      0x8eb60ebe01bacb9e, 0x03f97d6e83d050d2, 0x18f0206554638741}},
    {{0x890dc9e4867545c3, 0x2af322533285a5d5, 0x50880866309b7e2c,
      0xa20d1b8c7e881024, 0x14e4f04fe2db9068, 0x14e56d3f1564853a}},
};

/* ---- Fp ---- */

/* out = t mod p for t below 2p. */
ALWAYS_INLINE void fp_reduce_once(fp *out, const uint64_t t[6]) {
    uint64_t r0, r1, r2, r3, r4, r5;
    const uint64_t *p = field_modulus.limbs;
    uint8_t borrow = sub_borrow(0, t[0], p[0], &r0);
    borrow = sub_borrow(borrow, t[1], p[1], &r1);
    borrow = sub_borrow(borrow, t[2], p[2], &r2);
    borrow = sub_borrow(borrow, t[3], p[3], &r3);
    borrow = sub_borrow(borrow, t[4], p[4], &r4);
    borrow = sub_borrow(borrow, t[5], p[5], &r5);
    out->limbs[0] = borrow ? t[0] : r0;
    out->limbs[1] = borrow ? t[1] : r1;
    out->limbs[2] = borrow ? t[2] : r2;
    out->limbs[3] = borrow ? t[3] : r3;
    out->limbs[4] = borrow ? t[4] : r4;
    out->limbs[5] = borrow ? t[5] : r5;
}

ALWAYS_INLINE void fp_add(fp *out, const fp *a, const fp *b) {
    uint64_t t[6];
    uint8_t carry = add_carry(0, a->limbs[0], b->limbs[0], &t[0]);
    carry = add_carry(carry, a->limbs[1], b->limbs[1], &t[1]);
    carry = add_carry(carry, a->limbs[2], b->limbs[2], &t[2]);
    carry = add_carry(carry, a->limbs[3], b->limbs[3], &t[3]);
    carry = add_carry(carry, a->limbs[4], b->limbs[4], &t[4]);
    add_carry(carry, a->limbs[5], b->limbs[5], &t[5]);
    fp_reduce_once(out, t);
}

ALWAYS_INLINE void fp_sub(fp *out, const fp *a, const fp *b) {
    uint64_t t[6];
    const uint64_t *p = field_modulus.limbs;
    uint8_t borrow = sub_borrow(0, a->limbs[0], b->limbs[0], &t[0]);
    borrow = sub_borrow(borrow, a->limbs[1], b->limbs[1], &t[1]);
    borrow = sub_borrow(borrow, a->limbs[2], b->limbs[2], &t[2]);
    borrow = sub_borrow(borrow, a->limbs[3], b->limbs[3], &t[3]);
    borrow = sub_borrow(borrow, a->limbs[4], b->limbs[4], &t[4]);
    borrow = sub_borrow(borrow, a->limbs[5], b->limbs[5], &t[5]);
    uint64_t mask = (uint64_t)0 - (uint64_t)borrow;
    uint8_t carry = add_carry(0, t[0], p[0] & mask, &out->limbs[0]);
    carry = add_carry(carry, t[1], p[1] & mask, &out->limbs[1]);
    carry = add_carry(carry, t[2], p[2] & mask, &out->limbs[2]);
    carry = add_carry(carry, t[3], p[3] & mask, &out->limbs[3]);
    carry = add_carry(carry, t[4], p[4] & mask, &out->limbs[4]);
    add_carry(carry, t[5], p[5] & mask, &out->limbs[5]);
}

static inline void fp_double(fp *out, const fp *a) {
    fp_add(out, a, a);
}

static inline void fp_negate(fp *out, const fp *a) {
    const fp zero = {{0}};
    fp_sub(out, &zero, a);
}

#if GHOST_FIELD_ADX && defined(__OPTIMIZE__) /* unoptimised, registers run out */

/* As in field4.h: rows of a's limbs times b, each followed by a reduction by one limb. */
#define FP_ROW_FIRST                                                                            \
    "movq 0(%[a]), %%rdx\n\t xorl %k[zero], %k[zero]\n\t"                                       \
    "mulxq 0(%[b]), %[t0], %[t1]\n\t"                                                           \
    "mulxq 8(%[b]), %[low], %[t2]\n\t adcxq %[low], %[t1]\n\t"                                  \
    "mulxq 16(%[b]), %[low], %[t3]\n\t adcxq %[low], %[t2]\n\t"                                 \
    "mulxq 24(%[b]), %[low], %[t4]\n\t adcxq %[low], %[t3]\n\t"                                 \
    "mulxq 32(%[b]), %[low], %[t5]\n\t adcxq %[low], %[t4]\n\t"                                 \
    "mulxq 40(%[b]), %[low], %[t6]\n\t adcxq %[low], %[t5]\n\t adcxq %[zero], %[t6]\n\t"
#define FP_ROW_STEP(offset, here, next)                                                         \
    "mulxq " #offset "(%[b]), %[low], %[high]\n\t adcxq %[low], %[" #here "]\n\t"               \
    "adoxq %[high], %[" #next "]\n\t"
#define FP_ROW(offset)                                                                          \
    "movq " #offset "(%[a]), %%rdx\n\t xorl %k[zero], %k[zero]\n\t"                             \
    FP_ROW_STEP(0, t0, t1) FP_ROW_STEP(8, t1, t2) FP_ROW_STEP(16, t2, t3)                       \
    FP_ROW_STEP(24, t3, t4) FP_ROW_STEP(32, t4, t5)                                             \
    "mulxq 40(%[b]), %[low], %[t6]\n\t adcxq %[low], %[t5]\n\t adoxq %[zero], %[t6]\n\t"        \
    "adcxq %[zero], %[t6]\n\t"
#define FP_REDUCE_STEP(modulus, here, before)                                                   \
    "adcxq %[" #here "], %[" #before "]\n\t mulxq %[" #modulus "], %[low], %[" #here "]\n\t"    \
    "adoxq %[low], %[" #before "]\n\t"
#define FP_REDUCE                                                                               \
    "movq %[inverse], %%rdx\n\t imulq %[t0], %%rdx\n\t xorl %k[zero], %k[zero]\n\t"             \
    "mulxq %[p0], %[low], %[high]\n\t adcxq %[t0], %[low]\n\t movq %[high], %[t0]\n\t"          \
    FP_REDUCE_STEP(p1, t1, t0) FP_REDUCE_STEP(p2, t2, t1) FP_REDUCE_STEP(p3, t3, t2)            \
    FP_REDUCE_STEP(p4, t4, t3) FP_REDUCE_STEP(p5, t5, t4)                                       \
    "adcxq %[zero], %[t5]\n\t adoxq %[t6], %[t5]\n\t"

ALWAYS_INLINE void fp_multiply_inline(fp *out, const fp *a, const fp *b) {
    uint64_t t0, t1, t2, t3, t4, t5, t6, low, high, zero;
    const uint64_t *p = field_modulus.limbs;
    __asm__(FP_ROW_FIRST FP_REDUCE FP_ROW(8) FP_REDUCE FP_ROW(16) FP_REDUCE FP_ROW(24) FP_REDUCE
            FP_ROW(32) FP_REDUCE FP_ROW(40) FP_REDUCE
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4),
              [t5] "=&r"(t5), [t6] "=&r"(t6), [low] "=&r"(low), [high] "=&r"(high),
              [zero] "=&r"(zero)
            : [a] "r"(a), [b] "r"(b), [p0] "m"(p[0]), [p1] "m"(p[1]), [p2] "m"(p[2]),
              [p3] "m"(p[3]), [p4] "m"(p[4]), [p5] "m"(p[5]),
              [inverse] "m"(field_negative_inverse), "m"(*a), "m"(*b)
            : "rdx", "cc");
    const uint64_t t[6] = {t0, t1, t2, t3, t4, t5};
    fp_reduce_once(out, t);
}

#else

/* t += a * b over six limbs; returns the carry limb. */
ALWAYS_INLINE uint64_t fp_multiply_row(uint64_t t[6], uint64_t a, const fp *b) {
    uint64_t carry = 0;
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        u128 sum = (u128)a * b->limbs[j] + t[j] + carry;
        t[j] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

ALWAYS_INLINE void fp_multiply_inline(fp *out, const fp *a, const fp *b) {
    uint64_t t[6] = {0};
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) {
        uint64_t top = fp_multiply_row(t, a->limbs[i], b);
        top += fp_multiply_row(t, t[0] * field_negative_inverse, &field_modulus);
#pragma GCC unroll 5
        for (int j = 0; j < 5; j++) t[j] = t[j + 1];
        t[5] = top;
    }
    fp_reduce_once(out, t);
}

#endif

/* out = a * b / 2^384 mod p. */
static __attribute__((noinline)) void fp_multiply(fp *out, const fp *a, const fp *b) {
    fp_multiply_inline(out, a, b);
}

static inline void fp_square(fp *out, const fp *a) {
    fp_multiply(out, a, a);
}

static inline bool fp_is_zero(const fp *a) {
    const uint64_t *x = a->limbs;
    return (x[0] | x[1] | x[2] | x[3] | x[4] | x[5]) == 0;
}

static inline bool fp_equal(const fp *a, const fp *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static inline fp fp_one(void) {
    return field_one;
}

static inline void fp_leave(fp *plain, const fp *a) {
    const fp one = {{1}};
    fp_multiply(plain, a, &one);
}

/* a <= b as plain numbers. */
static bool fp_plain_at_most(const fp *a, const fp *b) {
    for (int i = FP_LIMBS; i-- != 0;) {
        if (a->limbs[i] != b->limbs[i]) return a->limbs[i] < b->limbs[i];
    }
    return true;
}

/* out = 1 / a, 0 for 0. */
static void fp_invert(fp *out, const fp *a) {
    fp inverse;
    ghost_limbs_invert(inverse.limbs, a->limbs, field_modulus.limbs, FP_LIMBS);
    fp_multiply(&inverse, &inverse, &field_r_squared);
    fp_multiply(out, &inverse, &field_r_squared);
}

/* out = a^exponent, four bits at a time. */
static void fp_power(fp *out, const fp *a, const fp *exponent) {
    fp table[16], power = field_one;
    table[0] = field_one;
    for (int i = 1; i < 16; i++) fp_multiply(&table[i], &table[i - 1], a);
    for (int digit = 16 * FP_LIMBS; digit-- != 0;) {
        for (int i = 0; i < 4; i++) fp_square(&power, &power);
        fp_multiply(&power, &power, &table[exponent->limbs[digit / 16] >> (digit % 16 * 4) & 15]);
    }
    *out = power;
}

/* Sets root to a square root of a and returns true, or returns false when a has none. p is 3
 * modulo 4. root must not be a. */
static bool fp_square_root(fp *root, const fp *a) {
    fp square;
    fp_power(root, a, &root_exponent);
    fp_square(&square, root);
    return fp_equal(&square, a);
}

/* RFC 9380, 4.1: the lowest bit of the plain number. */
static bool fp_sign(const fp *a) {
    fp plain;
    fp_leave(&plain, a);
    return plain.limbs[0] & 1;
}

/* The 48 big-endian bytes of a number below p; false when it is not. */
static bool fp_decode(fp *out, const uint8_t bytes[FP_BYTES]) {
    fp plain;
    for (int i = 0; i < FP_LIMBS; i++) plain.limbs[i] = load_be64(bytes + 40 - 8 * i);
    fp_multiply(out, &plain, &field_r_squared);
    return !fp_plain_at_most(&field_modulus, &plain);
}

static void fp_encode(uint8_t bytes[FP_BYTES], const fp *a) {
    fp plain;
    fp_leave(&plain, a);
    for (int i = 0; i < FP_LIMBS; i++) store_be64(bytes + 40 - 8 * i, plain.limbs[i]);
}

/* out = a: xi is 1 + i. */
static inline void fp_multiply_by_xi_real(fp *out, const fp *a) {
    *out = *a;
}

#endif
