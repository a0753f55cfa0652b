/* From changed structure to references and writes. Every dirty slot of all tries at hand becomes a
 * job; jobs are done by depth, deepest first, so that a level's nodes, whatever trie they belong
 * to, share the lanes of the multi-buffer keccak. */
#include <stdlib.h>

#include "../keccak/keccak.h"
#include "forest.h"

enum { CHUNK_JOBS = 512 };

static int write_push(ghost_forest *forest, ghost_node_write write) {
    ghost_node_write *place = trie_vector_reserve(&forest->writes, 1, sizeof *place);
    if (place == NULL)
        return GHOST_OUT_OF_MEMORY;
    *place = write;
    forest->writes.count++;
    return GHOST_OK;
}

int trie_write_deletion(ghost_forest *forest, const tree *tree, const uint8_t *path,
                        size_t length) {
    if (forest->deferred)
        return trie_deletion_push(forest, tree->owner, path, length);
    uint8_t *copy = trie_arena_take(&forest->arena, length);
    if (copy == NULL)
        return GHOST_OUT_OF_MEMORY;
    if (length > 0)
        memcpy(copy, path, length);
    return write_push(forest, (ghost_node_write){tree->owner, copy, length, NULL, 0});
}

/* ---- finding the jobs ---- */

static int job_push(ghost_forest *forest, job job, const uint8_t *path) {
    struct job *place = trie_vector_reserve(&forest->jobs, 1, sizeof *place);
    if (place == NULL)
        return GHOST_OUT_OF_MEMORY;
    if (!forest->deferred) {
        uint8_t *copy = trie_arena_take(&forest->arena, job.depth);
        if (copy == NULL)
            return GHOST_OUT_OF_MEMORY;
        memcpy(copy, path, job.depth);
        job.path = copy;
    }
    *place = job;
    forest->jobs.count++;
    return GHOST_OK;
}

/* Pushes a job for each dirty slot below parent, whose path is path[0 .. depth). */
static int collect(ghost_forest *forest, tree *tree, inner *parent, uint8_t path[KEY_NIBBLES],
                   unsigned depth) {
    unsigned below = depth + 1;
    if (parent->head.kind == NODE_EXTENSION) {
        memcpy(path + depth, path_of(parent), parent->head.length);
        below = depth + parent->head.length;
    }
    for (unsigned dirty = parent->dirty; dirty != 0; dirty &= dirty - 1) {
        unsigned nibble = (unsigned)__builtin_ctz(dirty), rank = rank_of(parent, nibble);
        node *child = parent->children[rank];
        if (parent->head.kind == NODE_BRANCH)
            path[depth] = (uint8_t)nibble;
        job job = {.tree = tree, .parent = parent, .node = child, .depth = (uint8_t)below,
                   .nibble = (uint8_t)nibble, .rank = (uint8_t)rank,
                   .stored = parent->stored >> nibble & 1};
        int status = job_push(forest, job, path);
        if (status == GHOST_OK && child->kind != NODE_LEAF)
            status = collect(forest, tree, (inner *)child, path, below);
        if (status != GHOST_OK)
            return status;
    }
    return GHOST_OK;
}

static int collect_tree(ghost_forest *forest, tree *tree) {
    uint8_t path[KEY_NIBBLES];
    node *root = tree->pending.node;
    if (tree->pending.state != SLOT_DIRTY)
        return GHOST_OK;
    int status = job_push(forest, (job){.tree = tree, .node = root}, path);
    if (status == GHOST_OK && root->kind != NODE_LEAF)
        status = collect(forest, tree, (inner *)root, path, 0);
    return status;
}

/* ---- doing them ---- */

static int compare_wiped(const void *left, const void *right) {
    const wiped_node *a = left, *b = right;
    int difference = memcmp(a->path, b->path, a->length < b->length ? a->length : b->length);
    return difference != 0 ? difference : (int)a->length - (int)b->length;
}

/* A node written where a wiped trie had one needs no deletion. */
static void keep_from_wiping(const job *job) {
    wiped_node wanted = {.length = job->depth};
    memcpy(wanted.path, job->path, job->depth);
    wiped_node *found = bsearch(&wanted, job->tree->wiped.data, job->tree->wiped.count,
                                sizeof wanted, compare_wiped);
    if (found != NULL)
        found->overwritten = true;
}

/* Writes the reference into the parent, or into the root slot. */
static void set_reference(const job *job, const uint8_t *reference, size_t length, bool deferred) {
    if (job->parent == NULL) {
        slot *root = &job->tree->pending;
        memcpy(root->reference, reference, 32);
        root->state = SLOT_HASHED;
        root->unsaved = deferred;
        root->stored = root->stored || !deferred;
        return;
    }
    inner *parent = job->parent;
    uint16_t bit = (uint16_t)(1u << job->nibble);
    memcpy(reference_at(parent, job->rank), reference, length);
    parent->dirty &= (uint16_t)~bit;
    if (length < 32)
        parent->embedded |= bit;
    /* An embedded node has nothing to save but, perhaps, the deletion of what was stored at its
     * path or below. */
    bool below = job->node->kind != NODE_LEAF && job->node->unsaved != 0;
    if (deferred && (length == 32 || (parent->stored & bit) || below)) {
        parent->head.unsaved |= bit;
    } else {
        parent->head.unsaved &= (uint16_t)~bit;
        parent->stored &= (uint16_t)~bit;
    }
}

