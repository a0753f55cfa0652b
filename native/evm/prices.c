/* What an instruction is going to take, worked out before it runs: for tracers, which are told of
 * it then. Says what geth's interpreter would say of the same instruction: the constant part, then
 * the end of memory, then all that depends on operands and state; and where that ends, why.
 * The instructions themselves charge elsewhere: tests compare both. */
#include <stdlib.h>

#include "frame.h"

enum {
    GAS_COLD_BENEFICIARY = 2600,
    GAS_EXP_BYTE = 50,
    PREIMAGE_PADDING_MAX = 1 << 20
};

/* The largest memory that geth prices. */
static const uint64_t memory_priced_max = 0x1fffffffe0;

/* Where an instruction reaches in memory: places of operands, the top word's is 0. */
typedef struct reach {
    int8_t offset, size;          /* size -1 and below: that many bytes less one, as a constant */
} reach;

enum { WORD = -32, BYTE = -1 };

static const u256 *operand(const evm_frame *frame, int place) {
    return frame->top - place;
}

static unsigned find_reach(uint8_t opcode, reach out[2]) {
    switch (opcode) {
    case OP_KECCAK256:
    case OP_LOG0 ... OP_LOG4:
    case OP_RETURN:
    case OP_REVERT:
        out[0] = (reach){0, 1};
        return 1;
    case OP_CALLDATACOPY:
    case OP_CODECOPY:
    case OP_RETURNDATACOPY:
        out[0] = (reach){0, 2};
        return 1;
    case OP_EXTCODECOPY:
        out[0] = (reach){1, 3};
        return 1;
    case OP_MCOPY:
        out[0] = (reach){0, 2};
        out[1] = (reach){1, 2};
        return 2;
    case OP_MLOAD:
    case OP_MSTORE:
        out[0] = (reach){0, WORD};
        return 1;
    case OP_MSTORE8:
        out[0] = (reach){0, BYTE};
        return 1;
    case OP_CREATE:
    case OP_CREATE2:
        out[0] = (reach){1, 2};
        return 1;
    case OP_CALL:
    case OP_CALLCODE:
        out[0] = (reach){3, 4};
        out[1] = (reach){5, 6};
        return 2;
    case OP_DELEGATECALL:
    case OP_STATICCALL:
        out[0] = (reach){2, 3};
        out[1] = (reach){4, 5};
        return 2;
    default:
        return 0;
    }
}

/* Where the instruction's memory will end; false: beyond 64 bits. */
static bool memory_end(const evm_frame *frame, uint8_t opcode, uint64_t *end) {
    reach ranges[2];
    unsigned count = find_reach(opcode, ranges);
    *end = 0;
    for (unsigned i = 0; i < count; i++) {
        const u256 *offset = operand(frame, ranges[i].offset);
        uint64_t size = (uint64_t)-ranges[i].size;
        if (ranges[i].size >= 0) {
            const u256 *given = operand(frame, ranges[i].size);
            if (!u256_fits_u64(given))
                return false;
            size = given->limbs[0];
        }
        if (size == 0)
            continue;
        uint64_t last;
        if (!u256_fits_u64(offset) || __builtin_add_overflow(offset->limbs[0], size, &last) ||
            last > UINT64_MAX - 31)
            return false;
        if (last > *end)
            *end = last;
    }
    return true;
}

static uint64_t expansion_gas(const evm_frame *frame, uint64_t end) {
    uint64_t words = evm_words(end), before = frame->memory_size / 32;
    if (words <= before)
        return 0;
    return 3 * words + words * words / 512 - (3 * before + before * before / 512);
}

static int fail(ghost_step *step, uint8_t kind, uint32_t want) {
    step->exit = GHOST_EXIT_OUT_OF_GAS;
    step->fault = (ghost_fault){.kind = kind, .want = want};
    return 0;
}

/* Sizes are those of memory that is priced already, so that no sum overflows. */
static uint64_t word_gas(const u256 *size, uint64_t gas) {
    return evm_words(size->limbs[0]) * gas;
}

