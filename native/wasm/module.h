/* Contract modules as bytes: what a WebAssembly module must be to become a contract, and its
 * rewriting so that it pays for what it does and ends before the native stack does.
 *
 * Nothing here runs code. Preparing is a pure function of the bytes, the same on every machine, in
 * time proportional to their number; the tables in limits.h and opcodes.h are part of consensus.
 *
 * A prepared module imports only functions of "vm_hooks" (hosts.h), and exports exactly
 *   user_entrypoint  the contract's function (i32) -> i32
 *   memory           its memory, of at most GHOST_WASM_PAGES_MAX pages whatever it declared
 *   ghost_ink        mutable i64: ink left. The runtime sets it (0 to 2^63 - 1) before it enters,
 *                    reads and lowers it in host functions, reads it afterwards. It is exact at
 *                    every host call and at the end; negative means that the code ran out of ink
 *                    and trapped by `unreachable`.
 *   ghost_stack      mutable i32: stack slots left. The runtime sets GHOST_WASM_STACK_SLOTS
 *                    before it enters; -1 after a trap means that calls nested too deeply.
 * A contract that grows memory imports vm_hooks.pay_for_memory_grow (added when it does not import
 * it), which is called with the number of pages before each memory.grow. */
#ifndef GHOST_WASM_MODULE_H
#define GHOST_WASM_MODULE_H

#include "../common/common.h"

enum {
    GHOST_WASM_BYTES_MAX = 262144,  /* a module */
    GHOST_WASM_IMPORTS_MAX = 64,    /* imported functions, the added one counted */
    GHOST_WASM_PAGES_MAX = 128,     /* memory, of 64 KiB: 8 MiB */
    GHOST_WASM_STACK_SLOTS = 32768, /* nested calls of one activation ... */
    GHOST_WASM_SLOT_BYTES = 16,     /* ... each slot at most this much native stack */
    GHOST_WASM_INK_PER_GAS = 10000,
    GHOST_WASM_MESSAGE_BYTES = 160
};

/* Ink besides what opcodes cost (opcodes.h, ghost_wasm_ink). */
enum {
    GHOST_WASM_INK_ENTRY = 3000,   /* each entry of a function, besides what its caller paid ... */
    GHOST_WASM_INK_DECLARED = 200, /* ... and for each local that it declares */
    GHOST_WASM_INK_ARGUMENT = 500, /* each parameter and result of a call */
    GHOST_WASM_INK_BULK_BYTE = 200 /* each byte that memory.copy, fill and init are asked for */
};

/* Why a module is refused. The first fault in the order of its bytes; what a message names stands
 * beside the number. Up to 19 the bytes break the format, up to 49 WebAssembly's validation rules,
 * from 50 on they are WebAssembly that contracts may not use. */
enum ghost_wasm_reason {
    GHOST_WASM_OK = 0,
    GHOST_WASM_MAGIC = 1,     /* not \0asm, version 1 */
    GHOST_WASM_TRUNCATED = 2, /* ends inside a value */
    GHOST_WASM_LEB = 3,       /* an integer too long or too large for its type */
    GHOST_WASM_SECTION_UNKNOWN = 4,
    GHOST_WASM_SECTION_ORDER = 5, /* out of order, or twice */
    GHOST_WASM_SECTION_SIZE = 6,  /* contents shorter or longer than the size says */
    GHOST_WASM_NAME_UTF8 = 7,
    GHOST_WASM_FORM = 8,           /* a byte that no version of the format has there */
    GHOST_WASM_FUNCTION_COUNT = 9, /* as many bodies as declarations, or not */
    GHOST_WASM_BODY_SIZE = 10,     /* a body shorter or longer than its size says */
    GHOST_WASM_OPCODE = 11,        /* unknown instruction */
    GHOST_WASM_BLOCKS = 12,        /* else without if, end missing */
    GHOST_WASM_DATA_COUNT = 13,    /* data count section and data differ, or it is missing */

    GHOST_WASM_TYPE_INDEX = 20,
    GHOST_WASM_FUNCTION_INDEX = 21,
    GHOST_WASM_TABLE_INDEX = 22,
    GHOST_WASM_MEMORY_INDEX = 23,
    GHOST_WASM_GLOBAL_INDEX = 24,
    GHOST_WASM_LOCAL_INDEX = 25,
    GHOST_WASM_LABEL_INDEX = 26,
    GHOST_WASM_DATA_INDEX = 27,
    GHOST_WASM_TYPE_MISMATCH = 28,
    GHOST_WASM_STACK_UNDERFLOW = 29, /* an operand is missing */
    GHOST_WASM_STACK_LEFTOVER = 30,  /* operands left at the end of a block */
    GHOST_WASM_ALIGNMENT = 31,
    GHOST_WASM_GLOBAL_IMMUTABLE = 32,
    GHOST_WASM_LIMITS = 33, /* maximum below minimum, or above what is addressable */
    GHOST_WASM_EXPORT_TWICE = 34,
    GHOST_WASM_CONSTANT = 35, /* an initial value or offset that is not a constant */

