/* One frame: instance, ink, call, and what came of it.
 *
 * Each frame has a store and an instance of its own, made from the compiled module and dropped
 * afterwards. A call made by a contract runs inside its host function, so frames nest on the
 * native stack as those of the EVM do.
 *
 * Gas and ink: a frame that gets G gas has 10,000 G ink; what it gives back is its ink / 10,000
 * rounded down. What the state costs (ghost_host_*) is taken in whole gas. */
#include <stdio.h>
#include <stdlib.h>

#include "../keccak/keccak.h"
#include "activation.h"

enum {
    /* More gas than this is kept beside, for ink to stay below 2^63. */
    GAS_AS_INK_MAX_SHIFT = 48,
    USED_ROOM_FIRST = 64
};

#define GAS_AS_INK_MAX (UINT64_C(1) << GAS_AS_INK_MAX_SHIFT)

/* ---- which modules a block has used ---- */

/* The place of a hash, or the free one for it. (None of ours begins with eight zero bytes but by
 * 2^64 tries, and would merely cost the cold price each time.) */
static ghost_hash *used_place(ghost_hash *table, uint32_t room, const ghost_hash *hash) {
    uint32_t at = (uint32_t)load_be64(hash->bytes) & (room - 1);
    while (load_be64(table[at].bytes) != 0 && memcmp(&table[at], hash, sizeof *hash) != 0)
        at = (at + 1) & (room - 1);
    return &table[at];
}

/* Makes room for one more hash. False when memory is out. */
static bool grow_used(wasm_context *context) {
    if (2 * (context->used_count + 1) <= context->used_room)
        return true;
    uint32_t room = context->used_room == 0 ? USED_ROOM_FIRST : 2 * context->used_room;
    ghost_hash *old = context->used;
    ghost_hash *grown = calloc(room, sizeof *grown);
    if (grown == NULL)
        return false;
    for (uint32_t i = 0; i < context->used_room; i++) {
        if (load_be64(old[i].bytes) != 0)
            *used_place(grown, room, &old[i]) = old[i];
    }
    free(old);
    context->used = grown;
    context->used_room = room;
    return true;
}

/* Whether the block has run code before. */
static bool is_used(wasm_context *context, uint64_t serial, const ghost_hash *hash) {
    if (context->block_serial != serial) {
        context->block_serial = serial;
        if (context->used_count > 0)
            memset(context->used, 0, context->used_room * sizeof *context->used);
        context->used_count = 0;
    }
    return context->used_count > 0 &&
           load_be64(used_place(context->used, context->used_room, hash)->bytes) != 0;
}

/* The block has run code now. Reverting does not undo it: the module is in memory all the same. A
 * call outside of a block begins with nothing used. */
static bool set_used(wasm_context *context, const ghost_hash *hash) {
    if (!grow_used(context))
        return false;
    *used_place(context->used, context->used_room, hash) = *hash;
    context->used_count++;
    return true;
}

/* ---- the frame ---- */

static void set_global(activation *self, const wasmtime_global *global, uint8_t kind,
                       uint64_t value) {
    wasmtime_value word = {.kind = kind};
    word.of.i64 = (int64_t)value;
    wasmtime_error *error = wasm.api.wasmtime_global_set(self->store, global, &word);
    if (error != NULL)
        wasm.api.wasmtime_error_delete(error);
}

static int64_t ink_now(activation *self) {
    wasmtime_value word;
    wasm.api.wasmtime_global_get(self->store, &self->ink_global, &word);
    return word.of.i64;
}

static wasmtime_extern export_at(activation *self, const wasmtime_instance *instance,
                                 size_t place) {
    wasmtime_extern found = {0};
    char *name;
    size_t length;
    wasm.api.wasmtime_instance_export_nth(self->store, instance, place, &name, &length, &found);
    return found;
}

/* What ended the contract without its saying so. */
static uint8_t exit_of_trap(activation *self) {
    if (self->has_ended)
        return self->exit;
    return ink_now(self) < 0 ? GHOST_EXIT_OUT_OF_GAS : GHOST_EXIT_WASM_TRAP;
}

