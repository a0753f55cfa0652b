#include "transaction.h"

#include <stdlib.h>
#include <string.h>

#include "../keccak/keccak.h"
#include "../secp256k1/secp256k1.h"
#include "arena.h"
#include "decode.h"
#include "reader.h"

enum {
    /* Transactions are hashed in groups while their bytes are still in the cache. */
    GROUP_COUNT = 256,
    GROUP_BYTES = 1 << 20,
    /* Recoveries in one call: enough for every core, little enough to bound memory. */
    RECOVERIES_MAX = 1 << 14,
    AUTHORIZATION_MESSAGE_BYTES_MAX = 72
};

struct ghost_tx_batch {
    ghost_tx *items;
    size_t count;
    size_t capacity;
    arena memory;
    uint8_t *scratch;   /* messages that are about to be hashed */
    size_t scratch_size;
};

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

/* The signing messages of a group, one after the other in the scratch memory; and what the
 * transactions' own hashes are over. */
typedef struct group {
    size_t count;
    size_t message_count;
    ghost_view bytes[GROUP_COUNT];
    size_t message_ends[GROUP_COUNT + 1];
    ghost_tx *signers[GROUP_COUNT];
    uint8_t digests[GROUP_COUNT][32];
} group;

static bool add_message(ghost_tx_batch *batch, group *open, const signing_message *message,
                        ghost_tx *tx) {
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
    open->signers[open->message_count++] = tx;
    open->message_ends[open->message_count] = start + length;
    return true;
}

/* Hashes the group, whose first transaction is *first, and empties it. */
static void close_group(ghost_tx_batch *batch, group *open, ghost_tx *first) {
    ghost_keccak256_views(open->digests[0], open->bytes, open->count);
    for (size_t i = 0; i < open->count; i++) {
        memcpy(first[i].hash, open->digests[i], 32);
    }
    ghost_keccak256_batch(open->digests[0], batch->scratch, open->message_ends,
                          open->message_count);
    for (size_t i = 0; i < open->message_count; i++) {
        memcpy(open->signers[i]->signing_hash, open->digests[i], 32);
    }
    open->count = 0;
    open->message_count = 0;
}

/* Decodes into items that are reserved and hashes them, group by group. */
static int decode_items(ghost_tx_batch *batch, group *open, const uint8_t *data,
                        const size_t *offsets, size_t count, size_t size_max) {
    ghost_tx *items = batch->items + batch->count;
    open->count = 0;
    open->message_count = 0;
    open->message_ends[0] = 0;
    for (size_t i = 0; i < count; i++) {
        ghost_tx *tx = &items[i];
        signing_message message;
        ghost_view given = {data + offsets[i], offsets[i + 1] - offsets[i]};
        int status =
            tx_decode(tx, &message, &batch->memory, given.data, given.length, size_max);
        if (status != GHOST_OK) {
            return status;
        }
        bool decoded = tx->reason == GHOST_TX_OK;
        open->bytes[open->count++] = decoded ? (ghost_view){tx->raw, tx->raw_length} : given;
        if (decoded && !add_message(batch, open, &message, tx)) {
            return GHOST_OUT_OF_MEMORY;
        }
        if (open->count == GROUP_COUNT || i + 1 == count ||
            open->message_ends[open->message_count] >= GROUP_BYTES) {
            close_group(batch, open, tx + 1 - open->count);
        }
    }
    return GHOST_OK;
}

