/* The interpreter and what it exchanges with the world around it. For kernels only.
 *
 * Control: executor -> ghost_evm_execute -> (CALL, CREATE ...) -> ghost_call / ghost_create of the
 * executor -> the engine that the code asks for -> ... Recursion is on the native stack, at most
 * 1,024 deep, so a frame keeps little there: operand stacks and memory live in the vm. */
#ifndef GHOST_EVM_H
#define GHOST_EVM_H

#include "../common/common.h"
#include "../common/u256.h"
#include "../executor/state.h"

enum ghost_fork {
    GHOST_FORK_CANCUN = 0,
    GHOST_FORK_PRAGUE = 1,
    GHOST_FORK_OSAKA = 2,
    GHOST_FORK_COUNT = 3
};

enum ghost_exit {
    GHOST_EXIT_SUCCESS = 0,      /* STOP, RETURN, SELFDESTRUCT */
    GHOST_EXIT_REVERT = 1,       /* gas left is given back, output is the revert data */
    /* from here on: exceptional halts, all gas of the frame is gone */
    GHOST_EXIT_OUT_OF_GAS = 2,
    GHOST_EXIT_UNDEFINED_OPCODE = 3,
    GHOST_EXIT_INVALID_OPCODE = 4,         /* 0xfe */
    GHOST_EXIT_STACK_UNDERFLOW = 5,
    GHOST_EXIT_STACK_OVERFLOW = 6,
    GHOST_EXIT_BAD_JUMP = 7,
    GHOST_EXIT_STATIC_VIOLATION = 8,
    GHOST_EXIT_RETURN_DATA_BOUNDS = 9,
    GHOST_EXIT_CODE_SIZE = 10,             /* EIP-170, EIP-3860 */
    GHOST_EXIT_CODE_PREFIX = 11,           /* EIP-3541 */
    GHOST_EXIT_CODE_STORE_OUT_OF_GAS = 12,
    GHOST_EXIT_ADDRESS_COLLISION = 13,     /* EIP-7610 too */
    GHOST_EXIT_PRECOMPILE_FAILED = 14,
    /* refused before a frame began: the gas given is given back, no output */
    GHOST_EXIT_CALL_DEPTH = 15,
    GHOST_EXIT_INSUFFICIENT_BALANCE = 16,
    GHOST_EXIT_NONCE_OVERFLOW = 17,
    /* the node could not go on (loader failed, memory): every frame unwinds, the block stops */
    GHOST_EXIT_ABORT = 18,
    /* a creation whose code is a module that no contract may be: exceptional, vm->exit_reason */
    GHOST_EXIT_WASM_INVALID = 19,
    /* a module that trapped: unreachable, a bound, a divisor, nesting, a bad argument of a host */
    GHOST_EXIT_WASM_TRAP = 20
};

enum ghost_call_kind {
    GHOST_CALL = 0,
    GHOST_CALLCODE = 1,
    GHOST_DELEGATECALL = 2,
    GHOST_STATICCALL = 3,
    GHOST_CREATE = 4,
    GHOST_CREATE2 = 5
};

/* A message call or a creation. depth is that of the frame about to begin (0: a transaction's). */
typedef struct ghost_message {
    uint8_t kind;                 /* enum ghost_call_kind */
    bool is_static;
    uint16_t depth;
    uint64_t gas;                 /* stipend included */
    ghost_address recipient;      /* ADDRESS; the account whose storage and balance are used */
    ghost_address code_address;   /* whose code runs; delegation (EIP-7702) not yet followed */
    ghost_address sender;         /* CALLER */
    u256 value;                   /* CALLVALUE; moved for CALL, CALLCODE checks balance only */
    u256 salt;                    /* CREATE2 */
    const uint8_t *input;         /* call data, or init code */
    size_t input_length;
} ghost_message;

/* output is borrowed from the vm: valid until the next ghost_call or ghost_create made from the
 * same depth. */
typedef struct ghost_call_result {
    uint8_t exit;                 /* enum ghost_exit */
    uint64_t gas_left;            /* already 0 for exceptional halts */
    const uint8_t *output;
    size_t output_length;
    ghost_address created;        /* for a successful creation */
} ghost_call_result;

/* What a block and a transaction show to code. */
typedef struct ghost_block_context {
    uint64_t number, timestamp, gas_limit, chain_id;
    ghost_address coinbase;
    u256 base_fee, prev_randao, blob_base_fee;
} ghost_block_context;