static void abort_with(activation *self, int status) {
    ghost_vm *vm = self->frame.vm;
    if (vm->status == GHOST_OK)
        vm->status = status;
    self->exit = GHOST_EXIT_ABORT;
}

/* Takes gas to ink and calls the entry point. */
static void run_instance(activation *self, const compiled *module,
                         const wasmtime_instance *instance) {
    wasmtime_func entry = export_at(self, instance, module->exports[EXPORT_ENTRY]).of.func;
    wasmtime_global stack = export_at(self, instance, module->exports[EXPORT_STACK]).of.global;
    self->ink_global = export_at(self, instance, module->exports[EXPORT_INK]).of.global;
    set_global(self, &stack, WASMTIME_I32, GHOST_WASM_STACK_SLOTS);
    set_global(self, &self->ink_global, WASMTIME_I64, self->ink);
    wasmtime_raw word = {.i32 = (uint32_t)self->frame.message->input_length};
    wasm_trap *trap = NULL;
    wasmtime_error *error =
        wasm.api.wasmtime_func_call_unchecked(self->store, &entry, &word, 1, &trap);
    if (error != NULL) {
        wasm.api.wasmtime_error_delete(error);
        abort_with(self, GHOST_OUT_OF_MEMORY);
    } else if (trap != NULL) {
        wasm.api.wasm_trap_delete(trap);
        self->exit = exit_of_trap(self);
    } else {
        self->exit = word.i32 == 0 ? GHOST_EXIT_SUCCESS : GHOST_EXIT_REVERT;
    }
    if (self->exit <= GHOST_EXIT_REVERT)
        self->ink = (uint64_t)ink_now(self);
}

/* Makes the instance, which costs memory that is to be paid for before the contract runs. */
static void instantiate(activation *self, const compiled *module) {
    wasmtime_store *store = wasm.api.wasmtime_store_new(wasm.engine, self, NULL);
    wasmtime_instance instance;
    wasm_trap *trap = NULL;
    self->store = wasm.api.wasmtime_store_context(store);
    wasmtime_error *error = wasm.api.wasmtime_instance_pre_instantiate(module->pre, self->store,
                                                                       &instance, &trap);
    if (error != NULL || trap != NULL) {
        /* Segments were checked against their bounds: what is left is the machine's memory. */
        if (error != NULL)
            wasm.api.wasmtime_error_delete(error);
        if (trap != NULL)
            wasm.api.wasm_trap_delete(trap);
        abort_with(self, GHOST_OUT_OF_MEMORY);
    } else {
        self->memory = linear_last();
        uint64_t pages = self->memory->bytes / WASM_PAGE_BYTES;
        if (activation_open_pages(self, pages))
            run_instance(self, module, &instance);
        else
            self->exit = GHOST_EXIT_OUT_OF_GAS;
    }
    wasm.api.wasmtime_store_delete(store);
}

/* What of the price of loading depends on the module. 0, or an exit. */
static int charge_weight(activation *self, const compiled *module) {
    if (module->module == NULL)
        return GHOST_EXIT_WASM_INVALID;
    int exit = ghost_host_charge(&self->frame, module->weight / GAS_LOAD_COLD_WEIGHT);
    if (exit != 0 || set_used(self->context, &module->hash))
        return exit;
    abort_with(self, GHOST_OUT_OF_MEMORY);
    return GHOST_EXIT_ABORT;
}

static void run_module(activation *self, const compiled *module) {
    wasm_context *context = self->context;
    uint64_t gas = self->frame.gas, as_ink = gas < GAS_AS_INK_MAX ? gas : GAS_AS_INK_MAX;
    self->gas_beside = gas - as_ink;
    self->ink = as_ink * INK_PER_GAS;
    self->outer = context->innermost;
    context->innermost = self;
    instantiate(self, module);
    context->open_pages -= self->pages;
    context->innermost = self->outer;
    slot_cache_free(&self->slots);
}

