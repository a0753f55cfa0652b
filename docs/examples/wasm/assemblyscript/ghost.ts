// Write GhostChain contracts in AssemblyScript: what the chain offers to a WASM contract, and what
// most contracts need on top: words of 256 bits, arguments, storage, events, calls, results.
//
//     import { begin, finish, loadNumbered, resultWord, revert, selector } from "./ghost";
//
//     export function user_entrypoint(length: i32): i32 {
//       begin(length);
//       if (selector() == 0x8381f58a) resultWord(loadNumbered(0)); // number()
//       else revert(0, 0);
//       return finish();
//     }
//
// asc counter.ts --runtime stub --use abort= -O3 --shrinkLevel 2 --converge -o counter.wasm
//
// A word is a pointer (usize) to 32 bytes, big-endian as the chain has them; an address is a word
// too, with its 20 bytes at the end. Memory comes from take() and is never given back: every call
// of a contract starts with fresh memory. Objects, strings and floats are not used: they need a
// runtime, and floats are refused by the chain.

// ---- what the chain offers: the imports, under their own names ----

// The call: its data, its result.
@external("vm_hooks", "read_args") export declare function read_args(to: usize): void;
@external("vm_hooks", "write_result")
export declare function write_result(bytes: usize, length: u32): void;
@external("vm_hooks", "exit_early") export declare function exit_early(status: u32): void;
@external("vm_hooks", "msg_sender") export declare function msg_sender(address: usize): void;
@external("vm_hooks", "msg_value") export declare function msg_value(word: usize): void;
@external("vm_hooks", "msg_reentrant") export declare function msg_reentrant(): u32;
@external("vm_hooks", "contract_address")
export declare function contract_address(address: usize): void;
@external("vm_hooks", "tx_origin") export declare function tx_origin(address: usize): void;
@external("vm_hooks", "tx_gas_price") export declare function tx_gas_price(word: usize): void;
@external("vm_hooks", "tx_ink_price") export declare function tx_ink_price(): u32;
@external("vm_hooks", "evm_gas_left") export declare function evm_gas_left(): u64;
@external("vm_hooks", "evm_ink_left") export declare function evm_ink_left(): u64;

// Storage. What is cached reaches the chain when it is flushed, and is lost otherwise.
@external("vm_hooks", "storage_load_bytes32")
export declare function storage_load_bytes32(slot: usize, value: usize): void;
@external("vm_hooks", "storage_cache_bytes32")
export declare function storage_cache_bytes32(slot: usize, value: usize): void;
@external("vm_hooks", "storage_flush_cache")
export declare function storage_flush_cache(clear: u32): void;
@external("vm_hooks", "transient_load_bytes32")
export declare function transient_load_bytes32(slot: usize, value: usize): void;
@external("vm_hooks", "transient_store_bytes32")
export declare function transient_store_bytes32(slot: usize, value: usize): void;

// Other contracts. gas: how much to give at most. The result is 0 when the call succeeded.
@external("vm_hooks", "call_contract")
export declare function call_contract(
  to: usize, data: usize, length: u32, value: usize, gas: u64, returnLength: usize,
): u32;
@external("vm_hooks", "delegate_call_contract")
export declare function delegate_call_contract(
  to: usize, data: usize, length: u32, gas: u64, returnLength: usize,
): u32;
@external("vm_hooks", "static_call_contract")
export declare function static_call_contract(
  to: usize, data: usize, length: u32, gas: u64, returnLength: usize,
): u32;
@external("vm_hooks", "create1")
export declare function create1(
  code: usize, length: u32, value: usize, address: usize, revertLength: usize,
): void;
@external("vm_hooks", "create2")
export declare function create2(
  code: usize, length: u32, value: usize, salt: usize, address: usize, revertLength: usize,
): void;
@external("vm_hooks", "return_data_size") export declare function return_data_size(): u32;
@external("vm_hooks", "read_return_data")
export declare function read_return_data(to: usize, offset: u32, length: u32): u32;

// Events: the topics stand before the data.
@external("vm_hooks", "emit_log")
export declare function emit_log(bytes: usize, length: u32, topics: u32): void;

// Accounts.
@external("vm_hooks", "account_balance")
export declare function account_balance(address: usize, word: usize): void;
@external("vm_hooks", "account_codehash")
export declare function account_codehash(address: usize, hash: usize): void;
@external("vm_hooks", "account_code_size")
export declare function account_code_size(address: usize): u32;
@external("vm_hooks", "account_code")
export declare function account_code(
  address: usize, offset: u32, length: u32, to: usize,
): u32;

// The block.
@external("vm_hooks", "block_basefee") export declare function block_basefee(word: usize): void;
@external("vm_hooks", "block_coinbase")
export declare function block_coinbase(address: usize): void;
@external("vm_hooks", "block_gas_limit") export declare function block_gas_limit(): u64;
@external("vm_hooks", "block_number") export declare function block_number(): u64;
@external("vm_hooks", "block_timestamp") export declare function block_timestamp(): u64;
@external("vm_hooks", "chainid") export declare function chainid(): u64;

