"""Governance: a proposal's way, what each state allows, and where the deposit ends."""

from __future__ import annotations

from typing import Any

import pytest

from ghostchain.contracts.addresses import (
    FEE_MARKET,
    GCC,
    GHOST,
    GOVERNANCE,
    MANA,
    SLASHING,
    SPIRIT,
    STAKING,
)
from ghostchain.contracts.feemarket import FeeMarket
from ghostchain.contracts.framework.testing import Reverted
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.governance.storage import CALL_BYTES_MAX, CALLS_MAX, Choice, State
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Gcc, Ghost, Mana, Spirit
from ghostchain.primitives.types import Address
from tests.economy_world import EconomyWorld, account, economy_of

ALICE, BOB, CAROL, DAVE = (account(name) for name in ("alice", "bob", "carol", "dave"))
PEOPLE = [ALICE, BOB, CAROL, DAVE]
TEXT = b"\x77" * 32

Call = tuple[Address, int, bytes]


def call(target: Address, contract: Any, name: str, *arguments: Any, value: int = 0) -> Call:
    return target, value, contract.method(name).encode_call(arguments)


NEW_RATE = call(FEE_MARKET, FeeMarket, "setRate", GHOST, 5 * WAD)


@pytest.fixture
def world() -> EconomyWorld:
    """Alice validates; Bob, Carol and Dave have delegated 200, 300 and 400 to her 100."""
    world = EconomyWorld(PEOPLE)
    world.create_validator(ALICE)
    for person, amount in ((BOB, 200), (CAROL, 300), (DAVE, 400)):
        world.staking(person, Staking.delegate, ALICE, amount * WAD)
    world.skip(1)
    return world


def act(world: EconomyWorld, sender: Address, function: Any, *arguments: Any) -> Any:
    return world.send(sender, GOVERNANCE, function, *arguments)


def refused(
    world: EconomyWorld, sender: Address, function: Any, *arguments: Any
) -> tuple[Any, ...]:
    with pytest.raises(Reverted) as failure:
        act(world, sender, function, *arguments)
    return (failure.value.name, *failure.value.values)


def propose(world: EconomyWorld, *calls: Call, sender: Address = BOB) -> int:
    columns = [list(column) for column in zip(*calls, strict=True)]
    return int(act(world, sender, Governance.propose, *columns, TEXT))


def state(world: EconomyWorld, id: int) -> State:
    return State(world.read(GOVERNANCE, Governance.state, id))


def voted(world: EconomyWorld, votes: dict[Address, Choice], *calls: Call) -> int:
    """A proposal after voting."""
    id = propose(world, *calls)
    world.skip(2)
    for voter, choice in votes.items():
        act(world, voter, Governance.vote, id, choice)
    world.skip(10)
    return id


def test_a_proposal_goes_its_way(world: EconomyWorld) -> None:
    before = world.balance(SPIRIT, BOB)
    id = propose(world, NEW_RATE)
    assert (id, world.balance(SPIRIT, BOB)) == (1, before - 50 * WAD)
    assert state(world, id) == State.PENDING
    not_yet = ("WrongState", id, State.PENDING)
    assert refused(world, DAVE, Governance.vote, id, Choice.YES) == not_yet
    world.skip(2)
    assert act(world, DAVE, Governance.vote, id, Choice.YES) == 400 * WAD
    assert act(world, CAROL, Governance.vote, id, Choice.NO) == 300 * WAD
    world.skip(9)
    assert state(world, id) == State.ACTIVE
    assert act(world, ALICE, Governance.vote, id, Choice.ABSTAIN) == 100 * WAD
    world.skip(1)
    closed = ("WrongState", id, State.QUEUED)
    assert refused(world, BOB, Governance.vote, id, Choice.NO) == closed
    world.skip(4)
    assert refused(world, BOB, Governance.execute, id) == closed
    world.skip(1)
    act(world, CAROL, Governance.execute, id)
    assert state(world, id) == State.EXECUTED
    assert world.read(FEE_MARKET, FeeMarket.rate, GHOST) == 5 * WAD
    assert world.balance(SPIRIT, BOB) == before
    assert refused(world, CAROL, Governance.execute, id) == ("WrongState", id, State.EXECUTED)
    view = world.read(GOVERNANCE, Governance.proposal, id)
    assert (view.no, view.yes, view.abstain, view.veto) == (300 * WAD, 400 * WAD, 100 * WAD, 0)
    assert (view.bonded, view.deposit, view.proposer) == (1_000 * WAD, 0, BOB)
    assert [(one.target, one.value, one.data) for one in view.calls] == [NEW_RATE]
    assert world.read(GOVERNANCE, Governance.ballot, id, CAROL) == (Choice.NO, 300 * WAD)
    page, total = world.read(GOVERNANCE, Governance.proposals, 0, 9)
    assert ([one.id for one in page], total) == ([1], 1)


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        ({}, State.WITHOUT_QUORUM),
        ({BOB: Choice.YES, ALICE: Choice.YES}, State.WITHOUT_QUORUM),
        ({DAVE: Choice.YES, BOB: Choice.NO, CAROL: Choice.VETO}, State.DEFEATED),
        ({DAVE: Choice.YES, CAROL: Choice.VETO}, State.VETOED),
        ({DAVE: Choice.ABSTAIN}, State.DEFEATED),
        ({ALICE: Choice.YES, CAROL: Choice.YES, DAVE: Choice.NO}, State.DEFEATED),
        ({DAVE: Choice.YES, CAROL: Choice.NO}, State.QUEUED),
        ({DAVE: Choice.ABSTAIN, ALICE: Choice.YES}, State.QUEUED),
    ],
)
def test_outcomes_and_deposits(
    world: EconomyWorld, votes: dict[Address, Choice], outcome: State
) -> None:
    """Alice has 100, Bob 200, Carol 300, Dave 400 of 1,000; quorum and veto are 33.4 %."""
    supply, before = world.supply(SPIRIT), world.balance(SPIRIT, BOB)
    id = voted(world, votes, NEW_RATE)
    assert state(world, id) == outcome
    if outcome == State.QUEUED:
        assert refused(world, BOB, Governance.close, id) == ("WrongState", id, outcome)
        world.skip(5 + 8)
        assert state(world, id) == State.EXPIRED
        assert refused(world, BOB, Governance.execute, id) == ("WrongState", id, State.EXPIRED)
    act(world, DAVE, Governance.close, id)
    is_burnt = outcome in (State.WITHOUT_QUORUM, State.VETOED)
    assert world.supply(SPIRIT) == supply - 50 * WAD * is_burnt
    assert world.balance(SPIRIT, BOB) == before - 50 * WAD * is_burnt
    assert world.read(GOVERNANCE, Governance.heldDeposits) == 0
    assert refused(world, DAVE, Governance.close, id) == ("NothingHeld", id)


