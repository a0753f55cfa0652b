"""A log written anew keeps every vote that its quorums are made of."""

from __future__ import annotations

from ghostchain.consensus.messages import Vote
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.consensus.votes import VoteKeeper
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Address, Hash32

NIL, BLOCK = Hash32(NIL_BLOCK), Hash32(b"\x66" * 32)


def test_a_second_vote_that_completes_a_polka_is_kept() -> None:
    """Of one that voted for nil and for the block: whoever locked on that polka must be able to
    show it ever after, or nobody else ever prevotes the block again."""
    validators = ValidatorSet(
        Validator(Address(bytes(20)), bytes([index]) * 32, power)
        for index, power in enumerate((6, 7, 3, 9))
    )

    def keeper() -> VoteKeeper:
        return VoteKeeper(1, validators, 7, lambda items: [True] * len(items))

    def prevote(index: int, block_id: Hash32) -> Vote:
        signature = bytes([index]) * 64
        return Vote(VoteKind.PREVOTE, 1, 0, block_id, NO_ROUND, index, signature)

    before = keeper()
    for vote in (prevote(0, NIL), prevote(2, BLOCK), prevote(3, BLOCK), prevote(0, BLOCK)):
        before.admit(vote)
    polka = before.certificate(VoteKind.PREVOTE, 0)
    assert polka is not None
    assert before.polka(0, BLOCK)
    after = keeper()
    for vote in before.proven(0):
        after.admit(vote)
    assert after.certificate(VoteKind.PREVOTE, 0) == polka
    assert after.round_votes(0) == before.round_votes(0)
