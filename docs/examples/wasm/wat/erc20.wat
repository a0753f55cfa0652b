;; An ERC-20 token with OpenZeppelin's errors and storage layout. Its supply is made once, by
;; initialize: a WASM module has no constructor, so deploy and initialize it in one transaction
;; (docs/examples/solidity/Deployer.sol) or be the first to call.
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
  (import "vm_hooks" "native_keccak256" (func $native_keccak256 (param i32 i32 i32)))

  (memory (export "memory") 1)
  (global $ZERO i32 (i32.const 0))            ;; nobody; slot 0, the balances
  (global $ONE i32 (i32.const 32))            ;; true; slot 1, the allowances
  (global $TOTAL_SUPPLY i32 (i32.const 64))   ;; slot 2
  (global $SENDER i32 (i32.const 96))
  (global $HASHED i32 (i32.const 128))        ;; two words
  (global $SLOT i32 (i32.const 192))
  (global $OWNED i32 (i32.const 224))         ;; the slot of an owner's allowances
  (global $HELD i32 (i32.const 256))          ;; a balance, allowance or supply as it was
  (global $LEFT i32 (i32.const 288))          ;; and as it will be
  (global $EVENT i32 (i32.const 320))         ;; three topics and a word
  (global $ERROR i32 (i32.const 448))         ;; a selector and three words
  (global $VALUE i32 (i32.const 576))         ;; what was sent
  (global $TRANSFER i32 (i32.const 608))
  (global $APPROVAL i32 (i32.const 640))
  (global $NAME i32 (i32.const 672))
  (global $SYMBOL i32 (i32.const 768))
  (global $DECIMALS i32 (i32.const 864))
  (global $DATA i32 (i32.const 1024))         ;; of the call
  (global $DATA_MAX i32 (i32.const 64512))
  (global $length (mut i32) (i32.const 0))    ;; of the call's data

  (data (i32.const 63) "\01")
  (data (i32.const 95) "\02")
  ;; Transfer(address indexed from, address indexed to, uint256 value):
  ;; ddf252ad1be2c89b 69c2b068fc378daa 952ba7f163c4a116 28f55a4df523b3ef
  (data (i32.const 608)
    "\dd\f2\52\ad\1b\e2\c8\9b\69\c2\b0\68\fc\37\8d\aa"
    "\95\2b\a7\f1\63\c4\a1\16\28\f5\5a\4d\f5\23\b3\ef")
  ;; Approval(address indexed owner, address indexed spender, uint256 value):
  ;; 8c5be1e5ebec7d5b d14f71427d1e84f3 dd0314c0f7b2291e 5b200ac8c7c3b925
  (data (i32.const 640)
    "\8c\5b\e1\e5\eb\ec\7d\5b\d1\4f\71\42\7d\1e\84\f3"
    "\dd\03\14\c0\f7\b2\29\1e\5b\20\0a\c8\c7\c3\b9\25")
  ;; strings as the ABI has them: 32, the length, the bytes
  (data (i32.const 703) "\20")
  (data (i32.const 735) "\0aWasm Token")
  (data (i32.const 799) "\20")
  (data (i32.const 831) "\04WASM")
  (data (i32.const 895) "\12")

  ;; ---- words ----

  (func $copy (param $to i32) (param $from i32)
    (memory.copy (local.get $to) (local.get $from) (i32.const 32)))

  (func $is_zero (param $word i32) (result i32)
    (i64.eqz
      (i64.or
        (i64.or (i64.load (local.get $word)) (i64.load offset=8 (local.get $word)))
        (i64.or (i64.load offset=16 (local.get $word)) (i64.load offset=24 (local.get $word))))))

  (func $is_max (param $word i32) (result i32)
    (i64.eq (i64.const -1)
      (i64.and
        (i64.and (i64.load (local.get $word)) (i64.load offset=8 (local.get $word)))
        (i64.and (i64.load offset=16 (local.get $word)) (i64.load offset=24 (local.get $word))))))

  ;; sum = left + right modulo 2^256, byte by byte from the last.
  (func $add (param $sum i32) (param $left i32) (param $right i32)
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
      (br_if $next (local.get $byte))))

  ;; rest = left - right modulo 2^256. Whether right was more.
  (func $subtract (param $rest i32) (param $left i32) (param $right i32) (result i32)
    (local $byte i32) (local $borrow i32)
    (local.set $byte (i32.const 32))
    (loop $next
      (local.set $byte (i32.sub (local.get $byte) (i32.const 1)))
      (local.set $borrow
        (i32.sub
          (i32.sub
            (i32.load8_u (i32.add (local.get $left) (local.get $byte)))
            (i32.load8_u (i32.add (local.get $right) (local.get $byte))))
          (local.get $borrow)))
      (i32.store8 (i32.add (local.get $rest) (local.get $byte)) (local.get $borrow))
      (local.set $borrow (i32.shr_u (local.get $borrow) (i32.const 31)))
      (br_if $next (local.get $byte)))
    (local.get $borrow))

  ;; ---- how a call ends ----

  (func $revert (param $bytes i32) (param $length i32)
    (call $write_result (local.get $bytes) (local.get $length))
    (call $exit_early (i32.const 1))
    (unreachable))

  (func $revert_empty (call $revert (i32.const 0) (i32.const 0)))

  ;; A number of 32 bits with its bytes the other way around.
  (func $turned (param $number i32) (result i32)
    (i32.or
      (i32.and (i32.rotl (local.get $number) (i32.const 8)) (i32.const 0x00ff00ff))
      (i32.and (i32.rotr (local.get $number) (i32.const 8)) (i32.const 0xff00ff00))))

  (func $revert_with_one (param $selector i32) (param $word i32)
    (i32.store (global.get $ERROR) (call $turned (local.get $selector)))
    (call $copy (i32.add (global.get $ERROR) (i32.const 4)) (local.get $word))
    (call $revert (global.get $ERROR) (i32.const 36)))

  (func $revert_with_three (param $selector i32) (param $a i32) (param $b i32) (param $c i32)
    (i32.store (global.get $ERROR) (call $turned (local.get $selector)))
    (call $copy (i32.add (global.get $ERROR) (i32.const 4)) (local.get $a))
    (call $copy (i32.add (global.get $ERROR) (i32.const 36)) (local.get $b))
    (call $copy (i32.add (global.get $ERROR) (i32.const 68)) (local.get $c))
    (call $revert (global.get $ERROR) (i32.const 100)))

  (func $result_word (param $word i32)
    (call $write_result (local.get $word) (i32.const 32)))

  ;; ---- the call's data ----

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

  ;; ---- storage ----

  ;; to = the slot of mapping[key], the mapping being at base.
  (func $slot_of (param $to i32) (param $key i32) (param $base i32)
    (call $copy (global.get $HASHED) (local.get $key))
    (call $copy (i32.add (global.get $HASHED) (i32.const 32)) (local.get $base))
    (call $native_keccak256 (global.get $HASHED) (i32.const 64) (local.get $to)))

  ;; HELD = the balance, SLOT = where it lies.
  (func $load_balance (param $holder i32)
    (call $slot_of (global.get $SLOT) (local.get $holder) (global.get $ZERO))
    (call $storage_load_bytes32 (global.get $SLOT) (global.get $HELD)))

  (func $load_allowance (param $owner i32) (param $spender i32)
    (call $slot_of (global.get $OWNED) (local.get $owner) (global.get $ONE))
    (call $slot_of (global.get $SLOT) (local.get $spender) (global.get $OWNED))
    (call $storage_load_bytes32 (global.get $SLOT) (global.get $HELD)))

  ;; ---- the token ----

  (func $log (param $event i32) (param $first i32) (param $second i32) (param $value i32)
    (call $copy (global.get $EVENT) (local.get $event))
    (call $copy (i32.add (global.get $EVENT) (i32.const 32)) (local.get $first))
    (call $copy (i32.add (global.get $EVENT) (i32.const 64)) (local.get $second))
    (call $copy (i32.add (global.get $EVENT) (i32.const 96)) (local.get $value))
    (call $emit_log (global.get $EVENT) (i32.const 128) (i32.const 3)))

  (func $credit (param $to i32) (param $value i32)
    (call $load_balance (local.get $to))
    ;; no more than the supply, which fits
    (call $add (global.get $LEFT) (global.get $HELD) (local.get $value))
    (call $storage_cache_bytes32 (global.get $SLOT) (global.get $LEFT)))

  (func $move (param $from i32) (param $to i32) (param $value i32)
    (if (call $is_zero (local.get $from)) ;; ERC20InvalidSender(address)
      (then (call $revert_with_one (i32.const 0x96c6fd1e) (local.get $from))))
    (if (call $is_zero (local.get $to)) ;; ERC20InvalidReceiver(address)
      (then (call $revert_with_one (i32.const 0xec442f05) (local.get $to))))
    (call $load_balance (local.get $from))
    (if (call $subtract (global.get $LEFT) (global.get $HELD) (local.get $value))
      (then
        (call $revert_with_three
          (i32.const 0xe450d38c) ;; ERC20InsufficientBalance(address,uint256,uint256)
          (local.get $from) (global.get $HELD) (local.get $value))))
    (call $storage_cache_bytes32 (global.get $SLOT) (global.get $LEFT))
    (call $credit (local.get $to) (local.get $value))
    (call $log (global.get $TRANSFER) (local.get $from) (local.get $to) (local.get $value)))

  ;; $load_allowance says where.
  (func $set_allowance (param $owner i32) (param $spender i32) (param $value i32)
    (if (call $is_zero (local.get $owner)) ;; ERC20InvalidApprover(address)
      (then (call $revert_with_one (i32.const 0xe602df05) (local.get $owner))))
    (if (call $is_zero (local.get $spender)) ;; ERC20InvalidSpender(address)
      (then (call $revert_with_one (i32.const 0x94280d62) (local.get $spender))))
    (call $storage_cache_bytes32 (global.get $SLOT) (local.get $value)))

  ;; An allowance of 2^256 - 1 is without end.
  (func $spend_allowance (param $owner i32) (param $spender i32) (param $value i32)
    (call $load_allowance (local.get $owner) (local.get $spender))
    (if (call $is_max (global.get $HELD)) (then (return)))
    (if (call $subtract (global.get $LEFT) (global.get $HELD) (local.get $value))
      (then
        (call $revert_with_three
          (i32.const 0xfb8f41b2) ;; ERC20InsufficientAllowance(address,uint256,uint256)
          (local.get $spender) (global.get $HELD) (local.get $value))))
    (call $set_allowance (local.get $owner) (local.get $spender) (global.get $LEFT)))

  (func $initialize (param $holder i32) (param $supply i32)
    (call $storage_load_bytes32 (global.get $TOTAL_SUPPLY) (global.get $HELD))
    (if (i32.eqz (call $is_zero (global.get $HELD)))
      (then
        (i32.store (global.get $ERROR)
          (call $turned (i32.const 0x0dc149f0))) ;; AlreadyInitialized()
        (call $revert (global.get $ERROR) (i32.const 4))))
    (if (call $is_zero (local.get $holder)) ;; ERC20InvalidReceiver(address)
      (then (call $revert_with_one (i32.const 0xec442f05) (local.get $holder))))
    (call $storage_cache_bytes32 (global.get $TOTAL_SUPPLY) (local.get $supply))
    (call $credit (local.get $holder) (local.get $supply))
    (call $log
      (global.get $TRANSFER) (global.get $ZERO) (local.get $holder) (local.get $supply)))

  (func $transfer (param $to i32) (param $value i32)
    (call $move (global.get $SENDER) (local.get $to) (local.get $value))
    (call $result_word (global.get $ONE)))

  (func $transfer_from (param $from i32) (param $to i32) (param $value i32)
    (call $spend_allowance (local.get $from) (global.get $SENDER) (local.get $value))
    (call $move (local.get $from) (local.get $to) (local.get $value))
    (call $result_word (global.get $ONE)))

  (func $approve (param $spender i32) (param $value i32)
    (call $load_allowance (global.get $SENDER) (local.get $spender))
    (call $set_allowance (global.get $SENDER) (local.get $spender) (local.get $value))
    (call $log
      (global.get $APPROVAL) (global.get $SENDER) (local.get $spender) (local.get $value))
    (call $result_word (global.get $ONE)))

  (func $total_supply
    (call $storage_load_bytes32 (global.get $TOTAL_SUPPLY) (global.get $HELD))
    (call $result_word (global.get $HELD)))

  (func $balance_of (param $holder i32)
    (call $load_balance (local.get $holder))
    (call $result_word (global.get $HELD)))

  (func $allowance (param $owner i32) (param $spender i32)
    (call $load_allowance (local.get $owner) (local.get $spender))
    (call $result_word (global.get $HELD)))

  ;; Functions that only read. Whether selector was one of them.
  (func $read (param $selector i32) (result i32)
    (if (i32.eq (local.get $selector) (i32.const 0x70a08231)) ;; balanceOf(address)
      (then (call $balance_of (call $address (i32.const 0))) (return (i32.const 1))))
    (if (i32.eq (local.get $selector) (i32.const 0xdd62ed3e)) ;; allowance(address,address)
      (then
        (call $allowance (call $address (i32.const 0)) (call $address (i32.const 1)))
        (return (i32.const 1))))
    (if (i32.eq (local.get $selector) (i32.const 0x18160ddd)) ;; totalSupply()
      (then (call $total_supply) (return (i32.const 1))))
    (if (i32.eq (local.get $selector) (i32.const 0x313ce567)) ;; decimals()
      (then (call $result_word (global.get $DECIMALS)) (return (i32.const 1))))
    (if (i32.eq (local.get $selector) (i32.const 0x06fdde03)) ;; name()
      (then (call $write_result (global.get $NAME) (i32.const 96)) (return (i32.const 1))))
    (if (i32.eq (local.get $selector) (i32.const 0x95d89b41)) ;; symbol()
      (then (call $write_result (global.get $SYMBOL) (i32.const 96)) (return (i32.const 1))))
    (i32.const 0))

  (func $write (param $selector i32)
    (if (i32.eq (local.get $selector) (i32.const 0xa9059cbb)) ;; transfer(address,uint256)
      (then
        (call $transfer (call $address (i32.const 0)) (call $argument (i32.const 1)))
        (return)))
    (if (i32.eq (local.get $selector)
          (i32.const 0x23b872dd)) ;; transferFrom(address,address,uint256)
      (then
        (call $transfer_from
          (call $address (i32.const 0)) (call $address (i32.const 1))
          (call $argument (i32.const 2)))
        (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x095ea7b3)) ;; approve(address,uint256)
      (then
        (call $approve (call $address (i32.const 0)) (call $argument (i32.const 1)))
        (return)))
    (if (i32.eq (local.get $selector) (i32.const 0xcd6dc687)) ;; initialize(address,uint256)
      (then
        (call $initialize (call $address (i32.const 0)) (call $argument (i32.const 1)))
        (return)))
    (call $revert_empty))

  (func (export "user_entrypoint") (param $given i32) (result i32)
    (local $selector i32)
    (call $msg_value (global.get $VALUE))
    (if (i32.eqz (call $is_zero (global.get $VALUE))) (then (return (i32.const 1))))
    (if (i32.or
          (i32.lt_u (local.get $given) (i32.const 4))
          (i32.gt_u (local.get $given) (global.get $DATA_MAX)))
      (then (return (i32.const 1))))
    (global.set $length (local.get $given))
    (call $read_args (global.get $DATA))
    (call $msg_sender (i32.add (global.get $SENDER) (i32.const 12)))
    (local.set $selector (call $turned (i32.load (global.get $DATA))))
    (if (i32.eqz (call $read (local.get $selector)))
      (then (call $write (local.get $selector))))
    (call $storage_flush_cache (i32.const 0))
    (i32.const 0)))
