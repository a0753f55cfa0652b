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

/* Lists the node at slot, whose path is the first depth nibbles of key, and all below it. Nodes
 * that are not in memory are loaded and freed again: their trie is about to end. */
static int wipe_slot(ghost_forest *forest, tree *tree, slot at, uint8_t key[32], unsigned depth) {
    /* What is embedded is too short to hold a hash, so nothing below it is stored. */
    if (at.state != SLOT_HASHED)
        return GHOST_OK;
    wiped_node *wiped = trie_vector_reserve(&tree->wiped, 1, sizeof *wiped);
    if (wiped == NULL)
        return GHOST_OUT_OF_MEMORY;
    *wiped = (wiped_node){.length = (uint8_t)depth};
    key_nibbles(wiped->path, key, 0, depth);
    tree->wiped.count++;
    bool resident = at.node != NULL;
    int status = trie_slot_load(forest, tree, &at, key, depth);
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

static void evict_below(pool *pool, node **place, uint32_t oldest_kept) {
    node *node = *place;
    if (node == NULL)
        return;
    if (node->generation < oldest_kept) {
        trie_subtree_free(pool, node);
        *place = NULL;
    } else if (node->kind != NODE_LEAF) {
        for (unsigned i = 0; i < node->count; i++)
            evict_below(pool, &((inner *)node)->children[i], oldest_kept);
    }
}

/* Storage tries of which nothing is left in memory leave the table. */
static void table_sweep(ghost_forest *forest) {
    size_t kept = 0;
    for (size_t i = 0; i < forest->table_capacity; i++) {
        tree *tree = forest->table[i];
        if (tree == NULL)
            continue;
        if (tree->committed.node == NULL) {
            tree_free(tree);
            forest->table[i] = NULL;
        } else {
            kept++;
        }
    }
    forest->table_count = kept;
    if (kept == 0) {
        trie_table_clear(forest);
        return;
    }
    /* Open addressing does not survive holes, so without memory for a new table all goes. */
    size_t capacity = 64;
    while (capacity < 3 * kept)
        capacity *= 2;
    if (!table_rebuild(forest, capacity)) {
        for (size_t i = 0; i < forest->table_capacity; i++) {
            if (forest->table[i] != NULL)
                trie_subtree_free(&forest->pool, forest->table[i]->committed.node);
        }
        trie_table_clear(forest);
    }
}

static bool copy_subtree(pool *to, node **place) {
    if (*place == NULL)
        return true;
    node *copy = trie_node_copy(to, *place);
    if (copy == NULL)
        return false;
    *place = copy;
    bool copied = true;
    for (unsigned i = 0; copy->kind != NODE_LEAF && i < copy->count; i++)
        copied = copied && copy_subtree(to, &((inner *)copy)->children[i]);
    return copied;
}

/* Slack of the bound on slabs, so that small caches are not moved all the time. */
enum { SLABS_SLACK_BYTES = 1 << 20 };

/* Moves all nodes to slabs of their own when too much of the slabs' memory lies free, as after a
 * block that was far larger than the cache. */
static void compact(ghost_forest *forest) {
    size_t reserved_max = forest->cache_bytes_max + forest->cache_bytes_max / 2;
    if (forest->pool.reserved <= reserved_max + SLABS_SLACK_BYTES)
        return;
    pool to = {.advance_bytes = forest->pool.advance_bytes,
               .generation = forest->pool.generation,
               .oldest = forest->pool.oldest};
    bool copied = copy_subtree(&to, &forest->accounts.committed.node);
    for (size_t i = 0; i < forest->table_capacity; i++) {
        if (forest->table[i] != NULL)
            copied = copied && copy_subtree(&to, &forest->table[i]->committed.node);
    }
    trie_pool_clear(&forest->pool);
    forest->pool = to;
    if (copied)
        return;
    /* Without memory for the copy the forest starts again from its roots. */
    forest->accounts.committed.node = NULL;
    trie_table_clear(forest);
    trie_pool_clear(&forest->pool);
}

void trie_forest_evict(ghost_forest *forest) {
    size_t wanted = forest->cache_bytes_max - forest->cache_bytes_max / 4;
    while (forest->pool.used + table_bytes(forest) > forest->cache_bytes_max &&
           (forest->pool.used > 0 || forest->table_count > 0)) {
        size_t excess = forest->pool.used + table_bytes(forest) - wanted;
        uint32_t oldest_kept = trie_pool_age_of(&forest->pool, excess);
        evict_below(&forest->pool, &forest->accounts.committed.node, oldest_kept);
        for (size_t i = 0; i < forest->table_capacity; i++) {
            if (forest->table[i] != NULL)
                evict_below(&forest->pool, &forest->table[i]->committed.node, oldest_kept);
        }
        table_sweep(forest);
    }
    compact(forest);
}

size_t trie_forest_memory(const ghost_forest *forest) {
    return sizeof *forest + forest->pool.reserved + table_bytes(forest) +
           forest->arena.reserved + forest->encoded.capacity +
           (forest->fresh.capacity + forest->retired.capacity + forest->trees.capacity +
            forest->ends.capacity) * sizeof(void *) +
           forest->changes.capacity * sizeof(change) + forest->jobs.capacity * sizeof(job) +
           forest->writes.capacity * sizeof(ghost_node_write);
}
