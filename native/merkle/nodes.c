/* Trie nodes: memory and RLP. */
#include "nodes.h"

#include <stdlib.h>

#include "encode.h"

const uint8_t trie_empty_root[32] = {
    0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
    0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21,
};

static const uint8_t empty_code_hash[32] = {
    0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0,
    0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70,
};

/* ---- pool ---- */

static size_t rounded(size_t size) {
    return (size + POOL_GRAIN - 1) / POOL_GRAIN * POOL_GRAIN;
}

/* Blocks taken from malloc, in a ring so that any of them can leave it. */
typedef struct slab {
    struct slab *next;
    struct slab *previous;
} slab;

static void *slab_add(pool *pool, size_t bytes) {
    slab *fresh = malloc(sizeof *fresh + bytes);
    if (fresh == NULL)
        return NULL;
    slab *first = pool->slabs;
    *fresh = (slab){.next = first, .previous = NULL};
    if (first != NULL)
        first->previous = fresh;
    pool->slabs = fresh;
    pool->reserved += bytes;
    return fresh + 1;
}

#ifdef GHOST_VERIFY
/* Each node has a block of its own, so that the address sanitizer sees every use after free. */
void *trie_pool_take(pool *pool, size_t size) {
    void *memory = slab_add(pool, rounded(size));
    if (memory != NULL)
        pool->used += rounded(size);
    return memory;
}

void trie_pool_give(pool *pool, void *memory, size_t size) {
    slab *own = (slab *)memory - 1;
    if (own->previous == NULL)
        pool->slabs = own->next;
    else
        own->previous->next = own->next;
    if (own->next != NULL)
        own->next->previous = own->previous;
    free(own);
    pool->used -= rounded(size);
    pool->reserved -= rounded(size);
}
#else
/* Slabs start small, for the many forests that stay small. */
enum { SLAB_BYTES_MIN = 1 << 13, SLAB_BYTES_MAX = 1 << 18 };

void *trie_pool_take(pool *pool, size_t size) {
    size_t bytes = rounded(size), class = bytes / POOL_GRAIN;
    void *memory = pool->free_lists[class];
    if (memory != NULL) {
        memcpy(&pool->free_lists[class], memory, sizeof(void *));
    } else {
        if (pool->slab_left < bytes) {
            size_t room = pool->reserved < SLAB_BYTES_MIN ? SLAB_BYTES_MIN : pool->reserved;
            room = room > SLAB_BYTES_MAX ? SLAB_BYTES_MAX : room;
            uint8_t *block = slab_add(pool, room);
            if (block == NULL)
                return NULL;
            pool->slab_next = block;
            pool->slab_left = room;
        }
        memory = pool->slab_next;
        pool->slab_next += bytes;
        pool->slab_left -= bytes;
    }
    pool->used += bytes;
    return memory;
}

void trie_pool_give(pool *pool, void *memory, size_t size) {
    size_t bytes = rounded(size), class = bytes / POOL_GRAIN;
    memcpy(memory, &pool->free_lists[class], sizeof(void *));
    pool->free_lists[class] = memory;
    pool->used -= bytes;
}
#endif

void trie_pool_clear(pool *pool) {
    for (slab *slab = pool->slabs; slab != NULL;) {
        struct slab *next = slab->next;
        free(slab);
        slab = next;
    }
    *pool = (struct pool){.advance_bytes = pool->advance_bytes, .generation = pool->generation,
                          .oldest = pool->oldest};
}

void trie_pool_join(pool *to, pool *from) {
    slab *last = from->slabs;
    while (last != NULL && last->next != NULL)
        last = last->next;
    if (last != NULL) {
        slab *first = to->slabs;
        last->next = first;
        if (first != NULL)
            first->previous = last;
        to->slabs = from->slabs;
    }
    to->reserved += from->reserved;
    *from = (pool){0};
}

