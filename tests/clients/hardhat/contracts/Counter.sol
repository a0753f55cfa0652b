// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Counts, says so, and refuses nothing.
contract Counter {
    event Increment(uint256 by);
    error Nothing();

    uint256 public x;

    function incBy(uint256 by) external {
        if (by == 0) revert Nothing();
        x += by;
        emit Increment(by);
    }
}
