/* Prices and limits of what code of every engine does to the world. For kernels only. */
#ifndef GHOST_RULES_H
#define GHOST_RULES_H

#include <string.h>

#include "evm.h"

enum {
    GAS_WARM = 100,
    GAS_COLD_ACCOUNT = 2500,       /* on top of the warm price (EIP-2929) */
    GAS_COLD_SLOT = 2000,
    GAS_STORAGE_SET = 20000,
    GAS_STORAGE_UPDATE = 2900,     /* 5,000 less the cold access that is charged apart */
    REFUND_CLEAR = 4800,           /* EIP-3529 */
    GAS_LOG = 375,                 /* and once more for each topic */
    GAS_LOG_BYTE = 8,
    GAS_BLOCK_HASH = 20,
    BLOCK_HASHES = 256,
    GAS_CALL_VALUE = 9000,
    GAS_NEW_ACCOUNT = 25000,
    GAS_STIPEND = 2300,
    GAS_CREATE = 32000,
    GAS_INIT_CODE_WORD = 2,        /* EIP-3860 */
    GAS_KECCAK_WORD = 6,

    CALL_DEPTH_MAX = 1024,
    CODE_BYTES_MAX = 0x6000,                  /* EIP-170 */
    INIT_CODE_BYTES_MAX = 2 * CODE_BYTES_MAX, /* EIP-3860 */
    WASM_BYTES_MAX = 1 << 18                  /* of a WASM module, deployed or as init code */
};

/* A WASM module of version 1, by its first bytes. */
static inline bool ghost_is_wasm(const uint8_t *code, size_t length) {
    return length >= 8 && memcmp(code, "\0asm\1\0\0\0", 8) == 0;
}

/* A contract of the protocol: ef 47 id. */
static inline bool ghost_is_contract(const uint8_t *code, size_t length) {
    return length == 3 && code[0] == 0xef && code[1] == 0x47;
}

/* How long init code may be, where other code may have code_bytes_max bytes: init code that is a
 * module deploys itself in hybrid blocks. */
static inline size_t ghost_init_code_max(bool hybrid, size_t code_bytes_max, const uint8_t *code,
                                         size_t length) {
    return hybrid && ghost_is_wasm(code, length) ? WASM_BYTES_MAX : 2 * code_bytes_max;
}

static inline uint64_t ghost_all_but_one_64th(uint64_t gas) {
    return gas - gas / 64;
}

/* What a store of value costs (EIP-2200 with EIP-2929). */
static inline uint64_t ghost_storage_price(const ghost_slot *slot, const u256 *value,
                                           bool was_cold) {
    uint64_t cost = was_cold ? GAS_COLD_SLOT + GAS_WARM : 0;
    if (u256_equal(&slot->value, value) || !u256_equal(&slot->original, &slot->value))
        return cost + GAS_WARM;
    return cost + (u256_is_zero(&slot->original) ? GAS_STORAGE_SET : GAS_STORAGE_UPDATE);
}

/* EIP-2200 as changed by EIP-3529: what a store of a new value gives back or takes back. */
static inline int64_t ghost_storage_refund(const ghost_slot *slot, const u256 *value) {
    int64_t refund = 0;
    if (!u256_is_zero(&slot->original)) {
        if (u256_is_zero(&slot->value))
            refund -= REFUND_CLEAR;
        else if (u256_is_zero(value))
            refund += REFUND_CLEAR;
    }
    if (u256_equal(&slot->original, value))
        refund += u256_is_zero(&slot->original) ? GAS_STORAGE_SET - GAS_WARM
                                                : GAS_STORAGE_UPDATE - GAS_WARM;
    return refund;
}

/* ---- what a tracer is told; nothing is done where there is none ---- */

static inline void ghost_tell_account(const ghost_vm *vm, const ghost_message *message,
                                      const ghost_account *account, uint8_t access) {
    const ghost_tracer *tracer = vm->tracer;
    if (__builtin_expect(tracer != NULL, 0) && tracer->account != NULL)
        tracer->account(tracer->context, message, account, access);
}

static inline void ghost_tell_slot(const ghost_vm *vm, const ghost_message *message,
                                   const ghost_account *self, const ghost_slot *slot,
                                   const u256 *key, uint8_t access) {
    const ghost_tracer *tracer = vm->tracer;
    if (__builtin_expect(tracer != NULL, 0) && tracer->slot != NULL)
        tracer->slot(tracer->context, message, self, slot, key, access);
}

static inline void ghost_tell_log(const ghost_vm *vm, const ghost_message *message) {
    const ghost_tracer *tracer = vm->tracer;
    if (__builtin_expect(tracer != NULL, 0) && tracer->log != NULL)
        tracer->log(tracer->context, message);
}

/* Loads and warms the callee and, when its code is a delegation, the account it points to
 * (EIP-7702). Adds what was cold to *cost. 0, or GHOST_EXIT_ABORT. */
static inline int ghost_access_callee(const ghost_vm *vm, const ghost_address *address,
                                      uint64_t *cost, ghost_account **callee) {
    bool was_cold;
    ghost_address delegate;
    *callee = ghost_state_access_account(vm->state, address, &was_cold);
    if (*callee == NULL)
        return GHOST_EXIT_ABORT;
    *cost += was_cold ? GAS_COLD_ACCOUNT : 0;
    if (vm->fork < GHOST_FORK_PRAGUE)
        return 0;
    const ghost_code *code = ghost_state_code(vm->state, *callee);
    if (code == NULL)
        return GHOST_EXIT_ABORT;
    if (!ghost_code_delegate(code, &delegate))
        return 0;
    if (ghost_state_access_account(vm->state, &delegate, &was_cold) == NULL)
        return GHOST_EXIT_ABORT;
    *cost += was_cold ? GAS_COLD_ACCOUNT + GAS_WARM : GAS_WARM;
    return 0;
}

#endif
