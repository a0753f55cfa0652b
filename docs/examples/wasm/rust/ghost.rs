//! Write GhostChain contracts in Rust without any crate: what the chain offers to a WASM contract,
//! and what most contracts need on top: words of 256 bits, arguments, storage, events, calls,
//! results.
//!
//!     #![no_std]
//!     mod ghost;
//!     use ghost::*;
//!
//!     #[no_mangle]
//!     pub extern "C" fn user_entrypoint(length: u32) -> u32 {
//!         let call = CallData::read(length);
//!         match call.selector() {
//!             0x8381f58a /* number() */ => result_word(load(Word::from(0))),
//!             _ => revert(&[]),
//!         }
//!         finish()
//!     }
//!
//! rustc --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=s \
//!   -C panic=abort -C lto=yes -C codegen-units=1 -C strip=symbols \
//!   -C link-arg=-zstack-size=16384 -o contract.wasm contract.rs
//!
//! Every call of a contract starts with fresh memory; what must last goes to storage.
#![allow(dead_code)]

/// What the chain offers: the imports, under their own names. Pointers are to 20 bytes (addresses),
/// 32 bytes (words, big-endian) or as many as a length says.
pub mod vm_hooks {
    #[link(wasm_import_module = "vm_hooks")]
    extern "C" {
        // The call: its data, its result.
        pub fn read_args(to: *mut u8);
        pub fn write_result(bytes: *const u8, length: u32);
        pub fn exit_early(status: u32) -> !;
        pub fn msg_sender(address: *mut u8);
        pub fn msg_value(word: *mut u8);
        pub fn msg_reentrant() -> u32;
        pub fn contract_address(address: *mut u8);
        pub fn tx_origin(address: *mut u8);
        pub fn tx_gas_price(word: *mut u8);
        pub fn tx_ink_price() -> u32;
        pub fn evm_gas_left() -> u64;
        pub fn evm_ink_left() -> u64;

        // Storage. What is cached reaches the chain when it is flushed, and is lost otherwise.
        pub fn storage_load_bytes32(slot: *const u8, value: *mut u8);
        pub fn storage_cache_bytes32(slot: *const u8, value: *const u8);
        pub fn storage_flush_cache(clear: u32);
        pub fn transient_load_bytes32(slot: *const u8, value: *mut u8);
        pub fn transient_store_bytes32(slot: *const u8, value: *const u8);

        // Other contracts. gas: how much to give at most. 0 when the call succeeded.
        pub fn call_contract(
            to: *const u8,
            data: *const u8,
            length: u32,
            value: *const u8,
            gas: u64,
            return_length: *mut u32,
        ) -> u32;
        pub fn delegate_call_contract(
            to: *const u8,
            data: *const u8,
            length: u32,
            gas: u64,
            return_length: *mut u32,
        ) -> u32;
        pub fn static_call_contract(
            to: *const u8,
            data: *const u8,
            length: u32,
            gas: u64,
            return_length: *mut u32,
        ) -> u32;
        pub fn create1(
            code: *const u8,
            length: u32,
            value: *const u8,
            address: *mut u8,
            revert_length: *mut u32,
        );
        pub fn create2(
            code: *const u8,
            length: u32,
            value: *const u8,
            salt: *const u8,
            address: *mut u8,
            revert_length: *mut u32,
        );
        pub fn return_data_size() -> u32;
        pub fn read_return_data(to: *mut u8, offset: u32, length: u32) -> u32;

        // Events: the topics stand before the data.
        pub fn emit_log(bytes: *const u8, length: u32, topics: u32);

        // Accounts.
        pub fn account_balance(address: *const u8, word: *mut u8);
        pub fn account_codehash(address: *const u8, hash: *mut u8);
        pub fn account_code_size(address: *const u8) -> u32;
        pub fn account_code(address: *const u8, offset: u32, length: u32, to: *mut u8) -> u32;

        // The block.
        pub fn block_basefee(word: *mut u8);
        pub fn block_coinbase(address: *mut u8);
        pub fn block_gas_limit() -> u64;
        pub fn block_number() -> u64;
        pub fn block_timestamp() -> u64;
        pub fn chainid() -> u64;

        // Arithmetic on words, in place: the first word takes the result.
        pub fn math_div(value: *mut u8, divisor: *const u8);
        pub fn math_mod(value: *mut u8, modulus: *const u8);
        pub fn math_pow(value: *mut u8, exponent: *const u8);
        pub fn math_add_mod(value: *mut u8, addend: *const u8, modulus: *const u8);
        pub fn math_mul_mod(value: *mut u8, factor: *const u8, modulus: *const u8);
        pub fn native_keccak256(bytes: *const u8, length: u32, hash: *mut u8);
        pub fn pay_for_memory_grow(pages: u32);
    }
}