    GHOST_WASM_TOO_LARGE = 50, /* bytes of the module */
    GHOST_WASM_TOO_MANY = 51,  /* a count beyond its limit (limits.h) */
    GHOST_WASM_BODY_TOO_LARGE = 52,
    GHOST_WASM_TOO_DEEP = 53, /* blocks nested beyond the limit */
    GHOST_WASM_OPERANDS = 54, /* operands at once beyond the limit */
    GHOST_WASM_NAME_LENGTH = 55,
    GHOST_WASM_FLOAT = 56,
    GHOST_WASM_SIMD = 57,
    GHOST_WASM_THREADS = 58,
    GHOST_WASM_EXCEPTIONS = 59,
    GHOST_WASM_TAIL_CALL = 60,
    GHOST_WASM_REFERENCES = 61, /* reference types, typed references, table instructions */
    GHOST_WASM_GC = 62,
    GHOST_WASM_MEMORY64 = 63,
    GHOST_WASM_MULTI_MEMORY = 64,
    GHOST_WASM_MULTI_TABLE = 65,
    GHOST_WASM_EXTENDED_CONSTANT = 66,
    GHOST_WASM_PAGE_SIZE = 67,
    GHOST_WASM_WIDE_ARITHMETIC = 68,
    GHOST_WASM_COMPONENT = 69,
    GHOST_WASM_START = 70,
    GHOST_WASM_IMPORT_MODULE = 71, /* anything but vm_hooks */
    GHOST_WASM_IMPORT_NAME = 72,
    GHOST_WASM_IMPORT_TYPE = 73,
    GHOST_WASM_IMPORT_KIND = 74, /* a table, memory or global */
    GHOST_WASM_MEMORY_MISSING = 75,
    GHOST_WASM_MEMORY_PAGES = 76, /* starts with more than GHOST_WASM_PAGES_MAX */
    GHOST_WASM_TABLE_SIZE = 77,
    GHOST_WASM_ELEMENT_BOUNDS = 78, /* a segment outside the table */
    GHOST_WASM_DATA_BOUNDS = 79,    /* a segment outside the initial memory */
    GHOST_WASM_ENTRYPOINT = 80,     /* user_entrypoint missing, or not an (i32) -> i32 */
    GHOST_WASM_MEMORY_EXPORT = 81,  /* "memory" missing or something else */
    GHOST_WASM_TOO_COMPLEX = 82     /* to compile: limits.h */
};

/* What became of a module. On refusal only reason, offset, index and message mean something. */
typedef struct ghost_wasm_module {
    ghost_bytes code;  /* rewritten; the caller frees it */
    int reason;        /* enum ghost_wasm_reason */
    uint32_t offset;   /* of the fault, in bytes from the start of the module */
    char message[160]; /* the fault in words, with a zero at the end */

    uint32_t memory_initial; /* pages */
    uint32_t memory_maximum; /* pages, at most GHOST_WASM_PAGES_MAX */
    uint32_t functions;      /* of the module's own */
    uint32_t globals;        /* of the module's own */
    uint32_t table_elements;
    uint32_t body_bytes; /* of all functions, before rewriting */
    uint32_t data_bytes;
    uint32_t import_count;   /* of the rewritten module */
    uint8_t imports[64];     /* import i is ghost_wasm_hosts[imports[i]] */
    uint32_t slots_max;      /* the largest frame, in stack slots */
    uint32_t weight;         /* what compiling takes: at least code.length */
    uint64_t activation_gas; /* what deploying costs besides what it does for any code */
} ghost_wasm_module;

/* Checks wasm[0..length) and rewrites it. Returns GHOST_OK, GHOST_REFUSED (out->reason, never OK)
 * or GHOST_OUT_OF_MEMORY. Cost: linear in length, about 100 MB/s. */
int ghost_wasm_prepare(ghost_wasm_module *out, const uint8_t *wasm, size_t length);

/* Bytes that differ when modules are rewritten in another way or for other prices, so that code
 * that was compiled before is not taken for code that is compiled now. The caller frees them.
 * Returns GHOST_OK or GHOST_OUT_OF_MEMORY. */
int ghost_wasm_rules(ghost_bytes *rules);

/* The part of activation_gas that is due before a module of this length is checked. */
uint64_t ghost_wasm_check_gas(size_t length);

/* A sentence about the reason alone, without the particulars that out->message has. */
const char *ghost_wasm_reason_text(int reason);

/* The name of a reason, as "TYPE_MISMATCH"; NULL when there is no such reason. */
const char *ghost_wasm_reason_name(int reason);

/* A function that the host offers. Types are letters, 'i' for i32 and 'l' for i64. */
typedef struct ghost_wasm_host {
    const char *name;
    const char *parameters;
    const char *results; /* one letter or none */
} ghost_wasm_host;

/* The functions of module vm_hooks, in the order of hosts.h. */
const ghost_wasm_host *ghost_wasm_host_table(size_t *count);

/* The ink that an opcode costs (0xfc00 | n for those after the prefix 0xfc); -1 when contracts may
 * not use it. */
int64_t ghost_wasm_ink(uint32_t opcode);

#endif
