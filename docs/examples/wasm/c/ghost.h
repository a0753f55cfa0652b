/* Write GhostChain contracts in C: what the chain offers to a WASM contract, and what most
 * contracts need on top: words of 256 bits, arguments, storage, events, calls, results.
 *
 *     #include "ghost.h"
 *
 *     void contract(void) {
 *         switch (selector()) {
 *         case 0x8381f58a: return result_word(load(word_of(0)));      // number()
 *         default: revert(NULL, 0);
 *         }
 *     }
 *
 * clang --target=wasm32 -Os -mbulk-memory -ffreestanding -fvisibility=hidden -c contract.c
 * wasm-ld --no-entry --stack-first -z stack-size=16384 --strip-all -o contract.wasm contract.o
 *
 * Every call of a contract starts with fresh memory; what must last goes to storage. Include this
 * header in one file only. */
#ifndef GHOST_H
#define GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what the chain offers: the imports, under their own names ---- */

#define VM_HOOK(name) __attribute__((import_module("vm_hooks"), import_name(#name)))

/* The call: its data, its result. */
VM_HOOK(read_args) void read_args(void *to);
VM_HOOK(write_result) void write_result(const void *bytes, uint32_t length);
VM_HOOK(exit_early) _Noreturn void exit_early(uint32_t status);
VM_HOOK(msg_sender) void msg_sender(void *address);
VM_HOOK(msg_value) void msg_value(void *word);
VM_HOOK(msg_reentrant) uint32_t msg_reentrant(void);
VM_HOOK(contract_address) void contract_address(void *address);
VM_HOOK(tx_origin) void tx_origin(void *address);
VM_HOOK(tx_gas_price) void tx_gas_price(void *word);
VM_HOOK(tx_ink_price) uint32_t tx_ink_price(void);
VM_HOOK(evm_gas_left) uint64_t evm_gas_left(void);
VM_HOOK(evm_ink_left) uint64_t evm_ink_left(void);

/* Storage. What is cached reaches the chain when it is flushed, and is lost otherwise. */
VM_HOOK(storage_load_bytes32) void storage_load_bytes32(const void *slot, void *value);
VM_HOOK(storage_cache_bytes32) void storage_cache_bytes32(const void *slot, const void *value);
VM_HOOK(storage_flush_cache) void storage_flush_cache(uint32_t clear);
VM_HOOK(transient_load_bytes32) void transient_load_bytes32(const void *slot, void *value);
VM_HOOK(transient_store_bytes32) void transient_store_bytes32(const void *slot, const void *value);

/* Other contracts. gas: how much to give at most. The result is 0 when the call succeeded. */
VM_HOOK(call_contract)
uint32_t call_contract(const void *to, const void *data, uint32_t length, const void *value,
                       uint64_t gas, uint32_t *return_length);
VM_HOOK(delegate_call_contract)
uint32_t delegate_call_contract(const void *to, const void *data, uint32_t length, uint64_t gas,
                                uint32_t *return_length);
VM_HOOK(static_call_contract)
uint32_t static_call_contract(const void *to, const void *data, uint32_t length, uint64_t gas,
                              uint32_t *return_length);
VM_HOOK(create1)
void create1(const void *code, uint32_t length, const void *value, void *address,
             uint32_t *revert_length);
VM_HOOK(create2)
void create2(const void *code, uint32_t length, const void *value, const void *salt, void *address,
             uint32_t *revert_length);
VM_HOOK(return_data_size) uint32_t return_data_size(void);
VM_HOOK(read_return_data) uint32_t read_return_data(void *to, uint32_t offset, uint32_t length);

/* Events: the topics stand before the data. */
VM_HOOK(emit_log) void emit_log(const void *bytes, uint32_t length, uint32_t topics);

/* Accounts. */
VM_HOOK(account_balance) void account_balance(const void *address, void *word);
VM_HOOK(account_codehash) void account_codehash(const void *address, void *hash);
VM_HOOK(account_code_size) uint32_t account_code_size(const void *address);
VM_HOOK(account_code)
uint32_t account_code(const void *address, uint32_t offset, uint32_t length, void *to);

