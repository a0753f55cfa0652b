/* What the fixed-length fields share: limbs added with carry, and inversion. For C only. */
#ifndef GHOST_PRECOMPILES_CARRY_H
#define GHOST_PRECOMPILES_CARRY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef unsigned __int128 u128;

/* out = a^-1 mod m for odd m and a below m, both plain numbers of `count` limbs, 4 or 6; 0 for
 * a = 0. out may be a. */
void ghost_limbs_invert(uint64_t *out, const uint64_t *a, const uint64_t *m, int count);

/* Additions with carry as the CPU has them. Written out limb by limb: loops over four limbs get
 * vectorised, and the scalar loads that follow then wait for the vector stores. */
#if defined(__x86_64__)
ALWAYS_INLINE uint8_t add_carry(uint8_t carry, uint64_t a, uint64_t b, uint64_t *out) {
    unsigned long long sum;
    carry = _addcarry_u64(carry, a, b, &sum);
    *out = sum;
    return carry;
}

ALWAYS_INLINE uint8_t sub_borrow(uint8_t borrow, uint64_t a, uint64_t b, uint64_t *out) {
    unsigned long long difference;
    borrow = _subborrow_u64(borrow, a, b, &difference);
    *out = difference;
    return borrow;
}
#else
ALWAYS_INLINE uint8_t add_carry(uint8_t carry, uint64_t a, uint64_t b, uint64_t *out) {
    u128 sum = (u128)a + b + carry;
    *out = (uint64_t)sum;
    return (uint8_t)(sum >> 64);
}

ALWAYS_INLINE uint8_t sub_borrow(uint8_t borrow, uint64_t a, uint64_t b, uint64_t *out) {
    u128 difference = (u128)a - b - borrow;
    *out = (uint64_t)difference;
    return (uint8_t)(difference >> 64) & 1;
}
#endif

#endif
