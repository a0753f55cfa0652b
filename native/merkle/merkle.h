/* Merkle-Patricia tries (Yellow Paper, appendix D): roots from scratch, and a forest of state
 * tries kept incrementally, its nodes addressed by path rather than by hash. */
#ifndef GHOST_MERKLE_H
#define GHOST_MERKLE_H

#include "../common/common.h"

/* ---- from scratch ---- */

/* Root of the trie that maps RLP(index) to items[index]: transactions, receipts, withdrawals. */
int ghost_merkle_ordered_root(uint8_t root[32], const ghost_view *items, size_t count);

/* Root of a trie with the given keys (any lengths, any order, the last of equal keys wins; an
 * empty value deletes). */
int ghost_merkle_root(uint8_t root[32], const ghost_view *keys, const ghost_view *values,
                      size_t count);

/* ---- the state: one account trie, and a storage trie for each account that has one ---- */

/* What one account is, in the flat state and in the trie leaf. Integers big-endian in the flat
 * encoding: nonce 8 | balance 32 | storage_root 32 | code_hash 32 = 104 bytes. */
typedef struct ghost_account_record {
    uint64_t nonce;
    uint8_t balance[32];
    uint8_t storage_root[32];
    uint8_t code_hash[32];
} ghost_account_record;

/* One account that a block changed. Sorted by hashed address; its slots stand at
 * slots[slot_first .. slot_first + slot_count), sorted by hashed key. */
typedef struct ghost_account_change {
    uint8_t address[20];
    uint8_t hashed[32];             /* keccak256(address) */
    uint8_t existed;                /* before the block; before is meaningless when 0 */
    uint8_t exists;                 /* after the block; after is meaningless when 0 */
    uint8_t storage_wiped;          /* all storage from before the block is gone; slots follow */
    uint8_t code_changed;
    ghost_account_record before;
    ghost_account_record after;     /* after.storage_root is written by ghost_forest_apply */
    size_t slot_first;
    size_t slot_count;
} ghost_account_change;

/* One storage slot that a block changed; a zero value is absence. */
typedef struct ghost_slot_change {
    uint8_t key[32];
    uint8_t hashed[32];             /* keccak256(key) */
    uint8_t before[32];
    uint8_t after[32];
} ghost_slot_change;

/* One trie node to be written, or deleted when length is 0. owner is NULL for the account trie,
 * else the hashed address. path holds nibbles, one a byte. data is the node's RLP. Root node: path
 * length 0. Nodes shorter than 32 bytes are embedded in their parent and never appear, except
 * a root. */
typedef struct ghost_node_write {
    const uint8_t *owner;
    const uint8_t *path;
    size_t path_length;
    const uint8_t *data;
    size_t length;
} ghost_node_write;

/* Where nodes that are not in memory come from. Returns 1 and a view valid until the next call,
 * 0 when absent, negative when the callback failed. */
typedef struct ghost_node_loader {
    void *context;
    int (*node)(void *context, const uint8_t *owner, const uint8_t *path, size_t path_length,
                ghost_view *out);
} ghost_node_loader;

typedef struct ghost_forest ghost_forest;

/* A forest over the state with this root (the empty root for a new chain). Keeps at most
 * cache_bytes_max of nodes in memory between blocks, the most recently used; with what lies free
 * for the next block ghost_forest_memory is then below twice that and 2 MiB. */
ghost_forest *ghost_forest_new(const ghost_node_loader *loader, const uint8_t root[32],
                               size_t cache_bytes_max);
void ghost_forest_free(ghost_forest *forest);

/* Computes the state after the changes: fills after.storage_root of each account, root, and the
 * node writes. One apply may be pending at a time: commit adopts it, discard forgets it (cheaply:
 * the state before is still in memory). GHOST_MISSING when a node that must exist does not, does
 * not have its parent's hash, or is not a node; GHOST_MALFORMED when the changes are not sorted or
 * their slots out of bounds; GHOST_REFUSED while another apply is pending. Nothing is pending
 * after a failure that was not before. */
int ghost_forest_apply(ghost_forest *forest, ghost_account_change *accounts, size_t account_count,
                       const ghost_slot_change *slots, size_t slot_count, uint8_t root[32]);
/* The writes of the pending apply; valid until commit or discard. None where they are deferred. */
const ghost_node_write *ghost_forest_writes(const ghost_forest *forest, size_t *count);
/* The same as keys and values for an ordered store, run together in *data: put_count pairs of a key
 * and a value, then delete_count keys. *ends has the end of each of these pieces, in their order.
 * No key occurs twice. Valid until the next call of the forest. GHOST_OUT_OF_MEMORY, or GHOST_OK.
 *
 * Where writes are deferred: all that the store must have and lose so that it has the latest state,
 * the pending apply's if there is one. */
int ghost_forest_encoded_writes(ghost_forest *forest, const uint8_t **data, const size_t **ends,
                                size_t *put_count, size_t *delete_count);
/* The key of a node in an ordered store, for ghost_forest_encoded_writes and for whoever reads it
 * back: "na", or "ns" and the owner, then the path, one nibble a byte. A node stands before all
 * that is below it, and an owner's nodes stand together. Writes at most 34 + 64 bytes to key and
 * returns their number. */
size_t ghost_node_key(uint8_t *key, const uint8_t *owner, const uint8_t *path,
                      size_t path_length);
/* From now on no writes are made by apply: what changes stays in memory, beyond cache_bytes_max if
 * need be, until ghost_forest_encoded_writes gave it to the store and ghost_forest_saved is called.
 * Many blocks change the same nodes, which are then written once. To be called on a new forest. */
void ghost_forest_defer(ghost_forest *forest);
/* The store durably has what the last ghost_forest_encoded_writes gave, and the state that this was
 * of is now the committed one. GHOST_REFUSED while an apply is pending. */
int ghost_forest_saved(ghost_forest *forest);
/* The bytes that ghost_forest_encoded_writes would give, at least; about so many (within a quarter)
 * when this is more than interest. Cost: a walk over them, but only now and then. */
size_t ghost_forest_unsaved(ghost_forest *forest, size_t interest);
void ghost_forest_commit(ghost_forest *forest);
void ghost_forest_discard(ghost_forest *forest);
/* Forgets everything in memory and starts again from root. */
void ghost_forest_reset(ghost_forest *forest, const uint8_t root[32]);
size_t ghost_forest_memory(const ghost_forest *forest);

/* Proof of key (already hashed) in the account trie (owner NULL) or in the storage trie of owner
 * whose root is given: the nodes from the root down, concatenated RLP. Bytes freed with
 * ghost_bytes_free. Works for present and absent keys. */
int ghost_forest_prove(ghost_forest *forest, const uint8_t *owner, const uint8_t root[32],
                       const uint8_t key[32], ghost_bytes *nodes);
void ghost_bytes_free(ghost_bytes *bytes);

#endif
