//! A counter written with the Stylus SDK, unchanged as for Arbitrum: what
//! docs/examples/solidity/Counter.sol is.
#![cfg_attr(not(test), no_main)]
extern crate alloc;

use alloy_primitives::U256;
use alloy_sol_types::sol;
use stylus_sdk::prelude::*;

sol! {
    event Changed(address indexed by, uint256 number);
    error Panic(uint256 code);
}

#[derive(SolidityError)]
pub enum CounterError {
    Panic(Panic),
}

sol_storage! {
    #[entrypoint]
    pub struct Counter {
        uint256 number;
    }
}

#[public]
impl Counter {
    pub fn number(&self) -> U256 {
        self.number.get()
    }

    pub fn set_number(&mut self, to: U256) {
        self.number.set(to);
        let by = self.vm().msg_sender();
        self.vm().log(Changed { by, number: to });
    }

    pub fn increment(&mut self) -> Result<(), CounterError> {
        self.add(U256::from(1))
    }

    pub fn add(&mut self, addend: U256) -> Result<(), CounterError> {
        let Some(sum) = self.number.get().checked_add(addend) else {
            return Err(CounterError::Panic(Panic {
                code: U256::from(0x11),
            }));
        };
        self.set_number(sum);
        Ok(())
    }
}
