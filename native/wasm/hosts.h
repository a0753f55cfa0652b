/* The functions of the import module "vm_hooks", with the names and types of Arbitrum Stylus, so
 * that contracts written with its kits find what they import. HOST(name, parameters, results):
 * 'i' is an i32 (a number or an address in the contract's memory), 'l' an i64.
 *
 * Stylus' modules "console" and "debug" exist only on its test nodes and are not offered. */
#ifndef GHOST_WASM_HOSTS_H
#define GHOST_WASM_HOSTS_H

#define GHOST_WASM_HOSTS(HOST)                                                                     \
    HOST(read_args, "i", "")                                                                       \
    HOST(write_result, "ii", "")                                                                   \
    HOST(exit_early, "i", "")                                                                      \
    HOST(storage_load_bytes32, "ii", "")                                                           \
    HOST(storage_cache_bytes32, "ii", "")                                                          \
    HOST(storage_flush_cache, "i", "")                                                             \
    HOST(transient_load_bytes32, "ii", "")                                                         \
    HOST(transient_store_bytes32, "ii", "")                                                        \
    /* address, data, length, value, gas, where the length of what is returned goes */             \
    HOST(call_contract, "iiiili", "i")                                                             \
    HOST(delegate_call_contract, "iiili", "i")                                                     \
    HOST(static_call_contract, "iiili", "i")                                                       \
    HOST(create1, "iiiii", "")                                                                     \
    HOST(create2, "iiiiii", "")                                                                    \
    HOST(read_return_data, "iii", "i")                                                             \
    HOST(return_data_size, "", "i")                                                                \
    HOST(emit_log, "iii", "")                                                                      \
    HOST(account_balance, "ii", "")                                                                \
    HOST(account_code, "iiii", "i")                                                                \
    HOST(account_code_size, "i", "i")                                                              \
    HOST(account_codehash, "ii", "")                                                               \
    HOST(block_basefee, "i", "")                                                                   \
    HOST(block_coinbase, "i", "")                                                                  \
    HOST(block_gas_limit, "", "l")                                                                 \
    HOST(block_number, "", "l")                                                                    \
    HOST(block_timestamp, "", "l")                                                                 \
    HOST(chainid, "", "l")                                                                         \
    HOST(contract_address, "i", "")                                                                \
    HOST(evm_gas_left, "", "l")                                                                    \
    HOST(evm_ink_left, "", "l")                                                                    \
    HOST(math_div, "ii", "")                                                                       \
    HOST(math_mod, "ii", "")                                                                       \
    HOST(math_pow, "ii", "")                                                                       \
    HOST(math_add_mod, "iii", "")                                                                  \
    HOST(math_mul_mod, "iii", "")                                                                  \
    HOST(msg_reentrant, "", "i")                                                                   \
    HOST(msg_sender, "i", "")                                                                      \
    HOST(msg_value, "i", "")                                                                       \
    HOST(native_keccak256, "iii", "")                                                              \
    HOST(tx_gas_price, "i", "")                                                                    \
    HOST(tx_ink_price, "", "i")                                                                    \
    HOST(tx_origin, "i", "")                                                                       \
    HOST(pay_for_memory_grow, "i", "")

/* The place of a function in the table. */
#define GHOST_WASM_HOST_ENUM(name, parameters, results) WASM_HOST_##name,
enum ghost_wasm_host_index { GHOST_WASM_HOSTS(GHOST_WASM_HOST_ENUM) WASM_HOST_COUNT };
#undef GHOST_WASM_HOST_ENUM

#endif
