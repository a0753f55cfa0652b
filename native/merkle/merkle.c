/* The forest of state tries: one block applied, and then adopted or forgotten. */
#include "merkle.h"

#include <stdlib.h>

#include "forest.h"

/* What the lists of an apply, each, and its arena may keep between blocks at most. */
enum { KEPT_BYTES_MAX = 1 << 20, ARENA_KEPT_BYTES_MAX = 1 << 22 };

/* The clock of a small cache does not run with every node. */
enum { GENERATION_BYTES_MIN = 1 << 8 };

static size_t at_most(size_t size, size_t limit) {
    return size < limit ? size : limit;
}

ghost_forest *ghost_forest_new(const ghost_node_loader *loader, const uint8_t root[32],
                               size_t cache_bytes_max) {
    ghost_forest *forest = calloc(1, sizeof *forest);
    if (forest == NULL)
        return NULL;
    forest->loader = *loader;
    forest->cache_bytes_max = cache_bytes_max;
    forest->pool.advance_bytes = cache_bytes_max / (POOL_GENERATIONS / 2);
    if (forest->pool.advance_bytes < GENERATION_BYTES_MIN)
        forest->pool.advance_bytes = GENERATION_BYTES_MIN;
    trie_slot_set_root(&forest->accounts.committed, root);
    return forest;
}

static tree **touched_trees(const ghost_forest *forest) {
    return forest->trees.data;
}

/* Ends the pending apply: what it wrote is no longer needed. */
static void end_apply(ghost_forest *forest) {
    for (size_t i = 0; i < forest->trees.count; i++) {
        tree *tree = touched_trees(forest)[i];
        free(tree->wiped.data);
        tree->wiped = (vector){0};
        tree->pending = (slot){0};
        tree->touched = tree->was_wiped = false;
    }
    forest->accounts.touched = false;
    size_t kept = at_most(forest->cache_bytes_max / 32, KEPT_BYTES_MAX);
    trie_vector_clear(&forest->fresh, sizeof(node *), kept);
    trie_vector_clear(&forest->retired, sizeof(node *), kept);
    trie_vector_clear(&forest->changes, sizeof(change), kept);
    trie_vector_clear(&forest->trees, sizeof(tree *), kept);
    trie_vector_clear(&forest->jobs, sizeof(job), kept);
    trie_vector_clear(&forest->order, sizeof(job *), kept);
    trie_vector_clear(&forest->writes, sizeof(ghost_node_write), kept);
    trie_vector_clear(&forest->encoded, 1, kept);
    trie_vector_clear(&forest->ends, sizeof(size_t), kept);
    trie_arena_clear(&forest->arena, at_most(forest->cache_bytes_max / 4, ARENA_KEPT_BYTES_MAX));
    forest->pending = false;
}

void ghost_forest_discard(ghost_forest *forest) {
    node **fresh = forest->fresh.data;
    for (size_t i = 0; i < forest->fresh.count; i++)
        trie_node_free(&forest->pool, fresh[i]);
    forest->deletions.count = forest->deletions_committed;
    end_apply(forest);
}

static void tree_commit(ghost_forest *forest, tree *tree) {
    if (tree->was_wiped)
        trie_subtree_free(&forest->pool, tree->committed.node);
    tree->committed = tree->pending;
    if (tree->committed.state == SLOT_ABSENT)
        trie_slot_set_root(&tree->committed, trie_empty_root);
}

void ghost_forest_commit(ghost_forest *forest) {
    if (!forest->pending)
        return;
    node **retired = forest->retired.data, **fresh = forest->fresh.data;
    for (size_t i = 0; i < forest->trees.count; i++)
        tree_commit(forest, touched_trees(forest)[i]);
    tree_commit(forest, &forest->accounts);
    for (size_t i = 0; i < forest->retired.count; i++)
        trie_node_free(&forest->pool, retired[i]);
    for (size_t i = 0; i < forest->fresh.count; i++) {
        if (fresh[i]->flags & NODE_DEAD)
            trie_node_free(&forest->pool, fresh[i]);
        else
            fresh[i]->flags &= (uint8_t)~NODE_FRESH;
    }
    forest->deletions_committed = forest->deletions.count;
    end_apply(forest);
    trie_forest_evict(forest);
}

