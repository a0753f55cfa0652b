/* Storage as contracts see it: reads go through a cache of the frame, writes stay in it until the
 * contract flushes. What is not flushed when the frame ends was never written. As in Stylus, a call
 * made by the contract does not flush: its kit does before it calls. */
#include <stdlib.h>

#include "activation.h"

enum {
    SEARCHED_MAX = 8,             /* so few slots are found by looking at each */
    ROOM_FIRST = 8
};

void slot_cache_free(slot_cache *slots) {
    free(slots->slots);
    free(slots->places);
    *slots = (slot_cache){0};
}

/* Keys are mostly hashes, but a contract may choose them: the multiplier mixes all words, and what
 * a crafted chain of collisions costs is bounded by the price of a new slot. */
static uint32_t place_of(const slot_cache *slots, const u256 *key) {
    uint64_t mixed = 0;
    for (int i = 0; i < 4; i++) {
        mixed = (mixed ^ key->limbs[i]) * UINT64_C(0x9e3779b97f4a7c15);
        mixed ^= mixed >> 29;
    }
    return (uint32_t)(mixed >> 32) & slots->mask;
}

static cached_slot *find(const slot_cache *slots, const u256 *key) {
    if (slots->places == NULL) {
        for (uint32_t i = 0; i < slots->count; i++)
            if (u256_equal(&slots->slots[i].key, key))
                return &slots->slots[i];
        return NULL;
    }
    for (uint32_t at = place_of(slots, key); slots->places[at] != 0; at = (at + 1) & slots->mask) {
        cached_slot *slot = &slots->slots[slots->places[at] - 1];
        if (u256_equal(&slot->key, key))
            return slot;
    }
    return NULL;
}

static void put_place(slot_cache *slots, uint32_t index) {
    uint32_t at = place_of(slots, &slots->slots[index].key);
    while (slots->places[at] != 0)
        at = (at + 1) & slots->mask;
    slots->places[at] = index + 1;
}

/* Room for one more, with the table at most half full. */
static bool make_room(slot_cache *slots) {
    if (slots->count < slots->room)
        return true;
    uint32_t room = slots->room == 0 ? ROOM_FIRST : slots->room * 2;
    cached_slot *grown = realloc(slots->slots, room * sizeof *grown);
    if (grown == NULL)
        return false;
    slots->slots = grown;
    slots->room = room;
    if (room <= SEARCHED_MAX)
        return true;
    uint32_t *places = calloc(2 * (size_t)room, sizeof *places);
    if (places == NULL)
        return false;
    free(slots->places);
    slots->places = places;
    slots->mask = 2 * room - 1;
    for (uint32_t i = 0; i < slots->count; i++)
        put_place(slots, i);
    return true;
}

/* The slot in the cache, new ones empty and paid for. 0 or an exit. */
static int cached(activation *self, const u256 *key, cached_slot **out) {
    slot_cache *slots = &self->slots;
    *out = find(slots, key);
    if (*out != NULL)
        return 0;
    if (!take_ink(self, INK_SLOT_NEW))
        return GHOST_EXIT_OUT_OF_GAS;
    if (!make_room(slots)) {
        self->frame.vm->status = GHOST_OUT_OF_MEMORY;
        return GHOST_EXIT_ABORT;
    }
    *out = &slots->slots[slots->count++];
    **out = (cached_slot){.key = *key};
    if (slots->places != NULL)
        put_place(slots, slots->count - 1);
    return 0;
}

int host_storage_load_bytes32(activation *self, wasmtime_raw *values) {
    const uint8_t *key_bytes = bytes_at(self, values[0], 32);
    uint8_t *out = bytes_at(self, values[1], 32);
    if (key_bytes == NULL || out == NULL)
        return HOST_BOUNDS;
    u256 key = u256_from_be(key_bytes);
    cached_slot *slot;
    int exit = cached(self, &key, &slot);
    if (exit != 0)
        return exit;
    if (!slot->is_loaded && !slot->is_written) {
        ink_to_gas(self);
        exit = ghost_host_load(&self->frame, &key, &slot->stored);
        gas_to_ink(self);
        if (exit != 0)
            return exit;
        slot->is_loaded = true;
        slot->value = slot->stored;
    }
    u256_to_be(out, &slot->value);
    return 0;
}

int host_storage_cache_bytes32(activation *self, wasmtime_raw *values) {
    const uint8_t *key_bytes = bytes_at(self, values[0], 32);
    const uint8_t *value = bytes_at(self, values[1], 32);
    if (key_bytes == NULL || value == NULL)
        return HOST_BOUNDS;
    u256 key = u256_from_be(key_bytes);
    cached_slot *slot;
    int exit = cached(self, &key, &slot);
    if (exit != 0)
        return exit;
    slot->value = u256_from_be(value);
    slot->is_written = true;
    return 0;
}

/* Writes what differs from what the state is known to have, in the order of first use. */
static int flush(activation *self) {
    slot_cache *slots = &self->slots;
    int exit = 0;
    ink_to_gas(self);
    for (uint32_t i = 0; i < slots->count && exit == 0; i++) {
        cached_slot *slot = &slots->slots[i];
        if (!slot->is_written)
            continue;
        if (!slot->is_loaded || !u256_equal(&slot->value, &slot->stored))
            exit = ghost_host_store(&self->frame, &slot->key, &slot->value);
        slot->is_written = exit != 0;
        slot->is_loaded = true;
        slot->stored = slot->value;
    }
    gas_to_ink(self);
    return exit;
}

int host_storage_flush_cache(activation *self, wasmtime_raw *values) {
    if (!take_ink(self, (uint64_t)self->slots.count * INK_SLOT_CACHED))
        return GHOST_EXIT_OUT_OF_GAS;
    bool clears = values[0].i32 != 0;
    int exit = flush(self);
    if (exit == 0 && clears)
        slot_cache_free(&self->slots);
    return exit;
}

int host_transient_load_bytes32(activation *self, wasmtime_raw *values) {
    const uint8_t *key_bytes = bytes_at(self, values[0], 32);
    uint8_t *out = bytes_at(self, values[1], 32);
    if (key_bytes == NULL || out == NULL)
        return HOST_BOUNDS;
    u256 key = u256_from_be(key_bytes), value;
    ink_to_gas(self);
    int exit = ghost_host_transient_load(&self->frame, &key, &value);
    gas_to_ink(self);
    if (exit == 0)
        u256_to_be(out, &value);
    return exit;
}

int host_transient_store_bytes32(activation *self, wasmtime_raw *values) {
    const uint8_t *key_bytes = bytes_at(self, values[0], 32);
    const uint8_t *value_bytes = bytes_at(self, values[1], 32);
    if (key_bytes == NULL || value_bytes == NULL)
        return HOST_BOUNDS;
    u256 key = u256_from_be(key_bytes), value = u256_from_be(value_bytes);
    ink_to_gas(self);
    int exit = ghost_host_transient_store(&self->frame, &key, &value);
    gas_to_ink(self);
    return exit;
}
