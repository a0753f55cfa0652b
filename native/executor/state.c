/* The journaled changes behind state.h. Every change notes what was there, so that a snapshot is
 * no more than a few positions, and reverting walks the journal backwards. */
#include <stdlib.h>

#include "overlay.h"

enum {
    TRANSIENT_BUCKETS_FIRST = 64,
    DELEGATION_LENGTH = 23        /* ef0100 | address (EIP-7702) */
};

/* ---- journal and before-values ---- */

static void fail(ghost_state *state) {
    state->status = GHOST_OUT_OF_MEMORY;
    state->lost = true;
}

static journal_entry *journal_add(ghost_state *state, enum journal_kind kind) {
    journal_entry *entry = &state->journal_spare;
    if (LIST_RESERVE(state->journal, 1))
        entry = &state->journal.items[state->journal.count++];
    else
        fail(state);
    entry->kind = kind;
    return entry;
}

static void journal_account(ghost_state *state, enum journal_kind kind, account_entry *account) {
    journal_add(state, kind)->at.account = account;
}

/* Keeps what the account was before the block, the first time the block changes it. */
void state_keep_account(ghost_state *state, account_entry *entry) {
    if (entry->dirty_block == state->block)
        return;
    entry->dirty_block = state->block;
    if (!LIST_RESERVE(state->dirty_accounts, 1)) {
        fail(state);
        return;
    }
    state->dirty_accounts.items[state->dirty_accounts.count++] = (account_before){
        .entry = entry,
        .nonce = entry->account.nonce,
        .balance = entry->account.balance,
        .code_hash = entry->account.code_hash,
        .code = entry->code,
        .present = entry->present,
        .wiped = entry->wiped,
    };
}

static void keep_slot(ghost_state *state, slot_entry *entry) {
    if (entry->dirty_block == state->block)
        return;
    entry->dirty_block = state->block;
    state_keep_account(state, entry->account);
    if (!LIST_RESERVE(state->dirty_slots, 1)) {
        fail(state);
        return;
    }
    state->dirty_slots.items[state->dirty_slots.count++] =
        (slot_before){.entry = entry, .value = entry->slot.value};
}

void state_put_slot(ghost_state *state, slot_entry *slot, const u256 *value) {
    if (u256_equal(&slot->slot.value, value))
        return;
    keep_slot(state, slot);
    slot->slot.value = *value;
}

/* ---- blocks and transactions ---- */

void state_begin_block(ghost_state *state) {
    state->block++;
    state->block_first_stamp = state->stamp + 1;
    state->dirty_accounts.count = 0;
    state->dirty_slots.count = 0;
    state->journal.count = 0;
    state->logs.count = 0;
    state->minted = state->burnt = u256_from_u64(0);
    state_arena_cut(&state->log_data, (arena_mark){0, 0});
}

static uint64_t hash_transient(const ghost_account *account, const u256 *key) {
    uint64_t word = key->limbs[0] ^ (key->limbs[1] * 0x9e3779b97f4a7c15u) ^
                    (key->limbs[2] * 0xbf58476d1ce4e5b9u) ^ (key->limbs[3] * 0x94d049bb133111ebu);
    word = (word ^ (uint64_t)(uintptr_t)account) * 0x9e3779b97f4a7c15u;
    return word ^ (word >> 29);
}

void state_begin_transaction(ghost_state *state) {
    state->stamp++;
    state->journal.count = 0;
    state->refund = 0;
    for (size_t i = 0; i < state->transients.count; i++) {
        const transient_entry *entry = &state->transients.items[i];
        uint64_t hash = hash_transient(entry->account, &entry->key);
        state->transient_buckets[hash & state->transient_mask] = 0;
    }
    state->transients.count = 0;
}

void state_wipe_storage(ghost_state *state, account_entry *entry) {
    state_keep_account(state, entry);
    entry->wiped = true;
    for (slot_entry *slot = entry->slots; slot != NULL; slot = slot->next) {
        if (u256_is_zero(&slot->slot.value))
            continue;
        keep_slot(state, slot);
        slot->slot.value = u256_from_u64(0);
    }
}

