"""What the pool asks of the chain: the state of senders at the head."""

from __future__ import annotations

from collections.abc import Collection

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import StateView
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address
from ghostchain.txpool.core import SenderState

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
