/* Lists, slabs, arenas and tables: memory that is kept from one transaction to the next, so that
 * a block of ordinary transactions allocates nothing. */
#include <stdlib.h>

#include "overlay.h"

enum {
    SLAB_PIECES_FIRST = 32,
    SLAB_PIECES_MAX = 4096,
    ARENA_CHUNK_BYTES = 1 << 16
};

bool state_list_grow(void **items, size_t *room, size_t wanted, size_t item_bytes) {
    size_t grown = *room * 2 > wanted ? *room * 2 : wanted;
    if (grown < 16)
        grown = 16;
    if (grown > SIZE_MAX / item_bytes)
        return false;
    void *moved = realloc(*items, grown * item_bytes);
    if (moved == NULL)
        return false;
    *items = moved;
    *room = grown;
    return true;
}

void state_slab_init(slab *slab, size_t piece_bytes) {
    memset(slab, 0, sizeof *slab);
    slab->piece_bytes = (piece_bytes + 15) & ~(size_t)15;
}

static bool slab_grow(slab *slab) {
    size_t pieces = slab->last_pieces == 0 ? SLAB_PIECES_FIRST : slab->last_pieces * 2;
    if (pieces > SLAB_PIECES_MAX)
        pieces = SLAB_PIECES_MAX;
    if (slab->chunk_count == slab->chunk_room &&
        !state_list_grow((void **)&slab->chunks, &slab->chunk_room, slab->chunk_count + 1,
                   sizeof *slab->chunks))
        return false;
    void *chunk = malloc(pieces * slab->piece_bytes);
    if (chunk == NULL)
        return false;
    slab->chunks[slab->chunk_count++] = chunk;
    slab->last_pieces = pieces;
    slab->last_used = 0;
    slab->bytes += pieces * slab->piece_bytes;
    return true;
}

void *state_slab_take(slab *slab) {
    void *piece = slab->free_list;
    if (piece != NULL) {
        memcpy(&slab->free_list, piece, sizeof slab->free_list);
    } else {
        if (slab->last_used == slab->last_pieces && !slab_grow(slab))
            return NULL;
        uint8_t *chunk = slab->chunks[slab->chunk_count - 1];
        piece = chunk + slab->last_used++ * slab->piece_bytes;
    }
    return memset(piece, 0, slab->piece_bytes);
}

void state_slab_give(slab *slab, void *piece) {
    memcpy(piece, &slab->free_list, sizeof slab->free_list);
    slab->free_list = piece;
}

void state_slab_free(slab *slab) {
    for (size_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    free(slab->chunks);
    state_slab_init(slab, slab->piece_bytes);
}

static bool arena_grow(arena *arena, size_t length) {
    size_t size = length > ARENA_CHUNK_BYTES ? length : ARENA_CHUNK_BYTES;
    if (arena->chunk_count == arena->chunk_room) {
        size_t room = arena->chunk_room;
        if (!state_list_grow((void **)&arena->chunks, &room, arena->chunk_count + 1,
                       sizeof *arena->chunks))
            return false;
        size_t *sizes = realloc(arena->sizes, room * sizeof *sizes);
        if (sizes == NULL)
            return false;
        arena->sizes = sizes;
        arena->chunk_room = room;
    }
    uint8_t *chunk = malloc(size);
    if (chunk == NULL)
        return false;
    arena->chunks[arena->chunk_count] = chunk;
    arena->sizes[arena->chunk_count++] = size;
    arena->bytes += size;
    return true;
}

uint8_t *state_arena_take(arena *arena, size_t length) {
    while (arena->current < arena->chunk_count &&
           arena->sizes[arena->current] - arena->used < length) {
        arena->current++;
        arena->used = 0;
    }
    if (arena->current == arena->chunk_count && !arena_grow(arena, length))
        return NULL;
    uint8_t *bytes = arena->chunks[arena->current] + arena->used;
    arena->used += length;
    return bytes;
}

arena_mark state_arena_position(const arena *arena) {
    return (arena_mark){arena->current, arena->used};
}

void state_arena_cut(arena *arena, arena_mark mark) {
    arena->current = mark.chunk;
    arena->used = mark.used;
}

void state_arena_free(arena *arena) {
    for (size_t i = 0; i < arena->chunk_count; i++)
        free(arena->chunks[i]);
    free(arena->chunks);
    free(arena->sizes);
    memset(arena, 0, sizeof *arena);
}

bool state_table_init(table *table, size_t capacity) {
    table->buckets = calloc(capacity, sizeof *table->buckets);
    table->mask = capacity - 1;
    table->count = 0;
    return table->buckets != NULL;
}

static void table_place(table *table, uint64_t hash, void *entry) {
    size_t i = hash & table->mask;
    while (table->buckets[i].entry != NULL)
        i = (i + 1) & table->mask;
    table->buckets[i] = (bucket){hash, entry};
}

bool state_table_put(table *table, uint64_t hash, void *entry) {
    if ((table->count + 1) * 2 > table->mask) {
        struct table grown;
        if (!state_table_init(&grown, (table->mask + 1) * 2))
            return false;
        for (size_t i = 0; i <= table->mask; i++)
            if (table->buckets[i].entry != NULL)
                table_place(&grown, table->buckets[i].hash, table->buckets[i].entry);
        grown.count = table->count;
        free(table->buckets);
        *table = grown;
    }
    table_place(table, hash, entry);
    table->count++;
    return true;
}

void state_table_clear(table *table) {
    memset(table->buckets, 0, (table->mask + 1) * sizeof *table->buckets);
    table->count = 0;
}
