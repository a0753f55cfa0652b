/* Changing the structure of a trie by a sorted batch of keys, each changed path visited once. */
#include <stdlib.h>

#include "../keccak/keccak.h"
#include "forest.h"

/* The memory of a failed step is given back by discard, which knows all fresh nodes. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_status = (call);                                                                   \
        if (try_status != GHOST_OK)                                                                \
            return try_status;                                                                     \
    } while (0)

/* ---- the lists of the fresh and the retired ---- */

static int list_push(vector *list, node *node) {
    struct node **place = trie_vector_reserve(list, 1, sizeof *place);
    if (place == NULL)
        return GHOST_OUT_OF_MEMORY;
    *place = node;
    list->count++;
    return GHOST_OK;
}

/* Marks a node, just made, as one of the pending apply. */
static int adopt(update *update, node *made) {
    if (made == NULL)
        return GHOST_OUT_OF_MEMORY;
    int status = list_push(&update->forest->fresh, made);
    if (status != GHOST_OK)
        trie_node_free(&update->forest->pool, made);
    else
        made->flags |= NODE_FRESH;
    return status;
}

/* Takes a node out of the pending state. */
static int retire(update *update, node *node) {
    if (node->flags & NODE_FRESH) {
        node->flags |= NODE_DEAD;
        return GHOST_OK;
    }
    return list_push(&update->forest->retired, node);
}

/* ---- slots ---- */

static inline bool slot_changed(const slot *slot, bool was_present) {
    return slot->state == SLOT_DIRTY || (slot->state == SLOT_ABSENT && was_present);
}

static inline void slot_set(slot *slot, node *node) {
    slot->node = node;
    slot->state = node == NULL ? SLOT_ABSENT : SLOT_DIRTY;
}

static int verify_and_decode(ghost_forest *forest, const tree *tree, slot *slot,
                             const uint8_t key[32], unsigned depth) {
    uint8_t path[KEY_NIBBLES], digest[32];
    ghost_view data = {NULL, 0};
    key_nibbles(path, key, 0, depth);
    int found = forest->loader.node(forest->loader.context, tree->owner, path, depth, &data);
    if (found < 0)
        return GHOST_LOADER_FAILED;
    /* Node sizes are bounded by the format; nothing longer needs to be hashed to be refused. */
    if (found == 0 || data.length == 0 || data.length > NODE_RLP_MAX)
        return GHOST_MISSING;
    ghost_keccak256(digest, data.data, data.length);
    if (memcmp(digest, slot->reference, 32) != 0)
        return GHOST_MISSING;
    return trie_node_decode(&forest->pool, &slot->node, data.data, data.length, key, depth,
                            tree->owner == NULL);
}

int trie_slot_load(ghost_forest *forest, const tree *tree, slot *slot, const uint8_t key[32],
                   unsigned depth) {
    int status = GHOST_OK;
    if (slot->node != NULL || slot->state == SLOT_ABSENT)
        return GHOST_OK;
    if (slot->state == SLOT_EMBEDDED)
        status = trie_node_decode(&forest->pool, &slot->node, slot->reference,
                                  embedded_length(slot->reference), key, depth,
                                  tree->owner == NULL);
    else
        status = verify_and_decode(forest, tree, slot, key, depth);
    /* Bytes that have the hash and are no node: the store is not of this state. */
    return status == GHOST_MALFORMED ? GHOST_MISSING : status;
}

/* Loads the child in a slot taken from `parent` and attaches it there. */
static int load_child(update *update, inner *parent, unsigned nibble, slot *child,
                      const uint8_t key[32], unsigned depth) {
    if (child->node != NULL)
        return GHOST_OK;
    TRY(trie_slot_load(update->forest, update->tree, child, key, depth));
    /* Below an extension stands a branch, or the trie would not be canonical. */
    if (parent->head.kind == NODE_EXTENSION && child->node->kind != NODE_BRANCH) {
        trie_node_free(&update->forest->pool, child->node);
        child->node = NULL;
        return GHOST_MISSING;
    }
    parent->children[rank_of(parent, nibble)] = child->node;
    return GHOST_OK;
}