static int price_account(const evm_frame *frame, int place, uint64_t *gas,
                         ghost_account **account) {
    ghost_address address = u256_to_address(operand(frame, place));
    *account = ghost_state_account(frame->vm->state, &address);
    if (*account == NULL)
        return GHOST_EXIT_ABORT;
    if (ghost_state_account_is_cold(frame->vm->state, *account))
        *gas += GAS_COLD_ACCOUNT;
    return 0;
}

static int price_slot(const evm_frame *frame, ghost_step *step, bool is_write, uint64_t *gas) {
    ghost_slot slot;
    bool is_cold;
    if (is_write && frame->message->is_static)
        return fail(step, GHOST_FAULT_STATIC, 0);
    if (is_write && frame->gas <= GAS_STIPEND)
        return fail(step, GHOST_FAULT_SENTRY, 0);
    if (!ghost_state_peek_slot(frame->vm->state, frame->self, frame->top, &slot, &is_cold))
        return GHOST_EXIT_ABORT;
    if (!is_write) {
        *gas = is_cold ? GAS_COLD_SLOT + GAS_WARM : GAS_WARM;
        return 0;
    }
    const u256 *value = operand(frame, 1);
    *gas = ghost_storage_price(&slot, value, is_cold);
    if (!u256_equal(&slot.value, value))
        step->refund += ghost_storage_refund(&slot, value);
    return 0;
}

static int price_destruct(const evm_frame *frame, ghost_step *step, uint64_t *gas) {
    uint64_t cold = 0;
    ghost_account *heir;
    if (frame->message->is_static)
        return fail(step, GHOST_FAULT_STATIC, 0);
    if (price_account(frame, 0, &cold, &heir) != 0)
        return GHOST_EXIT_ABORT;
    *gas = cold == 0 ? 0 : GAS_COLD_BENEFICIARY;
    if (frame->gas - step->cost < *gas)
        return fail(step, GHOST_FAULT_TWICE, 0);
    if (!u256_is_zero(&frame->self->balance) && ghost_account_is_empty(heir))
        *gas += GAS_NEW_ACCOUNT;
    return 0;
}

static size_t init_code_max(const evm_frame *frame) {
    const uint64_t offset = operand(frame, 1)->limbs[0];
    size_t code_bytes_max = frame->vm->code_bytes_max;
    if (frame->memory_size < 8 || offset > frame->memory_size - 8)
        return 2 * code_bytes_max;
    return ghost_init_code_max(frame->vm->hybrid, code_bytes_max, frame->memory + offset, 8);
}

static int price_creation(const evm_frame *frame, ghost_step *step, uint64_t *gas) {
    uint64_t size = operand(frame, 2)->limbs[0], per_word = GAS_INIT_CODE_WORD;
    if (size > 2 * (size_t)frame->vm->code_bytes_max && size > init_code_max(frame)) {
        fail(step, GHOST_FAULT_INIT_CODE, (uint32_t)size);
        step->fault.have = 2 * frame->vm->code_bytes_max;
        return 0;
    }
    if (step->opcode == OP_CREATE2)
        per_word += GAS_KECCAK_WORD;
    *gas += word_gas(operand(frame, 2), per_word);
    return 0;
}

/* What a delegation (EIP-7702) adds. */
static int price_delegate(const evm_frame *frame, ghost_account *callee, uint64_t *gas) {
    ghost_address delegate;
    const ghost_code *code = ghost_state_code(frame->vm->state, callee);
    if (code == NULL)
        return GHOST_EXIT_ABORT;
    if (!ghost_code_delegate(code, &delegate))
        return 0;
    const ghost_account *account = ghost_state_account(frame->vm->state, &delegate);
    if (account == NULL)
        return GHOST_EXIT_ABORT;
    *gas += GAS_WARM;
    /* One that delegates to itself has been reached by then. */
    if (account != callee && ghost_state_account_is_cold(frame->vm->state, account))
        *gas += GAS_COLD_ACCOUNT;
    return 0;
}

