/* What the files of the forest share: the tries, the pending apply, and the order of its work.
 *
 * An apply first changes structure (update.c): a changed path is copied, so the committed trie
 * stays whole, and what the copy replaces is put on the list of the retired. It then computes
 * references (hashing.c), the deepest level of all tries first. Commit frees the retired, discard
 * frees the fresh. Storage tries come before the account trie, whose leaves hold their roots. */
#ifndef GHOST_MERKLE_FOREST_H
#define GHOST_MERKLE_FOREST_H

#include "nodes.h"

/* A growing array. */
typedef struct vector {
    void *data;
    size_t count;
    size_t capacity;
} vector;

/* Makes room for `more` further items; NULL without memory, else the first free one. */
void *trie_vector_reserve(vector *vector, size_t more, size_t item_size);
/* Empties the vector, and gives back the memory of one that has grown beyond keep_bytes. */
void trie_vector_clear(vector *vector, size_t item_size, size_t keep_bytes);

/* Bytes that stay where they are until the arena is cleared. */
typedef struct arena_block arena_block;
typedef struct arena {
    arena_block *blocks;    /* the one in use first */
    arena_block *spare;     /* empty ones from before */
    size_t reserved;
} arena;

void *trie_arena_take(arena *arena, size_t size);
/* Shortens the last taking to what was used of it. */
void trie_arena_trim(arena *arena, size_t unused);
void trie_arena_clear(arena *arena, size_t keep_bytes);

/* One trie. owner is NULL for the account trie. */
typedef struct tree {
    const uint8_t *owner;
    uint8_t owner_bytes[32];
    slot committed;
    slot pending;
    bool touched;           /* by the pending apply: pending counts */
    bool was_wiped;         /* by the pending apply */
    vector wiped;           /* wiped_node: what the store has and must lose, sorted by path */
} tree;

typedef struct wiped_node {
    uint8_t path[KEY_NIBBLES];
    uint8_t length;
    bool overwritten;
} wiped_node;

/* One key to be set or deleted; index names the change it comes from. */
typedef struct change {
    uint8_t key[32];
    uint32_t index;
    bool deletes;
} change;

/* One dirty slot whose reference is to be computed. */
typedef struct job {
    tree *tree;
    inner *parent;          /* NULL: the root */
    const node *node;
    const uint8_t *path;
    uint8_t depth;
    uint8_t nibble;
    uint8_t rank;
    bool stored;
} job;

/* A node that a deferred forest's store has and must lose, unless there is one again by then. */
typedef struct deletion {
    bool has_owner;
    uint8_t length;
    uint8_t owner[32];
    uint8_t path[KEY_NIBBLES];
} deletion;

struct ghost_forest {
    ghost_node_loader loader;
    size_t cache_bytes_max;
    pool pool;
    tree accounts;
    tree **table;           /* storage tries in memory by owner, open addressing */
    size_t table_capacity;
    size_t table_count;

    /* the pending apply */
    bool pending;
    vector fresh;           /* node * */
    vector retired;         /* node * */
    vector changes;         /* change */
    vector trees;           /* tree *: storage tries that it touches */
    vector jobs;            /* job */
    vector order;           /* job *: by depth */
    vector writes;          /* ghost_node_write; none where they are deferred */
    vector encoded;         /* uint8_t: what ghost_forest_encoded_writes gives */
    vector ends;            /* size_t: ends of the keys and values in it */
    arena arena;            /* what writes point to */

    /* what a deferred forest has not given to its store yet, see saving.c */
    bool deferred;
    vector deletions;       /* deletion: the committed ones, then those of the pending apply */
    size_t deletions_committed;
    size_t unsaved_bytes;   /* at least what encoded_writes would give */
};

/* ---- update.c ---- */

/* What an update works on. */
typedef struct update {
    ghost_forest *forest;
    tree *tree;
    const change *changes;
    ghost_account_change *accounts;     /* of the account trie, else NULL */
    const uint8_t *storage_changed;     /* of the account trie: one flag for each account */
    const ghost_slot_change *slots;     /* of a storage trie, else NULL */
} update;

/* Applies the changes, sorted by key, to the tree's pending root. */
int trie_tree_update(update *update, size_t count);
/* Brings the node of a slot into memory; path is the first depth nibbles of key. Sets slot->node
 * only: the caller attaches it to the parent. */
int trie_slot_load(ghost_forest *forest, const tree *tree, slot *slot, const uint8_t key[32],
                   unsigned depth);
/* Records that the store must lose the node under this path. */
int trie_write_deletion(ghost_forest *forest, const tree *tree, const uint8_t *path, size_t length);

/* ---- hashing.c ---- */

/* Computes the pending references of these trees and appends their node writes. */
int trie_trees_hash(ghost_forest *forest, tree *const *trees, size_t count);
/* Does so for what is below `top`, which stands at the first depth nibbles of key and will not
 * change below any more, though it may itself be moved. */
int trie_subtree_hash(ghost_forest *forest, tree *tree, inner *top, const uint8_t key[32],
                      unsigned depth);

/* ---- saving.c ---- */

enum { TRIE_NODE_KEY_MAX = 34 + KEY_NIBBLES };

int trie_deletion_push(ghost_forest *forest, const uint8_t *owner, const uint8_t *path,
                       size_t length);
/* About the bytes of a node's RLP, never fewer. */
size_t trie_encoded_max(const node *node);

/* ---- cache.c ---- */

/* Lists every node of the committed trie that the store has, in tree->wiped or, where writes are
 * deferred, among the deletions. */
int trie_tree_wipe(ghost_forest *forest, tree *tree);
/* The leaf of key in the committed account trie, or NULL in *out. */
int trie_account_find(ghost_forest *forest, const uint8_t key[32], const leaf **out);

tree *trie_table_find(const ghost_forest *forest, const uint8_t owner[32]);
/* The tree of this owner, made with this root when it was not in memory; NULL without memory. */
tree *trie_table_get(ghost_forest *forest, const uint8_t owner[32], const uint8_t root[32]);
void trie_table_clear(ghost_forest *forest);
void trie_subtree_free(pool *pool, node *node);
/* Drops least recently used nodes until memory is within its bound, or only what is unsaved is
 * left. Nothing may be pending. */
void trie_forest_evict(ghost_forest *forest);
size_t trie_forest_memory(const ghost_forest *forest);

void trie_slot_set_root(slot *slot, const uint8_t root[32]);

#endif