void trie_pool_set_back(pool *pool) {
    size_t counts[POOL_GENERATIONS];
    for (uint32_t i = 0; i < POOL_GENERATIONS; i++)
        counts[i] = pool->used_by_generation[(i + pool->oldest) % POOL_GENERATIONS];
    memcpy(pool->used_by_generation, counts, sizeof counts);
    pool->generation -= pool->oldest;
    pool->oldest = 0;
}

static size_t *generation_count(pool *pool, uint32_t generation) {
    if (generation < pool->oldest)
        generation = pool->oldest;
    return &pool->used_by_generation[generation % POOL_GENERATIONS];
}

/* Counts the use of so many bytes, which moves the clock. Generations beyond what is counted apart
 * are merged into the oldest. */
static void count_use(pool *pool, size_t bytes) {
    *generation_count(pool, pool->generation) += bytes;
    pool->advanced += bytes;
    if (pool->advanced < pool->advance_bytes || pool->generation == UINT16_MAX)
        return;
    pool->advanced = 0;
    pool->generation++;
    if (pool->generation - pool->oldest < POOL_GENERATIONS)
        return;
    size_t *last = generation_count(pool, pool->oldest);
    size_t merged = *last;
    *last = 0;
    pool->oldest++;
    *generation_count(pool, pool->oldest) += merged;
}

uint32_t trie_pool_age_of(const pool *pool, size_t bytes) {
    size_t sum = 0;
    uint32_t generation = pool->oldest;
    while (sum < bytes && generation <= pool->generation)
        sum += pool->used_by_generation[generation++ % POOL_GENERATIONS];
    return generation;
}

size_t trie_node_size(const node *node) {
    if (node->kind == NODE_LEAF)
        return sizeof(leaf) + node->length;
    return sizeof(inner) + node->count * (sizeof(void *) + 32) + node->length;
}

size_t trie_node_bytes(const node *node) {
    return rounded(trie_node_size(node));
}

static void *node_new(pool *pool, node head) {
    head.generation = (uint16_t)pool->generation;
    size_t size = trie_node_size(&head);
    node *made = trie_pool_take(pool, size);
    if (made == NULL)
        return NULL;
    *made = head;
    count_use(pool, rounded(size));
    return made;
}

void trie_node_free(pool *pool, node *node) {
    size_t size = trie_node_size(node);
    *generation_count(pool, node->generation) -= rounded(size);
    trie_pool_give(pool, node, size);
}

void trie_node_touch(pool *pool, node *node) {
    if (node->generation == pool->generation)
        return;
    size_t size = trie_node_bytes(node);
    *generation_count(pool, node->generation) -= size;
    node->generation = (uint16_t)pool->generation;
    count_use(pool, size);
}

node *trie_node_copy(pool *pool, const node *node) {
    size_t size = trie_node_size(node);
    struct node *made = trie_pool_take(pool, size);
    if (made == NULL)
        return NULL;
    memcpy(made, node, size);
    *generation_count(pool, node->generation) += rounded(size);
    return made;
}

void trie_node_count(pool *pool, const node *node) {
    size_t size = trie_node_bytes(node);
    *generation_count(pool, node->generation) += size;
    pool->used += size;
}

leaf *trie_leaf_new(pool *pool, const uint8_t key[32], const uint8_t *value, size_t length,
                    uint8_t flags) {
    node head = {.kind = NODE_LEAF, .flags = flags, .length = (uint8_t)length};
    leaf *made = node_new(pool, head);
    if (made != NULL) {
        memcpy(made->key, key, 32);
        memcpy(made->value, value, length);
    }
    return made;
}

inner *trie_branch_new(pool *pool, unsigned children) {
    inner *made = node_new(pool, (node){.kind = NODE_BRANCH, .count = (uint8_t)children});
    if (made != NULL)
        made->mask = made->embedded = made->dirty = made->stored = 0;
    return made;
}

inner *trie_extension_new(pool *pool, const uint8_t *path, unsigned length) {
    node head = {.kind = NODE_EXTENSION, .count = 1, .length = (uint8_t)length};
    inner *made = node_new(pool, head);
    if (made != NULL) {
        made->mask = made->embedded = made->dirty = made->stored = 0;
        memcpy(path_of(made), path, length);
    }
    return made;
}

