//! Keccak-256 computed by the contract itself, to show what computing costs. A contract that needs
//! a hash calls native_keccak256, which costs less.
#![no_std]
mod ghost;
use ghost::*;

const RATE: usize = 136; // bytes that one permutation takes in

#[rustfmt::skip]
const CONSTANTS: [u64; 24] = [
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
];
// Where lane x + 5 y of the state goes (pi), and by how much it is rotated (rho).
const PLACES: [usize; 25] = [
    0, 10, 20, 5, 15, 16, 1, 11, 21, 6, 7, 17, 2, 12, 22, 23, 8, 18, 3, 13, 14, 24, 9, 19, 4,
];
const ROTATIONS: [u32; 25] = [
    0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14,
];

fn permute(state: &mut [u64; 25]) {
    for constant in CONSTANTS {
        let mut parity = [0; 5];
        for (x, lane) in parity.iter_mut().enumerate() {
            *lane = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        }
        let mut moved = [0; 25];
        for index in 0..25 {
            let x = index % 5;
            let column = parity[(x + 4) % 5] ^ parity[(x + 1) % 5].rotate_left(1);
            moved[PLACES[index]] = (state[index] ^ column).rotate_left(ROTATIONS[index]);
        }
        for (new, old) in state.chunks_exact_mut(5).zip(moved.chunks_exact(5)) {
            for x in 0..5 {
                new[x] = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
        }
        state[0] ^= constant;
    }
}

fn absorb(state: &mut [u64; 25], block: &[u8]) {
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        *lane ^= u64::from_le_bytes(*bytes.first_chunk().unwrap());
    }
    permute(state)
}

fn own_keccak256(bytes: &[u8]) -> Word {
    let mut state = [0; 25];
    let blocks = bytes.chunks_exact(RATE);
    let rest = blocks.remainder();
    for block in blocks {
        absorb(&mut state, block);
    }
    let mut last = [0; RATE];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x01;
    last[RATE - 1] |= 0x80;
    absorb(&mut state, &last);
    let mut hash = Word::ZERO;
    for (place, lane) in hash.0.chunks_exact_mut(8).zip(state) {
        place.copy_from_slice(&lane.to_le_bytes());
    }
    hash
}

/// The hash of 32 zero bytes, hashed again and again.
fn repeated(rounds: u32) -> Word {
    let mut value = Word::ZERO;
    for _ in 0..rounds {
        value = own_keccak256(&value.0);
    }
    value
}

#[no_mangle]
pub extern "C" fn user_entrypoint(length: u32) -> u32 {
    not_payable();
    let call = CallData::read(length);
    match call.selector() {
        0xaa1e84de /* hash(bytes) */ => result_word(own_keccak256(call.bytes(0))),
        0x95cfa685 /* loop(uint32) */ => result_word(repeated(call.number(0))),
        _ => revert(&[]),
    }
    finish()
}
