/* Accounts, slots and codes in memory: asked of the loader once per miss, kept between blocks up
 * to a bound. */
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "../precompiles/precompiles.h"
#include "overlay.h"

enum {
    TABLE_CAPACITY_FIRST = 64,
    CODE_PADDING = 33,            /* a PUSH32 and a STOP beyond the end */
    CODE_PARTS = 4                /* of the cache's bound: what code may take from state to state */
};

const ghost_hash ghost_empty_code_hash = {
    {0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d,
     0xb2, 0xdc, 0xc7, 0x03, 0xc0, 0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82,
     0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70}};
const uint8_t ghost_empty_root[32] = {
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
    0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21};

/* ---- hashing of the tables ---- */

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load_word(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint64_t hash_address(const ghost_state *state, const ghost_address *address) {
    uint32_t tail;
    memcpy(&tail, address->bytes + 16, sizeof tail);
    uint64_t head = mix(load_word(address->bytes) ^ state->seeds[0],
                        load_word(address->bytes + 8) ^ state->seeds[1]);
    return mix(head ^ tail, state->seeds[0] | 1);
}

static uint64_t hash_slot(const ghost_state *state, const account_entry *account,
                          const u256 *key) {
    uint64_t low = mix(key->limbs[0] ^ state->seeds[0], key->limbs[1] ^ state->seeds[1]);
    uint64_t high = mix(key->limbs[2] ^ state->seeds[1], key->limbs[3] ^ state->seeds[0]);
    return mix(low ^ (uint64_t)(uintptr_t)account, high ^ state->seeds[1] ^ 1);
}

static uint64_t hash_code(const ghost_state *state, const uint8_t hash[32]) {
    return mix(load_word(hash) ^ state->seeds[0], load_word(hash + 8) ^ state->seeds[1]);
}

/* ---- life ---- */

bool state_init(ghost_state *state, const ghost_state_loader *loader, size_t cache_bytes_max) {
    memset(state, 0, sizeof *state);
    state->loader = loader;
    state->cache_bytes_max = cache_bytes_max;
    state->block = 1;
    state->stamp = 1;
    if (getrandom(state->seeds, sizeof state->seeds, GRND_NONBLOCK) != sizeof state->seeds) {
        state->seeds[0] = (uint64_t)(uintptr_t)state * 0x9e3779b97f4a7c15u;
        state->seeds[1] = (uint64_t)time(NULL) ^ 0xbf58476d1ce4e5b9u;
    }
    state_slab_init(&state->account_slab, sizeof(account_entry));
    state_slab_init(&state->slot_slab, sizeof(slot_entry));
    state_slab_init(&state->code_slab, sizeof(code_entry));
    return state_table_init(&state->accounts, TABLE_CAPACITY_FIRST) &&
           state_table_init(&state->slots, TABLE_CAPACITY_FIRST) &&
           state_table_init(&state->codes, TABLE_CAPACITY_FIRST);
}

static void release_code(ghost_state *state, code_entry *entry) {
    state->code_bytes -= entry->code.length + CODE_PADDING;
    if (entry->analysis_counted)
        state->code_bytes -= ghost_evm_analysis_size(entry->code.analysis);
    if (entry->code.analysis != NULL)
        ghost_evm_analysis_free(entry->code.analysis);
    free((void *)entry->code.bytes);
}

static void release_codes(ghost_state *state) {
    for (size_t i = 0; state->codes.buckets != NULL && i <= state->codes.mask; i++)
        if (state->codes.buckets[i].entry != NULL)
            release_code(state, state->codes.buckets[i].entry);
    state_slab_free(&state->code_slab);
}

void state_free(ghost_state *state) {
    release_codes(state);
    state_slab_free(&state->account_slab);
    state_slab_free(&state->slot_slab);
    free(state->accounts.buckets);
    free(state->slots.buckets);
    free(state->codes.buckets);
    free(state->expected.items);
    free(state->expected_views.items);
    free(state->expected_hashes.items);
    free(state->journal.items);
    free(state->dirty_accounts.items);
    free(state->dirty_slots.items);
    free(state->transients.items);
    free(state->transient_buckets);
    free(state->logs.items);
    free(state->recorded_accounts.items);
    free(state->recorded_slots.items);
    state_arena_free(&state->log_data);
    known_free(&state->known);
}

static void forget_values(ghost_state *state) {
    state_slab_free(&state->account_slab);
    state_slab_free(&state->slot_slab);
    state_table_clear(&state->accounts);
    state_table_clear(&state->slots);
    state->dirty_accounts.count = 0;
    state->dirty_slots.count = 0;
    state->journal.count = 0;
    state->lost = false;
}

void state_forget(ghost_state *state) {
    release_codes(state);
    state_table_clear(&state->codes);
    forget_values(state);
}

static void count_analysis(ghost_state *state, code_entry *code) {
    if (code->code.analysis != NULL && !code->analysis_counted) {
        code->analysis_counted = true;
        state->code_bytes += ghost_evm_analysis_size(code->code.analysis);
    }
}

/* Code is what its hash says, of whatever state, so it stays as long as there is not much of it. */
void state_forget_values(ghost_state *state) {
    for (size_t i = 0; i <= state->codes.mask; i++)
        if (state->codes.buckets[i].entry != NULL)
            count_analysis(state, state->codes.buckets[i].entry);
    if (state->code_bytes + state->code_slab.bytes > state->cache_bytes_max / CODE_PARTS)
        state_forget(state);
    else
        forget_values(state);
}

/* What the entries in use take (their buckets included). */
static size_t live_bytes(const ghost_state *state) {
    size_t bucket_bytes = 2 * sizeof(bucket);
    return state->accounts.count * (sizeof(account_entry) + bucket_bytes) +
           state->slots.count * (sizeof(slot_entry) + bucket_bytes) +
           state->codes.count * (sizeof(code_entry) + bucket_bytes) + state->code_bytes;
}

size_t state_memory(const ghost_state *state) {
    size_t buckets = state->accounts.mask + state->slots.mask + state->codes.mask + 3;
    return state->account_slab.bytes + state->slot_slab.bytes + state->code_slab.bytes +
           state->code_bytes + buckets * sizeof(bucket) + state->log_data.bytes +
           state->journal.room * sizeof(journal_entry) +
           state->dirty_accounts.room * sizeof(account_before) +
           state->dirty_slots.room * sizeof(slot_before) +
           state->logs.room * sizeof(ghost_log) + state->known.room;
}

/* ---- eviction ---- */

static bool account_is_recent(const ghost_state *state, const account_entry *account) {
    return account->warm >= state->block_first_stamp || account->dirty_block == state->block;
}

/* Moves the entries that `keeps` accepts into a fresh table and gives the others back. */
static bool sweep(ghost_state *state, table *old, bool (*keeps)(ghost_state *, void *)) {
    table fresh;
    if (!state_table_init(&fresh, TABLE_CAPACITY_FIRST))
        return false;
    for (size_t i = 0; i <= old->mask; i++) {
        bucket *from = &old->buckets[i];
        if (from->entry == NULL)
            continue;
        if (!keeps(state, from->entry)) {
            from->entry = NULL;
        } else if (!state_table_put(&fresh, from->hash, from->entry)) {
            free(fresh.buckets);
            return false;
        }
    }
    free(old->buckets);
    *old = fresh;
    return true;
}

static bool keeps_slot(ghost_state *state, void *entry) {
    slot_entry *slot = entry;
    bool kept = account_is_recent(state, slot->account) &&
                (slot->seen >= state->block_first_stamp || slot->dirty_block == state->block);
    if (kept) {
        slot->next = slot->account->slots;
        slot->account->slots = slot;
    } else {
        state_slab_give(&state->slot_slab, slot);
    }
    return kept;
}

static bool keeps_account(ghost_state *state, void *entry) {
    account_entry *account = entry;
    if (!account_is_recent(state, account)) {
        state_slab_give(&state->account_slab, account);
        return false;
    }
    if (account->code != NULL && account->code->used_block != state->block)
        account->code = NULL;
    return true;
}

static bool keeps_code(ghost_state *state, void *entry) {
    code_entry *code = entry;
    if (code->used_block == state->block)
        return true;
    release_code(state, code);
    state_slab_give(&state->code_slab, code);
    return false;
}

/* Keeps what the last block used. Where that alone is more than half the bound, the next sweep
 * would come too soon, and everything goes. */
void state_evict(ghost_state *state) {
    if (live_bytes(state) <= state->cache_bytes_max)
        return;
    for (size_t i = 0; i <= state->accounts.mask; i++)
        if (state->accounts.buckets[i].entry != NULL)
            ((account_entry *)state->accounts.buckets[i].entry)->slots = NULL;
    if (!sweep(state, &state->slots, keeps_slot) ||
        !sweep(state, &state->accounts, keeps_account) ||
        !sweep(state, &state->codes, keeps_code) ||
        live_bytes(state) > state->cache_bytes_max / 2)
        state_forget(state);
}

/* ---- accounts ---- */

static account_entry *find_account(const ghost_state *state, uint64_t hash,
                                   const ghost_address *address) {
    const table *table = &state->accounts;
    for (size_t i = hash & table->mask; table->buckets[i].entry != NULL;
         i = (i + 1) & table->mask) {
        if (table->buckets[i].hash == hash) {
            account_entry *entry = table->buckets[i].entry;
            if (memcmp(entry->account.address.bytes, address->bytes, 20) == 0)
                return entry;
        }
    }
    return NULL;
}

static account_entry *add_account(ghost_state *state, uint64_t hash,
                                  const ghost_address *address) {
    account_entry *entry = state_slab_take(&state->account_slab);
    if (entry == NULL || !state_table_put(&state->accounts, hash, entry)) {
        state->status = GHOST_OUT_OF_MEMORY;
        return NULL;
    }
    entry->account.address = *address;
    static const uint8_t zeros[18];
    if (memcmp(address->bytes, zeros, sizeof zeros) == 0)
        for (uint32_t fork = 0; fork < GHOST_FORK_COUNT; fork++)
            if (ghost_precompile_exists(fork, address->bytes))
                entry->precompile_forks |= (uint8_t)(1u << fork);
    return entry;
}

/* What the loader has told of an account. */
static void take_account(account_entry *entry, const ghost_account_record *record, bool found) {
    entry->present = entry->stored = found;
    if (found) {
        entry->account.nonce = record->nonce;
        entry->account.balance = u256_from_be(record->balance);
        memcpy(entry->account.code_hash.bytes, record->code_hash, 32);
        memcpy(entry->storage_root.bytes, record->storage_root, 32);
    } else {
        entry->account.code_hash = ghost_empty_code_hash;
        memcpy(entry->storage_root.bytes, ghost_empty_root, 32);
    }
    entry->loaded = true;
}

static account_entry *load_account(ghost_state *state, account_entry *entry) {
    ghost_account_record record;
    const ghost_state_loader *loader = state->loader;
    int found;
    if (!known_account(&state->known, entry->hashed.bytes, &found, &record))
        found = loader->account(loader->context, entry->account.address.bytes,
                                entry->hashed.bytes, &record);
    if (found < 0) {
        state->status = GHOST_LOADER_FAILED;
        return NULL;
    }
    take_account(entry, &record, found != 0);
    return entry;
}

account_entry *state_account(ghost_state *state, const ghost_address *address) {
    uint64_t hash = hash_address(state, address);
    account_entry *entry = find_account(state, hash, address);
    if (entry == NULL) {
        entry = add_account(state, hash, address);
        if (entry == NULL)
            return NULL;
        ghost_keccak256(entry->hashed.bytes, address->bytes, 20);
    }
    return entry->loaded ? entry : load_account(state, entry);
}

/* The addresses of one transaction: sender, and recipient unless it creates. */
static size_t addresses_of(const ghost_tx *tx, const uint8_t *addresses[2]) {
    if (tx->reason != GHOST_TX_OK)
        return 0;
    addresses[0] = tx->sender;
    addresses[1] = tx->to;
    return tx->is_create ? 1 : 2;
}

/* Lists the entry of an address that nobody has asked for yet. False when memory is out. */
static bool expect_account(ghost_state *state, const uint8_t bytes[20]) {
    ghost_address address;
    memcpy(address.bytes, bytes, 20);
    uint64_t hash = hash_address(state, &address);
    if (find_account(state, hash, &address) != NULL)
        return true;
    account_entry *entry = add_account(state, hash, &address);
    if (entry == NULL)
        return false;
    state->expected.items[state->expected.count++] = entry;
    state->expected_views.items[state->expected_views.count++] =
        (ghost_view){entry->account.address.bytes, 20};
    return true;
}

/* Buckets and entries lie anywhere in memory: ask for them all before any is needed. */
static void prefetch_accounts(const ghost_state *state, const ghost_tx *transactions,
                              size_t count) {
    const table *table = &state->accounts;
    const uint8_t *addresses[2];
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            size_t found = addresses_of(&transactions[i], addresses);
            for (size_t k = 0; k < found; k++) {
                ghost_address address;
                memcpy(address.bytes, addresses[k], 20);
                const bucket *place =
                    &table->buckets[hash_address(state, &address) & table->mask];
                if (pass == 0) {
                    __builtin_prefetch(place);
                } else if (place->entry != NULL) {
                    __builtin_prefetch(place->entry);
                    __builtin_prefetch((const uint8_t *)place->entry + 64);
                    __builtin_prefetch((const uint8_t *)place->entry + 192);
                }
            }
        }
    }
}

