/* What a store is given: the writes of one apply, or, where writes are deferred, all that the store
 * does not have yet.
 *
 * A deferred forest marks each slot whose node the store lacks, or has another of, as unsaved.
 * Whatever changes a node changes its ancestors, so the unsaved nodes are the top of each trie and
 * are found by walking down from the roots; they stay in memory until they are saved. Nodes that
 * the store has under paths that no longer have one are listed, for no trie leads there. */
#include "forest.h"

size_t ghost_node_key(uint8_t *key, const uint8_t *owner, const uint8_t *path,
                      size_t path_length) {
    size_t length = 2;
    key[0] = 'n';
    key[1] = owner == NULL ? 'a' : 's';
    if (owner != NULL) {
        memcpy(key + length, owner, 32);
        length += 32;
    }
    if (path_length > 0)
        memcpy(key + length, path, path_length);
    return length + path_length;
}

size_t trie_encoded_max(const node *node) {
    if (node->kind == NODE_BRANCH)
        return 20 + 32 * (size_t)node->count;
    /* A path, two headers, and the hashes that an account leaf may leave out; or a reference. */
    return 112 + (node->kind == NODE_LEAF ? node->length : 0);
}

int trie_deletion_push(ghost_forest *forest, const uint8_t *owner, const uint8_t *path,
                       size_t length) {
    deletion *place = trie_vector_reserve(&forest->deletions, 1, sizeof *place);
    if (place == NULL)
        return GHOST_OUT_OF_MEMORY;
    *place = (deletion){.has_owner = owner != NULL, .length = (uint8_t)length};
    if (owner != NULL)
        memcpy(place->owner, owner, 32);
    if (length > 0)
        memcpy(place->path, path, length);
    forest->deletions.count++;
    forest->unsaved_bytes += TRIE_NODE_KEY_MAX;
    return GHOST_OK;
}

/* ---- keys and values run together ---- */

typedef struct writer {
    vector *bytes;
    vector *ends;
    size_t puts;
    size_t deletes;
} writer;

static int end_piece(writer *writer, size_t length) {
    writer->bytes->count += length;
    size_t *end = trie_vector_reserve(writer->ends, 1, sizeof *end);
    if (end == NULL)
        return GHOST_OUT_OF_MEMORY;
    *end = writer->bytes->count;
    writer->ends->count++;
    return GHOST_OK;
}

static int write_key(writer *writer, const uint8_t *owner, const uint8_t *path, size_t length) {
    uint8_t *out = trie_vector_reserve(writer->bytes, TRIE_NODE_KEY_MAX, 1);
    if (out == NULL)
        return GHOST_OUT_OF_MEMORY;
    return end_piece(writer, ghost_node_key(out, owner, path, length));
}

static int write_delete(writer *writer, const uint8_t *owner, const uint8_t *path,
                        size_t length) {
    writer->deletes++;
    return write_key(writer, owner, path, length);
}

/* The writes of the pending apply: those that have a node, then those that delete. */
static int write_pending(const ghost_forest *forest, writer *writer) {
    const ghost_node_write *writes = forest->writes.data;
    for (int deletes = 0; deletes < 2; deletes++) {
        for (size_t i = 0; i < forest->writes.count; i++) {
            const ghost_node_write *write = &writes[i];
            if ((write->length == 0) != deletes)
                continue;
            int status = write_key(writer, write->owner, write->path, write->path_length);
            if (status != GHOST_OK)
                return status;
            if (deletes) {
                writer->deletes++;
                continue;
            }
            uint8_t *out = trie_vector_reserve(writer->bytes, write->length, 1);
            if (out == NULL)
                return GHOST_OUT_OF_MEMORY;
            memcpy(out, write->data, write->length);
            status = end_piece(writer, write->length);
            if (status != GHOST_OK)
                return status;
            writer->puts++;
        }
    }
    return GHOST_OK;
}

/* ---- walks over what is unsaved ---- */

/* What is done at an unsaved slot: its node, if it is to be put, or its deletion. */
typedef int visit_slot(void *context, const tree *tree, const slot *slot, const uint8_t *path,
                       unsigned depth);

static int visit_below(const tree *tree, const inner *parent, uint8_t path[KEY_NIBBLES],
                       unsigned depth, visit_slot *visit, void *context) {
    unsigned below = depth + 1;
    if (parent->head.kind == NODE_EXTENSION) {
        memcpy(path + depth, path_of(parent), parent->head.length);
        below = depth + parent->head.length;
    }
    for (unsigned left = parent->head.unsaved; left != 0; left &= left - 1) {
        unsigned nibble = (unsigned)__builtin_ctz(left);
        slot child = trie_slot_of(parent, nibble);
        if (parent->head.kind == NODE_BRANCH)
            path[depth] = (uint8_t)nibble;
        int status = visit(context, tree, &child, path, below);
        if (status == GHOST_OK && child.node->kind != NODE_LEAF)
            status = visit_below(tree, (const inner *)child.node, path, below, visit, context);
        if (status != GHOST_OK)
            return status;
    }
    return GHOST_OK;
}

/* The root as of the pending apply, or of the commit before where the apply did not touch it. */
static slot *latest_root(tree *tree) {
    return tree->touched ? &tree->pending : &tree->committed;
}

static int visit_tree(tree *tree, visit_slot *visit, void *context) {
    uint8_t path[KEY_NIBBLES] = {0};
    const slot *root = latest_root(tree);
    if (root->state == SLOT_ABSENT || !root->unsaved)
        return GHOST_OK;
    int status = visit(context, tree, root, path, 0);
    if (status == GHOST_OK && root->node->kind != NODE_LEAF)
        status = visit_below(tree, (const inner *)root->node, path, 0, visit, context);
    return status;
}

