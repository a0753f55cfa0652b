/* Every instruction that WebAssembly has, those included that contracts may not use, so that a
 * refusal can name them.
 *
 * OP(opcode, name, kind, operand, result, alignment, ink): what a UNARY, BINARY or LOAD takes and
 * gives, what a STORE writes; the log2 of a load's or store's natural alignment. CONTROL stands for
 * the instructions whose types depend on more than themselves. */
#ifndef GHOST_WASM_OPCODES_H
#define GHOST_WASM_OPCODES_H

#include "limits.h"

enum wasm_kind {
    WASM_KIND_UNKNOWN = 0,
    WASM_KIND_CONTROL,
    WASM_KIND_UNARY,
    WASM_KIND_BINARY,
    WASM_KIND_LOAD,
    WASM_KIND_STORE,
    WASM_KIND_FLOAT, /* from here on: refused */
    WASM_KIND_SIMD,
    WASM_KIND_ATOMIC,
    WASM_KIND_EXCEPTION,
    WASM_KIND_TAIL_CALL,
    WASM_KIND_REFERENCE,
    WASM_KIND_GC,
    WASM_KIND_WIDE
};

/* Value types, by the bytes of the format. UNKNOWN is what unreachable code has on its stack. */
enum wasm_type {
    WASM_TYPE_NONE = 0,
    WASM_TYPE_UNKNOWN = 1,
    WASM_TYPE_I64 = 0x7e,
    WASM_TYPE_I32 = 0x7f
};

typedef struct wasm_op {
    const char *name;
    uint8_t kind;    /* enum wasm_kind */
    uint8_t operand; /* enum wasm_type */
    uint8_t result;
    uint8_t alignment;
    uint32_t ink;
} wasm_op;

/* By opcode; and, by the number that follows it, those after the prefix 0xfc. */
extern const wasm_op wasm_ops[256];
enum { WASM_PREFIXED_OPS = 23 };
extern const wasm_op wasm_prefixed_ops[WASM_PREFIXED_OPS];

/* Opcodes that the code names. */
enum {
    OP_UNREACHABLE = 0x00,
    OP_NOP = 0x01,
    OP_BLOCK = 0x02,
    OP_LOOP = 0x03,
    OP_IF = 0x04,
    OP_ELSE = 0x05,
    OP_END = 0x0b,
    OP_BR = 0x0c,
    OP_BR_IF = 0x0d,
    OP_BR_TABLE = 0x0e,
    OP_RETURN = 0x0f,
    OP_CALL = 0x10,
    OP_CALL_INDIRECT = 0x11,
    OP_DROP = 0x1a,
    OP_SELECT = 0x1b,
    OP_SELECT_TYPED = 0x1c,
    OP_LOCAL_GET = 0x20,
    OP_LOCAL_SET = 0x21,
    OP_LOCAL_TEE = 0x22,
    OP_GLOBAL_GET = 0x23,
    OP_GLOBAL_SET = 0x24,
    OP_MEMORY_SIZE = 0x3f,
    OP_MEMORY_GROW = 0x40,
    OP_I32_CONST = 0x41,
    OP_I64_CONST = 0x42,
    OP_I32_LT_S = 0x48,
    OP_I64_LT_S = 0x53,
    OP_I32_ADD = 0x6a,
    OP_I32_SUB = 0x6b,
    OP_I32_DIV_S = 0x6d,
    OP_I32_REM_U = 0x70,
    OP_I64_SUB = 0x7d,
    OP_I64_MUL = 0x7e,
    OP_I64_DIV_S = 0x7f,
    OP_I64_REM_U = 0x82,
    OP_I64_EXTEND_I32_U = 0xad,
    OP_PREFIX = 0xfc,
    OP_MEMORY_INIT = 0xfc08,
    OP_DATA_DROP = 0xfc09,
    OP_MEMORY_COPY = 0xfc0a,
    OP_MEMORY_FILL = 0xfc0b
};

