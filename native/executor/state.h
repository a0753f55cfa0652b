/* The journaled overlay as the engines see it. Accounts and slots are loaded on first use, every
 * change is journaled, a snapshot restores all of it (warmth, transient storage, logs and refunds
 * too). Addresses of ghost_account and ghost_slot are stable until the block ends.
 *
 * A function that may load returns NULL when the loader failed; the caller exits with
 * GHOST_EXIT_ABORT at once. */
#ifndef GHOST_STATE_H
#define GHOST_STATE_H

#include "../common/common.h"
#include "../common/u256.h"

typedef struct ghost_state ghost_state;

/* Code as it is run. bytes is followed by 33 zero bytes, so that a PUSH32 at the end and the
 * implicit STOP need no bounds check. Shared by all accounts with the same hash. */
typedef struct ghost_code {
    ghost_hash hash;
    const uint8_t *bytes;
    size_t length;
    void *analysis;               /* of ghost_evm_analyse; made on first execution */
} ghost_code;

typedef struct ghost_account {
    ghost_address address;
    uint64_t nonce;
    u256 balance;
    ghost_hash code_hash;
    /* the rest is private to executor/state.c (struct ghost_account_entry begins with this) */
} ghost_account;

typedef struct ghost_slot {
    u256 value;                   /* now */
    u256 original;                /* when the transaction began (EIP-2200) */
    /* the rest is private */
} ghost_slot;

/* Loads without warming. */
ghost_account *ghost_state_account(ghost_state *state, const ghost_address *address);
/* Loads and warms (EIP-2929); *was_cold says whether this was the first access. */
ghost_account *ghost_state_access_account(ghost_state *state, const ghost_address *address,
                                          bool *was_cold);
/* Whether an access now would be its first. Warms nothing. */
bool ghost_state_account_is_cold(const ghost_state *state, const ghost_account *account);
/* nonce 0, balance 0, no code (EIP-161). */
bool ghost_account_is_empty(const ghost_account *account);
/* The account's own code (a delegation designator shows as its 23 bytes). Never NULL unless the
 * loader failed; the empty code has length 0. */
const ghost_code *ghost_state_code(ghost_state *state, ghost_account *account);
/* When code is a delegation designator (ef0100 | address, Prague on), writes the address. */
bool ghost_code_delegate(const ghost_code *code, ghost_address *delegate);
/* Makes sure code->analysis is there. False when memory is out. */
bool ghost_code_prepare(const ghost_code *code);

/* Loads and warms a slot. slot->original is right for the current transaction on return. */
ghost_slot *ghost_state_access_slot(ghost_state *state, ghost_account *account, const u256 *key,
                                    bool *was_cold);
void ghost_state_store_slot(ghost_state *state, ghost_account *account, ghost_slot *slot,
                            const u256 *value);

/* As ghost_state_access_slot, into *slot and warming nothing. False: the loader failed. */
bool ghost_state_peek_slot(ghost_state *state, ghost_account *account, const u256 *key,
                           ghost_slot *slot, bool *is_cold);

u256 ghost_state_transient_load(ghost_state *state, const ghost_account *account,
                                const u256 *key);
void ghost_state_transient_store(ghost_state *state, const ghost_account *account,
                                 const u256 *key, const u256 *value);

/* topics: topic_count (0-4) words, copied with the data. */
void ghost_state_log(ghost_state *state, const ghost_address *address, const u256 *topics,
                     unsigned topic_count, const uint8_t *data, size_t length);
void ghost_state_refund(ghost_state *state, int64_t gas);
int64_t ghost_state_refund_counter(const ghost_state *state);

/* SELFDESTRUCT: moves the balance and, under EIP-6780, marks the account when it was created in
 * this transaction. The beneficiary is already loaded. */
void ghost_state_self_destruct(ghost_state *state, ghost_account *account,
                               ghost_account *beneficiary);

/* BLOCKHASH for number in [current - 256, current): GHOST_OK and the hash (zero when unknown). */
int ghost_state_block_hash(ghost_state *state, uint64_t number, ghost_hash *hash);

#endif
