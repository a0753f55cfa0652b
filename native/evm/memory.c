/* Memory of frames, and the instructions that move bytes in it. */
#include <stdlib.h>
#include <string.h>

#include "../keccak/keccak.h"
#include "frame.h"

enum {
    MEMORY_BYTES_MIN = 4096,
    /* what a depth keeps for its next frame; 1,024 depths keep 64 MiB at most */
    MEMORY_BYTES_KEPT = 1 << 16
};

#define OPERAND_MAX UINT32_MAX   /* 2^32 bytes cost 2^45 gas: nobody can pay for more */

static const size_t stack_words = (size_t)(CALL_DEPTH_MAX + 2) * (STACK_WORDS_MAX + 1);

ghost_evm_memory *ghost_evm_memory_new(void) {
    ghost_evm_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return NULL;
    /* Pages of it become real only when a frame writes there. */
    memory->stack = aligned_alloc(4096, (stack_words * sizeof(u256) + 4095) / 4096 * 4096);
    if (memory->stack == NULL) {
        free(memory);
        return NULL;
    }
    memory->stack_next = memory->stack;
    return memory;
}

void ghost_evm_memory_free(ghost_evm_memory *memory) {
    if (memory == NULL)
        return;
    for (size_t i = 0; i < CALL_DEPTH_MAX + 2; i++)
        free(memory->depths[i].memory);
    free(memory->stack);
    free(memory);
}

void *ghost_evm_stack_mark(ghost_evm_memory *memory, unsigned depth) {
    if (depth == 0)
        memory->stack_next = memory->stack;
    return memory->stack_next;
}

void ghost_evm_stack_restore(ghost_evm_memory *memory, void *mark) {
    memory->stack_next = mark;
}

static uint64_t memory_gas(uint64_t words) {
    return 3 * words + words * words / 512;
}

static bool make_room(evm_frame *frame, uint64_t size) {
    evm_depth *depth = &frame->vm->memory->depths[frame->message->depth];
    if (size <= depth->capacity)
        return true;
    size_t capacity = depth->capacity * 2 > MEMORY_BYTES_MIN ? depth->capacity * 2
                                                             : MEMORY_BYTES_MIN;
    if (capacity < size)
        capacity = size;
    uint8_t *memory = realloc(depth->memory, capacity);
    if (memory == NULL)
        return false;
    depth->memory = memory;
    depth->capacity = capacity;
    frame->memory = memory;
    return true;
}

__attribute__((cold)) int evm_memory_grow(evm_frame *frame, uint64_t end) {
    uint64_t words = evm_words(end), size = words * 32;
    if (size <= frame->memory_size)
        return 0;
    if (!evm_charge(frame, memory_gas(words) - memory_gas(frame->memory_size / 32)))
        return GHOST_EXIT_OUT_OF_GAS;
    if (!make_room(frame, size)) {
        frame->vm->status = GHOST_OUT_OF_MEMORY;
        return GHOST_EXIT_ABORT;
    }
    memset(frame->memory + frame->memory_size, 0, size - frame->memory_size);
    frame->memory_size = size;
    return 0;
}

/* Memory that nobody can pay for: says how geth puts it. */
__attribute__((cold)) static int refuse_memory(evm_frame *frame, const u256 *offset,
                                               const u256 *size) {
    static const uint64_t priced_max = 0x1fffffffe0;
    uint64_t end;
    if (frame->vm->fault.kind != GHOST_FAULT_NONE)
        return GHOST_EXIT_OUT_OF_GAS;         /* a step has said it already */
    if (!u256_fits_u64(size) || !u256_fits_u64(offset) ||
        __builtin_add_overflow(offset->limbs[0], size->limbs[0], &end) || end > UINT64_MAX - 31)
        frame->vm->fault.kind = GHOST_FAULT_OVERFLOW;
    else if (end > priced_max)
        frame->vm->fault.kind = GHOST_FAULT_MEMORY;
    return GHOST_EXIT_OUT_OF_GAS;
}

int evm_memory_use(evm_frame *frame, const u256 *offset, const u256 *size) {
    if (u256_is_zero(size))
        return 0;
    if (!u256_fits_u64(size) || !u256_fits_u64(offset) || size->limbs[0] > OPERAND_MAX ||
        offset->limbs[0] > OPERAND_MAX)
        return refuse_memory(frame, offset, size);
    uint64_t end = offset->limbs[0] + size->limbs[0];
    return end <= frame->memory_size ? 0 : evm_memory_grow(frame, end);
}

__attribute__((cold)) int evm_memory_reach(evm_frame *frame, uint64_t size) {
    const u256 bytes = u256_from_u64(size);
    return evm_memory_use(frame, frame->top, &bytes);
}

void evm_memory_trim(evm_depth *depth) {
    if (__builtin_expect(depth->capacity <= MEMORY_BYTES_KEPT, 1))
        return;
    free(depth->memory);
    depth->memory = NULL;
    depth->capacity = 0;
}

