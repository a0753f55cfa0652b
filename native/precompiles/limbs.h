/* Rows of 64-bit limbs, least significant first: the loops under modexp. Inline, for C only.
 * Every function allows its output to be the operand of the same length. */
#ifndef GHOST_PRECOMPILES_LIMBS_H
#define GHOST_PRECOMPILES_LIMBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;

/* out = a + b; returns the carry. */
static inline uint64_t limbs_add(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t n) {
    unsigned long long carry = 0;
    for (size_t i = 0; i < n; i++) {
        u128 sum = (u128)a[i] + b[i] + carry;
        out[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

/* out = a - b; returns the borrow. */
static inline uint64_t limbs_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t n) {
    uint64_t borrow = 0;
    for (size_t i = 0; i < n; i++) {
        u128 difference = (u128)a[i] - b[i] - borrow;
        out[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

/* a < b. */
static inline bool limbs_less(const uint64_t *a, const uint64_t *b, size_t n) {
    for (size_t i = n; i-- != 0;) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

/* t += a * q; returns the carry limb. */
static inline uint64_t limbs_add_multiple(uint64_t *t, const uint64_t *a, size_t n, uint64_t q) {
    uint64_t carry = 0;
    for (size_t i = 0; i < n; i++) {
        u128 sum = (u128)a[i] * q + t[i] + carry;
        t[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

/* t -= a * q; returns the borrow limb. */
static inline uint64_t limbs_sub_multiple(uint64_t *t, const uint64_t *a, size_t n, uint64_t q) {
    uint64_t borrow = 0;
    for (size_t i = 0; i < n; i++) {
        u128 product = (u128)a[i] * q + borrow;
        uint64_t low = (uint64_t)product;
        borrow = (uint64_t)(product >> 64) + (t[i] < low);
        t[i] -= low;
    }
    return borrow;
}

/* out = a << bits, bits < 64; returns what fell out at the top. */
static inline uint64_t limbs_shift_left(uint64_t *out, const uint64_t *a, size_t n,
                                        unsigned bits) {
    if (bits == 0) {
        if (out != a) memmove(out, a, n * 8);
        return 0;
    }
    uint64_t carry = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t limb = a[i];
        out[i] = (limb << bits) | carry;
        carry = limb >> (64 - bits);
    }
    return carry;
}

/* out = a >> bits, bits < 64. */
static inline void limbs_shift_right(uint64_t *out, const uint64_t *a, size_t n, unsigned bits) {
    for (size_t i = 0; i < n; i++) {
        uint64_t above = i + 1 < n && bits != 0 ? a[i + 1] << (64 - bits) : 0;
        out[i] = (a[i] >> bits) | above;
    }
}

/* The number of limbs without leading zeros. */
static inline size_t limbs_significant(const uint64_t *a, size_t n) {
    while (n != 0 && a[n - 1] == 0) n--;
    return n;
}

/* -m^-1 mod 2^64 for odd m, by Newton: each step doubles the number of right bits (5 at first). */
static inline uint64_t limb_negative_inverse(uint64_t m) {
    uint64_t x = (3 * m) ^ 2;
    for (int i = 0; i < 4; i++) x *= 2 - m * x;
    return (uint64_t)0 - x;
}

#endif
