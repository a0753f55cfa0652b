/* The import module vm_hooks: what contracts may call, under Stylus' names and meanings.
 *
 * A call of a host function leaves the contract through one trampoline: it takes the price of the
 * call, lets the function work, and puts the ink that is left back into the contract's global. A
 * function that ends the frame does so by a trap, with its reason kept in the activation. */
#include "activation.h"
#include "hosts.h"

/* ---- memory ---- */

/* 1,000 gas a page, and the square of what all frames have open, so that a transaction cannot hold
 * much more memory than the EVM lets it: 16.7 million gas buy 120 MiB. */
bool activation_open_pages(activation *self, uint64_t pages) {
    uint64_t open = self->context->open_pages, then = open + pages;
    uint64_t gas = pages * GAS_PAGE + (then * then - open * open) * GAS_PAGE_SQUARED;
    if (!take_ink(self, gas * INK_PER_GAS))
        return false;
    self->pages += (uint32_t)pages;
    self->context->open_pages = then;
    return true;
}

/* Called before memory.grow by code that was put there. What cannot be had costs nothing more:
 * memory.grow answers -1 by itself. */
static int host_pay_for_memory_grow(activation *self, wasmtime_raw *values) {
    uint64_t pages = values[0].i32;
    if (pages * WASM_PAGE_BYTES + self->memory->bytes > self->memory->bytes_max)
        return 0;
    return activation_open_pages(self, pages) ? 0 : GHOST_EXIT_OUT_OF_GAS;
}

/* ---- arguments, result, end ---- */

static int host_read_args(activation *self, wasmtime_raw *values) {
    const ghost_message *message = self->frame.message;
    uint8_t *out = bytes_at(self, values[0], message->input_length);
    if (out == NULL)
        return HOST_BOUNDS;
    if (!take_ink(self, message->input_length * INK_COPY_BYTE))
        return GHOST_EXIT_OUT_OF_GAS;
    if (message->input_length > 0)
        memcpy(out, message->input, message->input_length);
    return 0;
}

static int host_write_result(activation *self, wasmtime_raw *values) {
    uint32_t length = values[1].i32;
    const uint8_t *data = bytes_at(self, values[0], length);
    if (data == NULL)
        return HOST_BOUNDS;
    if (!take_ink(self, (uint64_t)length * INK_RESULT_BYTE))
        return GHOST_EXIT_OUT_OF_GAS;
    ghost_call_result kept = {0};
    int exit = ghost_host_output(&self->frame, data, length, &kept);
    self->output = kept.output;
    self->output_length = kept.output_length;
    return exit;
}

static int host_exit_early(activation *self, wasmtime_raw *values) {
    self->exit = values[0].i32 == 0 ? GHOST_EXIT_SUCCESS : GHOST_EXIT_REVERT;
    return HOST_LEAVE;
}

/* ---- what the block, the transaction and the message are ---- */

static int give_word(activation *self, wasmtime_raw *values, const u256 *word) {
    uint8_t *out = bytes_at(self, values[0], 32);
    if (out == NULL)
        return HOST_BOUNDS;
    u256_to_be(out, word);
    return 0;
}

static int give_address(activation *self, wasmtime_raw *values, const ghost_address *address) {
    uint8_t *out = bytes_at(self, values[0], 20);
    if (out == NULL)
        return HOST_BOUNDS;
    memcpy(out, address->bytes, 20);
    return 0;
}

static int give_number(wasmtime_raw *values, uint64_t number) {
    values[0].i64 = number;
    return 0;
}

static int host_block_basefee(activation *self, wasmtime_raw *values) {
    return give_word(self, values, &self->frame.vm->block.base_fee);
}

static int host_block_coinbase(activation *self, wasmtime_raw *values) {
    return give_address(self, values, &self->frame.vm->block.coinbase);
}

static int host_block_gas_limit(activation *self, wasmtime_raw *values) {
    return give_number(values, self->frame.vm->block.gas_limit);
}

static int host_block_number(activation *self, wasmtime_raw *values) {
    return give_number(values, self->frame.vm->block.number);
}

static int host_block_timestamp(activation *self, wasmtime_raw *values) {
    return give_number(values, self->frame.vm->block.timestamp);
}

static int host_chainid(activation *self, wasmtime_raw *values) {
    return give_number(values, self->frame.vm->block.chain_id);
}

static int host_contract_address(activation *self, wasmtime_raw *values) {
    return give_address(self, values, &self->frame.message->recipient);
}

