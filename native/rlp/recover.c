/* Who signed: senders, authorities, fee payers, over all cores. What is not secp256k1 is left to
 * the caller, under a reason that holds until it is verified. */
#include <stdlib.h>
#include <string.h>

#include "../keccak/keccak.h"
#include "../secp256k1/secp256k1.h"
#include "batch.h"
#include "hybrid.h"
#include "reader.h"

enum {
    /* Recoveries in one call: enough for every core, little enough to bound memory. */
    RECOVERIES_MAX = 1 << 14,
    AUTHORIZATION_MESSAGE_BYTES_MAX = 72
};

/* Recoveries that wait for a full batch, and whom each is for: a transaction's sender, its fee
 * payer (then is_payer), or one of its authorizations. */
typedef struct recoveries {
    ghost_recovery items[RECOVERIES_MAX];
    ghost_tx *transactions[RECOVERIES_MAX];
    ghost_authorization *authorizations[RECOVERIES_MAX];
    bool is_payer[RECOVERIES_MAX];
    size_t count;
    unsigned threads;
} recoveries;

/* Fills the digests of the waiting authorizations: keccak256(0x05 || rlp([chain id, address,
 * nonce])), EIP-7702. */
static void hash_authorizations(recoveries *waiting) {
    uint8_t messages[TX_GROUP_COUNT][AUTHORIZATION_MESSAGE_BYTES_MAX];
    uint8_t digests[TX_GROUP_COUNT][32];
    ghost_view views[TX_GROUP_COUNT];
    uint8_t *targets[TX_GROUP_COUNT];
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
        if (count == TX_GROUP_COUNT || (count > 0 && i + 1 == waiting->count)) {
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
        ghost_tx *tx = waiting->transactions[i];
        if (authorization != NULL) {
            authorization->authority_ok = item->ok;
            memcpy(authorization->authority, item->address, 20);
        } else if (waiting->is_payer[i]) {
            if (!item->ok || memcmp(item->address, tx->fee_payer, 20) != 0) {
                tx->reason = GHOST_TX_PAYER_SIGNATURE;
            }
        } else if (item->ok) {
            memcpy(tx->sender, item->address, 20);
        } else {
            tx->reason = GHOST_TX_SIGNATURE_INVALID;
        }
    }
    waiting->count = 0;
}

/* The next place of those that wait, for the caller to fill and count in. */
static ghost_recovery *next_place(recoveries *waiting, ghost_tx *tx) {
    ghost_recovery *item = &waiting->items[waiting->count];
    waiting->transactions[waiting->count] = tx;
    waiting->authorizations[waiting->count] = NULL;
    waiting->is_payer[waiting->count] = false;
    memset(item, 0, sizeof *item);
    return item;
}

static void count_in(recoveries *waiting) {
    if (++waiting->count == RECOVERIES_MAX) {
        recover_waiting(waiting);
    }
}

static void add_sender(recoveries *waiting, ghost_tx *tx) {
    if (tx->signature.scheme != GHOST_SCHEME_SECP256K1) {
        tx_key_address(tx->sender, &tx->signature);
        tx->unverified |= GHOST_TX_UNVERIFIED_SENDER;
        return;
    }
    ghost_recovery *item = next_place(waiting, tx);
    memcpy(item->digest, tx->signing_hash, 32);
    memcpy(item->r, tx->r, 32);
    memcpy(item->s, tx->s, 32);
    item->y_parity = tx->y_parity;
    count_in(waiting);
}

static void add_authorities(recoveries *waiting, ghost_tx *tx) {
    for (size_t i = 0; i < tx->authorization_count; i++) {
        ghost_authorization *authorization = &tx->authorizations[i];
        /* An authority signs with a low s; what does not is skipped, not refused. */
        authorization->authority_ok = 0;
        if (authorization->y_parity > 1 || memcmp(authorization->s, ghost_half_order, 32) > 0) {
            continue;
        }
        ghost_recovery *item = next_place(waiting, tx);
        waiting->authorizations[waiting->count] = authorization;
        memcpy(item->r, authorization->r, 32);
        memcpy(item->s, authorization->s, 32);
        item->y_parity = authorization->y_parity;
        count_in(waiting);
    }
}