def test_stake_that_moves_after_the_snapshot_votes_once(world: EconomyWorld) -> None:
    """It counts for who had it, where it was; who bonds later has no vote."""
    world.create_validator(CAROL)
    id = propose(world, NEW_RATE)
    world.skip(2)
    world.staking(DAVE, Staking.redelegate, ALICE, CAROL, 400 * WAD)
    world.staking(BOB, Staking.undelegate, ALICE, 50 * WAD)
    world.staking(BOB, Staking.delegate, CAROL, 900 * WAD)
    assert refused(world, DAVE, Governance.vote, id, Choice.YES) == ("NoVotes", DAVE)
    assert act(world, DAVE, Governance.voteWith, id, Choice.YES, [ALICE]) == 400 * WAD
    assert refused(world, DAVE, Governance.voteWith, id, Choice.NO, [ALICE]) == (
        "AlreadyVoted",
        id,
        DAVE,
    )
    assert act(world, BOB, Governance.vote, id, Choice.YES) == 200 * WAD
    double = refused(world, CAROL, Governance.voteWith, id, Choice.YES, [ALICE, ALICE])
    assert double[0] == "NotAscending"
    assert refused(world, CAROL, Governance.vote, id, 4) == ("UnknownChoice", 4)


def test_proposals_are_refused_with_a_reason(world: EconomyWorld) -> None:
    def outcome(targets: Any, values: Any, datas: Any) -> tuple[Any, ...]:
        return refused(world, BOB, Governance.propose, targets, values, datas, TEXT)

    assert outcome([], [], []) == ("CallCount", 0, CALLS_MAX)
    many = CALLS_MAX + 1
    assert outcome([BOB] * many, [0] * many, [b""] * many) == ("CallCount", many, CALLS_MAX)
    assert outcome([BOB], [0, 0], [b""]) == ("CallLengths", 1, 2, 1)
    large = bytes(CALL_BYTES_MAX + 1)
    assert outcome([BOB, BOB], [0, 0], [b"", large]) == ("CallTooLarge", 1, CALL_BYTES_MAX)
    world.send(BOB, SPIRIT, Spirit.approve, GOVERNANCE, 50 * WAD - 1)
    assert outcome([BOB], [0], [b""])[0] == "ERC20InsufficientAllowance"
    for id in (0, 1, 2**255):
        assert refused(world, BOB, Governance.execute, id) == ("UnknownProposal", id)


def test_cancelling_is_the_proposers_and_costs_the_deposit_once_voting_began(
    world: EconomyWorld,
) -> None:
    first, second = propose(world, NEW_RATE), propose(world, NEW_RATE)
    assert refused(world, CAROL, Governance.cancel, first) == ("OnlyProposer", CAROL)
    supply = world.supply(SPIRIT)
    act(world, BOB, Governance.cancel, first)
    assert (state(world, first), world.supply(SPIRIT)) == (State.CANCELLED, supply)
    world.skip(2)
    act(world, BOB, Governance.cancel, second)
    assert world.supply(SPIRIT) == supply - 50 * WAD
    cancelled = ("WrongState", second, State.CANCELLED)
    assert refused(world, DAVE, Governance.vote, second, Choice.YES) == cancelled
    assert refused(world, BOB, Governance.close, second) == cancelled


