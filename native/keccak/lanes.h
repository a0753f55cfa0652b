/* The multi-buffer permutations behind ghost_keccak256_batch: one message a lane. */
#ifndef GHOST_KECCAK_LANES_H
#define GHOST_KECCAK_LANES_H

#include <stdint.h>

enum { KECCAK_RATE = 136, KECCAK_LANES_MAX = 8 };

/* Word i of lane l stands at words[i * lanes + l]. */
typedef struct keccak_lanes {
    uint64_t words[25 * KECCAK_LANES_MAX];
} __attribute__((aligned(64))) keccak_lanes;

/* One step of every lane: a lane whose bit is set in fresh starts from the zero state; the
 * KECCAK_RATE bytes at blocks[lane] are absorbed (any alignment) and the state is permuted. */
typedef void keccak_step(keccak_lanes *state, const uint8_t *const *blocks, unsigned fresh);

#if defined(__x86_64__)
void ghost_keccak_step_avx2(keccak_lanes *state, const uint8_t *const *blocks, unsigned fresh);
void ghost_keccak_step_avx512(keccak_lanes *state, const uint8_t *const *blocks, unsigned fresh);
#endif

#endif