/* Lists the nodes as writes. */
static int push_writes(ghost_forest *forest, const job *const *jobs, const ghost_view *nodes,
                       size_t count) {
    for (size_t i = 0; i < count; i++) {
        const job *job = jobs[i];
        int status = write_push(forest, (ghost_node_write){job->tree->owner, job->path, job->depth,
                                                           nodes[i].data, nodes[i].length});
        if (status != GHOST_OK)
            return status;
        if (job->tree->wiped.count > 0)
            keep_from_wiping(job);
    }
    return GHOST_OK;
}

/* Encodes and hashes jobs of one depth, at most CHUNK_JOBS. */
static int do_jobs(ghost_forest *forest, job *const *jobs, size_t count) {
    ghost_view views[CHUNK_JOBS];
    const job *hashed[CHUNK_JOBS];
    uint8_t digests[32 * CHUNK_JOBS];
    size_t room = 0, hashed_count = 0;
    for (size_t i = 0; i < count; i++)
        room += trie_encoded_max(jobs[i]->node);
    uint8_t *out = trie_arena_take(&forest->arena, room);
    if (out == NULL)
        return GHOST_OUT_OF_MEMORY;
    size_t whole = room;
    for (size_t i = 0; i < count; i++) {
        const job *job = jobs[i];
        size_t length = trie_node_encode(job->node, job->depth, out);
        if (length < 32 && job->parent != NULL) {
            set_reference(job, out, length, forest->deferred);
            forest->unsaved_bytes += job->stored ? TRIE_NODE_KEY_MAX : 0;
            continue;
        }
        views[hashed_count] = (ghost_view){out, length};
        hashed[hashed_count++] = job;
        out += length;
        room -= length;
    }
    ghost_keccak256_views(digests, views, hashed_count);
    for (size_t i = 0; i < hashed_count; i++)
        set_reference(hashed[i], digests + 32 * i, 32, forest->deferred);
    if (forest->deferred) {
        forest->unsaved_bytes += whole - room + hashed_count * TRIE_NODE_KEY_MAX;
        trie_arena_trim(&forest->arena, whole);
        return GHOST_OK;
    }
    trie_arena_trim(&forest->arena, room);
    return push_writes(forest, hashed, views, hashed_count);
}

/* Nodes that became so short that they are embedded leave their paths. */
static int delete_embedded(ghost_forest *forest) {
    const job *jobs = forest->jobs.data;
    for (size_t i = 0; i < forest->jobs.count; i++) {
        const job *job = &jobs[i];
        if (!job->stored || job->parent == NULL || !(job->parent->embedded >> job->nibble & 1))
            continue;
        int status = trie_write_deletion(forest, job->tree, job->path, job->depth);
        if (status != GHOST_OK)
            return status;
    }
    return GHOST_OK;
}

static int delete_wiped(ghost_forest *forest, tree *tree) {
    const wiped_node *wiped = tree->wiped.data;
    for (size_t i = 0; i < tree->wiped.count; i++) {
        if (wiped[i].overwritten)
            continue;
        int status = trie_write_deletion(forest, tree, wiped[i].path, wiped[i].length);
        if (status != GHOST_OK)
            return status;
    }
    return GHOST_OK;
}

/* Does the collected jobs, the deepest first. */
static int do_collected(ghost_forest *forest) {
    int status = GHOST_OK;
    job *jobs = forest->jobs.data;
    size_t count = forest->jobs.count, starts[KEY_NIBBLES + 2] = {0};
    forest->order.count = 0;
    job **order = trie_vector_reserve(&forest->order, count, sizeof *order);
    if (order == NULL)
        return GHOST_OUT_OF_MEMORY;
    /* starts[k] counts the jobs at depths above 64 - k. */
    for (size_t i = 0; i < count; i++)
        starts[KEY_NIBBLES - jobs[i].depth + 1]++;
    for (unsigned k = 1; k < KEY_NIBBLES + 2; k++)
        starts[k] += starts[k - 1];
    for (size_t i = 0; i < count; i++)
        order[starts[KEY_NIBBLES - jobs[i].depth]++] = &jobs[i];
    for (size_t first = 0; first < count && status == GHOST_OK;) {
        size_t end = first + 1;
        while (end < count && end - first < CHUNK_JOBS && order[end]->depth == order[first]->depth)
            end++;
        status = do_jobs(forest, order + first, end - first);
        first = end;
    }
    if (status == GHOST_OK && !forest->deferred)
        status = delete_embedded(forest);
    return status;
}

int trie_trees_hash(ghost_forest *forest, tree *const *trees, size_t count) {
    int status = GHOST_OK;
    forest->jobs.count = 0;
    for (size_t i = 0; i < count && status == GHOST_OK; i++)
        status = collect_tree(forest, trees[i]);
    if (status == GHOST_OK)
        status = do_collected(forest);
    for (size_t i = 0; i < count && status == GHOST_OK; i++)
        status = delete_wiped(forest, trees[i]);
    return status;
}

int trie_subtree_hash(ghost_forest *forest, tree *tree, inner *top, const uint8_t key[32],
                      unsigned depth) {
    uint8_t path[KEY_NIBBLES] = {0};
    key_nibbles(path, key, 0, depth);
    forest->jobs.count = 0;
    int status = collect(forest, tree, top, path, depth);
    return status == GHOST_OK ? do_collected(forest) : status;
}