def test_the_calls_happen_all_or_none(world: EconomyWorld) -> None:
    bad = call(FEE_MARKET, FeeMarket, "setRate", GHOST, 1)
    id = voted(world, {DAVE: Choice.YES}, NEW_RATE, bad)
    world.skip(5)
    error = FeeMarket.ERRORS["RateOutOfBounds(uint256,uint256,uint256)"]
    name, index, reason = refused(world, BOB, Governance.execute, id)
    assert (name, index) == ("CallFailed", 1)
    assert error.decode(reason) == (1, 4 * WAD, 6 * WAD)
    assert world.read(FEE_MARKET, FeeMarket.rate, GHOST) == 0
    assert state(world, id) == State.READY
    lost = voted(world, {DAVE: Choice.YES}, (ALICE, 0, b"\x01"))
    world.skip(5)
    assert refused(world, BOB, Governance.execute, lost) == ("NoCode", 0, ALICE)


def test_the_treasury_is_spent_in_every_token_and_deposits_are_not(world: EconomyWorld) -> None:
    world.transact(DAVE, GOVERNANCE, b"", value=9 * WAD)
    for token, kind in ((SPIRIT, Spirit), (MANA, Mana), (GHOST, Ghost)):
        world.send(DAVE, token, kind.transfer, GOVERNANCE, 9 * WAD)
    spend = [
        call(token, kind, "transfer", CAROL, 9 * WAD)
        for token, kind in ((SPIRIT, Spirit), (MANA, Mana), (GHOST, Ghost), (GCC, Gcc))
    ]
    before = [world.balance(token, CAROL) for token in (GCC, SPIRIT, MANA, GHOST)]
    too_much = call(SPIRIT, Spirit, "transfer", CAROL, WAD)
    first = voted(world, {DAVE: Choice.YES}, *spend)
    second = voted(world, {DAVE: Choice.YES}, too_much)
    propose(world, NEW_RATE)
    act(world, BOB, Governance.execute, first)
    after = [world.balance(token, CAROL) for token in (GCC, SPIRIT, MANA, GHOST)]
    assert [new - old for new, old in zip(after, before, strict=True)] == [9 * WAD] * 4
    world.skip(5)
    spent = ("DepositsSpent", 49 * WAD, 50 * WAD)
    assert refused(world, BOB, Governance.execute, second) == spent


def test_governance_sets_parameters_everywhere_its_own_included(world: EconomyWorld) -> None:
    id = voted(
        world,
        {DAVE: Choice.YES},
        call(STAKING, Staking, "setParameter", "manaPerBlock", 7),
        call(SLASHING, Slashing, "setParameter", "jailBlocks", 8),
        call(GOVERNANCE, Governance, "setParameter", "timelock", 9),
        call(FEE_MARKET, FeeMarket, "setParameter", "maxDailyChange", WAD // 4),
    )
    world.skip(5)
    act(world, BOB, Governance.execute, id)
    for address, kind, name, value in (
        (STAKING, Staking, "manaPerBlock", 7),
        (SLASHING, Slashing, "jailBlocks", 8),
        (GOVERNANCE, Governance, "timelock", 9),
        (FEE_MARKET, FeeMarket, "maxDailyChange", WAD // 4),
    ):
        found = {one.name: one.value for one in world.read(address, kind.parameters)}
        assert found[name] == value
    for address, kind in ((STAKING, Staking), (SLASHING, Slashing), (GOVERNANCE, Governance)):
        with pytest.raises(Reverted) as failure:
            world.send(DAVE, address, kind.setParameter, "quorum", 1)
        assert failure.value.name == "OnlyGovernance"


def test_a_proposal_that_executes_another_one_is_stopped(world: EconomyWorld) -> None:
    inner = voted(world, {DAVE: Choice.YES}, NEW_RATE)
    outer = voted(world, {DAVE: Choice.YES}, call(GOVERNANCE, Governance, "execute", inner))
    world.skip(5)
    name, _, reason = refused(world, BOB, Governance.execute, outer)
    assert name == "CallFailed"
    assert Governance.ReentrantCall.decode(reason) == ()


def test_rules_are_those_of_when_a_proposal_was_made() -> None:
    strict = {"minDeposit": WAD, "votingDelay": 1, "votingPeriod": 2, "quorum": WAD // 100}
    world = EconomyWorld(PEOPLE, economy_of(PEOPLE, parameters={GOVERNANCE: strict}))
    world.create_validator(ALICE)
    id = propose(world, NEW_RATE)
    world.send(GOVERNANCE, GOVERNANCE, Governance.setParameter, "threshold", WAD * 9 // 10)
    world.skip(1)
    assert act(world, ALICE, Governance.vote, id, Choice.YES) == 100 * WAD
    view = world.read(GOVERNANCE, Governance.proposal, id)
    assert (view.starts, view.ends, view.ready - view.ends) == (2, 3, 43_201)