int ghost_tx_batch_decode(ghost_tx_batch *batch, const uint8_t *data, const size_t *offsets,
                          size_t count, size_t size_max) {
    group *open = malloc(sizeof *open);
    arena_mark mark = arena_now(&batch->memory);
    int status = GHOST_OUT_OF_MEMORY;
    if (open != NULL && reserve_items(batch, count)) {
        status = decode_items(batch, open, data, offsets, count, size_max);
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

/* Moves what *tx points to into memory. Returns whether there was memory. */
static bool own_parts(ghost_tx *tx, arena *memory) {
    bool failed = false;
    size_t data_offset = tx->data_length == 0 ? 0 : (size_t)(tx->data - tx->raw);
    tx->raw = copy_bytes(memory, tx->raw, tx->raw_length, &failed);
    tx->data = failed || tx->raw == NULL ? NULL : tx->raw + data_offset;
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

/* ---- recovery ---- */

/* Recoveries that wait for a full batch, and whom each is for: a transaction, or one of its
 * authorizations. */
typedef struct recoveries {
    ghost_recovery items[RECOVERIES_MAX];
    ghost_tx *transactions[RECOVERIES_MAX];
    ghost_authorization *authorizations[RECOVERIES_MAX];
    size_t count;
    unsigned threads;
} recoveries;

/* Fills the digests of the waiting authorizations: keccak256(0x05 || rlp([chain id, address,
 * nonce])), EIP-7702. */
static void hash_authorizations(recoveries *waiting) {
    uint8_t messages[GROUP_COUNT][AUTHORIZATION_MESSAGE_BYTES_MAX];
    uint8_t digests[GROUP_COUNT][32];
    ghost_view views[GROUP_COUNT];
    uint8_t *targets[GROUP_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < waiting->count; i++) {
        const ghost_authorization *authorization = waiting->authorizations[i];
        if (authorization != NULL) {
            uint8_t body[AUTHORIZATION_MESSAGE_BYTES_MAX], nonce[8];
            size_t length = rlp_write_integer(body, authorization->chain_id, 32);
            body[length++] = 0x80 + 20;
            memcpy(body + length, authorization->address, 20);
            length += 20;
            for (int byte = 0; byte < 8; byte++) {
                nonce[byte] = (uint8_t)(authorization->nonce >> (56 - 8 * byte));
            }
            length += rlp_write_integer(body + length, nonce, 8);
            messages[count][0] = 0x05;
            size_t head = 1 + rlp_write_list_head(messages[count] + 1, length);
            memcpy(messages[count] + head, body, length);
            views[count] = (ghost_view){messages[count], head + length};
            targets[count++] = waiting->items[i].digest;
        }
        if (count == GROUP_COUNT || (count > 0 && i + 1 == waiting->count)) {
            ghost_keccak256_views(digests[0], views, count);
            for (size_t j = 0; j < count; j++) {
                memcpy(targets[j], digests[j], 32);
            }
            count = 0;
        }
    }
}

/* Recovers all that wait and tells each for whom it was. */
static void recover_waiting(recoveries *waiting) {
    hash_authorizations(waiting);
    ghost_secp256k1_recover_batch(waiting->items, waiting->count, waiting->threads);
    for (size_t i = 0; i < waiting->count; i++) {
        const ghost_recovery *item = &waiting->items[i];
        ghost_authorization *authorization = waiting->authorizations[i];
        if (authorization != NULL) {
            authorization->authority_ok = item->ok;
            memcpy(authorization->authority, item->address, 20);
        } else if (item->ok) {
            memcpy(waiting->transactions[i]->sender, item->address, 20);
        } else {
            waiting->transactions[i]->reason = GHOST_TX_SIGNATURE_INVALID;
        }
    }
    waiting->count = 0;
}

static void add_recovery(recoveries *waiting, ghost_tx *tx, ghost_authorization *authorization) {
    ghost_recovery *item = &waiting->items[waiting->count];
    waiting->transactions[waiting->count] = tx;
    waiting->authorizations[waiting->count] = authorization;
    memset(item, 0, sizeof *item);
    if (authorization == NULL) {
        memcpy(item->digest, tx->signing_hash, 32);
    }
    memcpy(item->r, authorization == NULL ? tx->r : authorization->r, 32);
    memcpy(item->s, authorization == NULL ? tx->s : authorization->s, 32);
    item->y_parity = authorization == NULL ? tx->y_parity : authorization->y_parity;
    if (++waiting->count == RECOVERIES_MAX) {
        recover_waiting(waiting);
    }
}

int ghost_tx_batch_recover(ghost_tx_batch *batch, size_t first, const uint8_t *senders,
                           unsigned threads) {
    recoveries *waiting = malloc(sizeof *waiting);
    if (waiting == NULL) {
        return GHOST_OUT_OF_MEMORY;
    }
    waiting->count = 0;
    waiting->threads = threads;
    for (size_t i = first; i < batch->count; i++) {
        ghost_tx *tx = &batch->items[i];
        if (tx->reason != GHOST_TX_OK) {
            continue;
        }
        if (senders != NULL) {
            memcpy(tx->sender, senders + 20 * (i - first), 20);
        } else {
            add_recovery(waiting, tx, NULL);
        }
        for (size_t j = 0; j < tx->authorization_count; j++) {
            ghost_authorization *authorization = &tx->authorizations[j];
            /* An authority signs with a low s; what does not is skipped, not refused. */
            authorization->authority_ok = 0;
            if (authorization->y_parity <= 1 &&
                memcmp(authorization->s, ghost_half_order, 32) <= 0) {
                add_recovery(waiting, tx, authorization);
            }
        }
    }
    if (waiting->count > 0) {
        recover_waiting(waiting);
    }
    free(waiting);
    return GHOST_OK;
}