void state_delete_account(ghost_state *state, account_entry *entry) {
    state_wipe_storage(state, entry);
    entry->account.nonce = 0;
    entry->account.balance = u256_from_u64(0);
    entry->account.code_hash = ghost_empty_code_hash;
    entry->code = NULL;
    entry->present = false;
}

void state_end_transaction(ghost_state *state) {
    for (size_t i = 0; i < state->journal.count; i++) {
        if (state->journal.items[i].kind > JOURNAL_DESTROYED)
            continue;
        account_entry *entry = state->journal.items[i].at.account;
        if (entry->destroyed == state->stamp) {
            entry->destroyed = 0;
            state_burn(state, &entry->account.balance);
            state_delete_account(state, entry);
        } else if (!ghost_account_is_empty(&entry->account)) {
            entry->present = true;
        } else if (entry->present) {
            state_delete_account(state, entry);
        }
    }
    state->journal.count = 0;
}

snapshot state_snapshot(const ghost_state *state) {
    return (snapshot){state->journal.count, state->logs.count,
                      state_arena_position(&state->log_data), state->refund};
}

static void undo(ghost_state *state, const journal_entry *entry) {
    switch (entry->kind) {
    case JOURNAL_TOUCHED:
        break;
    case JOURNAL_BALANCE:
        entry->at.account->account.balance = entry->old.word;
        break;
    case JOURNAL_NONCE:
        entry->at.account->account.nonce = entry->old.number;
        break;
    case JOURNAL_CODE:
        entry->at.account->account.code_hash = entry->old.code.hash;
        entry->at.account->code = entry->old.code.entry;
        break;
    case JOURNAL_CREATED:
        entry->at.account->created = 0;
        break;
    case JOURNAL_DESTROYED:
        entry->at.account->destroyed = 0;
        break;
    case JOURNAL_WARM_ACCOUNT:
        entry->at.account->warm = 0;
        break;
    case JOURNAL_WARM_SLOT:
        entry->at.slot->warm = 0;
        break;
    case JOURNAL_SLOT:
        entry->at.slot->slot.value = entry->old.word;
        break;
    case JOURNAL_TRANSIENT:
        state->transients.items[entry->at.transient].value = entry->old.word;
        break;
    case JOURNAL_BURNT:
        state->burnt = entry->old.word;
        break;
    }
}

void state_revert(ghost_state *state, const snapshot *to) {
    while (state->journal.count > to->journal)
        undo(state, &state->journal.items[--state->journal.count]);
    state->logs.count = to->logs;
    state_arena_cut(&state->log_data, to->log_data);
    state->refund = to->refund;
}

/* ---- accounts ---- */

bool ghost_account_is_empty(const ghost_account *account) {
    return account->nonce == 0 && u256_is_zero(&account->balance) &&
           memcmp(account->code_hash.bytes, ghost_empty_code_hash.bytes, 32) == 0;
}

bool state_account_has_code(const account_entry *account) {
    return memcmp(account->account.code_hash.bytes, ghost_empty_code_hash.bytes, 32) != 0;
}

bool state_account_exists(const account_entry *account) {
    return account->present || !ghost_account_is_empty(&account->account);
}

bool state_account_collides(const account_entry *account) {
    bool has_storage =
        account->stored && !account->wiped &&
        memcmp(account->storage_root.bytes, ghost_empty_root, sizeof ghost_empty_root) != 0;
    return account->account.nonce != 0 || has_storage ||
           memcmp(account->account.code_hash.bytes, ghost_empty_code_hash.bytes, 32) != 0;
}

static void record_account(ghost_state *state, account_entry *account) {
    if (account->recorded == state->stamp)
        return;
    account->recorded = state->stamp;
    if (LIST_RESERVE(state->recorded_accounts, 1))
        state->recorded_accounts.items[state->recorded_accounts.count++] =
            account->account.address;
    else
        state->status = GHOST_OUT_OF_MEMORY;
}

