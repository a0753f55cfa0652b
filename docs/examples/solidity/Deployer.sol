// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Creates a contract of any engine and makes a first call to it, both or neither: how a WASM
/// module, which has no constructor, is initialized before anybody else can.
contract Deployer {
    event Deployed(address indexed made);

    function deploy(bytes calldata code, bytes calldata first)
        external
        payable
        returns (address made)
    {
        bytes memory copied = code;
        assembly { made := create(callvalue(), add(copied, 32), mload(copied)) }
        require(made != address(0), "not created");
        (bool done, bytes memory reason) = made.call(first);
        if (!done) assembly { revert(add(reason, 32), mload(reason)) }
        emit Deployed(made);
    }
}
