// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

interface IERC20 {
    function balanceOf(address holder) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// Sells for SPIRIT, a token of the protocol: Solidity that calls a contract written in Python, in
/// the same words as any other token. The buyer approves the shop first.
contract Shop {
    IERC20 public constant SPIRIT = IERC20(0x0000000000000000000000000000000000474302);

    address public immutable owner = msg.sender;
    uint256 public immutable price;
    mapping(address => uint256) public bought;

    event Bought(address indexed by, uint256 count);

    constructor(uint256 price_) {
        price = price_;
    }

    function buy(uint256 count) external {
        SPIRIT.transferFrom(msg.sender, address(this), count * price);
        bought[msg.sender] += count;
        emit Bought(msg.sender, count);
    }

    function takings() external {
        SPIRIT.transfer(owner, SPIRIT.balanceOf(address(this)));
    }
}
