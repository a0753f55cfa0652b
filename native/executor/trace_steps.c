/* Steps of the EVM as records, for tracers that are written elsewhere. */
#include "../evm/opcodes.h"
#include "trace.h"

/* How much code the account has that a call or EXTCODE* names; 0 for other instructions. */
static uint32_t named_code_size(trace *trace, const ghost_step *step) {
    ghost_state *state = &trace->executor->state;
    uint32_t place;
    switch (step->opcode) {
    case OP_EXTCODESIZE:
    case OP_EXTCODECOPY:
    case OP_EXTCODEHASH:
        place = 0;
        break;
    case OP_CALL:
    case OP_CALLCODE:
    case OP_DELEGATECALL:
    case OP_STATICCALL:
        place = 1;
        break;
    default:
        return 0;
    }
    if (step->stack_size <= place)
        return 0;
    const ghost_address address = u256_to_address(step->stack_top - place);
    account_entry *account = state_account(state, &address);
    const code_entry *code = account == NULL ? NULL : state_code(state, account);
    return code == NULL ? 0 : (uint32_t)code->code.length;
}

static const uint8_t *keep_stack(trace *trace, const ghost_step *step, uint32_t words) {
    size_t length = (size_t)words * 32;
    uint8_t *copy = NULL;
    if (words == 0)
        return NULL;
    if (length <= GHOST_TRACE_BYTES_MAX - trace->byte_count)
        copy = state_arena_take(&trace->bytes, length);
    if (copy == NULL) {
        trace->is_cut = true;
        return NULL;
    }
    trace->byte_count += length;
    for (uint32_t i = 0; i < words; i++)
        u256_to_be(copy + (size_t)i * 32, step->stack_top - (words - 1 - i));
    return copy;
}

int trace_on_step(void *context, const ghost_step *step) {
    trace *trace = context;
    const ghost_trace_watch *watch = &trace->watch;
    if (trace_check_time(trace, 1) != 0)
        return GHOST_EXIT_ABORT;
    if (!trace_has_room(trace, trace->steps.count) || !LIST_RESERVE(trace->steps, 1)) {
        trace->is_cut = true;
        return 0;
    }
    ghost_trace_step *kept = &trace->steps.items[trace->steps.count++];
    uint32_t words =
        step->stack_size < watch->step_stack_words ? step->stack_size : watch->step_stack_words;
    *kept = (ghost_trace_step){
        .frame = trace->open[step->message->depth],
        .pc = step->pc,
        .opcode = step->opcode,
        .exit = step->exit,
        .fault = step->fault.kind,
        .fault_have = step->fault.have,
        .fault_want = step->fault.want,
        .depth = step->message->depth,
        .gas = step->gas,
        .cost = step->cost,
        .refund = step->refund > 0 ? (uint64_t)step->refund : 0,
        .code_size = watch->accesses ? named_code_size(trace, step) : 0,
        .stack_size = step->stack_size,
        .stack = keep_stack(trace, step, words),
        .memory_length = step->memory_size,
        .return_length = step->return_length,
    };
    kept->stack_words = kept->stack == NULL ? 0 : words;
    if (watch->step_memory)
        kept->memory = trace_keep(trace, step->memory, step->memory_size);
    if (watch->step_return_data)
        kept->return_data = trace_keep(trace, step->return_data, step->return_length);
    return 0;
}