/* The block. */
VM_HOOK(block_basefee) void block_basefee(void *word);
VM_HOOK(block_coinbase) void block_coinbase(void *address);
VM_HOOK(block_gas_limit) uint64_t block_gas_limit(void);
VM_HOOK(block_number) uint64_t block_number(void);
VM_HOOK(block_timestamp) uint64_t block_timestamp(void);
VM_HOOK(chainid) uint64_t chainid(void);

/* Arithmetic on words, in place: the first word takes the result. */
VM_HOOK(math_div) void math_div(void *value, const void *divisor);
VM_HOOK(math_mod) void math_mod(void *value, const void *modulus);
VM_HOOK(math_pow) void math_pow(void *value, const void *exponent);
VM_HOOK(math_add_mod) void math_add_mod(void *value, const void *addend, const void *modulus);
VM_HOOK(math_mul_mod) void math_mul_mod(void *value, const void *factor, const void *modulus);
VM_HOOK(native_keccak256) void native_keccak256(const void *bytes, uint32_t length, void *hash);
VM_HOOK(pay_for_memory_grow) void pay_for_memory_grow(uint32_t pages);

/* A function of this header, which a contract may leave unused. */
#define HELPER static __attribute__((unused))

/* ---- memory ---- */

#define PAGE_BYTES 65536u

/* length bytes, aligned to 16, zero, for the rest of the call. Traps when memory is out. */
HELPER void *take(uint32_t length) {
    extern uint8_t __heap_base;
    static uint32_t next;
    if (next == 0) next = (uint32_t)&__heap_base;
    uint32_t start = (next + 15u) & ~15u;
    if (length > UINT32_MAX - PAGE_BYTES - start) __builtin_trap();
    next = start + length;
    uint32_t pages = (next + PAGE_BYTES - 1) / PAGE_BYTES;
    uint32_t present = (uint32_t)__builtin_wasm_memory_size(0);
    if (pages > present && __builtin_wasm_memory_grow(0, pages - present) == SIZE_MAX)
        __builtin_trap();
    return (void *)start;
}

HELPER void copy(void *to, const void *from, uint32_t length) {
    __builtin_memcpy(to, from, length);
}

/* ---- words: 256 bits, big-endian, as the chain has them ---- */

typedef struct word { uint8_t bytes[32]; } word;
typedef struct address { uint8_t bytes[20]; } address;

#define WORD_BYTE(n, shift) (uint8_t)((uint64_t)(n) >> (shift))
#define WORD_BYTES(n) WORD_BYTE(n, 56), WORD_BYTE(n, 48), WORD_BYTE(n, 40), WORD_BYTE(n, 32), \
    WORD_BYTE(n, 24), WORD_BYTE(n, 16), WORD_BYTE(n, 8), WORD_BYTE(n, 0)

/* A constant, from its four parts of 64 bits, highest first. */
#define WORD(a, b, c, d) {{WORD_BYTES(a), WORD_BYTES(b), WORD_BYTES(c), WORD_BYTES(d)}}

/* The part-th 64 bits, highest first. */
HELPER uint64_t word_part(const word *value, unsigned part) {
    uint64_t read;
    copy(&read, value->bytes + 8 * part, sizeof read);
    return __builtin_bswap64(read);
}

HELPER void word_set_part(word *value, unsigned part, uint64_t written) {
    written = __builtin_bswap64(written);
    copy(value->bytes + 8 * part, &written, sizeof written);
}

HELPER word word_of(uint64_t number) {
    word made = {{0}};
    word_set_part(&made, 3, number);
    return made;
}

HELPER word word_of_address(const address *from) {
    word made = {{0}};
    for (unsigned i = 0; i < 20; i++) made.bytes[12 + i] = from->bytes[i];
    return made;
}

