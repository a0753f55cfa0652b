"""Certificates: made of votes, and judged against the validators of their height.

A certificate with one bad signature is a bad certificate, also where the others would do: whoever
passes it on could have known. Everything that costs little is judged before any signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from ghostchain.consensus.messages import (
    Certificate,
    InvalidMessage,
    MessageReason,
    RoundCertificate,
    Vote,
)
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.encoding.votes import NIL_BLOCK, VoteKind
from ghostchain.primitives.types import Hash32

SignatureItem = tuple[bytes, bytes, bytes]
"""Public key 32, message, signature 64."""

Verify = Callable[[Sequence[SignatureItem]], list[bool]]
"""Which of the signatures hold. Pure: the same items give the same answer on every machine."""


def certificate_of(votes: Iterable[Vote], size: int) -> Certificate:
    """The certificate that these votes make. Shapes: at least one, all for the same, by distinct
    validators of a set of that size."""
    ordered = sorted(votes, key=lambda vote: vote.validator)
    first = ordered[0]
    assert len({vote.validator for vote in ordered}) == len(ordered)
    return Certificate(
        first.kind,
        first.height,
        first.round,
        first.block_id,
        first.valid_round,
        size,
        tuple(vote.validator for vote in ordered),
        tuple(vote.signature for vote in ordered),
    )


def check_shape(certificate: Certificate, validators: ValidatorSet) -> None:
    """The certificate could be of these validators, and has a quorum's power.

    Raises: InvalidMessage (CONTRADICTORY, UNKNOWN_VALIDATOR, DUPLICATE_SIGNER, BELOW_QUORUM).
    """
    signers = certificate.signers
    if certificate.kind not in (VoteKind.PREVOTE, VoteKind.PRECOMMIT):
        raise InvalidMessage(MessageReason.CONTRADICTORY, f"of kind {int(certificate.kind)}")
    if certificate.size != len(validators) or len(signers) != len(certificate.signatures):
        raise InvalidMessage(
            MessageReason.CONTRADICTORY, f"of {certificate.size} validators, not {len(validators)}"
        )
    if any(not 0 <= signer < len(validators) for signer in signers):
        raise InvalidMessage(MessageReason.UNKNOWN_VALIDATOR, str(max(signers)))
    if any(later <= earlier for earlier, later in pairwise(signers)):
        raise InvalidMessage(MessageReason.DUPLICATE_SIGNER)
    power = validators.power_of(signers)
    if power < validators.quorum:
        raise InvalidMessage(
            MessageReason.BELOW_QUORUM, f"{power} of {validators.quorum} in {validators.total}"
        )


def check_commit(
    certificate: Certificate,
    validators: ValidatorSet,
    *,
    chain_id: int,
    height: int,
    block_id: Hash32,
    verify: Verify,
) -> None:
    """The certificate commits that block at that height, by these validators.

    Raises: InvalidMessage (CONTRADICTORY, UNKNOWN_VALIDATOR, DUPLICATE_SIGNER, BELOW_QUORUM,
    INVALID_SIGNATURE).
    Cost: one batch of as many signatures as signers.
    """
    about = (certificate.kind, certificate.height, certificate.block_id)
    if about != (VoteKind.PRECOMMIT, height, block_id) or block_id == NIL_BLOCK:
        raise InvalidMessage(MessageReason.CONTRADICTORY, "not the commit of that block")
    check_shape(certificate, validators)
    check_signatures(certificate.votes(), validators, chain_id=chain_id, verify=verify)


def check_round(certificate: RoundCertificate, validators: ValidatorSet) -> None:
    """The votes are of these validators, no two of one kind by one, and have the power that R9 or
    R7 asks for: F1 of any votes, or a quorum of precommits.

    Raises: InvalidMessage (CONTRADICTORY, UNKNOWN_VALIDATOR, NOT_THE_PROPOSER, DUPLICATE_SIGNER,
    BELOW_QUORUM).
    """
    seen = set()
    for vote in certificate.votes:
        if (vote.height, vote.round) != (certificate.height, certificate.round):
            raise InvalidMessage(MessageReason.CONTRADICTORY, "a vote of another round")
        check_voter(vote, validators)
        if (vote.kind, vote.validator) in seen:
            raise InvalidMessage(MessageReason.DUPLICATE_SIGNER, str(vote.validator))
        seen.add((vote.kind, vote.validator))
    power = validators.power_of(vote.validator for vote in certificate.votes)
    if power < validators.honest_part:
        raise InvalidMessage(
            MessageReason.BELOW_QUORUM, f"{power} of {validators.honest_part} to enter a round"
        )


def check_voter(vote: Vote, validators: ValidatorSet) -> None:
    """Somebody of the set could have said it.

    Raises: InvalidMessage (UNKNOWN_VALIDATOR, NOT_THE_PROPOSER).
    """
    if not 0 <= vote.validator < len(validators):
        raise InvalidMessage(
            MessageReason.UNKNOWN_VALIDATOR, f"{vote.validator} of {len(validators)}"
        )
    if vote.kind == VoteKind.PROPOSAL:
        proposer = validators.proposer(vote.height, vote.round)
        if vote.validator != proposer:
            raise InvalidMessage(
                MessageReason.NOT_THE_PROPOSER, f"{vote.validator}, not {proposer}"
            )


def check_signatures(
    votes: Sequence[Vote], validators: ValidatorSet, *, chain_id: int, verify: Verify
) -> None:
    """Every vote is signed by its validator. Raises: InvalidMessage (INVALID_SIGNATURE)."""
    items = [
        (validators[vote.validator].key, vote.sign_bytes(chain_id), vote.signature)
        for vote in votes
    ]
    for vote, is_valid in zip(votes, verify(items), strict=True):
        if not is_valid:
            raise InvalidMessage(
                MessageReason.INVALID_SIGNATURE,
                f"{vote.kind.name.lower()} of validator {vote.validator}",
            )