static void record_slot(ghost_state *state, slot_entry *slot) {
    if (slot->recorded == state->stamp)
        return;
    slot->recorded = state->stamp;
    if (!LIST_RESERVE(state->recorded_slots, 1)) {
        state->status = GHOST_OUT_OF_MEMORY;
        return;
    }
    ghost_access_slot *item = &state->recorded_slots.items[state->recorded_slots.count++];
    memcpy(item->address, slot->account->account.address.bytes, 20);
    u256_to_be(item->key, &slot->key);
}

bool state_warm_account(ghost_state *state, account_entry *account) {
    if (state->recording)
        record_account(state, account);
    if (account->warm == state->stamp)
        return false;
    account->warm = state->stamp;
    journal_account(state, JOURNAL_WARM_ACCOUNT, account);
    return !((account->precompile_forks >> state->fork) & 1);
}

void state_touch(ghost_state *state, account_entry *account) {
    journal_account(state, JOURNAL_TOUCHED, account);
}

void state_set_balance(ghost_state *state, account_entry *account, const u256 *balance) {
    state_keep_account(state, account);
    journal_entry *entry = journal_add(state, JOURNAL_BALANCE);
    entry->at.account = account;
    entry->old.word = account->account.balance;
    account->account.balance = *balance;
}

void state_set_nonce(ghost_state *state, account_entry *account, uint64_t nonce) {
    state_keep_account(state, account);
    journal_entry *entry = journal_add(state, JOURNAL_NONCE);
    entry->at.account = account;
    entry->old.number = account->account.nonce;
    account->account.nonce = nonce;
}

void state_set_code(ghost_state *state, account_entry *account, code_entry *code) {
    state_keep_account(state, account);
    journal_entry *entry = journal_add(state, JOURNAL_CODE);
    entry->at.account = account;
    entry->old.code.hash = account->account.code_hash;
    entry->old.code.entry = account->code;
    account->account.code_hash = code->code.hash;
    account->code = code;
}

void state_burn(ghost_state *state, const u256 *amount) {
    if (!state->counts_supply || u256_is_zero(amount))
        return;
    journal_add(state, JOURNAL_BURNT)->old.word = state->burnt;
    u256_add(&state->burnt, &state->burnt, amount);
}

void state_mint(ghost_state *state, const u256 *amount) {
    if (state->counts_supply)
        u256_add(&state->minted, &state->minted, amount);
}

void state_mark_created(ghost_state *state, account_entry *account) {
    if (account->created == state->stamp)
        return;
    account->created = state->stamp;
    journal_account(state, JOURNAL_CREATED, account);
}

ghost_account *ghost_state_account(ghost_state *state, const ghost_address *address) {
    account_entry *entry = state_account(state, address);
    return entry == NULL ? NULL : &entry->account;
}

ghost_account *ghost_state_access_account(ghost_state *state, const ghost_address *address,
                                          bool *was_cold) {
    account_entry *entry = state_account(state, address);
    if (entry == NULL)
        return NULL;
    *was_cold = state_warm_account(state, entry);
    return &entry->account;
}

bool ghost_state_account_is_cold(const ghost_state *state, const ghost_account *account) {
    const account_entry *entry = (const account_entry *)account;
    return entry->warm != state->stamp && !((entry->precompile_forks >> state->fork) & 1);
}

void ghost_state_self_destruct(ghost_state *state, ghost_account *account,
                               ghost_account *beneficiary) {
    account_entry *entry = (account_entry *)account;
    account_entry *heir = (account_entry *)beneficiary;
    u256 balance = account->balance, zero = u256_from_u64(0), sum;
    state_log_transfer(state, &account->address, &beneficiary->address, &balance);
    if (entry != heir) {
        state_set_balance(state, entry, &zero);
        u256_add(&sum, &beneficiary->balance, &balance);
        state_set_balance(state, heir, &sum);
    }
    if (entry->created != state->stamp)
        return;
    state_burn(state, &account->balance);
    state_set_balance(state, entry, &zero);
    if (entry->destroyed != state->stamp) {
        entry->destroyed = state->stamp;
        journal_account(state, JOURNAL_DESTROYED, entry);
    }
}

