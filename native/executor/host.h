/* What running code of any engine may ask of the world, with the EVM's meaning and the EVM's price.
 *
 * The EVM has these as instructions; WASM and native contracts reach the state only through the
 * functions here, so that storage, logs, calls and creations cost and mean the same everywhere.
 *
 * Each function returns 0, or the enum ghost_exit (never SUCCESS) with which the frame must end at
 * once. A frame whose exit is neither REVERT nor ABORT loses all its gas. */
#ifndef GHOST_HOST_H
#define GHOST_HOST_H

#include "../evm/evm.h"

/* A running frame of an engine that is not the EVM. */
typedef struct ghost_frame {
    ghost_vm *vm;
    const ghost_message *message;
    ghost_account *self;          /* whose storage and balance it is */
    uint64_t gas;                 /* left */
    const uint8_t *return_data;   /* of the last call or creation: valid until the next */
    size_t return_length;
} ghost_frame;

/* OUT_OF_GAS when there is less. */
int ghost_host_charge(ghost_frame *frame, uint64_t gas);

/* SLOAD (EIP-2929): 100 warm, 2,100 cold. */
int ghost_host_load(ghost_frame *frame, const u256 *key, u256 *value);
/* SSTORE (EIP-2200, EIP-2929, EIP-3529), static guard and stipend rule included. */
int ghost_host_store(ghost_frame *frame, const u256 *key, const u256 *value);
/* TLOAD and TSTORE (EIP-1153): 100. */
int ghost_host_transient_load(ghost_frame *frame, const u256 *key, u256 *value);
int ghost_host_transient_store(ghost_frame *frame, const u256 *key, const u256 *value);

/* LOG0 to LOG4: 375, and 375 for a topic, 8 for a byte. */
int ghost_host_log(ghost_frame *frame, const u256 *topics, unsigned topic_count,
                   const uint8_t *data, size_t length);

/* BALANCE, EXTCODEHASH (0 for an empty account), EXTCODESIZE/EXTCODECOPY: 100 warm, 2,600 cold. The
 * code's view stays valid until the frame ends. */
int ghost_host_balance(ghost_frame *frame, const ghost_address *address, u256 *balance);
int ghost_host_code_hash(ghost_frame *frame, const ghost_address *address, ghost_hash *hash);
int ghost_host_code(ghost_frame *frame, const ghost_address *address, ghost_view *code);
/* BLOCKHASH: 20; zero when it is not one of the last 256. */
int ghost_host_block_hash(ghost_frame *frame, uint64_t number, ghost_hash *hash);

/* For the contract of the native coin alone: moves balance between any two accounts, or destroys
 * it. Price: BALANCE of each account, and for an amount that is not 0 what CALL takes for value
 * (9,000) and a new account (25,000). The source has as much, else INSUFFICIENT_BALANCE, which
 * halts. */
int ghost_host_move_balance(ghost_frame *frame, const ghost_address *from,
                            const ghost_address *to, const u256 *amount);
int ghost_host_burn_balance(ghost_frame *frame, const ghost_address *from, const u256 *amount);

/* CALL, CALLCODE, DELEGATECALL, STATICCALL by kind: price of access, value and a new account, 63/64
 * rule, stipend. value is read for the first two. gas: asked for, UINT64_MAX for all there is to
 * give. *exit is how the callee ended; its output is in frame->return_data (when it succeeded or
 * reverted, else empty). */
int ghost_host_call(ghost_frame *frame, uint8_t kind, const ghost_address *address,
                    const u256 *value, uint64_t gas, const uint8_t *input, size_t input_length,
                    enum ghost_exit *exit);
/* CREATE and CREATE2 (salt) by kind. *exit as above; *created when it is SUCCESS. */
int ghost_host_create(ghost_frame *frame, uint8_t kind, const u256 *value, const u256 *salt,
                      const uint8_t *init_code, size_t length, enum ghost_exit *exit,
                      ghost_address *created);

/* Makes a copy of data the frame's output, alive for as long as its caller may read it. data may
 * be the return data of a call. Charges nothing. 0 or ABORT. */
int ghost_host_output(ghost_frame *frame, const uint8_t *data, size_t length,
                      ghost_call_result *result);

/* Runs work on a large stack (deep.c), for an engine that is_shallow. GHOST_OK, or
 * GHOST_OUT_OF_MEMORY, with which the run must end. */
int ghost_host_run_deep(ghost_frame *frame, void (*work)(void *argument), void *argument);

#endif
