/* Integers modulo n, the order of secp256k1, and the split of a scalar by the endomorphism. */
#ifndef GHOST_SECP256K1_SCALAR_H
#define GHOST_SECP256K1_SCALAR_H

#include "../common/u256.h"

static const u256 GROUP_ORDER = {
    {0xbfd25e8cd0364141ULL, 0xbaaedce6af48a03bULL, 0xfffffffffffffffeULL, 0xffffffffffffffffULL}};

/* A scalar k of either sign below 2^130 in size. */
typedef struct split_half {
    uint64_t limbs[3]; /* |k|, least significant first */
    bool negative;
} split_half;

/* a * b / 2^256 mod n, the Montgomery product. a or b below n gives a result below n. */
u256 scalar_montgomery(const u256 *a, const u256 *b);

/* Sets inverses[i] = 2^256 / values[i] mod n, so that scalar_montgomery(&inverses[i], &x) is
 * x / values[i]. values are in [1, n). Cost: one inversion, and three products each. */
void scalar_inverses(u256 *inverses, const u256 *values, size_t count);

/* n - a for a in [0, n); 0 for 0. */
u256 scalar_negate(const u256 *a);

/* Writes k1, k2 with k = k1 + k2 * lambda mod n, both below 2^128 in size (Gallant, Lambert and
 * Vanstone, Crypto 2001; lattice by Hankerson, Menezes and Vanstone, algorithm 3.74). */
void scalar_split(split_half *k1, split_half *k2, const u256 *k);

/* An odd number k as 130 signs: k is the sum of (2 b_i - 1) 2^i over bits b_i. A digit cut out of
 * the bits, v of width w, stands for 2 v - (2^w - 1): odd, so never zero. */
typedef struct sign_bits {
    uint64_t words[3];
} sign_bits;

/* Writes odd k1, k2 with k = k1 + k2 * lambda mod n. */
void scalar_split_signs(sign_bits *k1, sign_bits *k2, const u256 *k);

/* Writes odd low, high with k = low + 2^130 * high mod n. */
void scalar_generator_signs(sign_bits *low, sign_bits *high, const u256 *k);

#endif
