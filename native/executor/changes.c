/* The net difference a block makes, and its two ends: commit and discard. */
#include <stddef.h>
#include <stdlib.h>

#include "overlay.h"

enum {
    AHEAD = 8,                    /* entries asked of the memory before they are needed */
    CACHE_LINE_BYTES = 64
};

/* Sorted by hash, entries lie anywhere in memory. */
static void prefetch_entry(const void *entry) {
    for (size_t i = 0; i < sizeof(account_entry); i += CACHE_LINE_BYTES)
        __builtin_prefetch((const uint8_t *)entry + i);
}

/* ---- sorting by hash: one counting pass over the leading bits, then small sorts ---- */

static int compare_keys(const void *left, const void *right) {
    const sort_key *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return memcmp(a->hash, b->hash, 32);
}

static void sort_few(sort_key *keys, size_t count) {
    if (count > 16) {             /* hashes ground to share their leading bits */
        qsort(keys, count, sizeof *keys, compare_keys);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        sort_key key = keys[i];
        size_t j = i;
        for (; j > 0 && compare_keys(&key, &keys[j - 1]) < 0; j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

static bool sort_keys(change_set *changes, sort_key *keys, size_t count) {
    if (count <= 16) {
        sort_few(keys, count);
        return true;
    }
    unsigned bits = 63u - (unsigned)__builtin_clzll(count);
    size_t buckets = (size_t)1 << bits;
    changes->starts.count = changes->sorted.count = 0;
    if (!LIST_RESERVE(changes->starts, buckets + 1) || !LIST_RESERVE(changes->sorted, count))
        return false;
    size_t *starts = changes->starts.items;
    memset(starts, 0, (buckets + 1) * sizeof *starts);
    for (size_t i = 0; i < count; i++)
        starts[(keys[i].prefix >> (64 - bits)) + 1]++;
    for (size_t i = 0; i < buckets; i++)
        starts[i + 1] += starts[i];
    sort_key *sorted = changes->sorted.items;
    for (size_t i = 0; i < count; i++)
        sorted[starts[keys[i].prefix >> (64 - bits)]++] = keys[i];
    /* starts[i] is now the end of bucket i */
    for (size_t i = 0, first = 0; i < buckets; first = starts[i++])
        sort_few(sorted + first, starts[i] - first);
    memcpy(keys, sorted, count * sizeof *keys);
    return true;
}

/* ---- building ---- */

static bool hash_slots(change_set *changes) {
    size_t count = changes->unhashed.count;
    changes->words.count = changes->views.count = 0;
    if (!LIST_RESERVE(changes->words, 2 * count) || !LIST_RESERVE(changes->views, count))
        return false;
    ghost_hash *keys = changes->words.items, *digests = keys + count;
    for (size_t i = 0; i < count; i++) {
        u256_to_be(keys[i].bytes, &changes->unhashed.items[i]->key);
        changes->views.items[i] = (ghost_view){keys[i].bytes, 32};
    }
    if (count != 0)
        ghost_keccak256_views(digests[0].bytes, changes->views.items, count);
    for (size_t i = 0; i < count; i++) {
        changes->unhashed.items[i]->hashed = digests[i];
        changes->unhashed.items[i]->is_hashed = true;
    }
    return true;
}

static bool has_lost_storage(const account_entry *entry) {
    return entry->wiped && entry->stored &&
           memcmp(entry->storage_root.bytes, ghost_empty_root, sizeof ghost_empty_root) != 0;
}

/* What was written again after its storage was wiped counts, though the value is the old one. */
static bool slot_differs(const slot_before *before) {
    const slot_entry *slot = before->entry;
    return !u256_equal(&slot->slot.value, &before->value) ||
           (!u256_is_zero(&slot->slot.value) && has_lost_storage(slot->account));
}

/* Chains the slots that differ to their accounts and sees to it that all are hashed. */
static bool chain_slots(ghost_state *state, change_set *changes) {
    changes->unhashed.count = 0;
    for (size_t i = 0; i < state->dirty_slots.count; i++) {
        slot_before *before = &state->dirty_slots.items[i];
        slot_entry *slot = before->entry;
        if (!slot->account->present || !slot_differs(before))
            continue;
        before->next = slot->account->changed_slots;
        slot->account->changed_slots = i + 1;
        if (slot->is_hashed)
            continue;
        if (!LIST_RESERVE(changes->unhashed, 1))
            return false;
        changes->unhashed.items[changes->unhashed.count++] = slot;
    }
    return hash_slots(changes);
}

static bool loses_storage(const account_before *before) {
    return !before->wiped && has_lost_storage(before->entry);
}

static bool differs(const account_before *before) {
    const account_entry *entry = before->entry;
    const ghost_account *account = &entry->account;
    if (before->present != entry->present)
        return true;
    if (!entry->present)
        return false;
    return before->nonce != account->nonce || !u256_equal(&before->balance, &account->balance) ||
           memcmp(before->code_hash.bytes, account->code_hash.bytes, 32) != 0 ||
           entry->changed_slots != 0 || loses_storage(before);
}

static bool emit_slots(ghost_state *state, change_set *changes, account_entry *entry) {
    changes->slot_keys.count = 0;
    for (size_t at = entry->changed_slots; at != 0; at = state->dirty_slots.items[at - 1].next) {
        if (!LIST_RESERVE(changes->slot_keys, 1))
            return false;
        const uint8_t *hash = state->dirty_slots.items[at - 1].entry->hashed.bytes;
        changes->slot_keys.items[changes->slot_keys.count++] =
            (sort_key){load_be64(hash), hash, at - 1};
    }
    size_t count = changes->slot_keys.count;
    if (!sort_keys(changes, changes->slot_keys.items, count) ||
        !LIST_RESERVE(changes->slots, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const slot_before *before =
            &state->dirty_slots.items[changes->slot_keys.items[i].index];
        ghost_slot_change *change = &changes->slots.items[changes->slots.count++];
        u256_to_be(change->key, &before->entry->key);
        memcpy(change->hashed, before->entry->hashed.bytes, 32);
        u256_to_be(change->before, &before->value);
        u256_to_be(change->after, &before->entry->slot.value);
    }
    return true;
}

static bool emit_code(ghost_state *state, change_set *changes, account_entry *entry) {
    code_entry *code = entry->code;
    if (code == NULL || code->code.length == 0 || code->counted_block == state->block)
        return true;
    if (!LIST_RESERVE(changes->codes, 1))
        return false;
    code->counted_block = state->block;
    ghost_code_change *change = &changes->codes.items[changes->codes.count++];
    memcpy(change->hash, code->code.hash.bytes, 32);
    change->data = code->code.bytes;
    change->length = code->code.length;
    return true;
}

/* Both lists have room already. */
static bool emit_account(ghost_state *state, change_set *changes, const account_before *before) {
    account_entry *entry = before->entry;
    ghost_account_change *change = &changes->accounts.items[changes->accounts.count++];
    changes->entries.items[changes->entries.count++] = entry;
    memcpy(change->address, entry->account.address.bytes, 20);
    memcpy(change->hashed, entry->hashed.bytes, 32);
    change->existed = before->present;
    change->exists = entry->present;
    change->storage_wiped = loses_storage(before);
    change->before.nonce = before->nonce;
    u256_to_be(change->before.balance, &before->balance);
    memcpy(change->before.storage_root, entry->storage_root.bytes, 32);
    memcpy(change->before.code_hash, before->code_hash.bytes, 32);
    change->after.nonce = entry->account.nonce;
    u256_to_be(change->after.balance, &entry->account.balance);
    memcpy(change->after.storage_root,
           change->storage_wiped ? ghost_empty_root : entry->storage_root.bytes, 32);
    memcpy(change->after.code_hash, entry->account.code_hash.bytes, 32);
    change->code_changed =
        entry->present && memcmp(change->before.code_hash, change->after.code_hash, 32) != 0;
    change->slot_first = changes->slots.count;
    bool done = !change->code_changed || emit_code(state, changes, entry);
    if (entry->present && entry->changed_slots != 0)
        done = done && emit_slots(state, changes, entry);
    change->slot_count = changes->slots.count - change->slot_first;
    return done;
}

int changes_build(ghost_state *state, change_set *changes) {
    changes->accounts.count = changes->entries.count = 0;
    changes->slots.count = changes->codes.count = changes->account_keys.count = 0;
    size_t dirty = state->dirty_accounts.count;
    for (size_t i = 0; i < dirty; i++)
        state->dirty_accounts.items[i].entry->changed_slots = 0;
    if (!chain_slots(state, changes) || !LIST_RESERVE(changes->account_keys, dirty))
        return GHOST_OUT_OF_MEMORY;
    for (size_t i = 0; i < dirty; i++) {
        const account_before *before = &state->dirty_accounts.items[i];
        if (!differs(before))
            continue;
        const uint8_t *hash = before->entry->hashed.bytes;
        changes->account_keys.items[changes->account_keys.count++] =
            (sort_key){load_be64(hash), hash, i};
    }
    size_t count = changes->account_keys.count;
    if (!sort_keys(changes, changes->account_keys.items, count) ||
        !LIST_RESERVE(changes->accounts, count) || !LIST_RESERVE(changes->entries, count))
        return GHOST_OUT_OF_MEMORY;
    const sort_key *keys = changes->account_keys.items;
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            prefetch_entry(keys[i + AHEAD].hash - offsetof(account_entry, hashed));
            __builtin_prefetch(&state->dirty_accounts.items[keys[i + AHEAD].index]);
        }
        if (!emit_account(state, changes, &state->dirty_accounts.items[keys[i].index]))
            return GHOST_OUT_OF_MEMORY;
    }
    return GHOST_OK;
}

/* ---- the two ends ---- */

void changes_commit(ghost_state *state, const change_set *changes) {
    for (size_t i = 0; i < state->dirty_accounts.count; i++)
        state->dirty_accounts.items[i].entry->wiped = false;
    for (size_t i = 0; i < changes->accounts.count; i++) {
        account_entry *entry = changes->entries.items[i];
        if (i + AHEAD < changes->accounts.count)
            prefetch_entry(changes->entries.items[i + AHEAD]);
        entry->stored = entry->present;
        memcpy(entry->storage_root.bytes,
               entry->present ? changes->accounts.items[i].after.storage_root : ghost_empty_root,
               32);
    }
    state->dirty_accounts.count = 0;
    state->dirty_slots.count = 0;
}

void changes_discard(ghost_state *state) {
    bool forget = state->lost;
    for (size_t i = 0; i < state->dirty_accounts.count; i++) {
        const account_before *before = &state->dirty_accounts.items[i];
        /* Slots first seen after the wipe were taken for zero without asking. */
        forget = forget || loses_storage(before);
        account_entry *entry = before->entry;
        entry->account.nonce = before->nonce;
        entry->account.balance = before->balance;
        entry->account.code_hash = before->code_hash;
        entry->code = before->code;
        entry->present = before->present;
        entry->wiped = before->wiped;
    }
    for (size_t i = 0; i < state->dirty_slots.count; i++)
        state->dirty_slots.items[i].entry->slot.value = state->dirty_slots.items[i].value;
    state->dirty_accounts.count = 0;
    state->dirty_slots.count = 0;
    state->journal.count = 0;
    if (forget)
        state_forget(state);
}

void changes_free(change_set *changes) {
    free(changes->accounts.items);
    free(changes->entries.items);
    free(changes->slots.items);
    free(changes->codes.items);
    free(changes->account_keys.items);
    free(changes->slot_keys.items);
    free(changes->sorted.items);
    free(changes->starts.items);
    free(changes->unhashed.items);
    free(changes->words.items);
    free(changes->views.items);
}
