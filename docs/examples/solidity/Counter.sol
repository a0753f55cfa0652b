// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// What the counters in docs/examples/wasm are, in Solidity: the same calls, slot, event and errors.
interface ICounter {
    event Changed(address indexed by, uint256 number);

    function number() external view returns (uint256);
    function setNumber(uint256 to) external;
    function increment() external;
    function add(uint256 addend) external;
}

contract Counter is ICounter {
    uint256 public number;

    function setNumber(uint256 to) public {
        number = to;
        emit Changed(msg.sender, to);
    }

    function increment() external {
        setNumber(number + 1);
    }

    function add(uint256 addend) external {
        setNumber(number + addend);
    }
}
