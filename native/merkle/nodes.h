/* Trie nodes in memory, and the pool they live in.
 *
 * A node never holds its own hash: the reference by which a node is known (its hash, or its RLP
 * when that is shorter than 32 bytes) stands in its parent beside the pointer to it, so a branch is
 * encoded from its own memory alone, and a child leaves memory by clearing one pointer. Leaves hold
 * their whole key and therefore move up and down the trie unchanged. Inner nodes take 16 + 40 bytes
 * for each child they have.
 *
 * Nodes of the committed state are never changed, except that children are attached to and detached
 * from their parents as they enter and leave memory. */
#ifndef GHOST_MERKLE_NODES_H
#define GHOST_MERKLE_NODES_H

#include <stdbool.h>
#include <string.h>

#include "merkle.h"

enum { KEY_NIBBLES = 64, NODE_RLP_MAX = 3 + 17 * 33, LEAF_VALUE_MAX = 128 };

enum node_kind { NODE_LEAF, NODE_EXTENSION, NODE_BRANCH };

enum node_flags {
    NODE_FRESH = 1,         /* made by the pending apply */
    NODE_DEAD = 2,          /* made and dropped by the pending apply */
    LEAF_ACCOUNT = 4,
    LEAF_EMPTY_STORAGE = 8, /* account leaf without the storage root, which is the empty one */
    LEAF_EMPTY_CODE = 16    /* account leaf without the code hash, which is that of no code */
};

typedef struct node {
    uint8_t kind;
    uint8_t flags;
    uint8_t count;          /* inner: children */
    uint8_t length;         /* leaf: bytes of value; extension: nibbles of path */
    uint16_t generation;    /* when it was last used, see pool */
    uint16_t unsaved;       /* inner: children that the store does not have as they are */
} node;

/* value: for a slot the RLP string as it stands in the node; for an account the items of its RLP
 * list, without the hashes that the flags name. */
typedef struct leaf {
    node head;
    uint8_t key[32];
    uint8_t value[];
} leaf;

/* A branch, or an extension (one child, nibble 0 of the masks). Behind the children stand their
 * references, 32 bytes each, and behind those an extension's path, one nibble a byte. */
typedef struct inner {
    node head;
    uint16_t mask;          /* nibbles that have a child */
    uint16_t embedded;      /* of these, references that are RLP rather than a hash */
    uint16_t dirty;         /* of these, references that are to be computed from the child */
    uint16_t stored;        /* of the dirty and the unsaved, paths under which the store has a
                             * node; of the others, it has those that are not embedded */
    node *children[];
} inner;

enum slot_state { SLOT_ABSENT, SLOT_HASHED, SLOT_EMBEDDED, SLOT_DIRTY };

/* One place in a trie: what stands there, whether the store has a node under its path, and whether
 * that is another one (or is to go). */
typedef struct slot {
    node *node;             /* NULL: absent, or not in memory */
    uint8_t reference[32];
    uint8_t state;
    bool stored;
    bool unsaved;
} slot;

static inline unsigned bit_count(unsigned mask) {
    mask = mask - ((mask >> 1) & 0x5555);
    mask = (mask & 0x3333) + ((mask >> 2) & 0x3333);
    mask = (mask + (mask >> 4)) & 0x0f0f;
    return (mask + (mask >> 8)) & 0x1f;
}

/* Place of a nibble's child among the children. */
static inline unsigned rank_of(const inner *parent, unsigned nibble) {
    return bit_count(parent->mask & ((1u << nibble) - 1));
}

static inline uint8_t *reference_at(const inner *parent, unsigned rank) {
    return (uint8_t *)(uintptr_t)(parent->children + parent->head.count) + 32 * (size_t)rank;
}

static inline uint8_t *path_of(const inner *extension) {
    return reference_at(extension, 1);
}

/* An embedded node is a list of fewer than 32 bytes: its first byte tells its length. */
static inline size_t embedded_length(const uint8_t *reference) {
    return (size_t)(reference[0] - 0xc0) + 1;
}

static inline unsigned key_nibble(const uint8_t key[32], unsigned position) {
    uint8_t byte = key[position / 2];
    return position % 2 == 0 ? byte >> 4 : byte & 15;
}