typedef struct ghost_tx_context {
    ghost_address origin;
    u256 gas_price;               /* effective */
    const uint8_t *blob_hashes;   /* 32 bytes each */
    size_t blob_count;
} ghost_tx_context;

/* What more is known of an exceptional halt. */
enum ghost_fault_kind {
    GHOST_FAULT_NONE = 0,
    GHOST_FAULT_SENTRY = 1,         /* SSTORE with no more than the stipend (EIP-2200) */
    GHOST_FAULT_OVERFLOW = 2,       /* the end of a range of memory is beyond 64 bits */
    GHOST_FAULT_MEMORY = 3,         /* memory that no gas pays for */
    GHOST_FAULT_INIT_CODE = 4,      /* EIP-3860; have: the limit, want: its size */
    GHOST_FAULT_STATIC = 5,         /* a write in a static frame, seen while it was priced */
    GHOST_FAULT_TWICE = 6,          /* a part of the price was not there before all was known */
    GHOST_FAULT_CODE = 7            /* EIP-170; want: the code's size */
};

typedef struct ghost_fault {
    uint8_t kind;                 /* enum ghost_fault_kind */
    uint8_t opcode;               /* of an instruction that is undefined */
    uint32_t have, want;          /* words: the stack's, what the instruction needs or allows */
} ghost_fault;

/* An instruction about to run, as it stands before it does anything. */
typedef struct ghost_step {
    const ghost_message *message;
    ghost_account *self;
    const struct ghost_code *code;
    uint32_t pc;
    uint8_t opcode;
    uint8_t exit;                 /* with which it will fail for gas or stack; 0: it will begin */
    ghost_fault fault;            /* of that */
    uint64_t gas, cost;           /* cost: all it takes, gas for a callee included */
    int64_t refund;               /* the counter, with what this instruction adds to it */
    const u256 *stack_top;        /* words below at [-1], [-2] ... */
    uint32_t stack_size;
    const uint8_t *memory;
    size_t memory_size;
    const uint8_t *return_data;   /* of the frame's last call */
    size_t return_length;
} ghost_step;

/* How code reaches into the state. */
enum ghost_access {
    GHOST_ACCESS_BALANCE = 0,
    GHOST_ACCESS_CODE = 1,          /* EXTCODESIZE and its like */
    GHOST_ACCESS_READ = 2,          /* of a slot; and so on */
    GHOST_ACCESS_WRITE = 3,
    GHOST_ACCESS_TRANSIENT_READ = 4,
    GHOST_ACCESS_TRANSIENT_WRITE = 5
};

/* What watches execution, or NULL; so may be each of its hooks. The interpreter is instantiated
 * twice, with and without the step hook, so that nobody pays for tracing that is off. */
typedef struct ghost_tracer {
    void *context;
    /* Gas is looked at before each instruction. Else at the beginning of straight code for all of
     * it: then it may run out at an earlier one than it would one by one. */
    bool is_exact;
    /* Before each instruction. 0, or GHOST_EXIT_ABORT to end the run (vm->status says why). */
    int (*step)(void *context, const ghost_step *step);
    /* Before each call and creation, refused ones included. 0 or ABORT, as above. */
    int (*enter)(void *context, const ghost_message *message);
    void (*leave)(void *context, const ghost_message *message, const ghost_call_result *result);
    /* SELFDESTRUCT in the frame of message, before it moves the balance. */
    void (*destroy)(void *context, const ghost_message *message, const ghost_address *from,
                    const ghost_address *to, const u256 *balance);
    /* Once the access is paid for. */
    void (*account)(void *context, const ghost_message *message, const ghost_account *account,
                    uint8_t access);
    /* As above, before a write. slot: NULL for transient storage. */
    void (*slot)(void *context, const ghost_message *message, const ghost_account *self,
                 const ghost_slot *slot, const u256 *key, uint8_t access);
    /* After a log, which is the state's last. */
    void (*log)(void *context, const ghost_message *message);
    /* KECCAK256 over data, before it is paid for. Only where is_exact. */
    void (*hash)(void *context, const uint8_t *data, size_t length);
} ghost_tracer;

typedef struct ghost_vm ghost_vm;
typedef struct ghost_evm_memory ghost_evm_memory;   /* stacks, memory, return data of all frames */

/* Engines other than the EVM, for the code of hybrid blocks. */
enum ghost_engine_kind {
    GHOST_ENGINE_WASM = 0,        /* code that begins with the magic of WASM, version 1 */
    GHOST_ENGINE_CONTRACTS = 1,   /* code ef 47 id, which only genesis can place */
    GHOST_ENGINE_COUNT = 2
};

