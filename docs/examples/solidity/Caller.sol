// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ICounter} from "./Counter.sol";

/// Solidity that calls a contract without knowing, or caring, which engine it runs in.
contract Caller {
    event Refused(bytes reason);

    /// Increments a counter some times. What it stands at then.
    function bump(ICounter counter, uint256 times) external returns (uint256) {
        for (uint256 i = 0; i < times; i++) counter.increment();
        return counter.number();
    }

    /// Adds, and takes a refusal calmly: false, and the event with what the counter reverted with.
    function tryAdd(ICounter counter, uint256 addend) external returns (bool) {
        try counter.add(addend) {
            return true;
        } catch (bytes memory reason) {
            emit Refused(reason);
            return false;
        }
    }

    /// Increments, then reverts: the counter must not have moved.
    function bumpAndFail(ICounter counter) external {
        counter.increment();
        revert("after all");
    }

    /// Runs the counter's code on this contract's own storage.
    function incrementHere(address counter) external returns (uint256 here) {
        (bool done, bytes memory reason) =
            counter.delegatecall(abi.encodeCall(ICounter.increment, ()));
        if (!done) assembly { revert(add(reason, 32), mload(reason)) }
        assembly { here := sload(0) }
    }

    /// A call that may not write, of a function that does: it fails.
    function incrementStatically(address counter) external view returns (bool done) {
        (done, ) = counter.staticcall{gas: 100000}(abi.encodeCall(ICounter.increment, ()));
    }
}