/* clang-format off */
#define WASM_OPS(OP)                                                                               \
    OP(0x00, "unreachable", CONTROL, NONE, NONE, 0, WASM_INK_FREE)                                 \
    OP(0x01, "nop", CONTROL, NONE, NONE, 0, WASM_INK_FREE)                                         \
    OP(0x02, "block", CONTROL, NONE, NONE, 0, WASM_INK_FREE)                                       \
    OP(0x03, "loop", CONTROL, NONE, NONE, 0, WASM_INK_LOOP)                                        \
    OP(0x04, "if", CONTROL, NONE, NONE, 0, WASM_INK_BRANCH)                                        \
    OP(0x05, "else", CONTROL, NONE, NONE, 0, WASM_INK_FREE)                                        \
    OP(0x06, "try", EXCEPTION, NONE, NONE, 0, 0)                                                   \
    OP(0x07, "catch", EXCEPTION, NONE, NONE, 0, 0)                                                 \
    OP(0x08, "throw", EXCEPTION, NONE, NONE, 0, 0)                                                 \
    OP(0x09, "rethrow", EXCEPTION, NONE, NONE, 0, 0)                                               \
    OP(0x0a, "throw_ref", EXCEPTION, NONE, NONE, 0, 0)                                             \
    OP(0x0b, "end", CONTROL, NONE, NONE, 0, WASM_INK_FREE)                                         \
    OP(0x0c, "br", CONTROL, NONE, NONE, 0, WASM_INK_BRANCH)                                        \
    OP(0x0d, "br_if", CONTROL, NONE, NONE, 0, WASM_INK_BRANCH)                                     \
    OP(0x0e, "br_table", CONTROL, NONE, NONE, 0, WASM_INK_BRANCH_TABLE)                            \
    OP(0x0f, "return", CONTROL, NONE, NONE, 0, WASM_INK_BRANCH)                                    \
    OP(0x10, "call", CONTROL, NONE, NONE, 0, WASM_INK_CALL)                                        \
    OP(0x11, "call_indirect", CONTROL, NONE, NONE, 0, WASM_INK_CALL_INDIRECT)                      \
    OP(0x12, "return_call", TAIL_CALL, NONE, NONE, 0, 0)                                           \
    OP(0x13, "return_call_indirect", TAIL_CALL, NONE, NONE, 0, 0)                                  \
    OP(0x14, "call_ref", REFERENCE, NONE, NONE, 0, 0)                                              \
    OP(0x15, "return_call_ref", REFERENCE, NONE, NONE, 0, 0)                                       \
    OP(0x18, "delegate", EXCEPTION, NONE, NONE, 0, 0)                                              \
    OP(0x19, "catch_all", EXCEPTION, NONE, NONE, 0, 0)                                             \
    OP(0x1a, "drop", CONTROL, NONE, NONE, 0, WASM_INK_FREE)                                        \
    OP(0x1b, "select", CONTROL, NONE, NONE, 0, WASM_INK_SELECT)                                    \
    OP(0x1c, "select t", CONTROL, NONE, NONE, 0, WASM_INK_SELECT)                                  \
    OP(0x1f, "try_table", EXCEPTION, NONE, NONE, 0, 0)                                             \
    OP(0x20, "local.get", CONTROL, NONE, NONE, 0, WASM_INK_LOCAL)                                  \
    OP(0x21, "local.set", CONTROL, NONE, NONE, 0, WASM_INK_LOCAL)                                  \
    OP(0x22, "local.tee", CONTROL, NONE, NONE, 0, WASM_INK_LOCAL)                                  \
    OP(0x23, "global.get", CONTROL, NONE, NONE, 0, WASM_INK_GLOBAL)                                \
    OP(0x24, "global.set", CONTROL, NONE, NONE, 0, WASM_INK_GLOBAL)                                \
    OP(0x25, "table.get", REFERENCE, NONE, NONE, 0, 0)                                             \
    OP(0x26, "table.set", REFERENCE, NONE, NONE, 0, 0)                                             \
    OP(0x28, "i32.load", LOAD, I32, I32, 2, WASM_INK_LOAD)                                         \
    OP(0x29, "i64.load", LOAD, I32, I64, 3, WASM_INK_LOAD)                                         \
    OP(0x2a, "f32.load", FLOAT, NONE, NONE, 0, 0)                                                  \
    OP(0x2b, "f64.load", FLOAT, NONE, NONE, 0, 0)                                                  \
    OP(0x2c, "i32.load8_s", LOAD, I32, I32, 0, WASM_INK_LOAD)                                      \
    OP(0x2d, "i32.load8_u", LOAD, I32, I32, 0, WASM_INK_LOAD)                                      \
    OP(0x2e, "i32.load16_s", LOAD, I32, I32, 1, WASM_INK_LOAD)                                     \
    OP(0x2f, "i32.load16_u", LOAD, I32, I32, 1, WASM_INK_LOAD)                                     \
    OP(0x30, "i64.load8_s", LOAD, I32, I64, 0, WASM_INK_LOAD)                                      \
    OP(0x31, "i64.load8_u", LOAD, I32, I64, 0, WASM_INK_LOAD)                                      \
    OP(0x32, "i64.load16_s", LOAD, I32, I64, 1, WASM_INK_LOAD)                                     \
    OP(0x33, "i64.load16_u", LOAD, I32, I64, 1, WASM_INK_LOAD)                                     \
    OP(0x34, "i64.load32_s", LOAD, I32, I64, 2, WASM_INK_LOAD)                                     \
    OP(0x35, "i64.load32_u", LOAD, I32, I64, 2, WASM_INK_LOAD)                                     \
    OP(0x36, "i32.store", STORE, I32, NONE, 2, WASM_INK_STORE)                                     \
    OP(0x37, "i64.store", STORE, I64, NONE, 3, WASM_INK_STORE)                                     \
    OP(0x38, "f32.store", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x39, "f64.store", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x3a, "i32.store8", STORE, I32, NONE, 0, WASM_INK_STORE)                                    \
    OP(0x3b, "i32.store16", STORE, I32, NONE, 1, WASM_INK_STORE)                                   \
    OP(0x3c, "i64.store8", STORE, I64, NONE, 0, WASM_INK_STORE)                                    \
    OP(0x3d, "i64.store16", STORE, I64, NONE, 1, WASM_INK_STORE)                                   \
    OP(0x3e, "i64.store32", STORE, I64, NONE, 2, WASM_INK_STORE)                                   \
    OP(0x3f, "memory.size", CONTROL, NONE, I32, 0, WASM_INK_MEMORY_SIZE)                           \
    OP(0x40, "memory.grow", CONTROL, I32, I32, 0, WASM_INK_MEMORY_GROW)                            \
    OP(0x41, "i32.const", CONTROL, NONE, I32, 0, WASM_INK_CONSTANT)                                \
    OP(0x42, "i64.const", CONTROL, NONE, I64, 0, WASM_INK_CONSTANT)                                \
    OP(0x43, "f32.const", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x44, "f64.const", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x45, "i32.eqz", UNARY, I32, I32, 0, WASM_INK_COMPARE)                                      \
    OP(0x46, "i32.eq", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                      \
    OP(0x47, "i32.ne", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                      \
    OP(0x48, "i32.lt_s", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x49, "i32.lt_u", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x4a, "i32.gt_s", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x4b, "i32.gt_u", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x4c, "i32.le_s", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x4d, "i32.le_u", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x4e, "i32.ge_s", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x4f, "i32.ge_u", BINARY, I32, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x50, "i64.eqz", UNARY, I64, I32, 0, WASM_INK_COMPARE)                                      \
    OP(0x51, "i64.eq", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                      \
    OP(0x52, "i64.ne", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                      \
    OP(0x53, "i64.lt_s", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x54, "i64.lt_u", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x55, "i64.gt_s", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x56, "i64.gt_u", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x57, "i64.le_s", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x58, "i64.le_u", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x59, "i64.ge_s", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x5a, "i64.ge_u", BINARY, I64, I32, 0, WASM_INK_COMPARE)                                    \
    OP(0x5b, "f32.eq", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x5c, "f32.ne", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x5d, "f32.lt", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x5e, "f32.gt", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x5f, "f32.le", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x60, "f32.ge", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x61, "f64.eq", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x62, "f64.ne", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x63, "f64.lt", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x64, "f64.gt", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x65, "f64.le", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x66, "f64.ge", FLOAT, NONE, NONE, 0, 0)                                                    \
    OP(0x67, "i32.clz", UNARY, I32, I32, 0, WASM_INK_COUNT)                                        \
    OP(0x68, "i32.ctz", UNARY, I32, I32, 0, WASM_INK_COUNT)                                        \
    OP(0x69, "i32.popcnt", UNARY, I32, I32, 0, WASM_INK_COUNT)                                     \
    OP(0x6a, "i32.add", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                      \
    OP(0x6b, "i32.sub", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                      \
    OP(0x6c, "i32.mul", BINARY, I32, I32, 0, WASM_INK_MULTIPLY)                                    \
    OP(0x6d, "i32.div_s", BINARY, I32, I32, 0, WASM_INK_DIVIDE_I32)                                \
    OP(0x6e, "i32.div_u", BINARY, I32, I32, 0, WASM_INK_DIVIDE_I32)                                \
    OP(0x6f, "i32.rem_s", BINARY, I32, I32, 0, WASM_INK_DIVIDE_I32)                                \
    OP(0x70, "i32.rem_u", BINARY, I32, I32, 0, WASM_INK_DIVIDE_I32)                                \
    OP(0x71, "i32.and", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                      \
    OP(0x72, "i32.or", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                       \
    OP(0x73, "i32.xor", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                      \
    OP(0x74, "i32.shl", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                      \
    OP(0x75, "i32.shr_s", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                    \
    OP(0x76, "i32.shr_u", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                    \
    OP(0x77, "i32.rotl", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                     \
    OP(0x78, "i32.rotr", BINARY, I32, I32, 0, WASM_INK_SIMPLE)                                     \
    OP(0x79, "i64.clz", UNARY, I64, I64, 0, WASM_INK_COUNT)                                        \
    OP(0x7a, "i64.ctz", UNARY, I64, I64, 0, WASM_INK_COUNT)                                        \
    OP(0x7b, "i64.popcnt", UNARY, I64, I64, 0, WASM_INK_COUNT)                                     \
    OP(0x7c, "i64.add", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                      \
    OP(0x7d, "i64.sub", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                      \
    OP(0x7e, "i64.mul", BINARY, I64, I64, 0, WASM_INK_MULTIPLY)                                    \
    OP(0x7f, "i64.div_s", BINARY, I64, I64, 0, WASM_INK_DIVIDE_I64)                                \
    OP(0x80, "i64.div_u", BINARY, I64, I64, 0, WASM_INK_DIVIDE_I64)                                \
    OP(0x81, "i64.rem_s", BINARY, I64, I64, 0, WASM_INK_DIVIDE_I64)                                \
    OP(0x82, "i64.rem_u", BINARY, I64, I64, 0, WASM_INK_DIVIDE_I64)                                \
    OP(0x83, "i64.and", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                      \
    OP(0x84, "i64.or", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                       \
    OP(0x85, "i64.xor", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                      \
    OP(0x86, "i64.shl", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                      \
    OP(0x87, "i64.shr_s", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                    \
    OP(0x88, "i64.shr_u", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                    \
    OP(0x89, "i64.rotl", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                     \
    OP(0x8a, "i64.rotr", BINARY, I64, I64, 0, WASM_INK_SIMPLE)                                     \
    OP(0x8b, "f32.abs", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x8c, "f32.neg", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x8d, "f32.ceil", FLOAT, NONE, NONE, 0, 0)                                                  \
    OP(0x8e, "f32.floor", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x8f, "f32.trunc", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x90, "f32.nearest", FLOAT, NONE, NONE, 0, 0)                                               \
    OP(0x91, "f32.sqrt", FLOAT, NONE, NONE, 0, 0)                                                  \
    OP(0x92, "f32.add", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x93, "f32.sub", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x94, "f32.mul", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x95, "f32.div", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x96, "f32.min", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x97, "f32.max", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x98, "f32.copysign", FLOAT, NONE, NONE, 0, 0)                                              \
    OP(0x99, "f64.abs", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x9a, "f64.neg", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0x9b, "f64.ceil", FLOAT, NONE, NONE, 0, 0)                                                  \
    OP(0x9c, "f64.floor", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x9d, "f64.trunc", FLOAT, NONE, NONE, 0, 0)                                                 \
    OP(0x9e, "f64.nearest", FLOAT, NONE, NONE, 0, 0)                                               \
    OP(0x9f, "f64.sqrt", FLOAT, NONE, NONE, 0, 0)                                                  \
    OP(0xa0, "f64.add", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0xa1, "f64.sub", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0xa2, "f64.mul", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0xa3, "f64.div", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0xa4, "f64.min", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0xa5, "f64.max", FLOAT, NONE, NONE, 0, 0)                                                   \
    OP(0xa6, "f64.copysign", FLOAT, NONE, NONE, 0, 0)                                              \
    OP(0xa7, "i32.wrap_i64", UNARY, I64, I32, 0, WASM_INK_SIMPLE)                                  \
    OP(0xa8, "i32.trunc_f32_s", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xa9, "i32.trunc_f32_u", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xaa, "i32.trunc_f64_s", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xab, "i32.trunc_f64_u", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xac, "i64.extend_i32_s", UNARY, I32, I64, 0, WASM_INK_SIMPLE)                              \
    OP(0xad, "i64.extend_i32_u", UNARY, I32, I64, 0, WASM_INK_SIMPLE)                              \
    OP(0xae, "i64.trunc_f32_s", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xaf, "i64.trunc_f32_u", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xb0, "i64.trunc_f64_s", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xb1, "i64.trunc_f64_u", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xb2, "f32.convert_i32_s", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xb3, "f32.convert_i32_u", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xb4, "f32.convert_i64_s", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xb5, "f32.convert_i64_u", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xb6, "f32.demote_f64", FLOAT, NONE, NONE, 0, 0)                                            \
    OP(0xb7, "f64.convert_i32_s", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xb8, "f64.convert_i32_u", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xb9, "f64.convert_i64_s", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xba, "f64.convert_i64_u", FLOAT, NONE, NONE, 0, 0)                                         \
    OP(0xbb, "f64.promote_f32", FLOAT, NONE, NONE, 0, 0)                                           \
    OP(0xbc, "i32.reinterpret_f32", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0xbd, "i64.reinterpret_f64", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0xbe, "f32.reinterpret_i32", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0xbf, "f64.reinterpret_i64", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0xc0, "i32.extend8_s", UNARY, I32, I32, 0, WASM_INK_SIMPLE)                                 \
    OP(0xc1, "i32.extend16_s", UNARY, I32, I32, 0, WASM_INK_SIMPLE)                                \
    OP(0xc2, "i64.extend8_s", UNARY, I64, I64, 0, WASM_INK_SIMPLE)                                 \
    OP(0xc3, "i64.extend16_s", UNARY, I64, I64, 0, WASM_INK_SIMPLE)                                \
    OP(0xc4, "i64.extend32_s", UNARY, I64, I64, 0, WASM_INK_SIMPLE)                                \
    OP(0xd0, "ref.null", REFERENCE, NONE, NONE, 0, 0)                                              \
    OP(0xd1, "ref.is_null", REFERENCE, NONE, NONE, 0, 0)                                           \
    OP(0xd2, "ref.func", REFERENCE, NONE, NONE, 0, 0)                                              \
    OP(0xd3, "ref.eq", REFERENCE, NONE, NONE, 0, 0)                                                \
    OP(0xd4, "ref.as_non_null", REFERENCE, NONE, NONE, 0, 0)                                       \
    OP(0xd5, "br_on_null", REFERENCE, NONE, NONE, 0, 0)                                            \
    OP(0xd6, "br_on_non_null", REFERENCE, NONE, NONE, 0, 0)                                        \
    OP(0xfb, "a garbage collection instruction", GC, NONE, NONE, 0, 0)                             \
    OP(0xfd, "a vector instruction", SIMD, NONE, NONE, 0, 0)                                       \
    OP(0xfe, "an atomic instruction", ATOMIC, NONE, NONE, 0, 0)

/* After the prefix 0xfc. */
#define WASM_PREFIXED(OP)                                                                          \
    OP(0x00, "i32.trunc_sat_f32_s", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x01, "i32.trunc_sat_f32_u", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x02, "i32.trunc_sat_f64_s", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x03, "i32.trunc_sat_f64_u", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x04, "i64.trunc_sat_f32_s", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x05, "i64.trunc_sat_f32_u", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x06, "i64.trunc_sat_f64_s", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x07, "i64.trunc_sat_f64_u", FLOAT, NONE, NONE, 0, 0)                                       \
    OP(0x08, "memory.init", CONTROL, NONE, NONE, 0, WASM_INK_BULK)                                 \
    OP(0x09, "data.drop", CONTROL, NONE, NONE, 0, WASM_INK_DATA_DROP)                              \
    OP(0x0a, "memory.copy", CONTROL, NONE, NONE, 0, WASM_INK_BULK)                                 \
    OP(0x0b, "memory.fill", CONTROL, NONE, NONE, 0, WASM_INK_BULK)                                 \
    OP(0x0c, "table.init", REFERENCE, NONE, NONE, 0, 0)                                            \
    OP(0x0d, "elem.drop", REFERENCE, NONE, NONE, 0, 0)                                             \
    OP(0x0e, "table.copy", REFERENCE, NONE, NONE, 0, 0)                                            \
    OP(0x0f, "table.grow", REFERENCE, NONE, NONE, 0, 0)                                            \
    OP(0x10, "table.size", REFERENCE, NONE, NONE, 0, 0)                                            \
    OP(0x11, "table.fill", REFERENCE, NONE, NONE, 0, 0)                                            \
    OP(0x12, "memory.discard", REFERENCE, NONE, NONE, 0, 0)                                        \
    OP(0x13, "i64.add128", WIDE, NONE, NONE, 0, 0)                                                 \
    OP(0x14, "i64.sub128", WIDE, NONE, NONE, 0, 0)                                                 \
    OP(0x15, "i64.mul_wide_s", WIDE, NONE, NONE, 0, 0)                                             \
    OP(0x16, "i64.mul_wide_u", WIDE, NONE, NONE, 0, 0)
/* clang-format on */

#endif
