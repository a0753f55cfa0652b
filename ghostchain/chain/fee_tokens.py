"""Fees in tokens, as whoever bids or shows them reckons: rates out of the state, GCC into a token
and back.

A rate is wei of the token for 10^18 wei of GCC, in the fee market's storage; GCC's is 10^18. The
base fee in a token is rounded up, so that nothing pays less than in GCC.

Oracle: the native executor (`native/executor/fees.c`), in tests/oracle/test_fees.py.
"""

from __future__ import annotations

from ghostchain.contracts.addresses import FEE_MARKET, GCC, TOKENS
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import StateView
from ghostchain.primitives.account import Account
from ghostchain.primitives.transaction import TransactionType
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address

RATE_UNIT = 10**18
HYBRID_TYPES = frozenset({int(TransactionType.GHOST), int(TransactionType.FEE_CURRENCY)})
_WORD_MAX = 2**256 - 1
_RATES_SLOT = 0
_BALANCES_SLOT = 0


def in_token(amount: int, rate: int) -> int:
    """A base fee in GCC as the token's, rounded up; at most 2^256 - 1."""
    return min(-(-amount * rate // RATE_UNIT), _WORD_MAX)


def in_coin(amount: int, rate: int) -> int:
    """A price in the token as GCC, rounded down."""
    return amount * RATE_UNIT // rate


def is_coin(token: Address | None) -> bool:
    """Whether a transaction's fee_token means GCC, by saying nothing or by its address."""
    return token is None or token == GCC


def rate_in(view: StateView, token: Address | None) -> int | None:
    """The rate of a token in a state: 0 when it is closed for fees now, None when it is no token
    that pays fees. Raises: whatever the view raises."""
    if token is None or token == GCC:
        return RATE_UNIT
    if token not in TOKENS or not (_is_contract(view, token) and _is_contract(view, FEE_MARKET)):
        return None
    return _mapping_entry(view, FEE_MARKET, _RATES_SLOT, token)


def balance_in(view: StateView, token: Address, holder: Address) -> int:
    """What an account holds of SPIRIT, MANA or GHOST, in wei of it."""
    return _mapping_entry(view, token, _BALANCES_SLOT, holder)


def _is_contract(view: StateView, address: Address) -> bool:
    record = view.account(address, keccak256(address))
    return record is not None and Account.decode(record).code_hash != EMPTY_CODE_HASH


def _mapping_entry(view: StateView, contract: Address, slot: int, key: Address) -> int:
    place = keccak256(key.rjust(32, b"\0") + slot.to_bytes(32, "big"))
    value = view.slot(contract, keccak256(contract), place, keccak256(place))
    return int.from_bytes(value or b"", "big")
