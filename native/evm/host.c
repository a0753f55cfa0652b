/* The instructions that ask the state. */
#include "frame.h"

enum { GAS_COLD_BENEFICIARY = 2600 };

/* Loads and warms the account that the top word names, charging when it was cold. */
static int access_account(evm_frame *frame, ghost_account **account, uint8_t access) {
    ghost_address address = u256_to_address(frame->top);
    bool was_cold;
    *account = ghost_state_access_account(frame->vm->state, &address, &was_cold);
    if (*account == NULL)
        return GHOST_EXIT_ABORT;
    if (was_cold && !evm_charge(frame, GAS_COLD_ACCOUNT))
        return GHOST_EXIT_OUT_OF_GAS;
    ghost_tell_account(frame->vm, frame->message, *account, access);
    return 0;
}

int evm_balance(evm_frame *frame) {
    ghost_account *account;
    int exit = access_account(frame, &account, GHOST_ACCESS_BALANCE);
    if (exit == 0)
        *frame->top = account->balance;
    return exit;
}

int evm_extcodesize(evm_frame *frame) {
    ghost_account *account;
    int exit = access_account(frame, &account, GHOST_ACCESS_CODE);
    if (exit != 0)
        return exit;
    const ghost_code *code = ghost_state_code(frame->vm->state, account);
    if (code == NULL)
        return GHOST_EXIT_ABORT;
    *frame->top = u256_from_u64(code->length);
    return 0;
}

int evm_extcodehash(evm_frame *frame) {
    ghost_account *account;
    int exit = access_account(frame, &account, GHOST_ACCESS_CODE);
    if (exit != 0)
        return exit;
    if (ghost_account_is_empty(account))
        *frame->top = (u256){{0}};
    else
        *frame->top = u256_from_be(account->code_hash.bytes);
    return 0;
}

int evm_blockhash(evm_frame *frame) {
    uint64_t current = frame->vm->block.number, number = frame->top->limbs[0];
    ghost_hash hash = {{0}};
    if (u256_fits_u64(frame->top) && number < current && current - number <= BLOCK_HASHES &&
        ghost_state_block_hash(frame->vm->state, number, &hash) != GHOST_OK)
        return GHOST_EXIT_ABORT;
    *frame->top = u256_from_be(hash.bytes);
    return 0;
}

int evm_blobhash(evm_frame *frame) {
    const ghost_tx_context *tx = &frame->vm->tx;
    uint64_t index = frame->top->limbs[0];
    if (u256_fits_u64(frame->top) && index < tx->blob_count)
        *frame->top = u256_from_be(tx->blob_hashes + index * 32);
    else
        *frame->top = (u256){{0}};
    return 0;
}

int evm_sload(evm_frame *frame) {
    bool was_cold;
    ghost_slot *slot =
        ghost_state_access_slot(frame->vm->state, frame->self, frame->top, &was_cold);
    if (slot == NULL)
        return GHOST_EXIT_ABORT;
    if (was_cold && !evm_charge(frame, GAS_COLD_SLOT))
        return GHOST_EXIT_OUT_OF_GAS;
    ghost_tell_slot(frame->vm, frame->message, frame->self, slot, frame->top, GHOST_ACCESS_READ);
    *frame->top = slot->value;
    return 0;
}

int evm_sstore(evm_frame *frame) {
    const u256 *key = frame->top, *value = frame->top - 1;
    if (frame->message->is_static)
        return evm_refuse_write(frame);
    if (frame->gas <= GAS_STIPEND) {
        frame->vm->fault.kind = GHOST_FAULT_SENTRY;
        return GHOST_EXIT_OUT_OF_GAS;
    }
    bool was_cold;
    ghost_slot *slot = ghost_state_access_slot(frame->vm->state, frame->self, key, &was_cold);
    if (slot == NULL)
        return GHOST_EXIT_ABORT;
    if (!evm_charge(frame, ghost_storage_price(slot, value, was_cold)))
        return GHOST_EXIT_OUT_OF_GAS;
    ghost_tell_slot(frame->vm, frame->message, frame->self, slot, key, GHOST_ACCESS_WRITE);
    if (!u256_equal(&slot->value, value)) {
        int64_t refund = ghost_storage_refund(slot, value);
        if (refund != 0)
            ghost_state_refund(frame->vm->state, refund);
        ghost_state_store_slot(frame->vm->state, frame->self, slot, value);
    }
    frame->top -= 2;
    return 0;
}

int evm_tload(evm_frame *frame) {
    ghost_tell_slot(frame->vm, frame->message, frame->self, NULL, frame->top,
                    GHOST_ACCESS_TRANSIENT_READ);
    *frame->top = ghost_state_transient_load(frame->vm->state, frame->self, frame->top);
    return 0;
}

int evm_tstore(evm_frame *frame) {
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    ghost_tell_slot(frame->vm, frame->message, frame->self, NULL, frame->top,
                    GHOST_ACCESS_TRANSIENT_WRITE);
    ghost_state_transient_store(frame->vm->state, frame->self, frame->top, frame->top - 1);
    frame->top -= 2;
    return 0;
}

int evm_log(evm_frame *frame, unsigned topic_count) {
    const u256 *offset = frame->top, *size = frame->top - 1;
    int exit = evm_memory_use(frame, offset, size);
    if (exit != 0)
        return exit;
    uint64_t length = size->limbs[0];
    if (!evm_charge(frame, GAS_LOG_BYTE * length))
        return GHOST_EXIT_OUT_OF_GAS;
    if (frame->message->is_static)
        return GHOST_EXIT_STATIC_VIOLATION;
    u256 topics[4];
    for (unsigned i = 0; i < topic_count; i++)
        topics[i] = *(frame->top - 2 - i);
    ghost_state_log(frame->vm->state, &frame->self->address, topics, topic_count,
                    length == 0 ? NULL : frame->memory + offset->limbs[0], length);
    ghost_tell_log(frame->vm, frame->message);
    frame->top -= 2 + topic_count;
    return 0;
}

/* Ends the frame; the handler turns 0 into success. */
int evm_selfdestruct(evm_frame *frame) {
    if (frame->message->is_static)
        return evm_refuse_write(frame);
    ghost_address address = u256_to_address(frame->top);
    bool was_cold;
    ghost_account *beneficiary =
        ghost_state_access_account(frame->vm->state, &address, &was_cold);
    if (beneficiary == NULL)
        return GHOST_EXIT_ABORT;
    uint64_t cost = was_cold ? GAS_COLD_BENEFICIARY : 0;
    if (frame->gas < cost)
        frame->vm->fault.kind = GHOST_FAULT_TWICE;
    if (!u256_is_zero(&frame->self->balance) && ghost_account_is_empty(beneficiary))
        cost += GAS_NEW_ACCOUNT;
    if (!evm_charge(frame, cost))
        return GHOST_EXIT_OUT_OF_GAS;
    const ghost_tracer *tracer = frame->vm->tracer;
    if (tracer != NULL && tracer->destroy != NULL)
        tracer->destroy(tracer->context, frame->message, &frame->self->address, &address,
                        &frame->self->balance);
    ghost_state_self_destruct(frame->vm->state, frame->self, beneficiary);
    return 0;
}
