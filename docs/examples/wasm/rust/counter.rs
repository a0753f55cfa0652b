//! A counter: what docs/examples/solidity/Counter.sol is, in Rust.
#![no_std]
mod ghost;
use ghost::*;

// Changed(address indexed by, uint256 number)
const CHANGED: Word = Word::constant(
    0xb52dda022b6c1a1f,
    0x40905a85f257f689,
    0xaa5d69d850e49cf9,
    0x39d688fbe5af5946,
);

fn set(number: Word) {
    store(Word::ZERO, number);
    log(&[CHANGED, sender().into()], &number.0);
}

fn add(addend: Word) {
    match load(Word::ZERO).checked_add(&addend) {
        Some(sum) => set(sum),
        None => revert_overflow(),
    }
}

#[no_mangle]
pub extern "C" fn user_entrypoint(length: u32) -> u32 {
    not_payable();
    let call = CallData::read(length);
    match call.selector() {
        0x8381f58a /* number() */ => result_word(load(Word::ZERO)),
        0x3fb5c1cb /* setNumber(uint256) */ => set(call.word(0)),
        0xd09de08a /* increment() */ => add(Word::from(1)),
        0x1003e2d2 /* add(uint256) */ => add(call.word(0)),
        _ => revert(&[]),
    }
    finish()
}