int evm_keccak256(evm_frame *frame) {
    u256 *operands = frame->top - 1;
    const u256 *offset = &operands[1], *size = &operands[0];
    int exit = evm_memory_use(frame, offset, size);
    if (exit != 0)
        return exit;
    uint64_t length = size->limbs[0];
    if (!evm_charge(frame, GAS_KECCAK_WORD * evm_words(length)))
        return GHOST_EXIT_OUT_OF_GAS;
    uint8_t digest[32];
    ghost_keccak256(digest, length == 0 ? digest : frame->memory + offset->limbs[0], length);
    frame->top--;
    *frame->top = u256_from_be(digest);
    return 0;
}

/* Fills memory from source[start ...], zeroes past its end. */
static void copy_padded(uint8_t *target, uint64_t size, const uint8_t *source, size_t length,
                        const u256 *start) {
    size_t available = 0;
    if (u256_fits_u64(start) && start->limbs[0] < length)
        available = length - start->limbs[0];
    if (available > size)
        available = size;
    if (available > 0)
        memcpy(target, source + start->limbs[0], available);
    if (size > available)
        memset(target + available, 0, size - available);
}

/* Takes (target, start, size) from the stack and charges for both ends of a copy. */
static int charge_copy(evm_frame *frame, const u256 *target, const u256 *size) {
    int exit = evm_memory_use(frame, target, size);
    if (exit == 0 && !evm_charge(frame, GAS_COPY_WORD * evm_words(size->limbs[0])))
        exit = GHOST_EXIT_OUT_OF_GAS;
    return exit;
}

static int copy_from(evm_frame *frame, const uint8_t *source, size_t length) {
    const u256 *target = frame->top, *start = frame->top - 1, *size = frame->top - 2;
    int exit = charge_copy(frame, target, size);
    if (exit != 0)
        return exit;
    if (size->limbs[0] != 0)
        copy_padded(frame->memory + target->limbs[0], size->limbs[0], source, length, start);
    frame->top -= 3;
    return 0;
}

int evm_calldatacopy(evm_frame *frame) {
    return copy_from(frame, frame->message->input, frame->message->input_length);
}

int evm_codecopy(evm_frame *frame) {
    return copy_from(frame, frame->code->bytes, frame->code->length);
}

int evm_extcodecopy(evm_frame *frame) {
    ghost_address address = u256_to_address(frame->top);
    const u256 *target = frame->top - 1, *start = frame->top - 2, *size = frame->top - 3;
    int exit = charge_copy(frame, target, size);
    if (exit != 0)
        return exit;
    bool was_cold;
    ghost_account *account =
        ghost_state_access_account(frame->vm->state, &address, &was_cold);
    const ghost_code *code =
        account == NULL ? NULL : ghost_state_code(frame->vm->state, account);
    if (code == NULL)
        return GHOST_EXIT_ABORT;
    if (was_cold && !evm_charge(frame, GAS_COLD_ACCOUNT))
        return GHOST_EXIT_OUT_OF_GAS;
    ghost_tell_account(frame->vm, frame->message, account, GHOST_ACCESS_CODE);
    if (size->limbs[0] != 0)
        copy_padded(frame->memory + target->limbs[0], size->limbs[0], code->bytes, code->length,
                    start);
    frame->top -= 4;
    return 0;
}

/* Unlike the other copies this one never pads (EIP-211). */
int evm_returndatacopy(evm_frame *frame) {
    const u256 *target = frame->top, *start = frame->top - 1, *size = frame->top - 2;
    int exit = charge_copy(frame, target, size);
    if (exit != 0)
        return exit;
    uint64_t length = size->limbs[0];
    if (!u256_fits_u64(start) || start->limbs[0] > frame->return_length ||
        length > frame->return_length - start->limbs[0])
        return GHOST_EXIT_RETURN_DATA_BOUNDS;
    if (length != 0)
        memcpy(frame->memory + target->limbs[0], frame->return_data + start->limbs[0], length);
    frame->top -= 3;
    return 0;
}

int evm_mcopy(evm_frame *frame) {
    const u256 *target = frame->top, *source = frame->top - 1, *size = frame->top - 2;
    int exit = charge_copy(frame, target, size);
    if (exit == 0)
        exit = evm_memory_use(frame, source, size);
    if (exit != 0)
        return exit;
    if (size->limbs[0] != 0)
        memmove(frame->memory + target->limbs[0], frame->memory + source->limbs[0],
                size->limbs[0]);
    frame->top -= 3;
    return 0;
}

/* RETURN and REVERT: names the output, which stays in this depth's memory. */
int evm_return(evm_frame *frame) {
    const u256 *offset = frame->top, *size = frame->top - 1;
    int exit = evm_memory_use(frame, offset, size);
    if (exit != 0)
        return exit;
    frame->output_length = size->limbs[0];
    frame->output = size->limbs[0] == 0 ? NULL : frame->memory + offset->limbs[0];
    return 0;
}

/* A word that reaches past the end of the call data. */
int evm_calldataload(evm_frame *frame) {
    uint8_t word[32];
    copy_padded(word, sizeof word, frame->message->input, frame->message->input_length,
                frame->top);
    *frame->top = u256_from_be(word);
    return 0;
}
