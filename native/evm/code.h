/* Code as the fast interpreter runs it: 64-bit words, translated a stretch at a time when it is
 * first reached, so that what never runs costs only the search for jump destinations.
 *
 * An instruction is the address of its handler, then its operands. A basic block begins with a
 * block header, which pays the constant gas of the whole block and makes sure of the stack; the
 * instructions inside no longer look. Common runs of instructions are one handler, and constants
 * are computed once. A block ends where control may leave, and after every
 * instruction that shows or hands on gas, so that gas is exact wherever it can be seen. */
#ifndef GHOST_EVM_CODE_H
#define GHOST_EVM_CODE_H

#include "frame.h"

/* Handlers beyond those with an opcode's name; the words after the handler's in brackets. Those for
 * more than one instruction are named by what they do to the stack. near: a word of the stack, as
 * the (negative) distance from its end in words. */
#define EVM_HANDLERS(X) \
    X(BLOCK)             /* [cost and stack] [pc] begins a block that is fallen into */ \
    X(GO_ON)             /* [target] to a block header elsewhere, for free */ \
    X(RESOLVE)           /* [pc] [place] translates pc, writes where it is to place, goes there */ \
    X(GATE)              /* [fork] [opcode] undefined before it */ \
    X(UNDEFINED)         /* [opcode] */ \
    X(NO_MEMORY)         /* here the translation stopped short */ \
    X(PUSH_WORD)         /* [word] */ \
    X(PUSH_TWO)          /* [word] [word] */ \
    X(PUSH_WIDE)         /* [four words] */ \
    X(ADD_WORD)          /* [word] top + word */ \
    X(SUB_WORD)          /* [word] top - word */ \
    X(WORD_SUB)          /* [word] word - top */ \
    X(SUB_REVERSED)      /* SWAP1 SUB */ \
    X(AND_WORD)          /* [word] */ \
    X(AND_WIDE)          /* [four words] */ \
    X(SHL_BY)            /* [bits] */ \
    X(SHR_BY)            /* [bits] */ \
    X(EQ_WORD)           /* [word] */ \
    X(LT_WORD)           /* [word] word < top */ \
    X(GT_WORD)           /* [word] word > top */ \
    X(MLOAD_AT)          /* [offset] */ \
    X(MSTORE_AT)         /* [offset] */ \
    X(MSTORE_REVERSED)   /* SWAP1 MSTORE */ \
    X(POPS)              /* [count] */ \
    X(SWAP_POP)          /* [near] top takes its place */ \
    X(DROP_BELOW)        /* SWAP1 POP */ \
    X(DUP_DUP)           /* [near] [near] of which the second is neither of the upper two */ \
    X(DUP_OVER)          /* [near] DUP and the former top again: DUPn DUP2 */ \
    X(DUP_ADD)           /* [near] near + top, in the place of top; and so on */ \
    X(DUP_SUB) \
    X(DUP_MUL) \
    X(DUP_AND) \
    X(DUP_OR) \
    X(DUP_XOR) \
    X(DUP_EQ) \
    X(DUP_LT) \
    X(DUP_GT) \
    X(DUP_SLT) \
    X(DUP_SGT) \
    X(DUP_MLOAD) \
    X(DUP_MSTORE) \
    X(JUMP_TO)           /* [target] */ \
    X(PUSH_JUMP)         /* [word] [target] */ \
    X(JUMP_BAD)          /* a constant target that is no JUMPDEST */ \
    X(JUMPI_BAD)         /* like JUMPI and all below: the next block's header follows */ \
    X(JUMPI_TO)          /* [target] */ \
    X(JUMPI_ZERO)        /* [target] */ \
    X(JUMPI_EQ)          /* [target] of the two upper words; and so on */ \
    X(JUMPI_NE) \
    X(JUMPI_LT) \
    X(JUMPI_GE) \
    X(JUMPI_GT) \
    X(JUMPI_LE) \
    X(JUMPI_SLT) \
    X(JUMPI_SGE) \
    X(JUMPI_SGT) \
    X(JUMPI_SLE) \
    X(JUMPI_EQ_WORD)     /* [target] [word] of the word and top; and so on */ \
    X(JUMPI_NE_WORD) \
    X(JUMPI_LT_WORD) \
    X(JUMPI_GE_WORD) \
    X(JUMPI_GT_WORD) \
    X(JUMPI_LE_WORD)

