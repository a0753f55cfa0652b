/* Keccak-256 as Ethereum uses it (rate 136, padding 0x01): one message, or many at once. */
#ifndef GHOST_KECCAK_H
#define GHOST_KECCAK_H

#include "../common/common.h"

/* Writes the 32-byte digest of data[0..length). Cost: one permutation per 136 bytes. */
void ghost_keccak256(uint8_t digest[32], const uint8_t *data, size_t length);

/* Hashes count messages, message i being data[offsets[i]..offsets[i + 1]). offsets has count + 1
 * entries. digests receives count * 32 bytes. Runs 8 (AVX-512), 4 (AVX2) or 1 message a
 * permutation; equal results on every path. */
void ghost_keccak256_batch(uint8_t *digests, const uint8_t *data, const size_t *offsets,
                           size_t count);

/* The same over scattered messages. */
void ghost_keccak256_views(uint8_t *digests, const ghost_view *messages, size_t count);

/* SIMD level in use: 0 portable, 1 AVX2, 2 AVX-512. */
int ghost_keccak_level(void);

/* Caps the SIMD level for tests and benchmarks (clamped to what the CPU has). Returns the level
 * now in use. Not for use while other threads hash. */
int ghost_keccak_set_level(int level);

#endif
