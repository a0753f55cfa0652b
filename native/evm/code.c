/* Jump destinations, and the translation of code for the fast interpreter. */
#include "code.h"

#include <stdlib.h>

enum {
    CHUNK_WORDS_MIN = 64,
    CHUNK_WORDS_MAX = 1024,
    JUMPS_MIN = 8,
    JUMPS_MAX = 512,
    /* the longest instruction, a header and a jump to the next chunk fit in this */
    CHUNK_MARGIN = 16,
    WORD_BYTES = (int)sizeof(u256)
};

/* ---- jump destinations ---- */

static uint64_t mark_destinations(evm_code *code) {
    const uint8_t *bytes = code->bytes;
    for (uint64_t pc = 0; pc < code->length; pc++) {
        const uint8_t opcode = bytes[pc];
        if (opcode == OP_JUMPDEST)
            code->groups[pc / 64].bits |= UINT64_C(1) << (pc % 64);
        else if (opcode >= OP_PUSH1 && opcode <= OP_PUSH32)
            pc += opcode - OP_PUSH0;
    }
    uint64_t count = 0;
    for (uint64_t i = 0; i < code->length / 64 + 1; i++) {
        code->groups[i].before = count;
        count += evm_bit_count(code->groups[i].bits);
    }
    return count;
}

void *ghost_evm_analyse(const uint8_t *bytes, size_t length) {
    size_t size = sizeof(evm_code) + (length / 64 + 1) * sizeof(evm_jump_group);
    evm_code *code = calloc(1, size);
    if (code == NULL)
        return NULL;
    code->bytes = bytes;
    code->length = length;
    uint64_t count = mark_destinations(code), jumps = JUMPS_MIN;
    while (jumps < count && jumps < JUMPS_MAX)
        jumps *= 2;
    code->targets = calloc(count + 1, sizeof *code->targets);
    code->jumps = calloc(jumps, sizeof *code->jumps);
    code->jump_mask = jumps - 1;
    code->memory = size + (count + 1) * sizeof *code->targets + jumps * sizeof *code->jumps;
    if (code->targets == NULL || code->jumps == NULL) {
        ghost_evm_analysis_free(code);
        return NULL;
    }
    /* a place that does not belong where it stands is never found */
    for (uint64_t i = 0; i < jumps; i++)
        code->jumps[i].pc = i ^ 1;
    return code;
}

void ghost_evm_analysis_free(void *analysis) {
    evm_code *code = analysis;
    if (code == NULL)
        return;
    for (evm_chunk *chunk = code->chunks; chunk != NULL;) {
        evm_chunk *previous = chunk->previous;
        free(chunk);
        chunk = previous;
    }
    free(code->targets);
    free(code->jumps);
    free(code);
}

size_t ghost_evm_analysis_size(const void *analysis) {
    return analysis == NULL ? 0 : ((const evm_code *)analysis)->memory;
}

/* ---- translation ---- */

typedef struct translator {
    evm_code *code;
    const void *const *handlers;
    uint64_t *block;              /* header of the open block */
    uint64_t pc;
    /* of the open block so far; sizes of the stack relative to its beginning */
    uint64_t gas;
    int64_t size, lowest, highest;
    bool is_empty;
} translator;

static void emit(translator *to, uint64_t word) {
    *to->code->next++ = word;
}

static void emit_handler(translator *to, unsigned handler) {
    emit(to, (uint64_t)(uintptr_t)to->handlers[handler]);
}

static bool add_chunk(evm_code *code) {
    size_t words = code->chunks == NULL ? code->length / 2 : code->length * 2;
    words = words < CHUNK_WORDS_MIN ? CHUNK_WORDS_MIN : words;
    words = words > CHUNK_WORDS_MAX ? CHUNK_WORDS_MAX : words;
    evm_chunk *chunk = malloc(sizeof(evm_chunk) + words * sizeof(uint64_t));
    if (chunk == NULL)
        return false;
    chunk->previous = code->chunks;
    code->chunks = chunk;
    code->memory += sizeof(evm_chunk) + words * sizeof(uint64_t);
    code->next = chunk->words;
    code->end = chunk->words + words;
    return true;
}

