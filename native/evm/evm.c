/* Entry to a frame, and the two interpreters. Their handlers are written once, in words.inc. */

/* The words of a stack are written limb by limb and soon read again: moving them through vector
 * registers would wait for the store buffer each time. */
#if defined(__x86_64__)
#pragma GCC target("general-regs-only")
#endif
#pragma GCC optimize("no-tree-slp-vectorize")
#pragma GCC diagnostic ignored "-Woverride-init"

#include "evm.h"

#include "code.h"
#include "frame.h"

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

const ghost_opcode_info ghost_opcode_table[256] = {
    [0 ... 255] = {0, 0, 0, GHOST_FORK_COUNT},
#define ROW(code, name, gas, taken, left, fork) [code] = {gas, taken, left, GHOST_FORK_##fork},
    GHOST_OPCODES(ROW)
#undef ROW
};

#define STORE_REGISTERS \
    do { \
        *sp = top; \
        frame->top = sp; \
        frame->gas = gas; \
    } while (0)
#define LOAD_REGISTERS \
    do { \
        sp = frame->top; \
        top = *sp; \
        gas = frame->gas; \
    } while (0)
#define FAIL(reason) \
    do { \
        exit = (reason); \
        goto finish; \
    } while (0)
#define FINISH FAIL(GHOST_EXIT_SUCCESS)
#define HELP_WITH(call) \
    do { \
        STORE_REGISTERS; \
        exit = (call); \
        LOAD_REGISTERS; \
        if (UNLIKELY(exit != 0)) \
            goto finish; \
    } while (0)
#define HELP(function) HELP_WITH(function(frame))
/* Makes the size bytes of memory from the top word on usable. */
#define REACH(size) \
    do { \
        const uint64_t high = top.limbs[1] | top.limbs[2] | top.limbs[3] | top.limbs[0] >> 32; \
        if (UNLIKELY(high != 0 || top.limbs[0] + (size) > frame->memory_size)) \
            HELP_WITH(evm_memory_reach(frame, (size))); \
    } while (0)

/* window: 64 bytes of scratch, one for all handlers. */
static inline u256 word_shift_left(uint64_t *window, const u256 *a, const u256 *bits) {
    if (UNLIKELY(!u256_fits_u64(bits) || bits->limbs[0] > 255))
        return (u256){{0}};
    return u256_shift_left_through(window, a, (unsigned)bits->limbs[0]);
}

static inline u256 word_shift_right(uint64_t *window, const u256 *a, const u256 *bits,
                                    uint64_t fill) {
    if (UNLIKELY(!u256_fits_u64(bits) || bits->limbs[0] > 255))
        return (u256){{fill, fill, fill, fill}};
    return u256_shift_right_through(window, a, (unsigned)bits->limbs[0], fill);
}

#include "careful.inc"
#include "fast.inc"

const void *const *evm_fast_handlers(void) {
    const void *const *handlers;
    run_fast(NULL, &handlers);
    return handlers;
}

void ghost_evm_execute(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                       const ghost_code *code, ghost_call_result *result) {
    const evm_code *translated = code->analysis;
    ghost_evm_memory *memory = vm->memory;
    evm_depth *depth = &memory->depths[message->depth];
    evm_frame *frame = &depth->frame;
    if (message->depth == 0)
        memory->stack_next = memory->stack;
    evm_memory_trim(depth);
    frame->gas = message->gas;
    frame->bottom = frame->top = memory->stack_next;
    *frame->bottom = (u256){{0}};
    frame->memory = depth->memory;
    frame->memory_size = 0;
    frame->vm = vm;
    frame->message = message;
    frame->self = self;
    frame->code = code;
    frame->return_data = NULL;
    frame->return_length = 0;
    frame->output = NULL;
    frame->output_length = 0;
    frame->jumps = translated->jumps;
    frame->jump_shift = translated->jump_shift;
    bool is_exact = vm->tracer != NULL && vm->tracer->is_exact;
    int exit = is_exact ? run_careful(frame, 0) : run_fast(frame, NULL);
    bool gives_back = exit <= GHOST_EXIT_REVERT;
    result->exit = (uint8_t)exit;
    result->gas_left = gives_back ? frame->gas : 0;
    result->output = gives_back ? frame->output : NULL;
    result->output_length = gives_back ? frame->output_length : 0;
}
