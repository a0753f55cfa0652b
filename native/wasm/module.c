/* The door of this kernel: preparing a module, its tables, and what refusals say. */
#include "module.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "prices.h"

_Static_assert((int)WASM_HOST_COUNT <= GHOST_WASM_IMPORTS_MAX, "imports are kept by number");

/* ---- tables ---- */

#define NONE WASM_TYPE_NONE
#define I32 WASM_TYPE_I32
#define I64 WASM_TYPE_I64
#define OP(opcode, name, kind, operand, result, alignment, ink)                                    \
    [opcode] = {name, WASM_KIND_##kind, operand, result, alignment, ink},

const wasm_op wasm_ops[256] = {WASM_OPS(OP)};
const wasm_op wasm_prefixed_ops[WASM_PREFIXED_OPS] = {WASM_PREFIXED(OP)};

#define HOST(name, parameters, results) {#name, parameters, results},
static const ghost_wasm_host hosts[WASM_HOST_COUNT] = {GHOST_WASM_HOSTS(HOST)};

const ghost_wasm_host *ghost_wasm_host_table(size_t *count) {
    *count = WASM_HOST_COUNT;
    return hosts;
}

int64_t ghost_wasm_ink(uint32_t opcode) {
    const wasm_op *op = NULL;
    if (opcode < 256) {
        op = &wasm_ops[opcode];
    } else if (opcode >> 8 == OP_PREFIX && (opcode & 0xff) < WASM_PREFIXED_OPS) {
        op = &wasm_prefixed_ops[opcode & 0xff];
    }
    const bool allowed = op != NULL && op->kind != WASM_KIND_UNKNOWN && op->kind < WASM_KIND_FLOAT;
    return allowed ? (int64_t)op->ink : -1;
}

/* ---- refusals ---- */

typedef struct reason {
    const char *name;
    const char *text;
} reason;

#define REASON(name, text) [GHOST_WASM_##name] = {#name, text}
static const reason reasons[] = {
    REASON(OK, "the module may be a contract"),
    REASON(MAGIC, "not a WebAssembly module of version 1"),
    REASON(TRUNCATED, "the module ends inside a value"),
    REASON(LEB, "an integer is longer or larger than its type allows"),
    REASON(SECTION_UNKNOWN, "there is no such section"),
    REASON(SECTION_ORDER, "a section is out of order or there twice"),
    REASON(SECTION_SIZE, "a section's contents and its size differ"),
    REASON(NAME_UTF8, "a name is not UTF-8"),
    REASON(FORM, "a byte has no meaning in its place"),
    REASON(FUNCTION_COUNT, "functions declared and bodies given differ in number"),
    REASON(BODY_SIZE, "a function's body and its size differ"),
    REASON(OPCODE, "there is no such instruction"),
    REASON(BLOCKS, "blocks are not properly nested"),
    REASON(DATA_COUNT, "the data count section and the data segments do not agree"),
    REASON(TYPE_INDEX, "there is no such type"),
    REASON(FUNCTION_INDEX, "there is no such function"),
    REASON(TABLE_INDEX, "there is no such table"),
    REASON(MEMORY_INDEX, "there is no such memory"),
    REASON(GLOBAL_INDEX, "there is no such global"),
    REASON(LOCAL_INDEX, "there is no such local"),
    REASON(LABEL_INDEX, "there is no such label"),
    REASON(DATA_INDEX, "there is no such data segment"),
    REASON(TYPE_MISMATCH, "types do not match"),
    REASON(STACK_UNDERFLOW, "an operand is missing"),
    REASON(STACK_LEFTOVER, "operands are left at the end of a block"),
    REASON(ALIGNMENT, "alignment above the natural one"),
    REASON(GLOBAL_IMMUTABLE, "a constant global is set"),
    REASON(LIMITS, "limits that nothing can meet"),
    REASON(EXPORT_TWICE, "two exports of one name"),
    REASON(CONSTANT, "not a constant expression"),
    REASON(TOO_LARGE, "the module is too large"),
    REASON(TOO_MANY, "too many of them"),
    REASON(BODY_TOO_LARGE, "a function's body is too large"),
    REASON(TOO_DEEP, "blocks are nested too deeply"),
    REASON(OPERANDS, "too many operands at once"),
    REASON(NAME_LENGTH, "a name is too long"),
    REASON(FLOAT, "floating point is not available to contracts: compile without it"),
    REASON(SIMD, "vector instructions are not available to contracts"),
    REASON(THREADS, "threads, atomics and shared memory are not available to contracts"),
    REASON(EXCEPTIONS, "exceptions are not available to contracts"),
    REASON(TAIL_CALL, "tail calls are not available to contracts"),
    REASON(REFERENCES, "reference types are not available to contracts"),
    REASON(GC, "garbage-collected types are not available to contracts"),
    REASON(MEMORY64, "64-bit memories are not available to contracts"),
    REASON(MULTI_MEMORY, "a contract has one memory"),
    REASON(MULTI_TABLE, "a contract has at most one table"),
    REASON(EXTENDED_CONSTANT, "computed initial values are not available to contracts"),
    REASON(PAGE_SIZE, "custom page sizes are not available to contracts"),
    REASON(WIDE_ARITHMETIC, "128-bit arithmetic is not available to contracts"),
    REASON(COMPONENT, "a component, not a module"),
    REASON(START, "start functions are not available to contracts"),
    REASON(IMPORT_MODULE, "contracts import from vm_hooks only"),
    REASON(IMPORT_NAME, "vm_hooks has no such function"),
    REASON(IMPORT_TYPE, "an imported function has another type in vm_hooks"),
    REASON(IMPORT_KIND, "contracts import functions only"),
    REASON(MEMORY_MISSING, "a contract needs a memory"),
    REASON(MEMORY_PAGES, "the memory starts too large"),
    REASON(TABLE_SIZE, "the table is too large"),
    REASON(ELEMENT_BOUNDS, "an element segment reaches beyond the table"),
    REASON(DATA_BOUNDS, "a data segment reaches beyond the initial memory"),
    REASON(ENTRYPOINT, "a contract exports its function user_entrypoint, (i32) -> i32"),
    REASON(TOO_COMPLEX, "the module takes too long to compile"),
    REASON(MEMORY_EXPORT, "a contract exports its memory as \"memory\""),
};

static const reason *find_reason(int number) {
    const bool known = number >= 0 && (size_t)number < sizeof reasons / sizeof *reasons;
    return known && reasons[number].name != NULL ? &reasons[number] : NULL;
}

const char *ghost_wasm_reason_name(int number) {
    const reason *found = find_reason(number);
    return found == NULL ? NULL : found->name;
}

const char *ghost_wasm_reason_text(int number) {
    const reason *found = find_reason(number);
    return found == NULL ? "unknown reason" : found->text;
}

/* Messages hold what the module says; control characters and quotes are not shown as they are. */
static void make_printable(char *text) {
    for (; *text != 0; text++) {
        const unsigned char letter = (unsigned char)*text;
        if (letter < 0x20 || letter >= 0x7f) {
            *text = '?';
        }
    }
}

bool wasm_refuse(wasm_module *module, int reason, const uint8_t *at, const char *format, ...) {
    ghost_wasm_module *out = module->out;
    out->reason = reason;
    out->offset = (uint32_t)(at - module->base);
    char particulars[120];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(particulars, sizeof particulars, format, arguments);
    va_end(arguments);
    char place[40] = "";
    if (module->function_now >= 0) {
        snprintf(place, sizeof place, "function %u, ", (unsigned)module->function_now);
    }
    snprintf(out->message, sizeof out->message, "%s (%sbyte %u: %.100s)",
             ghost_wasm_reason_text(reason), place, out->offset, particulars);
    make_printable(out->message);
    return false;
}

bool wasm_reader_good(wasm_module *module, const wasm_reader *reader, const char *where) {
    return reader->fault == GHOST_WASM_OK ||
           wasm_refuse(module, reader->fault, reader->fault_at, "%s", where);
}

/* ---- preparing ---- */

uint32_t wasm_frame_slots(const wasm_function *function) {
    return WASM_SLOTS_BASE + function->locals + function->operands +
           function->length / WASM_BODY_BYTES_PER_SLOT;
}

uint64_t ghost_wasm_check_gas(size_t length) {
    return GAS_ACTIVATION + (uint64_t)length * GAS_CHECK_BYTE;
}

int ghost_wasm_prepare(ghost_wasm_module *out, const uint8_t *wasm, size_t length) {
    *out = (ghost_wasm_module){0};
    /* The counts are all that is read before it is written; the tables stay untouched memory. */
    wasm_module *module = malloc(sizeof *module);
    if (module == NULL) {
        return GHOST_OUT_OF_MEMORY;
    }
    memset(module, 0, offsetof(wasm_module, imported_types));
    module->out = out;
    int status = GHOST_REFUSED;
    if (wasm_parse(module, wasm, length)) {
        out->functions = module->function_count;
        out->globals = module->global_count;
        out->table_elements = module->table_minimum;
        out->import_count = module->import_count;
        status = wasm_rewrite(module) ? GHOST_OK : GHOST_OUT_OF_MEMORY;
        out->weight = (uint32_t)(module->weight + out->code.length);
        out->activation_gas =
            ghost_wasm_check_gas(length) + (uint64_t)out->weight * GAS_COMPILE_WEIGHT;
    }
    free(module);
    return status;
}

/* ---- what compiled code depends on ---- */

/* A module with one of each thing that rewriting changes: a loop, a br_table, an if, calls of a
 * function, of the host and through the table, several results, memory.fill and memory.grow. */
static const uint8_t probe[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x10, 0x03, 0x60, 0x01, 0x7f, 0x00, 0x60,
    0x01, 0x7f, 0x02, 0x7f, 0x7e, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x02, 0x16, 0x01, 0x08, 0x76, 0x6d,
    0x5f, 0x68, 0x6f, 0x6f, 0x6b, 0x73, 0x09, 0x6d, 0x73, 0x67, 0x5f, 0x76, 0x61, 0x6c, 0x75, 0x65,
    0x00, 0x00, 0x03, 0x03, 0x02, 0x01, 0x02, 0x04, 0x04, 0x01, 0x70, 0x00, 0x01, 0x05, 0x03, 0x01,
    0x00, 0x01, 0x07, 0x1c, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x0f, 0x75,
    0x73, 0x65, 0x72, 0x5f, 0x65, 0x6e, 0x74, 0x72, 0x79, 0x70, 0x6f, 0x69, 0x6e, 0x74, 0x00, 0x02,
    0x09, 0x07, 0x01, 0x00, 0x41, 0x00, 0x0b, 0x01, 0x01, 0x0a, 0x3d, 0x02, 0x19, 0x01, 0x01, 0x7e,
    0x03, 0x40, 0x20, 0x00, 0x45, 0x0d, 0x00, 0x0b, 0x02, 0x40, 0x20, 0x00, 0x0e, 0x01, 0x00, 0x00,
    0x0b, 0x20, 0x00, 0x42, 0x05, 0x0b, 0x21, 0x00, 0x41, 0x00, 0x10, 0x00, 0x41, 0x00, 0x41, 0x00,
    0x41, 0x01, 0xfc, 0x0b, 0x00, 0x41, 0x01, 0x40, 0x00, 0x04, 0x40, 0x41, 0x01, 0x0f, 0x0b, 0x41,
    0x00, 0x41, 0x00, 0x11, 0x01, 0x00, 0x1a, 0x0b, 0x00, 0x16, 0x04, 0x6e, 0x61, 0x6d, 0x65, 0x01,
    0x07, 0x02, 0x00, 0x01, 0x68, 0x01, 0x01, 0x66, 0x03, 0x06, 0x01, 0x01, 0x01, 0x00, 0x01, 0x6c,
};

int ghost_wasm_rules(ghost_bytes *rules) {
    enum { OPS = 256 + WASM_PREFIXED_OPS };
    ghost_wasm_module rewritten;
    const int status = ghost_wasm_prepare(&rewritten, probe, sizeof probe);
    if (status != GHOST_OK) {
        return status;
    }
    static const uint32_t weights[] = {
        WASM_WEIGHT_MAX,      WASM_WEIGHT_LOCALS,         WASM_WEIGHT_SQUARES,
        WASM_WEIGHT_VALUES,   WASM_WEIGHT_INDIRECT,       WASM_WEIGHT_FUNCTION,
        WASM_WEIGHT_CHECK,    WASM_WEIGHT_CHECK_SQUARES,  WASM_WEIGHT_PASSED,
        WASM_WEIGHT_PASSED_SQUARES};
    const size_t prices = OPS * sizeof(uint32_t), tables = prices + sizeof weights;
    uint8_t *data = malloc(tables + rewritten.code.length);
    if (data == NULL) {
        free(rewritten.code.data);
        return GHOST_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < OPS; i++) {
        const wasm_op *op = i < 256 ? &wasm_ops[i] : &wasm_prefixed_ops[i - 256];
        memcpy(data + i * sizeof op->ink, &op->ink, sizeof op->ink);
    }
    memcpy(data + prices, weights, sizeof weights);
    memcpy(data + tables, rewritten.code.data, rewritten.code.length);
    free(rewritten.code.data);
    *rules = (ghost_bytes){data, tables + rewritten.code.length};
    return GHOST_OK;
}
