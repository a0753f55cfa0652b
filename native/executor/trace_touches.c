/* Which accounts and slots a transaction reaches, what they were before it and what they are after
 * it; and each access in order. */
#include <stdlib.h>

#include "trace.h"

/* ---- accounts and slots ---- */

static void fill_account(trace *trace, account_entry *entry, ghost_trace_account_state *out,
                         const ghost_trace_account_state *before) {
    const ghost_account *account = &entry->account;
    out->nonce = account->nonce;
    u256_to_be(out->balance, &account->balance);
    memcpy(out->code_hash, account->code_hash.bytes, 32);
    if (trace->watch.touches < 2)
        return;
    if (before != NULL && memcmp(before->code_hash, out->code_hash, 32) == 0) {
        out->code = before->code;
        out->code_length = before->code_length;
        return;
    }
    const code_entry *code = state_code(&trace->executor->state, entry);
    if (code == NULL)
        return;
    out->code_length = code->code.length;
    out->code = trace_keep(trace, code->code.bytes, code->code.length);
}

/* NULL when the bounds are reached. */
static ghost_trace_account *touch_account(trace *trace, account_entry *entry, uint32_t frame) {
    uint32_t place;
    if (places_find(&trace->account_places, entry, &place))
        return &trace->accounts.items[place];
    place = (uint32_t)trace->accounts.count;
    if (!trace_has_room(trace, place) || !LIST_RESERVE(trace->accounts, 1) ||
        !LIST_RESERVE(trace->account_entries, 1) ||
        !places_put(&trace->account_places, entry, place)) {
        trace->is_cut = true;
        return NULL;
    }
    trace->account_entries.items[trace->account_entries.count++] = entry;
    ghost_trace_account *kept = &trace->accounts.items[trace->accounts.count++];
    memset(kept, 0, sizeof *kept);
    memcpy(kept->address, entry->account.address.bytes, 20);
    kept->transaction = trace->transaction;
    kept->frame = frame;
    kept->was_there = entry->present;
    fill_account(trace, entry, &kept->before, NULL);
    return kept;
}

static ghost_trace_account *touch_address(trace *trace, const ghost_address *address,
                                          uint32_t frame) {
    account_entry *entry = state_account(&trace->executor->state, address);
    return entry == NULL ? NULL : touch_account(trace, entry, frame);
}

static void touch_slot(trace *trace, slot_entry *entry, const u256 *before, uint32_t frame) {
    uint32_t place;
    if (places_find(&trace->slot_places, entry, &place))
        return;
    place = (uint32_t)trace->slots.count;
    if (!trace_has_room(trace, place) || !LIST_RESERVE(trace->slots, 1) ||
        !LIST_RESERVE(trace->slot_entries, 1) || !places_put(&trace->slot_places, entry, place)) {
        trace->is_cut = true;
        return;
    }
    trace->slot_entries.items[trace->slot_entries.count++] = entry;
    ghost_trace_slot *kept = &trace->slots.items[trace->slots.count++];
    memset(kept, 0, sizeof *kept);
    memcpy(kept->address, entry->account->account.address.bytes, 20);
    u256_to_be(kept->key, &entry->key);
    u256_to_be(kept->before, before);
    kept->transaction = trace->transaction;
    kept->frame = frame;
}

/* ---- what code does ---- */

void touches_callee(trace *trace, const ghost_address *address, uint32_t frame) {
    ghost_state *state = &trace->executor->state;
    account_entry *callee = state_account(state, address);
    ghost_address delegate;
    if (callee == NULL)
        return;
    touch_account(trace, callee, frame);
    if (state->fork < GHOST_FORK_PRAGUE || !state_account_has_code(callee))
        return;
    const code_entry *code = state_code(state, callee);
    if (code != NULL && ghost_code_delegate(&code->code, &delegate))
        touch_address(trace, &delegate, frame);
}

void touches_creation(trace *trace, const ghost_address *address, uint32_t frame) {
    ghost_trace_account *created = touch_address(trace, address, frame);
    if (created != NULL)
        created->is_created = 1;
}

void touches_destruction(trace *trace, const ghost_message *message, const ghost_address *heir,
                         uint32_t frame) {
    touch_address(trace, heir, frame);
    ghost_trace_account *self = touch_address(trace, &message->recipient, frame);
    if (self != NULL && self->is_created)
        self->is_destroyed = 1;
}