static int visit_unsaved(ghost_forest *forest, visit_slot *visit, void *context) {
    int status = visit_tree(&forest->accounts, visit, context);
    for (size_t i = 0; i < forest->table_capacity && status == GHOST_OK; i++) {
        if (forest->table[i] != NULL)
            status = visit_tree(forest->table[i], visit, context);
    }
    return status;
}

static int put_unsaved(void *context, const tree *tree, const slot *slot, const uint8_t *path,
                       unsigned depth) {
    writer *writer = context;
    if (slot->state != SLOT_HASHED)
        return GHOST_OK;
    int status = write_key(writer, tree->owner, path, depth);
    if (status != GHOST_OK)
        return status;
    uint8_t *out = trie_vector_reserve(writer->bytes, trie_encoded_max(slot->node), 1);
    if (out == NULL)
        return GHOST_OUT_OF_MEMORY;
    writer->puts++;
    return end_piece(writer, trie_node_encode(slot->node, depth, out));
}

static int delete_unsaved(void *context, const tree *tree, const slot *slot, const uint8_t *path,
                          unsigned depth) {
    if (slot->state == SLOT_HASHED || !slot->stored)
        return GHOST_OK;
    return write_delete(context, tree->owner, path, depth);
}

static int count_unsaved(void *context, const tree *tree, const slot *slot, const uint8_t *path,
                         unsigned depth) {
    size_t *bytes = context;
    (void)tree, (void)path;
    *bytes += 34 + depth;
    if (slot->state == SLOT_HASHED)
        *bytes += trie_encoded_max(slot->node);
    return GHOST_OK;
}

/* True when the latest tries have a node of their own under the deleted path. */
static bool is_overwritten(ghost_forest *forest, const deletion *deletion) {
    tree *tree = deletion->has_owner ? trie_table_find(forest, deletion->owner)
                                     : &forest->accounts;
    if (tree == NULL)
        return false;
    slot here = *latest_root(tree);
    unsigned depth = 0;
    while (here.state != SLOT_ABSENT && here.unsaved && depth < deletion->length) {
        const inner *parent = (const inner *)here.node;
        const uint8_t *rest = deletion->path + depth;
        if (here.node->kind == NODE_LEAF)
            return false;
        if (here.node->kind == NODE_BRANCH) {
            here = trie_slot_of(parent, rest[0]);
            depth++;
        } else {
            unsigned length = parent->head.length;
            if (length > deletion->length - depth || memcmp(rest, path_of(parent), length) != 0)
                return false;
            here = trie_slot_of(parent, 0);
            depth += length;
        }
    }
    return depth == deletion->length && here.state == SLOT_HASHED;
}

static int write_unsaved(ghost_forest *forest, writer *writer) {
    int status = visit_unsaved(forest, put_unsaved, writer);
    if (status == GHOST_OK)
        status = visit_unsaved(forest, delete_unsaved, writer);
    const deletion *deletions = forest->deletions.data;
    for (size_t i = 0; i < forest->deletions.count && status == GHOST_OK; i++) {
        const deletion *deletion = &deletions[i];
        if (!is_overwritten(forest, deletion))
            status = write_delete(writer, deletion->has_owner ? deletion->owner : NULL,
                                  deletion->path, deletion->length);
    }
    return status;
}

int ghost_forest_encoded_writes(ghost_forest *forest, const uint8_t **data, const size_t **ends,
                                size_t *put_count, size_t *delete_count) {
    writer writer = {.bytes = &forest->encoded, .ends = &forest->ends};
    forest->encoded.count = forest->ends.count = 0;
    int status = forest->deferred ? write_unsaved(forest, &writer)
                                  : write_pending(forest, &writer);
    *data = forest->encoded.data;
    *ends = forest->ends.data;
    *put_count = writer.puts;
    *delete_count = writer.deletes;
    return status;
}

/* ---- deferral ---- */

void ghost_forest_defer(ghost_forest *forest) {
    forest->deferred = true;
}

static void saved_below(node *node) {
    if (node->kind == NODE_LEAF)
        return;
    inner *parent = (inner *)node;
    for (unsigned left = node->unsaved; left != 0; left &= left - 1)
        saved_below(parent->children[rank_of(parent, (unsigned)__builtin_ctz(left))]);
    parent->stored &= (uint16_t)~node->unsaved;
    node->unsaved = 0;
}

static void saved_tree(tree *tree) {
    slot *root = &tree->committed;
    if (!root->unsaved)
        return;
    if (root->node != NULL)
        saved_below(root->node);
    root->unsaved = false;
    root->stored = root->state == SLOT_HASHED;
}

int ghost_forest_saved(ghost_forest *forest) {
    if (forest->pending)
        return GHOST_REFUSED;
    saved_tree(&forest->accounts);
    for (size_t i = 0; i < forest->table_capacity; i++) {
        if (forest->table[i] != NULL)
            saved_tree(forest->table[i]);
    }
    trie_vector_clear(&forest->deletions, sizeof(deletion), 1 << 16);
    forest->deletions_committed = 0;
    forest->unsaved_bytes = 0;
    trie_vector_clear(&forest->encoded, 1, 1 << 20);
    trie_vector_clear(&forest->ends, sizeof(size_t), 1 << 20);
    return GHOST_OK;
}

size_t ghost_forest_unsaved(ghost_forest *forest, size_t interest) {
    if (forest->unsaved_bytes > interest) {
        size_t bytes = forest->deletions.count * TRIE_NODE_KEY_MAX;
        visit_unsaved(forest, count_unsaved, &bytes);
        forest->unsaved_bytes = bytes;
    }
    return forest->unsaved_bytes;
}
