/* Calls and creations: what the instruction charges and hands on. Depth, balance and nonce are
 * looked at by the executor, which refuses with the gas given back. */
#include "frame.h"

static void keep_output(evm_frame *frame, bool keep) {
    frame->return_data = keep ? frame->child_result.output : NULL;
    frame->return_length = keep ? frame->child_result.output_length : 0;
}

/* Runs frame->child and leaves its output where the caller asked, whether it succeeded in *word. */
static int enter(evm_frame *frame, const u256 *target, const u256 *size, u256 *word) {
    const ghost_call_result *result = &frame->child_result;
    frame->vm->memory->stack_next = frame->top + 1;
    ghost_call(frame->vm, &frame->child, &frame->child_result);
    if (result->exit == GHOST_EXIT_ABORT)
        return GHOST_EXIT_ABORT;
    frame->gas += result->gas_left;
    keep_output(frame, result->exit <= GHOST_EXIT_REVERT);
    size_t copied = frame->return_length < size->limbs[0] ? frame->return_length
                                                          : (size_t)size->limbs[0];
    if (copied > 0)
        memcpy(frame->memory + target->limbs[0], frame->return_data, copied);
    *word = u256_from_u64(result->exit == GHOST_EXIT_SUCCESS);
    return 0;
}

/* Out of gas before the price was known: geth checks its parts one by one from Prague on, and
 * those of CALL but for the price of a new account before. */
static int refuse_price(evm_frame *frame, bool is_in_parts) {
    ghost_fault *fault = &frame->vm->fault;
    if (fault->kind == GHOST_FAULT_NONE && is_in_parts)
        fault->kind = GHOST_FAULT_TWICE;
    return GHOST_EXIT_OUT_OF_GAS;
}

/* Before Prague geth charged for a cold callee before all else. */
static bool cannot_reach(evm_frame *frame) {
    if (frame->vm->fork >= GHOST_FORK_PRAGUE || frame->gas >= GAS_COLD_ACCOUNT)
        return false;
    const ghost_address *address = &frame->child.code_address;
    const ghost_account *callee = ghost_state_account(frame->vm->state, address);
    return callee != NULL && ghost_state_account_is_cold(frame->vm->state, callee);
}

/* Charges for all that comes before the callee's own gas, which is left in frame->child.gas. */
static int charge_call(evm_frame *frame, const u256 *ranges, bool has_value) {
    const u256 *requested = frame->top;
    ghost_message *child = &frame->child;
    const bool counts_apart = frame->vm->fork >= GHOST_FORK_PRAGUE;
    const bool is_in_parts = child->kind == GHOST_CALL || counts_apart || cannot_reach(frame);
    ghost_account *callee;
    int exit = evm_memory_use(frame, &ranges[3], &ranges[2]);
    if (exit == 0)
        exit = evm_memory_use(frame, &ranges[1], &ranges[0]);
    uint64_t cost = has_value ? GAS_CALL_VALUE : 0;
    if (exit == 0)
        exit = ghost_access_callee(frame->vm, &child->code_address, &cost, &callee);
    if (exit != 0)
        return exit == GHOST_EXIT_OUT_OF_GAS ? refuse_price(frame, is_in_parts) : exit;
    if (!evm_charge(frame, cost))
        return refuse_price(frame, is_in_parts);
    if (has_value && child->kind == GHOST_CALL && ghost_account_is_empty(callee) &&
        !evm_charge(frame, GAS_NEW_ACCOUNT))
        return refuse_price(frame, counts_apart);
    uint64_t gas = ghost_all_but_one_64th(frame->gas);
    if (u256_fits_u64(requested) && requested->limbs[0] < gas)
        gas = requested->limbs[0];
    frame->gas -= gas;
    child->gas = gas + (has_value ? GAS_STIPEND : 0);
    return 0;
}

/* A CALL with value in a static frame. */
static int refuse_value(evm_frame *frame) {
    return cannot_reach(frame) ? refuse_price(frame, true) : evm_refuse_write(frame);
}

