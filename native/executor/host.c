/* What engines other than the EVM ask of the world: evm/host.c and evm/calls.c without operands on
 * a stack, at the prices of evm/rules.h. */
#include <stdlib.h>

#include "host.h"
#include "overlay.h"

int ghost_host_charge(ghost_frame *frame, uint64_t gas) {
    if (frame->gas < gas)
        return GHOST_EXIT_OUT_OF_GAS;
    frame->gas -= gas;
    return 0;
}

/* ---- storage ---- */

int ghost_host_load(ghost_frame *frame, const u256 *key, u256 *value) {
    bool was_cold;
    const ghost_slot *slot = ghost_state_access_slot(frame->vm->state, frame->self, key, &was_cold);
    if (slot == NULL)
        return GHOST_EXIT_ABORT;
    *value = slot->value;
    int exit = ghost_host_charge(frame, was_cold ? GAS_COLD_SLOT + GAS_WARM : GAS_WARM);
    if (exit == 0)
        ghost_tell_slot(frame->vm, frame->message, frame->self, slot, key, GHOST_ACCESS_READ);
    return exit;
}

int ghost_host_store(ghost_frame *frame, const u256 *key, const u256 *value) {
    ghost_state *state = frame->vm->state;
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    if (frame->gas <= GAS_STIPEND)
        return GHOST_EXIT_OUT_OF_GAS;
    bool was_cold;
    ghost_slot *slot = ghost_state_access_slot(state, frame->self, key, &was_cold);
    if (slot == NULL)
        return GHOST_EXIT_ABORT;
    int exit = ghost_host_charge(frame, ghost_storage_price(slot, value, was_cold));
    if (exit == 0)
        ghost_tell_slot(frame->vm, frame->message, frame->self, slot, key, GHOST_ACCESS_WRITE);
    if (exit != 0 || u256_equal(&slot->value, value))
        return exit;
    ghost_state_refund(state, ghost_storage_refund(slot, value));
    ghost_state_store_slot(state, frame->self, slot, value);
    return 0;
}

int ghost_host_transient_load(ghost_frame *frame, const u256 *key, u256 *value) {
    *value = ghost_state_transient_load(frame->vm->state, frame->self, key);
    int exit = ghost_host_charge(frame, GAS_WARM);
    if (exit == 0)
        ghost_tell_slot(frame->vm, frame->message, frame->self, NULL, key,
                        GHOST_ACCESS_TRANSIENT_READ);
    return exit;
}

int ghost_host_transient_store(ghost_frame *frame, const u256 *key, const u256 *value) {
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    int exit = ghost_host_charge(frame, GAS_WARM);
    if (exit != 0)
        return exit;
    ghost_tell_slot(frame->vm, frame->message, frame->self, NULL, key,
                    GHOST_ACCESS_TRANSIENT_WRITE);
    ghost_state_transient_store(frame->vm->state, frame->self, key, value);
    return 0;
}

/* ---- logs ---- */

int ghost_host_log(ghost_frame *frame, const u256 *topics, unsigned topic_count,
                   const uint8_t *data, size_t length) {
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    if (length > UINT32_MAX)
        return GHOST_EXIT_OUT_OF_GAS;
    uint64_t cost = GAS_LOG * (1 + (uint64_t)topic_count) + GAS_LOG_BYTE * (uint64_t)length;
    int exit = ghost_host_charge(frame, cost);
    if (exit != 0)
        return exit;
    ghost_state_log(frame->vm->state, &frame->self->address, topics, topic_count, data, length);
    ghost_tell_log(frame->vm, frame->message);
    return 0;
}

/* ---- accounts ---- */

static int access_account(ghost_frame *frame, const ghost_address *address,
                          ghost_account **account, uint8_t access) {
    bool was_cold;
    *account = ghost_state_access_account(frame->vm->state, address, &was_cold);
    if (*account == NULL)
        return GHOST_EXIT_ABORT;
    int exit = ghost_host_charge(frame, was_cold ? GAS_COLD_ACCOUNT + GAS_WARM : GAS_WARM);
    if (exit == 0)
        ghost_tell_account(frame->vm, frame->message, *account, access);
    return exit;
}

int ghost_host_balance(ghost_frame *frame, const ghost_address *address, u256 *balance) {
    ghost_account *account;
    int exit = access_account(frame, address, &account, GHOST_ACCESS_BALANCE);
    if (exit == 0)
        *balance = account->balance;
    return exit;
}

