/* The instructions that divide. Out of line, so that the interpreters' own frame stays small. */
/* The words of a stack are written limb by limb and soon read again: moving them through vector
 * registers would wait for the store buffer each time. */
#if defined(__x86_64__)
#pragma GCC target("general-regs-only")
#endif

#include "frame.h"

enum { GAS_EXPONENT_BYTE = 50 };

#define BINARY(name, function) \
    int name(evm_frame *frame) { \
        u256 *operands = --frame->top; \
        operands[0] = function(&operands[1], &operands[0]); \
        return 0; \
    }
#define TERNARY(name, function) \
    int name(evm_frame *frame) { \
        u256 *operands = frame->top -= 2; \
        operands[0] = function(&operands[2], &operands[1], &operands[0]); \
        return 0; \
    }

BINARY(evm_div, u256_div)
BINARY(evm_sdiv, u256_div_signed)
BINARY(evm_mod, u256_mod)
BINARY(evm_smod, u256_mod_signed)
TERNARY(evm_addmod, u256_add_mod)
TERNARY(evm_mulmod, u256_mul_mod)

int evm_exp(evm_frame *frame) {
    const u256 *base = frame->top, *exponent = frame->top - 1;
    unsigned bytes = (256 - u256_leading_zeros(exponent) + 7) / 8;
    if (!evm_charge(frame, (uint64_t)bytes * GAS_EXPONENT_BYTE))
        return GHOST_EXIT_OUT_OF_GAS;
    frame->top--;
    *frame->top = u256_exp(base, exponent);
    return 0;
}
