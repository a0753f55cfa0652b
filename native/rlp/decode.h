/* One transaction out of its bytes. Internal to the kernel; batches are in transaction.c. */
#ifndef GHOST_RLP_DECODE_H
#define GHOST_RLP_DECODE_H

#include "arena.h"
#include "transaction.h"

/* n / 2 of secp256k1, rounded down: the largest s that EIP-2 and EIP-7702 allow. */
extern const uint8_t ghost_half_order[32];

/* A message that is still to be hashed: prefix, body, suffix. body points into the raw bytes. */
typedef struct signing_message {
    uint8_t prefix[11];     /* type byte, for a fee payer its domain, and list head */
    uint8_t prefix_length;
    uint8_t suffix[21];     /* chain id and two zeros of EIP-155; for a fee payer the sender */
    uint8_t suffix_length;
    const uint8_t *body;
    size_t body_length;
} signing_message;

/* Fills tx from bytes[0..length) but for its hashes and sender, taking copies from memory, and says
 * what its signature covers. Sets tx->reason; when that is not OK tx holds nothing else and memory
 * is as before. Returns GHOST_OK or GHOST_OUT_OF_MEMORY. */
int tx_decode(ghost_tx *tx, signing_message *message, arena *memory, const uint8_t *bytes,
              size_t length, size_t size_max, uint32_t flags);

#endif
