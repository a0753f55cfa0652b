/* The list of decoded transactions, and how messages are hashed many at once. Internal to the
 * kernel. */
#ifndef GHOST_RLP_BATCH_H
#define GHOST_RLP_BATCH_H

#include "arena.h"
#include "decode.h"
#include "transaction.h"

enum {
    /* Transactions are hashed in groups while their bytes are still in the cache. */
    TX_GROUP_COUNT = 256,
    TX_GROUP_BYTES = 1 << 20
};

struct ghost_tx_batch {
    ghost_tx *items;
    size_t count;
    size_t capacity;
    arena memory;
    uint8_t *scratch;   /* messages that are about to be hashed */
    size_t scratch_size;
};

/* Messages that are still to be hashed, one after the other in the batch's scratch memory, where
 * their digests go; and what the transactions' own hashes are over. */
typedef struct tx_group {
    size_t count;
    size_t message_count;
    ghost_view bytes[TX_GROUP_COUNT];
    size_t message_ends[TX_GROUP_COUNT + 1];
    uint8_t *targets[TX_GROUP_COUNT];
    uint8_t digests[TX_GROUP_COUNT][32];
} tx_group;

static inline void tx_group_open(tx_group *open) {
    open->count = 0;
    open->message_count = 0;
    open->message_ends[0] = 0;
}

/* Whether the messages should be hashed before more are added; they must when it has
 * TX_GROUP_COUNT of them. */
static inline bool tx_group_is_full(const tx_group *open) {
    return open->message_count == TX_GROUP_COUNT ||
           open->message_ends[open->message_count] >= TX_GROUP_BYTES;
}

/* Copies a message, whose digest is wanted in digest[0..32). Returns whether there was memory. */
bool tx_group_add(ghost_tx_batch *batch, tx_group *open, const signing_message *message,
                  uint8_t *digest);
/* Hashes the messages and forgets them. */
void tx_group_close(ghost_tx_batch *batch, tx_group *open);

#endif
