/* Which nodes are in memory: the table of storage tries, walks that load, and eviction. */
#include <stdlib.h>

#include "forest.h"

void trie_slot_set_root(slot *slot, const uint8_t root[32]) {
    *slot = (struct slot){0};
    memcpy(slot->reference, root, 32);
    if (memcmp(root, trie_empty_root, 32) != 0) {
        slot->state = SLOT_HASHED;
        slot->stored = true;
    }
}

void trie_subtree_free(pool *pool, node *node) {
    if (node == NULL)
        return;
    if (node->kind != NODE_LEAF) {
        for (unsigned i = 0; i < node->count; i++)
            trie_subtree_free(pool, ((inner *)node)->children[i]);
    }
    trie_node_free(pool, node);
}

/* ---- the table of storage tries ---- */

/* Place where owner is or would be. Owners are hashes, but of addresses that anyone may choose: the
 * forest's own address, which nobody outside knows, is mixed in. */
static size_t table_place(const ghost_forest *forest, const uint8_t owner[32]) {
    uint64_t word;
    memcpy(&word, owner, 8);
    word = (word ^ (uint64_t)(uintptr_t)forest) * 0x9e3779b97f4a7c15u;
    size_t place = (size_t)(word >> 20) & (forest->table_capacity - 1);
    while (forest->table[place] != NULL &&
           memcmp(forest->table[place]->owner_bytes, owner, 32) != 0)
        place = (place + 1) & (forest->table_capacity - 1);
    return place;
}

tree *trie_table_find(const ghost_forest *forest, const uint8_t owner[32]) {
    return forest->table_count == 0 ? NULL : forest->table[table_place(forest, owner)];
}

/* Moves the tries to a table of this capacity, a power of two. */
static bool table_rebuild(ghost_forest *forest, size_t capacity) {
    tree **before = forest->table, **table = calloc(capacity, sizeof *table);
    size_t capacity_before = forest->table_capacity;
    if (table == NULL)
        return false;
    forest->table = table;
    forest->table_capacity = capacity;
    for (size_t i = 0; i < capacity_before; i++) {
        if (before[i] != NULL)
            table[table_place(forest, before[i]->owner_bytes)] = before[i];
    }
    free(before);
    return true;
}

tree *trie_table_get(ghost_forest *forest, const uint8_t owner[32], const uint8_t root[32]) {
    tree *found = trie_table_find(forest, owner);
    if (found != NULL) {
        if (memcmp(found->committed.reference, root, 32) != 0) {
            trie_subtree_free(&forest->pool, found->committed.node);
            trie_slot_set_root(&found->committed, root);
        }
        return found;
    }
    if (2 * (forest->table_count + 1) > forest->table_capacity &&
        !table_rebuild(forest, forest->table_capacity == 0 ? 64 : 2 * forest->table_capacity))
        return NULL;
    tree *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    memcpy(made->owner_bytes, owner, 32);
    made->owner = made->owner_bytes;
    trie_slot_set_root(&made->committed, root);
    forest->table[table_place(forest, owner)] = made;
    forest->table_count++;
    return made;
}

static void tree_free(tree *tree) {
    free(tree->wiped.data);
    free(tree);
}

void trie_table_clear(ghost_forest *forest) {
    for (size_t i = 0; i < forest->table_capacity; i++) {
        if (forest->table[i] != NULL)
            tree_free(forest->table[i]);
    }
    free(forest->table);
    forest->table = NULL;
    forest->table_capacity = forest->table_count = 0;
}

/* ---- walks ---- */

/* Brings child `nibble` of parent, which stands `depth` nibbles down, into memory. */
static int load_attached(ghost_forest *forest, const tree *tree, inner *parent, unsigned nibble,
                         slot *child, const uint8_t key[32], unsigned depth) {
    *child = trie_slot_of(parent, nibble);
    if (child->state == SLOT_ABSENT || child->node != NULL)
        return GHOST_OK;
    int status = trie_slot_load(forest, tree, child, key, depth);
    if (status == GHOST_OK)
        parent->children[rank_of(parent, nibble)] = child->node;
    return status;
}

int trie_account_find(ghost_forest *forest, const uint8_t key[32], const leaf **out) {
    tree *tree = &forest->accounts;
    slot here = tree->committed;
    int status = trie_slot_load(forest, tree, &here, key, 0);
    if (status == GHOST_OK)
        tree->committed.node = here.node;
    unsigned depth = 0;
    *out = NULL;
    while (status == GHOST_OK && here.node != NULL) {
        trie_node_touch(&forest->pool, here.node);
        if (here.node->kind == NODE_LEAF) {
            leaf *found = (leaf *)here.node;
            *out = memcmp(found->key, key, 32) == 0 ? found : NULL;
            return GHOST_OK;
        }
        inner *parent = (inner *)here.node;
        unsigned nibble = 0;
        if (parent->head.kind == NODE_BRANCH) {
            nibble = key_nibble(key, depth++);
        } else {
            for (unsigned i = 0; i < parent->head.length; i++) {
                if (key_nibble(key, depth + i) != path_of(parent)[i])
                    return GHOST_OK;
            }
            depth += parent->head.length;
        }
        status = load_attached(forest, tree, parent, nibble, &here, key, depth);
    }
    return status;
}