static int host_evm_gas_left(activation *self, wasmtime_raw *values) {
    return give_number(values, self->gas_beside + self->ink / INK_PER_GAS);
}

static int host_evm_ink_left(activation *self, wasmtime_raw *values) {
    return give_number(values, self->ink);
}

static int host_msg_sender(activation *self, wasmtime_raw *values) {
    return give_address(self, values, &self->frame.message->sender);
}

static int host_msg_value(activation *self, wasmtime_raw *values) {
    return give_word(self, values, &self->frame.message->value);
}

static bool acts_as_itself(const activation *frame) {
    return frame->frame.message->kind == GHOST_CALL ||
           frame->frame.message->kind == GHOST_STATICCALL;
}

/* Whether two frames of this contract, not counting borrowed code, are running. Frames around this
 * one do not change, so one look at them is enough. */
static int host_msg_reentrant(activation *self, wasmtime_raw *values) {
    const ghost_address *own = &self->frame.message->recipient;
    if (self->reentrant == 0) {
        unsigned running = 0;
        for (const activation *frame = self; frame != NULL && running < 2; frame = frame->outer)
            running += acts_as_itself(frame) &&
                       memcmp(&frame->frame.message->recipient, own, sizeof *own) == 0;
        self->reentrant = running > 1 ? 2 : 1;
    }
    return give_number(values, self->reentrant == 2);
}

static int host_tx_gas_price(activation *self, wasmtime_raw *values) {
    return give_word(self, values, &self->frame.vm->tx.gas_price);
}

static int host_tx_ink_price(activation *self, wasmtime_raw *values) {
    (void)self;
    return give_number(values, INK_PER_GAS);
}

static int host_tx_origin(activation *self, wasmtime_raw *values) {
    return give_address(self, values, &self->frame.vm->tx.origin);
}

/* ---- the table and its trampoline ---- */

static const struct host {
    const char *name, *parameters, *results;
    host_run *run;
} hosts[WASM_HOST_COUNT] = {
#define HOST_ROW(name, parameters, results) {#name, parameters, results, host_##name},
    GHOST_WASM_HOSTS(HOST_ROW)
#undef HOST_ROW
};

static wasm_trap *leave(activation *self, int exit) {
    self->has_ended = true;
    if (exit != HOST_LEAVE)
        self->exit = (uint8_t)exit;
    return wasm.api.wasmtime_trap_new_code(WASMTIME_TRAP_UNREACHABLE);
}

static wasm_trap *enter(void *env, wasmtime_caller *caller, wasmtime_raw *values, size_t count) {
    (void)count;
    const struct host *host = env;
    wasmtime_context *store = wasm.api.wasmtime_caller_context(caller);
    activation *self = wasm.api.wasmtime_context_get_data(store);
    wasmtime_value word;
    wasm.api.wasmtime_global_get(store, &self->ink_global, &word);
    self->ink = (uint64_t)word.of.i64;
    int exit = take_ink(self, INK_HOST) ? host->run(self, values) : GHOST_EXIT_OUT_OF_GAS;
    word.of.i64 = (int64_t)self->ink;
    wasmtime_error *error = wasm.api.wasmtime_global_set(store, &self->ink_global, &word);
    if (error != NULL)
        wasm.api.wasmtime_error_delete(error);
    return exit == 0 ? NULL : leave(self, exit);
}

static wasm_functype *type_of(const struct host *host) {
    const char *const letters[2] = {host->parameters, host->results};
    wasm_valtypes lists[2];
    for (int i = 0; i < 2; i++) {
        wasm_valtype *types[8];
        size_t count = strlen(letters[i]);
        for (size_t k = 0; k < count; k++)
            types[k] =
                wasm.api.wasm_valtype_new(letters[i][k] == 'l' ? WASMTIME_I64 : WASMTIME_I32);
        wasm.api.wasm_valtype_vec_new(&lists[i], count, types);
    }
    return wasm.api.wasm_functype_new(&lists[0], &lists[1]);
}

wasmtime_error *hosts_link(wasmtime_linker *linker) {
    static const char module[] = "vm_hooks";
    for (size_t i = 0; i < WASM_HOST_COUNT; i++) {
        wasm_functype *type = type_of(&hosts[i]);
        wasmtime_error *error = wasm.api.wasmtime_linker_define_func_unchecked(
            linker, module, sizeof module - 1, hosts[i].name, strlen(hosts[i].name), type, enter,
            (void *)&hosts[i], NULL);
        wasm.api.wasm_functype_delete(type);
        if (error != NULL)
            return error;
    }
    return NULL;
}
