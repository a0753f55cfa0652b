/* Translation of code for the fast interpreter. One pass over the instructions of a stretch, which
 * holds back what the next instruction may absorb: constants (so that arithmetic on them is done
 * here) and a comparison (so that the jump after it can be one handler with it). */
#include <stdlib.h>

#include "code.h"

enum {
    CHUNK_WORDS_MIN = 128,
    CHUNK_WORDS_MAX = 1024,
    /* all that is held back, the longest instruction with its stub, a header and a jump to the
     * next chunk fit in this */
    CHUNK_MARGIN = 56,
    CONSTANTS_MAX = 4,
    STUB_WORDS = 6,
    WORD_BYTES = (int)sizeof(u256)
};

/* A comparison that has not been emitted: of the two upper words, or of a constant and the top. */
typedef struct comparison {
    uint8_t opcode;               /* STOP: there is none */
    bool is_inverted;             /* ISZERO came after it */
    bool has_word;
    uint64_t word;
} comparison;

typedef struct translator {
    evm_code *code;
    const void *const *handlers;
    uint64_t *block;              /* header of the open block */
    uint64_t pc;
    /* of the open block so far; sizes of the stack relative to its beginning */
    uint64_t gas;
    int64_t size, lowest, highest;
    bool is_empty;
    /* held back: the top of the stack is the constants, the comparison's result below them */
    comparison held;
    unsigned constant_count;
    u256 constants[CONSTANTS_MAX];
} translator;

enum flow { FLOW_ON, FLOW_SPLIT, FLOW_END };

/* ---- words and chunks ---- */

static void emit(translator *to, uint64_t word) {
    *to->code->next++ = word;
}

static void emit_handler(translator *to, unsigned handler) {
    emit(to, (uint64_t)(uintptr_t)to->handlers[handler]);
}

static void emit_with(translator *to, unsigned handler, uint64_t word) {
    emit_handler(to, handler);
    emit(to, word);
}

static void emit_wide(translator *to, unsigned handler, const u256 *word) {
    emit_handler(to, handler);
    for (int i = 0; i < 4; i++)
        emit(to, word->limbs[i]);
}

static bool add_chunk(evm_code *code) {
    size_t words = code->chunks == NULL ? code->length : code->length * 2;
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

/* The address of a jump's target. One that is not translated yet is stood in for by a block of its
 * own at the end of the chunk, which translates it when the jump is first taken. */
static void emit_target(translator *to, uint64_t pc) {
    evm_code *code = to->code;
    const uint64_t *known = code->targets[evm_destination_rank(code, pc)];
    if (known == NULL) {
        const evm_block free_block = {.gas = 0, .needed = 0, .room = UINT16_MAX};
        uint64_t *stub = code->end -= STUB_WORDS;
        stub[0] = (uint64_t)(uintptr_t)to->handlers[H_BLOCK];
        memcpy(&stub[1], &free_block, sizeof free_block);
        stub[2] = pc;
        stub[3] = (uint64_t)(uintptr_t)to->handlers[H_RESOLVE];
        stub[4] = pc;
        stub[5] = (uint64_t)(uintptr_t)code->next;
        known = stub;
    }
    emit(to, (uint64_t)(uintptr_t)known);
}

/* ---- blocks ---- */

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

/* Takes an instruction of the code into the block's account, whatever becomes of it. */
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

/* The opcode of the instruction behind this one; STOP past the end. */
static uint8_t following(const translator *to, uint64_t distance) {
    return to->pc + distance < to->code->length ? to->code->bytes[to->pc + distance] : OP_STOP;
}

/* ---- what is held back ---- */

static const struct comparison_handlers {
    uint8_t opcode;
    uint16_t plain, with_word;
    uint16_t jump, jump_inverted, jump_word, jump_word_inverted;
} comparisons[] = {
    {OP_EQ, OP_EQ, H_EQ_WORD, H_JUMPI_EQ, H_JUMPI_NE, H_JUMPI_EQ_WORD, H_JUMPI_NE_WORD},
    {OP_LT, OP_LT, H_LT_WORD, H_JUMPI_LT, H_JUMPI_GE, H_JUMPI_LT_WORD, H_JUMPI_GE_WORD},
    {OP_GT, OP_GT, H_GT_WORD, H_JUMPI_GT, H_JUMPI_LE, H_JUMPI_GT_WORD, H_JUMPI_LE_WORD},
    {OP_SLT, OP_SLT, 0, H_JUMPI_SLT, H_JUMPI_SGE, 0, 0},
    {OP_SGT, OP_SGT, 0, H_JUMPI_SGT, H_JUMPI_SLE, 0, 0},
    {OP_ISZERO, OP_ISZERO, 0, H_JUMPI_ZERO, H_JUMPI_TO, 0, 0},
};

static const struct comparison_handlers *comparison_of(uint8_t opcode) {
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++)
        if (comparisons[i].opcode == opcode)
            return &comparisons[i];
    return NULL;
}

