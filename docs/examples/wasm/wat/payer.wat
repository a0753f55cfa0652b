;; Pays with any ERC-20 token, whatever engine the token runs in: a contract in WebAssembly text that
;; calls EVM contracts. The sender approves this contract first.
;;
;; Parameters are places of words in memory, unless their names say otherwise.
(module
  (import "vm_hooks" "read_args" (func $read_args (param i32)))
  (import "vm_hooks" "write_result" (func $write_result (param i32 i32)))
  (import "vm_hooks" "exit_early" (func $exit_early (param i32)))
  (import "vm_hooks" "msg_sender" (func $msg_sender (param i32)))
  (import "vm_hooks" "msg_value" (func $msg_value (param i32)))
  (import "vm_hooks" "storage_load_bytes32" (func $storage_load_bytes32 (param i32 i32)))
  (import "vm_hooks" "storage_cache_bytes32" (func $storage_cache_bytes32 (param i32 i32)))
  (import "vm_hooks" "storage_flush_cache" (func $storage_flush_cache (param i32)))
  (import "vm_hooks" "emit_log" (func $emit_log (param i32 i32 i32)))
  (import "vm_hooks" "call_contract"
    (func $call_contract (param i32 i32 i32 i32 i64 i32) (result i32)))
  (import "vm_hooks" "static_call_contract"
    (func $static_call_contract (param i32 i32 i32 i64 i32) (result i32)))
  (import "vm_hooks" "read_return_data" (func $read_return_data (param i32 i32 i32) (result i32)))
  (import "vm_hooks" "return_data_size" (func $return_data_size (result i32)))
  (import "vm_hooks" "account_code_size" (func $account_code_size (param i32) (result i32)))

  (memory (export "memory") 2)
  (global $PAYMENTS i32 (i32.const 0))        ;; the word 0: the slot of the count; no value
  (global $COUNT i32 (i32.const 32))          ;; what the slot holds
  (global $ANSWER i32 (i32.const 64))
  (global $RETURNED i32 (i32.const 96))       ;; where the host puts a length
  (global $VALUE i32 (i32.const 128))         ;; what was sent
  (global $EVENT i32 (i32.const 160))         ;; three topics and a word
  (global $TRANSFER_FROM i32 (i32.const 288)) ;; call data: a selector and three words
  (global $BALANCE_OF i32 (i32.const 400))    ;; call data: a selector and a word
  (global $NOT_PAID i32 (i32.const 440))      ;; revert data
  (global $DATA i32 (i32.const 512))          ;; of the call, and what a callee reverts with
  (global $DATA_MAX i32 (i32.const 130560))
  (global $length (mut i32) (i32.const 0))    ;; of the call's data

  ;; Paid(address indexed token, address indexed to, uint256 amount):
  ;; 9def4e2802183d68 ce90a6a226a2962b 59298616c27165f1 2c4fbc5c84cdd778
  (data (i32.const 160)
    "\9d\ef\4e\28\02\18\3d\68\ce\90\a6\a2\26\a2\96\2b"
    "\59\29\86\16\c2\71\65\f1\2c\4f\bc\5c\84\cd\d7\78")
  (data (i32.const 288) "\23\b8\72\dd") ;; transferFrom(address,address,uint256)
  (data (i32.const 400) "\70\a0\82\31") ;; balanceOf(address)
  (data (i32.const 440) "\34\e4\a7\10") ;; NotPaid()

  (func $copy (param $to i32) (param $from i32)
    (memory.copy (local.get $to) (local.get $from) (i32.const 32)))

  (func $is_zero (param $word i32) (result i32)
    (i64.eqz
      (i64.or
        (i64.or (i64.load (local.get $word)) (i64.load offset=8 (local.get $word)))
        (i64.or (i64.load offset=16 (local.get $word)) (i64.load offset=24 (local.get $word))))))

  ;; Whether a word is 1.
  (func $is_one (param $word i32) (result i32)
    (i32.and
      (i64.eqz
        (i64.or
          (i64.or (i64.load (local.get $word)) (i64.load offset=8 (local.get $word)))
          (i64.load offset=16 (local.get $word))))
      (i64.eq (i64.load offset=24 (local.get $word)) (i64.const 0x0100000000000000))))

  (func $revert (param $bytes i32) (param $length i32)
    (call $write_result (local.get $bytes) (local.get $length))
    (call $exit_early (i32.const 1))
    (unreachable))

  (func $revert_empty (call $revert (i32.const 0) (i32.const 0)))

  ;; With what the callee reverted with, as much of it as there is room for.
  (func $revert_as_callee
    (call $revert (global.get $DATA)
      (call $read_return_data (global.get $DATA) (i32.const 0) (global.get $DATA_MAX))))

  (func $turned (param $number i32) (result i32)
    (i32.or
      (i32.and (i32.rotl (local.get $number) (i32.const 8)) (i32.const 0x00ff00ff))
      (i32.and (i32.rotr (local.get $number) (i32.const 8)) (i32.const 0xff00ff00))))

  (func $argument (param $index i32) (result i32)
    (if (i32.lt_u (global.get $length)
          (i32.add (i32.const 36) (i32.mul (local.get $index) (i32.const 32))))
      (then (call $revert_empty)))
    (i32.add (global.get $DATA)
      (i32.add (i32.const 4) (i32.mul (local.get $index) (i32.const 32)))))

  ;; As Solidity: the upper 96 bits must be zero.
  (func $address (param $index i32) (result i32)
    (local $word i32)
    (local.set $word (call $argument (local.get $index)))
    (if (i32.or
          (i64.ne (i64.load (local.get $word)) (i64.const 0))
          (i32.load offset=8 (local.get $word)))
      (then (call $revert_empty)))
    (local.get $word))

  ;; The count of payments goes up by one, byte by byte from the last.
  (func $count_payment
    (local $byte i32) (local $carry i32)
    (call $storage_load_bytes32 (global.get $PAYMENTS) (global.get $COUNT))
    (local.set $byte (i32.const 32))
    (local.set $carry (i32.const 1))
    (loop $next
      (local.set $byte (i32.sub (local.get $byte) (i32.const 1)))
      (local.set $carry
        (i32.add
          (i32.load8_u (i32.add (global.get $COUNT) (local.get $byte))) (local.get $carry)))
      (i32.store8 (i32.add (global.get $COUNT) (local.get $byte)) (local.get $carry))
      (local.set $carry (i32.shr_u (local.get $carry) (i32.const 8)))
      (br_if $next (local.get $byte)))
    (call $storage_cache_bytes32 (global.get $PAYMENTS) (global.get $COUNT)))

  ;; The token's answer to a call: true, or nothing at all, as some tokens have it.
  (func $agreed (param $token i32) (result i32)
    (if (i32.eqz (call $return_data_size))
      (then
        (return
          (i32.ne (i32.const 0)
            (call $account_code_size (i32.add (local.get $token) (i32.const 12)))))))
    (drop (call $read_return_data (global.get $ANSWER) (i32.const 0) (i32.const 32)))
    (i32.and
      (i32.eq (call $return_data_size) (i32.const 32))
      (call $is_one (global.get $ANSWER))))

  (func $pay (param $token i32) (param $to i32) (param $amount i32)
    (call $msg_sender (i32.add (global.get $TRANSFER_FROM) (i32.const 16)))
    (call $copy (i32.add (global.get $TRANSFER_FROM) (i32.const 36)) (local.get $to))
    (call $copy (i32.add (global.get $TRANSFER_FROM) (i32.const 68)) (local.get $amount))
    ;; the callee may call back: it must find what was stored, and may change it
    (call $storage_flush_cache (i32.const 1))
    (if (call $call_contract
          (i32.add (local.get $token) (i32.const 12))
          (global.get $TRANSFER_FROM) (i32.const 100)
          (global.get $PAYMENTS) (i64.const -1) (global.get $RETURNED))
      (then (call $revert_as_callee)))
    (if (i32.eqz (call $agreed (local.get $token)))
      (then (call $revert (global.get $NOT_PAID) (i32.const 4))))
    (call $count_payment)
    (call $copy (i32.add (global.get $EVENT) (i32.const 32)) (local.get $token))
    (call $copy (i32.add (global.get $EVENT) (i32.const 64)) (local.get $to))
    (call $copy (i32.add (global.get $EVENT) (i32.const 96)) (local.get $amount))
    (call $emit_log (global.get $EVENT) (i32.const 128) (i32.const 3)))

  ;; What holder has of token.
  (func $holding (param $token i32) (param $holder i32)
    (call $copy (i32.add (global.get $BALANCE_OF) (i32.const 4)) (local.get $holder))
    (if (call $static_call_contract
          (i32.add (local.get $token) (i32.const 12))
          (global.get $BALANCE_OF) (i32.const 36) (i64.const -1) (global.get $RETURNED))
      (then (call $revert_as_callee)))
    (if (i32.ne (call $return_data_size) (i32.const 32)) (then (call $revert_empty)))
    (drop (call $read_return_data (global.get $ANSWER) (i32.const 0) (i32.const 32)))
    (call $write_result (global.get $ANSWER) (i32.const 32)))

  (func $payments
    (call $storage_load_bytes32 (global.get $PAYMENTS) (global.get $COUNT))
    (call $write_result (global.get $COUNT) (i32.const 32)))

  (func $dispatch (param $selector i32)
    (if (i32.eq (local.get $selector) (i32.const 0xb3d76188)) ;; pay(address,address,uint256)
      (then
        (call $pay
          (call $address (i32.const 0)) (call $address (i32.const 1))
          (call $argument (i32.const 2)))
        (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x06280750)) ;; holding(address,address)
      (then
        (call $holding (call $address (i32.const 0)) (call $address (i32.const 1)))
        (return)))
    (if (i32.eq (local.get $selector) (i32.const 0xa6d23e10)) ;; payments()
      (then (call $payments) (return)))
    (call $revert_empty))

  (func (export "user_entrypoint") (param $given i32) (result i32)
    (call $msg_value (global.get $VALUE))
    (if (i32.eqz (call $is_zero (global.get $VALUE))) (then (return (i32.const 1))))
    (if (i32.or
          (i32.lt_u (local.get $given) (i32.const 4))
          (i32.gt_u (local.get $given) (global.get $DATA_MAX)))
      (then (return (i32.const 1))))
    (global.set $length (local.get $given))
    (call $read_args (global.get $DATA))
    (call $dispatch (call $turned (i32.load (global.get $DATA))))
    (call $storage_flush_cache (i32.const 0))
    (i32.const 0)))
