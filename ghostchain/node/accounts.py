"""What the pool asks of the chain: the state of senders, of purses and of the fee market at the
head."""

from __future__ import annotations

from collections.abc import Collection

from ghostchain.contracts.addresses import FEE_MARKET, GCC, TOKENS
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import StateView
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address
from ghostchain.txpool.core import SenderState
from ghostchain.txpool.effects import Purse
from ghostchain.txpool.purses import FeeState

# EIP-7702: an account with this code is steered by another's.
DELEGATION_PREFIX = b"\xef\x01\x00"
ABSENT = SenderState(0, 0)


def sender_states(view: StateView, addresses: Collection[Address]) -> dict[Address, SenderState]:
    """Nonce, balance and delegation of each address. Cost: one or two state reads each."""
    return {address: sender_state(view, address) for address in addresses}


def sender_state(view: StateView, address: Address) -> SenderState:
    record = view.account(address, keccak256(address))
    if record is None:
        return ABSENT
    account = Account.decode(record)
    delegated = account.code_hash != EMPTY_CODE_HASH and view.code(account.code_hash).startswith(
        DELEGATION_PREFIX
    )
    return SenderState(account.nonce, account.balance, delegated)


def fee_state(view: StateView, purses: Collection[Purse]) -> FeeState:
    """The rates of the tokens that pay fees, and what is in these purses.

    Cost: two state reads a token, one or two a purse.
    """
    rates = {
        token: _entry(view, FEE_MARKET, token)
        for token in TOKENS
        if token != GCC and _has_code(view, token) and _has_code(view, FEE_MARKET)
    }
    return FeeState(rates, {purse: _balance(view, purse) for purse in purses})


def _balance(view: StateView, purse: Purse) -> int:
    if purse.token is None:
        return sender_state(view, purse.holder).balance
    return _entry(view, purse.token, purse.holder)


def _has_code(view: StateView, address: Address) -> bool:
    record = view.account(address, keccak256(address))
    return record is not None and Account.decode(record).code_hash != EMPTY_CODE_HASH


def _entry(view: StateView, contract: Address, key: Address) -> int:
    """The value at key of the mapping at slot 0: a token's balances, the fee market's rates."""
    slot = keccak256(key.rjust(32, b"\0") + bytes(32))
    value = view.slot(contract, keccak256(contract), slot, keccak256(slot))
    return int.from_bytes(value, "big") if value else 0
