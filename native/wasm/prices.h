/* What host functions, loads and deployments cost: part of consensus. Units as the names say;
 * 10,000 ink are one gas. What instructions cost is in limits.h. */
#ifndef GHOST_WASM_PRICES_H
#define GHOST_WASM_PRICES_H

#include "module.h"

enum {
    INK_PER_GAS = GHOST_WASM_INK_PER_GAS,

    /* Every call of a host function: leaving the contract, ink taken and put back. */
    INK_HOST = 20000,
    /* A byte copied between the contract's memory and the host's. */
    INK_COPY_BYTE = 100,
    /* A byte kept as the frame's result, which outlives the contract's memory. */
    INK_RESULT_BYTE = 1000,
    /* native_keccak256, by the permutation (136 bytes). */
    INK_KECCAK_BLOCK = 200000,
    /* 256-bit arithmetic, and a byte of math_pow's exponent. */
    INK_MATH = 20000,
    INK_POW_BYTE = 50000,
    /* A slot that is in the frame's cache, and one that comes in. */
    INK_SLOT_CACHED = 20000,
    INK_SLOT_NEW = 300000,

    /* Linear memory: a page, and the square of all pages open in the transaction. */
    GAS_PAGE = 1000,
    GAS_PAGE_SQUARED = 4,

    /* Running a module: the first time in a block, by its size, and again. */
    GAS_LOAD_COLD = 10000,
    GAS_LOAD_COLD_BYTE = 2,
    GAS_LOAD_WARM = 300,

    /* Deploying: checking a module, by its bytes, before anything is known of it; then compiling,
     * by its weight (module.h), a microsecond each as a rule and four at worst. */
    GAS_ACTIVATION = 20000,
    GAS_CHECK_BYTE = 50,
    GAS_COMPILE_WEIGHT = 200
};

#endif
