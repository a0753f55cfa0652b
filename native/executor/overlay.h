/* What the files of this folder share: the overlay behind state.h, and the executor around it.
 *
 * One overlay lives as long as its executor. Accounts and slots are entries of two hash tables,
 * allocated from slabs so that their addresses never move. Nothing is cleared between
 * transactions: each transaction has a stamp, and what holds for one transaction only (warmth,
 * the original value of a slot, "created", "destroyed") is a field that equals the stamp or not.
 * In the same way each block has a serial, and the first change of an entry in a block keeps the
 * value from before the block in a side list: the net change set and discard both come from it. */
#ifndef GHOST_OVERLAY_H
#define GHOST_OVERLAY_H

#include <stdlib.h>

#include "../common/common.h"
#include "../common/u256.h"
#include "../evm/evm.h"
#include "../evm/rules.h"
#include "../keccak/keccak.h"
#include "executor.h"
#include "state.h"

extern const ghost_hash ghost_empty_code_hash;     /* keccak256 of nothing */
extern const uint8_t ghost_empty_root[32];         /* the trie with no entry */

/* ---- memory that is kept ---- */

/* Fixed-size pieces with stable addresses and a free list. */
typedef struct slab {
    size_t piece_bytes;
    void **chunks;
    size_t chunk_count, chunk_room;
    size_t last_pieces, last_used;    /* of the newest chunk */
    size_t bytes;
    void *free_list;
} slab;

/* Bytes that live until the arena is cut back to a mark. */
typedef struct arena {
    uint8_t **chunks;
    size_t *sizes;
    size_t chunk_count, chunk_room;
    size_t current, used;         /* position: chunk and bytes in it */
    size_t bytes;
} arena;

typedef struct arena_mark {
    size_t chunk, used;
} arena_mark;

/* Buckets of a table with open addressing and linear probing. */
typedef struct bucket {
    uint64_t hash;
    void *entry;                  /* NULL: free */
} bucket;

typedef struct table {
    bucket *buckets;
    size_t mask;                  /* capacity - 1 */
    size_t count;
} table;

/* A list whose memory is kept when it is emptied. */
#define LIST_OF(type) \
    struct {          \
        type *items;  \
        size_t count; \
        size_t room;  \
    }

/* Makes room for `more` items. False when memory is out (the list is as before). */
bool state_list_grow(void **items, size_t *room, size_t wanted, size_t item_bytes);
#define LIST_RESERVE(list, more)             \
    ((list).count + (more) <= (list).room || \
     state_list_grow((void **)&(list).items, &(list).room, (list).count + (more), \
               sizeof *(list).items))

/* Gives the memory of an emptied list back when one block made it larger than bytes_max. */
#define LIST_TRIM(list, bytes_max)                             \
    do {                                                       \
        if ((list).room * sizeof *(list).items > (bytes_max)) { \
            free((list).items);                                \
            (list).items = NULL;                               \
            (list).count = (list).room = 0;                    \
        }                                                      \
    } while (0)

/* ---- entries ---- */

typedef struct code_entry {
    ghost_code code;
    uint64_t used_block;          /* serial of the last block that asked for it */
    uint64_t counted_block;       /* serial of the block whose change set has it */
    bool analysis_counted;        /* in code_bytes */
} code_entry;

struct slot_entry;

typedef struct account_entry {
    ghost_account account;        /* first: state.h hands out pointers to it */
    ghost_hash hashed;
    ghost_hash storage_root;      /* before the block */
    code_entry *code;             /* NULL until asked for */
    struct slot_entry *slots;     /* all cached slots of the account */
    uint64_t warm;                /* stamps of transactions */
    uint64_t created;
    uint64_t destroyed;
    uint64_t recorded;
    uint64_t dirty_block;         /* serial of the block that listed it as dirty */
    size_t changed_slots;         /* scratch of the change set: 1 + index of a list's head */
    bool loaded;
    bool present;                 /* in the state (EIP-161: not merely empty) */
    bool stored;                  /* in the state behind the loader: its slots may be asked for */
    bool wiped;                   /* the storage from before the block is gone */
    uint8_t precompile_forks;     /* bit f: a precompile at fork f, hence always warm */
} account_entry;