/* ranges: output size, output offset, input size, input offset, in the stack's order upwards. */
static int call(evm_frame *frame, unsigned operands, bool has_value) {
    u256 *ranges = frame->top - (operands - 1);
    ghost_message *child = &frame->child;
    int exit = charge_call(frame, ranges, has_value);
    if (exit != 0)
        return exit;
    child->depth = frame->message->depth + 1;
    child->is_static = frame->message->is_static || child->kind == GHOST_STATICCALL;
    child->input_length = ranges[2].limbs[0];
    child->input = child->input_length == 0 ? NULL : frame->memory + ranges[3].limbs[0];
    exit = enter(frame, &ranges[1], &ranges[0], ranges);
    frame->top = ranges;
    return exit;
}

int evm_call(evm_frame *frame) {
    ghost_message *child = &frame->child;
    child->kind = GHOST_CALL;
    child->code_address = u256_to_address(frame->top - 1);
    child->recipient = child->code_address;
    child->sender = frame->self->address;
    child->value = *(frame->top - 2);
    bool has_value = !u256_is_zero(&child->value);
    if (has_value && frame->message->is_static)
        return refuse_value(frame);
    return call(frame, 7, has_value);
}

int evm_callcode(evm_frame *frame) {
    ghost_message *child = &frame->child;
    child->kind = GHOST_CALLCODE;
    child->code_address = u256_to_address(frame->top - 1);
    child->recipient = frame->self->address;
    child->sender = frame->self->address;
    child->value = *(frame->top - 2);
    return call(frame, 7, !u256_is_zero(&child->value));
}

int evm_delegatecall(evm_frame *frame) {
    ghost_message *child = &frame->child;
    child->kind = GHOST_DELEGATECALL;
    child->code_address = u256_to_address(frame->top - 1);
    child->recipient = frame->self->address;
    child->sender = frame->message->sender;
    child->value = frame->message->value;
    return call(frame, 6, false);
}

int evm_staticcall(evm_frame *frame) {
    ghost_message *child = &frame->child;
    child->kind = GHOST_STATICCALL;
    child->code_address = u256_to_address(frame->top - 1);
    child->recipient = child->code_address;
    child->sender = frame->self->address;
    child->value = (u256){{0}};
    return call(frame, 6, false);
}

static int create(evm_frame *frame, unsigned operands, uint64_t gas_per_word) {
    const u256 *offset = frame->top - 1, *size = frame->top - 2;
    ghost_message *child = &frame->child;
    ghost_call_result *result = &frame->child_result;
    if (frame->message->is_static)
        return evm_refuse_write(frame);
    int exit = evm_memory_use(frame, offset, size);
    if (exit != 0)
        return exit;
    uint64_t length = size->limbs[0];
    if (!evm_charge(frame, gas_per_word * evm_words(length)))
        return GHOST_EXIT_OUT_OF_GAS;
    size_t code_bytes_max = frame->vm->code_bytes_max;
    if (length > 2 * code_bytes_max &&
        length > ghost_init_code_max(frame->vm->hybrid, code_bytes_max,
                                     frame->memory + offset->limbs[0], length)) {
        frame->vm->fault = (ghost_fault){.kind = GHOST_FAULT_INIT_CODE,
                                         .have = 2 * frame->vm->code_bytes_max,
                                         .want = (uint32_t)length};
        return GHOST_EXIT_CODE_SIZE;
    }
    child->is_static = false;
    child->depth = frame->message->depth + 1;
    child->gas = ghost_all_but_one_64th(frame->gas);
    child->sender = frame->self->address;
    child->value = *frame->top;
    child->input = length == 0 ? NULL : frame->memory + offset->limbs[0];
    child->input_length = length;
    frame->gas -= child->gas;
    frame->vm->memory->stack_next = frame->top + 1;
    ghost_create(frame->vm, child, result);
    if (result->exit == GHOST_EXIT_ABORT)
        return GHOST_EXIT_ABORT;
    frame->gas += result->gas_left;
    keep_output(frame, result->exit == GHOST_EXIT_REVERT);
    frame->top -= operands - 1;
    if (result->exit == GHOST_EXIT_SUCCESS)
        *frame->top = u256_from_address(&result->created);
    else
        *frame->top = (u256){{0}};
    return 0;
}

int evm_create(evm_frame *frame) {
    frame->child.kind = GHOST_CREATE;
    return create(frame, 3, GAS_INIT_CODE_WORD);
}

int evm_create2(evm_frame *frame) {
    frame->child.kind = GHOST_CREATE2;
    frame->child.salt = *(frame->top - 3);
    return create(frame, 4, GAS_INIT_CODE_WORD + GAS_KECCAK_WORD);
}
