;; A counter: what docs/examples/solidity/Counter.sol is, in WebAssembly text.
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

  (memory (export "memory") 1)
  (global $SLOT i32 (i32.const 0))      ;; the word 0: the slot of the number
  (global $ONE i32 (i32.const 32))      ;; the word 1
  (global $NUMBER i32 (i32.const 64))   ;; what the slot holds
  (global $VALUE i32 (i32.const 96))    ;; what was sent
  (global $EVENT i32 (i32.const 128))   ;; two topics and a word of data
  (global $PANIC i32 (i32.const 224))   ;; revert data of checked arithmetic
  (global $DATA i32 (i32.const 512))    ;; of the call
  (global $DATA_MAX i32 (i32.const 65024))
  (data (i32.const 63) "\01")
  ;; Changed(address indexed by, uint256 number):
  ;; b52dda022b6c1a1f 40905a85f257f689 aa5d69d850e49cf9 39d688fbe5af5946
  (data (i32.const 128)
    "\b5\2d\da\02\2b\6c\1a\1f\40\90\5a\85\f2\57\f6\89"
    "\aa\5d\69\d8\50\e4\9c\f9\39\d6\88\fb\e5\af\59\46")
  ;; Panic(uint256) of 0x11
  (data (i32.const 224) "\4e\48\7b\71")
  (data (i32.const 259) "\11")

  (func $revert (param $bytes i32) (param $length i32)
    (call $write_result (local.get $bytes) (local.get $length))
    (call $exit_early (i32.const 1))
    (unreachable))

  ;; sum = left + right, 32 bytes from the last to the first. The carry that is left.
  (func $add_words (param $sum i32) (param $left i32) (param $right i32) (result i32)
    (local $byte i32) (local $carry i32)
    (local.set $byte (i32.const 32))
    (loop $next
      (local.set $byte (i32.sub (local.get $byte) (i32.const 1)))
      (local.set $carry
        (i32.add
          (i32.add
            (i32.load8_u (i32.add (local.get $left) (local.get $byte)))
            (i32.load8_u (i32.add (local.get $right) (local.get $byte))))
          (local.get $carry)))
      (i32.store8 (i32.add (local.get $sum) (local.get $byte)) (local.get $carry))
      (local.set $carry (i32.shr_u (local.get $carry) (i32.const 8)))
      (br_if $next (local.get $byte)))
    (local.get $carry))

  (func $set (param $number i32)
    (call $storage_cache_bytes32 (global.get $SLOT) (local.get $number))
    (call $msg_sender (i32.add (global.get $EVENT) (i32.const 44)))
    (memory.copy
      (i32.add (global.get $EVENT) (i32.const 64)) (local.get $number) (i32.const 32))
    (call $emit_log (global.get $EVENT) (i32.const 96) (i32.const 2)))

  (func $add (param $addend i32)
    (call $storage_load_bytes32 (global.get $SLOT) (global.get $NUMBER))
    (if (call $add_words (global.get $NUMBER) (global.get $NUMBER) (local.get $addend))
      (then (call $revert (global.get $PANIC) (i32.const 36))))
    (call $set (global.get $NUMBER)))

  (func $number
    (call $storage_load_bytes32 (global.get $SLOT) (global.get $NUMBER))
    (call $write_result (global.get $NUMBER) (i32.const 32)))

  ;; The first argument.
  (func $argument (param $length i32) (result i32)
    (if (i32.lt_u (local.get $length) (i32.const 36))
      (then (call $revert (i32.const 0) (i32.const 0))))
    (i32.add (global.get $DATA) (i32.const 4)))

  ;; The first four bytes, as a number.
  (func $selector (result i32)
    (local $read i32)
    (local.set $read (i32.load (global.get $DATA)))
    (i32.or
      (i32.and (i32.rotl (local.get $read) (i32.const 8)) (i32.const 0x00ff00ff))
      (i32.and (i32.rotr (local.get $read) (i32.const 8)) (i32.const 0xff00ff00))))

  (func $not_payable
    (call $msg_value (global.get $VALUE))
    (if (i64.ne (i64.const 0)
          (i64.or
            (i64.or (i64.load (global.get $VALUE)) (i64.load offset=8 (global.get $VALUE)))
            (i64.or (i64.load offset=16 (global.get $VALUE))
              (i64.load offset=24 (global.get $VALUE)))))
      (then (call $revert (i32.const 0) (i32.const 0)))))

  (func $dispatch (param $length i32)
    (local $selector i32)
    (local.set $selector (call $selector))
    (if (i32.eq (local.get $selector) (i32.const 0x8381f58a)) ;; number()
      (then (call $number) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x3fb5c1cb)) ;; setNumber(uint256)
      (then (call $set (call $argument (local.get $length))) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0xd09de08a)) ;; increment()
      (then (call $add (global.get $ONE)) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x1003e2d2)) ;; add(uint256)
      (then (call $add (call $argument (local.get $length))) (return)))
    (call $revert (i32.const 0) (i32.const 0)))

  (func (export "user_entrypoint") (param $length i32) (result i32)
    (call $not_payable)
    (if (i32.or
          (i32.lt_u (local.get $length) (i32.const 4))
          (i32.gt_u (local.get $length) (global.get $DATA_MAX)))
      (then (return (i32.const 1))))
    (call $read_args (global.get $DATA))
    (call $dispatch (local.get $length))
    (call $storage_flush_cache (i32.const 0))
    (i32.const 0)))