typedef struct slot_entry {
    ghost_slot slot;              /* first, as above */
    u256 key;
    ghost_hash hashed;
    account_entry *account;
    struct slot_entry *next;      /* of the same account */
    uint64_t seen;
    uint64_t warm;
    uint64_t recorded;
    uint64_t dirty_block;
    bool is_hashed;
} slot_entry;

/* What an entry was before the block. */
typedef struct account_before {
    account_entry *entry;
    uint64_t nonce;
    u256 balance;
    ghost_hash code_hash;
    code_entry *code;
    bool present, wiped;
} account_before;

typedef struct slot_before {
    slot_entry *entry;
    u256 value;
    size_t next;                  /* scratch of the change set */
} slot_before;

typedef struct transient_entry {
    const ghost_account *account;
    u256 key;
    u256 value;
    size_t next;                  /* 1 + index of the next in the same bucket */
} transient_entry;

enum journal_kind {
    JOURNAL_TOUCHED,              /* no value: makes an empty account go at the end (EIP-161) */
    JOURNAL_BALANCE,
    JOURNAL_NONCE,
    JOURNAL_CODE,
    JOURNAL_CREATED,
    JOURNAL_DESTROYED,
    JOURNAL_WARM_ACCOUNT,
    JOURNAL_WARM_SLOT,
    JOURNAL_SLOT,
    JOURNAL_TRANSIENT,
    JOURNAL_BURNT
};

typedef struct journal_entry {
    enum journal_kind kind;
    union {
        account_entry *account;
        slot_entry *slot;
        size_t transient;
    } at;
    union {
        u256 word;
        uint64_t number;
        struct {
            ghost_hash hash;
            code_entry *entry;
        } code;
    } old;
} journal_entry;

typedef struct snapshot {
    size_t journal, logs;
    arena_mark log_data;
    int64_t refund;
} snapshot;

/* What known.c was told; the counts are 0 when that is nothing. */
typedef struct known_state {
    const uint8_t **values;       /* of the accounts, into the record, which stands behind these */
    size_t room;                  /* bytes of both */
    uint8_t *record;
    size_t account_count, slot_count;
    const uint8_t *hashed, *lengths;              /* of the accounts */
    const uint8_t *owners, *keys, *befores;       /* of the slots */
} known_state;

struct ghost_state {
    const ghost_state_loader *loader;
    known_state known;            /* asked before the loader */
    uint32_t fork;
    int status;                   /* enum ghost_status: what went wrong below an engine */
    bool lost;                    /* a before-value could not be kept: discard must forget all */
    uint64_t stamp;               /* of the transaction */
    uint64_t block;               /* serial of the block */
    uint64_t block_first_stamp;
    uint64_t seeds[2];            /* of the tables' hash function, against crafted collisions */
    size_t cache_bytes_max;

    table accounts, slots, codes;
    slab account_slab, slot_slab, code_slab;
    size_t code_bytes;            /* of all interned code and its analysis */
    LIST_OF(account_entry *) expected;            /* scratch of state_expect_accounts */
    LIST_OF(ghost_view) expected_views;
    LIST_OF(ghost_hash) expected_hashes;

    LIST_OF(journal_entry) journal;
    journal_entry journal_spare;  /* written to when memory is out and the block is lost */
    LIST_OF(account_before) dirty_accounts;
    LIST_OF(slot_before) dirty_slots;
    LIST_OF(transient_entry) transients;
    size_t *transient_buckets;
    size_t transient_mask;

    int64_t refund;
    LIST_OF(ghost_log) logs;
    arena log_data;
    uint32_t log_ordinal;         /* of the next log; steps and calls count */
    bool logs_transfers;          /* GHOST_CALL_LOG_TRANSFERS */
    bool counts_supply;           /* a hybrid block: minted and burnt are kept */
    u256 minted, burnt;           /* of the native coin, by the block so far */

    uint64_t number;              /* of the block, for BLOCKHASH */
    ghost_hash parent_hash;
    struct {
        uint64_t block, number;
        ghost_hash hash;
    } block_hashes[256];