/* The path of `slot`, `tail` nibbles below the first depth nibbles of key, no longer has a node. */
static int vanish(update *update, const slot *slot, const uint8_t key[32], unsigned depth,
                  const uint8_t *tail, unsigned tail_length) {
    if (!slot->stored)
        return GHOST_OK;
    uint8_t path[KEY_NIBBLES];
    key_nibbles(path, key, 0, depth);
    memcpy(path + depth, tail, tail_length);
    return trie_write_deletion(update->forest, update->tree, path, depth + tail_length);
}

/* Puts into `out`, which stands at the first depth nibbles of key, what reaches `child` over
 * `length` more nibbles: nothing, the leaf itself, or an extension. A child that is not in memory
 * is a branch. out->stored is kept. */
static int wrap(update *update, const uint8_t key[32], unsigned depth, const uint8_t *path,
                unsigned length, const slot *child, slot *out) {
    pool *pool = &update->forest->pool;
    uint8_t joined[KEY_NIBBLES];
    if (length == 0) {
        bool stored = out->stored;
        *out = *child;
        out->stored = stored;
        return GHOST_OK;
    }
    if (child->state == SLOT_ABSENT || (child->node != NULL && child->node->kind == NODE_LEAF)) {
        slot_set(out, child->state == SLOT_ABSENT ? NULL : child->node);
        return vanish(update, child, key, depth, path, length);
    }
    memcpy(joined, path, length);
    slot below = *child;
    if (child->node != NULL && child->node->kind == NODE_EXTENSION) {
        inner *extension = (inner *)child->node;
        memcpy(joined + length, path_of(extension), extension->head.length);
        below = trie_slot_of(extension, 0);
        TRY(vanish(update, child, key, depth, path, length));
        length += extension->head.length;
        TRY(retire(update, child->node));
    }
    inner *made = trie_extension_new(pool, joined, length);
    TRY(adopt(update, &made->head));
    trie_slot_put(made, 0, 0, &below);
    slot_set(out, &made->head);
    return GHOST_OK;
}

/* ---- branches ---- */

/* A branch while it changes: the children that were visited stand in slots, the others are taken
 * from the branch before (old, may be NULL). */
typedef struct branch_draft {
    inner *old;
    const uint8_t *key;
    unsigned depth;
    uint16_t visited;
    slot slots[16];
} branch_draft;

/* The nibbles under which the branch has children now. */
static uint16_t draft_mask(const branch_draft *draft) {
    unsigned mask = draft->old == NULL ? 0 : draft->old->mask;
    for (unsigned left = draft->visited; left != 0; left &= left - 1) {
        unsigned nibble = (unsigned)__builtin_ctz(left), bit = 1u << nibble;
        mask = draft->slots[nibble].state == SLOT_ABSENT ? mask & ~bit : mask | bit;
    }
    return (uint16_t)mask;
}

/* The one child that is left takes the place of its branch. */
static int draft_collapse(update *update, branch_draft *draft, unsigned nibble, slot *out) {
    slot *child = &draft->slots[nibble];
    uint8_t key[32], step = (uint8_t)nibble;
    memcpy(key, draft->key, 32);
    uint8_t *byte = &key[draft->depth / 2];
    *byte = (uint8_t)(draft->depth % 2 == 0 ? nibble << 4 | (*byte & 15) : (*byte & 240) | nibble);
    if (!(draft->visited >> nibble & 1)) {
        *child = trie_slot_of(draft->old, nibble);
        TRY(load_child(update, draft->old, nibble, child, key, draft->depth + 1));
    }
    return wrap(update, key, draft->depth, &step, 1, child, out);
}

/* Fills a new branch, of the children in mask, with those of the draft. */
static void draft_fill(const branch_draft *draft, uint16_t mask, inner *made) {
    const inner *old = draft->old;
    if (old != NULL && old->mask == mask) {
        /* The common case: the same children, some of them changed. */
        memcpy(made->children, old->children, made->head.count * (sizeof(node *) + 32));
        made->mask = mask;
        made->embedded = old->embedded & (uint16_t)~draft->visited;
        made->head.unsaved = old->head.unsaved & (uint16_t)~draft->visited;
        made->stored = old->stored & made->head.unsaved;
        for (unsigned left = draft->visited & mask; left != 0; left &= left - 1) {
            unsigned nibble = (unsigned)__builtin_ctz(left);
            trie_slot_put(made, nibble, rank_of(old, nibble), &draft->slots[nibble]);
        }
        return;
    }
    unsigned rank = 0;
    for (unsigned left = mask; left != 0; left &= left - 1) {
        unsigned nibble = (unsigned)__builtin_ctz(left);
        if (draft->visited >> nibble & 1) {
            trie_slot_put(made, nibble, rank++, &draft->slots[nibble]);
        } else {
            slot kept = trie_slot_of(old, nibble);
            trie_slot_put(made, nibble, rank++, &kept);
        }
    }
}

