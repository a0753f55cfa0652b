/* Roots from scratch. The trie is laid out breadth first over the sorted keys, so that a node's
 * children stand behind it, and is then hashed level by level from the deepest up, each level
 * through the multi-buffer keccak. Nothing recurses: keys may have any length. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../keccak/keccak.h"
#include "encode.h"
#include "merkle.h"

typedef struct item {
    ghost_view key;
    ghost_view value;
    size_t order;
} item;

/* A node of the trie over items [low, high), all of which share their first depth nibbles. */
typedef struct plan_node {
    size_t low, high;
    size_t depth;
    size_t path_length;     /* nibbles of a leaf's or extension's own path, from depth on */
    size_t first_child;     /* children stand together, in nibble order */
    uint16_t mask;          /* branch: nibbles that have a child */
    bool branch;
    bool has_value;         /* branch: item low - 1 ends here */
    uint8_t reference_length;
    uint8_t reference[32];
} plan_node;

typedef struct plan {
    const item *items;
    plan_node *nodes;
    size_t count;
    size_t capacity;
} plan;

static inline size_t nibble_count(const item *entry) {
    return 2 * entry->key.length;
}

static inline unsigned nibble_at(const item *entry, size_t position) {
    uint8_t byte = entry->key.data[position / 2];
    return position % 2 == 0 ? byte >> 4 : byte & 15;
}

static bool plan_push(plan *plan, size_t low, size_t high, size_t depth) {
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity == 0 ? 64 : 2 * plan->capacity;
        plan_node *nodes = realloc(plan->nodes, capacity * sizeof *nodes);
        if (nodes == NULL)
            return false;
        plan->nodes = nodes;
        plan->capacity = capacity;
    }
    plan->nodes[plan->count++] = (plan_node){.low = low, .high = high, .depth = depth};
    return true;
}

/* Length of what two keys share from depth on, in nibbles. */
static size_t common_length(const item *a, const item *b, size_t depth) {
    size_t limit = nibble_count(a) < nibble_count(b) ? nibble_count(a) : nibble_count(b);
    size_t position = depth;
    while (position < limit && nibble_at(a, position) == nibble_at(b, position))
        position++;
    return position - depth;
}

/* Decides what node `index` is and appends its children. */
static bool plan_expand(plan *plan, size_t index) {
    plan_node node = plan->nodes[index];
    const item *items = plan->items;
    node.first_child = plan->count;
    if (node.high - node.low == 1) {
        node.path_length = nibble_count(&items[node.low]) - node.depth;
        plan->nodes[index] = node;
        return true;
    }
    /* The keys are sorted: what the first and the last share, all share. */
    node.path_length = common_length(&items[node.low], &items[node.high - 1], node.depth);
    if (node.path_length > 0) {
        plan->nodes[index] = node;
        return plan_push(plan, node.low, node.high, node.depth + node.path_length);
    }
    node.branch = true;
    if (nibble_count(&items[node.low]) == node.depth) {
        node.has_value = true;
        node.low++;
    }
    for (size_t first = node.low; first < node.high;) {
        unsigned nibble = nibble_at(&items[first], node.depth);
        size_t end = first + 1;
        while (end < node.high && nibble_at(&items[end], node.depth) == nibble)
            end++;
        node.mask |= (uint16_t)(1u << nibble);
        if (!plan_push(plan, first, end, node.depth + 1))
            return false;
        first = end;
    }
    plan->nodes[index] = node;
    return true;
}

static inline bool is_leaf(const plan_node *node) {
    return !node->branch && node->high - node->low == 1;
}

/* Writes the RLP of the node's own path in hex-prefix form. */
static uint8_t *put_path(uint8_t *out, const plan *plan, const plan_node *node) {
    const item *entry = &plan->items[node->low];
    size_t position = node->depth, end = node->depth + node->path_length;
    uint8_t first = is_leaf(node) ? 0x20 : 0;
    if (node->path_length % 2 == 1)
        first |= (uint8_t)(0x10 | nibble_at(entry, position++));
    /* A lone byte is below 0x80 and is its own RLP. */
    if (node->path_length >= 2)
        out = rlp_header(out, node->path_length / 2 + 1, 0x80);
    *out++ = first;
    for (; position < end; position += 2)
        *out++ = (uint8_t)(nibble_at(entry, position) << 4 | nibble_at(entry, position + 1));
    return out;
}

static size_t path_size(const plan_node *node) {
    return hex_prefix_rlp_length(node->path_length);
}

