/* A module taken apart: what its sections say, as far as checking bodies and rewriting need it.
 * Pointers go into the caller's bytes. Private to this kernel. */
#ifndef GHOST_WASM_PARSE_H
#define GHOST_WASM_PARSE_H

#include "hosts.h"
#include "reader.h"

typedef struct wasm_signature {
    const uint8_t *parameters; /* bytes of value types */
    const uint8_t *results;
    uint8_t parameter_count;
    uint8_t result_count;
} wasm_signature;

typedef struct wasm_function {
    uint32_t type;
    uint32_t length;     /* of the body */
    const uint8_t *body; /* from its local declarations to its last end */
    /* found by wasm_check_body */
    uint16_t locals;   /* parameters counted */
    uint16_t operands; /* at once, at most */
    bool calls;        /* functions of the module, or through the table: not the host's only */
    bool bulk;         /* has memory.copy, fill or init */
    bool grows;        /* has memory.grow */
} wasm_function;

typedef struct wasm_global {
    int64_t value;
    uint8_t type;
    bool is_mutable;
} wasm_global;

/* An active element segment. */
typedef struct wasm_elements {
    ghost_view functions; /* count indexes, each a u32 */
    uint32_t count;
    uint32_t offset;
} wasm_elements;

/* A block that is open while a body is checked. */
typedef struct wasm_control {
    wasm_signature signature;
    uint32_t height;   /* operands below it */
    uint32_t branches; /* to its label */
    uint32_t sets;     /* of locals, in the function before it */
    uint8_t opcode;    /* OP_BLOCK, OP_LOOP, OP_IF, OP_ELSE; the function's own is an OP_BLOCK */
    bool unreachable;
} wasm_control;

typedef struct wasm_module {
    ghost_wasm_module *out;
    const uint8_t *base;
    int64_t function_now; /* whose body is looked at, -1 when none is */

    uint32_t type_count;
    uint32_t import_count;
    uint32_t function_count; /* of the module's own */
    uint32_t global_count;
    uint32_t elements_count;
    uint32_t export_count;
    uint32_t data_count; /* of the data count section, when has_data_count */
    uint32_t body_count; /* of the code section */
    bool has_table;
    bool has_memory;
    bool has_data_count;
    bool has_table_maximum;
    bool has_memory_export;
    bool grows; /* some function has memory.grow */
    uint32_t table_minimum;
    uint32_t table_maximum;
    uint32_t entrypoint; /* index of the exported function, UINT32_MAX without */
    uint64_t weight;     /* of the bodies checked so far */
    ghost_view data;     /* contents of the data section */

    uint32_t imported_types[GHOST_WASM_IMPORTS_MAX];
    wasm_signature types[WASM_TYPES_MAX];
    wasm_function functions[WASM_FUNCTIONS_MAX];
    wasm_global globals[WASM_GLOBALS_MAX];
    wasm_elements elements[WASM_ELEMENT_SEGMENTS_MAX];
    ghost_view exports[WASM_EXPORTS_MAX]; /* names */

    /* of the body that is being checked */
    uint32_t control_count;
    uint32_t operand_count;
    uint32_t branches; /* to all labels */
    uint32_t blocks;
    uint32_t block_values; /* that blocks take and give */
    uint32_t indirect_calls;
    uint32_t trap_checks;   /* loads, stores, divisions */
    uint32_t passed_values; /* to and from the functions that it calls */
    uint32_t sets; /* of locals */
    uint8_t locals[WASM_LOCALS_MAX];
    uint8_t operands[WASM_OPERANDS_MAX];
    wasm_control controls[WASM_NESTING_MAX];
} wasm_module;

/* Notes a refusal, with particulars in the manner of printf, and returns false. */
__attribute__((format(printf, 4, 5))) bool wasm_refuse(wasm_module *module, int reason,
                                                       const uint8_t *at, const char *format, ...);

/* Refuses for the fault that the reader met in what `where` names, if it met one. Returns whether
 * it did not. */
bool wasm_reader_good(wasm_module *module, const wasm_reader *reader, const char *where);

/* Reads how many entries follow; refuses when there are more than max. */
bool wasm_read_count(wasm_module *module, wasm_reader *reader, uint32_t max, const char *what,
                     uint32_t *count);

/* Reads a name: a length and UTF-8. */
bool wasm_read_name(wasm_module *module, wasm_reader *reader, const char *what, ghost_view *name);

/* The contents of these sections. */
bool wasm_read_imports(wasm_module *module, wasm_reader *reader);
bool wasm_read_exports(wasm_module *module, wasm_reader *reader);

/* Takes all sections apart and checks everything but bodies' instructions, which wasm_check_body
 * does when the code section is met. */
bool wasm_parse(wasm_module *module, const uint8_t *wasm, size_t length);

/* Whether a byte is a value type that contracts may use; refuses with the reason when not. */
bool wasm_check_type(wasm_module *module, uint8_t type, const uint8_t *at, const char *where);

/* Checks the body of the module's own function `index` and notes what rewriting needs. */
bool wasm_check_body(wasm_module *module, uint32_t index);

/* The signature of a function, imported ones first. index is in range. */
const wasm_signature *wasm_signature_of(const wasm_module *module, uint32_t index);

/* Stack slots that a frame of the function takes. */
uint32_t wasm_frame_slots(const wasm_function *function);

/* Writes the rewritten module to module->out->code. Returns false when memory is short. */
bool wasm_rewrite(wasm_module *module);

#endif
