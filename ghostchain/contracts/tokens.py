"""The four tokens: GCC, SPIRIT, MANA and GHOST, each an ERC-20 with permit and burn.

18 decimals. Storage is as Solidity would have it: balances in slot 0, allowances in slot 1, the
supply in slot 2, nonces in slot 3. GCC is the native coin: its balances are the accounts' own, its
supply is kept by the executor at the end of each block. Nothing raises the supply of SPIRIT and
GHOST above what genesis made, which is within their caps; MANA is minted by staking alone.

Errors, events and the order of checks are OpenZeppelin's (5.x). An allowance of 2^256 - 1 does not
go down. Fees that are paid in a token move it without a Transfer log; see `docs/`.

`transfer`, `transferFrom`, `approve`, `balanceOf`, `allowance`, `totalSupply` and `decimals` run in
`native/contracts/tokens.c`; what stands here defines them, and is its oracle: the same gas, logs,
errors and output, access for access.

Spec: ERC-20, EIP-2612, EIP-5267, EIP-712, ERC-6093 (errors).
Oracle: tests/oracle/test_contracts.py runs both.
"""

from __future__ import annotations

from typing import ClassVar

from ghostchain.contracts.addresses import (
    GCC_ID,
    GHOST_ID,
    MANA_ID,
    SPIRIT_ID,
    STAKING,
)
from ghostchain.contracts.framework import (
    Address,
    Bytes1,
    Bytes32,
    Error,
    Event,
    Mapping,
    NativeContract,
    Slot,
    UInt8,
    UInt256,
    external,
    gas,
    view,
)
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import GROUP_ORDER, recover
from ghostchain.primitives.types import ZERO_ADDRESS, ZERO_HASH

UNIT = 10**18
INFINITE = 2**256 - 1
SPIRIT_CAP = 100_000_000 * UNIT
GHOST_CAP = 1_000_000 * UNIT