/* Upper bound of the node's encoding. */
static size_t encoded_max(const plan *plan, const plan_node *node) {
    if (node->branch)
        return 3 + 17 * 33 +
               (node->has_value ? 9 + plan->items[node->low - 1].value.length : 0);
    size_t value = is_leaf(node) ? plan->items[node->low].value.length : 32;
    return 9 + 9 + node->path_length / 2 + 1 + 9 + value;
}

static uint8_t *encode_branch(const plan *plan, const plan_node *node, uint8_t *out) {
    const plan_node *child = &plan->nodes[node->first_child];
    ghost_view value = {NULL, 0};
    if (node->has_value)
        value = plan->items[node->low - 1].value;
    size_t payload = rlp_string_length(value);
    for (unsigned nibble = 0, c = 0; nibble < 16; nibble++) {
        bool present = node->mask >> nibble & 1;
        payload += present ? reference_length(child[c].reference_length) : 1;
        c += present;
    }
    out = rlp_list_header(out, payload);
    for (unsigned nibble = 0; nibble < 16; nibble++) {
        if (node->mask >> nibble & 1) {
            out = put_reference(out, child->reference, child->reference_length);
            child++;
        } else {
            *out++ = 0x80;
        }
    }
    return rlp_string(out, value);
}

/* Writes the node's RLP and returns its end. Its children have their references. */
static uint8_t *plan_encode(const plan *plan, const plan_node *node, uint8_t *out) {
    if (node->branch)
        return encode_branch(plan, node, out);
    if (is_leaf(node)) {
        ghost_view value = plan->items[node->low].value;
        out = rlp_list_header(out, path_size(node) + rlp_string_length(value));
        return rlp_string(put_path(out, plan, node), value);
    }
    const plan_node *child = &plan->nodes[node->first_child];
    out = rlp_list_header(out, path_size(node) + reference_length(child->reference_length));
    out = put_path(out, plan, node);
    return put_reference(out, child->reference, child->reference_length);
}

/* Nodes that are encoded and hashed together. More only costs cache. */
enum { CHUNK_NODES = 512 };

typedef struct chunk {
    uint8_t *buffer;
    size_t capacity;
    ghost_view views[CHUNK_NODES];
    plan_node *targets[CHUNK_NODES];
    uint8_t digests[32 * CHUNK_NODES];
} chunk;

/* Fills the references of nodes [low, high), which are of one level and at most CHUNK_NODES.
 * The root (index 0) is hashed however short it is. */
static int hash_chunk(plan *plan, chunk *chunk, size_t low, size_t high) {
    size_t size = 0;
    for (size_t i = low; i < high; i++)
        size += encoded_max(plan, &plan->nodes[i]);
    if (size > chunk->capacity) {
        free(chunk->buffer);
        chunk->buffer = malloc(size);
        chunk->capacity = chunk->buffer == NULL ? 0 : size;
        if (chunk->buffer == NULL)
            return GHOST_OUT_OF_MEMORY;
    }
    uint8_t *out = chunk->buffer;
    size_t hashed = 0;
    for (size_t i = low; i < high; i++) {
        plan_node *node = &plan->nodes[i];
        size_t length = (size_t)(plan_encode(plan, node, out) - out);
        if (length < 32 && i != 0) {
            memcpy(node->reference, out, length);
            node->reference_length = (uint8_t)length;
            continue;
        }
        chunk->views[hashed] = (ghost_view){out, length};
        chunk->targets[hashed++] = node;
        out += length;
    }
    ghost_keccak256_views(chunk->digests, chunk->views, hashed);
    for (size_t i = 0; i < hashed; i++) {
        memcpy(chunk->targets[i]->reference, chunk->digests + 32 * i, 32);
        chunk->targets[i]->reference_length = 32;
    }
    return GHOST_OK;
}

/* Hashes the levels from the deepest up. levels[k] is the index of the first node of level k. */
static int hash_levels(plan *plan, const size_t *levels, size_t level_count) {
    chunk *chunk = calloc(1, sizeof *chunk);
    int status = chunk == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
    for (size_t level = level_count; level-- > 0 && status == GHOST_OK;) {
        size_t end = level + 1 < level_count ? levels[level + 1] : plan->count;
        for (size_t low = levels[level]; low < end && status == GHOST_OK; low += CHUNK_NODES) {
            size_t high = end - low < CHUNK_NODES ? end : low + CHUNK_NODES;
            status = hash_chunk(plan, chunk, low, high);
        }
    }
    if (chunk != NULL)
        free(chunk->buffer);
    free(chunk);
    return status;
}

