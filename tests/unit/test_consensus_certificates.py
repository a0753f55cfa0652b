"""Certificates as sync and the chain judge them; with real signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ghostchain.consensus.certificates import (
    SignatureItem,
    certificate_of,
    check_commit,
    check_round,
    check_shape,
)
from ghostchain.consensus.messages import (
    Certificate,
    InvalidMessage,
    MessageReason,
    RoundCertificate,
    Vote,
    decode_message,
    encode_message,
)
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.crypto import ed25519
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Address, Hash32

CHAIN_ID = 44678
SEEDS = [bytes([index + 1]) * 32 for index in range(4)]
BLOCK = Hash32(b"\x42" * 32)
POWERS = (3, 1, 1, 1)
VALIDATORS = ValidatorSet(
    Validator(Address(bytes(19) + bytes([index])), ed25519.public_key_of(seed), power)
    for index, (seed, power) in enumerate(zip(SEEDS, POWERS, strict=True))
)


def verify(items: Sequence[SignatureItem]) -> list[bool]:
    return [ed25519.verify(*item) for item in items]


def vote(index: int, block_id: Hash32 = BLOCK, height: int = 7, chain_id: int = CHAIN_ID) -> Vote:
    unsigned = Vote(VoteKind.PRECOMMIT, height, 2, block_id, NO_ROUND, index)
    return replace(unsigned, signature=ed25519.sign(SEEDS[index], unsigned.sign_bytes(chain_id)))


def certificate(*indices: int) -> Certificate:
    return certificate_of(map(vote, indices), len(VALIDATORS))


def check(subject: Certificate, height: int = 7, block_id: Hash32 = BLOCK) -> None:
    check_commit(
        subject, VALIDATORS, chain_id=CHAIN_ID, height=height, block_id=block_id, verify=verify
    )


@pytest.mark.parametrize("indices", [(0, 1, 2), (2, 0, 1), (0, 3, 1), (0, 1, 2, 3)])
def test_a_quorum_of_power_commits(indices: tuple[int, ...]) -> None:
    """Five of six, in whatever order the votes came; and again from its bytes."""
    subject = certificate(*indices)
    check(subject)
    decoded = decode_message(encode_message(subject))
    assert decoded == subject
    assert isinstance(decoded, Certificate)
    check(decoded)


def refusal(subject: Certificate, height: int = 7, block_id: Hash32 = BLOCK) -> MessageReason:
    with pytest.raises(InvalidMessage) as refused:
        check(subject, height, block_id)
    return refused.value.reason


@pytest.mark.parametrize("indices", [(0,), (0, 1), (1, 2, 3)])
def test_less_than_a_quorum_of_power_does_not(indices: tuple[int, ...]) -> None:
    """Four of six are two thirds and no more; three heads of four are half of the power."""
    assert refusal(certificate(*indices)) == MessageReason.BELOW_QUORUM


def test_any_bad_signature_refuses_it_although_a_quorum_is_good() -> None:
    subject = certificate(0, 1, 2, 3)
    for bad in range(4):
        signatures = [*subject.signatures]
        signatures[bad] = bytes(64)
        broken = replace(subject, signatures=tuple(signatures))
        assert refusal(broken) == MessageReason.INVALID_SIGNATURE


def test_one_validator_counts_once() -> None:
    subject = certificate(0, 1)
    doubled = replace(
        subject, signers=(0, 0, 1), signatures=(subject.signatures[0], *subject.signatures)
    )
    assert refusal(doubled) == MessageReason.DUPLICATE_SIGNER


def test_signatures_of_another_chain_do_not_count() -> None:
    votes = [vote(index, chain_id=1) for index in range(3)]
    assert refusal(certificate_of(votes, 4)) == MessageReason.INVALID_SIGNATURE


def test_it_is_of_that_block_and_height_and_not_nil() -> None:
    subject = certificate(0, 1, 2)
    assert refusal(subject, height=8) == MessageReason.CONTRADICTORY
    assert refusal(subject, block_id=Hash32(b"\1" * 32)) == MessageReason.CONTRADICTORY
    assert refusal(replace(subject, kind=VoteKind.PREVOTE)) == MessageReason.CONTRADICTORY
    assert refusal(replace(subject, kind=VoteKind.PROPOSAL)) == MessageReason.CONTRADICTORY
    nil = certificate_of([vote(index, Hash32(NIL_BLOCK)) for index in range(3)], 4)
    assert refusal(nil, block_id=Hash32(NIL_BLOCK)) == MessageReason.CONTRADICTORY


def test_what_costs_little_is_judged_before_signatures() -> None:
    def never(items: Sequence[SignatureItem]) -> list[bool]:
        raise AssertionError("verified")

    for subject in (certificate(0, 1), replace(certificate(0, 1, 2), size=9)):
        with pytest.raises(InvalidMessage):
            check_commit(
                subject, VALIDATORS, chain_id=CHAIN_ID, height=7, block_id=BLOCK, verify=never
            )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signers": (0, 1, 4)}, MessageReason.UNKNOWN_VALIDATOR),
        ({"signers": (0, 1, -1)}, MessageReason.UNKNOWN_VALIDATOR),
        ({"signers": (1, 0, 2)}, MessageReason.DUPLICATE_SIGNER),
        ({"signers": (0, 1)}, MessageReason.CONTRADICTORY),
        ({"size": 3}, MessageReason.CONTRADICTORY),
    ],
)
def test_a_shape_that_cannot_be(change: dict[str, object], reason: MessageReason) -> None:
    with pytest.raises(InvalidMessage) as refused:
        check_shape(replace(certificate(0, 1, 2), **change), VALIDATORS)  # type: ignore[arg-type]
    assert refused.value.reason == reason


def test_a_round_certificate_names_the_proposer_only() -> None:
    proposer = VALIDATORS.proposer(7, 2)
    votes = []
    for index in (proposer, (proposer + 1) % 4):
        unsigned = Vote(VoteKind.PROPOSAL, 7, 2, BLOCK, NO_ROUND, index, bytes(64))
        votes.append(unsigned)
    with pytest.raises(InvalidMessage) as refused:
        check_round(RoundCertificate(7, 2, tuple(votes)), VALIDATORS)
    assert refused.value.reason == MessageReason.NOT_THE_PROPOSER


def test_a_round_certificate_counts_power_once_for_a_validator() -> None:
    """A prevote and a precommit of one are one third at most."""
    votes = (
        replace(vote(1), kind=VoteKind.PREVOTE),
        vote(1),
    )
    with pytest.raises(InvalidMessage) as refused:
        check_round(RoundCertificate(7, 2, votes), VALIDATORS)
    assert refused.value.reason == MessageReason.BELOW_QUORUM
