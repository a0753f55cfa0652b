/* Blocks and messages against a state that is asked of a loader once per miss. */
#ifndef GHOST_EXECUTOR_H
#define GHOST_EXECUTOR_H

#include "../common/common.h"
#include "../merkle/merkle.h"
#include "../rlp/transaction.h"

/* Where state that is not in memory comes from. Each returns 1 found, 0 absent, negative failed
 * (the block stops with GHOST_LOADER_FAILED). hashed is keccak256 of the address or key. */
typedef struct ghost_state_loader {
    void *context;
    int (*account)(void *context, const uint8_t address[20], const uint8_t hashed[32],
                   ghost_account_record *out);
    int (*slot)(void *context, const uint8_t address[20], const uint8_t hashed_address[32],
                const uint8_t key[32], const uint8_t hashed_key[32], uint8_t value[32]);
    /* The view stays valid until the next code call. */
    int (*code)(void *context, const uint8_t hash[32], ghost_view *out);
    int (*block_hash)(void *context, uint64_t number, uint8_t hash[32]);
    /* Several accounts: addresses of 20 bytes, hashed of 32, one behind the other; found (zeros
     * before) becomes 1 of those that are there. 0, or negative. NULL: they are asked for one by
     * one. */
    int (*accounts)(void *context, size_t count, const uint8_t *addresses, const uint8_t *hashed,
                    ghost_account_record *out, uint8_t *found);
} ghost_state_loader;

/* A signature that ECRECOVER finds an address for which never made it: of development chains. */
typedef struct ghost_known_signature {
    uint8_t signature[65];                /* r 32 | s 32 | v, as the low byte of ECRECOVER's v */
    uint8_t address[20];
} ghost_known_signature;

enum { GHOST_KNOWN_SIGNATURES_MAX = 64, GHOST_ACCOUNTS_AT_ONCE = 32 };

typedef struct ghost_block_env {
    uint32_t fork;                        /* enum ghost_fork: 0 Cancun, 1 Prague, 2 Osaka */
    uint32_t hybrid;                      /* 1: what is beyond Ethereum holds: engines by code
                                             prefix, types 0x47 and 0x7b, system contracts */
    uint64_t chain_id;
    uint64_t number;
    uint64_t timestamp;
    uint64_t gas_limit;
    uint64_t transaction_gas_max;         /* 0: what the fork says (EIP-7825) */
    uint64_t excess_blob_gas;
    uint64_t blob_base_fee_update_fraction;
    uint64_t blobs_per_block_max;
    uint8_t coinbase[20];
    uint8_t base_fee[32];
    uint8_t prev_randao[32];
    uint8_t parent_hash[32];
    uint8_t parent_beacon_block_root[32];
    uint8_t deposit_contract[20];         /* EIP-6110 log source */
    uint32_t has_blob_base_fee;           /* 1: the fee below, whatever the excess says */
    uint8_t blob_base_fee[32];
    uint32_t code_bytes_max;              /* of EVM code; 0: EIP-170's */
    uint32_t signature_count;             /* at most GHOST_KNOWN_SIGNATURES_MAX */
    ghost_known_signature signatures[GHOST_KNOWN_SIGNATURES_MAX];
} ghost_block_env;

/* Fills what the header of a block (RLP) says of it; the rules that it runs by stay as they are.
 * GHOST_OK, or GHOST_REFUSED where it is not as in every block since Cancun. */
int ghost_header_environment(const uint8_t *header, size_t length, ghost_block_env *env,
                             uint64_t *gas_used);

typedef struct ghost_withdrawal {
    uint64_t index;
    uint64_t validator_index;
    uint8_t address[20];
    uint64_t amount_gwei;
} ghost_withdrawal;

/* Flags of ghost_executor_run_block. */
enum ghost_block_flags {
    GHOST_BLOCK_SKIP_INVALID = 1,   /* building: leave out what is invalid or does not fit */
    GHOST_BLOCK_NO_SYSTEM = 2,      /* no system calls, withdrawals or requests (state tests) */
    GHOST_BLOCK_CONTINUE = 4,       /* of a block in steps: on what the steps so far have left */
    GHOST_BLOCK_PARTIAL = 8         /* ends after the last candidate: outcomes and logs are there,
                                       receipts, roots, requests and changes are not; it can only
                                       be discarded */
};

