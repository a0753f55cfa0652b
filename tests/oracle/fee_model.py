"""What fees in tokens and fee payers do to balances, in Python integers: the second implementation
of native/executor/fees.c and of the calls of a GhostTx.

Execution is modelled for four kinds of recipient only, whose gas is known: accounts without code,
and contracts that revert, that fail, and that clear a storage slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ghostchain.contracts.addresses import GCC
from ghostchain.execution.executor import Message
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import Call, SignatureScheme, TransactionType
from ghostchain.primitives.types import Address
from tests.hybrid import TOKENS

RATE_UNIT = 10**18
WORD = 2**256

SENDER_SIGNATURE_GAS = {
    SignatureScheme.SECP256K1: 0,
    SignatureScheme.ED25519: 4_000,
    SignatureScheme.ML_DSA_65: 90_000,
}
PAYER_SIGNATURE_GAS = SENDER_SIGNATURE_GAS | {SignatureScheme.SECP256K1: 3_000}

# PUSH0 PUSH0 REVERT; INVALID; PUSH0 PUSH0 SSTORE
REVERTS, FAILS, CLEARS = b"\x5f\x5f\xfd", b"\xfe", b"\x5f\x5f\x55"
REVERT_GAS = 4
CLEAR_GAS = 4 + 2_100 + 2_900  # a cold slot that was not zero
CLEAR_REFUND = 4_800
STORE_GAS_MIN = 4 + 2_300  # EIP-2200: no store with the stipend alone
CLEARED_COLD_GAS, CLEARED_WARM_GAS = 4 + 2_100 + 100, 4 + 100


class Refused(Exception):
    def __init__(self, reason: TransactionReason) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Paid:
    """What one included transaction came to."""

    success: bool
    gas_used: int
    price: int  # in wei of what the fee is paid in


@dataclass(slots=True)
class World:
    """Balances by address; tokens by token and holder. full: clearing contracts whose slot holds
    something."""

    base_fee: int
    coinbase: Address
    coins: dict[Address, int]
    tokens: dict[Address, dict[Address, int]]
    supplies: dict[Address, int]
    rates: dict[Address, int]
    codes: dict[Address, bytes]
    full: set[Address]
    nonces: dict[Address, int] = field(default_factory=dict)

    def run(self, message: Message) -> Paid:
        """Raises Refused, with nothing changed."""
        terms = Terms.of(self, message)
        terms.check_purses(self)
        sender = message.sender
        self.nonces[sender] = self.nonces.get(sender, 0) + 1
        terms.move(self, terms.payer, -message.gas_limit * terms.price)
        success, gas_used = self.execute(terms, message)
        terms.move(self, terms.payer, (message.gas_limit - gas_used) * terms.price)
        terms.move(self, self.coinbase, gas_used * (terms.price - terms.base_fee))
        if terms.token is not None:
            self.supplies[terms.token] -= gas_used * terms.base_fee
        return Paid(success, gas_used, terms.price)

    def execute(self, terms: Terms, message: Message) -> tuple[bool, int]:
        """Whether all calls went well, and the gas that is paid for."""
        left = message.gas_limit - terms.intrinsic
        refund, success = 0, True
        coins, full, warm = dict(self.coins), set(self.full), set[Address]()
        for call in calls_of(message):
            if coins.get(message.sender, 0) < call.value:
                success = False
                break
            to = call.to
            assert to is not None, "creations are not modelled"
            move(coins, message.sender, -call.value)
            move(coins, to, call.value)
            gas, back, success = self.callee(to, full, warm)
            has_gas = left >= gas and (self.codes.get(to) != CLEARS or left > STORE_GAS_MIN)
            success = success and has_gas
            if not success and not (has_gas and self.codes[to] == REVERTS):
                gas = left
            left -= gas
            refund += back
            if not success:
                break
        if success:
            self.coins, self.full = coins, full
        else:
            refund = 0
        used = message.gas_limit - left
        used -= min(refund, used // 5)
        return success, max(used, terms.floor)

    def callee(self, to: Address, full: set[Address], warm: set[Address]) -> tuple[int, int, bool]:
        """Gas, refund, and whether it succeeds when it has that gas."""
        code = self.codes.get(to, b"")
        if code == CLEARS:
            cold = to not in warm
            warm.add(to)
            if to in full:
                full.discard(to)
                return CLEAR_GAS, CLEAR_REFUND, True
            return (CLEARED_COLD_GAS if cold else CLEARED_WARM_GAS), 0, True
        return (REVERT_GAS if code == REVERTS else 0), 0, not code


def move(purses: dict[Address, int], holder: Address, amount: int) -> None:
    purses[holder] = purses.get(holder, 0) + amount
    assert purses[holder] >= 0


def calls_of(message: Message) -> tuple[Call, ...]:
    return message.calls or (Call(message.to, message.value, message.data),)


def data_gas(datas: Iterable[bytes]) -> tuple[int, int]:
    """Standard and floor price of call data (EIP-2028, EIP-7623)."""
    joined = b"".join(datas)
    zeros = joined.count(0)
    tokens = zeros + 4 * (len(joined) - zeros)
    return 4 * tokens, 10 * tokens


@dataclass(frozen=True, slots=True)
class Terms:
    """What a message pays, by the rules that ghostchain/contracts/feemarket.py states."""

    message: Message
    payer: Address
    token: Address | None
    base_fee: int
    price: int
    intrinsic: int
    floor: int

    @staticmethod
    def of(world: World, message: Message) -> Terms:
        token = None if message.fee_token == GCC else message.fee_token
        base_fee = world.base_fee
        if token is not None:
            if token not in TOKENS:
                raise Refused(TransactionReason.FEE_TOKEN_UNKNOWN)
            rate = world.rates.get(token, 0)
            if rate == 0:
                raise Refused(TransactionReason.FEE_TOKEN_CLOSED)
            base_fee = min(-(-world.base_fee * rate // RATE_UNIT), WORD - 1)
        intrinsic, floor = gas_of(message, has_token=token is not None)
        if message.gas_limit < intrinsic:
            raise Refused(TransactionReason.INTRINSIC_GAS_TOO_LOW)
        if message.gas_limit < floor:
            raise Refused(TransactionReason.INTRINSIC_GAS_BELOW_FLOOR)
        if message.max_fee_per_gas < message.max_priority_fee_per_gas:
            raise Refused(TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE)
        if message.max_fee_per_gas < base_fee:
            raise Refused(TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS)
        price = min(message.max_fee_per_gas, base_fee + message.max_priority_fee_per_gas)
        payer = message.fee_payer or message.sender
        return Terms(message, payer, token, base_fee, price, intrinsic, floor)

    def check_purses(self, world: World) -> None:
        message = self.message
        nonce = world.nonces.get(message.sender, 0)
        if message.nonce != nonce:
            is_low = message.nonce < nonce
            raise Refused(
                TransactionReason.NONCE_TOO_LOW if is_low else TransactionReason.NONCE_TOO_HIGH
            )
        most = message.gas_limit * message.max_fee_per_gas
        if most >= WORD:
            raise Refused(TransactionReason.GASLIMIT_PRICE_PRODUCT_OVERFLOW)
        value = sum(call.value for call in calls_of(message))
        own = value
        if self.token is None and self.payer == message.sender:
            own += most
        if world.coins.get(message.sender, 0) < own:
            raise Refused(TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS)
        purses = world.coins if self.token is None else world.tokens[self.token]
        if purses.get(self.payer, 0) >= most:
            return
        if self.payer != message.sender:
            raise Refused(TransactionReason.PAYER_FUNDS)
        raise Refused(TransactionReason.INSUFFICIENT_FEE_TOKEN)

    def move(self, world: World, holder: Address, amount: int) -> None:
        move(world.coins if self.token is None else world.tokens[self.token], holder, amount)


def gas_of(message: Message, *, has_token: bool) -> tuple[int, int]:
    """Intrinsic gas and floor."""
    calls = calls_of(message)
    standard, floor = data_gas(call.data for call in calls)
    gas = 21_000 + standard + 2_600 * (len(calls) - 1) + 15_000 * has_token
    for entry in message.access_list:
        gas += 2_400 + 1_900 * len(entry.keys)
    if message.type == TransactionType.GHOST:
        gas += SENDER_SIGNATURE_GAS[message.signature_scheme]
        if message.fee_payer is not None:
            gas += PAYER_SIGNATURE_GAS[message.payer_scheme]
    return gas, 21_000 + floor


def copy_of(world: World) -> World:
    return replace(
        world,
        coins=dict(world.coins),
        tokens={token: dict(held) for token, held in world.tokens.items()},
        supplies=dict(world.supplies),
        full=set(world.full),
        nonces=dict(world.nonces),
    )