// Arithmetic on words, in place: the first word takes the result.
@external("vm_hooks", "math_div")
export declare function math_div(value: usize, divisor: usize): void;
@external("vm_hooks", "math_mod")
export declare function math_mod(value: usize, modulus: usize): void;
@external("vm_hooks", "math_pow")
export declare function math_pow(value: usize, exponent: usize): void;
@external("vm_hooks", "math_add_mod")
export declare function math_add_mod(value: usize, addend: usize, modulus: usize): void;
@external("vm_hooks", "math_mul_mod")
export declare function math_mul_mod(value: usize, factor: usize, modulus: usize): void;
@external("vm_hooks", "native_keccak256")
export declare function native_keccak256(bytes: usize, length: u32, hash: usize): void;
@external("vm_hooks", "pay_for_memory_grow")
export declare function pay_for_memory_grow(pages: u32): void;

// ---- memory ----

const PAGE_BYTES: usize = 65536;
let next: usize = 0;

/** length zero bytes, aligned to 16, for the rest of the call. Traps when memory is out. */
export function take(length: u32): usize {
  if (next == 0) next = __heap_base;
  const start = (next + 15) & ~15;
  if (length > u32.MAX_VALUE - <u32>PAGE_BYTES - <u32>start) unreachable();
  next = start + length;
  const pages = <i32>((next + PAGE_BYTES - 1) / PAGE_BYTES);
  if (pages > memory.size() && memory.grow(pages - memory.size()) < 0) unreachable();
  return start;
}

// ---- words: 256 bits, big-endian ----

/** The part-th 64 bits of a word, highest first. */
export function part(word: usize, index: u32): u64 {
  return bswap(load<u64>(word + 8 * index));
}

export function setPart(word: usize, index: u32, value: u64): void {
  store<u64>(word + 8 * index, bswap(value));
}

export function wordOf(number: u64): usize {
  const made = take(32);
  setPart(made, 3, number);
  return made;
}

/** A constant, from its four parts, highest first. */
export function constant(a: u64, b: u64, c: u64, d: u64): usize {
  const made = take(32);
  setPart(made, 0, a);
  setPart(made, 1, b);
  setPart(made, 2, c);
  setPart(made, 3, d);
  return made;
}

export function isZero(word: usize): bool {
  return (part(word, 0) | part(word, 1) | part(word, 2) | part(word, 3)) == 0;
}

export function isMax(word: usize): bool {
  return (part(word, 0) & part(word, 1) & part(word, 2) & part(word, 3)) == u64.MAX_VALUE;
}

export function less(left: usize, right: usize): bool {
  for (let index: u32 = 0; index < 4; index++) {
    const a = part(left, index);
    const b = part(right, index);
    if (a != b) return a < b;
  }
  return false;
}

/** left + right modulo 2^256; less than left when it overflowed. */
export function sum(left: usize, right: usize): usize {
  const made = take(32);
  let carry: u64 = 0;
  for (let index = 3; index >= 0; index--) {
    const a = part(left, index);
    const partial = a + part(right, index);
    setPart(made, index, partial + carry);
    carry = u64(partial < a) | u64(partial + carry < partial);
  }
  return made;
}

/** left - right modulo 2^256. */
export function difference(left: usize, right: usize): usize {
  const made = take(32);
  let borrow: u64 = 0;
  for (let index = 3; index >= 0; index--) {
    const a = part(left, index);
    const b = part(right, index);
    const partial = a - b;
    setPart(made, index, partial - borrow);
    borrow = u64(a < b) | u64(partial < borrow);
  }
  return made;
}

// ---- how a call ends ----

/** Ends the call and undoes what it did. Does not return. */
export function revert(bytes: usize, length: u32): void {
  write_result(bytes, length);
  exit_early(1);
  unreachable();
}

/** Solidity's custom error with up to three words. Does not return. */
export function revertWith(error: u32, count: u32, a: usize = 0, b: usize = 0, c: usize = 0): void {
  const bytes = take(4 + 96);
  store<u32>(bytes, bswap(error));
  if (count > 0) memory.copy(bytes + 4, a, 32);
  if (count > 1) memory.copy(bytes + 36, b, 32);
  if (count > 2) memory.copy(bytes + 68, c, 32);
  revert(bytes, 4 + 32 * count);
}

/** Panic(0x11), which Solidity's checked arithmetic ends with. */
export function revertOverflow(): void {
  revertWith(0x4e487b71 /* Panic(uint256) */, 1, wordOf(0x11));
}

export function resultWord(word: usize): void {
  write_result(word, 32);
}