/* Why a block is invalid although its transactions decode. */
enum ghost_block_reason {
    GHOST_BLOCK_OK = 0,
    GHOST_BLOCK_INVALID_TRANSACTION = 1,      /* failed_index, and outcomes[failed_index].reason */
    GHOST_BLOCK_SYSTEM_CALL_FAILED = 2,       /* SYSTEM_CONTRACT_CALL_FAILED, or _EMPTY below */
    GHOST_BLOCK_SYSTEM_CONTRACT_EMPTY = 3,
    GHOST_BLOCK_DEPOSIT_LAYOUT = 4            /* INVALID_DEPOSIT_EVENT_LAYOUT */
};

/* What became of one candidate. */
typedef struct ghost_tx_outcome {
    int reason;                     /* enum ghost_tx_reason; not OK: left out */
    uint8_t included;
    uint8_t success;                /* receipt status */
    uint8_t exit;                   /* enum ghost_exit of the top frame */
    uint8_t has_contract;
    uint64_t gas_used;
    uint64_t cumulative_gas_used;
    uint64_t blob_gas_used;
    uint8_t effective_gas_price[32];      /* in wei of what the fee is paid in */
    uint8_t contract_address[20];
    size_t log_first;               /* of this transaction, in logs[] */
    size_t log_count;
    size_t receipt_offset;          /* of the canonical receipt (type byte included), in receipts */
    size_t receipt_length;
    size_t bloom_offset;            /* of its 256 bytes of bloom, in receipts */
} ghost_tx_outcome;

typedef struct ghost_log {
    uint8_t address[20];
    uint8_t topic_count;
    uint8_t is_transfer;            /* of GHOST_CALL_LOG_TRANSFERS: it is in no receipt */
    uint32_t ordinal;               /* of calls and steps: logs before it, undone ones too */
    uint8_t topics[4][32];
    const uint8_t *data;
    size_t data_length;
} ghost_log;

typedef struct ghost_code_change {
    uint8_t hash[32];
    const uint8_t *data;
    size_t length;
} ghost_code_change;

/* At which rate an included candidate paid its fee in a token. */
typedef struct ghost_fee_rate {
    size_t index;                   /* of the candidate */
    uint8_t rate[32];               /* wei of the token for 10^18 wei of GCC */
} ghost_fee_rate;

/* A run block. Pointers are owned by the executor, valid until commit or discard. */
typedef struct ghost_block_result {
    int reason;                     /* enum ghost_block_reason */
    size_t failed_index;
    uint64_t gas_used;
    uint64_t blob_gas_used;
    uint8_t bloom[256];
    uint8_t receipts_root[32];
    uint8_t transactions_root[32];  /* over the included transactions */
    uint8_t withdrawals_root[32];
    uint8_t requests_hash[32];      /* EIP-7685; of the empty list before Prague */
    const ghost_tx_outcome *outcomes;      /* one for each candidate, in order */
    size_t outcome_count;
    const ghost_fee_rate *fee_rates;       /* index ascending; none for fees in GCC */
    size_t fee_rate_count;
    const uint8_t *receipts;
    size_t receipts_length;
    const ghost_log *logs;
    size_t log_count;
    const ghost_view *requests;     /* type byte | data; empty ones left out */
    size_t request_count;
    ghost_account_change *accounts; /* sorted by hashed address, net changes only */
    size_t account_count;
    const ghost_slot_change *slots;
    size_t slot_count;
    const ghost_code_change *codes;
    size_t code_count;
} ghost_block_result;

/* Which parts of an account an amendment sets. */
enum ghost_amend_field {
    GHOST_AMEND_NONCE = 1,
    GHOST_AMEND_BALANCE = 2,
    GHOST_AMEND_CODE = 4,
    GHOST_AMEND_CLEAR_STORAGE = 8         /* before the slots are set */
};

/* An account changed by hand before a block (development chains). An account that is empty
 * afterwards goes (EIP-161) unless it has storage: its own, not cleared, or a slot set here. */