/// A program's bug ends the call with all its gas.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

// ---- memory ----

const PAGE_BYTES: usize = 65536;

/// length zero bytes, aligned to 16, for the rest of the call. Traps when memory is out.
pub fn take(length: usize) -> &'static mut [u8] {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    extern "C" {
        static __heap_base: u8;
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let base = match NEXT.load(Relaxed) {
        0 => core::ptr::addr_of!(__heap_base) as usize,
        next => next,
    };
    let start = (base + 15) & !15;
    let Some(end) = start.checked_add(length) else {
        core::arch::wasm32::unreachable()
    };
    NEXT.store(end, Relaxed);
    let (pages, present) = (end.div_ceil(PAGE_BYTES), core::arch::wasm32::memory_size(0));
    if pages > present && core::arch::wasm32::memory_grow(0, pages - present) == usize::MAX {
        core::arch::wasm32::unreachable()
    }
    // SAFETY: above the program's own data, inside the memory, and given to nobody else
    unsafe { core::slice::from_raw_parts_mut(start as *mut u8, length) }
}

// ---- words: 256 bits, big-endian ----

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Word(pub [u8; 32]);

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Address(pub [u8; 20]);

impl From<u64> for Word {
    fn from(number: u64) -> Word {
        Word::constant(0, 0, 0, number)
    }
}

impl From<Address> for Word {
    fn from(address: Address) -> Word {
        let mut word = Word::ZERO;
        word.0[12..].copy_from_slice(&address.0);
        word
    }
}

impl Word {
    pub const ZERO: Word = Word([0; 32]);
    pub const MAX: Word = Word([0xff; 32]);

    /// From its four parts of 64 bits, highest first.
    pub const fn constant(a: u64, b: u64, c: u64, d: u64) -> Word {
        let parts = [a, b, c, d];
        let mut bytes = [0; 32];
        let mut index = 0;
        while index < 32 {
            bytes[index] = (parts[index / 8] >> (56 - 8 * (index % 8))) as u8;
            index += 1;
        }
        Word(bytes)
    }

    /// The index-th 64 bits, highest first.
    pub fn part(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[8 * index..8 * index + 8]);
        u64::from_be_bytes(bytes)
    }

    fn set_part(&mut self, index: usize, value: u64) {
        self.0[8 * index..8 * index + 8].copy_from_slice(&value.to_be_bytes());
    }

    /// The sum, None when it does not fit.
    pub fn checked_add(&self, other: &Word) -> Option<Word> {
        let (mut sum, mut carry) = (Word::ZERO, false);
        for index in (0..4).rev() {
            let (partial, first) = self.part(index).overflowing_add(other.part(index));
            let (whole, second) = partial.overflowing_add(carry as u64);
            sum.set_part(index, whole);
            carry = first | second;
        }
        (!carry).then_some(sum)
    }

    /// The difference, None when other is more.
    pub fn checked_sub(&self, other: &Word) -> Option<Word> {
        let (mut difference, mut borrow) = (Word::ZERO, false);
        for index in (0..4).rev() {
            let (partial, first) = self.part(index).overflowing_sub(other.part(index));
            let (whole, second) = partial.overflowing_sub(borrow as u64);
            difference.set_part(index, whole);
            borrow = first | second;
        }
        (!borrow).then_some(difference)
    }

    pub fn as_u32(&self) -> Option<u32> {
        let high = self.part(0) | self.part(1) | self.part(2) | (self.part(3) >> 32);
        (high == 0).then_some(self.part(3) as u32)
    }
}

