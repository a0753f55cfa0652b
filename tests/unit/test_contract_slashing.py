"""Slashing: evidence, the window of missed blocks, jail and its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.contracts.addresses import SLASHING, SPIRIT, STAKING, SYSTEM
from ghostchain.contracts.framework.testing import Reverted
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.encoding.votes import VoteKind
from ghostchain.primitives.types import Address
from tests.economy_world import (
    EPOCH_BLOCKS,
    SLASHING_PARAMETERS,
    UNBONDING_EPOCHS,
    EconomyWorld,
    account,
    amnesia_of,
    economy_of,
    evidence_of,
)

ALICE, BOB, CAROL = (account(name) for name in ("alice", "bob", "carol"))
PEOPLE = [ALICE, BOB, CAROL]


@pytest.fixture
def world() -> EconomyWorld:
    """Alice and Bob validate with 100 SPIRIT each, since block 1; it is block 36, in epoch 3."""
    world = EconomyWorld(PEOPLE)
    world.create_validator(ALICE)
    world.create_validator(BOB)
    world.skip(35)
    return world


def refused(
    world: EconomyWorld, sender: Address, function: Any, *arguments: Any
) -> tuple[Any, ...]:
    """The name and the values of the error."""
    with pytest.raises(Reverted) as failure:
        world.send(sender, SLASHING, function, *arguments)
    return (failure.value.name, *failure.value.values)


def miss(world: EconomyWorld, *operators: Address) -> None:
    """The parent block lacked these signatures, and a block has passed."""
    world.send(SYSTEM, SLASHING, Slashing.onMissed, list(operators))
    world.skip(1)


@pytest.mark.parametrize("kind", list(VoteKind))
def test_signing_twice_costs_stake_and_the_right_to_validate(
    world: EconomyWorld, kind: VoteKind
) -> None:
    world.staking(CAROL, Staking.delegate, ALICE, 100 * WAD)
    supply = world.supply(SPIRIT)
    evidence = evidence_of(ALICE, 31, kind=kind, round=2)
    assert world.send(CAROL, SLASHING, Slashing.submitEvidence, *evidence) == 20 * WAD
    assert world.logs[-1].name == "DoubleSigned"
    assert world.supply(SPIRIT) == supply - 20 * WAD
    view = world.read(STAKING, Staking.validator, ALICE)
    assert (view.tokens, view.power, view.isTombstoned) == (180 * WAD, 0, True)
    again = evidence_of(ALICE, 32)
    assert refused(world, CAROL, Slashing.submitEvidence, *again) == ("AlreadyTombstoned", ALICE)
    assert refused(world, ALICE, Slashing.unjail) == ("AlreadyTombstoned", ALICE)


def test_evidence_is_refused_with_a_reason(world: EconomyWorld) -> None:
    def outcome(evidence: Sequence[Any]) -> tuple[Any, ...]:
        return refused(world, CAROL, Slashing.submitEvidence, *evidence)

    good = list(evidence_of(ALICE, 31))
    assert outcome([good[0], 0, *good[2:]]) == ("UnknownVoteKind", 0)
    assert outcome([good[0], 4, *good[2:]]) == ("UnknownVoteKind", 4)
    same = (b"\x01" * 32, b"\x01" * 32)
    assert outcome(evidence_of(ALICE, 31, blocks=same)) == ("SameVote", same[0])
    changes = ((0, {4: b"\x03" * 32}), (1, {9: good[6]}), (0, {6: b""}), (0, {2: 32}), (1, {8: 1}))
    for index, change in changes:
        changed = [change.get(place, value) for place, value in enumerate(good)]
        assert outcome(changed) == ("InvalidSignature", index)
    assert outcome(evidence_of(ALICE, 31, chain_id=1)) == ("InvalidSignature", 0)
    assert outcome(evidence_of(CAROL, 31))[0] == "UnknownKey"
    assert outcome(evidence_of(ALICE, 37)) == ("HeightOutOfRange", 37, 1, 36)
    assert outcome(evidence_of(ALICE, 0)) == ("HeightOutOfRange", 0, 1, 36)
    world.skip(epochs=1)
    assert outcome(evidence_of(ALICE, 10)) == ("HeightOutOfRange", 10, 11, 46)
    world.send(CAROL, SLASHING, Slashing.submitEvidence, *evidence_of(ALICE, 11))


def test_valid_rounds_tell_votes_apart(world: EconomyWorld) -> None:
    """Two prevotes for one block that claim different polkas are two votes."""
    one = (b"\x01" * 32, b"\x01" * 32)
    evidence = evidence_of(ALICE, 31, kind=2, round=7, blocks=one, valid=(0, 2**32 - 1))
    assert world.send(CAROL, SLASHING, Slashing.submitEvidence, *evidence) == 10 * WAD


def test_forgetting_a_lock_is_punished(world: EconomyWorld) -> None:
    """A precommit, and a later prevote for another block that no polka since allowed."""

    def outcome(**changes: Any) -> tuple[Any, ...]:
        evidence = amnesia_of(ALICE, 31, **changes)
        return refused(world, CAROL, Slashing.submitAmnesia, *evidence)

    nil, one, two = bytes(32), b"\x01" * 32, b"\x02" * 32
    assert outcome(valid=3) == ("NoAmnesia", 2, 5), "a polka of the lock's round let it go"
    for blocks in ((one, one), (nil, two), (one, nil)):
        assert outcome(blocks=blocks) == ("NoAmnesia", 2, 5)
    assert outcome(rounds=(5, 5)) == ("NoAmnesia", 5, 5)
    good = list(amnesia_of(ALICE, 31, valid=2))
    for index, change in ((0, {4: good[8]}), (1, {8: good[4]}), (1, {7: 1}), (0, {2: 3})):
        changed = [change.get(place, value) for place, value in enumerate(good)]
        assert refused(world, CAROL, Slashing.submitAmnesia, *changed) == (
            "InvalidSignature",
            index,
        )
    assert world.send(CAROL, SLASHING, Slashing.submitAmnesia, *good) == 10 * WAD
    assert world.read(STAKING, Staking.validator, ALICE).isTombstoned


def test_the_protocol_brings_evidence_too(world: EconomyWorld) -> None:
    assert refused(world, CAROL, Slashing.onDoubleSign, ALICE, 31) == ("OnlySystem", CAROL)
    world.send(SYSTEM, SLASHING, Slashing.onDoubleSign, ALICE, 31)
    view = world.read(STAKING, Staking.validator, ALICE)
    assert (view.tokens, view.isTombstoned) == (90 * WAD, True)
    assert refused(world, SYSTEM, Slashing.onDoubleSign, ALICE, 31)[0] == "AlreadyTombstoned"
    assert refused(world, SYSTEM, Slashing.onDoubleSign, BOB, 37)[0] == "HeightOutOfRange"
    assert refused(world, SYSTEM, Slashing.onDoubleSign, CAROL, 31)[0] == "UnknownValidator"


def test_no_stake_escapes_while_evidence_is_taken(world: EconomyWorld) -> None:
    """In the last block in which evidence of an epoch counts, what left in it is still held."""
    world.staking(CAROL, Staking.delegate, ALICE, 100 * WAD)
    world.staking(CAROL, Staking.undelegate, ALICE, 100 * WAD)
    height = 4 * EPOCH_BLOCKS
    last = (4 + UNBONDING_EPOCHS) * EPOCH_BLOCKS - 1
    world.skip(last - world.block.number)
    with pytest.raises(Reverted) as failure:
        world.staking(CAROL, Staking.withdraw)
    assert failure.value.name == "NothingMatured"
    world.send(BOB, SLASHING, Slashing.submitEvidence, *evidence_of(ALICE, height))
    world.skip(1)
    assert refused(world, BOB, Slashing.submitEvidence, *evidence_of(BOB, height))[0] == (
        "HeightOutOfRange"
    )
    assert world.staking(CAROL, Staking.withdraw) == 90 * WAD


def test_missing_too_often_is_slashed_and_jailed(world: EconomyWorld) -> None:
    for _ in range(4):
        miss(world, ALICE)
    assert world.read(STAKING, Staking.validator, ALICE).power == 100
    miss(world, ALICE, BOB)
    view = world.read(STAKING, Staking.validator, ALICE)
    assert (view.power, view.tokens, view.jailedUntil) == (0, 99 * WAD, world.block.number + 6)
    assert world.read(SLASHING, Slashing.liveness, ALICE)[0] == 0
    assert world.read(STAKING, Staking.validator, BOB).power == 100
    assert refused(world, ALICE, Slashing.unjail) == ("JailedUntil", view.jailedUntil)
    for _ in range(6):
        miss(world, ALICE)
    assert world.read(STAKING, Staking.validator, ALICE).tokens == 99 * WAD, "once"
    world.send(ALICE, SLASHING, Slashing.unjail)
    assert world.read(STAKING, Staking.validator, ALICE).power == 99
    assert refused(world, ALICE, Slashing.unjail) == ("NotJailed", ALICE)
    assert refused(world, CAROL, Slashing.unjail) == ("UnknownValidator", CAROL)
    assert world.read(SLASHING, Slashing.liveness, ALICE)[0] == 0, "a clean start"


def test_a_miss_counts_once_for_a_block_and_only_from_the_system(world: EconomyWorld) -> None:
    world.send(SYSTEM, SLASHING, Slashing.onMissed, [ALICE, ALICE])
    world.send(SYSTEM, SLASHING, Slashing.onMissed, [ALICE])
    assert world.read(SLASHING, Slashing.liveness, ALICE) == (1, 20, 35)
    assert refused(world, CAROL, Slashing.onMissed, [ALICE]) == ("OnlySystem", CAROL)


@given(
    st.integers(1, 700),
    st.lists(st.one_of(st.integers(1, 4), st.integers(1, 900)), min_size=1, max_size=40),
    st.integers(1, 3_000),
)
def test_the_ring_counts_as_a_list_of_heights_would(
    window: int, gaps: list[int], start: int
) -> None:
    limits = {**SLASHING_PARAMETERS, "downtimeWindow": window, "downtimeMissedMax": 8_192}
    world = EconomyWorld(PEOPLE, economy_of(PEOPLE, parameters={SLASHING: limits}))
    world.skip(start)
    heights: list[int] = []
    for gap in gaps:
        world.skip(gap)
        world.send(SYSTEM, SLASHING, Slashing.onMissed, [ALICE])
        heights.append(world.block.number - 1)
        expected = sum(height > heights[-1] - window for height in heights)
        assert world.read(SLASHING, Slashing.liveness, ALICE) == (expected, window, heights[-1])