enum evm_handler {
    H_FIRST = 255,
#define EVM_HANDLER_NAME(name) H_##name,
    EVM_HANDLERS(EVM_HANDLER_NAME)
#undef EVM_HANDLER_NAME
    H_COUNT
};

/* The second word of a block header. Sizes in bytes of stack. The block runs when
 * size - needed <= room, as unsigned numbers. */
typedef struct evm_block {
    uint32_t gas;
    uint16_t needed;
    uint16_t room;
} __attribute__((may_alias)) evm_block;

enum { BLOCK_HEADER_WORDS = 3 };

/* 64 bytes of code: which are jump destinations, and how many come before them. */
typedef struct evm_jump_group {
    uint64_t bits;
    uint64_t before;
} evm_jump_group;

/* Where jumps to computed places went, found by a hash of the place. Never holds one that is not a
 * destination. */
typedef struct evm_jump {
    uint64_t pc;
    const uint64_t *target;
} evm_jump;

typedef struct evm_chunk {
    struct evm_chunk *previous;
    uint64_t words[];
} evm_chunk;

typedef struct evm_code {
    const uint8_t *bytes;
    uint64_t length;
    const uint64_t *entry;         /* where pc 0 was translated to, or NULL */
    const uint64_t **targets;      /* the same for each jump destination */
    evm_jump *jumps;
    uint64_t jump_shift;           /* 64 less the bits of a place in jumps */
    evm_chunk *chunks;
    uint64_t *next, *end;          /* free words of the newest chunk */
    uint64_t memory;               /* bytes taken in all */
    evm_jump_group groups[];
} evm_code;

static inline uint64_t evm_bit_count(uint64_t bits) {
#if defined(__POPCNT__)
    return (uint64_t)__builtin_popcountll(bits);
#else
    bits -= (bits >> 1) & 0x5555555555555555;
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (bits * 0x0101010101010101) >> 56;
#endif
}

static inline bool evm_is_destination(const evm_code *code, uint64_t pc) {
    return pc < code->length && (code->groups[pc / 64].bits >> (pc % 64) & 1) != 0;
}

/* The place of a jump destination among all of them. */
static inline uint64_t evm_destination_rank(const evm_code *code, uint64_t pc) {
    const evm_jump_group *group = &code->groups[pc / 64];
    return group->before + evm_bit_count(group->bits & ((UINT64_C(1) << (pc % 64)) - 1));
}

static inline uint64_t evm_jump_place(uint64_t pc, uint64_t jump_shift) {
    return (pc * UINT64_C(0x9e3779b97f4a7c15)) >> jump_shift;
}

static inline bool evm_is_jump_target(const ghost_code *code, const u256 *target) {
    return u256_fits_u64(target) && evm_is_destination(code->analysis, target->limbs[0]);
}

/* ---- translate.c ---- */

/* The block header at pc, which is 0 or a jump destination; translated now when it has not been.
 * NULL when memory is out. */
const uint64_t *evm_translate(evm_code *code, uint64_t pc);

/* ---- code.c ---- */

/* The same for a jump that the table of jumps does not know, which then learns it. exit is set to
 * why when the answer is NULL. */
const uint64_t *evm_find_target(evm_code *code, const u256 *target, int *exit);

/* ---- evm.c ---- */

/* The fast interpreter's handlers, by opcode and enum evm_handler. */
const void *const *evm_fast_handlers(void);

#endif