static void add_access(trace *trace, const ghost_message *message, const ghost_address *address,
                       const u256 *key, const ghost_slot *slot, uint8_t access) {
    if (!trace_has_room(trace, trace->accesses.count) || !LIST_RESERVE(trace->accesses, 1)) {
        trace->is_cut = true;
        return;
    }
    ghost_trace_access *kept = &trace->accesses.items[trace->accesses.count++];
    memset(kept, 0, sizeof *kept);
    kept->access = access;
    kept->frame = trace->open[message->depth];
    memcpy(kept->address, address->bytes, 20);
    if (key != NULL)
        u256_to_be(kept->key, key);
    if (slot != NULL)
        u256_to_be(kept->value, &slot->value);
}

void trace_on_account(void *context, const ghost_message *message, const ghost_account *account,
                      uint8_t access) {
    trace *trace = context;
    if (trace->watch.touches)
        touch_account(trace, (account_entry *)account, trace->open[message->depth]);
    if (trace->watch.accesses)
        add_access(trace, message, &account->address, NULL, NULL, access);
}

void trace_on_slot(void *context, const ghost_message *message, const ghost_account *self,
                   const ghost_slot *slot, const u256 *key, uint8_t access) {
    trace *trace = context;
    if (trace->watch.touches && slot != NULL) {
        touch_account(trace, ((slot_entry *)slot)->account, trace->open[message->depth]);
        touch_slot(trace, (slot_entry *)slot, &slot->original, trace->open[message->depth]);
    }
    if (trace->watch.accesses)
        add_access(trace, message, &self->address, key, slot, access);
}

/* ---- what a transaction does by itself ---- */

void trace_start_on(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms) {
    trace *trace = executor->trace;
    ghost_address address;
    if (executor->vm.tracer == NULL || !trace->watch.touches)
        return;
    touch_account(trace, terms->sender, GHOST_TRACE_NO_FRAME);
    if (!tx->is_create) {
        memcpy(address.bytes, tx->to, 20);
        touches_callee(trace, &address, GHOST_TRACE_NO_FRAME);
    }
    for (size_t i = 1; i < tx->call_count; i++) {
        memcpy(address.bytes, tx->calls[i].to, 20);
        touches_callee(trace, &address, GHOST_TRACE_NO_FRAME);
    }
    touch_account(trace, executor->coinbase, GHOST_TRACE_NO_FRAME);
    touch_account(trace, terms->payer, GHOST_TRACE_NO_FRAME);
    for (size_t i = 0; i < tx->authorization_count; i++) {
        if (!tx->authorizations[i].authority_ok)
            continue;
        memcpy(address.bytes, tx->authorizations[i].authority, 20);
        touch_address(trace, &address, GHOST_TRACE_NO_FRAME);
    }
}

void trace_fee_slot_on(ghost_executor *executor, slot_entry *slot) {
    trace *trace = executor->trace;
    if (executor->vm.tracer == NULL || !trace->watch.touches)
        return;
    touch_account(trace, slot->account, GHOST_TRACE_NO_FRAME);
    touch_slot(trace, slot, &slot->slot.value, GHOST_TRACE_NO_FRAME);
}

void trace_settle_on(ghost_executor *executor) {
    trace *trace = executor->trace;
    if (executor->vm.tracer == NULL || !trace->watch.touches)
        return;
    for (size_t i = trace->account_first; i < trace->accounts.count; i++) {
        ghost_trace_account *kept = &trace->accounts.items[i];
        fill_account(trace, trace->account_entries.items[i], &kept->after, &kept->before);
    }
    for (size_t i = trace->slot_first; i < trace->slots.count; i++)
        u256_to_be(trace->slots.items[i].after, &trace->slot_entries.items[i]->slot.value);
}

void touches_begin_transaction(trace *trace) {
    places_clear(&trace->account_places);
    places_clear(&trace->slot_places);
    trace->account_first = trace->accounts.count;
    trace->slot_first = trace->slots.count;
}

void touches_clear(trace *trace) {
    trace->accounts.count = trace->account_entries.count = 0;
    trace->slots.count = trace->slot_entries.count = 0;
}

void touches_free(trace *trace) {
    free(trace->accounts.items);
    free(trace->account_entries.items);
    free(trace->slots.items);
    free(trace->slot_entries.items);
    places_free(&trace->account_places);
    places_free(&trace->slot_places);
}
