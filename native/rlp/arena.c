#include "arena.h"

#include <stdlib.h>

/* The first chunk is small: batches of one block with one transaction are kept by the thousand. */
enum { CHUNK_BYTES_MIN = 1 << 11, CHUNK_BYTES_DOUBLING_MAX = 1 << 24 };

static size_t rounded(size_t size) {
    return (size + 15) & ~(size_t)15;
}

/* Puts a chunk of at least size bytes behind the current one. Chunks double, so that a large batch
 * has few of them. */
static arena_chunk *add_chunk(arena *memory, size_t size) {
    size_t wanted = CHUNK_BYTES_MIN;
    if (memory->current != NULL && memory->current->size < CHUNK_BYTES_DOUBLING_MAX) {
        wanted = 2 * memory->current->size;
    } else if (memory->current != NULL) {
        wanted = CHUNK_BYTES_DOUBLING_MAX;
    }
    if (wanted < size) {
        wanted = size;
    }
    arena_chunk *chunk = malloc(sizeof *chunk + wanted);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->size = wanted;
    chunk->used = 0;
    if (memory->current == NULL) {
        chunk->next = memory->first;
        memory->first = chunk;
    } else {
        chunk->next = memory->current->next;
        memory->current->next = chunk;
    }
    return chunk;
}

void *arena_take(arena *memory, size_t size) {
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = rounded(size);
    arena_chunk *chunk = memory->current;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        arena_chunk *next = chunk == NULL ? memory->first : chunk->next;
        chunk = next != NULL && next->size >= size ? next : add_chunk(memory, size);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->used = 0;
        memory->current = chunk;
    }
    void *taken = chunk->bytes + chunk->used;
    chunk->used += size;
    return taken;
}

void arena_clear(arena *memory) {
    memory->current = memory->first;
    if (memory->current != NULL) {
        memory->current->used = 0;
    }
}

void arena_free(arena *memory) {
    arena_chunk *chunk = memory->first;
    while (chunk != NULL) {
        arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *memory = (arena){0};
}
