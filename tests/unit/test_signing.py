"""The consensus key in the node's own process."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ghostchain.consensus.messages import Vote
from ghostchain.consensus.ports import Signer
from ghostchain.crypto import ed25519, vrf
from ghostchain.encoding.votes import NO_ROUND, VoteKind, key_claim_bytes, node_claim_bytes
from ghostchain.node.signing.local import LocalSigner
from ghostchain.primitives.errors import StorageFailed
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.disk import RealFile

SEED = bytes(range(32))
CHAIN = 31337


def vote(
    height: int, round: int, block: int, kind: VoteKind = VoteKind.PREVOTE, valid: int = NO_ROUND
) -> Vote:
    return Vote(kind, height, round, Hash32(bytes([block]) * 32), valid, 3)


def answer(signer: Signer, request: Vote) -> tuple[bytes, str]:
    answers: list[tuple[bytes, str]] = []
    signer.sign(request, lambda signature, reason: answers.append((signature, reason)))
    assert len(answers) == 1
    return answers[0]


def test_signatures_hold_and_are_repeated(tmp_path: Path) -> None:
    signer = LocalSigner.open(SEED, chain_id=CHAIN, directory=tmp_path)
    request = vote(5, 1, 9)
    signature, reason = answer(signer, request)
    assert reason == ""
    assert ed25519.verify(signer.public_key, request.sign_bytes(CHAIN), signature)
    signer.close()
    signer = LocalSigner.open(SEED, chain_id=CHAIN, directory=tmp_path)
    assert answer(signer, request) == (signature, "")
    assert answer(signer, vote(5, 1, 8)) == (
        b"",
        "something else has been signed there: another prevote of height 5, round 1",
    )
    assert answer(signer, vote(5, 0, 9))[1].startswith("something later has been signed")


def test_proofs_and_claims_are_the_keys(tmp_path: Path) -> None:
    signer = LocalSigner.open(SEED, chain_id=CHAIN, directory=tmp_path)
    assert vrf.verify(signer.public_key, b"alpha", signer.prove(b"alpha")) is not None
    operator = Address(b"\x11" * 20)
    claim = signer.claim(operator)
    assert ed25519.verify(signer.public_key, key_claim_bytes(CHAIN, operator), claim)
    introduction = signer.introduce(b"\x12" * 32, 5)
    said = node_claim_bytes(CHAIN, b"\x12" * 32, 5)
    assert ed25519.verify(signer.public_key, said, introduction)


def test_a_failed_write_is_raised_and_no_signature_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = LocalSigner.open(SEED, chain_id=CHAIN, directory=tmp_path)
    answers: list[tuple[bytes, str]] = []

    def refuse(file: RealFile) -> None:
        raise OSError(errno.EIO, "it is broken")

    with monkeypatch.context() as patch:
        patch.setattr(RealFile, "sync", refuse)
        with pytest.raises(StorageFailed, match="it is broken"):
            signer.sign(vote(5, 1, 9), lambda *given: answers.append(given))
    with pytest.raises(StorageFailed, match="restart to recover"):
        signer.sign(vote(6, 1, 9), lambda *given: answers.append(given))
    assert answers == []