/* *gas: of memory already. The callee's own is added. */
static int price_call(const evm_frame *frame, ghost_step *step, uint64_t *gas) {
    bool is_call = step->opcode == OP_CALL;
    bool has_value = (is_call || step->opcode == OP_CALLCODE) && !u256_is_zero(operand(frame, 2));
    bool counts_apart = frame->vm->fork >= GHOST_FORK_PRAGUE;
    bool writes = has_value && is_call;
    ghost_account *callee;
    if (writes && frame->message->is_static && counts_apart)
        return fail(step, GHOST_FAULT_STATIC, 0);
    uint64_t left = frame->gas - step->cost, cold = 0;
    if (price_account(frame, 1, &cold, &callee) != 0)
        return GHOST_EXIT_ABORT;
    if (left < cold)
        return fail(step, GHOST_FAULT_TWICE, 0);
    if (writes && frame->message->is_static)
        return fail(step, GHOST_FAULT_STATIC, 0);
    *gas += cold;
    if (has_value)
        *gas += GAS_CALL_VALUE;
    if ((is_call || counts_apart) && left < *gas)
        return fail(step, GHOST_FAULT_TWICE, 0);
    if (writes && ghost_account_is_empty(callee))
        *gas += GAS_NEW_ACCOUNT;
    if (counts_apart && left < *gas)
        return fail(step, GHOST_FAULT_TWICE, 0);
    if (counts_apart && price_delegate(frame, callee, gas) != 0)
        return GHOST_EXIT_ABORT;
    if (counts_apart && left < *gas)
        return fail(step, GHOST_FAULT_TWICE, 0);
    /* Wraps around where the price is not there, as geth's does. */
    uint64_t room = ghost_all_but_one_64th(left - *gas);
    if (u256_fits_u64(frame->top) && frame->top->limbs[0] < room)
        room = frame->top->limbs[0];
    if (__builtin_add_overflow(*gas, room, gas))
        return fail(step, GHOST_FAULT_MEMORY, 0);
    return 0;
}

static unsigned byte_length(const u256 *word) {
    for (int i = 3; i >= 0; i--)
        if (word->limbs[i] != 0)
            return (unsigned)i * 8 + (71 - (unsigned)__builtin_clzll(word->limbs[i])) / 8;
    return 0;
}

/* What comes on top of the constant part; *gas has the memory's already. 0 or ABORT. */
static int price_rest(const evm_frame *frame, ghost_step *step, uint64_t *gas) {
    const uint8_t opcode = step->opcode;
    ghost_account *account;
    switch (opcode) {
    case OP_EXP:
        *gas = ghost_opcode_table[OP_EXP].gas + byte_length(operand(frame, 1)) * GAS_EXP_BYTE;
        return 0;
    case OP_KECCAK256:
        *gas += word_gas(operand(frame, 1), GAS_KECCAK_WORD);
        return 0;
    case OP_CALLDATACOPY:
    case OP_CODECOPY:
    case OP_RETURNDATACOPY:
    case OP_MCOPY:
        *gas += word_gas(operand(frame, 2), GAS_COPY_WORD);
        return 0;
    case OP_EXTCODECOPY:
        *gas += word_gas(operand(frame, 3), GAS_COPY_WORD);
        return price_account(frame, 0, gas, &account);
    case OP_BALANCE:
    case OP_EXTCODESIZE:
    case OP_EXTCODEHASH:
        return price_account(frame, 0, gas, &account);
    case OP_SLOAD:
    case OP_SSTORE:
        return price_slot(frame, step, opcode == OP_SSTORE, gas);
    case OP_LOG0 ... OP_LOG4:
        *gas += ghost_opcode_table[opcode].gas + GAS_LOG_BYTE * operand(frame, 1)->limbs[0];
        return 0;
    case OP_CREATE:
    case OP_CREATE2:
        if (frame->message->is_static)
            return fail(step, GHOST_FAULT_STATIC, 0);
        return price_creation(frame, step, gas);
    case OP_CALL:
    case OP_CALLCODE:
    case OP_DELEGATECALL:
    case OP_STATICCALL:
        return price_call(frame, step, gas);
    case OP_SELFDESTRUCT:
        return price_destruct(frame, step, gas);
    default:
        return 0;
    }
}

