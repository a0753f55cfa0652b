#include <stdlib.h>
#include <string.h>

#include "../keccak/keccak.h"
#include "batch.h"
#include "decode.h"

ghost_tx_batch *ghost_tx_batch_new(void) {
    return calloc(1, sizeof(ghost_tx_batch));
}

void ghost_tx_batch_free(ghost_tx_batch *batch) {
    if (batch != NULL) {
        arena_free(&batch->memory);
        free(batch->items);
        free(batch->scratch);
        free(batch);
    }
}

void ghost_tx_batch_clear(ghost_tx_batch *batch) {
    batch->count = 0;
    arena_clear(&batch->memory);
}

size_t ghost_tx_batch_count(const ghost_tx_batch *batch) {
    return batch->count;
}

ghost_tx *ghost_tx_batch_items(ghost_tx_batch *batch) {
    return batch->items;
}

/* Makes room for count more items. */
static bool reserve_items(ghost_tx_batch *batch, size_t count) {
    if (count <= batch->capacity - batch->count) {
        return true;
    }
    if (count > SIZE_MAX / sizeof(ghost_tx) / 2 - batch->count) {
        return false;
    }
    size_t wanted = batch->count + count;
    if (batch->count > 0 && wanted < 2 * batch->capacity) {
        wanted = 2 * batch->capacity;
    }
    ghost_tx *items = realloc(batch->items, wanted * sizeof *items);
    if (items == NULL) {
        return false;
    }
    batch->items = items;
    batch->capacity = wanted;
    return true;
}

static bool reserve_scratch(ghost_tx_batch *batch, size_t size) {
    if (size <= batch->scratch_size) {
        return true;
    }
    uint8_t *scratch = realloc(batch->scratch, size + size / 2);
    if (scratch == NULL) {
        return false;
    }
    batch->scratch = scratch;
    batch->scratch_size = size + size / 2;
    return true;
}

/* ---- decoding and hashing ---- */

bool tx_group_add(ghost_tx_batch *batch, tx_group *open, const signing_message *message,
                  uint8_t *digest) {
    size_t start = open->message_ends[open->message_count];
    size_t length = message->prefix_length + message->body_length + message->suffix_length;
    if (!reserve_scratch(batch, start + length)) {
        return false;
    }
    uint8_t *out = batch->scratch + start;
    memcpy(out, message->prefix, message->prefix_length);
    out += message->prefix_length;
    memcpy(out, message->body, message->body_length);
    memcpy(out + message->body_length, message->suffix, message->suffix_length);
    open->targets[open->message_count++] = digest;
    open->message_ends[open->message_count] = start + length;
    return true;
}

void tx_group_close(ghost_tx_batch *batch, tx_group *open) {
    ghost_keccak256_batch(open->digests[0], batch->scratch, open->message_ends,
                          open->message_count);
    for (size_t i = 0; i < open->message_count; i++) {
        memcpy(open->targets[i], open->digests[i], 32);
    }
    open->message_count = 0;
}

/* Hashes the transactions themselves, of which *first is the first, and the group's messages. */
static void close_group(ghost_tx_batch *batch, tx_group *open, ghost_tx *first) {
    ghost_keccak256_views(open->digests[0], open->bytes, open->count);
    for (size_t i = 0; i < open->count; i++) {
        memcpy(first[i].hash, open->digests[i], 32);
    }
    open->count = 0;
    tx_group_close(batch, open);
}

/* Decodes into items that are reserved and hashes them, group by group. */
static int decode_items(ghost_tx_batch *batch, tx_group *open, const uint8_t *data,
                        const size_t *offsets, size_t count, size_t size_max, uint32_t flags) {
    ghost_tx *items = batch->items + batch->count;
    tx_group_open(open);
    for (size_t i = 0; i < count; i++) {
        ghost_tx *tx = &items[i];
        signing_message message;
        ghost_view given = {data + offsets[i], offsets[i + 1] - offsets[i]};
        int status =
            tx_decode(tx, &message, &batch->memory, given.data, given.length, size_max, flags);
        if (status != GHOST_OK) {
            return status;
        }
        bool decoded = tx->reason == GHOST_TX_OK;
        open->bytes[open->count++] = decoded ? (ghost_view){tx->raw, tx->raw_length} : given;
        if (decoded && !tx_group_add(batch, open, &message, tx->signing_hash)) {
            return GHOST_OUT_OF_MEMORY;
        }
        if (open->count == TX_GROUP_COUNT || i + 1 == count || tx_group_is_full(open)) {
            close_group(batch, open, tx + 1 - open->count);
        }
    }
    return GHOST_OK;
}