/* Room for so many expected addresses; none is yet. */
static bool expect_none(ghost_state *state, size_t room) {
    state->expected.count = state->expected_views.count = 0;
    return LIST_RESERVE(state->expected, room) && LIST_RESERVE(state->expected_views, room) &&
           LIST_RESERVE(state->expected_hashes, room);
}

static void hash_expected(ghost_state *state) {
    size_t expected = state->expected.count;
    if (expected == 0)
        return;
    ghost_keccak256_views(state->expected_hashes.items[0].bytes, state->expected_views.items,
                          expected);
    for (size_t i = 0; i < expected; i++)
        state->expected.items[i]->hashed = state->expected_hashes.items[i];
}

void state_expect_accounts(ghost_state *state, const ghost_tx *transactions, size_t count) {
    if (!expect_none(state, 2 * count))
        return;                   /* an entry is then hashed when it is asked for */
    prefetch_accounts(state, transactions, count);
    const uint8_t *addresses[2];
    bool has_room = true;
    for (size_t i = 0; i < count && has_room; i++) {
        size_t found = addresses_of(&transactions[i], addresses);
        for (size_t k = 0; k < found && has_room; k++)
            has_room = expect_account(state, addresses[k]);
    }
    hash_expected(state);
}

bool state_load_accounts(ghost_state *state, const uint8_t *addresses, size_t count) {
    const ghost_state_loader *loader = state->loader;
    if (loader->accounts == NULL || count > GHOST_ACCOUNTS_AT_ONCE || !expect_none(state, count))
        return true;              /* each is then loaded when it is asked for */
    bool has_room = true;
    for (size_t i = 0; i < count && has_room; i++)
        has_room = expect_account(state, addresses + 20 * i);
    hash_expected(state);
    size_t expected = state->expected.count;
    if (!has_room || expected == 0)
        return has_room;
    uint8_t names[20 * GHOST_ACCOUNTS_AT_ONCE], found[GHOST_ACCOUNTS_AT_ONCE] = {0};
    ghost_account_record records[GHOST_ACCOUNTS_AT_ONCE];
    for (size_t i = 0; i < expected; i++)
        memcpy(names + 20 * i, state->expected.items[i]->account.address.bytes, 20);
    if (loader->accounts(loader->context, expected, names, state->expected_hashes.items[0].bytes,
                         records, found) < 0) {
        state->status = GHOST_LOADER_FAILED;
        return false;
    }
    for (size_t i = 0; i < expected; i++)
        take_account(state->expected.items[i], &records[i], found[i] != 0);
    return true;
}