void ghost_forest_reset(ghost_forest *forest, const uint8_t root[32]) {
    end_apply(forest);
    forest->deletions.count = forest->deletions_committed = 0;
    forest->unsaved_bytes = 0;
    trie_table_clear(forest);
    trie_pool_clear(&forest->pool);
    trie_slot_set_root(&forest->accounts.committed, root);
}

void ghost_forest_free(ghost_forest *forest) {
    if (forest == NULL)
        return;
    ghost_forest_reset(forest, trie_empty_root);
    vector *vectors[] = {&forest->fresh, &forest->retired, &forest->changes, &forest->trees,
                         &forest->jobs, &forest->writes, &forest->encoded, &forest->ends,
                         &forest->deletions, &forest->order};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        free(vectors[i]->data);
    trie_arena_clear(&forest->arena, 0);
    free(forest);
}

size_t ghost_forest_memory(const ghost_forest *forest) {
    return trie_forest_memory(forest);
}

/* ---- apply ---- */

/* True when accounts and each account's slots are sorted, unique and within bounds. */
static bool changes_are_ordered(const ghost_account_change *accounts, size_t account_count,
                                const ghost_slot_change *slots, size_t slot_count) {
    if (account_count > UINT32_MAX || slot_count > UINT32_MAX)
        return false;
    for (size_t i = 0; i < account_count; i++) {
        const ghost_account_change *account = &accounts[i];
        if (i > 0 && memcmp(accounts[i - 1].hashed, account->hashed, 32) >= 0)
            return false;
        if (account->slot_first > slot_count ||
            account->slot_count > slot_count - account->slot_first)
            return false;
        const ghost_slot_change *own = slots + account->slot_first;
        for (size_t k = 1; k < account->slot_count; k++) {
            if (memcmp(own[k - 1].hashed, own[k].hashed, 32) >= 0)
                return false;
        }
    }
    return true;
}

static change *make_changes(ghost_forest *forest, size_t count) {
    forest->changes.count = 0;
    return trie_vector_reserve(&forest->changes, count + 1, sizeof(change));
}

static bool is_zero(const uint8_t bytes[32]) {
    uint8_t any = 0;
    for (int i = 0; i < 32; i++)
        any |= bytes[i];
    return any == 0;
}

/* Applies an account's slots to its storage trie, whose root was base. */
static int update_storage(ghost_forest *forest, const ghost_account_change *account,
                          const ghost_slot_change *slots, const uint8_t base[32]) {
    size_t count = account->exists ? account->slot_count : 0;
    tree *tree = trie_table_get(forest, account->hashed, base);
    struct tree **place = trie_vector_reserve(&forest->trees, 1, sizeof *place);
    change *changes = make_changes(forest, count);
    if (tree == NULL || place == NULL || changes == NULL)
        return GHOST_OUT_OF_MEMORY;
    *place = tree;
    forest->trees.count++;
    tree->pending = tree->committed;
    tree->touched = true;
    if (account->storage_wiped || !account->exists) {
        tree->was_wiped = true;
        int status = trie_tree_wipe(forest, tree);
        if (status != GHOST_OK)
            return status;
        tree->pending = (slot){0};
    }
    for (size_t i = 0; i < count; i++) {
        const ghost_slot_change *slot = &slots[account->slot_first + i];
        changes[i].index = (uint32_t)(account->slot_first + i);
        changes[i].deletes = is_zero(slot->after);
        memcpy(changes[i].key, slot->hashed, 32);
    }
    update update = {.forest = forest, .tree = tree, .changes = changes, .slots = slots};
    return trie_tree_update(&update, count);
}

