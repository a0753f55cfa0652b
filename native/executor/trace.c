/* Recording of call frames, whichever engine runs them: a flat list in the order in which frames
 * begin, from the hooks that the executor has around every call and creation anyway. */
#include <stdlib.h>

#include "overlay.h"

static const uint32_t not_recorded = UINT32_MAX;

struct trace {
    ghost_tracer hooks;
    ghost_executor *executor;
    LIST_OF(ghost_trace_frame) frames;
    arena bytes;                  /* inputs and outputs */
    uint64_t byte_count;
    uint32_t transaction;
    bool is_cut;
    uint32_t open[CALL_DEPTH_MAX + 2];    /* by depth: the place in frames of the one that runs */
};

/* A copy that lives until the next run; NULL and cut when it would be too much. */
static const uint8_t *keep_bytes(trace *trace, const uint8_t *bytes, size_t length) {
    if (length == 0)
        return NULL;
    uint8_t *copy = NULL;
    if (length <= GHOST_TRACE_BYTES_MAX - trace->byte_count)
        copy = state_arena_take(&trace->bytes, length);
    if (copy == NULL) {
        trace->is_cut = true;
        return NULL;
    }
    memcpy(copy, bytes, length);
    trace->byte_count += length;
    return copy;
}

/* What will run: looked up without warming anything. */
static uint8_t engine_of(ghost_executor *executor, const ghost_message *message) {
    ghost_state *state = &executor->state;
    bool hybrid = executor->vm.hybrid;
    if (message->kind >= GHOST_CREATE)
        return hybrid && ghost_is_wasm(message->input, message->input_length)
                   ? GHOST_TRACE_WASM
                   : GHOST_TRACE_EVM;
    account_entry *account = state_account(state, &message->code_address);
    const code_entry *code = account == NULL ? NULL : state_code(state, account);
    if (code == NULL)
        return GHOST_TRACE_NOTHING;
    if ((account->precompile_forks >> state->fork) & 1)
        return GHOST_TRACE_PRECOMPILE;
    ghost_address delegate;
    if (state->fork >= GHOST_FORK_PRAGUE && ghost_code_delegate(&code->code, &delegate)) {
        account = state_account(state, &delegate);
        if (account == NULL || ((account->precompile_forks >> state->fork) & 1))
            return GHOST_TRACE_NOTHING;
        code = state_code(state, account);
    }
    if (code == NULL || code->code.length == 0)
        return GHOST_TRACE_NOTHING;
    if (hybrid && ghost_is_wasm(code->code.bytes, code->code.length))
        return GHOST_TRACE_WASM;
    if (hybrid && ghost_is_contract(code->code.bytes, code->code.length))
        return GHOST_TRACE_CONTRACT;
    return GHOST_TRACE_EVM;
}

/* NULL when the bounds are reached. */
static ghost_trace_frame *add_frame(trace *trace, unsigned depth) {
    trace->open[depth] = not_recorded;
    if (trace->frames.count >= GHOST_TRACE_FRAMES_MAX || !LIST_RESERVE(trace->frames, 1)) {
        trace->is_cut = true;
        return NULL;
    }
    trace->open[depth] = (uint32_t)trace->frames.count;
    ghost_trace_frame *frame = &trace->frames.items[trace->frames.count++];
    memset(frame, 0, sizeof *frame);
    frame->depth = (uint16_t)depth;
    frame->transaction = trace->transaction;
    return frame;
}

static void enter(void *context, const ghost_message *message) {
    trace *trace = context;
    ghost_trace_frame *frame = add_frame(trace, message->depth);
    if (frame == NULL)
        return;
    bool is_creation = message->kind >= GHOST_CREATE;
    frame->kind = message->kind;
    frame->is_static = message->is_static;
    frame->engine = engine_of(trace->executor, message);
    memcpy(frame->from, message->sender.bytes, 20);
    if (message->kind == GHOST_DELEGATECALL)
        memcpy(frame->from, message->recipient.bytes, 20);
    memcpy(frame->to, is_creation ? message->recipient.bytes : message->code_address.bytes, 20);
    u256_to_be(frame->value, &message->value);
    frame->gas = message->gas;
    frame->input_length = message->input_length;
    frame->input = keep_bytes(trace, message->input, message->input_length);
}

static void leave(void *context, const ghost_message *message, const ghost_call_result *result) {
    trace *trace = context;
    uint32_t at = trace->open[message->depth];
    if (at == not_recorded)
        return;
    ghost_trace_frame *frame = &trace->frames.items[at];
    frame->exit = result->exit;
    frame->gas_used = message->gas - (result->exit == GHOST_EXIT_ABORT ? 0 : result->gas_left);
    frame->output_length = result->output_length;
    frame->output = keep_bytes(trace, result->output, result->output_length);
    if (message->kind < GHOST_CREATE || result->exit != GHOST_EXIT_SUCCESS)
        return;
    /* A creation's output is the code it placed. */
    account_entry *created = state_account(&trace->executor->state, &result->created);
    const code_entry *code =
        created == NULL ? NULL : state_code(&trace->executor->state, created);
    if (code == NULL)
        return;
    frame->output_length = code->code.length;
    frame->output = keep_bytes(trace, code->code.bytes, code->code.length);
}

static void destroy(void *context, const ghost_message *message, const ghost_address *from,
                    const ghost_address *to, const u256 *balance) {
    ghost_trace_frame *frame = add_frame(context, message->depth + 1u);
    if (frame == NULL)
        return;
    frame->kind = GHOST_TRACE_SELFDESTRUCT;
    frame->engine = GHOST_TRACE_NOTHING;
    memcpy(frame->from, from->bytes, 20);
    memcpy(frame->to, to->bytes, 20);
    u256_to_be(frame->value, balance);
}

/* ---- for the executor ---- */

int ghost_executor_trace(ghost_executor *executor, int on) {
    if (!on) {
        trace_free(executor->trace);
        executor->trace = NULL;
        executor->vm.tracer = NULL;
        return GHOST_OK;
    }
    if (executor->trace != NULL)
        return GHOST_OK;
    trace *made = calloc(1, sizeof *made);
    if (made == NULL)
        return GHOST_OUT_OF_MEMORY;
    made->executor = executor;
    made->hooks = (ghost_tracer){made, NULL, enter, leave, destroy};
    executor->trace = made;
    executor->vm.tracer = &made->hooks;
    return GHOST_OK;
}

void ghost_executor_frames(const ghost_executor *executor, ghost_trace *out) {
    const trace *trace = executor->trace;
    memset(out, 0, sizeof *out);
    if (trace == NULL)
        return;
    out->frames = trace->frames.items;
    out->frame_count = trace->frames.count;
    out->is_cut = trace->is_cut;
}

void trace_begin(trace *trace) {
    if (trace == NULL)
        return;
    trace->frames.count = 0;
    trace->byte_count = 0;
    trace->is_cut = false;
    trace->transaction = GHOST_TRACE_NO_TRANSACTION;
    state_arena_cut(&trace->bytes, (arena_mark){0, 0});
}

void trace_transaction(trace *trace, size_t index) {
    if (trace != NULL)
        trace->transaction = (uint32_t)index;
}

void trace_free(trace *trace) {
    if (trace == NULL)
        return;
    free(trace->frames.items);
    state_arena_free(&trace->bytes);
    free(trace);
}
