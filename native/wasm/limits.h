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

/* Stack slots of a frame: what any frame has (return address, saved registers, what the engine
 * keeps), one for each parameter, local and operand at once, and one for so many bytes of the body,
 * since a register allocator shares stack places less than perfectly. */
enum { WASM_SLOTS_BASE = 16, WASM_BODY_BYTES_PER_SLOT = 16 };

/* Ink for one instruction, 10,000 to the gas. */
enum {
    WASM_INK_FREE = 0, /* block, end, nop, drop, unreachable: no machine code */
    WASM_INK_CONSTANT = 500,
    WASM_INK_LOCAL = 500,
    WASM_INK_GLOBAL = 2000,
    WASM_INK_SIMPLE = 1000, /* add, and, shift, comparison, conversion, sign extension */
    WASM_INK_SELECT = 2000,
    WASM_INK_COUNT = 2000, /* clz, ctz, popcnt */
    WASM_INK_MULTIPLY = 2000,
    WASM_INK_DIVIDE = 15000,
    WASM_INK_LOAD = 4000,
    WASM_INK_STORE = 4000,
    WASM_INK_BRANCH = 4000, /* br, br_if, if, return; checks of the ink among them */
    WASM_INK_LOOP = 2000,   /* each time round */
    WASM_INK_BRANCH_TABLE = 10000,
    WASM_INK_CALL = 10000,
    WASM_INK_CALL_INDIRECT = 20000,
    WASM_INK_ENTRY = 5000,    /* of a function, besides what its caller paid */
    WASM_INK_DECLARED = 500,  /* a local of a function set to zero */
    WASM_INK_ARGUMENT = 1000, /* a parameter or result of a call */
    WASM_INK_MEMORY_SIZE = 4000,
    WASM_INK_MEMORY_GROW = 400000,
    WASM_INK_BULK = 40000,    /* memory.copy, fill, init ... */
    WASM_INK_BULK_BYTE = 200, /* ... and for each byte */
    WASM_INK_DATA_DROP = 40000
};

#endif
