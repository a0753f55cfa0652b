/* Native contracts: code `ef 47 id`, which Python runs, or the token kernel where it can. */
#ifndef GHOST_CONTRACTS_H
#define GHOST_CONTRACTS_H

#include "../common/common.h"
#include "../executor/executor.h"

/* Gas of what the token kernel runs, besides what its steps do to the state. The same as in
 * ghostchain/contracts/framework/gas.py. */
enum ghost_token_gas {
    GHOST_TOKEN_TRANSFER_GAS = 300,
    GHOST_TOKEN_TRANSFER_FROM_GAS = 450,
    GHOST_TOKEN_APPROVE_GAS = 250,
    GHOST_TOKEN_BALANCE_OF_GAS = 100,
    GHOST_TOKEN_ALLOWANCE_GAS = 150,
    GHOST_TOKEN_CONSTANT_GAS = 60
};

/* Of what Python would do, where the kernels do it at its price. */
enum ghost_contract_gas {
    GHOST_CONTRACT_DISPATCH_GAS = 1500,
    GHOST_CONTRACT_COPY_WORD_GAS = 3,
    GHOST_CONTRACT_WORD_GAS = 18,
    GHOST_CONTRACT_HASH_GAS = 42
};

enum { GHOST_CONTRACT_FRAMES_MAX = 64 };

/* A call that Python answers. Pointers are valid while it is answered; 32-byte words are
 * big-endian. */
typedef struct ghost_contract_call {
    void *frame;                  /* the engine's */
    uint64_t gas;                 /* left; Python may take of it */
    uint8_t id;
    uint8_t is_static;
    uint8_t address[20];          /* these four are read in one piece */
    uint8_t sender[20];
    uint8_t origin[20];
    uint8_t value[32];
    const uint8_t *input;
    size_t input_length;
    uint64_t number, timestamp, gas_limit, chain_id;
    uint8_t coinbase[20];
    uint8_t base_fee[32];
    uint8_t prev_randao[32];
    uint8_t word[32];             /* what the last function below gave */
    const uint8_t *returned;      /* likewise, where it gives bytes */
    size_t returned_length;
} ghost_contract_call;

/* Who answers the calls that the token kernel does not: returns how the call ends, an enum
 * ghost_exit; ABORT when the node cannot go on. */
typedef struct ghost_contract_runner {
    void *context;
    int (*run)(void *context, ghost_contract_call *call);
    int with_kernel;              /* 0, in tests: every call is the runner's */
} ghost_contract_runner;

/* Makes an executor run native contracts (the record is copied).
 * GHOST_OK or GHOST_OUT_OF_MEMORY. */
int ghost_contracts_plug(ghost_executor *executor, const ghost_contract_runner *runner);

/* What a contract asks of the world: ghost_host_* (executor/host.h) for a call. Each returns 0, or
 * the enum ghost_exit with which the call must end. All but ghost_contract_send are short. */

/* call->word = SLOAD(key). */
int ghost_contract_load(ghost_contract_call *call, const uint8_t key[32]);
int ghost_contract_store(ghost_contract_call *call, const uint8_t key[32],
                         const uint8_t value[32]);
int ghost_contract_load_transient(ghost_contract_call *call, const uint8_t key[32]);
int ghost_contract_store_transient(ghost_contract_call *call, const uint8_t key[32],
                                   const uint8_t value[32]);
/* call->word = KECCAK256(data), for that much gas. */
int ghost_contract_hash(ghost_contract_call *call, uint64_t gas, const uint8_t *data,
                        size_t length);
/* topics: topic_count (0-4) times 32 bytes. */
int ghost_contract_log(ghost_contract_call *call, const uint8_t *topics, unsigned topic_count,
                       const uint8_t *data, size_t length);
/* call->word = BALANCE. */
int ghost_contract_balance(ghost_contract_call *call, const uint8_t address[20]);
/* call->returned = the code. */
int ghost_contract_code(ghost_contract_call *call, const uint8_t address[20]);
/* call->word = BLOCKHASH. */
int ghost_contract_block_hash(ghost_contract_call *call, uint64_t number);
/* CALL, or STATICCALL; gas UINT64_MAX for all but a 64th. *exit is how the callee ended,
 * call->returned its output. */
int ghost_contract_send(ghost_contract_call *call, const uint8_t address[20],
                        const uint8_t value[32], uint64_t gas, int is_static,
                        const uint8_t *input, size_t input_length, int *exit);
/* Native balance, for the contract of the native coin alone (PRECOMPILE_FAILED for others); see
 * ghost_host_move_balance. */
int ghost_contract_move_balance(ghost_contract_call *call, const uint8_t source[20],
                                const uint8_t target[20], const uint8_t amount[32]);
int ghost_contract_burn_balance(ghost_contract_call *call, const uint8_t source[20],
                                const uint8_t amount[32]);
/* What the call returns or reverts with; copied. 0, or ABORT when memory is out. */
int ghost_contract_output(ghost_contract_call *call, const uint8_t *data, size_t length);

#endif