HELPER bool word_is_zero(const word *value) {
    uint64_t any = 0;
    for (unsigned part = 0; part < 4; part++) any |= word_part(value, part);
    return any == 0;
}

HELPER bool word_is_max(const word *value) {
    uint64_t all = UINT64_MAX;
    for (unsigned part = 0; part < 4; part++) all &= word_part(value, part);
    return all == UINT64_MAX;
}

HELPER bool word_equal(const word *left, const word *right) {
    uint64_t differs = 0;
    for (unsigned part = 0; part < 4; part++)
        differs |= word_part(left, part) ^ word_part(right, part);
    return differs == 0;
}

HELPER bool word_less(const word *left, const word *right) {
    for (unsigned part = 0; part < 4; part++) {
        uint64_t a = word_part(left, part), b = word_part(right, part);
        if (a != b) return a < b;
    }
    return false;
}

/* *sum = left + right modulo 2^256. Whether it overflowed. */
HELPER bool word_add(word *sum, const word *left, const word *right) {
    uint64_t carry = 0;
    for (unsigned part = 4; part-- > 0;) {
        uint64_t a = word_part(left, part), b = word_part(right, part);
        uint64_t partial = a + b;
        word_set_part(sum, part, partial + carry);
        carry = (partial < a) | (partial + carry < partial);
    }
    return carry != 0;
}

/* *difference = left - right modulo 2^256. Whether right was more. */
HELPER bool word_subtract(word *difference, const word *left, const word *right) {
    uint64_t borrow = 0;
    for (unsigned part = 4; part-- > 0;) {
        uint64_t a = word_part(left, part), b = word_part(right, part);
        uint64_t partial = a - b;
        word_set_part(difference, part, partial - borrow);
        borrow = (a < b) | (partial < borrow);
    }
    return borrow != 0;
}

HELPER bool address_is_zero(const address *value) {
    uint8_t any = 0;
    for (unsigned i = 0; i < 20; i++) any |= value->bytes[i];
    return any == 0;
}

/* ---- how a call ends ---- */

_Noreturn HELPER void revert(const void *bytes, uint32_t length) {
    write_result(bytes, length);
    exit_early(1);
}

/* Solidity's custom error: a selector and words. */
_Noreturn HELPER void revert_with(uint32_t error, const word *words, uint32_t count) {
    uint8_t *bytes = take(4 + 32 * count);
    for (unsigned i = 0; i < 4; i++) bytes[i] = (uint8_t)(error >> (24 - 8 * i));
    copy(bytes + 4, words, 32 * count);
    revert(bytes, 4 + 32 * count);
}

/* Panic(0x11), which Solidity's checked arithmetic ends with. */
_Noreturn HELPER void revert_overflow(void) {
    word code = word_of(0x11);
    revert_with(0x4e487b71, &code, 1); /* Panic(uint256) */
}

HELPER void result_word(word value) { write_result(&value, sizeof value); }
HELPER void result_bool(bool value) { result_word(word_of(value)); }

/* A string or bytes, as the ABI has a single one. */
HELPER void result_bytes(const void *bytes, uint32_t length) {
    uint32_t padded = (length + 31) & ~31u;
    word *out = take(64 + padded);
    out[0] = word_of(32);
    out[1] = word_of(length);
    copy(out + 2, bytes, length);
    write_result(out, 64 + padded);
}

/* ---- the call's data ---- */

static const uint8_t *call_data;
static uint32_t call_length;

/* The first four bytes. Reverts when there are fewer. */
HELPER uint32_t selector(void) {
    if (call_length < 4) revert(NULL, 0);
    return (uint32_t)call_data[0] << 24 | (uint32_t)call_data[1] << 16 |
           (uint32_t)call_data[2] << 8 | call_data[3];
}

/* The index-th argument. Reverts when the data is too short for it. */
HELPER word argument_word(uint32_t index) {
    if (call_length < 4 + 32 * (index + 1)) revert(NULL, 0);
    word value;
    copy(&value, call_data + 4 + 32 * index, sizeof value);
    return value;
}

