// Keccak-256 computed by the contract itself, to show what computing costs. A contract that needs a
// hash calls native_keccak256, which costs less.
import {
  argumentBytes, argumentU32, begin, finish, notPayable, part, resultWord, revert, selector, take,
} from "./ghost";

const RATE: u32 = 136; // bytes that one permutation takes in

const CONSTANTS = memory.data<u64>([
  0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
  0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
  0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
  0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
  0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
  0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
]);
// Where lane x + 5 y of the state goes (pi), and by how much it is rotated (rho).
const PLACES = memory.data<u8>([
  0, 10, 20, 5, 15, 16, 1, 11, 21, 6, 7, 17, 2, 12, 22, 23, 8, 18, 3, 13, 14, 24, 9, 19, 4,
]);
const ROTATIONS = memory.data<u8>([
  0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14,
]);

const STATE = memory.data(200, 8);
const MOVED = memory.data(200, 8);
const LAST = memory.data(136, 8);

@inline
function lane(base: usize, index: u32): u64 {
  return load<u64>(base + (<usize>index << 3));
}

/** theta of column x, and rho and pi of its five lanes. */
@inline
function column(x: u32, parity: u64): void {
  for (let index = x; index < 25; index += 5) {
    const moved = rotl(lane(STATE, index) ^ parity, <u64>load<u8>(ROTATIONS + index));
    store<u64>(MOVED + (<usize>load<u8>(PLACES + index) << 3), moved);
  }
}

@inline
function parity(x: u32): u64 {
  return lane(STATE, x) ^ lane(STATE, x + 5) ^ lane(STATE, x + 10) ^ lane(STATE, x + 15) ^
    lane(STATE, x + 20);
}

function permute(): void {
  for (let round: u32 = 0; round < 24; round++) {
    const a = parity(0);
    const b = parity(1);
    const c = parity(2);
    const d = parity(3);
    const e = parity(4);
    column(0, e ^ rotl(b, 1));
    column(1, a ^ rotl(c, 1));
    column(2, b ^ rotl(d, 1));
    column(3, c ^ rotl(e, 1));
    column(4, d ^ rotl(a, 1));
    for (let y: u32 = 0; y < 25; y += 5) {
      const v = lane(MOVED, y);
      const w = lane(MOVED, y + 1);
      const x = lane(MOVED, y + 2);
      const s = lane(MOVED, y + 3);
      const t = lane(MOVED, y + 4);
      const row = STATE + (<usize>y << 3);
      store<u64>(row, v ^ (~w & x));
      store<u64>(row + 8, w ^ (~x & s));
      store<u64>(row + 16, x ^ (~s & t));
      store<u64>(row + 24, s ^ (~t & v));
      store<u64>(row + 32, t ^ (~v & w));
    }
    store<u64>(STATE, load<u64>(STATE) ^ lane(CONSTANTS, round));
  }
}

function absorb(block: usize): void {
  // memory of WASM is little-endian, as Keccak's lanes
  for (let index: usize = 0; index < RATE; index += 8) {
    store<u64>(STATE + index, load<u64>(STATE + index) ^ load<u64>(block + index));
  }
  permute();
}

/** The hash lies in the first 32 bytes of STATE. */
function keccak256(bytes: usize, length: u32): void {
  memory.fill(STATE, 0, 200);
  while (length >= RATE) {
    absorb(bytes);
    bytes += RATE;
    length -= RATE;
  }
  memory.fill(LAST, 0, RATE);
  memory.copy(LAST, bytes, length);
  store<u8>(LAST + length, 0x01);
  store<u8>(LAST + RATE - 1, load<u8>(LAST + RATE - 1) | 0x80);
  absorb(LAST);
}

function hash(): void {
  const place = argumentBytes(0);
  keccak256(place + 32, <u32>part(place, 3));
  resultWord(STATE);
}

/** The hash of 32 zero bytes, hashed again and again. */
function loop(rounds: u32): void {
  const value = take(32);
  for (; rounds > 0; rounds--) {
    keccak256(value, 32);
    memory.copy(value, STATE, 32);
  }
  resultWord(value);
}

export function user_entrypoint(length: i32): i32 {
  begin(length);
  notPayable();
  switch (selector()) {
    case 0xaa1e84de: /* hash(bytes) */
      hash();
      break;
    case 0x95cfa685: /* loop(uint32) */
      loop(argumentU32(0));
      break;
    default:
      revert(0, 0);
  }
  return finish();
}
