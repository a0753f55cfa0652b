/* Code as the fast interpreter runs it: 64-bit words, translated a stretch at a time when it is
 * first reached, so that what never runs costs only the search for jump destinations.
 *
 * An instruction is the address of its handler, then its operands. A basic block begins with a
 * block header, which pays the constant gas of the whole block and makes sure of the stack; the
 * instructions inside no longer look. A block ends where control may leave, and after every
 * instruction that shows or hands on gas, so that gas is exact wherever it can be seen. */
#ifndef GHOST_EVM_CODE_H
#define GHOST_EVM_CODE_H

#include "frame.h"

/* Handlers beyond those with an opcode's name. Words after the handler's in brackets. */
#define EVM_HANDLERS(X) \
    X(BLOCK)             /* [cost and stack] [pc] begins a block that is fallen into */ \
    X(GO_ON)             /* [target] to a block header elsewhere, for free */ \
    X(GATE)              /* [fork] undefined before it */ \
    X(PUSH_WORD)         /* [word] */ \
    X(PUSH_WIDE)         /* [four words] */ \
    X(JUMP_TO)           /* [target] PUSH JUMP */ \
    X(JUMP_NEW)          /* [pc] the same before its target is translated */ \
    X(JUMPI_TO)          /* [target] PUSH JUMPI; the next block's header follows, as with JUMPI */ \
    X(JUMPI_NEW)         /* [pc] */ \
    X(JUMP_BAD)          /* a constant target that is no JUMPDEST */ \
    X(JUMPI_BAD) \
    X(UNDEFINED) \
    X(NO_MEMORY)         /* here the translation stopped short */

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
} evm_block;

enum { BLOCK_HEADER_WORDS = 3 };

/* 64 bytes of code: which are jump destinations, and how many come before them. */
typedef struct evm_jump_group {
    uint64_t bits;
    uint64_t before;
} evm_jump_group;

/* Where jumps to computed places went, found by the low bits of the place. Never holds one that is
 * not a destination. */
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
    uint64_t jump_mask;
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

static inline bool evm_is_jump_target(const ghost_code *code, const u256 *target) {
    return u256_fits_u64(target) && evm_is_destination(code->analysis, target->limbs[0]);
}

/* The block header at pc, which is 0 or a jump destination; translated now when it has not been.
 * NULL when memory is out. */
const uint64_t *evm_translate(evm_code *code, uint64_t pc);

/* The same for a jump that the table of jumps does not know, which then learns it. exit is set to
 * why when the answer is NULL. */
const uint64_t *evm_find_target(evm_code *code, const u256 *target, int *exit);

/* The fast interpreter's handlers, by opcode and enum evm_handler. */
const void *const *evm_fast_handlers(void);

#endif