int ghost_host_code_hash(ghost_frame *frame, const ghost_address *address, ghost_hash *hash) {
    ghost_account *account;
    int exit = access_account(frame, address, &account, GHOST_ACCESS_CODE);
    if (exit != 0)
        return exit;
    if (ghost_account_is_empty(account))
        memset(hash->bytes, 0, sizeof hash->bytes);
    else
        *hash = account->code_hash;
    return 0;
}

int ghost_host_code(ghost_frame *frame, const ghost_address *address, ghost_view *view) {
    ghost_account *account;
    int exit = access_account(frame, address, &account, GHOST_ACCESS_CODE);
    if (exit != 0)
        return exit;
    const ghost_code *code = ghost_state_code(frame->vm->state, account);
    if (code == NULL)
        return GHOST_EXIT_ABORT;
    *view = (ghost_view){code->bytes, code->length};
    return 0;
}

int ghost_host_block_hash(ghost_frame *frame, uint64_t number, ghost_hash *hash) {
    uint64_t current = frame->vm->block.number;
    int exit = ghost_host_charge(frame, GAS_BLOCK_HASH);
    if (exit != 0)
        return exit;
    memset(hash->bytes, 0, sizeof hash->bytes);
    if (number < current && current - number <= BLOCK_HASHES &&
        ghost_state_block_hash(frame->vm->state, number, hash) != GHOST_OK)
        return GHOST_EXIT_ABORT;
    return 0;
}

/* ---- native balance ---- */

int ghost_host_move_balance(ghost_frame *frame, const ghost_address *from,
                            const ghost_address *to, const u256 *amount) {
    ghost_account *source, *target;
    ghost_state *state = frame->vm->state;
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    int exit = access_account(frame, from, &source, GHOST_ACCESS_BALANCE);
    if (exit == 0)
        exit = access_account(frame, to, &target, GHOST_ACCESS_BALANCE);
    if (exit != 0 || u256_is_zero(amount))
        return exit;
    bool is_new = ghost_account_is_empty(target);
    exit = ghost_host_charge(frame, GAS_CALL_VALUE + (is_new ? GAS_NEW_ACCOUNT : 0));
    if (exit != 0)
        return exit;
    u256 balance;
    if (u256_sub(&balance, &source->balance, amount))
        return GHOST_EXIT_INSUFFICIENT_BALANCE;
    state_set_balance(state, (account_entry *)source, &balance);
    u256_add(&balance, &target->balance, amount);
    state_set_balance(state, (account_entry *)target, &balance);
    return 0;
}

int ghost_host_burn_balance(ghost_frame *frame, const ghost_address *from, const u256 *amount) {
    ghost_account *source;
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    int exit = access_account(frame, from, &source, GHOST_ACCESS_BALANCE);
    if (exit != 0 || u256_is_zero(amount))
        return exit;
    u256 balance;
    if (u256_sub(&balance, &source->balance, amount))
        return GHOST_EXIT_INSUFFICIENT_BALANCE;
    state_burn(frame->vm->state, amount);
    state_set_balance(frame->vm->state, (account_entry *)source, &balance);
    return 0;
}

/* ---- calls and creations ---- */