int ghost_tx_batch_decode(ghost_tx_batch *batch, const uint8_t *data, const size_t *offsets,
                          size_t count, size_t size_max, uint32_t flags) {
    tx_group *open = malloc(sizeof *open);
    arena_mark mark = arena_now(&batch->memory);
    int status = GHOST_OUT_OF_MEMORY;
    if (open != NULL && reserve_items(batch, count)) {
        status = decode_items(batch, open, data, offsets, count, size_max, flags);
    }
    free(open);
    if (status == GHOST_OK) {
        batch->count += count;
    } else {
        arena_rewind(&batch->memory, mark);
    }
    return status;
}

/* ---- copying ---- */

static const void *copy_bytes(arena *memory, const void *from, size_t length, bool *failed) {
    if (length == 0) {
        return NULL;
    }
    void *to = arena_take(memory, length);
    if (to == NULL) {
        *failed = true;
        return NULL;
    }
    return memcpy(to, from, length);
}

/* Where bytes inside `from` stand in its copy; nowhere when there are none. */
static const uint8_t *moved(const uint8_t *part, size_t length, const uint8_t *from,
                            const uint8_t *to) {
    return length == 0 || to == NULL ? NULL : to + (part - from);
}

static void move_signature(ghost_tx_signature *signature, const uint8_t *from, const uint8_t *to) {
    signature->key = moved(signature->key, signature->key_length, from, to);
    signature->signature = moved(signature->signature, signature->signature_length, from, to);
}

/* Moves what *tx points to into memory. Returns whether there was memory. */
static bool own_parts(ghost_tx *tx, arena *memory) {
    bool failed = false;
    const uint8_t *from = tx->raw, *raw = copy_bytes(memory, from, tx->raw_length, &failed);
    tx->raw = raw;
    tx->data = moved(tx->data, tx->data_length, from, raw);
    move_signature(&tx->signature, from, raw);
    move_signature(&tx->payer_signature, from, raw);
    ghost_tx_call *calls = (ghost_tx_call *)copy_bytes(
        memory, tx->calls, tx->call_count * sizeof *calls, &failed);
    tx->calls = calls;
    for (size_t i = 0; calls != NULL && i < tx->call_count; i++) {
        calls[i].data = moved(calls[i].data, calls[i].data_length, from, raw);
    }
    tx->blob_hashes = copy_bytes(memory, tx->blob_hashes, 32 * tx->blob_count, &failed);
    tx->authorizations = (ghost_authorization *)copy_bytes(
        memory, tx->authorizations, tx->authorization_count * sizeof *tx->authorizations, &failed);
    ghost_access_entry *entries = (ghost_access_entry *)copy_bytes(
        memory, tx->access_list, tx->access_count * sizeof *entries, &failed);
    tx->access_list = entries;
    for (size_t i = 0; entries != NULL && i < tx->access_count; i++) {
        entries[i].keys = copy_bytes(memory, entries[i].keys, 32 * entries[i].key_count, &failed);
    }
    return !failed;
}

int ghost_tx_batch_append(ghost_tx_batch *batch, const ghost_tx *const *items, size_t count) {
    arena_mark mark = arena_now(&batch->memory);
    if (!reserve_items(batch, count)) {
        return GHOST_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        ghost_tx *tx = &batch->items[batch->count + i];
        *tx = *items[i];
        if (!own_parts(tx, &batch->memory)) {
            arena_rewind(&batch->memory, mark);
            return GHOST_OUT_OF_MEMORY;
        }
    }
    batch->count += count;
    return GHOST_OK;
}