slot trie_slot_of(const inner *parent, unsigned nibble) {
    slot found = {0};
    unsigned bit = 1u << nibble;
    if (!(parent->mask & bit))
        return found;
    unsigned rank = rank_of(parent, nibble);
    found.node = parent->children[rank];
    found.state = parent->dirty & bit      ? SLOT_DIRTY
                  : parent->embedded & bit ? SLOT_EMBEDDED
                                           : SLOT_HASHED;
    found.unsaved = (parent->head.unsaved & bit) != 0;
    found.stored = (parent->dirty | parent->head.unsaved) & bit ? (parent->stored & bit) != 0
                                                                : found.state == SLOT_HASHED;
    memcpy(found.reference, reference_at(parent, rank), 32);
    return found;
}

void trie_slot_put(inner *parent, unsigned nibble, unsigned rank, const slot *slot) {
    uint16_t bit = (uint16_t)(1u << nibble);
    parent->mask |= bit;
    parent->children[rank] = slot->node;
    memcpy(reference_at(parent, rank), slot->reference, 32);
    if (slot->state == SLOT_EMBEDDED)
        parent->embedded |= bit;
    if (slot->state == SLOT_DIRTY)
        parent->dirty |= bit;
    if (slot->unsaved)
        parent->head.unsaved |= bit;
    if (slot->stored && (slot->unsaved || slot->state == SLOT_DIRTY))
        parent->stored |= bit;
}

/* ---- leaves ---- */

leaf *trie_slot_leaf_new(pool *pool, const uint8_t key[32], const uint8_t value[32]) {
    uint8_t encoded[33];
    size_t zeros = 0;
    while (zeros < 31 && value[zeros] == 0)
        zeros++;
    uint8_t *end = rlp_string(encoded, (ghost_view){value + zeros, 32 - zeros});
    return trie_leaf_new(pool, key, encoded, (size_t)(end - encoded), 0);
}

static uint8_t *put_integer(uint8_t *out, const uint8_t *bytes, size_t length) {
    while (length > 0 && *bytes == 0) {
        bytes++;
        length--;
    }
    return rlp_string(out, (ghost_view){bytes, length});
}

leaf *trie_account_leaf_new(pool *pool, const uint8_t key[32], const ghost_account_record *record) {
    uint8_t encoded[LEAF_VALUE_MAX], nonce[8];
    for (int i = 0; i < 8; i++)
        nonce[i] = (uint8_t)(record->nonce >> (56 - 8 * i));
    uint8_t flags = LEAF_ACCOUNT;
    uint8_t *end = put_integer(encoded, nonce, 8);
    end = put_integer(end, record->balance, 32);
    if (memcmp(record->storage_root, trie_empty_root, 32) == 0)
        flags |= LEAF_EMPTY_STORAGE;
    else
        end = put_reference(end, record->storage_root, 32);
    if (memcmp(record->code_hash, empty_code_hash, 32) == 0)
        flags |= LEAF_EMPTY_CODE;
    else
        end = put_reference(end, record->code_hash, 32);
    return trie_leaf_new(pool, key, encoded, (size_t)(end - encoded), flags);
}

void trie_account_leaf_storage_root(const leaf *leaf, uint8_t root[32]) {
    const uint8_t *found = trie_empty_root;
    if (!(leaf->head.flags & LEAF_EMPTY_STORAGE)) {
        bool has_code = !(leaf->head.flags & LEAF_EMPTY_CODE);
        found = leaf->value + leaf->head.length - (has_code ? 65 : 32);
    }
    memcpy(root, found, 32);
}

bool trie_leaf_equal(const leaf *a, const leaf *b) {
    uint8_t kinds = LEAF_ACCOUNT | LEAF_EMPTY_STORAGE | LEAF_EMPTY_CODE;
    return a->head.length == b->head.length &&
           (a->head.flags & kinds) == (b->head.flags & kinds) &&
           memcmp(a->key, b->key, 32) == 0 && memcmp(a->value, b->value, a->head.length) == 0;
}

