/* Ed25519 verification (RFC 8032) in batches, by the strict rule of ghostchain/crypto/ed25519.py:
 * A and R are canonical encodings of points of prime order, S is below the order of the group,
 * and S B = R + k A. Verification only: nothing here is constant-time, nothing touches a secret. */
#ifndef GHOST_ED25519_H
#define GHOST_ED25519_H

#include "../common/common.h"

/* Out: points, x and y of each key, 32 bytes each, little-endian; ok[0..count), 0 where the 32
 * bytes of a key are not the canonical encoding of a point of prime order, whose point is then
 * undefined. */
void ghost_ed25519_decode_batch(uint8_t *ok, uint8_t *points, const uint8_t *keys, size_t count);

/* Out: ok[0..count), 1 where the signature holds. signatures: 64 bytes each. keys: 32 bytes each,
 * all of prime order; points: 64 bytes each, as decoded above. messages: one
 * after the other, of these lengths. weights: 16 bytes each that nobody can foresee who made a
 * signature; whether a set of signatures holds is decided by one sum with these weights (their
 * lowest bits are set), and a set that does not is halved. A single one is decided exactly, a set
 * wrongly with a chance of 2^-127.
 *
 * Returns GHOST_OK or GHOST_OUT_OF_MEMORY; then ok is undefined. */
int ghost_ed25519_verify_batch(uint8_t *ok, const uint8_t *signatures, const uint8_t *keys,
                               const uint8_t *points, const uint8_t *messages,
                               const uint32_t *lengths, const uint8_t *weights, size_t count);

/* The proofs of ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381), by the rule of ghostchain/crypto/vrf.py.
 *
 * Out: ok[0..count), 1 where the proof holds; outputs, 64 bytes each, undefined where it does not.
 * keys: 32 bytes each; points: 64 bytes of the key and 64 of the proof's Gamma, each decoded as
 * above and of prime order. alphas: inputs one after the other, of these lengths. proofs: 80 bytes
 * each: Gamma, c, s. */
void ghost_vrf_verify_batch(uint8_t *ok, uint8_t *outputs, const uint8_t *keys,
                            const uint8_t *points, const uint8_t *alphas, const uint32_t *lengths,
                            const uint8_t *proofs, size_t count);

/* SIMD level in use: 0 portable, 1 AVX-512 IFMA; and the cap, as for keccak. */
int ghost_ed25519_level(void);
int ghost_ed25519_set_level(int level);

#endif
