//! An ERC-20 token with OpenZeppelin's errors and storage layout. Its supply is made once, by
//! initialize: a WASM module has no constructor, so deploy and initialize it in one transaction
//! (docs/examples/solidity/Deployer.sol) or be the first to call.
#![no_std]
mod ghost;
use ghost::*;

// Transfer(address indexed from, address indexed to, uint256 value)
const TRANSFER: Word = Word::constant(
    0xddf252ad1be2c89b,
    0x69c2b068fc378daa,
    0x952ba7f163c4a116,
    0x28f55a4df523b3ef,
);
// Approval(address indexed owner, address indexed spender, uint256 value)
const APPROVAL: Word = Word::constant(
    0x8c5be1e5ebec7d5b,
    0xd14f71427d1e84f3,
    0xdd0314c0f7b2291e,
    0x5b200ac8c7c3b925,
);

const BALANCES: u64 = 0;
const ALLOWANCES: u64 = 1;
const TOTAL_SUPPLY: u64 = 2;

const NOBODY: Address = Address([0; 20]);

fn balance_slot(holder: Address) -> Word {
    slot_of(holder.into(), BALANCES.into())
}

fn allowance_slot(owner: Address, spender: Address) -> Word {
    slot_of(spender.into(), slot_of(owner.into(), ALLOWANCES.into()))
}

fn log_event(event: Word, first: Address, second: Address, value: Word) {
    log(&[event, first.into(), second.into()], &value.0)
}

fn credit(to: Address, value: Word) {
    // no more than the supply, which fits
    let balance = load(balance_slot(to)).checked_add(&value).unwrap();
    store(balance_slot(to), balance)
}

fn move_tokens(from: Address, to: Address, value: Word) {
    if from == NOBODY {
        revert_with(
            0x96c6fd1e, /* ERC20InvalidSender(address) */
            &[from.into()],
        )
    }
    if to == NOBODY {
        revert_with(
            0xec442f05, /* ERC20InvalidReceiver(address) */
            &[to.into()],
        )
    }
    let balance = load(balance_slot(from));
    let Some(rest) = balance.checked_sub(&value) else {
        // ERC20InsufficientBalance(address,uint256,uint256)
        revert_with(0xe450d38c, &[from.into(), balance, value])
    };
    store(balance_slot(from), rest);
    credit(to, value);
    log_event(TRANSFER, from, to, value)
}

fn set_allowance(owner: Address, spender: Address, value: Word) {
    if owner == NOBODY {
        revert_with(
            0xe602df05, /* ERC20InvalidApprover(address) */
            &[owner.into()],
        )
    }
    if spender == NOBODY {
        revert_with(
            0x94280d62, /* ERC20InvalidSpender(address) */
            &[spender.into()],
        )
    }
    store(allowance_slot(owner, spender), value)
}

/// An allowance of 2^256 - 1 is without end.
fn spend_allowance(owner: Address, spender: Address, value: Word) {
    let allowance = load(allowance_slot(owner, spender));
    if allowance == Word::MAX {
        return;
    }
    match allowance.checked_sub(&value) {
        Some(rest) => set_allowance(owner, spender, rest),
        // ERC20InsufficientAllowance(address,uint256,uint256)
        None => revert_with(0xfb8f41b2, &[spender.into(), allowance, value]),
    }
}

fn initialize(holder: Address, supply: Word) {
    if load(TOTAL_SUPPLY.into()) != Word::ZERO {
        revert_with(0x0dc149f0 /* AlreadyInitialized() */, &[])
    }
    if holder == NOBODY {
        revert_with(
            0xec442f05, /* ERC20InvalidReceiver(address) */
            &[holder.into()],
        )
    }
    store(TOTAL_SUPPLY.into(), supply);
    credit(holder, supply);
    log_event(TRANSFER, NOBODY, holder, supply)
}

fn transfer(to: Address, value: Word) {
    move_tokens(sender(), to, value);
    result_word(Word::from(1))
}

fn transfer_from(from: Address, to: Address, value: Word) {
    spend_allowance(from, sender(), value);
    move_tokens(from, to, value);
    result_word(Word::from(1))
}

fn approve(spender: Address, value: Word) {
    let owner = sender();
    set_allowance(owner, spender, value);
    log_event(APPROVAL, owner, spender, value);
    result_word(Word::from(1))
}

#[no_mangle]
pub extern "C" fn user_entrypoint(length: u32) -> u32 {
    not_payable();
    let call = CallData::read(length);
    match call.selector() {
        0x06fdde03 /* name() */ => result_bytes(b"Wasm Token"),
        0x95d89b41 /* symbol() */ => result_bytes(b"WASM"),
        0x313ce567 /* decimals() */ => result_word(Word::from(18)),
        0x18160ddd /* totalSupply() */ => result_word(load(TOTAL_SUPPLY.into())),
        0x70a08231 /* balanceOf(address) */ => result_word(load(balance_slot(call.address(0)))),
        0xdd62ed3e /* allowance(address,address) */ => {
            result_word(load(allowance_slot(call.address(0), call.address(1))))
        }
        0xa9059cbb /* transfer(address,uint256) */ => transfer(call.address(0), call.word(1)),
        0x23b872dd /* transferFrom(address,address,uint256) */ => {
            transfer_from(call.address(0), call.address(1), call.word(2))
        }
        0x095ea7b3 /* approve(address,uint256) */ => approve(call.address(0), call.word(1)),
        0xcd6dc687 /* initialize(address,uint256) */ => initialize(call.address(0), call.word(1)),
        _ => revert(&[]),
    }
    finish()
}