static void emit_comparison(translator *to) {
    const comparison *held = &to->held;
    if (held->opcode == OP_STOP)
        return;
    const struct comparison_handlers *handlers = comparison_of(held->opcode);
    if (held->has_word)
        emit_with(to, handlers->with_word, held->word);
    else
        emit_handler(to, handlers->plain);
    if (held->is_inverted)
        emit_handler(to, OP_ISZERO);
    to->held.opcode = OP_STOP;
}

/* Emits all that is held back. */
static void release(translator *to) {
    emit_comparison(to);
    for (unsigned i = 0; i < to->constant_count; i++) {
        const u256 *word = &to->constants[i];
        if (!u256_fits_u64(word)) {
            emit_wide(to, H_PUSH_WIDE, word);
        } else if (i + 1 < to->constant_count && u256_fits_u64(word + 1)) {
            emit_with(to, H_PUSH_TWO, word->limbs[0]);
            emit(to, word[1].limbs[0]);
            i++;
        } else {
            emit_with(to, H_PUSH_WORD, word->limbs[0]);
        }
    }
    to->constant_count = 0;
}

static void hold_constant(translator *to, const u256 *word) {
    const u256 copy = *word;
    if (to->constant_count == CONSTANTS_MAX)
        release(to);
    to->constants[to->constant_count++] = copy;
}

/* Takes the top constant, all below it being emitted. */
static u256 take_last_constant(translator *to) {
    const u256 word = to->constants[--to->constant_count];
    release(to);
    return word;
}

/* ---- arithmetic on constants ---- */

static u256 shift(const u256 *bits, const u256 *word, bool is_left) {
    if (!u256_fits_u64(bits) || bits->limbs[0] > 255)
        return (u256){{0}};
    unsigned count = (unsigned)bits->limbs[0];
    return is_left ? u256_shift_left(word, count) : u256_shift_right(word, count, 0);
}

/* a opcode b, for the opcodes that are computed here. */
static bool compute(u256 *out, uint8_t opcode, const u256 *a, const u256 *b) {
    switch (opcode) {
    case OP_ADD:
        u256_add(out, a, b);
        return true;
    case OP_SUB:
        u256_sub(out, a, b);
        return true;
    case OP_MUL:
        *out = u256_mul(a, b);
        return true;
    case OP_AND:
        *out = u256_and(a, b);
        return true;
    case OP_OR:
        *out = u256_or(a, b);
        return true;
    case OP_XOR:
        *out = u256_xor(a, b);
        return true;
    case OP_SHL:
        *out = shift(a, b, true);
        return true;
    case OP_SHR:
        *out = shift(a, b, false);
        return true;
    default:
        return false;
    }
}

/* A two-word operation on held constants; false when it is not one or they are not. */
static bool fold_binary(translator *to, uint8_t opcode) {
    if (to->constant_count < 2)
        return false;
    u256 *below = &to->constants[to->constant_count - 2];
    const u256 a = below[1], b = below[0];
    if (!compute(below, opcode, &a, &b))
        return false;
    to->constant_count--;
    return true;
}

static bool fold_unary(translator *to, uint8_t opcode) {
    if (to->constant_count < 1)
        return false;
    u256 *word = &to->constants[to->constant_count - 1];
    *word = opcode == OP_NOT ? u256_not(word) : u256_from_u64(u256_is_zero(word));
    return true;
}

/* ---- one constant and the word below it ---- */

