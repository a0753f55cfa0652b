/* What an executor is told of the state beforehand: an undo record (ghostchain/state/undo.py), the
 * values that a block changed as they were before it. Who runs that block again reads little else.
 *
 *     account count u32 | slot count u32
 *     accounts: hashed 32 each, ascending | lengths u8 each | values
 *     slots: index of the account u32 each | hashed 32 each | value before 32 each, ascending */
#include <stdlib.h>

#include "overlay.h"

enum { COUNTS_BYTES = 8, PLAIN_BYTES = 24, FULL_BYTES = 104, KNOWN_BYTES_KEPT = 1 << 16 };

static uint32_t load_be32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Where the account's slots and values stand; false when the record does not add up. */
static bool lay_out(known_state *known, size_t length) {
    const uint8_t *record = known->record;
    if (length < COUNTS_BYTES) {
        return false;
    }
    size_t accounts = load_be32(record), slots = load_be32(record + 4);
    if (accounts > length / 33 || slots > length / 68 ||
        COUNTS_BYTES + 33 * accounts + 68 * slots > length) {
        return false;
    }
    known->hashed = record + COUNTS_BYTES;
    known->lengths = known->hashed + 32 * accounts;
    const uint8_t *values = known->lengths + accounts;
    size_t value_bytes = length - COUNTS_BYTES - 33 * accounts - 68 * slots, offset = 0;
    for (size_t i = 0; i < accounts; i++) {
        size_t size = known->lengths[i];
        bool is_value = size == 0 || size == PLAIN_BYTES || size == FULL_BYTES;
        if (!is_value || size > value_bytes - offset) {
            return false;
        }
        if (i > 0 && memcmp(known->hashed + 32 * (i - 1), known->hashed + 32 * i, 32) >= 0) {
            return false;
        }
        known->values[i] = values + offset;
        offset += size;
    }
    known->owners = values + value_bytes;
    known->keys = known->owners + 4 * slots;
    known->befores = known->keys + 32 * slots;
    known->account_count = accounts;
    known->slot_count = slots;
    return offset == value_bytes;
}

/* Whether the slots stand in the order in which they are searched. */
static bool is_ascending(const known_state *known) {
    for (size_t i = 0; i < known->slot_count; i++) {
        uint32_t owner = load_be32(known->owners + 4 * i);
        if (owner >= known->account_count) {
            return false;
        }
        uint32_t before = i == 0 ? 0 : load_be32(known->owners + 4 * (i - 1));
        if (i > 0 &&
            (before > owner || (before == owner && memcmp(known->keys + 32 * (i - 1),
                                                          known->keys + 32 * i, 32) >= 0))) {
            return false;
        }
    }
    return true;
}

int known_set(known_state *known, const uint8_t *record, size_t length) {
    known_clear(known);
    if (length < COUNTS_BYTES) {
        return GHOST_REFUSED;
    }
    size_t accounts = load_be32(record);
    if (accounts > length / 33) {
        return GHOST_REFUSED;
    }
    size_t room = accounts * sizeof *known->values + length;
    if (room > known->room) {
        void *grown = realloc(known->values, room);
        if (grown == NULL) {
            return GHOST_OUT_OF_MEMORY;
        }
        known->values = grown;
        known->room = room;
    }
    known->record = (uint8_t *)(known->values + accounts);
    memcpy(known->record, record, length);
    if (lay_out(known, length) && is_ascending(known)) {
        return GHOST_OK;
    }
    known_clear(known);
    return GHOST_REFUSED;
}

void known_clear(known_state *known) {
    known->account_count = known->slot_count = 0;
    if (known->room > KNOWN_BYTES_KEPT) {
        known_free(known);
    }
}

void known_free(known_state *known) {
    free(known->values);
    memset(known, 0, sizeof *known);
}

/* The place of the account; account_count where it is not known. */
static size_t place_of(const known_state *known, const uint8_t hashed[32]) {
    size_t low = 0, high = known->account_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(known->hashed + 32 * middle, hashed, 32);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return known->account_count;
}

bool known_account(const known_state *known, const uint8_t hashed[32], int *found,
                   ghost_account_record *out) {
    size_t place = place_of(known, hashed);
    if (place == known->account_count) {
        return false;
    }
    const uint8_t *value = known->values[place];
    *found = known->lengths[place] != 0;
    if (!*found) {
        return true;
    }
    out->nonce = load_be64(value);
    if (known->lengths[place] == FULL_BYTES) {
        memcpy(out->balance, value + 8, 32);
        memcpy(out->storage_root, value + 40, 32);
        memcpy(out->code_hash, value + 72, 32);
        return true;
    }
    memset(out->balance, 0, 16);
    memcpy(out->balance + 16, value + 8, 16);
    memcpy(out->storage_root, ghost_empty_root, 32);
    memcpy(out->code_hash, ghost_empty_code_hash.bytes, 32);
    return true;
}

bool known_slot(const known_state *known, const uint8_t hashed_account[32],
                const uint8_t hashed[32], uint8_t value[32]) {
    size_t owner = place_of(known, hashed_account), low = 0, high = known->slot_count;
    if (owner == known->account_count) {
        return false;
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t holder = load_be32(known->owners + 4 * middle);
        int order = holder == owner  ? memcmp(known->keys + 32 * middle, hashed, 32)
                    : holder < owner ? -1
                                     : 1;
        if (order == 0) {
            memcpy(value, known->befores + 32 * middle, 32);
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}
