"""Votes that wait unverified count as soon as an own vote makes a quorum of them."""

from __future__ import annotations

from ghostchain.consensus.messages import Vote
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.consensus.votes import NIL_CHOICE, VoteKeeper
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Address, Hash32


def test_an_own_vote_completes_the_quorum_of_those_that_wait() -> None:
    """Others' votes are below a quorum and wait; the own one, of great power, comes last."""
    validators = ValidatorSet(
        Validator(Address(bytes(20)), bytes([index]) * 32, power)
        for index, power in enumerate((3, 1, 9, 2))
    )
    keeper = VoteKeeper(1, validators, 7, lambda items: [True] * len(items))

    def prevote(index: int) -> Vote:
        return Vote(VoteKind.PREVOTE, 1, 0, Hash32(NIL_BLOCK), NO_ROUND, index, bytes([index]) * 64)

    for index in (0, 1, 3):
        keeper.add(prevote(index), b"peer")
    ballot = keeper.rounds[0].ballots[VoteKind.PREVOTE]
    assert ballot.power == 0
    keeper.admit(prevote(2))
    assert ballot.quorum == NIL_CHOICE
    assert ballot.power >= validators.quorum
