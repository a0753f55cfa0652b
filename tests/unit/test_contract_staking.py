"""Staking: each function, what it refuses and why. Sequences are in tests/property."""

from __future__ import annotations

from typing import Any

import pytest

from ghostchain.contracts.addresses import (
    GCC,
    GOVERNANCE,
    MANA,
    SLASHING,
    SPIRIT,
    STAKING,
    SYSTEM,
)
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.contracts.framework.testing import Reverted
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.staking.genesis import GenesisValidator
from ghostchain.contracts.staking.storage import COMMISSION_PERIOD, MOVES_MAX, UNBONDINGS_MAX
from ghostchain.contracts.tokens import Spirit
from ghostchain.crypto import ed25519
from ghostchain.encoding.votes import key_claim_bytes
from ghostchain.primitives.types import ZERO_ADDRESS, Address
from tests.economy_world import (
    CHAIN_ID,
    EPOCH_BLOCKS,
    STAKING_PARAMETERS,
    UNBONDING_EPOCHS,
    EconomyWorld,
    account,
    economy_of,
    key_of,
    proof_of,
    seed_of,
)

ALICE, BOB, CAROL, DAVE = (account(name) for name in ("alice", "bob", "carol", "dave"))
PEOPLE = [ALICE, BOB, CAROL, DAVE]


@pytest.fixture
def world() -> EconomyWorld:
    """Alice and Bob validate with 100 SPIRIT each."""
    world = EconomyWorld(PEOPLE)
    world.create_validator(ALICE)
    world.create_validator(BOB)
    return world


def refused(
    world: EconomyWorld, sender: Address, function: Any, *arguments: Any
) -> tuple[Any, ...]:
    """The name and the values of the error."""
    before = dict(world.storage)
    with pytest.raises(Reverted) as failure:
        world.staking(sender, function, *arguments)
    assert {k: v for k, v in world.storage.items() if v} == {k: v for k, v in before.items() if v}
    return (failure.value.name, *failure.value.values)


def stake_of(world: EconomyWorld, who: Address, validator: Address) -> int:
    return int(world.read(STAKING, Staking.delegation, who, validator).tokens)


def test_a_validator_is_created_with_its_own_stake(world: EconomyWorld) -> None:
    view = world.read(STAKING, Staking.validator, ALICE)
    assert (view.tokens, view.shares, view.selfBond, view.power) == (100 * WAD,) * 3 + (100,)
    assert (view.consensusKey, view.coinbase) == (key_of(ALICE), ALICE)
    assert world.read(STAKING, Staking.operatorOfKey, key_of(ALICE)) == ALICE
    assert world.balance(SPIRIT, STAKING) == 200 * WAD
    page, total = world.read(STAKING, Staking.validators, 1, 5)
    assert ([one.operator for one in page], total) == ([BOB], 2)


