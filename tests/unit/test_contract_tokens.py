"""The four tokens in a world in memory: what they refuse, permits, supply, and their genesis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ghostchain.contracts.addresses import GCC, GHOST, MANA, SPIRIT, STAKING, TOKENS
from ghostchain.contracts.framework.testing import Reverted, World
from ghostchain.contracts.genesis import system_alloc
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.contracts.tokens import (
    INFINITE,
    PERMIT_TYPE,
    SPIRIT_CAP,
    Gcc,
    Ghost,
    Mana,
    Spirit,
    Token,
)
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import GROUP_ORDER, address_of, sign
from ghostchain.primitives.types import ZERO_ADDRESS, Address

CLASSES: dict[Address, type[Token]] = {GCC: Gcc, SPIRIT: Spirit, MANA: Mana, GHOST: Ghost}
ALICE, BOB, CAROL = (World({}).person(name) for name in ("alice", "bob", "carol"))


def world_with(amount: int = 1_000) -> World:
    """ALICE has that much of each."""
    world = World(CLASSES)
    world.balances[ALICE] = amount
    alloc = system_alloc(amount, {token: {ALICE: amount} for token in TOKENS[1:]})
    for address, account in alloc.items():
        for key, value in account.storage.items():
            world.storage[address, int.from_bytes(key, "big")] = int.from_bytes(value, "big")
    return world


@pytest.fixture
def world() -> World:
    return world_with()


@pytest.fixture(params=TOKENS, ids=["gcc", "spirit", "mana", "ghost"])
def token(request: pytest.FixtureRequest) -> Address:
    return request.param


def balance(world: World, token: Address, who: Address) -> int:
    return world.read(token, Token.balanceOf, who)


def refused(world: World, *call: Any) -> tuple[str, tuple[Any, ...]]:
    with pytest.raises(Reverted) as refusal:
        world.send(*call)
    return refusal.value.name, refusal.value.values


def test_a_transfer_moves_and_says_so(world: World, token: Address) -> None:
    assert world.send(ALICE, token, Token.transfer, BOB, 300) is True
    (log,) = world.logs
    assert (log.name, log.values) == ("Transfer", {"from": ALICE, "to": BOB, "value": 300})
    assert (balance(world, token, ALICE), balance(world, token, BOB)) == (700, 300)
    assert world.send(BOB, token, Token.transfer, BOB, 300)
    assert balance(world, token, BOB) == 300


def test_what_a_transfer_refuses(world: World, token: Address) -> None:
    short = ("ERC20InsufficientBalance", (ALICE, 1_000, 1_001))
    assert refused(world, ALICE, token, Token.transfer, BOB, 1_001) == short
    nowhere = ("ERC20InvalidReceiver", (ZERO_ADDRESS,))
    assert refused(world, ALICE, token, Token.transfer, ZERO_ADDRESS, 1) == nowhere
    allowed = ("ERC20InsufficientAllowance", (BOB, 0, 1))
    assert refused(world, BOB, token, Token.transfer_from, ALICE, BOB, 1) == allowed
    nobody = ("ERC20InvalidSpender", (ZERO_ADDRESS,))
    assert refused(world, ALICE, token, Token.approve, ZERO_ADDRESS, 1) == nobody


def test_an_allowance_is_spent_unless_it_is_infinite(world: World, token: Address) -> None:
    world.send(ALICE, token, Token.approve, BOB, 10)
    world.send(BOB, token, Token.transfer_from, ALICE, CAROL, 4)
    assert world.read(token, Token.allowance, ALICE, BOB) == 6
    world.send(ALICE, token, Token.approve, BOB, INFINITE)
    world.send(BOB, token, Token.transfer_from, ALICE, CAROL, 4)
    assert world.read(token, Token.allowance, ALICE, BOB) == INFINITE
    world.send(BOB, token, Token.burn_from, ALICE, 2)
    assert balance(world, token, ALICE) == 990


def test_burning_lowers_the_supply(world: World, token: Address) -> None:
    world.send(ALICE, token, Token.burn, 400)
    assert world.logs[0].values == {"from": ALICE, "to": ZERO_ADDRESS, "value": 400}
    if token != GCC:  # whose supply the executor keeps, tests/oracle/test_contracts.py
        assert world.read(token, Token.totalSupply) == 600
    short = ("ERC20InsufficientBalance", (ALICE, 600, 601))
    assert refused(world, ALICE, token, Token.burn, 601) == short


def test_staking_alone_mints_mana(world: World) -> None:
    assert refused(world, ALICE, MANA, Mana.mint, ALICE, 1) == ("NotMinter", (ALICE,))
    world.send(STAKING, MANA, Mana.mint, BOB, 5)
    assert world.read(MANA, Token.totalSupply) == 1_005
    assert balance(world, MANA, BOB) == 5


def permit_of(world: World, token: Address, key: bytes, value: int, **changes: int) -> list[Any]:
    owner = address_of(key)
    nonce, deadline = changes.get("nonce", 0), changes.get("deadline", world.block.timestamp)
    separator = world.read(token, Token.domain_separator)
    words = b"".join(
        (
            PERMIT_TYPE,
            owner.rjust(32, b"\0"),
            BOB.rjust(32, b"\0"),
            *(number.to_bytes(32, "big") for number in (value, nonce, deadline)),
        )
    )
    r, s, parity = sign(keccak256(b"\x19\x01" + separator + keccak256(words)), key)
    if "high_s" in changes:
        s, parity = GROUP_ORDER - s, 1 - parity
    return [owner, BOB, value, deadline, parity + 27, r.to_bytes(32), s.to_bytes(32)]


KEY = (7).to_bytes(32, "big")


def test_a_permit_allows_once(world: World, token: Address) -> None:
    permit = permit_of(world, token, KEY, 9)
    world.send(CAROL, token, Token.permit, *permit)
    assert world.logs[0].name == "Approval"
    assert world.read(token, Token.allowance, address_of(KEY), BOB) == 9
    assert world.read(token, Token.nonces, address_of(KEY)) == 1
    name, _ = refused(world, CAROL, token, Token.permit, *permit)
    assert name == "ERC2612InvalidSigner"


def test_what_a_permit_refuses(world: World) -> None:
    late = world.block.timestamp - 1
    permit = permit_of(world, SPIRIT, KEY, 1, deadline=late)
    assert refused(world, BOB, SPIRIT, Token.permit, *permit) == (
        "ERC2612ExpiredSignature",
        (late,),
    )
    permit = permit_of(world, SPIRIT, KEY, 1, high_s=1)
    assert refused(world, BOB, SPIRIT, Token.permit, *permit) == (
        "ECDSAInvalidSignatureS",
        (permit[6],),
    )
    permit = permit_of(world, SPIRIT, KEY, 1)
    for v in (0, 26, 29, 255):
        wrong = [*permit[:4], v, *permit[5:]]
        assert refused(world, BOB, SPIRIT, Token.permit, *wrong) == ("ECDSAInvalidSignature", ())
    name, values = refused(world, BOB, MANA, Token.permit, *permit)
    assert (name, values[1]) == ("ERC2612InvalidSigner", address_of(KEY))


def test_the_domain_is_that_of_the_separator(world: World, token: Address) -> None:
    eip712 = pytest.importorskip("eth_account.messages")
    fields, name, version, chain_id, contract, salt, extensions = world.read(
        token, Token.eip712_domain
    )
    assert (fields, salt, extensions) == (b"\x0f", bytes(32), [])
    message = eip712.encode_typed_data(
        {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract},
        {"Empty": []},
        {},
    )
    assert message.header == world.read(token, Token.domain_separator)


def test_genesis_keeps_to_the_caps() -> None:
    with pytest.raises(ValueError, match="more than the cap"):
        system_alloc(0, {SPIRIT: {ALICE: SPIRIT_CAP, BOB: 1}})
    with pytest.raises(ValueError, match="below zero"):
        system_alloc(0, {MANA: {ALICE: -1}})
    with pytest.raises(ValueError, match="not the address"):
        system_alloc(0, {GCC: {ALICE: 1}})
    alloc = system_alloc(5, {})
    assert {account.code[2] for account in alloc.values()} == set(NATIVE_CONTRACTS)
    assert alloc[GCC].storage == {(2).to_bytes(32, "big"): (5).to_bytes(32, "big")}


PEOPLE = st.sampled_from([ALICE, BOB, CAROL])
AMOUNTS = st.one_of(st.integers(0, 1_100), st.just(INFINITE))


class Trade(RuleBasedStateMachine):
    """However people pay, allow and burn: what they have is the supply, and only burning lowers
    it."""

    @initialize(token=st.sampled_from(TOKENS))
    def begin(self, token: Address) -> None:
        self.world, self.token, self.burnt = world_with(), token, 0

    def attempt(self, sender: Address, function: Any, *arguments: Any) -> bool:
        before = dict(self.world.storage), dict(self.world.balances)
        try:
            self.world.send(sender, self.token, function, *arguments)
        except Reverted:
            storage = {place: value for place, value in self.world.storage.items() if value}
            assert storage == {place: value for place, value in before[0].items() if value}
            assert {k: v for k, v in self.world.balances.items() if v} == {
                k: v for k, v in before[1].items() if v
            }
            return False
        return True

    @rule(sender=PEOPLE, to=PEOPLE, value=AMOUNTS)
    def transfer(self, sender: Address, to: Address, value: int) -> None:
        self.attempt(sender, Token.transfer, to, value)

    @rule(sender=PEOPLE, spender=PEOPLE, value=AMOUNTS)
    def approve(self, sender: Address, spender: Address, value: int) -> None:
        assert self.attempt(sender, Token.approve, spender, value)

    @rule(sender=PEOPLE, source=PEOPLE, to=PEOPLE, value=AMOUNTS)
    def transfer_from(self, sender: Address, source: Address, to: Address, value: int) -> None:
        self.attempt(sender, Token.transfer_from, source, to, value)

    @rule(sender=PEOPLE, value=AMOUNTS)
    def burn(self, sender: Address, value: int) -> None:
        self.burnt += value if self.attempt(sender, Token.burn, value) else 0

    @invariant()
    def conserved(self) -> None:
        if hasattr(self, "world"):
            supply = self.world.read(self.token, Token.totalSupply)
            held = sum(balance(self.world, self.token, who) for who in (ALICE, BOB, CAROL))
            assert held == 1_000 - self.burnt
            assert supply == (1_000 if self.token == GCC else held)


TestTrade = Trade.TestCase
TestTrade.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