/* ---- code ---- */

const ghost_code *ghost_state_code(ghost_state *state, ghost_account *account) {
    code_entry *entry = state_code(state, (account_entry *)account);
    return entry == NULL ? NULL : &entry->code;
}

bool ghost_code_delegate(const ghost_code *code, ghost_address *delegate) {
    static const uint8_t designator[3] = {0xef, 0x01, 0x00};
    if (code->length != DELEGATION_LENGTH || memcmp(code->bytes, designator, 3) != 0)
        return false;
    memcpy(delegate->bytes, code->bytes + 3, 20);
    return true;
}

bool ghost_code_prepare(const ghost_code *code) {
    if (code->analysis == NULL)
        ((ghost_code *)code)->analysis = ghost_evm_analyse(code->bytes, code->length);
    return code->analysis != NULL;
}

/* ---- slots ---- */

bool state_warm_slot(ghost_state *state, slot_entry *slot) {
    if (slot->seen != state->stamp) {
        slot->seen = state->stamp;
        slot->slot.original = slot->slot.value;
    }
    if (state->recording)
        record_slot(state, slot);
    if (slot->warm == state->stamp)
        return false;
    slot->warm = state->stamp;
    journal_add(state, JOURNAL_WARM_SLOT)->at.slot = slot;
    return true;
}

ghost_slot *ghost_state_access_slot(ghost_state *state, ghost_account *account, const u256 *key,
                                    bool *was_cold) {
    slot_entry *slot = state_slot(state, (account_entry *)account, key);
    if (slot == NULL)
        return NULL;
    *was_cold = state_warm_slot(state, slot);
    return &slot->slot;
}

bool ghost_state_peek_slot(ghost_state *state, ghost_account *account, const u256 *key,
                           ghost_slot *slot, bool *is_cold) {
    const slot_entry *entry = state_slot(state, (account_entry *)account, key);
    if (entry == NULL)
        return false;
    *slot = entry->slot;
    if (entry->seen != state->stamp)
        slot->original = slot->value;
    *is_cold = entry->warm != state->stamp;
    return true;
}

void ghost_state_store_slot(ghost_state *state, ghost_account *account, ghost_slot *slot,
                            const u256 *value) {
    (void)account;
    slot_entry *entry = (slot_entry *)slot;
    if (u256_equal(&slot->value, value))
        return;
    keep_slot(state, entry);
    journal_entry *undo_entry = journal_add(state, JOURNAL_SLOT);
    undo_entry->at.slot = entry;
    undo_entry->old.word = slot->value;
    slot->value = *value;
}

/* ---- transient storage (EIP-1153) ---- */

static transient_entry *find_transient(const ghost_state *state, const ghost_account *account,
                                       const u256 *key) {
    if (state->transients.count == 0)
        return NULL;
    uint64_t hash = hash_transient(account, key);
    size_t at = state->transient_buckets[hash & state->transient_mask];
    while (at != 0) {
        transient_entry *entry = &state->transients.items[at - 1];
        if (entry->account == account && u256_equal(&entry->key, key))
            return entry;
        at = entry->next;
    }
    return NULL;
}

u256 ghost_state_transient_load(ghost_state *state, const ghost_account *account,
                                const u256 *key) {
    const transient_entry *entry = find_transient(state, account, key);
    return entry == NULL ? u256_from_u64(0) : entry->value;
}

/* Makes the buckets at least as many as the entries will be. */
static bool grow_transients(ghost_state *state) {
    if (!LIST_RESERVE(state->transients, 1))
        return false;
    if (state->transient_buckets != NULL && state->transients.count <= state->transient_mask)
        return true;
    size_t buckets = state->transient_buckets == NULL ? TRANSIENT_BUCKETS_FIRST
                                                      : (state->transient_mask + 1) * 2;
    size_t *heads = calloc(buckets, sizeof *heads);
    if (heads == NULL)
        return false;
    free(state->transient_buckets);
    state->transient_buckets = heads;
    state->transient_mask = buckets - 1;
    for (size_t i = 0; i < state->transients.count; i++) {
        transient_entry *entry = &state->transients.items[i];
        size_t *head = &heads[hash_transient(entry->account, &entry->key) & (buckets - 1)];
        entry->next = *head;
        *head = i + 1;
    }
    return true;
}

