"""The fee market: what a fee costs in each of the four tokens.

A rate is token wei for one GCC wei, times 1e18. The executor reads the rates by itself: word 0 of
this contract is `mapping(address token => uint256 rate)`, and that layout is consensus. For a
transaction that pays in a token, at a base fee b (GCC wei per gas):

    base  = ceil(b * rate / 1e18)                          token wei per gas, burnt
    price = min(max fee, base + max priority fee)          what the sender pays per gas
    price - base                                           goes to the block's coinbase

Nothing else is rounded: fees are whole multiples of gas. A rate of zero means that the token is
not accepted; GCC is always accepted at 1e18.

Governance sets rates, within RATE_MIN and RATE_MAX and by at most `maxDailyChange` from where the
rate was when the day of the change began (a day is 86,400 seconds from its first change), so that
a vote, or whoever captured one, cannot make waiting transactions worthless at once. Closing a
token is always possible; a token that opens again is bound by the rate it closed with.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ghostchain.contracts.addresses import FEE_MARKET_ID, GCC, TOKENS
from ghostchain.contracts.framework import (
    Address,
    Error,
    Event,
    Mapping,
    Record,
    Slot,
    UInt64,
    UInt256,
    external,
    view,
)
from ghostchain.contracts.governed import WAD, Governed, Parameter, write_parameters

RATE_MIN = 10**9
RATE_MAX = 10**27
DAY = 86_400


class FeeMarketParameters(Record):
    """max_daily_change: a fraction, in units of 1e-18."""

    max_daily_change: UInt64


class RateHistory(Record):
    """What bounds a token's next rate. since: when the current day began, 0 before the first rate;
    reference: the rate at that time; last: the last rate that was not zero."""

    since: UInt64
    reference: UInt256
    last: UInt256


class FeeMarket(Governed):
    """See the module."""

    ID = FEE_MARKET_ID
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "maxDailyChange": Parameter("max_daily_change", WAD // 5, WAD // 1000, WAD // 2),
    }

    rates = Mapping[Address, UInt256](0)
    limits = Slot[FeeMarketParameters](1)
    histories = Mapping[Address, RateHistory](2)

    RateSet = Event("RateSet(address indexed token, uint256 before, uint256 rate)")

    UnknownToken = Error("UnknownToken(address token)")
    RateFixed = Error("RateFixed(address token)")
    RateOutOfBounds = Error("RateOutOfBounds(uint256 rate, uint256 low, uint256 high)")
    TokenNotAccepted = Error("TokenNotAccepted(address token)")

    def parameter_record(self) -> Any:
        return self.limits

    @external
    def setRate(self, token: Address, rate: UInt256) -> None:
        """Fees in the token cost `rate` from the next transaction on; 0: it is not accepted.

        Only governance. Raises: OnlyGovernance, UnknownToken, RateFixed for GCC, RateOutOfBounds
        with the bounds that hold now.
        """
        self.require_governance()
        if token not in TOKENS:
            raise self.UnknownToken(token)
        if token == GCC:
            raise self.RateFixed(token)
        if rate:
            self._keep_bounds(token, rate)
        before = self.rates[token]
        self.rates[token] = rate
        self.emit(self.RateSet, token, before, rate)

    def _keep_bounds(self, token: Address, rate: int) -> None:
        low, high = RATE_MIN, RATE_MAX
        history, now = self.histories[token], self.block.timestamp
        if history.since:
            if now >= history.since + DAY:
                history.since, history.reference = now, history.last
            reference, change = history.reference, self.limits.max_daily_change
            low = max(low, -(reference * (change - WAD) // WAD))
            high = min(high, reference * (WAD + change) // WAD)
        else:
            history.since, history.reference = now, rate
        if not low <= rate <= high:
            raise self.RateOutOfBounds(rate, low, high)
        history.last = rate

    @view
    def rate(self, token: Address) -> UInt256:
        """Token wei for one GCC wei, times 1e18; 0 for what is not accepted."""
        return self.rates[token]

    @view(returns=("baseFee", "fee"))
    def quote(self, gas: UInt64, token: Address) -> tuple[UInt256, UInt256]:
        """The least that much gas costs in the token in this block: per gas, and in all.

        Raises: TokenNotAccepted.
        """
        rate = self.rates[token]
        if rate == 0:
            raise self.TokenNotAccepted(token)
        base = base_fee_in(rate, self.block.base_fee)
        return base, base * gas

    @view
    def acceptedTokens(self) -> list[Address]:
        """The tokens that pay for gas now."""
        return [token for token in TOKENS if self.rates[token]]


def base_fee_in(rate: int, base_fee: int) -> int:
    """The base fee in a token: token wei per gas, rounded up. base_fee in GCC wei per gas."""
    return -(-base_fee * rate // WAD)


def write_genesis(
    contract: FeeMarket, rates: dict[Address, int], parameters: dict[str, int]
) -> None:
    """Genesis: GCC at its fixed rate, the other tokens at theirs (none: not accepted).

    Raises: ValueError for another address than a token's, or a rate outside the bounds.
    """
    write_parameters(contract, parameters)
    contract.rates[GCC] = WAD
    for token, rate in rates.items():
        if token not in TOKENS or token == GCC:
            raise ValueError(f"0x{token.hex()} is not a token with a rate")
        if rate and not RATE_MIN <= rate <= RATE_MAX:
            raise ValueError(f"a rate of {rate} is not within {RATE_MIN} and {RATE_MAX}")
        contract.rates[token] = rate
        if rate:
            history = contract.histories[token]
            history.since, history.reference, history.last = 1, rate, rate
