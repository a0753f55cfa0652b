/* Transactions out of their canonical bytes, with strict RLP, in batches.
 * Types: legacy, EIP-2930, EIP-1559, EIP-4844 (canonical form, and the network form whose sidecar
 * is skipped and reported), EIP-7702; CIP-64 (0x7b) and GhostTx (0x47), which only a hybrid chain
 * runs. */
#ifndef GHOST_TRANSACTION_H
#define GHOST_TRANSACTION_H

#include "../common/common.h"

/* Why a transaction is refused. Order is shared with ghostchain.primitives.errors.
 * Names follow the exceptions of the official test suite. */
enum ghost_tx_reason {
    GHOST_TX_OK = 0,
    /* found while decoding */
    GHOST_TX_RLP_MALFORMED = 1,
    GHOST_TX_TYPE_UNKNOWN = 2,
    GHOST_TX_TRAILING_BYTES = 3,
    GHOST_TX_FIELD_COUNT = 4,
    GHOST_TX_FIELD_WIDTH = 5,           /* an integer above its bound, a bad address length ... */
    GHOST_TX_LEADING_ZERO = 6,
    GHOST_TX_SIGNATURE_RANGE = 7,       /* r or s zero or not below n */
    GHOST_TX_HIGH_S = 8,                /* EIP-2 */
    GHOST_TX_Y_PARITY = 9,              /* v not 27/28/EIP-155, y_parity not 0/1 */
    GHOST_TX_SIGNATURE_INVALID = 10,    /* recovery gave no key */
    GHOST_TX_SIZE = 11,                 /* longer than the caller's limit */
    /* found against the fork and the block */
    GHOST_TX_TYPE_NOT_YET = 16,
    GHOST_TX_CHAIN_ID = 17,
    GHOST_TX_NONCE_TOO_LOW = 18,
    GHOST_TX_NONCE_TOO_HIGH = 19,
    GHOST_TX_NONCE_IS_MAX = 20,         /* EIP-2681 */
    GHOST_TX_SENDER_NOT_EOA = 21,       /* EIP-3607, delegations allowed (EIP-7702) */
    GHOST_TX_INTRINSIC_GAS_TOO_LOW = 22,
    GHOST_TX_INTRINSIC_GAS_BELOW_FLOOR = 23,  /* EIP-7623 */
    GHOST_TX_GAS_LIMIT_ABOVE_CAP = 24,  /* EIP-7825: GAS_LIMIT_EXCEEDS_MAXIMUM */
    GHOST_TX_GAS_ALLOWANCE_EXCEEDED = 25,     /* above what the block has left */
    GHOST_TX_INSUFFICIENT_ACCOUNT_FUNDS = 26,
    GHOST_TX_GASLIMIT_PRICE_PRODUCT_OVERFLOW = 27,
    GHOST_TX_INSUFFICIENT_MAX_FEE_PER_GAS = 28,      /* below the base fee */
    GHOST_TX_PRIORITY_GREATER_THAN_MAX_FEE = 29,
    GHOST_TX_INITCODE_SIZE_EXCEEDED = 30,            /* EIP-3860 */
    GHOST_TX_BLOB_CREATE = 31,                       /* TYPE_3_TX_CONTRACT_CREATION */
    GHOST_TX_BLOB_ZERO = 32,
    GHOST_TX_BLOB_COUNT_EXCEEDED = 33,
    GHOST_TX_BLOB_ALLOWANCE_EXCEEDED = 34,           /* TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED */
    GHOST_TX_BLOB_VERSIONED_HASH = 35,
    GHOST_TX_INSUFFICIENT_MAX_FEE_PER_BLOB_GAS = 36,
    GHOST_TX_SET_CODE_CREATE = 37,                   /* TYPE_4_TX_CONTRACT_CREATION */
    GHOST_TX_SET_CODE_EMPTY = 38,                    /* TYPE_4_EMPTY_AUTHORIZATION_LIST */
    /* of 0x7b and 0x47; the first five found while decoding */
    GHOST_TX_CALL_COUNT = 48,           /* a GhostTx without calls, or with too many */
    GHOST_TX_CALL_CREATES = 49,         /* a creation that is not the only call */
    GHOST_TX_SIGNATURE_SCHEME = 50,     /* a tag that names no scheme */
    GHOST_TX_SIGNATURE_LENGTH = 51,     /* key or signature of a length that is not the scheme's */
    GHOST_TX_PAYER_FORM = 52,           /* a fee payer without signature, or the reverse */
    GHOST_TX_PAYER_SIGNATURE = 53,      /* found in recovery: not the fee payer's */
    GHOST_TX_FEE_TOKEN_UNKNOWN = 54,    /* no token that pays fees */
    GHOST_TX_FEE_TOKEN_CLOSED = 55,     /* its rate is zero: not accepted now */
    GHOST_TX_INSUFFICIENT_FEE_TOKEN = 56,     /* too little of it for the largest fee */
    GHOST_TX_PAYER_FUNDS = 57           /* the fee payer has too little */
};