/* Pays for loading, loads and runs. */
static void run(activation *self, const ghost_code *code) {
    bool is_cold = !is_used(self->context, self->frame.vm->block_serial, &code->hash);
    uint64_t price = GAS_LOAD + code->length / GAS_LOAD_BYTES + (is_cold ? GAS_LOAD_COLD : 0);
    int exit = ghost_host_charge(&self->frame, price);
    if (exit != 0) {
        self->exit = (uint8_t)exit;
        return;
    }
    compiled *module = NULL;
    int status = cache_take(&module, &code->hash, code->bytes, code->length);
    if (status != GHOST_OK) {
        abort_with(self, status);
        return;
    }
    if (is_cold)
        exit = charge_weight(self, module);
    if (exit == 0)
        run_module(self, module);
    else
        self->exit = (uint8_t)exit;
    cache_give(module);
}

static void execute(ghost_vm *vm, const ghost_message *message, ghost_account *account,
                    const ghost_code *code, ghost_call_result *result) {
    activation self = {
        .frame = {.vm = vm, .message = message, .self = account, .gas = message->gas},
        .context = vm->engines[GHOST_ENGINE_WASM].context,
        .exit = GHOST_EXIT_OUT_OF_GAS,
    };
    run(&self, code);
    *result = (ghost_call_result){.exit = self.exit};
    if (self.exit <= GHOST_EXIT_REVERT) {
        result->gas_left = self.gas_beside + self.ink / INK_PER_GAS;
        result->output = self.output;
        result->output_length = self.output_length;
    }
}

/* ---- deploying, and plugging in ---- */

static bool take_gas(uint64_t *gas, uint64_t price) {
    if (*gas < price)
        return false;
    *gas -= price;
    return true;
}

/* Checks a module and takes the price of compiling it. Returns 0 or how the creation ends. */
static int weigh(ghost_vm *vm, const uint8_t *bytes, size_t length, uint64_t *gas) {
    uint64_t check_gas = ghost_wasm_check_gas(length);
    if (!take_gas(gas, check_gas))
        return GHOST_EXIT_OUT_OF_GAS;
    ghost_wasm_module prepared;
    int status = ghost_wasm_prepare(&prepared, bytes, length);
    if (status == GHOST_REFUSED) {
        snprintf(vm->exit_reason, sizeof vm->exit_reason, "%s", prepared.message);
        return GHOST_EXIT_WASM_INVALID;
    }
    if (status != GHOST_OK) {
        vm->status = status;
        return GHOST_EXIT_ABORT;
    }
    free(prepared.code.data);
    bool is_paid = take_gas(gas, prepared.activation_gas - check_gas);
    return is_paid ? 0 : GHOST_EXIT_OUT_OF_GAS;
}

/* Each price is taken before its work is done, so that a module that is refused has paid. */
static int deploy(ghost_vm *vm, const uint8_t *bytes, size_t length, uint64_t *gas) {
    int exit = weigh(vm, bytes, length, gas);
    if (exit != 0)
        return exit;
    ghost_hash hash;
    ghost_keccak256(hash.bytes, bytes, length);
    compiled *module;
    int status = cache_take(&module, &hash, bytes, length);
    if (status != GHOST_OK) {
        vm->status = status;
        return GHOST_EXIT_ABORT;
    }
    bool is_contract = module->module != NULL;
    if (!is_contract)
        snprintf(vm->exit_reason, sizeof vm->exit_reason, "%s", module->reason);
    cache_give(module);
    return is_contract ? 0 : GHOST_EXIT_WASM_INVALID;
}

static void context_free(void *opaque) {
    wasm_context *context = opaque;
    free(context->used);
    free(context);
}

int ghost_wasm_plug(ghost_executor *executor) {
    wasm_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        return GHOST_OUT_OF_MEMORY;
    const ghost_engine engine = {context, execute, deploy, context_free, false};
    ghost_executor_plug(executor, GHOST_ENGINE_WASM, &engine);
    return GHOST_OK;
}
