;; Write GhostChain contracts in WebAssembly text: every function that the chain offers, to be copied
;; into a contract, which imports what it uses. `i32` is a number or a place in memory. An address has
;; 20 bytes, a word 32, big-endian.
;;
;; As it stands, this module is a contract that gives its call's data back.
(module
  ;; The call: its data (place), its result (place, length), the end before the end (status).
  (import "vm_hooks" "read_args" (func $read_args (param i32)))
  (import "vm_hooks" "write_result" (func $write_result (param i32 i32)))
  (import "vm_hooks" "exit_early" (func $exit_early (param i32)))
  (import "vm_hooks" "msg_sender" (func $msg_sender (param i32)))
  (import "vm_hooks" "msg_value" (func $msg_value (param i32)))
  (import "vm_hooks" "msg_reentrant" (func $msg_reentrant (result i32)))
  (import "vm_hooks" "contract_address" (func $contract_address (param i32)))
  (import "vm_hooks" "tx_origin" (func $tx_origin (param i32)))
  (import "vm_hooks" "tx_gas_price" (func $tx_gas_price (param i32)))
  (import "vm_hooks" "tx_ink_price" (func $tx_ink_price (result i32)))
  (import "vm_hooks" "evm_gas_left" (func $evm_gas_left (result i64)))
  (import "vm_hooks" "evm_ink_left" (func $evm_ink_left (result i64)))

  ;; Storage: slot, value. What is cached reaches the chain when it is flushed, and is lost otherwise;
  ;; flush's parameter says whether to forget what was read, too.
  (import "vm_hooks" "storage_load_bytes32" (func $storage_load_bytes32 (param i32 i32)))
  (import "vm_hooks" "storage_cache_bytes32" (func $storage_cache_bytes32 (param i32 i32)))
  (import "vm_hooks" "storage_flush_cache" (func $storage_flush_cache (param i32)))
  (import "vm_hooks" "transient_load_bytes32" (func $transient_load_bytes32 (param i32 i32)))
  (import "vm_hooks" "transient_store_bytes32" (func $transient_store_bytes32 (param i32 i32)))

  ;; Other contracts: address, data, length, value (the first only), gas at most, where the length of
  ;; what is returned goes. 0 when the call succeeded.
  (import "vm_hooks" "call_contract"
    (func $call_contract (param i32 i32 i32 i32 i64 i32) (result i32)))
  (import "vm_hooks" "delegate_call_contract"
    (func $delegate_call_contract (param i32 i32 i32 i64 i32) (result i32)))
  (import "vm_hooks" "static_call_contract"
    (func $static_call_contract (param i32 i32 i32 i64 i32) (result i32)))
  ;; Code, length, value, salt (create2 only), where the address and the length of revert data go.
  (import "vm_hooks" "create1" (func $create1 (param i32 i32 i32 i32 i32)))
  (import "vm_hooks" "create2" (func $create2 (param i32 i32 i32 i32 i32 i32)))
  ;; Where to, from which byte, how many at most. How many it wrote.
  (import "vm_hooks" "read_return_data" (func $read_return_data (param i32 i32 i32) (result i32)))
  (import "vm_hooks" "return_data_size" (func $return_data_size (result i32)))

  ;; Topics followed by data, the length of both, the number of topics.
  (import "vm_hooks" "emit_log" (func $emit_log (param i32 i32 i32)))

  ;; Accounts: address first.
  (import "vm_hooks" "account_balance" (func $account_balance (param i32 i32)))
  (import "vm_hooks" "account_code" (func $account_code (param i32 i32 i32 i32) (result i32)))
  (import "vm_hooks" "account_code_size" (func $account_code_size (param i32) (result i32)))
  (import "vm_hooks" "account_codehash" (func $account_codehash (param i32 i32)))

  ;; The block.
  (import "vm_hooks" "block_basefee" (func $block_basefee (param i32)))
  (import "vm_hooks" "block_coinbase" (func $block_coinbase (param i32)))
  (import "vm_hooks" "block_gas_limit" (func $block_gas_limit (result i64)))
  (import "vm_hooks" "block_number" (func $block_number (result i64)))
  (import "vm_hooks" "block_timestamp" (func $block_timestamp (result i64)))
  (import "vm_hooks" "chainid" (func $chainid (result i64)))

  ;; Arithmetic on words, in place: the first takes the result.
  (import "vm_hooks" "math_div" (func $math_div (param i32 i32)))
  (import "vm_hooks" "math_mod" (func $math_mod (param i32 i32)))
  (import "vm_hooks" "math_pow" (func $math_pow (param i32 i32)))
  (import "vm_hooks" "math_add_mod" (func $math_add_mod (param i32 i32 i32)))
  (import "vm_hooks" "math_mul_mod" (func $math_mul_mod (param i32 i32 i32)))
  ;; Bytes, their number, where the hash goes.
  (import "vm_hooks" "native_keccak256" (func $native_keccak256 (param i32 i32 i32)))
  (import "vm_hooks" "pay_for_memory_grow" (func $pay_for_memory_grow (param i32)))

  (memory (export "memory") 1)

  (func (export "user_entrypoint") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 65536)) (then (return (i32.const 1))))
    (call $read_args (i32.const 0))
    (call $write_result (i32.const 0) (local.get $length))
    (i32.const 0)))