/* geth counts these in what depends on operands. */
static uint64_t constant_gas(uint8_t opcode) {
    if (opcode == OP_SLOAD || opcode == OP_EXP || (opcode >= OP_LOG0 && opcode <= OP_LOG4))
        return 0;
    return ghost_opcode_table[opcode].gas;
}

/* Fills cost, exit, fault and adds to refund. 0 or ABORT. */
static int price(const evm_frame *frame, ghost_step *step) {
    const ghost_opcode_info info = ghost_opcode_table[step->opcode];
    if (info.since > frame->vm->fork)
        return 0;
    step->cost = constant_gas(step->opcode);
    const uint32_t limit = STACK_WORDS_MAX + info.taken - info.left;
    if (step->stack_size < info.taken) {
        step->exit = GHOST_EXIT_STACK_UNDERFLOW;
        step->fault = (ghost_fault){.have = step->stack_size, .want = info.taken};
        return 0;
    }
    if (step->stack_size > limit) {
        step->exit = GHOST_EXIT_STACK_OVERFLOW;
        step->fault = (ghost_fault){.have = step->stack_size, .want = limit};
        return 0;
    }
    if (frame->gas < step->cost)
        return fail(step, GHOST_FAULT_NONE, 0);
    uint64_t end, gas = 0;
    if (!memory_end(frame, step->opcode, &end))
        return fail(step, GHOST_FAULT_OVERFLOW, 0);
    bool is_guarded = step->opcode == OP_CREATE || step->opcode == OP_CREATE2;
    if (end > memory_priced_max && !(is_guarded && frame->message->is_static))
        return fail(step, GHOST_FAULT_MEMORY, 0);
    if (end != 0)
        gas = expansion_gas(frame, end);
    if (price_rest(frame, step, &gas) != 0)
        return GHOST_EXIT_ABORT;
    if (step->exit != 0)
        return 0;
    const uint64_t left = frame->gas - step->cost;
    step->cost += gas;
    return left < gas ? fail(step, GHOST_FAULT_NONE, 0) : 0;
}

int evm_tell_hash(evm_frame *frame) {
    const ghost_tracer *tracer = frame->vm->tracer;
    if (frame->top - frame->bottom < 2)
        return 0;
    const uint64_t offset = frame->top->limbs[0], size = (frame->top - 1)->limbs[0];
    const uint64_t length = frame->memory_size;
    if (offset > INT64_MAX || size > INT64_MAX ||
        (offset + size > length && offset + size - length > PREIMAGE_PADDING_MAX))
        return 0;
    if (size == 0 || offset + size <= length) {
        tracer->hash(tracer->context, size == 0 ? NULL : frame->memory + offset, size);
        return 0;
    }
    uint8_t *padded = calloc(1, size);
    if (padded == NULL) {
        frame->vm->status = GHOST_OUT_OF_MEMORY;
        return GHOST_EXIT_ABORT;
    }
    if (offset < length)
        memcpy(padded, frame->memory + offset, length - offset);
    tracer->hash(tracer->context, padded, size);
    free(padded);
    return 0;
}

int evm_tell_step(evm_frame *frame, uint64_t pc, uint8_t opcode) {
    const ghost_tracer *tracer = frame->vm->tracer;
    ghost_step step = {
        .message = frame->message,
        .self = frame->self,
        .code = frame->code,
        .pc = (uint32_t)pc,
        .opcode = opcode,
        .gas = frame->gas,
        .refund = ghost_state_refund_counter(frame->vm->state),
        .stack_top = frame->top,
        .stack_size = (uint32_t)(frame->top - frame->bottom),
        .memory = frame->memory,
        .memory_size = frame->memory_size,
        .return_data = frame->return_data,
        .return_length = frame->return_length,
    };
    if (price(frame, &step) != 0)
        return GHOST_EXIT_ABORT;
    if (step.exit != 0)
        frame->vm->fault = step.fault;
    return tracer->step(tracer->context, &step);
}