/* word opcode top, as one handler. False: there is none. */
static bool emit_with_constant(translator *to, uint8_t opcode, const u256 *word) {
    const u256 zero = {{0}};
    u256 negative;
    const bool is_short = u256_fits_u64(word);
    const uint64_t low = word->limbs[0];
    u256_sub(&negative, &zero, word);
    if (opcode == OP_ADD && is_short)
        emit_with(to, H_ADD_WORD, low);
    else if (opcode == OP_ADD && u256_fits_u64(&negative))
        emit_with(to, H_SUB_WORD, negative.limbs[0]);
    else if (opcode == OP_SUB && is_short)
        emit_with(to, H_WORD_SUB, low);
    else if (opcode == OP_AND && is_short)
        emit_with(to, H_AND_WORD, low);
    else if (opcode == OP_AND)
        emit_wide(to, H_AND_WIDE, word);
    else if (opcode == OP_SHL && is_short && low < 256)
        emit_with(to, H_SHL_BY, low);
    else if (opcode == OP_SHR && is_short && low < 256)
        emit_with(to, H_SHR_BY, low);
    else if (opcode == OP_MLOAD && is_short && low <= UINT32_MAX)
        emit_with(to, H_MLOAD_AT, low);
    else if (opcode == OP_MSTORE && is_short && low <= UINT32_MAX)
        emit_with(to, H_MSTORE_AT, low);
    else
        return false;
    return true;
}

static void translate_with_constant(translator *to, uint8_t opcode) {
    const u256 word = take_last_constant(to);
    if (!emit_with_constant(to, opcode, &word)) {
        hold_constant(to, &word);
        release(to);
        emit_handler(to, opcode);
    }
}

/* ---- comparisons ---- */

static void translate_comparison(translator *to, uint8_t opcode) {
    u256 word = {{0}};
    bool has_word = false;
    if (to->constant_count > 0) {
        word = take_last_constant(to);
        has_word = u256_fits_u64(&word) && comparison_of(opcode)->with_word != 0;
        if (!has_word)
            hold_constant(to, &word);
    }
    release(to);
    to->held = (comparison){.opcode = opcode, .has_word = has_word, .word = word.limbs[0]};
}

static void translate_is_zero(translator *to) {
    if (fold_unary(to, OP_ISZERO))
        return;
    if (to->held.opcode != OP_STOP)
        to->held.is_inverted = !to->held.is_inverted;
    else
        translate_comparison(to, OP_ISZERO);
}

/* Whether the instruction at distance, when a comparison, is followed by a jump on its result. */
static bool branches_at(const translator *to, uint64_t distance) {
    while (following(to, distance) == OP_ISZERO)
        distance++;
    uint8_t opcode = following(to, distance);
    if (opcode < OP_PUSH1 || opcode > OP_PUSH4)
        return false;
    return following(to, distance + opcode - OP_PUSH0 + 1) == OP_JUMPI;
}

/* ---- jumps ---- */

static enum flow translate_static_jump(translator *to) {
    const u256 target = to->constants[--to->constant_count];
    bool is_known = u256_fits_u64(&target) && evm_is_destination(to->code, target.limbs[0]);
    u256 word = {{0}};
    bool has_word = false;
    if (is_known && to->constant_count > 0) {
        word = to->constants[to->constant_count - 1];
        has_word = u256_fits_u64(&word);
        to->constant_count -= has_word;
    }
    release(to);
    if (!is_known) {
        emit_handler(to, H_JUMP_BAD);
        return FLOW_END;
    }
    if (has_word)
        emit_with(to, H_PUSH_JUMP, word.limbs[0]);
    else
        emit_handler(to, H_JUMP_TO);
    emit_target(to, target.limbs[0]);
    return FLOW_END;
}

static enum flow translate_static_branch(translator *to) {
    const u256 target = to->constants[--to->constant_count];
    if (!u256_fits_u64(&target) || !evm_is_destination(to->code, target.limbs[0])) {
        release(to);
        emit_handler(to, H_JUMPI_BAD);
        return FLOW_SPLIT;
    }
    const comparison held = to->held;
    if (to->constant_count > 0 || held.opcode == OP_STOP) {
        release(to);
        emit_handler(to, H_JUMPI_TO);
        emit_target(to, target.limbs[0]);
        return FLOW_SPLIT;
    }
    const struct comparison_handlers *handlers = comparison_of(held.opcode);
    to->held.opcode = OP_STOP;
    if (held.has_word)
        emit_handler(to, held.is_inverted ? handlers->jump_word_inverted : handlers->jump_word);
    else
        emit_handler(to, held.is_inverted ? handlers->jump_inverted : handlers->jump);
    emit_target(to, target.limbs[0]);
    if (held.has_word)
        emit(to, held.word);
    return FLOW_SPLIT;
}

