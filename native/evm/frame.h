/* One running frame, and what the files of this kernel share about it. Private to evm/. */
#ifndef GHOST_EVM_FRAME_H
#define GHOST_EVM_FRAME_H

#include "evm.h"
#include "opcodes.h"
#include "rules.h"

enum {
    STACK_WORDS_MAX = 1024,
    GAS_COPY_WORD = 3
};

/* A frame between instructions. The interpreter keeps the operand stack's end, its top word and
 * the gas in registers; it stores them here before it calls one of the functions below, and loads
 * them again afterwards. */
typedef struct evm_frame {
    uint64_t gas;
    u256 *top;                    /* the top word; bottom when the stack is empty */
    u256 *bottom;                 /* one below the first word */
    uint8_t *memory;
    uint64_t memory_size;         /* bytes in use, a multiple of 32 */
    ghost_vm *vm;
    const ghost_message *message;
    ghost_account *self;
    const ghost_code *code;
    const uint8_t *return_data;   /* of the last call or creation */
    size_t return_length;
    const uint8_t *output;        /* of RETURN and REVERT */
    size_t output_length;
    const struct evm_jump *jumps; /* of the code (code.h) */
    uint64_t jump_shift;
    ghost_message child;          /* here, not on the native stack: 1,024 frames fit a thread's */
    ghost_call_result child_result;
} evm_frame;

/* Memory of the frame at one depth. Kept from frame to frame, for the output of the last frame
 * there is read until the next one begins. */
typedef struct evm_depth {
    uint8_t *memory;
    size_t capacity;
    evm_frame frame;
} evm_depth;

struct ghost_evm_memory {
    u256 *stack;                  /* of all depths, each frame's begins where its caller's ends */
    u256 *stack_next;
    evm_depth depths[CALL_DEPTH_MAX + 2];
};

/* Whether it hands the gas on its stack to a callee, of which more than there is means all there
 * is. */
static inline bool evm_takes_gas(uint8_t opcode) {
    return opcode == OP_CALL || opcode == OP_CALLCODE || opcode == OP_DELEGATECALL ||
           opcode == OP_STATICCALL;
}

/* An instruction that is not inlined: takes its operands from frame->top and leaves its results
 * there. Returns 0 to go on, or the enum ghost_exit (never SUCCESS) with which the frame ends. */
typedef int evm_instruction(evm_frame *frame);

/* ---- memory.c ---- */

/* Makes [0, end) usable and charges for it. end <= 2^33. */
int evm_memory_grow(evm_frame *frame, uint64_t end);
/* Makes [offset, offset + size) usable and charges for it; a size of 0 costs nothing. On return
 * both operands fit 32 bits, or size is 0. */
int evm_memory_use(evm_frame *frame, const u256 *offset, const u256 *size);
/* The same for size bytes from the top word on; takes nothing from the stack. */
int evm_memory_reach(evm_frame *frame, uint64_t size);
/* Gives back what a large frame left behind, once its output can no longer be read. */
void evm_memory_trim(evm_depth *depth);

static inline bool evm_charge(evm_frame *frame, uint64_t gas) {
    if (frame->gas < gas)
        return false;
    frame->gas -= gas;
    return true;
}

/* The exit of a write in a static frame that geth refuses while it prices it. */
static inline int evm_refuse_write(evm_frame *frame) {
    frame->vm->fault.kind = GHOST_FAULT_STATIC;
    return GHOST_EXIT_STATIC_VIOLATION;
}

static inline uint64_t evm_words(uint64_t bytes) {
    return (bytes + 31) / 32;
}

evm_instruction evm_keccak256, evm_calldatacopy, evm_codecopy, evm_extcodecopy,
    evm_returndatacopy, evm_mcopy, evm_return, evm_calldataload;

/* ---- host.c ---- */

evm_instruction evm_balance, evm_extcodesize, evm_extcodehash, evm_blockhash, evm_blobhash,
    evm_sload, evm_sstore, evm_tload, evm_tstore, evm_selfdestruct;
int evm_log(evm_frame *frame, unsigned topic_count);

/* ---- arithmetic.c ---- */

evm_instruction evm_div, evm_sdiv, evm_mod, evm_smod, evm_addmod, evm_mulmod, evm_exp;

/* ---- prices.c ---- */

/* Tells the tracer's step hook of the instruction that comes. 0 or ABORT. */
int evm_tell_step(evm_frame *frame, uint64_t pc, uint8_t opcode);
/* Tells the hash hook what a KECCAK256 that comes is to hash, be there gas for it or not: memory,
 * and up to 1 MiB of the zeros after its end, as geth's tracers have it. 0 or ABORT. */
int evm_tell_hash(evm_frame *frame);

/* ---- calls.c ---- */

evm_instruction evm_call, evm_callcode, evm_delegatecall, evm_staticcall, evm_create, evm_create2;

#endif
