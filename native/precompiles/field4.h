/* Prime fields of 254 to 256 bits in Montgomery's form: an element x is kept as x * 2^256 mod p,
 * fully reduced. Inline, for C only; include it after setting GHOST_FIELD_ADX to 1 to have the
 * multiplication of CPUs with MULX, ADCX and ADOX, to 0 for the portable one.
 *
 * Every function takes the field as a constant that the compiler sees through, and allows its
 * output to be an operand. Nothing here is constant-time: public data only. */
#ifndef GHOST_PRECOMPILES_FIELD4_H
#define GHOST_PRECOMPILES_FIELD4_H

#include "../common/u256.h"
#include "carry.h"

typedef struct field4 {
    u256 modulus;
    u256 one;                  /* 2^256 mod p */
    u256 r_squared;            /* 2^512 mod p */
    uint64_t negative_inverse; /* -p^-1 mod 2^64 */
    bool has_spare_bit;        /* p < 2^255: sums of two elements fit four limbs. Otherwise p is
                                * below 2^256 - 2^223, which field_multiply relies on. */
} field4;

/* out = t mod p for t = carry * 2^256 + t0..t3 below 2p. */
ALWAYS_INLINE void field_reduce_once(u256 *out, uint64_t t0, uint64_t t1, uint64_t t2,
                                     uint64_t t3, uint64_t carry, const field4 *f) {
    uint64_t r0, r1, r2, r3;
    const uint64_t *p = f->modulus.limbs;
    uint8_t borrow = sub_borrow(0, t0, p[0], &r0);
    borrow = sub_borrow(borrow, t1, p[1], &r1);
    borrow = sub_borrow(borrow, t2, p[2], &r2);
    borrow = sub_borrow(borrow, t3, p[3], &r3);
    bool keep = borrow > carry;
    out->limbs[0] = keep ? t0 : r0;
    out->limbs[1] = keep ? t1 : r1;
    out->limbs[2] = keep ? t2 : r2;
    out->limbs[3] = keep ? t3 : r3;
}

ALWAYS_INLINE void field_add(u256 *out, const u256 *a, const u256 *b, const field4 *f) {
    uint64_t t0, t1, t2, t3;
    uint8_t carry = add_carry(0, a->limbs[0], b->limbs[0], &t0);
    carry = add_carry(carry, a->limbs[1], b->limbs[1], &t1);
    carry = add_carry(carry, a->limbs[2], b->limbs[2], &t2);
    carry = add_carry(carry, a->limbs[3], b->limbs[3], &t3);
    field_reduce_once(out, t0, t1, t2, t3, f->has_spare_bit ? 0 : carry, f);
}

ALWAYS_INLINE void field_sub(u256 *out, const u256 *a, const u256 *b, const field4 *f) {
    uint64_t t0, t1, t2, t3;
    const uint64_t *p = f->modulus.limbs;
    uint8_t borrow = sub_borrow(0, a->limbs[0], b->limbs[0], &t0);
    borrow = sub_borrow(borrow, a->limbs[1], b->limbs[1], &t1);
    borrow = sub_borrow(borrow, a->limbs[2], b->limbs[2], &t2);
    borrow = sub_borrow(borrow, a->limbs[3], b->limbs[3], &t3);
    uint64_t mask = (uint64_t)0 - (uint64_t)borrow;
    uint8_t carry = add_carry(0, t0, p[0] & mask, &out->limbs[0]);
    carry = add_carry(carry, t1, p[1] & mask, &out->limbs[1]);
    carry = add_carry(carry, t2, p[2] & mask, &out->limbs[2]);
    add_carry(carry, t3, p[3] & mask, &out->limbs[3]);
}

ALWAYS_INLINE void field_double(u256 *out, const u256 *a, const field4 *f) {
    field_add(out, a, a, f);
}

ALWAYS_INLINE void field_negate(u256 *out, const u256 *a, const field4 *f) {
    const u256 zero = {{0}};
    field_sub(out, &zero, a, f);
}

#if GHOST_FIELD_ADX && defined(__OPTIMIZE__) /* unoptimised, registers run out */

/* t0..t3 (and t4 as a fifth limb) += limb of a times b: low halves on the carry chain, high
 * halves on the overflow chain. The first row starts from nothing. */
#define FIELD_ROW_FIRST                                                                         \
    "movq 0(%[a]), %%rdx\n\t xorl %k[zero], %k[zero]\n\t"                                       \
    "mulxq 0(%[b]), %[t0], %[t1]\n\t"                                                           \
    "mulxq 8(%[b]), %[low], %[t2]\n\t adcxq %[low], %[t1]\n\t"                                  \
    "mulxq 16(%[b]), %[low], %[t3]\n\t adcxq %[low], %[t2]\n\t"                                 \
    "mulxq 24(%[b]), %[low], %[t4]\n\t adcxq %[low], %[t3]\n\t adcxq %[zero], %[t4]\n\t"
#define FIELD_ROW_START(offset)                                                                 \
    "movq " #offset "(%[a]), %%rdx\n\t xorl %k[zero], %k[zero]\n\t"                             \
    "mulxq 0(%[b]), %[low], %[high]\n\t adcxq %[low], %[t0]\n\t adoxq %[high], %[t1]\n\t"       \
    "mulxq 8(%[b]), %[low], %[high]\n\t adcxq %[low], %[t1]\n\t adoxq %[high], %[t2]\n\t"       \
    "mulxq 16(%[b]), %[low], %[high]\n\t adcxq %[low], %[t2]\n\t adoxq %[high], %[t3]\n\t"
