/* What is known of a code before it runs: its jump destinations; and where its jumps led. */
#include "code.h"

#include <stdlib.h>

enum {
    /* bits of the table of jumps; a fourth of it filled when all destinations were in it */
    JUMP_BITS_MIN = 4,
    JUMP_BITS_MAX = 10
};

/* ---- jump destinations ---- */

static uint64_t mark_destinations(evm_code *code) {
    const uint8_t *bytes = code->bytes;
    for (uint64_t pc = 0; pc < code->length; pc++) {
        const uint8_t opcode = bytes[pc];
        if (opcode == OP_JUMPDEST)
            code->groups[pc / 64].bits |= UINT64_C(1) << (pc % 64);
        else if (opcode >= OP_PUSH1 && opcode <= OP_PUSH32)
            pc += opcode - OP_PUSH0;
    }
    uint64_t count = 0;
    for (uint64_t i = 0; i < code->length / 64 + 1; i++) {
        code->groups[i].before = count;
        count += evm_bit_count(code->groups[i].bits);
    }
    return count;
}

void *ghost_evm_analyse(const uint8_t *bytes, size_t length) {
    size_t size = sizeof(evm_code) + (length / 64 + 1) * sizeof(evm_jump_group);
    evm_code *code = calloc(1, size);
    if (code == NULL)
        return NULL;
    code->bytes = bytes;
    code->length = length;
    uint64_t count = mark_destinations(code);
    unsigned bits = JUMP_BITS_MIN;
    while (UINT64_C(1) << bits < 4 * count && bits < JUMP_BITS_MAX)
        bits++;
    code->targets = calloc(count + 1, sizeof *code->targets);
    code->jumps = calloc(UINT64_C(1) << bits, sizeof *code->jumps);
    code->jump_shift = 64 - bits;
    code->memory = size + (count + 1) * sizeof *code->targets + (sizeof *code->jumps << bits);
    if (code->targets == NULL || code->jumps == NULL) {
        ghost_evm_analysis_free(code);
        return NULL;
    }
    /* 0 belongs at place 0, 1 elsewhere: what stands where it does not belong is never found. */
    code->jumps[0].pc = 1;
    return code;
}

void ghost_evm_analysis_free(void *analysis) {
    evm_code *code = analysis;
    if (code == NULL)
        return;
    for (evm_chunk *chunk = code->chunks; chunk != NULL;) {
        evm_chunk *previous = chunk->previous;
        free(chunk);
        chunk = previous;
    }
    free(code->targets);
    free(code->jumps);
    free(code);
}

size_t ghost_evm_analysis_size(const void *analysis) {
    return analysis == NULL ? 0 : ((const evm_code *)analysis)->memory;
}

/* ---- computed jumps ---- */

const uint64_t *evm_find_target(evm_code *code, const u256 *target, int *exit) {
    const uint64_t pc = target->limbs[0];
    if (!u256_fits_u64(target) || !evm_is_destination(code, pc)) {
        *exit = GHOST_EXIT_BAD_JUMP;
        return NULL;
    }
    const uint64_t *found = evm_translate(code, pc);
    if (found == NULL)
        *exit = GHOST_EXIT_ABORT;
    else
        code->jumps[evm_jump_place(pc, code->jump_shift)] = (evm_jump){pc, found};
    return found;
}