/* Puts the branch that the draft describes into out, or what is left of it. */
static int draft_finish(update *update, branch_draft *draft, slot *out) {
    uint16_t mask = draft_mask(draft);
    for (unsigned left = draft->visited & (unsigned)~mask; left != 0; left &= left - 1) {
        uint8_t step = (uint8_t)__builtin_ctz(left);
        TRY(vanish(update, &draft->slots[step], draft->key, draft->depth, &step, 1));
    }
    if (mask == 0) {
        slot_set(out, NULL);
        return GHOST_OK;
    }
    if ((mask & (mask - 1)) == 0)
        return draft_collapse(update, draft, (unsigned)__builtin_ctz(mask), out);
    inner *made = trie_branch_new(&update->forest->pool, bit_count(mask));
    TRY(adopt(update, &made->head));
    draft_fill(draft, mask, made);
    slot_set(out, &made->head);
    return GHOST_OK;
}

/* ---- updates of a range of changes that share the first depth nibbles ---- */

static int update_slot(update *update, slot *slot, unsigned depth, size_t low, size_t high);

/* End of the run of changes in [low, high) that have this nibble at depth. */
static inline size_t run_end(const update *update, size_t low, size_t high, unsigned depth,
                             unsigned nibble) {
    while (low < high && key_nibble(update->changes[low].key, depth) == nibble)
        low++;
    return low;
}

/* A leaf for a change; before is the account's leaf so far, or NULL. */
static int make_leaf(update *update, const change *change, const leaf *before, leaf **out) {
    pool *pool = &update->forest->pool;
    leaf *made;
    if (update->accounts != NULL) {
        ghost_account_change *account = &update->accounts[change->index];
        if (!update->storage_changed[change->index]) {
            if (before != NULL)
                trie_account_leaf_storage_root(before, account->after.storage_root);
            else
                memcpy(account->after.storage_root, trie_empty_root, 32);
        }
        made = trie_account_leaf_new(pool, change->key, &account->after);
    } else {
        made = trie_slot_leaf_new(pool, change->key, update->slots[change->index].after);
    }
    *out = made;
    return adopt(update, made == NULL ? NULL : &made->head);
}

/* True for a change that adds a key beside `resident`. */
static inline bool adds(const change *change, const leaf *resident) {
    return !change->deletes &&
           (resident == NULL || memcmp(change->key, resident->key, 32) != 0);
}

/* Subtrees with as many changes are hashed as soon as they are updated, while they are in the
 * cache. Fewer would leave lanes of the multi-buffer keccak empty. */
#ifdef GHOST_VERIFY
enum { HASHED_EARLY_MIN = 2 };
#else
enum { HASHED_EARLY_MIN = 100 };
#endif

static int hash_early(update *update, const slot *slot, const uint8_t key[32], unsigned depth,
                      size_t changes) {
    if (changes < HASHED_EARLY_MIN || slot->state != SLOT_DIRTY || slot->node->kind == NODE_LEAF)
        return GHOST_OK;
    return trie_subtree_hash(update->forest, update->tree, (inner *)slot->node, key, depth);
}

/* Builds what stands at `out` when it held nothing, or only the leaf `resident`, before. Changes of
 * the resident's key are done already; deletions of others are of keys that are not there. */