/* ---- encoding ---- */

/* The bytes that stand in the node as its value: an account's list. Returns the end. */
static uint8_t *put_account(uint8_t *out, const leaf *leaf) {
    size_t length = leaf->head.length;
    bool no_storage = leaf->head.flags & LEAF_EMPTY_STORAGE;
    bool no_code = leaf->head.flags & LEAF_EMPTY_CODE;
    size_t before_storage = length - (no_storage ? 0 : 33) - (no_code ? 0 : 33);
    out = rlp_list_header(out, before_storage + 66);
    memcpy(out, leaf->value, before_storage);
    out += before_storage;
    const uint8_t *rest = leaf->value + before_storage;
    if (no_storage) {
        out = put_reference(out, trie_empty_root, 32);
    } else {
        memcpy(out, rest, 33);
        out += 33;
        rest += 33;
    }
    if (no_code)
        return put_reference(out, empty_code_hash, 32);
    memcpy(out, rest, 33);
    return out + 33;
}

static size_t encode_leaf(const leaf *leaf, unsigned depth, uint8_t *out) {
    uint8_t value[LEAF_VALUE_MAX], packed[KEY_NIBBLES / 2 + 1];
    ghost_view content = {leaf->value, leaf->head.length};
    if (leaf->head.flags & LEAF_ACCOUNT)
        content = (ghost_view){value, (size_t)(put_account(value, leaf) - value)};
    /* Hex-prefix of the key from depth on: its whole bytes stand as they are. */
    size_t byte = (depth + 1) / 2;
    packed[0] = depth % 2 == 0 ? 0x20 : (uint8_t)(0x30 | key_nibble(leaf->key, depth));
    memcpy(packed + 1, leaf->key + byte, 32 - byte);
    ghost_view prefix = {packed, 33 - byte};
    uint8_t *end =
        rlp_list_header(out, rlp_string_length(prefix) + rlp_string_length(content));
    end = rlp_string(rlp_string(end, prefix), content);
    return (size_t)(end - out);
}

static size_t child_length(const inner *parent, unsigned bit, const uint8_t *reference) {
    return parent->embedded & bit ? embedded_length(reference) : 32;
}

static size_t encode_extension(const inner *extension, uint8_t *out) {
    uint8_t packed[UINT8_MAX / 2 + 1];
    size_t size = hex_prefix(packed, path_of(extension), extension->head.length, false);
    ghost_view prefix = {packed, size};
    const uint8_t *reference = reference_at(extension, 0);
    size_t length = child_length(extension, 1, reference);
    uint8_t *end = rlp_list_header(out, rlp_string_length(prefix) + reference_length(length));
    end = put_reference(rlp_string(end, prefix), reference, length);
    return (size_t)(end - out);
}

static size_t encode_branch(const inner *branch, uint8_t *out) {
    size_t payload = 17 + 32 * (size_t)branch->head.count;
    const uint8_t *reference = reference_at(branch, 0);
    for (unsigned rank = 0, nibble = 0; branch->embedded != 0 && nibble < 16; nibble++) {
        unsigned bit = 1u << nibble;
        if (branch->embedded & bit)
            payload -= 33 - embedded_length(reference + 32 * (size_t)rank);
        rank += (branch->mask & bit) != 0;
    }
    uint8_t *end = rlp_list_header(out, payload);
    for (unsigned nibble = 0; nibble < 16; nibble++) {
        unsigned bit = 1u << nibble;
        if (branch->mask & bit) {
            end = put_reference(end, reference, child_length(branch, bit, reference));
            reference += 32;
        } else {
            *end++ = 0x80;
        }
    }
    *end++ = 0x80;
    return (size_t)(end - out);
}

size_t trie_node_encode(const node *node, unsigned depth, uint8_t *out) {
    if (node->kind == NODE_LEAF)
        return encode_leaf((const leaf *)node, depth, out);
    if (node->kind == NODE_EXTENSION)
        return encode_extension((const inner *)node, out);
    return encode_branch((const inner *)node, out);
}
