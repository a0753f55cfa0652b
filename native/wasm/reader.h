/* A bounded reader of the binary format (WebAssembly core specification, chapter 5). A read that
 * fails gives 0, keeps the first fault and leaves nothing to read, so that loops end by themselves
 * and one check after several reads is enough. */
#ifndef GHOST_WASM_READER_H
#define GHOST_WASM_READER_H

#include <stdbool.h>

#include "opcodes.h"

typedef struct wasm_reader {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *fault_at;
    int fault; /* enum ghost_wasm_reason, OK while all is well */
} wasm_reader;

static inline wasm_reader wasm_reader_of(const uint8_t *data, size_t length) {
    return (wasm_reader){.at = data, .end = data + length};
}

static inline size_t wasm_left(const wasm_reader *reader) {
    return (size_t)(reader->end - reader->at);
}

static inline void wasm_reader_fail(wasm_reader *reader, int reason, const uint8_t *at) {
    if (reader->fault == GHOST_WASM_OK) {
        reader->fault = reason;
        reader->fault_at = at;
    }
    reader->at = reader->end;
}

static inline uint8_t wasm_byte(wasm_reader *reader) {
    if (reader->at == reader->end) {
        wasm_reader_fail(reader, GHOST_WASM_TRUNCATED, reader->at);
        return 0;
    }
    return *reader->at++;
}

/* A LEB128 integer of at most `bits` bits, sign-extended when it is signed: at most ceil(bits / 7)
 * bytes, and nothing but the sign in the bits of the last byte that are beyond its width. */
static inline uint64_t wasm_leb(wasm_reader *reader, unsigned bits, bool is_signed) {
    const uint8_t *start = reader->at;
    uint64_t value = 0;
    unsigned shift = 0;
    while (reader->at != reader->end) {
        const uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        const unsigned room = bits - shift; /* bits of the integer that this byte can hold */
        shift += 7;
        if (room < 7 || (room == 7 && byte >= 0x80)) {
            const uint8_t beyond = (uint8_t)((byte & 0x7f) >> (is_signed ? room - 1 : room));
            const uint8_t ones = (uint8_t)(0x7f >> (room - 1));
            if (byte >= 0x80 || (beyond != 0 && !(is_signed && beyond == ones))) {
                break;
            }
        }
        if (byte < 0x80) {
            if (is_signed && shift < 64 && (byte & 0x40) != 0) {
                value |= ~UINT64_C(0) << shift;
            }
            return value;
        }
    }
    const bool cut = reader->at == reader->end && shift < bits &&
                     (reader->at == start || reader->at[-1] >= 0x80);
    wasm_reader_fail(reader, cut ? GHOST_WASM_TRUNCATED : GHOST_WASM_LEB, start);
    return 0;
}

static inline uint32_t wasm_u32(wasm_reader *reader) {
    if (reader->at != reader->end && *reader->at < 0x80) {
        return *reader->at++;
    }
    return (uint32_t)wasm_leb(reader, 32, false);
}

static inline const uint8_t *wasm_bytes(wasm_reader *reader, uint32_t length) {
    const uint8_t *bytes = reader->at;
    if (length > wasm_left(reader)) {
        wasm_reader_fail(reader, GHOST_WASM_TRUNCATED, bytes);
        return bytes;
    }
    reader->at += length;
    return bytes;
}

/* The type of a block: a signature by its index, or no parameters and at most one result. */
typedef struct wasm_block_type {
    uint32_t index; /* when result is UNKNOWN */
    uint8_t result; /* NONE, a byte of a value type (any: not checked), or UNKNOWN */
} wasm_block_type;

/* A block type is one byte, or a type index as a signed integer of 33 bits. */
static inline wasm_block_type wasm_read_block_type(wasm_reader *reader) {
    const uint8_t *start = reader->at;
    if (start != reader->end && (*start & 0xc0) == 0x40) {
        reader->at++;
        return (wasm_block_type){.result = *start == 0x40 ? WASM_TYPE_NONE : *start};
    }
    const int64_t index = (int64_t)wasm_leb(reader, 33, true);
    if (index < 0) {
        wasm_reader_fail(reader, GHOST_WASM_FORM, start);
    }
    return (wasm_block_type){.index = (uint32_t)index, .result = WASM_TYPE_UNKNOWN};
}