static int build(update *update, slot *out, unsigned depth, size_t low, size_t high,
                 leaf *resident) {
    const change *changes = update->changes;
    while (low < high && !adds(&changes[low], resident))
        low++;
    while (low < high && !adds(&changes[high - 1], resident))
        high--;
    if (low == high || (high - low == 1 && resident == NULL)) {
        if (low < high)
            TRY(make_leaf(update, &changes[low], NULL, &resident));
        if (resident == NULL || &resident->head != out->node)
            slot_set(out, resident == NULL ? NULL : &resident->head);
        return GHOST_OK;
    }
    const uint8_t *key = changes[low].key;
    size_t added = high - low;
    unsigned shared = shared_nibbles(key, changes[high - 1].key, depth);
    if (resident != NULL) {
        unsigned with_leaf = shared_nibbles(key, resident->key, depth);
        shared = with_leaf < shared ? with_leaf : shared;
    }
    branch_draft draft = {.key = key, .depth = shared};
    unsigned resident_nibble = resident == NULL ? 16 : key_nibble(resident->key, shared);
    for (unsigned nibble = 0; nibble < 16; nibble++) {
        size_t end = run_end(update, low, high, shared, nibble);
        leaf *own = nibble == resident_nibble ? resident : NULL;
        if (end == low && own == NULL)
            continue;
        draft.visited |= (uint16_t)(1u << nibble);
        TRY(build(update, &draft.slots[nibble], shared + 1, low, end, own));
        low = end;
    }
    slot branch = {0};
    uint8_t path[KEY_NIBBLES];
    TRY(draft_finish(update, &draft, &branch));
    key_nibbles(path, key, depth, shared - depth);
    TRY(wrap(update, key, depth, path, shared - depth, &branch, out));
    return hash_early(update, out, key, depth, added);
}

static int update_leaf(update *update, slot *out, unsigned depth, size_t low, size_t high) {
    leaf *resident = (leaf *)out->node;
    for (size_t i = low; i < high; i++) {
        const change *change = &update->changes[i];
        if (memcmp(change->key, resident->key, 32) != 0)
            continue;
        leaf *replacement = NULL;
        if (!change->deletes) {
            TRY(make_leaf(update, change, resident, &replacement));
            if (trie_leaf_equal(resident, replacement)) {
                TRY(retire(update, &replacement->head));
                break;
            }
        }
        TRY(retire(update, &resident->head));
        resident = replacement;
        break;
    }
    return build(update, out, depth, low, high, resident);
}

enum { LINE_BYTES = 64, LOOK_AHEAD = 32 };

/* The child of a branch to which a key leads next, or NULL. */
static inline const node *child_towards(const node *parent, const uint8_t key[32],
                                        unsigned depth) {
    const inner *branch = (const inner *)parent;
    unsigned nibble = key_nibble(key, depth);
    if (parent->kind != NODE_BRANCH || !(branch->mask >> nibble & 1))
        return NULL;
    return branch->children[rank_of(branch, nibble)];
}

static inline void prefetch_head(const node *node) {
    const uint8_t *bytes = (const uint8_t *)node;
    for (size_t i = 0; i < 3 * LINE_BYTES; i += LINE_BYTES)
        __builtin_prefetch(bytes + i);
}

/* Asks for the memory of a branch that will be copied, of its children that will be visited, and of
 * theirs. Nodes lie anywhere, and waiting for them one by one is most of what an update costs. */
static void prefetch_branch(const update *update, const node *branch, unsigned depth, size_t low,
                            size_t high) {
    const uint8_t *bytes = (const uint8_t *)branch;
    for (size_t i = LINE_BYTES; i < trie_node_size(branch); i += LINE_BYTES)
        __builtin_prefetch(bytes + i);
    if (high - low < 2 || high - low > LOOK_AHEAD)
        return;
    for (size_t i = low; i < high; i++) {
        const node *child = child_towards(branch, update->changes[i].key, depth);
        if (child != NULL)
            prefetch_head(child);
    }
    for (size_t i = low; i < high; i++) {
        const uint8_t *key = update->changes[i].key;
        const node *child = child_towards(branch, key, depth);
        const node *below = child == NULL ? NULL : child_towards(child, key, depth + 1);
        if (below != NULL)
            prefetch_head(below);
    }
}

static int update_branch(update *update, slot *out, unsigned depth, size_t low, size_t high) {
    branch_draft draft = {.old = (inner *)out->node, .key = update->changes[low].key,
                          .depth = depth};
    bool changed = false;
    prefetch_branch(update, out->node, depth, low, high);
    while (low < high) {
        const uint8_t *key = update->changes[low].key;
        unsigned nibble = key_nibble(key, depth);
        size_t end = run_end(update, low, high, depth, nibble);
        slot *child = &draft.slots[nibble];
        *child = trie_slot_of(draft.old, nibble);
        bool present = child->state != SLOT_ABSENT;
        if (present)
            TRY(load_child(update, draft.old, nibble, child, key, depth + 1));
        TRY(update_slot(update, child, depth + 1, low, end));
        draft.visited |= (uint16_t)(1u << nibble);
        changed |= slot_changed(child, present);
        low = end;
    }
    if (!changed)
        return GHOST_OK;
    TRY(draft_finish(update, &draft, out));
    return retire(update, &draft.old->head);
}