typedef struct ghost_amendment {
    uint8_t address[20];
    uint32_t fields;                /* enum ghost_amend_field, or'ed */
    uint64_t nonce;
    uint8_t balance[32];
    const uint8_t *code;
    size_t code_length;
    const uint8_t *slots;           /* slot_count times key 32 | value 32 */
    size_t slot_count;
} ghost_amendment;

typedef struct ghost_executor ghost_executor;

/* An executor over the loader's state. Between blocks it keeps at most about cache_bytes_max of
 * clean accounts, slots and codes. */
ghost_executor *ghost_executor_new(const ghost_state_loader *loader, size_t cache_bytes_max);
void ghost_executor_free(ghost_executor *executor);
size_t ghost_executor_memory(const ghost_executor *executor);

/* Runs a block: system calls at the start (EIP-4788, EIP-2935), the candidates in order, the
 * withdrawals, the system calls at the end (EIP-7002, EIP-7251) and the requests. GHOST_OK with
 * result->reason telling whether the block is valid; changes are pending until commit (they become
 * the state that later runs see) or discard. When reason is not OK, discard has been done.
 * Transactions must be decoded and recovered. */
int ghost_executor_run_block(ghost_executor *executor, const ghost_block_env *env,
                             const ghost_tx *transactions, size_t transaction_count,
                             const ghost_withdrawal *withdrawals, size_t withdrawal_count,
                             uint32_t flags, ghost_block_result *result);
/* The next ghost_executor_run_block, or _begin_block, begins with these, which must live until it
 * returns: what they change is among its changes. No address twice. */
void ghost_executor_amend(ghost_executor *executor, const ghost_amendment *amendments,
                          size_t count);
/* Adopts the pending changes. storage_root of the changed accounts is taken from result->accounts
 * as ghost_forest_apply filled it. */
void ghost_executor_commit(ghost_executor *executor);
void ghost_executor_discard(ghost_executor *executor);
/* Forgets all that is cached (the state behind the loader has moved), but for code, which is what
 * its hash says; that too where there is much of it. */
void ghost_executor_reset(ghost_executor *executor);
/* What the loader need not be asked for, until the next reset or commit: an undo record
 * (ghostchain/state/undo.py), of which a copy is kept. What is cached already stays as it is.
 * GHOST_REFUSED for one that does not add up, or is not in order: then nothing is known. */
int ghost_executor_know(ghost_executor *executor, const uint8_t *record, size_t length);
/* Brings what is cached below its bound, which accounts asked for between runs may have passed. */
void ghost_executor_evict(ghost_executor *executor);

/* Flags of ghost_executor_call. */
enum ghost_call_flags {
    GHOST_CALL_NO_BALANCE_CHECK = 1,  /* fees are neither checked nor taken */
    GHOST_CALL_NO_NONCE_CHECK = 2,
    GHOST_CALL_NO_EOA_CHECK = 4,      /* the sender may have code */
    GHOST_CALL_NO_BASE_FEE = 8,       /* a zero price is fine; BASEFEE reads 0 then */
    GHOST_CALL_NO_GAS_CAP = 16,       /* EIP-7825 and the block's gas limit do not bind */
    GHOST_CALL_KEEP = 32,             /* keep the changes for the next call of this executor */
    GHOST_CALL_RECORD_ACCESS = 64,    /* fill the access list */
    GHOST_CALL_LOG_TRANSFERS = 128,   /* a log, as of an ERC-20, for each coin that moves */
    GHOST_CALL_SHOW_BASE_FEE = 256    /* BASEFEE reads the block's even with NO_BASE_FEE */
};

typedef struct ghost_access_slot {
    uint8_t address[20];
    uint8_t key[32];
} ghost_access_slot;

typedef struct ghost_call_outcome {
    int reason;                     /* enum ghost_tx_reason: not OK, nothing ran */
    uint8_t exit;
    uint8_t success;
    uint8_t has_contract;
    uint8_t gas_mattered;           /* with more gas it might have done something else */
    uint8_t contract_address[20];
    uint64_t gas_used;              /* as a receipt would show (after refunds and floor) */
    uint64_t gas_refunded;
    uint64_t gas_peak;              /* before refunds, the floor at least */
    const char *exit_reason;        /* what makes the exit WASM_INVALID, in words; else NULL.
                                       Valid until the next call */
    uint64_t gas_intrinsic;         /* what the transaction needs at least (floor included) */
    const uint8_t *output;          /* return or revert data; valid until the next call */
    size_t output_length;
    const ghost_log *logs;
    size_t log_count;
    /* with RECORD_ACCESS: every account and slot touched, first use first, sender, recipient,
     * precompiles and coinbase included (the caller filters) */
    const uint8_t *accessed_accounts;   /* 20 bytes each */
    size_t accessed_account_count;
    const ghost_access_slot *accessed_slots;
    size_t accessed_slot_count;
} ghost_call_outcome;

