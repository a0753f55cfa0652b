/* What host functions do with the frame that calls them. */
#ifndef GHOST_WASM_ACTIVATION_H
#define GHOST_WASM_ACTIVATION_H

#include "prices.h"
#include "runtime.h"

/* A host function's work. values: its arguments, and its result in values[0]. Returns 0, the
 * enum ghost_exit with which the frame must end, or HOST_LEAVE when self->exit says it. */
typedef int host_run(activation *self, wasmtime_raw *values);

enum { HOST_LEAVE = -1 };

/* A pointer of the contract that does not lie in its memory, like any other trap. */
#define HOST_BOUNDS GHOST_EXIT_WASM_TRAP

static inline bool take_ink(activation *self, uint64_t ink) {
    bool is_enough = self->ink >= ink;
    self->ink -= is_enough ? ink : self->ink;
    return is_enough;
}

/* The bytes at a pointer of the contract; NULL when they are not all inside its memory. */
static inline uint8_t *bytes_at(const activation *self, wasmtime_raw pointer, uint64_t length) {
    return pointer.i32 + length > self->memory->bytes ? NULL : self->memory->base + pointer.i32;
}

/* Around ghost_host_*: the gas that the ink is worth, and what is left of it. */
static inline void ink_to_gas(activation *self) {
    self->frame.gas = self->gas_beside + self->ink / INK_PER_GAS;
}

static inline void gas_to_ink(activation *self) {
    uint64_t before = self->gas_beside + self->ink / INK_PER_GAS;
    uint64_t spent = before - self->frame.gas;
    uint64_t beside = spent < self->gas_beside ? spent : self->gas_beside;
    self->gas_beside -= beside;
    self->ink -= (spent - beside) * INK_PER_GAS;
}

/* ---- hosts_storage.c ---- */
host_run host_storage_load_bytes32, host_storage_cache_bytes32, host_storage_flush_cache,
    host_transient_load_bytes32, host_transient_store_bytes32;
void slot_cache_free(slot_cache *slots);

/* ---- hosts_calls.c ---- */
host_run host_call_contract, host_delegate_call_contract, host_static_call_contract, host_create1,
    host_create2, host_read_return_data, host_return_data_size, host_emit_log,
    host_account_balance, host_account_code, host_account_code_size, host_account_codehash;

/* ---- hosts_numbers.c ---- */
host_run host_math_div, host_math_mod, host_math_pow, host_math_add_mod, host_math_mul_mod,
    host_native_keccak256;

/* Pays for linear memory that is about to be there. False when there is too little ink. */
bool activation_open_pages(activation *self, uint64_t pages);

#endif
