"""What fees are paid from when it is not the sender's own GCC: a balance of a token, or the GCC of
a fee payer; and what tokens are worth.

The sender's own GCC is counted in its queue (`core.py`), everything else here. Costs are in the
unit of the purse, so that rates may move without moving them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.effects import RATE_UNIT, PoolTransaction, Purse, Refused

HEAD = "insufficient funds for gas * price + value"


@dataclass(frozen=True, slots=True)
class FeeState:
    """What the head says of fees.

    rates: token wei for a GCC wei, scaled by 10^18, of every token that can pay fees; 0 where the
    fee market does not accept it now. balances: what is in these purses.
    """

    rates: Mapping[Address, int] = field(default_factory=lambda: MappingProxyType({}))
    balances: Mapping[Purse, int] = field(default_factory=lambda: MappingProxyType({}))


NO_FEES = FeeState()


class Departure(NamedTuple):
    """A transaction that cannot stay, and why."""

    hash: Hash32
    reason: TransactionReason


@dataclass(slots=True)
class _Filled:
    """A purse that something waits for."""

    balance: int
    cost_total: int = 0
    claims: dict[Hash32, PoolTransaction] = field(default_factory=dict)


class Purses:
    """The claims on every purse, and the rates.

    Cost: constant a transaction; a refresh visits the purses that it names, and all claims only
    when a rate has become zero.
    """

    def __init__(self) -> None:
        self.rates: Mapping[Address, int] = {}
        self.filled: dict[Purse, _Filled] = {}

    def __len__(self) -> int:
        return len(self.filled)

    # ---- what it is worth ----

    def rate(self, token: Address | None) -> int:
        """Token wei for a GCC wei, scaled by 10^18; 0 when the token does not pay fees."""
        return RATE_UNIT if token is None else self.rates.get(token, 0)

    def in_gcc(self, amount: int, token: Address | None) -> int:
        """An amount of the token in GCC wei, rounded down; nothing when it does not pay fees."""
        if token is None:
            return amount
        rate = self.rate(token)
        return amount * RATE_UNIT // rate if rate else 0

    # ---- claims ----

    def add(self, transaction: PoolTransaction, balance: int) -> None:
        purse = transaction.fee_purse
        if purse is None:
            return
        filled = self.filled.get(purse)
        if filled is None:
            filled = self.filled[purse] = _Filled(balance)
        filled.claims[transaction.hash] = transaction
        filled.cost_total += transaction.fee_cost

    def remove(self, transaction: PoolTransaction) -> None:
        purse = transaction.fee_purse
        if purse is None:
            return
        filled = self.filled[purse]
        del filled.claims[transaction.hash]
        filled.cost_total -= transaction.fee_cost
        if not filled.claims:
            del self.filled[purse]

    def count(self, purse: Purse) -> int:
        """How many transactions have a claim on it."""
        filled = self.filled.get(purse)
        return len(filled.claims) if filled is not None else 0

    def balance(self, purse: Purse, fees: FeeState) -> int:
        """What is known to be in the purse."""
        if purse in fees.balances:
            return fees.balances[purse]
        filled = self.filled.get(purse)
        return filled.balance if filled is not None else 0

    def token_refusal(self, transaction: PoolTransaction) -> Refused | None:
        """Why the transaction's token does not pay fees, or None."""
        token = transaction.fee_token
        if token is None or self.rate(token):
            return None
        if token in self.rates:
            reason, words = TransactionReason.FEE_TOKEN_CLOSED, "is not accepted now"
        else:
            reason, words = TransactionReason.FEE_TOKEN_UNKNOWN, "pays no fees"
        return Refused(transaction.hash, reason, f"fee token 0x{token.hex()} {words}")

    def funds_refusal(
        self,
        transaction: PoolTransaction,
        replaced: PoolTransaction | None,
        fees: FeeState,
        reserved: int,
    ) -> Refused | None:
        """Why the purse cannot pay for this beside its other claims, or None.

        reserved: what of the purse its owner's own transactions may take.
        """
        purse = transaction.fee_purse
        if purse is None:
            return None
        filled = self.filled.get(purse)
        queued = reserved + (filled.cost_total if filled is not None else 0)
        if replaced is not None and replaced.fee_purse == purse:
            queued -= replaced.fee_cost
        balance = self.balance(purse, fees)
        overshot = queued + transaction.fee_cost - balance
        if overshot <= 0:
            return None
        reason = funds_reason(transaction)
        what = (
            f"fee payer 0x{purse.holder.hex()}"
            if reason is TransactionReason.PAYER_FUNDS
            else "fee token"
        )
        if purse.token is not None:
            what += f" 0x{purse.token.hex()}"
        message = (
            f"{HEAD}: {what}: balance {balance}, queued cost {queued}, "
            f"tx cost {transaction.fee_cost}, overshot {overshot}"
        )
        return Refused(transaction.hash, reason, message)

    # ---- a new head ----

    def refresh(self, fees: FeeState, reserved: Mapping[Address, int]) -> tuple[Departure, ...]:
        """Rates and balances are the head's. Returns what cannot stay: all that pays in a token
        that is no longer accepted, and of a purse that holds too little its latest claims.

        reserved: what holders' own transactions may take of their GCC.
        """
        leaving = self._close(fees.rates)
        for purse, balance in fees.balances.items():
            filled = self.filled.get(purse)
            if filled is None:
                continue
            filled.balance = balance
            taken = reserved.get(purse.holder, 0) if purse.token is None else 0
            leaving += _overdrawn(filled, taken, {one.hash for one in leaving})
        return tuple(leaving)

    def _close(self, rates: Mapping[Address, int]) -> list[Departure]:
        closed = {token for token, rate in self.rates.items() if rate and not rates.get(token, 0)}
        self.rates = rates
        if not closed:
            return []
        return [
            Departure(transaction.hash, TransactionReason.FEE_TOKEN_CLOSED)
            for purse, filled in self.filled.items()
            if purse.token in closed
            for transaction in filled.claims.values()
        ]


def funds_reason(transaction: PoolTransaction) -> TransactionReason:
    """What it is called when the transaction's purse holds too little."""
    purse = transaction.fee_purse
    if purse is not None and purse.holder != transaction.sender:
        return TransactionReason.PAYER_FUNDS
    return TransactionReason.INSUFFICIENT_FEE_TOKEN


def _overdrawn(filled: _Filled, taken: int, leaving: Collection[Hash32]) -> Iterable[Departure]:
    """The latest claims that the purse does not hold enough for."""
    left = filled.cost_total + taken
    for transaction in sorted(filled.claims.values(), key=lambda one: -one.order):
        if left <= filled.balance:
            return
        if transaction.hash not in leaving:
            left -= transaction.fee_cost
            yield Departure(transaction.hash, funds_reason(transaction))