/* Runs one transaction or message outside any block: sender and the other fields are taken from
 * tx as they stand, no signature is looked at. Its changes are forgotten unless KEEP is given. */
int ghost_executor_call(ghost_executor *executor, const ghost_block_env *env, const ghost_tx *tx,
                        uint32_t flags, ghost_call_outcome *outcome);

/* ---- blocks step by step ---- */

/* A precompile elsewhere: at `at` runs that of `source`, or none with is_none. */
typedef struct ghost_precompile_move {
    uint8_t at[20];
    uint8_t source[20];
    uint32_t is_none;
} ghost_precompile_move;

/* Begins a block: amendments, then the system calls at its start (not with NO_SYSTEM). Calls with
 * KEEP are its transactions from then on, their logs the block's. Without CONTINUE what steps have
 * left so far is discarded first. GHOST_REFUSED while a run block is pending; after another failure
 * all steps are discarded. */
int ghost_executor_begin_block(ghost_executor *executor, const ghost_block_env *env,
                               uint32_t flags);
/* Ends it: withdrawals, requests, orders. Fills reason, requests and requests_hash of result. */
int ghost_executor_end_block(ghost_executor *executor, const ghost_block_env *env,
                             const ghost_withdrawal *withdrawals, size_t withdrawal_count,
                             ghost_block_result *result);
/* Fills accounts and slots of result: what all steps together have changed, valid until the next
 * step. GHOST_OK or GHOST_OUT_OF_MEMORY. */
int ghost_executor_changes(ghost_executor *executor, ghost_block_result *result);
/* The account as the next call would find it; storage_root is that of before all steps. 1 there,
 * 0 empty, negative failed. */
int ghost_executor_account(ghost_executor *executor, const uint8_t address[20],
                           ghost_account_record *out);
/* Asks the loader together for what of these addresses (20 bytes each) nobody has asked for yet, as
 * many as GHOST_ACCOUNTS_AT_ONCE. GHOST_OK, or as ghost_executor_account fails. */
int ghost_executor_load_accounts(ghost_executor *executor, const uint8_t *addresses, size_t count);
/* Where precompiles are, beside where they are without this, until the next such call. What is warm
 * does not change. GHOST_OK or GHOST_OUT_OF_MEMORY. */
int ghost_executor_move_precompiles(ghost_executor *executor, const ghost_precompile_move *moves,
                                    size_t count);

/* ---- traces ---- */

enum {
    GHOST_TRACE_FRAMES_MAX = 262144,        /* of one run; what is beyond is left out */
    GHOST_TRACE_ITEMS_MAX = 1048576,        /* of each other list, steps among them */
    GHOST_TRACE_BYTES_MAX = 134217728,      /* of all data behind the lists */
    GHOST_TRACE_NO_TRANSACTION = 2147483647,
    GHOST_TRACE_NO_FRAME = 2147483647,
    GHOST_TRACE_SELFDESTRUCT = 6            /* a kind, after those of enum ghost_call_kind */
};

/* What ran a frame. */
enum ghost_trace_engine {
    GHOST_TRACE_NOTHING = 0,        /* there was no code */
    GHOST_TRACE_EVM = 1,
    GHOST_TRACE_WASM = 2,
    GHOST_TRACE_CONTRACT = 3,       /* a contract of the protocol */
    GHOST_TRACE_PRECOMPILE = 4
};

enum ghost_trace_steps {
    GHOST_TRACE_STEPS_NONE = 0,
    GHOST_TRACE_STEPS_RECORDS = 1,
    GHOST_TRACE_STEPS_JSON = 2      /* as geth's struct logger writes them */
};