/* One instruction with its immediates. */
typedef struct wasm_instruction {
    const uint8_t *start;
    const wasm_op *op; /* its row in the table */
    uint32_t opcode;   /* enum OP_... */
    uint32_t index;    /* label, function, type, local, global, data; alignment */
    uint32_t other;    /* table of a call_indirect, memory; targets of a br_table */
    wasm_block_type block;
    ghost_view targets; /* of a br_table: other + 1 labels, each a u32 */
} wasm_instruction;

/* Memory indexes are single zero bytes until contracts may have several. */
static inline uint32_t wasm_memory_byte(wasm_reader *reader) {
    return wasm_byte(reader);
}

static inline void wasm_read_targets(wasm_reader *reader, wasm_instruction *instruction) {
    instruction->other = wasm_u32(reader);
    instruction->targets.data = reader->at;
    if (instruction->other >= WASM_BRANCH_TARGETS_MAX) {
        wasm_reader_fail(reader, GHOST_WASM_TOO_MANY, instruction->start);
        return;
    }
    for (uint32_t i = 0; i <= instruction->other; i++) {
        wasm_u32(reader);
    }
    instruction->targets.length = (size_t)(reader->at - instruction->targets.data);
}

static inline void wasm_read_prefixed(wasm_reader *reader, wasm_instruction *instruction) {
    const uint32_t number = wasm_u32(reader);
    static const wasm_op unknown = {.name = "unknown"};
    instruction->op = number < WASM_PREFIXED_OPS ? &wasm_prefixed_ops[number] : &unknown;
    instruction->opcode = OP_PREFIX << 8 | (number & 0xff);
    switch (instruction->op->kind == WASM_KIND_CONTROL ? instruction->opcode : OP_NOP) {
    case OP_MEMORY_INIT:
        instruction->index = wasm_u32(reader);
        instruction->other = wasm_memory_byte(reader);
        break;
    case OP_DATA_DROP:
        instruction->index = wasm_u32(reader);
        break;
    case OP_MEMORY_COPY:
        instruction->other = wasm_memory_byte(reader);
        instruction->other |= wasm_memory_byte(reader);
        break;
    case OP_MEMORY_FILL:
        instruction->other = wasm_memory_byte(reader);
        break;
    default:
        break;
    }
}

/* Takes the next instruction. Only its form is checked, and of an instruction that contracts may
 * not use only the opcode is taken. */
static inline void wasm_next(wasm_reader *reader, wasm_instruction *instruction) {
    instruction->start = reader->at;
    const uint8_t opcode = wasm_byte(reader);
    instruction->opcode = opcode;
    instruction->op = &wasm_ops[opcode];
    switch (instruction->op->kind) {
    case WASM_KIND_LOAD:
    case WASM_KIND_STORE:
        instruction->index = wasm_u32(reader);
        instruction->other = wasm_u32(reader);
        return;
    case WASM_KIND_CONTROL:
        break;
    default:
        if (opcode == OP_PREFIX) {
            wasm_read_prefixed(reader, instruction);
        }
        return;
    }
    switch (opcode) {
    case OP_BLOCK:
    case OP_LOOP:
    case OP_IF:
        instruction->block = wasm_read_block_type(reader);
        break;
    case OP_BR:
    case OP_BR_IF:
    case OP_CALL:
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
    case OP_GLOBAL_GET:
    case OP_GLOBAL_SET:
        instruction->index = wasm_u32(reader);
        break;
    case OP_BR_TABLE:
        wasm_read_targets(reader, instruction);
        break;
    case OP_CALL_INDIRECT:
        instruction->index = wasm_u32(reader);
        instruction->other = wasm_u32(reader);
        break;
    case OP_SELECT_TYPED:
        instruction->index = wasm_u32(reader);
        instruction->other = wasm_byte(reader);
        break;
    case OP_MEMORY_SIZE:
    case OP_MEMORY_GROW:
        instruction->other = wasm_memory_byte(reader);
        break;
    case OP_I32_CONST:
        wasm_leb(reader, 32, true);
        break;
    case OP_I64_CONST:
        wasm_leb(reader, 64, true);
        break;
    default:
        break;
    }
}

#endif