static void begin_block(translator *to) {
    to->block = to->code->next;
    to->gas = 0;
    to->size = to->lowest = to->highest = 0;
    to->is_empty = true;
    emit_handler(to, H_BLOCK);
    emit(to, 0);
    emit(to, to->pc);
}

/* Fills the header in. A block that no stack can serve gets bounds that none meets, and so ends
 * in the careful interpreter. */
static void end_block(translator *to) {
    evm_block block = {.gas = (uint32_t)to->gas, .needed = UINT16_MAX, .room = 0};
    int64_t needed = -to->lowest, room = STACK_WORDS_MAX - to->highest - needed;
    if (needed <= STACK_WORDS_MAX && room >= 0) {
        block.needed = (uint16_t)(needed * WORD_BYTES);
        block.room = (uint16_t)(room * WORD_BYTES);
    }
    memcpy(to->block + 1, &block, sizeof block);
}

static void count_instruction(translator *to, uint8_t opcode) {
    const ghost_opcode_info *info = &ghost_opcode_table[opcode];
    to->is_empty = false;
    to->gas += info->gas;
    if (to->size - info->taken < to->lowest)
        to->lowest = to->size - info->taken;
    to->size += info->left - info->taken;
    if (to->size > to->highest)
        to->highest = to->size;
}

/* Ends the block and begins another behind it. */
static void split_block(translator *to) {
    end_block(to);
    begin_block(to);
}

static void emit_push(translator *to, const u256 *word) {
    if (u256_fits_u64(word)) {
        emit_handler(to, H_PUSH_WORD);
        emit(to, word->limbs[0]);
    } else {
        emit_handler(to, H_PUSH_WIDE);
        for (int i = 0; i < 4; i++)
            emit(to, word->limbs[i]);
    }
}

/* PUSH and the JUMP or JUMPI after it. */
static void emit_static_jump(translator *to, const u256 *target, uint8_t opcode) {
    bool is_conditional = opcode == OP_JUMPI;
    if (!u256_fits_u64(target) || !evm_is_destination(to->code, target->limbs[0])) {
        emit_handler(to, is_conditional ? H_JUMPI_BAD : H_JUMP_BAD);
        return;
    }
    const uint64_t *known = to->code->targets[evm_destination_rank(to->code, target->limbs[0])];
    if (known != NULL) {
        emit_handler(to, is_conditional ? H_JUMPI_TO : H_JUMP_TO);
        emit(to, (uint64_t)(uintptr_t)known);
    } else {
        emit_handler(to, is_conditional ? H_JUMPI_NEW : H_JUMP_NEW);
        emit(to, target->limbs[0]);
    }
}

/* Returns the jump behind a PUSH, already counted, or the next instruction's opcode. */
static uint8_t translate_push(translator *to, uint8_t opcode) {
    const unsigned length = opcode - OP_PUSH0;
    u256 word = u256_from_be_short(to->code->bytes + to->pc + 1, length);
    count_instruction(to, opcode);
    to->pc += 1 + length;
    if (to->pc < to->code->length) {
        const uint8_t next = to->code->bytes[to->pc];
        if (next == OP_JUMP || next == OP_JUMPI) {
            count_instruction(to, next);
            emit_static_jump(to, &word, next);
            to->pc++;
            return next;
        }
    }
    emit_push(to, &word);
    return OP_PUSH1;
}

enum flow { FLOW_ON, FLOW_SPLIT, FLOW_END };

