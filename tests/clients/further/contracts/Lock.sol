// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

/// Coins that wait for a time, as in Hardhat's sample project.
contract Lock {
    uint256 public immutable unlockTime;
    address payable public immutable owner;

    event Withdrawal(uint256 amount, uint256 when);

    constructor(uint256 time) payable {
        require(block.timestamp < time, "Unlock time should be in the future");
        unlockTime = time;
        owner = payable(msg.sender);
    }

    function withdraw() external {
        require(block.timestamp >= unlockTime, "You can't withdraw yet");
        require(msg.sender == owner, "You aren't the owner");
        emit Withdrawal(address(this).balance, block.timestamp);
        (bool sent,) = owner.call{value: address(this).balance}("");
        require(sent);
    }
}

/// What stands behind a proxy and can be exchanged.
contract Box is Initializable, UUPSUpgradeable {
    uint256 public value;

    function initialize(uint256 first) external initializer {
        value = first;
    }

    function _authorizeUpgrade(address) internal view override {}
}

contract NextBox is Box {
    function increase() external {
        value++;
    }
}

contract OwnProxy is ERC1967Proxy {
    constructor(address code, bytes memory data) ERC1967Proxy(code, data) {}
}