    bool recording;               /* GHOST_CALL_RECORD_ACCESS */
    LIST_OF(ghost_address) recorded_accounts;
    LIST_OF(ghost_access_slot) recorded_slots;
};

/* ---- memory.c ---- */
void state_slab_init(slab *slab, size_t piece_bytes);
void *state_slab_take(slab *slab);                      /* zeroed; NULL when memory is out */
void state_slab_give(slab *slab, void *piece);
void state_slab_free(slab *slab);                       /* all pieces; usable again afterwards */

uint8_t *state_arena_take(arena *arena, size_t length);
arena_mark state_arena_position(const arena *arena);
void state_arena_cut(arena *arena, arena_mark mark);
void state_arena_free(arena *arena);

bool state_table_init(table *table, size_t capacity);
/* Puts an entry that is not in the table yet. */
bool state_table_put(table *table, uint64_t hash, void *entry);
void state_table_clear(table *table);

/* ---- known.c: what need not be asked of the loader ---- */
int known_set(known_state *known, const uint8_t *record, size_t length);
void known_clear(known_state *known);
void known_free(known_state *known);
/* Whether the account is known; found: whether there is one. */
bool known_account(const known_state *known, const uint8_t hashed[32], int *found,
                   ghost_account_record *out);
/* Whether the slot is known. */
bool known_slot(const known_state *known, const uint8_t hashed_account[32],
                const uint8_t hashed[32], uint8_t value[32]);

/* ---- cache.c: loading, interning, eviction ---- */
bool state_init(ghost_state *state, const ghost_state_loader *loader, size_t cache_bytes_max);
void state_free(ghost_state *state);
size_t state_memory(const ghost_state *state);
/* Forgets everything cached; values: but for code, unless there is much of it. */
void state_forget(ghost_state *state);
void state_forget_values(ghost_state *state);
/* Between blocks: brings the cache back under its bound. */
void state_evict(ghost_state *state);

/* The entry of an address, loaded; NULL when the loader failed (state->status says how). */
account_entry *state_account(ghost_state *state, const ghost_address *address);
/* Loads together what of so many addresses (20 bytes each) is new. False: as state_account. */
bool state_load_accounts(ghost_state *state, const uint8_t *addresses, size_t count);
/* Makes entries with hashes, but without asking the loader, for addresses that are new. */
void state_expect_accounts(ghost_state *state, const ghost_tx *transactions, size_t count);
slot_entry *state_slot(ghost_state *state, account_entry *account, const u256 *key);
/* The code of these bytes, interned by its hash. NULL when memory is out. */
code_entry *state_intern_code(ghost_state *state, const uint8_t *bytes, size_t length);
code_entry *state_code(ghost_state *state, account_entry *account);
void state_slot_hash(slot_entry *slot);

/* ---- state.c: journaled changes ---- */
void state_begin_block(ghost_state *state);
void state_begin_transaction(ghost_state *state);
/* EIP-161 and EIP-6780: deletes what the transaction emptied or destroyed. */
void state_end_transaction(ghost_state *state);
snapshot state_snapshot(const ghost_state *state);
void state_revert(ghost_state *state, const snapshot *to);

bool state_warm_account(ghost_state *state, account_entry *account);   /* true: it was cold */
bool state_warm_slot(ghost_state *state, slot_entry *slot);
void state_touch(ghost_state *state, account_entry *account);
/* Keeps what the account was before the block, the first time the block changes it. */
void state_keep_account(ghost_state *state, account_entry *account);
/* Outside any journal, for the time between transactions: */
void state_wipe_storage(ghost_state *state, account_entry *account);
void state_delete_account(ghost_state *state, account_entry *account);
void state_put_slot(ghost_state *state, slot_entry *slot, const u256 *value);
void state_set_balance(ghost_state *state, account_entry *account, const u256 *balance);
void state_set_nonce(ghost_state *state, account_entry *account, uint64_t nonce);
void state_set_code(ghost_state *state, account_entry *account, code_entry *code);
void state_mark_created(ghost_state *state, account_entry *account);
/* A log of coins that move, when the call asked for such. */
void state_log_transfer(ghost_state *state, const ghost_address *from, const ghost_address *to,
                        const u256 *value);
