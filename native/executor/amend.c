/* Accounts changed by hand before a block: part of what the block changes, outside any journal. */
#include "overlay.h"

/* On a hybrid chain the coin's supply follows, bounded by what a word holds. */
static void count_supply(ghost_state *state, const u256 *before, const u256 *after) {
    if (!state->counts_supply)
        return;
    bool grows = u256_less(before, after);
    u256 *total = grows ? &state->minted : &state->burnt, difference;
    u256_sub(&difference, grows ? after : before, grows ? before : after);
    if (u256_add(total, total, &difference))
        *total = (u256){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
}

static bool set_fields(ghost_state *state, account_entry *entry, const ghost_amendment *item) {
    if (item->fields & GHOST_AMEND_NONCE)
        entry->account.nonce = item->nonce;
    if (item->fields & GHOST_AMEND_BALANCE) {
        u256 balance = u256_from_be(item->balance);
        count_supply(state, &entry->account.balance, &balance);
        entry->account.balance = balance;
    }
    if (!(item->fields & GHOST_AMEND_CODE))
        return true;
    code_entry *code = state_intern_code(state, item->code, item->code_length);
    if (code == NULL)
        return false;
    entry->code = code;
    entry->account.code_hash = code->code.hash;
    return true;
}

/* Whether slots of the account from before the block are still there. */
static bool keeps_storage(const account_entry *entry) {
    return entry->stored && !entry->wiped &&
           memcmp(entry->storage_root.bytes, ghost_empty_root, sizeof ghost_empty_root) != 0;
}

/* Writes the slots; *has_value becomes true when one of them is not zero. */
static bool set_slots(ghost_state *state, account_entry *entry, const ghost_amendment *item,
                      bool *has_value) {
    for (size_t i = 0; i < item->slot_count; i++) {
        u256 key = u256_from_be(item->slots + 64 * i);
        u256 value = u256_from_be(item->slots + 64 * i + 32);
        slot_entry *slot = state_slot(state, entry, &key);
        if (slot == NULL)
            return false;
        state_put_slot(state, slot, &value);
        *has_value |= !u256_is_zero(&value);
    }
    return true;
}

/* False: the loader failed, or memory is out (state->status). */
static bool amend(ghost_state *state, const ghost_amendment *item) {
    ghost_address address;
    memcpy(address.bytes, item->address, 20);
    account_entry *entry = state_account(state, &address);
    if (entry == NULL)
        return false;
    state_keep_account(state, entry);
    if (item->fields & GHOST_AMEND_CLEAR_STORAGE)
        state_wipe_storage(state, entry);
    bool has_value = false;
    if (!set_fields(state, entry, item) || !set_slots(state, entry, item, &has_value))
        return false;
    /* EIP-161, but for storage that was put under an account without anything else. */
    if (!ghost_account_is_empty(&entry->account) || has_value || keeps_storage(entry))
        entry->present = true;
    else if (entry->present)
        state_delete_account(state, entry);
    return !state->lost;
}

void ghost_executor_amend(ghost_executor *executor, const ghost_amendment *amendments,
                          size_t count) {
    executor->amendments = amendments;
    executor->amendment_count = count;
}

int amend_state(ghost_executor *executor) {
    ghost_state *state = &executor->state;
    const ghost_amendment *items = executor->amendments;
    size_t count = executor->amendment_count;
    ghost_executor_amend(executor, NULL, 0);
    for (size_t i = 0; i < count; i++)
        if (!amend(state, &items[i]))
            return state->status != GHOST_OK ? state->status : GHOST_OUT_OF_MEMORY;
    return state->status;
}
