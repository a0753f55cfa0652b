/* secp256k1 public-key recovery, in batches over all cores. Verification work only on public
 * data: nothing here is constant-time, nothing here touches a secret. */
#ifndef GHOST_SECP256K1_H
#define GHOST_SECP256K1_H

#include "../common/common.h"

/* One recovery. In: digest, r, s (big-endian), y_parity 0 or 1. Out: address (last 20 bytes of
 * keccak256 of the 64-byte public key) and public_key when ok = 1; ok = 0 when r or s is zero or
 * not below n, x = r is not on the curve, or the result is infinity. High s is accepted here:
 * the caller applies EIP-2 where it holds. */
typedef struct ghost_recovery {
    uint8_t digest[32];
    uint8_t r[32];
    uint8_t s[32];
    uint8_t y_parity;
    uint8_t ok;
    uint8_t address[20];
    uint8_t public_key[64];
} ghost_recovery;

/* Recovers items[0..count) with at most `threads` threads (0: one per core). */
void ghost_secp256k1_recover_batch(ghost_recovery *items, size_t count, unsigned threads);

/* SIMD level in use: 0 portable, 1 AVX-512 IFMA; and the cap, as for keccak. */
int ghost_secp256k1_level(void);
int ghost_secp256k1_set_level(int level);

#endif