def test_creating_is_refused_with_a_reason(world: EconomyWorld) -> None:
    good = [key_of(CAROL), proof_of(CAROL), WAD // 10, WAD // 2, WAD // 100, 100 * WAD]

    def with_changes(**changes: Any) -> tuple[Any, ...]:
        names = ("key", "proof", "now", "high", "change", "bond")
        arguments = [changes.get(name, value) for name, value in zip(names, good, strict=True)]
        return refused(world, CAROL, Staking.createValidator, *arguments)

    assert with_changes(proof=proof_of(BOB))[0] == "ConsensusKeyUnproven"
    assert with_changes(proof=proof_of(CAROL, 1))[0] == "ConsensusKeyUnproven"
    assert with_changes(proof=b"")[0] == "ConsensusKeyUnproven"
    assert with_changes(now=WAD // 2 + 1)[0] == "CommissionOutOfBounds"
    assert with_changes(high=WAD + 1)[0] == "CommissionOutOfBounds"
    assert with_changes(change=WAD // 2 + 1)[0] == "CommissionOutOfBounds"
    assert with_changes(bond=10 * WAD - 1)[0] == "SelfBondTooSmall"
    stolen = ed25519.sign(seed_of(ALICE), key_claim_bytes(CHAIN_ID, CAROL))
    assert with_changes(key=key_of(ALICE), proof=stolen)[0] == "ConsensusKeyTaken"
    world.create_validator(CAROL)
    assert with_changes()[0] == "ValidatorExists"


def test_delegating_and_undelegating_moves_spirit_exactly(world: EconomyWorld) -> None:
    before = world.balance(SPIRIT, CAROL)
    assert world.staking(CAROL, Staking.delegate, ALICE, 7 * WAD + 3) == 7 * WAD + 3
    assert world.balance(SPIRIT, CAROL) == before - 7 * WAD - 3
    world.skip(epochs=1)
    assert world.staking(CAROL, Staking.undelegate, ALICE, 2 * WAD) == 1 + UNBONDING_EPOCHS + 1
    assert world.read(STAKING, Staking.totalStake) == (205 * WAD + 3, 2 * WAD)
    assert refused(world, CAROL, Staking.withdraw) == ("NothingMatured",)
    world.skip(epochs=UNBONDING_EPOCHS)
    assert refused(world, CAROL, Staking.withdraw) == ("NothingMatured",)
    world.skip(epochs=1)
    assert world.staking(CAROL, Staking.withdraw) == 2 * WAD
    assert world.balance(SPIRIT, CAROL) == before - 5 * WAD - 3
    assert world.read(STAKING, Staking.unbondings, CAROL) == []


def test_stake_operations_are_refused_with_a_reason(world: EconomyWorld) -> None:
    unknown = ("UnknownValidator", DAVE)
    assert refused(world, CAROL, Staking.delegate, DAVE, 1) == unknown
    assert refused(world, CAROL, Staking.undelegate, DAVE, 1) == unknown
    assert refused(world, CAROL, Staking.redelegate, ALICE, ALICE, 1) == ("SameValidator", ALICE)
    assert refused(world, CAROL, Staking.delegate, ALICE, 0) == ("ZeroAmount",)
    assert refused(world, CAROL, Staking.undelegate, ALICE, 1) == ("InsufficientStake", 0, 1)
    world.staking(CAROL, Staking.delegate, ALICE, 5)
    assert refused(world, CAROL, Staking.undelegate, ALICE, 6) == ("InsufficientStake", 5, 6)
    assert refused(world, CAROL, Staking.redelegate, ALICE, DAVE, 5) == unknown
    nothing = ("UnknownUnbonding", ALICE, 0)
    assert refused(world, CAROL, Staking.cancelUnbonding, ALICE, 0, 1) == nothing
    assert refused(world, DAVE, Staking.delegate, ALICE, 2_000_000 * WAD)[0] == (
        "ERC20InsufficientBalance"
    )
    world.send(DAVE, SPIRIT, Spirit.approve, STAKING, 4)
    assert refused(world, DAVE, Staking.delegate, ALICE, 5)[0] == "ERC20InsufficientAllowance"


def test_an_unbonding_is_cancelled_in_part_and_in_whole(world: EconomyWorld) -> None:
    world.staking(CAROL, Staking.delegate, ALICE, 10 * WAD)
    world.staking(CAROL, Staking.undelegate, ALICE, 6 * WAD)
    world.staking(CAROL, Staking.undelegate, ALICE, WAD)
    (entry,) = world.read(STAKING, Staking.unbondings, CAROL)
    assert (entry.tokens, entry.epoch) == (7 * WAD, 0), "one entry for a validator and an epoch"
    world.staking(CAROL, Staking.cancelUnbonding, ALICE, 0, 2 * WAD)
    assert stake_of(world, CAROL, ALICE) == 5 * WAD
    world.skip(epochs=2)
    world.staking(CAROL, Staking.cancelUnbonding, ALICE, 0, 5 * WAD)
    assert stake_of(world, CAROL, ALICE) == 10 * WAD
    assert world.read(STAKING, Staking.unbondings, CAROL) == []
    assert world.read(STAKING, Staking.totalStake) == (210 * WAD, 0)


def test_unbondings_of_an_account_are_bounded(world: EconomyWorld) -> None:
    world.staking(CAROL, Staking.delegate, ALICE, 100 * WAD)
    for _ in range(UNBONDINGS_MAX):
        world.staking(CAROL, Staking.undelegate, ALICE, WAD)
        world.skip(epochs=1)
    full = ("TooManyUnbondings", UNBONDINGS_MAX)
    assert refused(world, CAROL, Staking.undelegate, ALICE, WAD) == full
    assert world.staking(CAROL, Staking.withdraw) == (UNBONDINGS_MAX - UNBONDING_EPOCHS) * WAD
    world.staking(CAROL, Staking.undelegate, ALICE, WAD)


def test_moved_stake_cannot_hop(world: EconomyWorld) -> None:
    """It stays where it went until its source's slashes can no longer reach it."""
    world.create_validator(DAVE)
    world.staking(CAROL, Staking.delegate, ALICE, 10 * WAD)
    world.staking(CAROL, Staking.delegate, BOB, WAD)
    world.staking(CAROL, Staking.redelegate, ALICE, BOB, 4 * WAD)
    world.staking(CAROL, Staking.redelegate, ALICE, BOB, 2 * WAD)
    (move,) = world.read(STAKING, Staking.redelegations, CAROL, BOB)
    assert (move.source, move.tokens, move.matures) == (ALICE, 6 * WAD, UNBONDING_EPOCHS + 1)
    assert world.read(STAKING, Staking.delegation, CAROL, BOB).locked == 6 * WAD
    locked = ("InsufficientStake", WAD, WAD + 1)
    assert refused(world, CAROL, Staking.redelegate, BOB, DAVE, WAD + 1) == locked
    assert refused(world, CAROL, Staking.undelegate, BOB, WAD + 1) == locked
    world.staking(CAROL, Staking.redelegate, BOB, DAVE, WAD)
    world.skip(epochs=UNBONDING_EPOCHS + 1)
    world.staking(CAROL, Staking.redelegate, BOB, DAVE, 6 * WAD)
    assert stake_of(world, CAROL, DAVE) == 7 * WAD


def test_moves_are_bounded(world: EconomyWorld) -> None:
    send = (GOVERNANCE, Staking.setParameter, "unbondingEpochs", 100)
    world.staking(*send)
    world.staking(CAROL, Staking.delegate, ALICE, 100 * WAD)
    for _ in range(MOVES_MAX):
        world.staking(CAROL, Staking.redelegate, ALICE, BOB, WAD)
        world.skip(epochs=1)
    full = ("TooManyMoves", MOVES_MAX)
    assert refused(world, CAROL, Staking.redelegate, ALICE, BOB, WAD) == full


def test_a_slash_reaches_bonded_unbonding_and_moved_stake(world: EconomyWorld) -> None:
    """What left before the infraction's epoch is spared; what left in it or later is not."""
    world.staking(CAROL, Staking.delegate, ALICE, 100 * WAD)
    world.staking(CAROL, Staking.undelegate, ALICE, 10 * WAD)
    world.skip(epochs=1)
    world.staking(CAROL, Staking.undelegate, ALICE, 10 * WAD)
    world.staking(CAROL, Staking.redelegate, ALICE, BOB, 20 * WAD)
    world.skip(epochs=1)
    supply = world.supply(SPIRIT)
    assert world.slash(ALICE, WAD // 10, 1) == 16 * WAD + WAD
    assert stake_of(world, CAROL, ALICE) == 54 * WAD
    tokens = {entry.epoch: entry.tokens for entry in world.read(STAKING, Staking.unbondings, CAROL)}
    assert tokens == {0: 10 * WAD, 1: 9 * WAD}
    assert stake_of(world, CAROL, BOB) == 20 * WAD, "taken when it is settled"
    world.staking(DAVE, Staking.settle, CAROL, BOB)
    assert stake_of(world, CAROL, BOB) == 18 * WAD
    assert world.supply(SPIRIT) == supply - 19 * WAD
    assert world.balance(SPIRIT, STAKING) == sum(world.read(STAKING, Staking.totalStake))
    world.staking(DAVE, Staking.settle, CAROL, BOB)
    assert stake_of(world, CAROL, BOB) == 18 * WAD, "once"


def test_a_validator_that_lost_everything_takes_no_more_stake(world: EconomyWorld) -> None:
    world.slash(ALICE, WAD, 0)
    assert refused(world, CAROL, Staking.delegate, ALICE, WAD) == ("ExchangeRateTooLow", ALICE)
    assert refused(world, ALICE, Staking.undelegate, ALICE, 1) == ("InsufficientStake", 0, 1)
    assert world.read(STAKING, Staking.totalStake) == (100 * WAD, 0)


def test_rewards_are_shared_by_stake_after_commission(world: EconomyWorld) -> None:
    world.staking(CAROL, Staking.delegate, ALICE, 300 * WAD)
    world.staking(DAVE, Staking.distribute, ALICE, value=10 * WAD)
    world.end_block(ALICE)
    mana = 3 * WAD + 1
    assert world.supply(MANA) == 4_000_000 * WAD + mana
    commission = (WAD, mana // 10)
    assert world.read(STAKING, Staking.pendingCommission, ALICE) == commission
    gcc, earned = world.read(STAKING, Staking.pendingRewards, CAROL, ALICE)
    assert (gcc, earned) == (6_750_000_000_000_000_000 - 1, (mana - mana // 10) * 3 // 4)
    before = world.balance(GCC, CAROL)
    assert world.staking(CAROL, Staking.claimRewards, [ALICE, BOB]) == (gcc, earned)
    assert world.balance(GCC, CAROL) == before + gcc
    assert world.balance(MANA, CAROL) == 1_000_000 * WAD + earned
    assert world.staking(CAROL, Staking.claimRewards, [ALICE]) == (0, 0)
    assert world.staking(ALICE, Staking.withdrawCommission) == commission


def test_rewards_before_and_after_a_slash_are_both_right(world: EconomyWorld) -> None:
    world.staking(CAROL, Staking.delegate, ALICE, 100 * WAD)
    world.staking(DAVE, Staking.distribute, ALICE, value=10 * WAD)
    world.slash(ALICE, WAD // 2, 0)
    world.staking(DAVE, Staking.delegate, ALICE, 100 * WAD)
    world.staking(DAVE, Staking.distribute, ALICE, value=10 * WAD)
    gcc = [world.read(STAKING, Staking.pendingRewards, who, ALICE)[0] for who in (CAROL, DAVE)]
    exact = [WAD * 675 // 100, WAD * 450 // 100]
    assert [share - least for share, least in zip(exact, gcc, strict=True)] == [1, 1]


def test_mana_is_minted_for_proposers_with_a_validator_alone(world: EconomyWorld) -> None:
    supply = world.supply(MANA)
    world.end_block(CAROL)
    world.end_block(ZERO_ADDRESS)
    world.staking(SLASHING, Staking.jail, ALICE, 100)
    world.end_block(ALICE)
    assert world.supply(MANA) == supply
    world.staking(BOB, Staking.editValidator, WAD // 10, CAROL)
    world.end_block(CAROL)
    world.end_block(BOB)
    assert world.supply(MANA) == supply + 2 * (3 * WAD + 1)
    assert refused(world, ALICE, Staking.onBlock, 0) == ("OnlySystem", ALICE)
    assert world.read(STAKING, Staking.operatorOfCoinbase, CAROL) == BOB


def test_block_rewards_are_the_proposers_or_the_treasurys(world: EconomyWorld) -> None:
    """By the commission and by shares; what no validator can have is not lost."""
    world.end_block(ALICE, 2 * 10**9)
    assert world.balance(GCC, STAKING) == 2 * WAD
    commission, rest = (
        world.read(STAKING, Staking.pendingCommission, ALICE)[0],
        world.read(STAKING, Staking.pendingRewards, ALICE, ALICE)[0],
    )
    assert commission == 2 * WAD // 10
    assert 0 <= 2 * WAD - commission - rest <= 1
    before = world.balance(GCC, GOVERNANCE)
    world.end_block(ZERO_ADDRESS, 5)
    world.staking(SLASHING, Staking.jail, ALICE, 100)
    world.end_block(ALICE, 7)
    assert world.balance(GCC, GOVERNANCE) == before + 12 * 10**9
    assert world.balance(GCC, STAKING) == 2 * WAD


def test_commission_changes_slowly_and_within_its_bounds(world: EconomyWorld) -> None:
    step, edit = WAD // 100, Staking.editValidator
    assert refused(world, ALICE, edit, WAD // 10 + step, ALICE)[0] == "CommissionChangeTooSoon"
    world.skip(seconds=COMMISSION_PERIOD)
    assert refused(world, ALICE, edit, WAD // 10 + step + 1, ALICE)[0] == "CommissionChangeTooLarge"
    assert refused(world, ALICE, edit, WAD // 2 + 1, ALICE)[0] == "CommissionOutOfBounds"
    world.staking(ALICE, edit, WAD // 10 + step, ALICE)
    assert refused(world, ALICE, edit, WAD // 10, ALICE)[0] == "CommissionChangeTooSoon"
    assert refused(world, CAROL, edit, 0, CAROL) == ("UnknownValidator", CAROL)


def test_a_coinbase_belongs_to_one_validator(world: EconomyWorld) -> None:
    fee, edit = WAD // 10, Staking.editValidator
    for taken in (BOB, ZERO_ADDRESS):
        assert refused(world, ALICE, edit, fee, taken) == ("CoinbaseTaken", taken)
    world.staking(ALICE, edit, fee, CAROL)
    assert refused(world, BOB, edit, fee, CAROL) == ("CoinbaseTaken", CAROL)
    world.create_validator(CAROL)
    assert world.read(STAKING, Staking.operatorOfCoinbase, CAROL) == CAROL, "its own comes first"
    world.staking(ALICE, edit, fee, ALICE)
    assert world.read(STAKING, Staking.operatorOfCoinbase, ALICE) == ALICE


def test_power_counts_from_the_next_epoch(world: EconomyWorld) -> None:
    def powers(epoch: int) -> dict[Address, int]:
        found = world.read(STAKING, Staking.validatorSet, epoch)
        return {one.operator: one.power for one in found}

    assert (powers(0), powers(1)) == ({}, {ALICE: 100, BOB: 100})
    world.skip(epochs=1)
    world.staking(CAROL, Staking.delegate, BOB, 5 * WAD + WAD - 1)
    world.staking(SLASHING, Staking.jail, ALICE, 100)
    assert (powers(1), powers(2)) == ({ALICE: 100, BOB: 100}, {BOB: 105})
    world.skip(epochs=1)
    world.staking(SLASHING, Staking.release, ALICE)
    world.staking(BOB, Staking.undelegate, BOB, 91 * WAD)
    assert powers(2) == {BOB: 105}
    assert powers(3) == {ALICE: 100}, "a stake of its own below the minimum is no power"
    world.staking(SLASHING, Staking.tombstone, ALICE)
    assert powers(3) == {}
    assert refused(world, SLASHING, Staking.release, ALICE) == ("ValidatorTombstoned", ALICE)
    assert refused(world, SLASHING, Staking.release, BOB) == ("ValidatorNotJailed", BOB)
    assert refused(world, CAROL, Staking.delegate, ALICE, 1) == ("ValidatorTombstoned", ALICE)
    with pytest.raises(Reverted) as failure:
        powers(4)
    assert (failure.value.name, *failure.value.values) == ("EpochOutOfRange", 4, 0, 3)


def test_the_strongest_are_active_and_ties_go_by_address() -> None:
    people = [account(f"validator {number}") for number in range(6)]
    world = EconomyWorld(people)
    for number, person in enumerate(people):
        world.create_validator(person, (100 if number < 4 else 200) * WAD)
    world.skip(epochs=1)
    active = [one.operator for one in world.read(STAKING, Staking.activeSet)]
    assert active == sorted(people[4:]) + sorted(people[:4])[:2]
    world.staking(GOVERNANCE, Staking.setParameter, "activeMax", 1)
    assert len(world.read(STAKING, Staking.activeSet)) == 4
    assert len(world.read(STAKING, Staking.validatorSet, 2)) == 1


def test_the_list_is_bounded_and_old_entries_can_be_pruned() -> None:
    people = [account(f"validator {number}") for number in range(7)]
    world = EconomyWorld(people)
    for person in people[:6]:
        world.create_validator(person)
    terms = (key_of(people[6]), proof_of(people[6]), 0, 0, 0, 100 * WAD)
    full = ("TooManyValidators", STAKING_PARAMETERS["listedMax"])
    assert refused(world, people[6], Staking.createValidator, *terms) == full
    assert refused(world, people[6], Staking.pruneValidator, people[1])[0] == "ValidatorInUse"
    world.staking(people[1], Staking.undelegate, people[1], 95 * WAD)
    world.skip(epochs=UNBONDING_EPOCHS + 1)
    busy = ("ValidatorInUse", people[1], UNBONDING_EPOCHS + 2)
    assert refused(world, people[6], Staking.pruneValidator, people[1]) == busy
    world.skip(epochs=1)
    world.staking(people[6], Staking.pruneValidator, people[1])
    world.create_validator(people[6])
    listed, _ = world.read(STAKING, Staking.validators, 0, 10)
    assert {one.operator for one in listed} == set(people) - {people[1]}
    assert refused(world, people[1], Staking.delegate, people[1], 90 * WAD) == full, "no way back"
    world.staking(people[1], Staking.delegate, people[1], WAD)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (Staking.slash, (ALICE, 1, 0)),
        (Staking.jail, (ALICE, 1)),
        (Staking.tombstone, (ALICE,)),
        (Staking.release, (ALICE,)),
    ],
)
def test_punishing_is_for_the_slashing_contract(
    world: EconomyWorld, function: Any, arguments: tuple[Any, ...]
) -> None:
    for sender in (CAROL, GOVERNANCE, SYSTEM):
        assert refused(world, sender, function, *arguments) == ("OnlySlashing", sender)
    assert refused(world, SLASHING, Staking.slash, ALICE, WAD + 1, 0)[0] == "FractionOutOfBounds"


def test_votes_are_what_was_bonded_at_the_end_of_a_past_block(world: EconomyWorld) -> None:
    def votes(number: int, who: Address = CAROL) -> int:
        both = sorted([ALICE, BOB])
        return int(world.read(STAKING, Staking.votesAt, who, both, number))

    world.skip(1)
    world.staking(CAROL, Staking.delegate, ALICE, 10 * WAD)
    world.staking(CAROL, Staking.delegate, BOB, 5 * WAD)
    start = world.block.number
    world.skip(3)
    world.staking(CAROL, Staking.undelegate, ALICE, 4 * WAD)
    world.skip(1)
    world.slash(ALICE, WAD // 2, 0)
    world.skip(1)
    numbers = [start - 1, start, start + 2, start + 3, start + 4]
    assert [votes(number) // WAD for number in numbers] == [0, 15, 15, 11, 8]
    bonded = [int(world.read(STAKING, Staking.bondedAt, number)) // WAD for number in numbers]
    assert bonded == [200, 215, 215, 211, 158]
    for arguments, error in (
        ((CAROL, [], start + 5), "BlockNotPast"),
        ((CAROL, [ALICE, ALICE], start), "NotAscending"),
    ):
        with pytest.raises(Reverted) as failure:
            world.read(STAKING, Staking.votesAt, *arguments)
        assert failure.value.name == error


def test_genesis_validators_hold_their_stake_from_the_first_epoch() -> None:
    initial = [GenesisValidator(who, key_of(who), 50 * WAD) for who in (ALICE, BOB)]
    world = EconomyWorld(PEOPLE, economy_of(PEOPLE, initial))
    assert len(world.read(STAKING, Staking.activeSet)) == 2
    assert world.balance(SPIRIT, STAKING) == 100 * WAD
    assert world.read(STAKING, Staking.totalStake) == (100 * WAD, 0)
    assert world.read(STAKING, Staking.epochBlocks) == EPOCH_BLOCKS
    world.staking(ALICE, Staking.undelegate, ALICE, 50 * WAD)
    world.skip(epochs=UNBONDING_EPOCHS + 1)
    assert world.staking(ALICE, Staking.withdraw) == 50 * WAD


@pytest.mark.parametrize(
    "changes",
    [
        {"consensus_key": bytes(32)},
        {"consensus_key": b"\x01"},
        {"self_bond": WAD},
        {"commission": WAD // 2},
        {"max_commission": 2 * WAD},
    ],
)
def test_genesis_refuses_what_the_contract_would(changes: dict[str, Any]) -> None:
    fields = {"operator": ALICE, "consensus_key": key_of(ALICE), "self_bond": 20_000 * WAD}
    twice = [GenesisValidator(**fields)] * 2
    for initial in ([GenesisValidator(**{**fields, **changes})], twice):
        with pytest.raises(ValueError):
            economy_alloc(0, Economy(validators=initial))