#define FIELD_ROW_SPARE(offset)                                                                 \
    FIELD_ROW_START(offset)                                                                     \
    "mulxq 24(%[b]), %[low], %[t4]\n\t adcxq %[low], %[t3]\n\t adoxq %[zero], %[t4]\n\t"        \
    "adcxq %[zero], %[t4]\n\t"
#define FIELD_ROW_FULL(offset)                                                                  \
    FIELD_ROW_START(offset)                                                                     \
    "mulxq 24(%[b]), %[low], %[high]\n\t adcxq %[low], %[t3]\n\t adoxq %[high], %[t4]\n\t"      \
    "adcxq %[zero], %[t4]\n\t"
/* t = (t + q * p) / 2^64 with the q that makes the lowest limb zero. */
#define FIELD_REDUCE                                                                            \
    "movq %[inverse], %%rdx\n\t imulq %[t0], %%rdx\n\t xorl %k[zero], %k[zero]\n\t"             \
    "mulxq 0(%[p]), %[low], %[high]\n\t adcxq %[t0], %[low]\n\t movq %[high], %[t0]\n\t"        \
    "adcxq %[t1], %[t0]\n\t mulxq 8(%[p]), %[low], %[t1]\n\t adoxq %[low], %[t0]\n\t"           \
    "adcxq %[t2], %[t1]\n\t mulxq 16(%[p]), %[low], %[t2]\n\t adoxq %[low], %[t1]\n\t"          \
    "adcxq %[t3], %[t2]\n\t mulxq 24(%[p]), %[low], %[t3]\n\t adoxq %[low], %[t2]\n\t"          \
    "adcxq %[zero], %[t3]\n\t adoxq %[t4], %[t3]\n\t"
#define FIELD_REDUCE_FULL FIELD_REDUCE "movl $0, %k[t4]\n\t adoxq %[zero], %[t4]\n\t"

#define FIELD_OPERANDS                                                                          \
    : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [t4] "=&r"(t4),           \
      [low] "=&r"(low), [high] "=&r"(high), [zero] "=&r"(zero)                                  \
    : [a] "r"(a), [b] "r"(b), [p] "r"(&f->modulus), [inverse] "m"(f->negative_inverse),         \
      "m"(*a), "m"(*b), "m"(f->modulus)                                                         \
    : "rdx", "cc"

/* out = a * b / 2^256 mod p. One operand may be unreduced if it is a: the result is below 2p
 * before the last subtraction whenever b is below p. */
ALWAYS_INLINE void field_multiply(u256 *out, const u256 *a, const u256 *b, const field4 *f) {
    uint64_t t0, t1, t2, t3, t4, low, high, zero;
    if (f->has_spare_bit) {
        __asm__(FIELD_ROW_FIRST FIELD_REDUCE FIELD_ROW_SPARE(8) FIELD_REDUCE
                FIELD_ROW_SPARE(16) FIELD_REDUCE FIELD_ROW_SPARE(24) FIELD_REDUCE
                FIELD_OPERANDS);
        t4 = 0;
    } else {
        __asm__(FIELD_ROW_FIRST FIELD_REDUCE_FULL FIELD_ROW_FULL(8) FIELD_REDUCE_FULL
                FIELD_ROW_FULL(16) FIELD_REDUCE_FULL FIELD_ROW_FULL(24) FIELD_REDUCE_FULL
                FIELD_OPERANDS);
    }
    field_reduce_once(out, t0, t1, t2, t3, t4, f);
}

#else

/* t += a * b over four limbs; returns the carry limb. */
ALWAYS_INLINE uint64_t multiply_row(uint64_t t[4], uint64_t a, const u256 *b) {
    uint64_t carry = 0;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        u128 sum = (u128)a * b->limbs[j] + t[j] + carry;
        t[j] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

/* out = a * b / 2^256 mod p. One operand may be unreduced if it is a: the result is below 2p
 * before the last subtraction whenever b is below p. */
ALWAYS_INLINE void field_multiply(u256 *out, const u256 *a, const u256 *b, const field4 *f) {
    uint64_t t[4] = {0}, top = 0;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        u128 sum = (u128)top + multiply_row(t, a->limbs[i], b);
        sum += multiply_row(t, t[0] * f->negative_inverse, &f->modulus);
        t[0] = t[1];
        t[1] = t[2];
        t[2] = t[3];
        t[3] = (uint64_t)sum;
        top = f->has_spare_bit ? 0 : (uint64_t)(sum >> 64);
    }
    field_reduce_once(out, t[0], t[1], t[2], t[3], top, f);
}

#endif

ALWAYS_INLINE void field_square(u256 *out, const u256 *a, const field4 *f) {
    field_multiply(out, a, a, f);
}

ALWAYS_INLINE void field_enter(u256 *out, const u256 *plain, const field4 *f) {
    field_multiply(out, plain, &f->r_squared, f);
}

ALWAYS_INLINE void field_leave(u256 *plain, const u256 *a, const field4 *f) {
    const u256 one = {{1, 0, 0, 0}};
    field_multiply(plain, a, &one, f);
}

/* out = 1 / a, 0 for 0. (a * 2^256)^-1 lacks the factor 2^512, which is entered twice. */
ALWAYS_INLINE void field_invert(u256 *out, const u256 *a, const field4 *f) {
    u256 inverse;
    ghost_limbs_invert(inverse.limbs, a->limbs, f->modulus.limbs, 4);
    field_enter(&inverse, &inverse, f);
    field_enter(out, &inverse, f);
}

#endif