enum ghost_tx_type {
    GHOST_TX_TYPE_GHOST = 0x47,
    GHOST_TX_TYPE_FEE_CURRENCY = 0x7b   /* CIP-64 */
};

/* How a GhostTx is signed. */
enum ghost_signature_scheme {
    GHOST_SCHEME_SECP256K1 = 0,         /* no key; 65 bytes: r, s, y parity */
    GHOST_SCHEME_ED25519 = 1,           /* RFC 8032; key 32, signature 64 bytes */
    GHOST_SCHEME_ML_DSA_65 = 2          /* FIPS 204, empty context; key 1,952, signature 3,309 */
};

/* What ghost_tx_batch_decode lets pass. */
enum ghost_tx_decode_flags {
    /* In the place of a signature: r is the sender as a number, s and the parity are zero, which no
     * signature is. Only of a development chain's own pool and blocks. */
    GHOST_TX_UNSIGNED = 1
};

/* Signatures that are not of secp256k1 and that recovery therefore leaves to its caller. */
enum ghost_tx_unverified {
    GHOST_TX_UNVERIFIED_SENDER = 1,     /* over signing_hash */
    GHOST_TX_UNVERIFIED_PAYER = 2       /* over payer_signing_hash */
};

/* One call of a GhostTx. */
typedef struct ghost_tx_call {
    uint8_t to[20];
    uint8_t is_create;
    uint8_t value[32];
    const uint8_t *data;
    size_t data_length;
} ghost_tx_call;

/* A tagged signature as the wire has it, lengths those of the scheme. */
typedef struct ghost_tx_signature {
    uint8_t scheme;                     /* enum ghost_signature_scheme */
    const uint8_t *key;
    size_t key_length;
    const uint8_t *signature;
    size_t signature_length;
} ghost_tx_signature;

/* One entry of an EIP-2930 access list. keys points at key_count consecutive 32-byte keys. */
typedef struct ghost_access_entry {
    uint8_t address[20];
    const uint8_t *keys;
    size_t key_count;
} ghost_access_entry;

/* One EIP-7702 authorization. authority is filled by recovery; authority_ok = 0 when the tuple
 * must be skipped because of its signature. y_parity is a byte wide and may be invalid. */
typedef struct ghost_authorization {
    uint8_t chain_id[32];
    uint8_t address[20];
    uint64_t nonce;
    uint8_t y_parity;
    uint8_t r[32];
    uint8_t s[32];
    uint8_t authority_ok;
    uint8_t authority[20];
} ghost_authorization;

/* A decoded transaction. Integers wider than 64 bits are 32 bytes big-endian. gas_price types
 * carry the price in both max_fee_per_gas and max_priority_fee_per_gas. Pointers are borrowed
 * from the batch (or from the caller, for messages built by hand). */