// ---- how a call ends ----

/// Undoes what the call did and ends it.
pub fn revert(bytes: &[u8]) -> ! {
    // SAFETY: a slice lies in memory
    unsafe {
        vm_hooks::write_result(bytes.as_ptr(), bytes.len() as u32);
        vm_hooks::exit_early(1)
    }
}

/// Solidity's custom error: a selector and words.
pub fn revert_with(error: u32, words: &[Word]) -> ! {
    revert(encode(error, words))
}

/// Panic(0x11), which Solidity's checked arithmetic ends with.
pub fn revert_overflow() -> ! {
    revert_with(0x4e487b71 /* Panic(uint256) */, &[Word::from(0x11)])
}

/// Storage goes to the chain. Last thing in user_entrypoint.
pub fn finish() -> u32 {
    // SAFETY: no pointers
    unsafe { vm_hooks::storage_flush_cache(0) }
    0
}

pub fn result(bytes: &[u8]) {
    // SAFETY: a slice lies in memory
    unsafe { vm_hooks::write_result(bytes.as_ptr(), bytes.len() as u32) }
}

pub fn result_word(word: Word) {
    result(&word.0)
}

/// A string or bytes, as the ABI has a single one.
pub fn result_bytes(bytes: &[u8]) {
    let out = take(64 + bytes.len().next_multiple_of(32));
    out[..32].copy_from_slice(&Word::from(32).0);
    out[32..64].copy_from_slice(&Word::from(bytes.len() as u64).0);
    out[64..64 + bytes.len()].copy_from_slice(bytes);
    result(out)
}

// ---- the call's data ----

/// A selector and words, for calls and errors.
pub fn encode(selector: u32, words: &[Word]) -> &'static [u8] {
    let bytes = take(4 + 32 * words.len());
    bytes[..4].copy_from_slice(&selector.to_be_bytes());
    for (place, word) in bytes[4..].chunks_exact_mut(32).zip(words) {
        place.copy_from_slice(&word.0);
    }
    bytes
}

/// The data of the call. What is missing in it, or wrong, reverts.
pub struct CallData(&'static [u8]);

impl CallData {
    pub fn read(length: u32) -> CallData {
        let bytes = take(length as usize);
        // SAFETY: room for length bytes
        unsafe { vm_hooks::read_args(bytes.as_mut_ptr()) }
        CallData(bytes)
    }

    /// The first four bytes.
    pub fn selector(&self) -> u32 {
        match self.0.first_chunk() {
            Some(bytes) => u32::from_be_bytes(*bytes),
            None => revert(&[]),
        }
    }

    fn word_at(&self, place: usize) -> Word {
        match self.0.get(place..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => Word(*bytes),
            None => revert(&[]),
        }
    }

    pub fn word(&self, index: usize) -> Word {
        self.word_at(4 + 32 * index)
    }

    /// As Solidity: reverts when the upper 96 bits are not zero.
    pub fn address(&self, index: usize) -> Address {
        let word = self.word(index);
        if word.0[..12] != [0; 12] {
            revert(&[])
        }
        let mut address = [0; 20];
        address.copy_from_slice(&word.0[12..]);
        Address(address)
    }

    pub fn number(&self, index: usize) -> u32 {
        match self.word(index).as_u32() {
            Some(number) => number,
            None => revert(&[]),
        }
    }

    /// An argument of type bytes.
    pub fn bytes(&self, index: usize) -> &'static [u8] {
        let place = self.number(index) as usize;
        let found = place.checked_add(4).and_then(|place| {
            let length = self.word_at(place).as_u32()? as usize;
            self.0.get(place + 32..)?.get(..length)
        });
        match found {
            Some(bytes) => bytes,
            None => revert(&[]),
        }
    }
}