static int wipe_below(ghost_forest *forest, tree *tree, const node *node, uint8_t key[32],
                      unsigned depth);

static void set_nibble(uint8_t key[32], unsigned position, unsigned nibble) {
    uint8_t *byte = &key[position / 2];
    *byte = (uint8_t)(position % 2 == 0 ? nibble << 4 | (*byte & 15) : (*byte & 240) | nibble);
}

static int wipe_path(ghost_forest *forest, tree *tree, const uint8_t key[32], unsigned depth) {
    uint8_t path[KEY_NIBBLES] = {0};
    key_nibbles(path, key, 0, depth);
    if (forest->deferred)
        return trie_deletion_push(forest, tree->owner, path, depth);
    wiped_node *wiped = trie_vector_reserve(&tree->wiped, 1, sizeof *wiped);
    if (wiped == NULL)
        return GHOST_OUT_OF_MEMORY;
    *wiped = (wiped_node){.length = (uint8_t)depth};
    memcpy(wiped->path, path, depth);
    tree->wiped.count++;
    return GHOST_OK;
}

/* Lists what the store has at slot, whose path is the first depth nibbles of key, and below it.
 * Nodes that are not in memory are loaded and freed again: their trie is about to end. */
static int wipe_slot(ghost_forest *forest, tree *tree, slot at, uint8_t key[32], unsigned depth) {
    int status = GHOST_OK;
    if (at.stored)
        status = wipe_path(forest, tree, key, depth);
    /* What is embedded is too short to hold a hash, so nothing below it is stored, unless it
     * became so since the store was written. */
    if (status != GHOST_OK || at.state == SLOT_ABSENT ||
        (at.state == SLOT_EMBEDDED && !at.unsaved))
        return status;
    bool resident = at.node != NULL;
    status = trie_slot_load(forest, tree, &at, key, depth);
    if (status == GHOST_OK && at.node->kind != NODE_LEAF)
        status = wipe_below(forest, tree, at.node, key, depth);
    if (!resident && at.node != NULL)
        trie_node_free(&forest->pool, at.node);
    return status;
}

static int wipe_below(ghost_forest *forest, tree *tree, const node *node, uint8_t key[32],
                      unsigned depth) {
    const inner *parent = (const inner *)node;
    if (node->kind == NODE_EXTENSION) {
        for (unsigned i = 0; i < node->length; i++)
            set_nibble(key, depth + i, path_of(parent)[i]);
        return wipe_slot(forest, tree, trie_slot_of(parent, 0), key, depth + node->length);
    }
    int status = GHOST_OK;
    for (unsigned nibble = 0; nibble < 16 && status == GHOST_OK; nibble++) {
        set_nibble(key, depth, nibble);
        status = wipe_slot(forest, tree, trie_slot_of(parent, nibble), key, depth + 1);
    }
    return status;
}

int trie_tree_wipe(ghost_forest *forest, tree *tree) {
    uint8_t key[32] = {0};
    return wipe_slot(forest, tree, tree->committed, key, 0);
}

/* ---- eviction ---- */

static size_t table_bytes(const ghost_forest *forest) {
    /* 32: what the allocator adds. */
    return forest->table_count * (sizeof(tree) + 32) +
           forest->table_capacity * sizeof *forest->table;
}

/* Frees what was last used before oldest_kept, but not what is unsaved, whose bytes are added to
 * *pinned. Above an unsaved node all are unsaved, so a saved one can go with all below it. */
static void evict_below(pool *pool, node **place, bool unsaved, uint32_t oldest_kept,
                        size_t *pinned) {
    node *node = *place;
    if (node == NULL)
        return;
    if (node->generation < oldest_kept) {
        if (!unsaved) {
            trie_subtree_free(pool, node);
            *place = NULL;
            return;
        }
        *pinned += trie_node_bytes(node);
    }
    if (node->kind == NODE_LEAF)
        return;
    inner *parent = (inner *)node;
    unsigned rank = 0;
    for (unsigned left = parent->mask; left != 0; left &= left - 1) {
        bool child_unsaved = node->unsaved >> __builtin_ctz(left) & 1;
        evict_below(pool, &parent->children[rank++], child_unsaved, oldest_kept, pinned);
    }
}

/* Returns the bytes older than oldest_kept that could not go. */
static size_t evict_older(ghost_forest *forest, uint32_t oldest_kept) {
    size_t pinned = 0;
    slot *root = &forest->accounts.committed;
    evict_below(&forest->pool, &root->node, root->unsaved, oldest_kept, &pinned);
    for (size_t i = 0; i < forest->table_capacity; i++) {
        if (forest->table[i] == NULL)
            continue;
        root = &forest->table[i]->committed;
        evict_below(&forest->pool, &root->node, root->unsaved, oldest_kept, &pinned);
    }
    return pinned;
}

