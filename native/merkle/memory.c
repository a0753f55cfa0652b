/* Growing arrays and arenas. */
#include <stdlib.h>

#include "forest.h"

void *trie_vector_reserve(vector *vector, size_t more, size_t item_size) {
    size_t needed = vector->count + more;
    if (needed > vector->capacity || vector->data == NULL) {
        size_t capacity = vector->capacity + vector->capacity / 2;
        capacity = capacity < needed ? needed : capacity;
        capacity = capacity < 64 ? 64 : capacity;
        void *data = realloc(vector->data, capacity * item_size);
        if (data == NULL)
            return NULL;
        vector->data = data;
        vector->capacity = capacity;
    }
    return (uint8_t *)vector->data + vector->count * item_size;
}

void trie_vector_clear(vector *vector, size_t item_size, size_t keep_bytes) {
    vector->count = 0;
    if (vector->capacity * item_size > keep_bytes) {
        free(vector->data);
        *vector = (struct vector){0};
    }
}

/* Blocks start small, for the many forests that stay small, and grow with what is taken. */
enum { ARENA_BLOCK_BYTES_MIN = 1 << 14, ARENA_BLOCK_BYTES_MAX = 1 << 20 };

struct arena_block {
    arena_block *next;
    size_t capacity;
    size_t used;
    uint8_t bytes[];
};

void *trie_arena_take(arena *arena, size_t size) {
    arena_block *block = arena->blocks;
    if (block == NULL || block->capacity - block->used < size) {
        size_t capacity = arena->reserved;
        capacity = capacity < ARENA_BLOCK_BYTES_MIN ? ARENA_BLOCK_BYTES_MIN : capacity;
        capacity = capacity > ARENA_BLOCK_BYTES_MAX ? ARENA_BLOCK_BYTES_MAX : capacity;
        capacity = capacity < size ? size : capacity;
        block = arena->spare;
        if (block != NULL && block->capacity >= size) {
            arena->spare = block->next;
        } else {
            block = malloc(sizeof *block + capacity);
            if (block == NULL)
                return NULL;
            *block = (arena_block){.capacity = capacity};
            arena->reserved += sizeof *block + capacity;
        }
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *taken = block->bytes + block->used;
    block->used += size;
    return taken;
}

void trie_arena_trim(arena *arena, size_t unused) {
    arena->blocks->used -= unused;
}

void trie_arena_clear(arena *arena, size_t keep_bytes) {
    arena_block *kept = NULL, *lists[2] = {arena->blocks, arena->spare};
    size_t kept_bytes = 0;
    for (int i = 0; i < 2; i++) {
        for (arena_block *block = lists[i]; block != NULL;) {
            arena_block *next = block->next;
            if (kept_bytes + block->capacity <= keep_bytes) {
                kept_bytes += block->capacity;
                block->used = 0;
                block->next = kept;
                kept = block;
            } else {
                arena->reserved -= sizeof *block + block->capacity;
                free(block);
            }
            block = next;
        }
    }
    arena->spare = kept;
    arena->blocks = NULL;
}