/// Who calls.
pub fn sender() -> Address {
    let mut address = Address([0; 20]);
    // SAFETY: room for 20 bytes
    unsafe { vm_hooks::msg_sender(address.0.as_mut_ptr()) }
    address
}

/// Reverts when value was sent.
pub fn not_payable() {
    let mut value = Word::ZERO;
    // SAFETY: room for 32 bytes
    unsafe { vm_hooks::msg_value(value.0.as_mut_ptr()) }
    if value != Word::ZERO {
        revert(&[])
    }
}

// ---- storage, laid out as Solidity lays it out ----

pub fn load(slot: Word) -> Word {
    let mut value = Word::ZERO;
    // SAFETY: both have 32 bytes
    unsafe { vm_hooks::storage_load_bytes32(slot.0.as_ptr(), value.0.as_mut_ptr()) }
    value
}

pub fn store(slot: Word, value: Word) {
    // SAFETY: both have 32 bytes
    unsafe { vm_hooks::storage_cache_bytes32(slot.0.as_ptr(), value.0.as_ptr()) }
}

pub fn keccak256(bytes: &[u8]) -> Word {
    let mut hash = Word::ZERO;
    // SAFETY: a slice, and room for 32 bytes
    unsafe { vm_hooks::native_keccak256(bytes.as_ptr(), bytes.len() as u32, hash.0.as_mut_ptr()) }
    hash
}

/// Where mapping[key] lies, the mapping being at slot.
pub fn slot_of(key: Word, slot: Word) -> Word {
    let mut both = [0; 64];
    both[..32].copy_from_slice(&key.0);
    both[32..].copy_from_slice(&slot.0);
    keccak256(&both)
}

// ---- events ----

/// Up to four topics, of which the first is the hash of the event's signature, and data.
pub fn log(topics: &[Word], data: &[u8]) {
    let bytes = take(32 * topics.len() + data.len());
    for (place, topic) in bytes.chunks_exact_mut(32).zip(topics) {
        place.copy_from_slice(&topic.0);
    }
    bytes[32 * topics.len()..].copy_from_slice(data);
    // SAFETY: a slice lies in memory
    unsafe { vm_hooks::emit_log(bytes.as_ptr(), bytes.len() as u32, topics.len() as u32) }
}

// ---- calls ----

pub const ALL_GAS: u64 = u64::MAX;

/// What the last call returned.
pub fn returned() -> &'static [u8] {
    // SAFETY: room for as many bytes as there are
    unsafe {
        let bytes = take(vm_hooks::return_data_size() as usize);
        vm_hooks::read_return_data(bytes.as_mut_ptr(), 0, bytes.len() as u32);
        bytes
    }
}

/// Calls with all gas and no value, and reverts as the callee does; what it returned. Storage is
/// flushed before, and read anew after: the callee may call back.
pub fn call_or_revert(to: Address, data: &[u8]) -> &'static [u8] {
    let (address, value, mut length) = (to.0.as_ptr(), Word::ZERO.0, 0);
    let (bytes, count) = (data.as_ptr(), data.len() as u32);
    // SAFETY: pointers to an address, a slice, a word and a number
    let failed = unsafe {
        vm_hooks::storage_flush_cache(1);
        vm_hooks::call_contract(address, bytes, count, value.as_ptr(), ALL_GAS, &mut length)
    };
    match failed {
        0 => returned(),
        _ => revert(returned()),
    }
}

pub fn static_call_or_revert(to: Address, data: &[u8]) -> &'static [u8] {
    let (address, mut length) = (to.0.as_ptr(), 0);
    let (bytes, count) = (data.as_ptr(), data.len() as u32);
    // SAFETY: pointers to an address, a slice and a number
    let failed = unsafe {
        vm_hooks::storage_flush_cache(0);
        vm_hooks::static_call_contract(address, bytes, count, ALL_GAS, &mut length)
    };
    match failed {
        0 => returned(),
        _ => revert(returned()),
    }
}

pub fn code_size(address: Address) -> u32 {
    // SAFETY: 20 bytes
    unsafe { vm_hooks::account_code_size(address.0.as_ptr()) }
}