/* Storage tries of which nothing is left in memory leave the table. The root of an unsaved trie is
 * in memory. Open addressing does not survive holes, so what stays moves to a new table; without
 * memory for it all stay. */
static void table_sweep(ghost_forest *forest) {
    tree **before = forest->table;
    size_t kept = 0, capacity = 64, capacity_before = forest->table_capacity;
    for (size_t i = 0; i < capacity_before; i++)
        kept += before[i] != NULL && before[i]->committed.node != NULL;
    while (capacity < 3 * kept)
        capacity *= 2;
    tree **table = kept == 0 ? NULL : calloc(capacity, sizeof *table);
    if (table == NULL && kept > 0)
        return;
    forest->table = table;
    forest->table_capacity = kept == 0 ? 0 : capacity;
    forest->table_count = kept;
    for (size_t i = 0; i < capacity_before; i++) {
        if (before[i] == NULL)
            continue;
        if (before[i]->committed.node != NULL)
            table[table_place(forest, before[i]->owner_bytes)] = before[i];
        else
            tree_free(before[i]);
    }
    free(before);
}

/* Slack of the bound on slabs, so that small caches are not moved all the time. */
enum { SLABS_SLACK_BYTES = 1 << 20 };

/* Moves a subtree to another pool. What finds no memory there stays in its slab and is counted. */
static bool move_subtree(pool *to, node **place) {
    if (*place == NULL)
        return true;
    node *copy = trie_node_copy(to, *place);
    bool moved = copy != NULL;
    if (moved)
        *place = copy;
    else
        trie_node_count(to, *place);
    node *node = *place;
    for (unsigned i = 0; node->kind != NODE_LEAF && i < node->count; i++)
        moved = move_subtree(to, &((inner *)node)->children[i]) && moved;
    return moved;
}

/* Moves all nodes to slabs of their own when too much of the slabs' memory lies free, as after a
 * block that was far larger than the cache. */
static void compact(ghost_forest *forest) {
    pool *from = &forest->pool;
    size_t reserved_max = forest->cache_bytes_max + forest->cache_bytes_max / 2;
    if (from->reserved <= reserved_max + SLABS_SLACK_BYTES ||
        from->reserved - from->used < from->reserved / 4)
        return;
    pool to = {.advance_bytes = from->advance_bytes, .generation = from->generation,
               .oldest = from->oldest};
    bool moved = move_subtree(&to, &forest->accounts.committed.node);
    for (size_t i = 0; i < forest->table_capacity; i++) {
        if (forest->table[i] != NULL)
            moved = move_subtree(&to, &forest->table[i]->committed.node) && moved;
    }
    if (moved)
        trie_pool_clear(from);
    else
        trie_pool_join(&to, from);
    *from = to;
}

static void set_back_below(node *node, uint32_t oldest) {
    if (node == NULL)
        return;
    node->generation = (uint16_t)(node->generation < oldest ? 0 : node->generation - oldest);
    for (unsigned i = 0; node->kind != NODE_LEAF && i < node->count; i++)
        set_back_below(((inner *)node)->children[i], oldest);
}

/* Keeps generations within the 16 bits that nodes have for them. */
static void set_clock_back(ghost_forest *forest) {
    if (forest->pool.generation < UINT16_MAX / 2)
        return;
    set_back_below(forest->accounts.committed.node, forest->pool.oldest);
    for (size_t i = 0; i < forest->table_capacity; i++) {
        if (forest->table[i] != NULL)
            set_back_below(forest->table[i]->committed.node, forest->pool.oldest);
    }
    trie_pool_set_back(&forest->pool);
}

void trie_forest_evict(ghost_forest *forest) {
    /* A second pass and more are needed only where much is unsaved: what is older than asked for
     * then cannot go. The last takes all that can. */
    enum { PASSES = 4 };
    size_t wanted = forest->cache_bytes_max - forest->cache_bytes_max / 4, pinned = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        size_t bytes = forest->pool.used + table_bytes(forest);
        if (bytes <= forest->cache_bytes_max)
            break;
        size_t ask = pass == PASSES - 1 ? SIZE_MAX : pinned + ((bytes - wanted) << 2 * pass);
        pinned = evict_older(forest, trie_pool_age_of(&forest->pool, ask));
        table_sweep(forest);
    }
    compact(forest);
    set_clock_back(forest);
}

size_t trie_forest_memory(const ghost_forest *forest) {
    return sizeof *forest + forest->pool.reserved + table_bytes(forest) +
           forest->arena.reserved + forest->encoded.capacity +
           (forest->fresh.capacity + forest->retired.capacity + forest->trees.capacity +
            forest->order.capacity + forest->ends.capacity) * sizeof(void *) +
           forest->changes.capacity * sizeof(change) +
           forest->deletions.capacity * sizeof(deletion) + forest->jobs.capacity * sizeof(job) +
           forest->writes.capacity * sizeof(ghost_node_write);
}
