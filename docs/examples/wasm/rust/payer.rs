//! Pays with any ERC-20 token, whatever engine the token runs in: a contract in Rust that calls EVM
//! contracts. The sender approves this contract first.
#![no_std]
mod ghost;
use ghost::*;

// Paid(address indexed token, address indexed to, uint256 amount)
const PAID: Word = Word::constant(
    0x9def4e2802183d68,
    0xce90a6a226a2962b,
    0x59298616c27165f1,
    0x2c4fbc5c84cdd778,
);

const PAYMENTS: Word = Word::ZERO;

fn pay(token: Address, to: Address, amount: Word) {
    // transferFrom(address,address,uint256)
    let data = encode(0x23b872dd, &[sender().into(), to.into(), amount]);
    let answer = call_or_revert(token, data);
    // true, or nothing at all, as some tokens have it
    let agreed = match answer.len() {
        0 => code_size(token) > 0,
        _ => answer == Word::from(1).0,
    };
    if !agreed {
        revert_with(0x34e4a710 /* NotPaid() */, &[])
    }
    let payments = load(PAYMENTS).checked_add(&Word::from(1));
    store(PAYMENTS, payments.unwrap_or(Word::ZERO));
    log(&[PAID, token.into(), to.into()], &amount.0)
}

/// What holder has of token.
fn holding(token: Address, holder: Address) -> Word {
    let data = encode(0x70a08231 /* balanceOf(address) */, &[holder.into()]);
    match static_call_or_revert(token, data).try_into() {
        Ok(balance) => Word(balance),
        Err(_) => revert(&[]),
    }
}

#[no_mangle]
pub extern "C" fn user_entrypoint(length: u32) -> u32 {
    not_payable();
    let call = CallData::read(length);
    match call.selector() {
        0xb3d76188 /* pay(address,address,uint256) */ => {
            pay(call.address(0), call.address(1), call.word(2))
        }
        0x06280750 /* holding(address,address) */ => {
            result_word(holding(call.address(0), call.address(1)))
        }
        0xa6d23e10 /* payments() */ => result_word(load(PAYMENTS)),
        _ => revert(&[]),
    }
    finish()
}