static enum flow flow_after(uint8_t opcode) {
    switch (opcode) {
    case OP_JUMPI:
    case OP_GAS:
    case OP_SSTORE:
    case OP_CREATE:
    case OP_CREATE2:
    case OP_CALL:
    case OP_CALLCODE:
    case OP_DELEGATECALL:
    case OP_STATICCALL:
        return FLOW_SPLIT;
    case OP_STOP:
    case OP_JUMP:
    case OP_RETURN:
    case OP_REVERT:
    case OP_INVALID:
    case OP_SELFDESTRUCT:
        return FLOW_END;
    default:
        return FLOW_ON;
    }
}

static enum flow translate_instruction(translator *to) {
    const uint8_t opcode = to->code->bytes[to->pc];
    const ghost_opcode_info *info = &ghost_opcode_table[opcode];
    if (info->since == GHOST_FORK_COUNT) {
        emit_handler(to, H_UNDEFINED);
        return FLOW_END;
    }
    if (opcode >= OP_PUSH1 && opcode <= OP_PUSH32)
        return flow_after(translate_push(to, opcode));
    if (info->since > GHOST_FORK_CANCUN) {
        emit_handler(to, H_GATE);
        emit(to, info->since);
    }
    count_instruction(to, opcode);
    if (opcode == OP_PC) {
        u256 word = u256_from_u64(to->pc);
        emit_push(to, &word);
    } else {
        emit_handler(to, opcode);
    }
    to->pc++;
    return flow_after(opcode);
}

/* At a JUMPDEST: true when the open block goes on with it (as a block of its own), false when the
 * destination is elsewhere already and control has been sent there. */
static bool pass_destination(translator *to) {
    const uint64_t **target = &to->code->targets[evm_destination_rank(to->code, to->pc)];
    if (*target != NULL) {
        emit_handler(to, H_GO_ON);
        emit(to, (uint64_t)(uintptr_t)*target);
        return false;
    }
    if (!to->is_empty)
        split_block(to);
    *target = to->block;
    count_instruction(to, OP_JUMPDEST);
    to->pc++;
    return true;
}

/* Goes on in a new chunk, by way of a block of its own, when this one is nearly full. */
static bool make_room(translator *to) {
    uint64_t *place = to->code->next;
    if (to->code->end - place >= CHUNK_MARGIN)
        return true;
    if (!add_chunk(to->code)) {
        emit_handler(to, H_NO_MEMORY);
        end_block(to);
        return false;
    }
    place[0] = (uint64_t)(uintptr_t)to->handlers[H_GO_ON];
    place[1] = (uint64_t)(uintptr_t)to->code->next;
    split_block(to);
    return true;
}

const uint64_t *evm_translate(evm_code *code, uint64_t pc) {
    const uint64_t **known = &code->entry;
    if (evm_is_destination(code, pc))
        known = &code->targets[evm_destination_rank(code, pc)];
    if (*known != NULL)
        return *known;
    translator to = {.code = code, .handlers = evm_fast_handlers(), .pc = pc};
    if (code->end - code->next < CHUNK_MARGIN + BLOCK_HEADER_WORDS && !add_chunk(code))
        return NULL;
    begin_block(&to);
    const uint64_t *first = to.block;
    for (;;) {
        if (!make_room(&to))
            return NULL;
        if (to.pc < code->length && code->bytes[to.pc] == OP_JUMPDEST) {
            if (!pass_destination(&to))
                break;
            continue;
        }
        enum flow flow = translate_instruction(&to);
        if (flow == FLOW_END)
            break;
        if (flow == FLOW_SPLIT)
            split_block(&to);
    }
    end_block(&to);
    *known = first;
    if (pc == 0)
        code->entry = first;
    return first;
}

const uint64_t *evm_find_target(evm_code *code, const u256 *target, int *exit) {
    const uint64_t pc = target->limbs[0];
    if (!u256_fits_u64(target) || !evm_is_destination(code, pc)) {
        *exit = GHOST_EXIT_BAD_JUMP;
        return NULL;
    }
    const uint64_t *found = evm_translate(code, pc);
    if (found == NULL)
        *exit = GHOST_EXIT_ABORT;
    else
        code->jumps[pc & code->jump_mask] = (evm_jump){pc, found};
    return found;
}
