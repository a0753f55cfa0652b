/* The forest of state tries. */
#include "merkle.h"

#include <stdlib.h>

ghost_forest *ghost_forest_new(const ghost_node_loader *loader, const uint8_t root[32],
                               size_t cache_bytes_max) {
    (void)loader, (void)root, (void)cache_bytes_max;
    return NULL;
}

void ghost_forest_free(ghost_forest *forest) {
    (void)forest;
}

int ghost_forest_apply(ghost_forest *forest, ghost_account_change *accounts, size_t account_count,
                       const ghost_slot_change *slots, size_t slot_count, uint8_t root[32]) {
    (void)forest, (void)accounts, (void)account_count, (void)slots, (void)slot_count, (void)root;
    return GHOST_REFUSED;
}

const ghost_node_write *ghost_forest_writes(const ghost_forest *forest, size_t *count) {
    (void)forest;
    *count = 0;
    return NULL;
}

void ghost_forest_commit(ghost_forest *forest) {
    (void)forest;
}

void ghost_forest_discard(ghost_forest *forest) {
    (void)forest;
}

void ghost_forest_reset(ghost_forest *forest, const uint8_t root[32]) {
    (void)forest, (void)root;
}

size_t ghost_forest_memory(const ghost_forest *forest) {
    (void)forest;
    return 0;
}

int ghost_forest_prove(ghost_forest *forest, const uint8_t *owner, const uint8_t root[32],
                       const uint8_t key[32], ghost_bytes *nodes) {
    (void)forest, (void)owner, (void)root, (void)key, (void)nodes;
    return GHOST_REFUSED;
}

void ghost_bytes_free(ghost_bytes *bytes) {
    free(bytes->data);
    bytes->data = NULL;
    bytes->length = 0;
}
