/* Inverses modulo the two primes of secp256k1. */
#ifndef GHOST_SECP256K1_INVERSE_H
#define GHOST_SECP256K1_INVERSE_H

#include "../common/u256.h"

/* An odd modulus above 2^255, and its inverse modulo 2^62. */
typedef struct modulus {
    u256 value;
    uint64_t inverse62;
} modulus;

/* 1 / a modulo the prime m, for a in [0, m); 0 for 0. Takes a time that depends on a. Cost: about
 * 1.2 microseconds. (Bernstein and Yang, "Fast constant-time gcd computation and modular
 * inversion", TCHES 2019; here without the constant time.) */
u256 modular_inverse(const u256 *a, const modulus *m);

#endif