VERSION = "1"
DOMAIN_TYPE = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
PERMIT_TYPE = keccak256(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
_DOMAIN_FIELDS = b"\x0f"  # EIP-5267: name, version, chainId, verifyingContract


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Token(NativeContract):
    """What the four have in common; balances are words of storage."""

    NAME: ClassVar[str]
    SYMBOL: ClassVar[str]

    balances = Mapping[Address, UInt256](0)
    allowances = Mapping[Address, Mapping[Address, UInt256]](1)
    supply = Slot[UInt256](2)
    permits = Mapping[Address, UInt256](3)

    Transfer = Event("Transfer(address indexed from, address indexed to, uint256 value)")
    Approval = Event("Approval(address indexed owner, address indexed spender, uint256 value)")

    InsufficientBalance = Error(
        "ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed)"
    )
    InvalidSender = Error("ERC20InvalidSender(address sender)")
    InvalidReceiver = Error("ERC20InvalidReceiver(address receiver)")
    InsufficientAllowance = Error(
        "ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed)"
    )
    InvalidApprover = Error("ERC20InvalidApprover(address approver)")
    InvalidSpender = Error("ERC20InvalidSpender(address spender)")
    ExpiredSignature = Error("ERC2612ExpiredSignature(uint256 deadline)")
    InvalidSigner = Error("ERC2612InvalidSigner(address signer, address owner)")
    InvalidSignature = Error("ECDSAInvalidSignature()")
    InvalidSignatureS = Error("ECDSAInvalidSignatureS(bytes32 s)")

    # -- ERC-20 --

    @view
    def name(self) -> str:
        return self.NAME

    @view
    def symbol(self) -> str:
        return self.SYMBOL

    @view(price=gas.TOKEN_CONSTANT)
    def decimals(self) -> UInt8:
        return 18

    @view(price=gas.TOKEN_CONSTANT)
    def totalSupply(self) -> UInt256:
        return self.supply

    @view(price=gas.TOKEN_BALANCE_OF)
    def balanceOf(self, account: Address) -> UInt256:
        return self._balance(account)

    @view(price=gas.TOKEN_ALLOWANCE)
    def allowance(self, owner: Address, spender: Address) -> UInt256:
        return self.allowances[owner][spender]

    @external(price=gas.TOKEN_TRANSFER)
    def transfer(self, to: Address, value: UInt256) -> bool:
        self._transfer(self.msg.sender, to, value)
        return True

    @external(price=gas.TOKEN_APPROVE)
    def approve(self, spender: Address, value: UInt256) -> bool:
        self._approve(self.msg.sender, spender, value)
        self.emit(self.Approval, self.msg.sender, spender, value)
        return True

    @external(name="transferFrom", price=gas.TOKEN_TRANSFER_FROM)
    def transfer_from(self, source: Address, to: Address, value: UInt256) -> bool:
        self._spend_allowance(source, value)
        self._transfer(source, to, value)
        return True

    @external
    def burn(self, value: UInt256) -> None:
        self._burn(self.msg.sender, value)

    @external(name="burnFrom")
    def burn_from(self, account: Address, value: UInt256) -> None:
        self._spend_allowance(account, value)
        self._burn(account, value)

    # -- EIP-2612, EIP-5267 --

    @view
    def nonces(self, owner: Address) -> UInt256:
        return self.permits[owner]

    @view(name="DOMAIN_SEPARATOR")
    def domain_separator(self) -> Bytes32:
        self.charge(3 * gas.HASH)
        return keccak256(
            DOMAIN_TYPE
            + keccak256(self.NAME.encode())
            + keccak256(VERSION.encode())
            + _word(self.block.chain_id)
            + self.address.rjust(32, b"\0")
        )

    @view(
        name="eip712Domain",
        returns=(
            "fields",
            "name",
            "version",
            "chainId",
            "verifyingContract",
            "salt",
            "extensions",
        ),
    )
    def eip712_domain(self) -> tuple[Bytes1, str, str, UInt256, Address, Bytes32, list[UInt256]]:
        chain_id = self.block.chain_id
        return _DOMAIN_FIELDS, self.NAME, VERSION, chain_id, self.address, ZERO_HASH, []

    @external
    def permit(
        self,
        owner: Address,
        spender: Address,
        value: UInt256,
        deadline: UInt256,
        v: UInt8,
        r: Bytes32,
        s: Bytes32,
    ) -> None:
        if self.block.timestamp > deadline:
            raise self.ExpiredSignature(deadline)
        nonce = self.permits[owner]
        self.permits[owner] = nonce + 1
        permit = keccak256(
            PERMIT_TYPE
            + owner.rjust(32, b"\0")
            + spender.rjust(32, b"\0")
            + _word(value)
            + _word(nonce)
            + _word(deadline)
        )
        digest = keccak256(b"\x19\x01" + self.domain_separator() + permit)
        self.charge(2 * gas.HASH + gas.RECOVER)
        if int.from_bytes(s, "big") > GROUP_ORDER // 2:
            raise self.InvalidSignatureS(s)
        signer = recover(digest, int.from_bytes(r, "big"), int.from_bytes(s, "big"), v - 27)
        if signer is None:
            raise self.InvalidSignature()
        if signer != owner:
            raise self.InvalidSigner(signer, owner)
        self._approve(owner, spender, value)
        self.emit(self.Approval, owner, spender, value)

    # -- how it is done --

    def _balance(self, account: Address) -> int:
        return self.balances[account]

    def _move(self, source: Address, target: Address, value: int) -> None:
        balance = self.balances[source]
        if balance < value:
            raise self.InsufficientBalance(source, balance, value)
        self.balances[source] = balance - value
        self.balances[target] += value

    def _take(self, source: Address, value: int) -> None:
        """Out of the source's balance and the supply."""
        balance = self.balances[source]
        if balance < value:
            raise self.InsufficientBalance(source, balance, value)
        self.balances[source] = balance - value
        self.supply -= value

    def _transfer(self, source: Address, target: Address, value: int) -> None:
        if source == ZERO_ADDRESS:
            raise self.InvalidSender(ZERO_ADDRESS)
        if target == ZERO_ADDRESS:
            raise self.InvalidReceiver(ZERO_ADDRESS)
        self._move(source, target, value)
        self.emit(self.Transfer, source, target, value)

    def _burn(self, source: Address, value: int) -> None:
        if source == ZERO_ADDRESS:
            raise self.InvalidSender(ZERO_ADDRESS)
        self._take(source, value)
        self.emit(self.Transfer, source, ZERO_ADDRESS, value)

    def _approve(self, owner: Address, spender: Address, value: int) -> None:
        if owner == ZERO_ADDRESS:
            raise self.InvalidApprover(ZERO_ADDRESS)
        if spender == ZERO_ADDRESS:
            raise self.InvalidSpender(ZERO_ADDRESS)
        self.allowances[owner][spender] = value

    def _spend_allowance(self, owner: Address, value: int) -> None:
        spender = self.msg.sender
        allowance = self.allowances[owner][spender]
        if allowance == INFINITE:
            return
        if allowance < value:
            raise self.InsufficientAllowance(spender, allowance, value)
        self._approve(owner, spender, allowance - value)


class Gcc(Token):
    """The native coin as a token: balances are the accounts' own. The executor counts what a block
    mints and burns, here or elsewhere, and brings the supply up to it when the block ends."""

    ID = GCC_ID
    NAME, SYMBOL = "GhostChain Coin", "GCC"

    def _balance(self, account: Address) -> int:
        return self.balance_of(account)

    def _move(self, source: Address, target: Address, value: int) -> None:
        balance = self.balance_of(source)
        if balance < value:
            raise self.InsufficientBalance(source, balance, value)
        self._host.move_balance(source, target, value)

    def _take(self, source: Address, value: int) -> None:
        balance = self.balance_of(source)
        if balance < value:
            raise self.InsufficientBalance(source, balance, value)
        self._host.burn_balance(source, value)


class Capped(Token):
    """A token of which genesis makes all there will ever be."""

    CAP: ClassVar[int]

    @view
    def cap(self) -> UInt256:
        return self.CAP


class Spirit(Capped):
    """What is staked and votes."""

    ID = SPIRIT_ID
    NAME, SYMBOL = "Spirit", "SPIRIT"
    CAP = SPIRIT_CAP


class Ghost(Capped):
    """What registrations burn."""

    ID = GHOST_ID
    NAME, SYMBOL = "Ghost", "GHOST"
    CAP = GHOST_CAP


class Mana(Token):
    """What staking earns and use burns."""

    ID = MANA_ID
    NAME, SYMBOL = "Mana", "MANA"

    NotMinter = Error("NotMinter(address caller)")

    @external
    def mint(self, to: Address, value: UInt256) -> None:
        """New MANA; for the staking contract alone."""
        if self.msg.sender != STAKING:
            raise self.NotMinter(self.msg.sender)
        if to == ZERO_ADDRESS:
            raise self.InvalidReceiver(ZERO_ADDRESS)
        self.supply += value
        self.balances[to] += value
        self.emit(self.Transfer, ZERO_ADDRESS, to, value)