/** A string or bytes of up to 32 bytes, given as a word that starts with them. */
export function resultShort(word: usize, length: u32): void {
  const out = take(96);
  setPart(out, 3, 32);
  setPart(out + 32, 3, length);
  memory.copy(out + 64, word, length);
  write_result(out, 96);
}

// ---- the call's data ----

let data: usize = 0;
let dataLength: u32 = 0;

/** Reads the call's data. First thing in user_entrypoint. */
export function begin(length: u32): void {
  data = take(length);
  dataLength = length;
  read_args(data);
}

/** Writes storage to the chain. Last thing in user_entrypoint. */
export function finish(): i32 {
  storage_flush_cache(0);
  return 0;
}

/** The first four bytes. Reverts when there are fewer. */
export function selector(): u32 {
  if (dataLength < 4) revert(0, 0);
  return bswap(load<u32>(data));
}

/** The index-th argument. Reverts when the data is too short for it. */
export function argument(index: u32): usize {
  if (dataLength < 4 + 32 * (index + 1)) revert(0, 0);
  return data + 4 + 32 * index;
}

/** As Solidity: reverts when the upper 96 bits are not zero. */
export function argumentAddress(index: u32): usize {
  const word = argument(index);
  if (load<u64>(word) != 0 || load<u32>(word + 8) != 0) revert(0, 0);
  return word;
}

/** Reverts when it does not fit. */
export function argumentU32(index: u32): u32 {
  return asU32(argument(index));
}

function asU32(word: usize): u32 {
  if (part(word, 0) | part(word, 1) | part(word, 2) | part(word, 3) >> 32) revert(0, 0);
  return <u32>part(word, 3);
}

/** Where the index-th argument, bytes, has its length; the bytes follow it. Reverts when they do
 * not lie within the data. */
export function argumentBytes(index: u32): usize {
  const place = argumentU32(index);
  const whole = dataLength - 4;
  if (place > whole || whole - place < 32) revert(0, 0);
  const word = data + 4 + place;
  if (asU32(word) > whole - place - 32) revert(0, 0);
  return word;
}

/** Who calls, as a word. */
export function sender(): usize {
  const word = take(32);
  msg_sender(word + 12);
  return word;
}

/** Reverts when value was sent. */
export function notPayable(): void {
  const value = take(32);
  msg_value(value);
  if (!isZero(value)) revert(0, 0);
}

// ---- storage, laid out as Solidity lays it out ----

export function loadSlot(slot: usize): usize {
  const value = take(32);
  storage_load_bytes32(slot, value);
  return value;
}

export function loadNumbered(slot: u64): usize {
  return loadSlot(wordOf(slot));
}

/** Where mapping[key] lies, the mapping being at slot. */
export function slotOf(key: usize, slot: usize): usize {
  const both = take(64);
  memory.copy(both, key, 32);
  memory.copy(both + 32, slot, 32);
  const hash = take(32);
  native_keccak256(both, 64, hash);
  return hash;
}

// ---- events ----

/** An event with up to two indexed words (0 for none) and one word of data. */
export function logWord(event: usize, first: usize, second: usize, value: usize): void {
  const bytes = take(128);
  let end = bytes;
  memory.copy(end, event, 32);
  end += 32;
  if (first) {
    memory.copy(end, first, 32);
    end += 32;
  }
  if (second) {
    memory.copy(end, second, 32);
    end += 32;
  }
  memory.copy(end, value, 32);
  emit_log(bytes, <u32>(end - bytes) + 32, <u32>(end - bytes) / 32);
}

// ---- calls ----

/** Data for a call: a selector and up to three words. */
export function callData(function_: u32, count: u32, a: usize, b: usize = 0, c: usize = 0): usize {
  const bytes = take(4 + 96);
  store<u32>(bytes, bswap(function_));
  if (count > 0) memory.copy(bytes + 4, a, 32);
  if (count > 1) memory.copy(bytes + 36, b, 32);
  if (count > 2) memory.copy(bytes + 68, c, 32);
  return bytes;
}

function revertAsCallee(): void {
  const length = return_data_size();
  const bytes = take(length);
  read_return_data(bytes, 0, length);
  revert(bytes, length);
}

/** Calls with all gas and no value, and reverts as the callee does. The length of what it returned.
 * Storage is flushed before, and read anew after: the callee may call back. */
export function callOrRevert(to: usize, bytes: usize, length: u32): u32 {
  const returned = take(4);
  storage_flush_cache(1);
  if (call_contract(to + 12, bytes, length, wordOf(0), u64.MAX_VALUE, returned)) revertAsCallee();
  return load<u32>(returned);
}

export function staticCallOrRevert(to: usize, bytes: usize, length: u32): u32 {
  const returned = take(4);
  storage_flush_cache(0);
  if (static_call_contract(to + 12, bytes, length, u64.MAX_VALUE, returned)) revertAsCallee();
  return load<u32>(returned);
}