/* As Solidity: reverts when the upper 96 bits are not zero. */
HELPER address argument_address(uint32_t index) {
    word value = argument_word(index);
    for (unsigned i = 0; i < 12; i++)
        if (value.bytes[i] != 0) revert(NULL, 0);
    address made;
    copy(&made, value.bytes + 12, sizeof made);
    return made;
}

/* Reverts when it does not fit. */
HELPER uint32_t argument_uint32(uint32_t index) {
    word value = argument_word(index);
    for (unsigned i = 0; i < 28; i++)
        if (value.bytes[i] != 0) revert(NULL, 0);
    return (uint32_t)word_part(&value, 3);
}

/* The index-th argument, bytes. Reverts when they do not lie within the data. */
HELPER const uint8_t *argument_bytes(uint32_t index, uint32_t *length) {
    uint32_t place = argument_uint32(index), whole = call_length - 4;
    if (place > whole || whole - place < 32) revert(NULL, 0);
    word count;
    copy(&count, call_data + 4 + place, sizeof count);
    for (unsigned i = 0; i < 28; i++)
        if (count.bytes[i] != 0) revert(NULL, 0);
    *length = (uint32_t)word_part(&count, 3);
    if (*length > whole - place - 32) revert(NULL, 0);
    return call_data + 4 + place + 32;
}

HELPER address sender(void) {
    address made;
    msg_sender(&made);
    return made;
}

/* Reverts when value was sent. */
HELPER void not_payable(void) {
    word value;
    msg_value(&value);
    if (!word_is_zero(&value)) revert(NULL, 0);
}

/* ---- storage, laid out as Solidity lays it out ---- */

HELPER word load(word slot) {
    word value;
    storage_load_bytes32(&slot, &value);
    return value;
}

HELPER void store(word slot, word value) { storage_cache_bytes32(&slot, &value); }

/* Where mapping[key] lies, the mapping being at slot. */
HELPER word slot_of(word key, word slot) {
    word both[2] = {key, slot}, hash;
    native_keccak256(both, sizeof both, &hash);
    return hash;
}

HELPER word slot_of_address(const address *key, word slot) {
    return slot_of(word_of_address(key), slot);
}

/* ---- events ---- */

/* An event whose topics are given (the first is the hash of its signature) and whose data is one
 * word. */
HELPER void log_word(const word *topics, uint32_t count, word value) {
    word bytes[5];
    copy(bytes, topics, 32 * count);
    bytes[count] = value;
    emit_log(bytes, 32 * (count + 1), count);
}

/* ---- calls ---- */

#define ALL_GAS UINT64_MAX

/* Ends this call as the callee ended: with its revert data. */
_Noreturn HELPER void revert_as_callee(void) {
    uint32_t length = return_data_size();
    uint8_t *bytes = take(length);
    read_return_data(bytes, 0, length);
    revert(bytes, length);
}

/* Calls with all gas and no value, and reverts as the callee does. The length of what it returned.
 * Storage is flushed before, and read anew after: the callee may call back. */
HELPER uint32_t call_or_revert(const address *to, const void *data, uint32_t length) {
    word nothing = word_of(0);
    uint32_t returned;
    storage_flush_cache(true);
    if (call_contract(to, data, length, &nothing, ALL_GAS, &returned)) revert_as_callee();
    return returned;
}

HELPER uint32_t static_call_or_revert(const address *to, const void *data, uint32_t length) {
    uint32_t returned;
    storage_flush_cache(false);
    if (static_call_contract(to, data, length, ALL_GAS, &returned)) revert_as_callee();
    return returned;
}

/* ---- the entry ---- */

void contract(void);

__attribute__((export_name("user_entrypoint"))) uint32_t user_entrypoint(uint32_t length) {
    uint8_t *bytes = take(length);
    read_args(bytes);
    call_data = bytes;
    call_length = length;
    contract();
    storage_flush_cache(false);
    return 0;
}

#endif