/* Root over items sorted by key, without equal keys and empty values. */
static int root_of_sorted(uint8_t root[32], const item *items, size_t count) {
    static const uint8_t empty_node[1] = {0x80};
    if (count == 0) {
        ghost_keccak256(root, empty_node, 1);
        return GHOST_OK;
    }
    plan plan = {.items = items};
    size_t *levels = NULL, level_count = 0, level_capacity = 0, next_level = 0;
    int status = plan_push(&plan, 0, count, 0) ? GHOST_OK : GHOST_OUT_OF_MEMORY;
    for (size_t i = 0; status == GHOST_OK && i < plan.count; i++) {
        if (i == next_level) {
            if (level_count == level_capacity) {
                level_capacity = level_capacity == 0 ? 32 : 2 * level_capacity;
                size_t *grown = realloc(levels, level_capacity * sizeof *levels);
                if (grown == NULL) {
                    status = GHOST_OUT_OF_MEMORY;
                    break;
                }
                levels = grown;
            }
            levels[level_count++] = i;
            next_level = plan.count;
        }
        if (!plan_expand(&plan, i))
            status = GHOST_OUT_OF_MEMORY;
    }
    if (status == GHOST_OK)
        status = hash_levels(&plan, levels, level_count);
    if (status == GHOST_OK)
        memcpy(root, plan.nodes[0].reference, 32);
    free(levels);
    free(plan.nodes);
    return status;
}

/* The RLP of an index: the empty string for 0, else the shortest big-endian integer. */
static size_t index_key(uint8_t out[9], size_t index) {
    if (index == 0) {
        out[0] = 0x80;
        return 1;
    }
    if (index < 0x80) {
        out[0] = (uint8_t)index;
        return 1;
    }
    size_t length = (71 - (size_t)__builtin_clzll(index)) / 8;
    out[0] = (uint8_t)(0x80 + length);
    for (size_t i = 0; i < length; i++)
        out[1 + i] = (uint8_t)(index >> 8 * (length - 1 - i));
    return 1 + length;
}

int ghost_merkle_ordered_root(uint8_t root[32], const ghost_view *items, size_t count) {
    item *entries = malloc((count + 1) * sizeof *entries);
    uint8_t *keys = malloc((count + 1) * 9);
    int status = entries == NULL || keys == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
    size_t filled = 0;
    /* In the order of their keys the indices are 1 .. 127, 0 (0x80), then 128 and above. */
    for (size_t i = 0; status == GHOST_OK && i < count; i++) {
        size_t index = i < 127 ? i + 1 : i == 127 ? 0 : i;
        if (count < 128)
            index = i + 1 < count ? i + 1 : 0;
        uint8_t *key = keys + 9 * i;
        size_t length = index_key(key, index);
        if (items[index].length > 0)
            entries[filled++] = (item){{key, length}, items[index], index};
    }
    if (status == GHOST_OK)
        status = root_of_sorted(root, entries, filled);
    free(entries);
    free(keys);
    return status;
}

/* By key, then by order of arrival. */
static int compare_items(const void *left, const void *right) {
    const item *a = left, *b = right;
    size_t shared = a->key.length < b->key.length ? a->key.length : b->key.length;
    int difference = shared == 0 ? 0 : memcmp(a->key.data, b->key.data, shared);
    if (difference != 0)
        return difference;
    if (a->key.length != b->key.length)
        return a->key.length < b->key.length ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool same_key(const item *a, const item *b) {
    return a->key.length == b->key.length &&
           (a->key.length == 0 || memcmp(a->key.data, b->key.data, a->key.length) == 0);
}

int ghost_merkle_root(uint8_t root[32], const ghost_view *keys, const ghost_view *values,
                      size_t count) {
    item *entries = malloc((count + 1) * sizeof *entries);
    if (entries == NULL)
        return GHOST_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++)
        entries[i] = (item){keys[i], values[i], i};
    qsort(entries, count, sizeof *entries, compare_items);
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        bool overwritten = i + 1 < count && same_key(&entries[i], &entries[i + 1]);
        if (!overwritten && entries[i].value.length > 0)
            entries[filled++] = entries[i];
    }
    int status = root_of_sorted(root, entries, filled);
    free(entries);
    return status;
}
