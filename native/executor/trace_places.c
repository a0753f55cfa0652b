/* From entries of the overlay to places in a list: a hash table that is emptied by a count. */
#include <stdlib.h>

#include "trace.h"

enum { PLACES_FIRST = 256 };

static size_t place_of(const place_map *map, const void *key) {
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 32) & map->mask;
    while (map->serials[at] == map->serial && map->keys[at] != key)
        at = (at + 1) & map->mask;
    return at;
}

static bool allocate_places(place_map *map, size_t room) {
    place_map grown = {
        .keys = malloc(room * sizeof *map->keys),
        .places = malloc(room * sizeof *map->places),
        .serials = calloc(room, sizeof *map->serials),
        .mask = room - 1,
        .count = map->count,
        .serial = map->serial,
    };
    if (grown.keys == NULL || grown.places == NULL || grown.serials == NULL) {
        free(grown.keys);
        free(grown.places);
        free(grown.serials);
        return false;
    }
    for (size_t i = 0; map->mask != 0 && i <= map->mask; i++) {
        if (map->serials[i] != map->serial)
            continue;
        size_t at = place_of(&grown, map->keys[i]);
        grown.keys[at] = map->keys[i];
        grown.places[at] = map->places[i];
        grown.serials[at] = map->serial;
    }
    free(map->keys);
    free(map->places);
    free(map->serials);
    *map = grown;
    return true;
}

void places_free(place_map *map) {
    free(map->keys);
    free(map->places);
    free(map->serials);
}

bool places_find(const place_map *map, const void *key, uint32_t *place) {
    if (map->mask == 0)
        return false;
    size_t at = place_of(map, key);
    *place = map->places[at];
    return map->serials[at] == map->serial;
}

bool places_put(place_map *map, const void *key, uint32_t place) {
    if (map->count * 2 >= map->mask &&
        !allocate_places(map, map->mask == 0 ? PLACES_FIRST : (map->mask + 1) * 2))
        return false;
    size_t at = place_of(map, key);
    map->keys[at] = key;
    map->places[at] = place;
    map->serials[at] = map->serial;
    map->count++;
    return true;
}

void places_clear(place_map *map) {
    map->serial++;
    map->count = 0;
}