/* Notes that native coins have gone, or come, which changes the supply at the end of a hybrid
 * block. Burning is undone by a revert. */
void state_burn(ghost_state *state, const u256 *amount);
void state_mint(ghost_state *state, const u256 *amount);
/* Code, nonce, or storage (EIP-7610): a creation must not land here. */
bool state_account_collides(const account_entry *account);
bool state_account_exists(const account_entry *account);
bool state_account_has_code(const account_entry *account);

/* ---- changes.c: a block's net difference ---- */
typedef struct sort_key {
    uint64_t prefix;              /* of the hash, as a number */
    const uint8_t *hash;
    size_t index;
} sort_key;

typedef struct change_set {
    LIST_OF(ghost_account_change) accounts;
    LIST_OF(account_entry *) entries;             /* of accounts[], same order */
    LIST_OF(ghost_slot_change) slots;
    LIST_OF(ghost_code_change) codes;
    LIST_OF(sort_key) account_keys;               /* scratch from here on */
    LIST_OF(sort_key) slot_keys;
    LIST_OF(sort_key) sorted;
    LIST_OF(size_t) starts;
    LIST_OF(slot_entry *) unhashed;
    LIST_OF(ghost_hash) words;
    LIST_OF(ghost_view) views;
} change_set;

/* Collects what differs from before the block, sorted. GHOST_OK or GHOST_OUT_OF_MEMORY. */
int changes_build(ghost_state *state, change_set *changes);
/* Makes the present the past; storage roots are taken from changes->accounts. */
void changes_commit(ghost_state *state, const change_set *changes);
/* Brings every entry back to what it was before the block. */
void changes_discard(ghost_state *state);
void changes_free(change_set *changes);

/* ---- the executor ---- */

enum {
    GAS_PER_BLOB = 1 << 17,               /* EIP-4844 */
    REQUEST_KINDS = 3                     /* EIP-6110, EIP-7002, EIP-7251 */
};

/* A copy of init code while it runs. A few are kept, since factories repeat themselves. */
typedef struct init_code {
    ghost_code code;
    size_t room;
    uint32_t running;             /* frames that run it now */
} init_code;

enum { INIT_CODES_KEPT = 4 };

/* A token in which fees can be paid. */
typedef struct fee_token {
    u256 rate_key;
    /* as a block's first transaction that pays in it found it */
    uint64_t block;               /* serial */
    bool is_known;                /* it and the fee market have code */
    account_entry *account;
    slot_entry *rate_slot;        /* in the fee market */
    slot_entry *supply;
    const account_entry *proposer;        /* whose balance tips is; NULL until one is paid */
    slot_entry *tips;
    /* of the transaction that pays in it now */
    u256 rate;                    /* wei of the token for 10^18 of GCC */
    u256 base_fee;                /* in wei of the token */
    slot_entry *purse;            /* the payer's balance */
} fee_token;

enum { FEE_TOKENS = 4 };                  /* GCC is the first, and needs no entry */

typedef struct trace trace;

struct ghost_executor {
    ghost_state state;
    ghost_vm vm;
    ghost_state_loader loader;
    change_set changes;
    uint8_t *outputs[CALL_DEPTH_MAX + 2];     /* of frames that are not the EVM's, by depth */
    uint64_t output_bytes;        /* at least as many as there are in outputs[] */
    init_code init_codes[INIT_CODES_KEPT];
    size_t init_code_next;
    trace *trace;                 /* NULL: frames are not recorded */
    bool is_pending;              /* a run block awaits commit or discard */
    bool keeps_calls;             /* changes of calls with GHOST_CALL_KEEP are in the overlay */
    bool is_deep;                 /* what runs, runs on a large stack */
    bool went_deep;               /* a frame of the block has needed one */
    bool is_stepping;             /* they are transactions of a block that was begun */