/* Applies the slots of all accounts. storage_changed[i] tells whether account i's storage trie is
 * among forest->trees; they stand there in the order of the accounts. */
static int update_storages(ghost_forest *forest, const ghost_account_change *accounts,
                           size_t account_count, const ghost_slot_change *slots,
                           uint8_t *storage_changed) {
    for (size_t i = 0; i < account_count; i++) {
        const ghost_account_change *account = &accounts[i];
        const leaf *before = NULL;
        uint8_t base[32];
        if (account->exists && !account->storage_wiped && account->slot_count == 0)
            continue;
        int status = trie_account_find(forest, account->hashed, &before);
        if (status != GHOST_OK)
            return status;
        memcpy(base, trie_empty_root, 32);
        if (before != NULL)
            trie_account_leaf_storage_root(before, base);
        bool nothing_before = memcmp(base, trie_empty_root, 32) == 0;
        if (nothing_before && (!account->exists || account->slot_count == 0))
            continue;
        storage_changed[i] = 1;
        status = update_storage(forest, account, slots, base);
        if (status != GHOST_OK)
            return status;
    }
    return GHOST_OK;
}

static void tree_root(const tree *tree, uint8_t root[32]) {
    bool empty = tree->pending.state == SLOT_ABSENT;
    memcpy(root, empty ? trie_empty_root : tree->pending.reference, 32);
}

static int update_accounts(ghost_forest *forest, ghost_account_change *accounts,
                           size_t account_count, const uint8_t *storage_changed) {
    tree *tree = &forest->accounts;
    change *changes = make_changes(forest, account_count);
    if (changes == NULL)
        return GHOST_OUT_OF_MEMORY;
    size_t changed = 0;
    for (size_t i = 0; i < account_count; i++) {
        changes[i].index = (uint32_t)i;
        changes[i].deletes = !accounts[i].exists;
        memcpy(changes[i].key, accounts[i].hashed, 32);
        if (storage_changed[i])
            tree_root(touched_trees(forest)[changed++], accounts[i].after.storage_root);
    }
    update update = {.forest = forest, .tree = tree, .changes = changes, .accounts = accounts,
                     .storage_changed = storage_changed};
    return trie_tree_update(&update, account_count);
}

/* What apply does once the input is known to be sound. */
static int apply_changes(ghost_forest *forest, ghost_account_change *accounts,
                         size_t account_count, const ghost_slot_change *slots) {
    tree *account_tree = &forest->accounts;
    uint8_t *storage_changed = calloc(account_count + 1, 1);
    if (storage_changed == NULL)
        return GHOST_OUT_OF_MEMORY;
    account_tree->touched = true;
    int status = update_storages(forest, accounts, account_count, slots, storage_changed);
    if (status == GHOST_OK)
        status = trie_trees_hash(forest, forest->trees.data, forest->trees.count);
    /* Finding accounts may have brought the root into memory. */
    account_tree->pending = account_tree->committed;
    if (status == GHOST_OK)
        status = update_accounts(forest, accounts, account_count, storage_changed);
    if (status == GHOST_OK)
        status = trie_trees_hash(forest, &account_tree, 1);
    free(storage_changed);
    return status;
}

int ghost_forest_apply(ghost_forest *forest, ghost_account_change *accounts, size_t account_count,
                       const ghost_slot_change *slots, size_t slot_count, uint8_t root[32]) {
    if (forest->pending)
        return GHOST_REFUSED;
    if (!changes_are_ordered(accounts, account_count, slots, slot_count))
        return GHOST_MALFORMED;
    int status = apply_changes(forest, accounts, account_count, slots);
    if (status != GHOST_OK) {
        ghost_forest_discard(forest);
        return status;
    }
    forest->pending = true;
    tree_root(&forest->accounts, root);
    return GHOST_OK;
}

const ghost_node_write *ghost_forest_writes(const ghost_forest *forest, size_t *count) {
    *count = forest->writes.count;
    return forest->writes.data;
}