/* ---- slots ---- */

void state_slot_hash(slot_entry *slot) {
    uint8_t key[32];
    u256_to_be(key, &slot->key);
    ghost_keccak256(slot->hashed.bytes, key, 32);
    slot->is_hashed = true;
}

static bool load_slot(ghost_state *state, slot_entry *slot) {
    const account_entry *account = slot->account;
    if (!account->stored || account->wiped)
        return true;
    uint8_t key[32], value[32];
    u256_to_be(key, &slot->key);
    state_slot_hash(slot);
    if (known_slot(&state->known, account->hashed.bytes, slot->hashed.bytes, value)) {
        slot->slot.value = u256_from_be(value);
        return true;
    }
    const ghost_state_loader *loader = state->loader;
    int found = loader->slot(loader->context, account->account.address.bytes,
                             account->hashed.bytes, key, slot->hashed.bytes, value);
    if (found < 0) {
        state->status = GHOST_LOADER_FAILED;
        return false;
    }
    if (found)
        slot->slot.value = u256_from_be(value);
    return true;
}

slot_entry *state_slot(ghost_state *state, account_entry *account, const u256 *key) {
    uint64_t hash = hash_slot(state, account, key);
    const table *table = &state->slots;
    for (size_t i = hash & table->mask; table->buckets[i].entry != NULL;
         i = (i + 1) & table->mask) {
        if (table->buckets[i].hash == hash) {
            slot_entry *entry = table->buckets[i].entry;
            if (entry->account == account && u256_equal(&entry->key, key))
                return entry;
        }
    }
    slot_entry *slot = state_slab_take(&state->slot_slab);
    if (slot == NULL) {
        state->status = GHOST_OUT_OF_MEMORY;
        return NULL;
    }
    slot->key = *key;
    slot->account = account;
    bool ready = load_slot(state, slot);
    if (ready && !state_table_put(&state->slots, hash, slot)) {
        state->status = GHOST_OUT_OF_MEMORY;
        ready = false;
    }
    if (!ready) {
        state_slab_give(&state->slot_slab, slot);
        return NULL;
    }
    slot->next = account->slots;
    account->slots = slot;
    return slot;
}