/* What is recorded besides frames; zero in each place: not that. */
typedef struct ghost_trace_watch {
    uint8_t logs;
    uint8_t touches;                /* accounts and slots; 2: the accounts' code too */
    uint8_t accesses;
    uint8_t hashes;                 /* what KECCAK256 hashed */
    uint8_t exact;                  /* a frame fails at the very instruction, which takes longer;
                                     * touches, accesses, hashes and steps ask for it too */
    uint8_t steps;                  /* of the EVM: enum ghost_trace_steps */
    uint8_t step_memory;            /* with each step; so for the two below */
    uint8_t step_return_data;
    uint32_t step_stack_words;      /* how many of the upper words */
    uint32_t transaction;           /* the candidate that is recorded; NO_TRANSACTION: all */
    uint64_t deadline_ns;           /* of CLOCK_MONOTONIC: the run stops there; 0: never */
    uint8_t json_no_stack;          /* of steps as JSON; and so on */
    uint8_t json_no_storage;
    uint64_t json_limit;            /* a transaction's steps end when they have become longer; 0 */
    uint64_t json_bytes_max;        /* beyond that the run stops with GHOST_LIMIT */
} ghost_trace_watch;

/* A call, a creation or a self-destruction. A frame's children are those that follow it with a
 * greater depth, up to the next that has not. */
typedef struct ghost_trace_frame {
    uint8_t kind;                   /* enum ghost_call_kind, or GHOST_TRACE_SELFDESTRUCT */
    uint8_t engine;                 /* enum ghost_trace_engine */
    uint8_t exit;                   /* enum ghost_exit */
    uint8_t is_static;
    uint16_t depth;                 /* 0: of a transaction, or of a system call */
    uint8_t fault;                  /* enum ghost_fault_kind (evm.h): more about the exit; with */
    uint8_t fault_opcode;           /* the instruction that is undefined, */
    uint32_t fault_have;            /* the words on the stack, */
    uint32_t fault_want;            /* and those needed or allowed */
    uint32_t transaction;           /* which candidate of the block, or NO_TRANSACTION */
    uint32_t children;              /* frames that this one made itself */
    uint8_t from[20];               /* whose account makes it (for a delegate call, too) */
    uint8_t to[20];                 /* whose code runs; what was to be created; the beneficiary */
    uint8_t value[32];              /* as the code sees it; what a self-destruction moves */
    uint64_t gas;                   /* given, stipend included */
    uint64_t gas_used;
    const uint8_t *input;           /* NULL with a length: left out, for there was too much */
    size_t input_length;
    const uint8_t *output;          /* return or revert data; the code of a creation */
    size_t output_length;
} ghost_trace_frame;

/* A log, whether it was undone later or not. */
typedef struct ghost_trace_log {
    uint32_t frame;                 /* index into frames */
    uint32_t position;              /* children that its frame had made before it */
    uint32_t index;                 /* in the block, as things stood then */
    uint32_t transaction;
    ghost_log log;
} ghost_trace_log;

typedef struct ghost_trace_account_state {
    uint64_t nonce;
    uint8_t balance[32];
    uint8_t code_hash[32];
    const uint8_t *code;            /* with touches 2; NULL with a length: left out */
    size_t code_length;
} ghost_trace_account_state;

/* An account that a transaction reached, once for each: as geth's prestateTracer looks accounts up
 * (the sender, the recipient, the coinbase, authorities, callees and what they delegate to, what
 * was to be created, BALANCE, EXTCODE*, SELFDESTRUCT; not the access list by itself). */
typedef struct ghost_trace_account {
    uint8_t address[20];
    uint8_t is_created;             /* a creation named it, whether it succeeded or not */
    uint8_t is_destroyed;           /* SELFDESTRUCT ran in it after a creation had named it */
    uint8_t was_there;              /* in the state, be it empty */
    uint32_t transaction;
    uint32_t frame;                 /* that reached it first; NO_FRAME: the transaction itself */
    ghost_trace_account_state before, after;      /* the transaction, fees included */
} ghost_trace_account;

typedef struct ghost_trace_slot {
    uint8_t address[20];
    uint8_t key[32], before[32], after[32];
    uint32_t transaction;
    uint32_t frame;
} ghost_trace_slot;

