;; Keccak-256 computed by the contract itself, to show what computing costs. A contract that needs a
;; hash calls native_keccak256, which costs less.
(module
  (import "vm_hooks" "read_args" (func $read_args (param i32)))
  (import "vm_hooks" "write_result" (func $write_result (param i32 i32)))
  (import "vm_hooks" "exit_early" (func $exit_early (param i32)))
  (import "vm_hooks" "msg_value" (func $msg_value (param i32)))

  (memory (export "memory") 1)
  (global $STATE i32 (i32.const 0))          ;; 25 lanes of 64 bits; the hash is the first four
  (global $MOVED i32 (i32.const 200))        ;; 25 lanes
  (global $PARITY i32 (i32.const 400))       ;; five lanes
  (global $CONSTANTS i32 (i32.const 440))    ;; 24 lanes
  (global $PLACES i32 (i32.const 632))       ;; 25 bytes: where a lane goes (pi)
  (global $ROTATIONS i32 (i32.const 657))    ;; 25 bytes: by how much it is rotated (rho)
  (global $LAST i32 (i32.const 688))         ;; the last block, padded
  (global $VALUE i32 (i32.const 824))        ;; a word
  (global $DATA i32 (i32.const 1024))        ;; of the call
  (global $DATA_MAX i32 (i32.const 64512))
  (global $RATE i32 (i32.const 136))         ;; bytes that one permutation takes in
  (global $length (mut i32) (i32.const 0))   ;; of the call's data

  (data (i32.const 440)
    "\01\00\00\00\00\00\00\00\82\80\00\00\00\00\00\00\8a\80\00\00\00\00\00\80"
    "\00\80\00\80\00\00\00\80\8b\80\00\00\00\00\00\00\01\00\00\80\00\00\00\00"
    "\81\80\00\80\00\00\00\80\09\80\00\00\00\00\00\80\8a\00\00\00\00\00\00\00"
    "\88\00\00\00\00\00\00\00\09\80\00\80\00\00\00\00\0a\00\00\80\00\00\00\00"
    "\8b\80\00\80\00\00\00\00\8b\00\00\00\00\00\00\80\89\80\00\00\00\00\00\80"
    "\03\80\00\00\00\00\00\80\02\80\00\00\00\00\00\80\80\00\00\00\00\00\00\80"
    "\0a\80\00\00\00\00\00\00\0a\00\00\80\00\00\00\80\81\80\00\80\00\00\00\80"
    "\80\80\00\00\00\00\00\80\01\00\00\80\00\00\00\00\08\80\00\80\00\00\00\80")
  (data (i32.const 632)
    "\00\0a\14\05\0f\10\01\0b\15\06\07\11\02\0c\16\17\08\12\03\0d\0e\18\09\13\04")
  (data (i32.const 657)
    "\00\01\3e\1c\1b\24\2c\06\37\14\03\0a\2b\19\27\29\2d\0f\15\08\12\02\3d\38\0e")

  (func $revert_empty
    (call $write_result (i32.const 0) (i32.const 0))
    (call $exit_early (i32.const 1))
    (unreachable))

  ;; Where lane index of an array lies.
  (func $lane (param $array i32) (param $index i32) (result i32)
    (i32.add (local.get $array) (i32.shl (local.get $index) (i32.const 3))))

  ;; The parity of the column that follows x by `by`, around.
  (func $parity (param $x i32) (param $by i32) (result i64)
    (i64.load
      (call $lane (global.get $PARITY)
        (i32.rem_u (i32.add (local.get $x) (local.get $by)) (i32.const 5)))))

  (func $theta_parities
    (local $x i32) (local $at i32)
    (loop $next
      (local.set $at (call $lane (global.get $STATE) (local.get $x)))
      (i64.store (call $lane (global.get $PARITY) (local.get $x))
        (i64.xor
          (i64.xor
            (i64.xor (i64.load (local.get $at)) (i64.load offset=40 (local.get $at)))
            (i64.xor (i64.load offset=80 (local.get $at)) (i64.load offset=120 (local.get $at))))
          (i64.load offset=160 (local.get $at))))
      (br_if $next
        (i32.lt_u
          (local.tee $x (i32.add (local.get $x) (i32.const 1))) (i32.const 5)))))

  ;; theta, rho and pi, from STATE to MOVED.
  (func $move_lanes
    (local $x i32) (local $index i32) (local $column i64)
    (loop $columns
      (local.set $column
        (i64.xor
          (call $parity (local.get $x) (i32.const 4))
          (i64.rotl (call $parity (local.get $x) (i32.const 1)) (i64.const 1))))
      (local.set $index (local.get $x))
      (loop $lanes
        (i64.store
          (call $lane (global.get $MOVED)
            (i32.load8_u (i32.add (global.get $PLACES) (local.get $index))))
          (i64.rotl
            (i64.xor
              (i64.load (call $lane (global.get $STATE) (local.get $index)))
              (local.get $column))
            (i64.load8_u (i32.add (global.get $ROTATIONS) (local.get $index)))))
        (br_if $lanes
          (i32.lt_u
            (local.tee $index (i32.add (local.get $index) (i32.const 5))) (i32.const 25))))
      (br_if $columns
        (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 1))) (i32.const 5)))))

  ;; One lane of chi: a xor (not b and c).
  (func $chi_lane (param $to i32) (param $a i64) (param $b i64) (param $c i64)
    (i64.store (local.get $to)
      (i64.xor (local.get $a)
        (i64.and (i64.xor (local.get $b) (i64.const -1)) (local.get $c)))))

  ;; chi, row by row, from MOVED to STATE.
  (func $chi
    (local $from i32) (local $to i32)
    (local $a i64) (local $b i64) (local $c i64) (local $d i64) (local $e i64)
    (local.set $from (global.get $MOVED))
    (local.set $to (global.get $STATE))
    (loop $rows
      (local.set $a (i64.load (local.get $from)))
      (local.set $b (i64.load offset=8 (local.get $from)))
      (local.set $c (i64.load offset=16 (local.get $from)))
      (local.set $d (i64.load offset=24 (local.get $from)))
      (local.set $e (i64.load offset=32 (local.get $from)))
      (call $chi_lane
        (local.get $to) (local.get $a) (local.get $b) (local.get $c))
      (call $chi_lane
        (i32.add (local.get $to) (i32.const 8)) (local.get $b) (local.get $c) (local.get $d))
      (call $chi_lane
        (i32.add (local.get $to) (i32.const 16)) (local.get $c) (local.get $d) (local.get $e))
      (call $chi_lane
        (i32.add (local.get $to) (i32.const 24)) (local.get $d) (local.get $e) (local.get $a))
      (call $chi_lane
        (i32.add (local.get $to) (i32.const 32)) (local.get $e) (local.get $a) (local.get $b))
      (local.set $from (i32.add (local.get $from) (i32.const 40)))
      (br_if $rows
        (i32.lt_u
          (local.tee $to (i32.add (local.get $to) (i32.const 40))) (i32.const 200)))))

  (func $permute
    (local $round i32)
    (loop $rounds
      (call $theta_parities)
      (call $move_lanes)
      (call $chi)
      (i64.store (global.get $STATE)
        (i64.xor
          (i64.load (global.get $STATE))
          (i64.load (call $lane (global.get $CONSTANTS) (local.get $round)))))
      (br_if $rounds
        (i32.lt_u
          (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 24)))))

  ;; Memory of WASM is little-endian, as Keccak's lanes.
  (func $absorb (param $block i32)
    (local $byte i32)
    (loop $lanes
      (i64.store (i32.add (global.get $STATE) (local.get $byte))
        (i64.xor
          (i64.load (i32.add (global.get $STATE) (local.get $byte)))
          (i64.load (i32.add (local.get $block) (local.get $byte)))))
      (br_if $lanes
        (i32.lt_u
          (local.tee $byte (i32.add (local.get $byte) (i32.const 8))) (global.get $RATE))))
    (call $permute))

  ;; The hash is the first 32 bytes of STATE.
  (func $keccak256 (param $bytes i32) (param $length i32)
    (memory.fill (global.get $STATE) (i32.const 0) (i32.const 200))
    (block $done
      (loop $blocks
        (br_if $done (i32.lt_u (local.get $length) (global.get $RATE)))
        (call $absorb (local.get $bytes))
        (local.set $bytes (i32.add (local.get $bytes) (global.get $RATE)))
        (local.set $length (i32.sub (local.get $length) (global.get $RATE)))
        (br $blocks)))
    (memory.fill (global.get $LAST) (i32.const 0) (global.get $RATE))
    (memory.copy (global.get $LAST) (local.get $bytes) (local.get $length))
    (i32.store8 (i32.add (global.get $LAST) (local.get $length)) (i32.const 0x01))
    (i32.store8 offset=135 (global.get $LAST)
      (i32.or (i32.load8_u offset=135 (global.get $LAST)) (i32.const 0x80)))
    (call $absorb (global.get $LAST)))

  ;; A number of 32 bits with its bytes the other way around.
  (func $turned (param $number i32) (result i32)
    (i32.or
      (i32.and (i32.rotl (local.get $number) (i32.const 8)) (i32.const 0x00ff00ff))
      (i32.and (i32.rotr (local.get $number) (i32.const 8)) (i32.const 0xff00ff00))))

  ;; The word at a place in the data after the selector. It must fit 32 bits and lie within.
  (func $number_at (param $place i32) (result i32)
    (local $word i32) (local $whole i32)
    (local.set $whole (i32.sub (global.get $length) (i32.const 4)))
    (if (i32.or
          (i32.gt_u (local.get $place) (local.get $whole))
          (i32.lt_u (i32.sub (local.get $whole) (local.get $place)) (i32.const 32)))
      (then (call $revert_empty)))
    (local.set $word (i32.add (i32.add (global.get $DATA) (i32.const 4)) (local.get $place)))
    (if (i32.or
          (i64.ne (i64.const 0)
            (i64.or
              (i64.or (i64.load (local.get $word)) (i64.load offset=8 (local.get $word)))
              (i64.load offset=16 (local.get $word))))
          (i32.load offset=24 (local.get $word)))
      (then (call $revert_empty)))
    (call $turned (i32.load offset=28 (local.get $word))))

  (func $hash
    (local $place i32) (local $count i32)
    (local.set $place (call $number_at (i32.const 0)))
    (local.set $count (call $number_at (local.get $place)))
    (if (i32.gt_u (local.get $count)
          (i32.sub (i32.sub (global.get $length) (i32.const 36)) (local.get $place)))
      (then (call $revert_empty)))
    (call $keccak256
      (i32.add (i32.add (global.get $DATA) (i32.const 36)) (local.get $place))
      (local.get $count))
    (call $write_result (global.get $STATE) (i32.const 32)))

  ;; The hash of 32 zero bytes, hashed again and again.
  (func $loop (param $rounds i32)
    (memory.fill (global.get $VALUE) (i32.const 0) (i32.const 32))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $rounds)))
        (call $keccak256 (global.get $VALUE) (i32.const 32))
        (memory.copy (global.get $VALUE) (global.get $STATE) (i32.const 32))
        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
        (br $next)))
    (call $write_result (global.get $VALUE) (i32.const 32)))

  (func $dispatch (param $selector i32)
    (if (i32.eq (local.get $selector) (i32.const 0xaa1e84de)) ;; hash(bytes)
      (then (call $hash) (return)))
    (if (i32.eq (local.get $selector) (i32.const 0x95cfa685)) ;; loop(uint32)
      (then (call $loop (call $number_at (i32.const 0))) (return)))
    (call $revert_empty))

  (func (export "user_entrypoint") (param $given i32) (result i32)
    (call $msg_value (global.get $VALUE))
    (if (i64.ne (i64.const 0)
          (i64.or
            (i64.or (i64.load (global.get $VALUE)) (i64.load offset=8 (global.get $VALUE)))
            (i64.or (i64.load offset=16 (global.get $VALUE))
              (i64.load offset=24 (global.get $VALUE)))))
      (then (return (i32.const 1))))
    (if (i32.or
          (i32.lt_u (local.get $given) (i32.const 4))
          (i32.gt_u (local.get $given) (global.get $DATA_MAX)))
      (then (return (i32.const 1))))
    (global.set $length (local.get $given))
    (call $read_args (global.get $DATA))
    (call $dispatch (call $turned (i32.load (global.get $DATA))))
    (i32.const 0)))
