// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// OpenZeppelin's ERC-20, with functions that fail in every way Solidity has.
contract Token is ERC20 {
    error Refused(address who, uint256 code);

    constructor(uint256 supply) ERC20("Ghost Token", "GTK") {
        _mint(msg.sender, supply);
    }

    function failWithReason(string calldata reason) external pure {
        revert(reason);
    }

    function failWithPanic() external pure {
        assert(false);
    }

    function failWithError(uint256 code) external view {
        revert Refused(msg.sender, code);
    }

    function failWithoutReason() external pure {
        revert();
    }

    /// Spends 64ths: each level keeps one for itself, so an estimate must find more than is used.
    function nested(uint256 depth) external returns (uint256) {
        if (depth == 0) {
            return gasleft();
        }
        return this.nested(depth - 1);
    }
}