    uint64_t blobs_max, gas_limit, chain_id;      /* of the block */
    uint64_t transaction_gas_max;
    uint64_t gas_used, blob_gas_used;
    u256 base_fee;
    account_entry *coinbase;
    bool knows_blob_fee;
    u256 blob_fee;                /* of these two: */
    uint64_t blob_excess, blob_fraction;
    fee_token fee_tokens[FEE_TOKENS];
    const ghost_amendment *amendments;            /* with which the next block begins */
    size_t amendment_count;
    LIST_OF(ghost_precompile_move) moves;
    size_t signature_count;
    ghost_known_signature signatures[GHOST_KNOWN_SIGNATURES_MAX];

    LIST_OF(ghost_tx_outcome) outcomes;
    LIST_OF(ghost_fee_rate) fee_rates;
    LIST_OF(ghost_view) views;
    LIST_OF(uint8_t) receipts;
    LIST_OF(uint8_t) scratch;
    LIST_OF(ghost_hash) digests;
    LIST_OF(uint32_t) bloom_places;               /* of digests, by address and topic of each log */
    LIST_OF(uint8_t) deposits;
    ghost_view requests[REQUEST_KINDS];
    uint8_t *request_bytes[REQUEST_KINDS];        /* behind requests[] */
    size_t request_count;
};

static inline ghost_executor *executor_of(ghost_vm *vm) {
    return (ghost_executor *)((uint8_t *)vm - offsetof(ghost_executor, vm));
}

/* call.c: the address of the precompile that runs at an account; NULL: none does. */
const uint8_t *executor_precompile(ghost_vm *vm, const account_entry *account);

/* What one transaction pays and may use, worked out while it is validated. */
typedef struct tx_terms {
    account_entry *sender;
    account_entry *payer;         /* of the gas: the sender, unless a GhostTx names another */
    fee_token *token;             /* NULL: fees are in GCC, else they are in this one's wei */
    const u256 *base_fee;         /* in what fees are paid in */
    u256 gas_price;               /* effective (EIP-1559) */
    u256 upfront;                 /* taken before it runs: gas and blob gas */
    uint64_t intrinsic_gas;
    uint64_t floor_gas;           /* EIP-7623 */
    uint64_t blob_gas;
} tx_terms;

typedef struct tx_effect {
    ghost_call_result result;
    uint64_t gas_used;
    uint64_t gas_refunded;
    uint64_t gas_peak;
} tx_effect;

/* ---- transaction.c ---- */

/* *carry = the bits of a * b beyond 2^256. */
u256 u256_times_u64(const u256 *a, uint64_t b, uint64_t *carry);
u256 blob_base_fee(uint64_t excess_blob_gas, uint64_t update_fraction);
/* enum ghost_tx_reason; negative: the loader failed (state.status). flags: ghost_call_flags. */
int transaction_validate(ghost_executor *executor, const ghost_tx *tx, uint32_t flags,
                         tx_terms *terms);
/* Runs a validated transaction up to, but not including, state_end_transaction.
 * GHOST_OK or what stopped the node. */
int transaction_run(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                    uint32_t flags, tx_effect *effect);

/* ---- fees.c: fees in tokens, and fee payers ---- */

/* The token of tx->fee_token and the base fee in it go into terms; nothing does for GCC.
 * enum ghost_tx_reason; negative: the loader failed. */
int fees_choose_token(ghost_executor *executor, const ghost_tx *tx, tx_terms *terms);
/* Whether terms->payer has fee_most of what fees are paid in, and the sender the value, where these
 * are two purses. Reason as above. */
int fees_check_payer(ghost_executor *executor, const ghost_tx *tx, const u256 *fee_most,
                     const tx_terms *terms);
/* A price in the token as GCC, rounded down: what GASPRICE shows. */
u256 fees_price_shown(const tx_terms *terms);
/* Takes terms->upfront from the purse. */
void fees_take_token(ghost_executor *executor, const tx_terms *terms);
/* Gives back what was not used, burns the base fee, pays the proposer, and notes the rate for the
 * outcome listed last. False: the loader failed, or memory is out. */
bool fees_settle_token(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms,
                       uint64_t gas_used);

/* ---- amend.c ---- */

/* Applies the amendments, before anything else of the block. GHOST_OK or what stopped it. */
int amend_state(ghost_executor *executor);