/* ---- DUP, SWAP and POP ---- */

static const struct dup_handlers {
    uint8_t opcode;
    uint16_t handler;
} after_dup[] = {
    {OP_ADD, H_DUP_ADD}, {OP_SUB, H_DUP_SUB}, {OP_MUL, H_DUP_MUL}, {OP_AND, H_DUP_AND},
    {OP_OR, H_DUP_OR},   {OP_XOR, H_DUP_XOR}, {OP_EQ, H_DUP_EQ},   {OP_LT, H_DUP_LT},
    {OP_GT, H_DUP_GT},   {OP_SLT, H_DUP_SLT}, {OP_SGT, H_DUP_SGT}, {OP_MLOAD, H_DUP_MLOAD},
    {OP_MSTORE, H_DUP_MSTORE},
};

static unsigned handler_after_dup(const translator *to, uint8_t opcode) {
    if (comparison_of(opcode) != NULL && branches_at(to, 2))
        return 0;
    for (size_t i = 0; i < sizeof after_dup / sizeof after_dup[0]; i++)
        if (after_dup[i].opcode == opcode)
            return after_dup[i].handler;
    return 0;
}

static void translate_dup(translator *to, unsigned depth) {
    const uint8_t next = following(to, 1);
    if (depth <= to->constant_count) {
        const u256 word = to->constants[to->constant_count - depth];
        hold_constant(to, &word);
        return;
    }
    release(to);
    const unsigned handler = depth > 1 ? handler_after_dup(to, next) : 0;
    const uint64_t near = (uint64_t)1 - depth;
    if (handler != 0) {
        emit_with(to, handler, near);
    } else if (depth > 1 && next == OP_DUP2) {
        emit_with(to, H_DUP_OVER, near);
    } else if (depth > 1 && next >= OP_DUP3 && next <= OP_DUP16) {
        emit_with(to, H_DUP_DUP, near);
        emit(to, (uint64_t)1 - (next - OP_DUP1 + 1u));
    } else {
        emit_handler(to, OP_DUP1 + depth - 1);
        return;
    }
    count_instruction(to, next);
    to->pc++;
}

/* What an instruction on two words is when they come the other way round; STOP: no one handler. */
static unsigned reversed(uint8_t opcode) {
    switch (opcode) {
    case OP_ADD:
    case OP_MUL:
    case OP_AND:
    case OP_OR:
    case OP_XOR:
    case OP_EQ:
        return opcode;
    case OP_LT:
        return OP_GT;
    case OP_GT:
        return OP_LT;
    case OP_SLT:
        return OP_SGT;
    case OP_SGT:
        return OP_SLT;
    case OP_SUB:
        return H_SUB_REVERSED;
    case OP_MSTORE:
        return H_MSTORE_REVERSED;
    default:
        return OP_STOP;
    }
}

static void translate_binary(translator *to, uint8_t opcode);

/* SWAP1 and an instruction that takes both words. */
static void translate_reversed(translator *to, unsigned handler) {
    if (handler < H_FIRST) {
        translate_binary(to, (uint8_t)handler);
        return;
    }
    if (handler == H_SUB_REVERSED && to->constant_count > 0) {
        const u256 word = take_last_constant(to);
        if (u256_fits_u64(&word)) {
            emit_with(to, H_SUB_WORD, word.limbs[0]);
            return;
        }
        hold_constant(to, &word);
    }
    release(to);
    emit_handler(to, handler);
}

static void translate_swap(translator *to, unsigned depth) {
    const uint8_t next = following(to, 1);
    if (depth < to->constant_count) {
        u256 *last = &to->constants[to->constant_count - 1];
        const u256 kept = *last;
        *last = *(last - depth);
        *(last - depth) = kept;
        return;
    }
    const unsigned handler = depth == 1 ? reversed(next) : OP_STOP;
    if (handler != OP_STOP) {
        count_instruction(to, next);
        translate_reversed(to, handler);
    } else if (next == OP_POP) {
        count_instruction(to, next);
        release(to);
        if (depth == 1)
            emit_handler(to, H_DROP_BELOW);
        else
            emit_with(to, H_SWAP_POP, (uint64_t)0 - depth);
    } else {
        release(to);
        emit_handler(to, OP_SWAP1 + depth - 1);
        return;
    }
    to->pc++;
}