/* Compares the fee payer with whoever signed for it. */
static void add_payer(recoveries *waiting, ghost_tx *tx) {
    const ghost_tx_signature *given = &tx->payer_signature;
    if (given->scheme != GHOST_SCHEME_SECP256K1) {
        uint8_t address[20];
        tx_key_address(address, given);
        if (memcmp(address, tx->fee_payer, 20) != 0) {
            tx->reason = GHOST_TX_PAYER_SIGNATURE;
        } else {
            tx->unverified |= GHOST_TX_UNVERIFIED_PAYER;
        }
        return;
    }
    ghost_recovery *item = next_place(waiting, tx);
    waiting->is_payer[waiting->count] = true;
    memcpy(item->digest, tx->payer_signing_hash, 32);
    memcpy(item->r, given->signature, 32);
    memcpy(item->s, given->signature + 32, 32);
    item->y_parity = given->signature[64];
    count_in(waiting);
}

/* Whether a fee payer has to be looked at: the sender, whom it signs for, is known. */
static bool has_payer(const ghost_tx *tx) {
    return tx->reason == GHOST_TX_OK && tx->has_fee_payer;
}

/* Hashes what the fee payers of items[first..count) sign. Returns whether there was memory. */
static bool hash_payer_messages(ghost_tx_batch *batch, size_t first) {
    tx_group *open = malloc(sizeof *open);
    bool is_hashed = open != NULL;
    if (is_hashed) {
        tx_group_open(open);
    }
    for (size_t i = first; is_hashed && i < batch->count; i++) {
        ghost_tx *tx = &batch->items[i];
        if (!has_payer(tx)) {
            continue;
        }
        signing_message message;
        tx_describe_payer_message(&message, tx);
        is_hashed = tx_group_add(batch, open, &message, tx->payer_signing_hash);
        if (is_hashed && tx_group_is_full(open)) {
            tx_group_close(batch, open);
        }
    }
    if (is_hashed) {
        tx_group_close(batch, open);
    }
    free(open);
    return is_hashed;
}

/* What nobody has verified yet does not count as signed. Returns how many transactions there are of
 * which this is so. */
static size_t refuse_unverified(ghost_tx_batch *batch, size_t first) {
    size_t count = 0;
    for (size_t i = first; i < batch->count; i++) {
        ghost_tx *tx = &batch->items[i];
        if (tx->unverified != 0) {
            count++;
            if (tx->reason == GHOST_TX_OK) {
                tx->reason = GHOST_TX_SIGNATURE_INVALID;
            }
        }
    }
    return count;
}

/* Whether there may be anything to recover in items[first..count): else there is no need for the
 * room that it takes. */
static bool has_recoveries(const ghost_tx_batch *batch, size_t first, const uint8_t *senders) {
    bool found = senders == NULL;
    for (size_t i = first; !found && i < batch->count; i++) {
        found = batch->items[i].authorization_count > 0;
    }
    return found;
}

int ghost_tx_batch_recover(ghost_tx_batch *batch, size_t first, const uint8_t *senders,
                           unsigned threads, size_t *unverified) {
    recoveries *waiting = NULL;
    if (has_recoveries(batch, first, senders)) {
        waiting = malloc(sizeof *waiting);
        if (waiting == NULL) {
            return GHOST_OUT_OF_MEMORY;
        }
        waiting->count = 0;
        waiting->threads = threads;
    }
    int status = GHOST_OK;
    bool is_hybrid = false, has_payers = false;
    for (size_t i = first; i < batch->count; i++) {
        ghost_tx *tx = &batch->items[i];
        if (tx->reason != GHOST_TX_OK) {
            continue;
        }
        if (senders == NULL) {
            is_hybrid |= tx->type == GHOST_TX_TYPE_GHOST;
            has_payers |= tx->has_fee_payer != 0;
        }
        if (tx->is_unsigned) {
            memcpy(tx->sender, tx->r + 12, 20);
        } else if (senders != NULL) {
            memcpy(tx->sender, senders + 20 * (i - first), 20);
        } else {
            add_sender(waiting, tx);
        }
        add_authorities(waiting, tx);
    }
    if (waiting != NULL && waiting->count > 0) {
        recover_waiting(waiting);
    }
    if (has_payers) {
        status = hash_payer_messages(batch, first) ? GHOST_OK : GHOST_OUT_OF_MEMORY;
    }
    for (size_t i = first; has_payers && status == GHOST_OK && i < batch->count; i++) {
        if (has_payer(&batch->items[i])) {
            add_payer(waiting, &batch->items[i]);
        }
    }
    if (waiting != NULL && waiting->count > 0) {
        recover_waiting(waiting);
    }
    free(waiting);
    *unverified = is_hybrid ? refuse_unverified(batch, first) : 0;
    return status;
}
