/* Every bound that a module has to keep, and every price of an instruction, in one place. Both are
 * consensus: changing a number here changes which contracts deploy and what they pay. */
#ifndef GHOST_WASM_LIMITS_H
#define GHOST_WASM_LIMITS_H

#include "module.h"

enum {
    WASM_TYPES_MAX = 1024,
    WASM_PARAMETERS_MAX = 32,
    WASM_RESULTS_MAX = 16,
    WASM_IMPORTS_MAX = GHOST_WASM_IMPORTS_MAX - 1, /* one is left for what rewriting adds */
    WASM_FUNCTIONS_MAX = 4096,
    WASM_BODY_BYTES_MAX = 65536,
    WASM_LOCALS_MAX = 1024,         /* of a function, its parameters counted */
    WASM_NESTING_MAX = 512,         /* blocks inside each other, the function's own counted */
    WASM_OPERANDS_MAX = 1024,       /* at once, of one function */
    WASM_BRANCH_TARGETS_MAX = 4096, /* of one br_table, the default counted */
    WASM_GLOBALS_MAX = 1024,
    WASM_TABLE_ELEMENTS_MAX = 8192,
    WASM_ELEMENT_SEGMENTS_MAX = 1024,
    WASM_DATA_SEGMENTS_MAX = 4096,
    WASM_EXPORTS_MAX = 1024,
    WASM_NAME_BYTES_MAX = 1024
};

/* What compiling a module takes, in bytes of its rewritten form (about a microsecond each): those,
 * and more for what modules made to be slow to compile are made of: pieces of code times locals,
 * branches that meet in one place, squared, times the values that they bring, checks of an
 * indirect call, checks of bounds and divisors, values passed to and from functions. */
enum {
    WASM_WEIGHT_MAX = 2097152,
    WASM_WEIGHT_LOCALS = 4,
    WASM_WEIGHT_SQUARES = 64,
    WASM_WEIGHT_VALUES = 128, /* for memory as much as for time */
    WASM_WEIGHT_INDIRECT = 60,
    WASM_WEIGHT_FUNCTION = 16,
    WASM_WEIGHT_CHECK = 4,
    WASM_WEIGHT_CHECK_SQUARES = 2048,
    WASM_WEIGHT_PASSED = 4,
    WASM_WEIGHT_PASSED_SQUARES = 1 << 19
};

/* Stack slots of a frame, 16 bytes of native stack each: what any frame has (return address, saved
 * registers), one for each parameter, local and operand at once, and one for so many bytes of the
 * body. The last is what makes the bound safe: a register allocator shares stack places badly among
 * values whose lives overlap like tiles of a roof, down to hardly at all, and then a frame grows
 * with the values that are ever made. A value that lives across a call needs at least some four
 * bytes to be made, kept and used; its place takes eight bytes of stack, half a slot. */
enum { WASM_SLOTS_BASE = 8, WASM_BODY_BYTES_PER_SLOT = 8 };

/* Ink for one instruction, 10,000 to the gas.
 *
 * Chosen from the time of each on the code that cranelift makes (x86-64, 3.6 GHz), taken where it
 * is slowest: each operation waiting for the one before it, loads that miss all but the last cache,
 * branches that are never predicted, calls of functions that call. One gas is at most 5 ns of
 * computing, and at most some 25 ns where the time is the memory's or the predictor's, as it is
 * with the slowest precompiled contracts. benchmarks/bench_wasm_modules.py measures them. */
enum {
    WASM_INK_FREE = 0, /* block, end, nop, drop, unreachable: no machine code */
    WASM_INK_CONSTANT = 200,
    WASM_INK_LOCAL = 200, /* a register, at worst a place on the stack */
    WASM_INK_GLOBAL = 1000,
    WASM_INK_SIMPLE = 600,   /* add, and, shift, conversion, sign extension: 0.3 ns */
    WASM_INK_COMPARE = 1200, /* 0.8 ns as a value */
    WASM_INK_SELECT = 1200,
    WASM_INK_COUNT = 1000, /* clz, ctz, popcnt */
    WASM_INK_MULTIPLY = 1600,
    WASM_INK_DIVIDE_I32 = 8000,  /* 2.5 ns, 8 on older processors */
    WASM_INK_DIVIDE_I64 = 20000, /* 10 ns, 25 on older processors */
    WASM_INK_LOAD = 10000,       /* 1.2 ns, 27 ns when it misses */
    WASM_INK_STORE = 4000,
    WASM_INK_BRANCH = 4000, /* br, br_if, if, return, checks of the ink among them: 6 ns missed */
    WASM_INK_LOOP = 2000,   /* each time round */
    WASM_INK_BRANCH_TABLE = 8000,
    WASM_INK_CALL = 6000, /* with GHOST_WASM_INK_ENTRY: 5 ns */
    WASM_INK_CALL_INDIRECT = 15000,
    WASM_INK_MEMORY_SIZE = 1000,
    WASM_INK_MEMORY_GROW = 500000, /* besides the pages, which the host charges for */
    WASM_INK_BULK = 10000,         /* memory.copy, fill, init, besides each byte */
    WASM_INK_DATA_DROP = 10000
};

#endif