/* Nibbles that a key shares with path from depth on. */
static unsigned shared_with_path(const uint8_t key[32], unsigned depth, const uint8_t *path,
                                 unsigned length) {
    unsigned shared = 0;
    while (shared < length && key_nibble(key, depth + shared) == path[shared])
        shared++;
    return shared;
}

/* The extension `whole` from nibble `first` of its path on, whose child is `child`: applies the
 * changes to what this part of it leads to, and puts the result into out at depth. */
static int descend(update *update, inner *whole, unsigned first, slot *child, unsigned depth,
                   size_t low, size_t high, slot *out) {
    const change *changes = update->changes;
    const uint8_t *path = path_of(whole) + first, *key = changes[low].key;
    unsigned length = whole->head.length - first, split = length;
    for (size_t i = low; i < high; i++) {
        if (!changes[i].deletes) {
            unsigned shared = shared_with_path(changes[i].key, depth, path, length);
            split = shared < split ? shared : split;
        }
    }
    /* Deletions that leave the path before the split are of keys that are not there. */
    while (low < high && shared_with_path(changes[low].key, depth, path, length) < split)
        low++;
    while (low < high && shared_with_path(changes[high - 1].key, depth, path, length) < split)
        high--;
    if (split == length) {
        if (low < high) {
            TRY(load_child(update, whole, 0, child, changes[low].key, depth + length));
            TRY(update_slot(update, child, depth + length, low, high));
        }
        if (!slot_changed(child, true) && out->node == &whole->head)
            return GHOST_OK;
        return wrap(update, key, depth, path, length, child, out);
    }
    unsigned below = depth + split + 1;
    branch_draft draft = {.key = changes[low].key, .depth = depth + split};
    for (unsigned nibble = 0; nibble < 16; nibble++) {
        size_t end = run_end(update, low, high, depth + split, nibble);
        slot *own = &draft.slots[nibble];
        if (nibble != path[split]) {
            if (end > low)
                TRY(build(update, own, below, low, end, NULL));
        } else if (split + 1 < length) {
            if (end > low)
                TRY(descend(update, whole, first + split + 1, child, below, low, end, own));
            else
                TRY(wrap(update, key, below, path + split + 1, length - split - 1, child, own));
        } else {
            if (end > low) {
                TRY(load_child(update, whole, 0, child, changes[low].key, below));
                TRY(update_slot(update, child, below, low, end));
            }
            *own = *child;
        }
        if (end > low || nibble == path[split])
            draft.visited |= (uint16_t)(1u << nibble);
        low = end;
    }
    slot branch = {0};
    TRY(draft_finish(update, &draft, &branch));
    return wrap(update, key, depth, path, split, &branch, out);
}

static int update_extension(update *update, slot *out, unsigned depth, size_t low, size_t high) {
    inner *whole = (inner *)out->node;
    slot child = trie_slot_of(whole, 0);
    TRY(descend(update, whole, 0, &child, depth, low, high, out));
    return out->node == &whole->head ? GHOST_OK : retire(update, &whole->head);
}

/* Applies changes [low, high), at least one, to what stands at slot; its node is in memory. */
static int update_slot(update *update, slot *slot, unsigned depth, size_t low, size_t high) {
    if (slot->node == NULL)
        return build(update, slot, depth, low, high, NULL);
    if (slot->node->kind == NODE_LEAF)
        return update_leaf(update, slot, depth, low, high);
    if (slot->node->kind == NODE_EXTENSION)
        TRY(update_extension(update, slot, depth, low, high));
    else
        TRY(update_branch(update, slot, depth, low, high));
    return hash_early(update, slot, update->changes[low].key, depth, high - low);
}

int trie_tree_update(update *update, size_t count) {
    slot *root = &update->tree->pending;
    if (count == 0)
        return GHOST_OK;
    if (root->state != SLOT_ABSENT && root->node == NULL) {
        TRY(trie_slot_load(update->forest, update->tree, root, update->changes[0].key, 0));
        update->tree->committed.node = root->node;
    }
    TRY(update_slot(update, root, 0, 0, count));
    if (root->state == SLOT_ABSENT && root->stored) {
        root->stored = false;
        return trie_write_deletion(update->forest, update->tree, NULL, 0);
    }
    return GHOST_OK;
}
