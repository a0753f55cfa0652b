/* The precompiled contracts 0x01-0x11 and 0x100. Pure functions of fork, input and gas. */
#ifndef GHOST_PRECOMPILES_H
#define GHOST_PRECOMPILES_H

#include "../common/common.h"

/* What a precompile did. output is owned by the caller of ghost_precompile_run and is freed with
 * free(); NULL when output_length is 0. */
typedef struct ghost_precompile_result {
    uint8_t success;          /* 0: the call fails and takes all its gas */
    uint8_t lacks_gas;        /* it failed for its price alone */
    uint64_t gas_left;
    uint8_t *output;
    size_t output_length;
} ghost_precompile_result;

/* 1 when address (last two bytes as a number, the other 18 zero) is a precompile at this fork. */
int ghost_precompile_exists(uint32_t fork, const uint8_t address[20]);

/* Runs it. GHOST_OK; GHOST_MISSING when address is no precompile at this fork;
 * GHOST_OUT_OF_MEMORY. result is zeroed first and holds nothing unless GHOST_OK. */
int ghost_precompile_run(ghost_precompile_result *result, uint32_t fork,
                         const uint8_t address[20], const uint8_t *input, size_t input_length,
                         uint64_t gas);

/* SIMD level in use: 0 portable, 1 what the CPU has of SHA-NI and ADX; and the cap, as for
 * keccak. */
int ghost_precompiles_level(void);
int ghost_precompiles_set_level(int level);

#endif
