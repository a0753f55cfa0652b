/* Memory that only grows and never moves: pointers into it stay good until it is cleared. */
#ifndef GHOST_ARENA_H
#define GHOST_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    size_t used;
    _Alignas(16) uint8_t bytes[];
} arena_chunk;

typedef struct arena {
    arena_chunk *first;
    arena_chunk *current;   /* chunks after it are free */
} arena;

/* Where an arena stands, to forget what was taken since. */
typedef struct arena_mark {
    arena_chunk *chunk;
    size_t used;
} arena_mark;

/* Takes size bytes, aligned to 16 and not initialised. Returns NULL when there is no memory. */
void *arena_take(arena *memory, size_t size);
/* Gives all back to the arena, which keeps it. */
void arena_clear(arena *memory);
void arena_free(arena *memory);

static inline arena_mark arena_now(const arena *memory) {
    arena_chunk *chunk = memory->current;
    return (arena_mark){chunk, chunk == NULL ? 0 : chunk->used};
}

/* Gives back what was taken since the mark. */
static inline void arena_rewind(arena *memory, arena_mark mark) {
    memory->current = mark.chunk != NULL ? mark.chunk : memory->first;
    if (memory->current != NULL) {
        memory->current->used = mark.used;
    }
}

#endif