static inline void key_nibbles(uint8_t *out, const uint8_t key[32], unsigned first,
                               unsigned count) {
    for (unsigned i = 0; i < count; i++)
        out[i] = (uint8_t)key_nibble(key, first + i);
}

/* Number of nibbles that two keys share, given that they share the first `from`. */
static inline unsigned shared_nibbles(const uint8_t a[32], const uint8_t b[32], unsigned from) {
    unsigned byte = from / 2;
    while (byte < 32 && a[byte] == b[byte])
        byte++;
    if (byte == 32)
        return KEY_NIBBLES;
    return 2 * byte + ((a[byte] ^ b[byte]) < 16);
}

/* ---- pool ---- */

enum { POOL_GRAIN = 16, POOL_CLASSES = 48, POOL_GENERATIONS = 64 };

/* Memory for nodes: free lists by size over slabs that are given back all at once. Bytes in use are
 * counted by generation, a clock that advances as memory is touched, so that eviction knows how
 * old a node must be for enough bytes to be older. Generations below `oldest` count as it. */
typedef struct pool {
    void *free_lists[POOL_CLASSES];
    void *slabs;
    uint8_t *slab_next;
    size_t slab_left;
    size_t used;
    size_t reserved;
    size_t advance_bytes;   /* a generation ends when nodes of this size were made or used in it */
    size_t advanced;
    uint32_t generation;    /* at most UINT16_MAX, where the clock stops until it is set back */
    uint32_t oldest;
    size_t used_by_generation[POOL_GENERATIONS];
} pool;

void *trie_pool_take(pool *pool, size_t size);
void trie_pool_give(pool *pool, void *memory, size_t size);
/* Frees every slab. */
void trie_pool_clear(pool *pool);
/* Gives the slabs of `from` to `to`, which keeps its counts. */
void trie_pool_join(pool *to, pool *from);
/* The generation g such that what is older than g amounts to at least `bytes` (or all). */
uint32_t trie_pool_age_of(const pool *pool, size_t bytes);

/* Sets the clock back by the generations that no longer count, after every node's was. */
void trie_pool_set_back(pool *pool);

size_t trie_node_size(const node *node);
/* What the node takes of the pool. */
size_t trie_node_bytes(const node *node);
/* A node of this kind with its head set, counted in the current generation; NULL without memory. */
leaf *trie_leaf_new(pool *pool, const uint8_t key[32], const uint8_t *value, size_t length,
                    uint8_t flags);
inner *trie_branch_new(pool *pool, unsigned children);
inner *trie_extension_new(pool *pool, const uint8_t *path, unsigned length);
void trie_node_free(pool *pool, node *node);
/* Moves the node to the current generation. */
void trie_node_touch(pool *pool, node *node);
/* The same node in another pool, whose clock has the same time. */
node *trie_node_copy(pool *pool, const node *node);
/* Counts the node in the pool as if it were copied there. */
void trie_node_count(pool *pool, const node *node);

/* What stands at a child of an inner node. */
slot trie_slot_of(const inner *parent, unsigned nibble);
/* Sets child `rank`, whose bit in the masks is `nibble`. */
void trie_slot_put(inner *parent, unsigned nibble, unsigned rank, const slot *slot);

/* ---- RLP ---- */

/* Decodes the node that stands `depth` nibbles below the root on the way to key. Strict: any
 * deviation from the one encoding that this kernel writes is GHOST_MALFORMED. */
int trie_node_decode(pool *pool, node **out, const uint8_t *data, size_t length,
                     const uint8_t key[32], unsigned depth, bool accounts);
/* Writes the node's RLP, at most NODE_RLP_MAX bytes, and returns its length. No reference may be
 * dirty. */
size_t trie_node_encode(const node *node, unsigned depth, uint8_t *out);

/* Leaves from what they stand for; NULL without memory. */
leaf *trie_account_leaf_new(pool *pool, const uint8_t key[32], const ghost_account_record *record);
leaf *trie_slot_leaf_new(pool *pool, const uint8_t key[32], const uint8_t value[32]);
void trie_account_leaf_storage_root(const leaf *leaf, uint8_t root[32]);
bool trie_leaf_equal(const leaf *a, const leaf *b);

extern const uint8_t trie_empty_root[32];

#endif
