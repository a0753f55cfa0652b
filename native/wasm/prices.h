/* What host functions, loads and deployments cost: part of consensus. Units as the names say;
 * 10,000 ink are one gas. What instructions cost is in limits.h.
 *
 * The yardstick: about 10 ns for a gas, and 20 for the worst of modules, on one core of an EPYC at
 * 3.6 GHz, with the inputs that are slowest for their price; a block of 30 million gas then runs
 * within 0.6 s whatever is in it. Most costs far less: contracts compute at 0.3 to 1 ns a gas, as
 * the EVM does. The times stand beside the prices; benchmarks/bench_wasm.py takes them. */
#ifndef GHOST_WASM_PRICES_H
#define GHOST_WASM_PRICES_H

#include "module.h"

enum {
    INK_PER_GAS = GHOST_WASM_INK_PER_GAS,

    /* Every call of a host function: leaving the contract, ink taken and put back; 30-50 ns. */
    INK_HOST = 40000,
    /* A byte copied between the contract's memory and the host's: 0.02 ns. */
    INK_COPY_BYTE = 100,
    /* A byte kept as the frame's result, which outlives the contract's memory: 0.03 ns, and held
     * to three gas a word, what the EVM takes for its memory. */
    INK_RESULT_BYTE = 1000,
    /* native_keccak256, by the permutation (136 bytes): 300 ns. The EVM takes 55 gas for that. */
    INK_KECCAK_BLOCK = 300000,
    /* 256-bit arithmetic: 20 ns more. A byte of math_pow's exponent: 100 ns. */
    INK_MATH = 20000,
    INK_POW_BYTE = 100000,
    /* Looking at a slot of the frame's cache when it is flushed: 2 ns. One that comes in: 100 ns,
     * and 104 bytes that stay until the frame ends. */
    INK_SLOT_CACHED = 2000,
    INK_SLOT_NEW = 300000,

    /* Linear memory: a page, and the square of all pages open in the transaction. */
    GAS_PAGE = 1000,
    GAS_PAGE_SQUARED = 4,

    /* Running a module: making its instance, and the first time in a block loading it too. */
    GAS_LOAD = 300,
    GAS_LOAD_BYTES = 32,          /* bytes of the module for one gas more */
    GAS_LOAD_COLD = 10000,
    GAS_LOAD_COLD_WEIGHT = 2,     /* weight (module.h) for one gas more */

    /* Deploying: checking a module, by its bytes, before anything is known of it; then compiling,
     * by its weight (module.h), a microsecond each as a rule and four at worst. */
    GAS_ACTIVATION = 20000,
    GAS_CHECK_BYTE = 50,
    GAS_COMPILE_WEIGHT = 200
};

#endif