/* One access of code, in order. */
typedef struct ghost_trace_access {
    uint8_t access;                 /* enum ghost_access (evm.h) */
    uint8_t address[20];
    uint8_t key[32];                /* of a slot */
    uint8_t value[32];              /* of the slot before; not of transient storage */
    uint32_t frame;
} ghost_trace_access;

/* An instruction, as it stood before it ran. */
typedef struct ghost_trace_step {
    uint32_t frame;
    uint32_t pc;
    uint8_t opcode;
    uint8_t exit;                   /* it failed for gas or stack, before it did anything */
    uint8_t fault;                  /* as of a frame */
    uint32_t fault_have, fault_want;
    uint16_t depth;                 /* 0: the transaction's frame */
    uint64_t gas, cost, refund;
    uint32_t code_size;             /* of the account that it calls or whose code it reads, when
                                     * accesses are watched too */
    uint32_t stack_size;
    uint32_t stack_words;           /* so many upper words of it are kept, */
    const uint8_t *stack;           /* 32 bytes each, the top word last */
    const uint8_t *memory;          /* NULL with a length: not asked for, or left out */
    size_t memory_length;
    const uint8_t *return_data;
    size_t return_length;
} ghost_trace_step;

/* Where the JSON of a candidate's steps begins. */
typedef struct ghost_trace_mark {
    uint32_t transaction;
    size_t offset;
} ghost_trace_mark;

typedef struct ghost_trace {
    const ghost_trace_frame *frames;        /* in the order in which they began */
    size_t frame_count;
    const ghost_trace_log *logs;
    size_t log_count;
    const ghost_trace_account *accounts;    /* in the order in which they were reached */
    size_t account_count;
    const ghost_trace_slot *slots;
    size_t slot_count;
    const ghost_trace_access *accesses;
    size_t access_count;
    const ghost_view *hashes;
    size_t hash_count;
    const ghost_trace_step *steps;
    size_t step_count;
    const uint8_t *json;                    /* objects with commas between those of a candidate */
    size_t json_length;
    const ghost_trace_mark *marks;
    size_t mark_count;
    uint64_t byte_count;                    /* of data behind the lists, JSON left aside */
    int is_cut;                             /* a bound was reached: there was more */
} ghost_trace;

/* Records each run from now on, or with NULL no longer. GHOST_OK or GHOST_OUT_OF_MEMORY.
 * Cost: a lookup and a copy of input and output for each frame; what else is watched pays for
 * itself, steps most: code then runs in the interpreter that looks before each instruction.
 * Nothing while it is off. */
int ghost_executor_trace(ghost_executor *executor, const ghost_trace_watch *watch);
/* What the last run recorded, valid until the next; nothing when recording is off. */
void ghost_executor_recorded(const ghost_executor *executor, ghost_trace *trace);
/* The same taken out of the executor, to be freed by its new owner; the next run is recorded anew.
 * NULL when recording is off or memory is out. */
typedef struct ghost_recording ghost_recording;
ghost_recording *ghost_executor_take_recording(ghost_executor *executor);
void ghost_recording_free(ghost_recording *recording);

/* A transaction as geth's struct logger answers it (eth/tracers/logger): head, steps, "]}". */
typedef struct ghost_struct_log {
    const uint8_t *head;            /* up to the bracket before the steps */
    size_t head_length;
    const uint8_t *steps;
    size_t steps_length;
    uint64_t byte_count;            /* of data that went through frames */
    int is_cut;
    ghost_recording *recording;     /* what all this is in, to be freed by the caller; or NULL */
} ghost_struct_log;

/* Runs a block's first `count` transactions, whose last one is that of the watch, its steps as
 * JSON; forgets what they changed, and records nothing any more. Fails as, and fills result as
 * ghost_executor_run_block does; a log there is where all of them are valid. */
int ghost_executor_struct_log(ghost_executor *executor, const ghost_block_env *env,
                              const ghost_tx *transactions, size_t count,
                              const ghost_trace_watch *watch, ghost_block_result *result,
                              ghost_struct_log *out);

/* From any thread: ends the run soon with GHOST_STOPPED (at the next frame), and each run after it,
 * until it is called with 0. */
void ghost_executor_stop(ghost_executor *executor, int on);

#endif
