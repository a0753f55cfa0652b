/* Proofs: the nodes from a root to where a key is, or would be. */
#include <stdlib.h>

#include "forest.h"

void ghost_bytes_free(ghost_bytes *bytes) {
    free(bytes->data);
    bytes->data = NULL;
    bytes->length = 0;
}

/* The slot into which key goes at an inner node that stands *depth nibbles down; absent when the
 * key leaves the trie here. Moves *depth there. */
static slot next_slot(const node *node, const uint8_t key[32], unsigned *depth) {
    const inner *parent = (const inner *)node;
    if (node->kind == NODE_BRANCH) {
        unsigned nibble = key_nibble(key, *depth);
        *depth += 1;
        return trie_slot_of(parent, nibble);
    }
    for (unsigned i = 0; i < node->length; i++) {
        if (key_nibble(key, *depth + i) != path_of(parent)[i])
            return (slot){0};
    }
    *depth += node->length;
    return trie_slot_of(parent, 0);
}

/* Walks from `here` to key and appends each node that has a hash. Nodes that are not in memory are
 * loaded and freed again, so a proof changes nothing. */
static int prove_from(ghost_forest *forest, const tree *tree, slot here, const uint8_t key[32],
                      vector *out) {
    unsigned depth = 0;
    while (here.state != SLOT_ABSENT) {
        bool resident = here.node != NULL;
        int status = trie_slot_load(forest, tree, &here, key, depth);
        if (status != GHOST_OK)
            return status;
        if (here.state == SLOT_HASHED) {
            uint8_t *place = trie_vector_reserve(out, NODE_RLP_MAX, 1);
            if (place != NULL)
                out->count += trie_node_encode(here.node, depth, place);
            else
                status = GHOST_OUT_OF_MEMORY;
        }
        slot next = {0};
        if (here.node->kind != NODE_LEAF)
            next = next_slot(here.node, key, &depth);
        if (!resident) {
            trie_node_free(&forest->pool, here.node);
            /* What an unattached node leads to is not in memory. */
            next.node = NULL;
        }
        if (status != GHOST_OK)
            return status;
        here = next;
    }
    return GHOST_OK;
}

int ghost_forest_prove(ghost_forest *forest, const uint8_t *owner, const uint8_t root[32],
                       const uint8_t key[32], ghost_bytes *nodes) {
    tree unknown = {.owner = owner};
    tree *tree = owner == NULL ? &forest->accounts : trie_table_find(forest, owner);
    trie_slot_set_root(&unknown.committed, root);
    if (tree == NULL || memcmp(tree->committed.reference, root, 32) != 0)
        tree = &unknown;
    vector out = {0};
    int status = prove_from(forest, tree, tree->committed, key, &out);
    if (status != GHOST_OK) {
        free(out.data);
        out = (vector){0};
    }
    *nodes = (ghost_bytes){out.data, out.count};
    return status;
}