typedef struct ghost_tx {
    int reason;                 /* enum ghost_tx_reason; when it is not OK, only hash holds too */
    uint8_t type;
    uint8_t has_chain_id;       /* 0 only for legacy before EIP-155 */
    uint8_t is_create;
    uint8_t y_parity;
    uint64_t chain_id;
    uint64_t nonce;
    uint64_t gas_limit;
    uint8_t to[20];
    uint8_t value[32];
    uint8_t max_fee_per_gas[32];
    uint8_t max_priority_fee_per_gas[32];
    uint8_t max_fee_per_blob_gas[32];
    uint8_t r[32];
    uint8_t s[32];
    const uint8_t *data;
    size_t data_length;
    const ghost_access_entry *access_list;
    size_t access_count;
    const uint8_t *blob_hashes; /* blob_count consecutive 32-byte hashes */
    size_t blob_count;
    ghost_authorization *authorizations;
    size_t authorization_count;
    uint8_t signing_hash[32];
    uint8_t hash[32];           /* of raw; where decoding failed, of the bytes as they came */
    uint8_t sender[20];         /* valid after recovery */
    /* of 0x7b and 0x47; the rest of the fields stand for the first call of a GhostTx, but for
     * value, which is the sum of all calls' */
    uint8_t has_fee_token;      /* 0: fees are paid in GCC */
    uint8_t has_fee_payer;
    uint8_t fee_token[20];
    uint8_t fee_payer[20];
    const ghost_tx_call *calls; /* NULL but for 0x47 */
    size_t call_count;
    ghost_tx_signature signature;
    ghost_tx_signature payer_signature;
    uint8_t is_unsigned;        /* r is the sender, signed is nothing (GHOST_TX_UNSIGNED) */
    uint8_t unverified;         /* after recovery: enum ghost_tx_unverified, what it left open */
    uint8_t payer_signing_hash[32];     /* what the fee payer signs; valid after a recovery that
                                         * was not given the senders */
    const uint8_t *raw;         /* canonical bytes, as in a block */
    size_t raw_length;
    size_t sidecar_length;      /* bytes of a type-3 network form beyond the canonical ones, or 0 */
} ghost_tx;

/* Finds the canonical bytes of each transaction in data[0..length), the items of a block's list of
 * transactions: a legacy list with its head, a typed one without the head of its string. Writes
 * start and end of each to bounds, which has room for count_max pairs. Returns GHOST_OK; MALFORMED
 * when an item is not canonical, has no type byte, or is a blob transaction with its sidecar; LIMIT
 * when there are more than count_max. */
int ghost_tx_split(size_t *bounds, size_t *count, const uint8_t *data, size_t length,
                   size_t count_max);

/* A growing list of decoded transactions and the memory they point into. */
typedef struct ghost_tx_batch ghost_tx_batch;

ghost_tx_batch *ghost_tx_batch_new(void);
void ghost_tx_batch_free(ghost_tx_batch *batch);
/* Empties the batch, keeping its memory. */
void ghost_tx_batch_clear(ghost_tx_batch *batch);
size_t ghost_tx_batch_count(const ghost_tx_batch *batch);
/* The transactions, contiguous; valid until the next decode, clear or free. */
ghost_tx *ghost_tx_batch_items(ghost_tx_batch *batch);

/* Appends count transactions, transaction i being data[offsets[i]..offsets[i + 1]) (copied).
 * Each gets its own reason; signature ranges and EIP-2 are checked, recovery is not done.
 * Hashes and signing hashes are computed in multi-buffer batches.
 * size_max bounds one transaction's canonical bytes. flags: ghost_tx_decode_flags. Returns
 * GHOST_OK or OUT_OF_MEMORY. */
int ghost_tx_batch_decode(ghost_tx_batch *batch, const uint8_t *data, const size_t *offsets,
                          size_t count, size_t size_max, uint32_t flags);

/* Appends copies of scattered transactions, recovered ones with their senders, which share nothing
 * with where they come from. items may point into any batch but this one. Returns GHOST_OK, or
 * OUT_OF_MEMORY with the batch as before. */
int ghost_tx_batch_append(ghost_tx_batch *batch, const ghost_tx *const *items, size_t count);

/* Fills sender and every authority (EIP-7702) of the transactions whose reason is OK, over at
 * most `threads` threads (0: one per core), and checks that fee payers signed. Items from `first`
 * on only. senders: 20 bytes for each of these items when they are known already, from an earlier
 * recovery of the same bytes, else NULL; when they are known no signature of a sender or a fee
 * payer is looked at. The sender of an unsigned one is always what its marker says.
 *
 * A sender that cannot be recovered sets reason SIGNATURE_INVALID, a fee payer that did not sign
 * PAYER_SIGNATURE. *unverified becomes the number of transactions with a signature by another
 * scheme: their sender is the address of the key, `unverified` says which signatures are open, and
 * the reason is SIGNATURE_INVALID (or PAYER_SIGNATURE, which stays) until the caller, who verifies
 * them, the sender's first, says otherwise. Returns GHOST_OK or OUT_OF_MEMORY. */
int ghost_tx_batch_recover(ghost_tx_batch *batch, size_t first, const uint8_t *senders,
                           unsigned threads, size_t *unverified);

#endif