static int charge_call(ghost_frame *frame, ghost_message *child, uint64_t requested) {
    ghost_account *callee;
    bool has_value = child->kind <= GHOST_CALLCODE && !u256_is_zero(&child->value);
    uint64_t cost = GAS_WARM + (has_value ? GAS_CALL_VALUE : 0);
    if (has_value && child->kind == GHOST_CALL && frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    int exit = ghost_access_callee(frame->vm, &child->code_address, &cost, &callee);
    if (exit != 0)
        return exit;
    if (has_value && child->kind == GHOST_CALL && ghost_account_is_empty(callee))
        cost += GAS_NEW_ACCOUNT;
    exit = ghost_host_charge(frame, cost);
    if (exit != 0)
        return exit;
    uint64_t gas = ghost_all_but_one_64th(frame->gas);
    if (requested < gas)
        gas = requested;
    frame->gas -= gas;
    child->gas = gas + (has_value ? GAS_STIPEND : 0);
    return 0;
}

/* The message of a call, but for its gas. */
static ghost_message call_message(const ghost_frame *frame, uint8_t kind,
                                  const ghost_address *address, const u256 *value) {
    bool is_elsewhere = kind == GHOST_CALL || kind == GHOST_STATICCALL;
    bool is_delegate = kind == GHOST_DELEGATECALL;
    ghost_message child = {
        .kind = kind,
        .is_static = frame->message->is_static || kind == GHOST_STATICCALL,
        .depth = frame->message->depth + 1,
        .recipient = is_elsewhere ? *address : frame->self->address,
        .code_address = *address,
        .sender = is_delegate ? frame->message->sender : frame->self->address,
    };
    if (is_delegate)
        child.value = frame->message->value;
    else if (kind <= GHOST_CALLCODE)
        child.value = *value;
    return child;
}

/* Takes over what the callee left. */
static int finish(ghost_frame *frame, const ghost_call_result *result, bool keeps_output,
                  enum ghost_exit *exit) {
    *exit = result->exit;
    if (result->exit == GHOST_EXIT_ABORT)
        return GHOST_EXIT_ABORT;
    frame->gas += result->gas_left;
    frame->return_data = keeps_output ? result->output : NULL;
    frame->return_length = keeps_output ? result->output_length : 0;
    return 0;
}

int ghost_host_call(ghost_frame *frame, uint8_t kind, const ghost_address *address,
                    const u256 *value, uint64_t gas, const uint8_t *input, size_t input_length,
                    enum ghost_exit *exit) {
    ghost_call_result result = {0};
    ghost_message child = call_message(frame, kind, address, value);
    child.input = input;
    child.input_length = input_length;
    int failed = charge_call(frame, &child, gas);
    if (failed != 0)
        return failed;
    ghost_evm_memory *memory = frame->vm->memory;
    void *mark = ghost_evm_stack_mark(memory, frame->message->depth);
    ghost_call(frame->vm, &child, &result);
    ghost_evm_stack_restore(memory, mark);
    return finish(frame, &result, result.exit <= GHOST_EXIT_REVERT, exit);
}

int ghost_host_create(ghost_frame *frame, uint8_t kind, const u256 *value, const u256 *salt,
                      const uint8_t *init_code, size_t length, enum ghost_exit *exit,
                      ghost_address *created) {
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    if (length > UINT32_MAX)
        return GHOST_EXIT_OUT_OF_GAS;
    bool is_salted = kind == GHOST_CREATE2;
    uint64_t per_word = GAS_INIT_CODE_WORD + (is_salted ? GAS_KECCAK_WORD : 0);
    int failed = ghost_host_charge(frame, GAS_CREATE + per_word * ((length + 31) / 32));
    if (failed != 0)
        return failed;
    if (length > ghost_init_code_max(frame->vm->hybrid, frame->vm->code_bytes_max, init_code,
                                     length))
        return GHOST_EXIT_CODE_SIZE;
    ghost_message child = {
        .kind = kind,
        .depth = frame->message->depth + 1,
        .gas = ghost_all_but_one_64th(frame->gas),
        .sender = frame->self->address,
        .value = *value,
        .input = init_code,
        .input_length = length,
    };
    if (is_salted)
        child.salt = *salt;
    frame->gas -= child.gas;
    ghost_call_result result = {0};
    ghost_evm_memory *memory = frame->vm->memory;
    void *mark = ghost_evm_stack_mark(memory, frame->message->depth);
    ghost_create(frame->vm, &child, &result);
    ghost_evm_stack_restore(memory, mark);
    if (result.exit == GHOST_EXIT_SUCCESS)
        *created = result.created;
    return finish(frame, &result, result.exit == GHOST_EXIT_REVERT, exit);
}

/* ---- output ---- */

int ghost_host_output(ghost_frame *frame, const uint8_t *data, size_t length,
                      ghost_call_result *result) {
    result->output = NULL;
    result->output_length = 0;
    if (length == 0)
        return 0;
    uint8_t *copy = malloc(length);
    if (copy == NULL) {
        frame->vm->status = GHOST_OUT_OF_MEMORY;
        return GHOST_EXIT_ABORT;
    }
    memcpy(copy, data, length);
    executor_keep_output(executor_of(frame->vm), frame->message->depth, copy, length);
    result->output = copy;
    result->output_length = length;
    return 0;
}

/* ---- the stack ---- */

int ghost_host_run_deep(ghost_frame *frame, void (*work)(void *argument), void *argument) {
    return executor_run_deep(executor_of(frame->vm), work, argument);
}