/* An engine as the executor uses it, plugged in by ghost_executor_plug. Code whose engine is not
 * plugged stops the node (GHOST_EXIT_ABORT, vm->status GHOST_MISSING): it cannot know what the
 * code would have done. */
typedef struct ghost_engine {
    void *context;                /* the engine's own, of this executor */
    /* As ghost_evm_execute. The frame's output must outlive it as result says: give it with
     * ghost_host_output (host.h). */
    void (*execute)(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                    const ghost_code *code, ghost_call_result *result);
    /* Whether the bytes may become code, charging *gas for making them ready. 0, or the exit: with
     * WASM_INVALID the reason is in vm->exit_reason. The size (WASM_BYTES_MAX) is right already.
     * NULL: nothing is deployed by transactions. */
    int (*deploy)(ghost_vm *vm, const uint8_t *bytes, size_t length, uint64_t *gas);
    void (*free)(void *context);  /* when the executor goes; may be NULL */
    /* Its frames need no large stack, but for those that it takes there itself
     * (ghost_host_run_deep). */
    bool is_shallow;
} ghost_engine;

enum { GHOST_EXIT_REASON_BYTES = 192 };

struct ghost_vm {
    uint32_t fork;
    bool hybrid;                  /* engines other than the EVM run (ghost_block_env.hybrid) */
    uint32_t code_bytes_max;      /* of EVM code; init code may have twice as many */
    ghost_state *state;
    ghost_block_context block;
    ghost_tx_context tx;
    const ghost_tracer *tracer;
    ghost_evm_memory *memory;     /* made by ghost_evm_memory_new, kept across transactions */
    int status;                   /* enum ghost_status behind a GHOST_EXIT_ABORT */
    bool gas_mattered;            /* more gas might have led elsewhere: it was looked at, or a frame
                                     halted, or another engine ran */
    uint64_t block_serial;        /* another number in each block, and each call outside them */
    ghost_engine engines[GHOST_ENGINE_COUNT];
    char exit_reason[GHOST_EXIT_REASON_BYTES];  /* of the last WASM_INVALID, zero-terminated */
    ghost_fault fault;            /* of the last exceptional halt of the EVM */
    volatile uint32_t stop;       /* not 0: the next frame that begins ends the run */
};

/* ---- given by evm/ ---- */

ghost_evm_memory *ghost_evm_memory_new(void);
void ghost_evm_memory_free(ghost_evm_memory *memory);

/* Where the operand stack of the next EVM frame begins. A frame of another engine takes it before
 * its calls (depth: its own; at depth 0 there is no stack below), and puts it back after each. */
void *ghost_evm_stack_mark(ghost_evm_memory *memory, unsigned depth);
void ghost_evm_stack_restore(ghost_evm_memory *memory, void *mark);

/* Runs code in the frame of message. self is the recipient's account. The caller (executor) has
 * done depth, balance, transfer, snapshot and delegation; it reverts the state afterwards
 * when the exit is not SUCCESS. output of the result lives in vm->memory. */
void ghost_evm_execute(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                       const ghost_code *code, ghost_call_result *result);

/* What the interpreter knows of a code: its jump destinations, and the code in the form that runs
 * fast, which is made a stretch at a time as it is first reached. Kept with the code and so cached
 * by code hash. code must outlive it, and one thread at a time runs it. NULL when memory is out.
 * Its size grows with what has run: to about 20 bytes for a byte of code. */
void *ghost_evm_analyse(const uint8_t *code, size_t length);
void ghost_evm_analysis_free(void *analysis);
size_t ghost_evm_analysis_size(const void *analysis);

/* ---- given by executor/ ---- */

/* Runs a message call: depth and balance checks, snapshot, value transfer, precompile or engine
 * by code, revert on failure. Charges nothing by itself beyond what the callee uses. */
void ghost_call(ghost_vm *vm, const ghost_message *message, ghost_call_result *result);

/* Plugs an engine (copied) into an executor, in the place of the one that was there. Not while it
 * runs. */
struct ghost_executor;
void ghost_executor_plug(struct ghost_executor *executor, enum ghost_engine_kind kind,
                         const ghost_engine *engine);

/* Runs a creation: depth, balance, nonce of the creator, address, collision, init code, code
 * deposit. message.recipient is ignored. */
void ghost_create(ghost_vm *vm, const ghost_message *message, ghost_call_result *result);

#endif
