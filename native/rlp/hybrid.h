/* What GhostTx (0x47) has and Ethereum's transactions have not: calls, signatures with a scheme, a
 * fee payer. Internal to the kernel. */
#ifndef GHOST_RLP_HYBRID_H
#define GHOST_RLP_HYBRID_H

#include "decode.h"
#include "reader.h"

/* Most calls of one GhostTx. */
enum { TX_CALLS_MAX = 256 };

/* Reads the list of calls into tx->calls, and the first of them, with the sum of all values, into
 * the fields that stand for one call. Returns an enum ghost_tx_reason or TX_NO_MEMORY. */
int tx_read_calls(ghost_tx *tx, arena *memory, const rlp_item *list);

/* Reads an address that may be absent, for which the wire has no bytes. */
int tx_read_optional_address(uint8_t *present, uint8_t address[20], const rlp_item *item);

/* Reads the sender's signature and the fee payer's; r, s and y_parity are filled from the first
 * when it is one of secp256k1. Whether numbers are in range is not looked at. */
int tx_read_signatures(ghost_tx *tx, const rlp_item fields[2]);

/* Says what the fee payer of a recovered transaction signs. */
void tx_describe_payer_message(signing_message *message, const ghost_tx *tx);

/* Writes the address of a key that is not of secp256k1. */
void tx_key_address(uint8_t address[20], const ghost_tx_signature *signature);

#endif