static void translate_pop(translator *to) {
    if (to->constant_count > 0) {
        to->constant_count--;
        return;
    }
    release(to);
    uint64_t count = 1;
    while (following(to, 1) == OP_POP) {
        count_instruction(to, OP_POP);
        to->pc++;
        count++;
    }
    if (count == 1)
        emit_handler(to, OP_POP);
    else
        emit_with(to, H_POPS, count);
}

/* ---- instructions ---- */

/* Two words, the upper of which may be a constant. */
static void translate_binary(translator *to, uint8_t opcode) {
    if (fold_binary(to, opcode))
        return;
    if (comparison_of(opcode) != NULL) {
        translate_comparison(to, opcode);
    } else if (to->constant_count > 0) {
        translate_with_constant(to, opcode);
    } else {
        release(to);
        emit_handler(to, opcode);
    }
}

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

/* An instruction that has no other form: by its opcode's handler. */
static enum flow translate_plain(translator *to, uint8_t opcode) {
    const uint8_t since = ghost_opcode_table[opcode].since;
    release(to);
    if (since > GHOST_FORK_CANCUN) {
        emit_with(to, H_GATE, since);
        emit(to, opcode);
    }
    emit_handler(to, opcode);
    return flow_after(opcode);
}

static enum flow translate_counted(translator *to, uint8_t opcode) {
    u256 word;
    switch (opcode) {
    case OP_PC:
        word = u256_from_u64(to->pc);
        hold_constant(to, &word);
        return FLOW_ON;
    case OP_DUP1 ... OP_DUP16:
        translate_dup(to, opcode - OP_DUP1 + 1u);
        return FLOW_ON;
    case OP_SWAP1 ... OP_SWAP16:
        translate_swap(to, opcode - OP_SWAP1 + 1u);
        return FLOW_ON;
    case OP_POP:
        translate_pop(to);
        return FLOW_ON;
    case OP_ISZERO:
        translate_is_zero(to);
        return FLOW_ON;
    case OP_NOT:
        return fold_unary(to, opcode) ? FLOW_ON : translate_plain(to, opcode);
    case OP_ADD ... OP_SUB:
    case OP_LT ... OP_EQ:
    case OP_AND ... OP_XOR:
    case OP_SHL:
    case OP_SHR:
    case OP_MLOAD:
    case OP_MSTORE:
        translate_binary(to, opcode);
        return FLOW_ON;
    case OP_JUMP:
        return to->constant_count > 0 ? translate_static_jump(to) : translate_plain(to, opcode);
    case OP_JUMPI:
        return to->constant_count > 0 ? translate_static_branch(to) : translate_plain(to, opcode);
    default:
        return translate_plain(to, opcode);
    }
}

static enum flow translate_instruction(translator *to) {
    const uint8_t opcode = to->code->bytes[to->pc];
    if (ghost_opcode_table[opcode].since == GHOST_FORK_COUNT) {
        emit_with(to, H_UNDEFINED, opcode);
        return FLOW_END;
    }
    count_instruction(to, opcode);
    enum flow flow = FLOW_ON;
    if (opcode >= OP_PUSH0 && opcode <= OP_PUSH32) {
        const unsigned length = opcode - OP_PUSH0;
        const u256 word = u256_from_be_short(to->code->bytes + to->pc + 1, length);
        hold_constant(to, &word);
        to->pc += length;
    } else {
        flow = translate_counted(to, opcode);
    }
    to->pc++;
    return flow;
}

/* ---- stretches ---- */

/* Ends the block and begins another behind it. */
static void split_block(translator *to) {
    end_block(to);
    begin_block(to);
}

/* At a JUMPDEST: true when it begins the next block here, false when it is elsewhere already and
 * control has been sent there. */
static bool pass_destination(translator *to) {
    const uint64_t **target = &to->code->targets[evm_destination_rank(to->code, to->pc)];
    release(to);
    if (*target != NULL) {
        emit_with(to, H_GO_ON, (uint64_t)(uintptr_t)*target);
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
    if (to->code->end - to->code->next >= CHUNK_MARGIN)
        return true;
    release(to);
    uint64_t *place = to->code->next;
    if (!add_chunk(to->code)) {
        *place = (uint64_t)(uintptr_t)to->handlers[H_NO_MEMORY];
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
    if (code->end - code->next < CHUNK_MARGIN + BLOCK_HEADER_WORDS && !add_chunk(code))
        return NULL;
    translator to = {.code = code, .handlers = evm_fast_handlers(), .pc = pc};
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