void ghost_state_transient_store(ghost_state *state, const ghost_account *account,
                                 const u256 *key, const u256 *value) {
    transient_entry *entry = find_transient(state, account, key);
    if (entry == NULL) {
        if (!grow_transients(state)) {
            fail(state);
            return;
        }
        size_t *head = &state->transient_buckets[hash_transient(account, key) &
                                                 state->transient_mask];
        entry = &state->transients.items[state->transients.count++];
        *entry = (transient_entry){.account = account, .key = *key, .next = *head};
        *head = state->transients.count;
    }
    journal_entry *undo_entry = journal_add(state, JOURNAL_TRANSIENT);
    undo_entry->at.transient = (size_t)(entry - state->transients.items);
    undo_entry->old.word = entry->value;
    entry->value = *value;
}

/* ---- logs, refunds, block hashes ---- */

void ghost_state_log(ghost_state *state, const ghost_address *address, const u256 *topics,
                     unsigned topic_count, const uint8_t *data, size_t length) {
    uint8_t *copy = NULL;
    if (!LIST_RESERVE(state->logs, 1) ||
        (length != 0 && (copy = state_arena_take(&state->log_data, length)) == NULL)) {
        fail(state);
        return;
    }
    if (length != 0)
        memcpy(copy, data, length);
    ghost_log *log = &state->logs.items[state->logs.count++];
    memcpy(log->address, address->bytes, 20);
    log->topic_count = (uint8_t)topic_count;
    log->is_transfer = 0;
    log->ordinal = state->log_ordinal++;
    for (unsigned i = 0; i < topic_count; i++)
        u256_to_be(log->topics[i], &topics[i]);
    log->data = copy;
    log->data_length = length;
}

/* ERC-7528's address of the coin, and keccak256("Transfer(address,address,uint256)"). */
static const ghost_address coin_of_logs = {
    {0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
     0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};
static const uint8_t transfer_topic[32] = {
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b, 0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa,
    0x95, 0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16, 0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef};

void state_log_transfer(ghost_state *state, const ghost_address *from, const ghost_address *to,
                        const u256 *value) {
    if (!state->logs_transfers || u256_is_zero(value))
        return;
    uint8_t words[3][32] = {{0}};
    memcpy(words[0] + 12, from->bytes, 20);
    memcpy(words[1] + 12, to->bytes, 20);
    u256_to_be(words[2], value);
    const u256 topics[3] = {u256_from_be(transfer_topic), u256_from_be(words[0]),
                            u256_from_be(words[1])};
    size_t before = state->logs.count;
    ghost_state_log(state, &coin_of_logs, topics, 3, words[2], 32);
    if (state->logs.count != before)
        state->logs.items[before].is_transfer = 1;
}

void ghost_state_refund(ghost_state *state, int64_t gas) {
    state->refund += gas;
}

int64_t ghost_state_refund_counter(const ghost_state *state) {
    return state->refund;
}

int ghost_state_block_hash(ghost_state *state, uint64_t number, ghost_hash *hash) {
    static const uint8_t unknown[32];
    if (number + 1 == state->number && memcmp(state->parent_hash.bytes, unknown, 32) != 0) {
        *hash = state->parent_hash;
        return GHOST_OK;
    }
    size_t at = number % 256;
    if (state->block_hashes[at].block != state->block ||
        state->block_hashes[at].number != number) {
        ghost_hash found = {{0}};
        int status = state->loader->block_hash(state->loader->context, number, found.bytes);
        if (status < 0) {
            state->status = GHOST_LOADER_FAILED;
            return GHOST_LOADER_FAILED;
        }
        state->block_hashes[at].block = state->block;
        state->block_hashes[at].number = number;
        state->block_hashes[at].hash = found;
    }
    *hash = state->block_hashes[at].hash;
    return GHOST_OK;
}
