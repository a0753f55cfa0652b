// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// OpenZeppelin's ERC-20 as the tokens in docs/examples/wasm have it: without a constructor, its
/// names in the code, its supply made once by whoever calls first.
contract Token is ERC20("", "") {
    error AlreadyInitialized();

    function name() public pure override returns (string memory) {
        return "Wasm Token";
    }

    function symbol() public pure override returns (string memory) {
        return "WASM";
    }

    function initialize(address holder, uint256 supply) external {
        if (totalSupply() != 0) revert AlreadyInitialized();
        _mint(holder, supply);
    }
}
