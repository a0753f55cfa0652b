/* Recording of what a run does, whichever engine does it: a flat list of frames in the order in
 * which they begin, and whatever else is watched beside it, from the hooks of ghost_tracer. */
#include <stdlib.h>
#include <time.h>

#include "trace.h"

enum { TICKS_PER_LOOK = 4096, FRAME_TICKS = 16, BYTES_PER_TICK = 256 };

/* ---- bounds ---- */

const uint8_t *trace_keep(trace *trace, const uint8_t *bytes, size_t length) {
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

bool trace_has_room(trace *trace, size_t count) {
    if (count < GHOST_TRACE_ITEMS_MAX)
        return true;
    trace->is_cut = true;
    return false;
}

static bool is_over(const trace *trace) {
    struct timespec now;
    if (trace->executor->vm.stop != 0 || trace->watch.deadline_ns == 0)
        return trace->executor->vm.stop != 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec >= trace->watch.deadline_ns;
}

int trace_check_time(trace *trace, uint64_t weight) {
    trace->ticks += weight;
    if (trace->ticks < TICKS_PER_LOOK)
        return 0;
    trace->ticks = 0;
    if (!is_over(trace))
        return 0;
    trace->executor->vm.status = GHOST_STOPPED;
    return GHOST_EXIT_ABORT;
}

/* ---- frames ---- */

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
    if (executor_precompile(&executor->vm, account) != NULL)
        return GHOST_TRACE_PRECOMPILE;
    ghost_address delegate;
    if (state->fork >= GHOST_FORK_PRAGUE && ghost_code_delegate(&code->code, &delegate)) {
        account = state_account(state, &delegate);
        if (account == NULL || executor_precompile(&executor->vm, account) != NULL)
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
    trace->open[depth] = GHOST_TRACE_NO_FRAME;
    if (trace->frames.count >= GHOST_TRACE_FRAMES_MAX || !LIST_RESERVE(trace->frames, 1)) {
        trace->is_cut = true;
        return NULL;
    }
    if (depth > 0 && trace->open[depth - 1] != GHOST_TRACE_NO_FRAME)
        trace->frames.items[trace->open[depth - 1]].children++;
    trace->open[depth] = (uint32_t)trace->frames.count;
    ghost_trace_frame *frame = &trace->frames.items[trace->frames.count++];
    memset(frame, 0, sizeof *frame);
    frame->depth = (uint16_t)depth;
    frame->transaction = trace->transaction;
    return frame;
}

static int enter(void *context, const ghost_message *message) {
    trace *trace = context;
    bool is_creation = message->kind >= GHOST_CREATE;
    ghost_trace_frame *frame = add_frame(trace, message->depth);
    if (frame != NULL) {
        frame->kind = message->kind;
        frame->is_static = message->is_static;
        frame->engine = engine_of(trace->executor, message);
        memcpy(frame->from, message->sender.bytes, 20);
        if (message->kind == GHOST_DELEGATECALL)
            memcpy(frame->from, message->recipient.bytes, 20);
        memcpy(frame->to, is_creation ? message->recipient.bytes : message->code_address.bytes,
               20);
        u256_to_be(frame->value, &message->value);
        frame->gas = message->gas;
        frame->input_length = message->input_length;
        frame->input = trace_keep(trace, message->input, message->input_length);
    }
    /* What a transaction calls was reached when it started, delegated as it was then. */
    bool is_started = message->depth == 0 && trace->transaction != GHOST_TRACE_NO_TRANSACTION;
    if (trace->watch.touches && (is_creation || !is_started)) {
        uint32_t caller =
            message->depth == 0 ? GHOST_TRACE_NO_FRAME : trace->open[message->depth - 1];
        if (is_creation)
            touches_creation(trace, &message->recipient, caller);
        else
            touches_callee(trace, &message->code_address, caller);
    }
    return trace_check_time(trace, FRAME_TICKS + message->input_length / BYTES_PER_TICK);
}

static void leave(void *context, const ghost_message *message, const ghost_call_result *result) {
    trace *trace = context;
    uint32_t at = trace->open[message->depth];
    ghost_fault fault = trace->executor->vm.fault;
    trace->executor->vm.fault = (ghost_fault){0};
    if (at == GHOST_TRACE_NO_FRAME)
        return;
    ghost_trace_frame *frame = &trace->frames.items[at];
    frame->exit = result->exit;
    if (result->exit > GHOST_EXIT_REVERT) {
        frame->fault = fault.kind;
        frame->fault_opcode = fault.opcode;
        frame->fault_have = fault.have;
        frame->fault_want = fault.want;
    }
    frame->gas_used = message->gas - (result->exit == GHOST_EXIT_ABORT ? 0 : result->gas_left);
    frame->output_length = result->output_length;
    frame->output = trace_keep(trace, result->output, result->output_length);
    if (message->kind < GHOST_CREATE || result->exit != GHOST_EXIT_SUCCESS)
        return;
    /* A creation's output is the code it placed. */
    account_entry *created = state_account(&trace->executor->state, &result->created);
    const code_entry *code =
        created == NULL ? NULL : state_code(&trace->executor->state, created);
    if (code == NULL)
        return;
    frame->output_length = code->code.length;
    frame->output = trace_keep(trace, code->code.bytes, code->code.length);
}

static void destroy(void *context, const ghost_message *message, const ghost_address *from,
                    const ghost_address *to, const u256 *balance) {
    trace *trace = context;
    if (trace->watch.touches)
        touches_destruction(trace, message, to, trace->open[message->depth]);
    ghost_trace_frame *frame = add_frame(trace, message->depth + 1u);
    if (frame == NULL)
        return;
    frame->kind = GHOST_TRACE_SELFDESTRUCT;
    frame->engine = GHOST_TRACE_NOTHING;
    memcpy(frame->from, from->bytes, 20);
    memcpy(frame->to, to->bytes, 20);
    u256_to_be(frame->value, balance);
}

/* ---- logs and hashes ---- */

static void on_log(void *context, const ghost_message *message) {
    trace *trace = context;
    const ghost_state *state = &trace->executor->state;
    uint32_t at = trace->open[message->depth];
    if (state->logs.count == 0 || at == GHOST_TRACE_NO_FRAME ||
        !trace_has_room(trace, trace->logs.count) || !LIST_RESERVE(trace->logs, 1)) {
        trace->is_cut = true;
        return;
    }
    ghost_trace_log *kept = &trace->logs.items[trace->logs.count++];
    kept->frame = at;
    kept->position = trace->frames.items[at].children;
    kept->index = (uint32_t)(state->logs.count - 1);
    kept->transaction = trace->transaction;
    kept->log = state->logs.items[state->logs.count - 1];
    kept->log.data = trace_keep(trace, kept->log.data, kept->log.data_length);
}

static void on_hash(void *context, const uint8_t *data, size_t length) {
    trace *trace = context;
    if (!trace_has_room(trace, trace->hashes.count) || !LIST_RESERVE(trace->hashes, 1)) {
        trace->is_cut = true;
        return;
    }
    trace->hashes.items[trace->hashes.count++] =
        (ghost_view){trace_keep(trace, data, length), length};
}

/* ---- for the executor ---- */

static trace *new_trace(ghost_executor *executor, const ghost_trace_watch *watch) {
    trace *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->executor = executor;
    made->watch = *watch;
    made->hooks = (ghost_tracer){
        .context = made,
        .is_exact = watch->exact || watch->touches || watch->accesses || watch->hashes ||
                    watch->steps != GHOST_TRACE_STEPS_NONE,
        .enter = enter,
        .leave = leave,
        .destroy = destroy,
        .step = watch->steps == GHOST_TRACE_STEPS_JSON      ? trace_on_json_step
                : watch->steps == GHOST_TRACE_STEPS_RECORDS ? trace_on_step
                                                            : NULL,
        .account = watch->touches || watch->accesses ? trace_on_account : NULL,
        .slot = watch->touches || watch->accesses ? trace_on_slot : NULL,
        .log = watch->logs ? on_log : NULL,
        .hash = watch->hashes ? on_hash : NULL,
    };
    return made;
}

int ghost_executor_trace(ghost_executor *executor, const ghost_trace_watch *watch) {
    trace_free(executor->trace);
    executor->trace = NULL;
    executor->vm.tracer = NULL;
    if (watch == NULL)
        return GHOST_OK;
    executor->trace = new_trace(executor, watch);
    return executor->trace == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

void ghost_executor_recorded(const ghost_executor *executor, ghost_trace *out) {
    const trace *trace = executor->trace;
    memset(out, 0, sizeof *out);
    if (trace == NULL)
        return;
    out->frames = trace->frames.items;
    out->frame_count = trace->frames.count;
    out->logs = trace->logs.items;
    out->log_count = trace->logs.count;
    out->accounts = trace->accounts.items;
    out->account_count = trace->accounts.count;
    out->slots = trace->slots.items;
    out->slot_count = trace->slots.count;
    out->accesses = trace->accesses.items;
    out->access_count = trace->accesses.count;
    out->hashes = trace->hashes.items;
    out->hash_count = trace->hashes.count;
    out->steps = trace->steps.items;
    out->step_count = trace->steps.count;
    out->json = trace->json.bytes;
    out->json_length = trace->json.length;
    out->marks = trace->json.marks.items;
    out->mark_count = trace->json.marks.count;
    out->byte_count = trace->byte_count;
    out->is_cut = trace->is_cut;
}

ghost_recording *ghost_executor_take_recording(ghost_executor *executor) {
    trace *taken = executor->trace;
    trace *fresh = taken == NULL ? NULL : new_trace(executor, &taken->watch);
    if (fresh == NULL)
        return NULL;
    executor->trace = fresh;
    executor->vm.tracer = NULL;
    return (ghost_recording *)taken;
}

void ghost_recording_free(ghost_recording *recording) {
    trace_free((trace *)recording);
}

void ghost_executor_stop(ghost_executor *executor, int on) {
    executor->vm.stop = on != 0;
}

void trace_begin_on(ghost_executor *executor) {
    trace *trace = executor->trace;
    trace->frames.count = trace->logs.count = trace->accesses.count = 0;
    trace->hashes.count = trace->steps.count = 0;
    touches_clear(trace);
    json_clear(trace);
    trace->byte_count = 0;
    trace->ticks = TICKS_PER_LOOK;        /* the first event looks at the clock */
    trace->is_cut = false;
    state_arena_cut(&trace->bytes, (arena_mark){0, 0});
    trace_transaction_on(executor, GHOST_TRACE_NO_TRANSACTION);
}

void trace_transaction_on(ghost_executor *executor, size_t index) {
    trace *trace = executor->trace;
    bool is_watched = trace->watch.transaction == GHOST_TRACE_NO_TRANSACTION ||
                      trace->watch.transaction == index;
    trace->transaction = (uint32_t)index;
    if (is_over(trace))           /* between those that nobody watches, too */
        executor->state.status = GHOST_STOPPED;
    executor->vm.tracer = is_watched ? &trace->hooks : NULL;
    executor->vm.fault = (ghost_fault){0};
    touches_begin_transaction(trace);
    json_begin_transaction(trace);
}

void trace_free(trace *trace) {
    if (trace == NULL)
        return;
    free(trace->frames.items);
    free(trace->logs.items);
    free(trace->accesses.items);
    free(trace->hashes.items);
    free(trace->steps.items);
    touches_free(trace);
    json_free(trace);
    state_arena_free(&trace->bytes);
    free(trace);
}