/* ---- code ---- */

static code_entry *find_code(const ghost_state *state, uint64_t hash, const uint8_t digest[32]) {
    const table *table = &state->codes;
    for (size_t i = hash & table->mask; table->buckets[i].entry != NULL;
         i = (i + 1) & table->mask) {
        code_entry *entry = table->buckets[i].entry;
        if (table->buckets[i].hash == hash && memcmp(entry->code.hash.bytes, digest, 32) == 0)
            return entry;
    }
    return NULL;
}

static code_entry *intern(ghost_state *state, const uint8_t digest[32], const uint8_t *bytes,
                          size_t length) {
    uint64_t hash = hash_code(state, digest);
    code_entry *entry = find_code(state, hash, digest);
    if (entry != NULL) {
        entry->used_block = state->block;
        return entry;
    }
    uint8_t *copy = malloc(length + CODE_PADDING);
    entry = copy == NULL ? NULL : state_slab_take(&state->code_slab);
    if (entry == NULL || !state_table_put(&state->codes, hash, entry)) {
        free(copy);
        state->status = GHOST_OUT_OF_MEMORY;
        return NULL;
    }
    if (length != 0)
        memcpy(copy, bytes, length);
    memset(copy + length, 0, CODE_PADDING);
    memcpy(entry->code.hash.bytes, digest, 32);
    entry->code.bytes = copy;
    entry->code.length = length;
    entry->used_block = state->block;
    state->code_bytes += length + CODE_PADDING;
    return entry;
}

code_entry *state_intern_code(ghost_state *state, const uint8_t *bytes, size_t length) {
    uint8_t digest[32];
    ghost_keccak256(digest, bytes, length);
    return intern(state, digest, bytes, length);
}

static code_entry *load_code(ghost_state *state, account_entry *account) {
    const uint8_t *digest = account->account.code_hash.bytes;
    if (memcmp(digest, ghost_empty_code_hash.bytes, 32) == 0)
        return intern(state, digest, NULL, 0);
    code_entry *entry = find_code(state, hash_code(state, digest), digest);
    if (entry != NULL)
        return entry;
    ghost_view view;
    int found = state->loader->code(state->loader->context, digest, &view);
    if (found <= 0) {
        state->status = found < 0 ? GHOST_LOADER_FAILED : GHOST_MISSING;
        return NULL;
    }
    return intern(state, digest, view.data, view.length);
}

code_entry *state_code(ghost_state *state, account_entry *account) {
    if (account->code == NULL) {
        account->code = load_code(state, account);
        if (account->code == NULL)
            return NULL;
    }
    code_entry *code = account->code;
    code->used_block = state->block;
    count_analysis(state, code);
    return code;
}