/* ---- deep.c ---- */

typedef void deep_work(void *argument);
/* Runs work on a thread with a stack for 1,024 deep frames and waits for its end. GHOST_OK or
 * GHOST_OUT_OF_MEMORY: there is no thread to be had. Cost: some microseconds. */
int deep_run(deep_work *work, void *argument);

/* The same for work of this executor, at once where it is on such a thread already. Frames of WASM
 * and of Python need it; most blocks and calls are of EVM code and kernels alone, so one goes there
 * with the first frame that needs it. A block's further transactions follow at once, since where
 * there is one such frame there are more. */
int executor_run_deep(ghost_executor *executor, deep_work *work, void *argument);

/* ---- trace.c ---- */

void trace_free(trace *trace);
void trace_begin_on(ghost_executor *executor);
void trace_transaction_on(ghost_executor *executor, size_t index);
void trace_start_on(ghost_executor *executor, const ghost_tx *tx, const tx_terms *terms);
void trace_settle_on(ghost_executor *executor);
void trace_fee_slot_on(ghost_executor *executor, slot_entry *slot);

#define IF_TRACED(call)                                    \
    do {                                                   \
        if (__builtin_expect(executor->trace != NULL, 0)) \
            call;                                          \
    } while (0)

/* Forgets what the last run recorded. */
static inline void trace_begin(ghost_executor *executor) {
    IF_TRACED(trace_begin_on(executor));
}

/* Events from here on belong to that candidate of the block: recorded when it is watched. */
static inline void trace_transaction(ghost_executor *executor, size_t index) {
    IF_TRACED(trace_transaction_on(executor, index));
}

/* A validated transaction before it changes anything. */
static inline void trace_start(ghost_executor *executor, const ghost_tx *tx,
                               const tx_terms *terms) {
    IF_TRACED(trace_start_on(executor, tx, terms));
}

/* After it has paid. */
static inline void trace_settle(ghost_executor *executor) {
    IF_TRACED(trace_settle_on(executor));
}

/* A slot that fees are paid from or to, before it changes. */
static inline void trace_fee_slot(ghost_executor *executor, slot_entry *slot) {
    IF_TRACED(trace_fee_slot_on(executor, slot));
}

#undef IF_TRACED

/* ---- block.c ---- */

/* What comes before a block's transactions, and after them. *reason: enum ghost_block_reason.
 * GHOST_OK or what stopped it. */
int block_begin(ghost_executor *executor, const ghost_block_env *env, uint32_t flags);
int block_end(ghost_executor *executor, const ghost_block_env *env,
              const ghost_withdrawal *withdrawals, size_t withdrawal_count, int *reason);

/* ---- requests.c ---- */

void requests_clear(ghost_executor *executor);
/* Adds type | data; an empty request is left out. */
bool requests_add(ghost_executor *executor, uint8_t type, const uint8_t *data, size_t length);
/* Adds the deposits (EIP-6110) found in the logs. Sets *block_reason when one is out of form.
 * GHOST_OK or GHOST_OUT_OF_MEMORY. */
int requests_add_deposits(ghost_executor *executor, const uint8_t deposit_contract[20],
                          int *block_reason);
/* EIP-7685. GHOST_OK or GHOST_OUT_OF_MEMORY. */
int requests_hash(ghost_executor *executor, uint8_t hash[32]);

/* ---- receipts.c ---- */

/* Blooms, receipts and the three roots of a block that has run. */
int receipts_build(ghost_executor *executor, const ghost_tx *transactions, size_t count,
                   const ghost_withdrawal *withdrawals, size_t withdrawal_count,
                   ghost_block_result *result);

/* ---- executor.c ---- */

/* Keeps the output of the frame at that depth, in the place of the last one there. */
static inline void executor_keep_output(ghost_executor *executor, unsigned depth, uint8_t *output,
                                        size_t length) {
    free(executor->outputs[depth]);
    executor->outputs[depth] = output;
    executor->output_bytes += length;
}

/* Shows the block to the engines; begins it in the overlay when is_new. */
void executor_set_block(ghost_executor *executor, const ghost_block_env *env, bool is_new);

#endif
