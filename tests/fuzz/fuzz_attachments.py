"""Any bytes as what travels beside a block, as evidence, or as the parts of a block: what decodes
encodes to the same bytes, the rest is refused with a reason; evidence that was not signed by the
key convicts nobody.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ghostchain.consensus.messages import Vote, decode_message
from ghostchain.crypto import ed25519
from ghostchain.crypto.ed25519 import public_key_of, verify_batch
from ghostchain.encoding.attachments import (
    Attachment,
    Evidence,
    decode_attachment,
    decode_evidence,
    encode_attachment,
    encode_evidence,
)
from ghostchain.encoding.blocks import decode_withdrawals, encode_withdrawals
from ghostchain.encoding.votes import NO_ROUND, VoteKind
from ghostchain.node.evidence import evidence_of, infraction_height
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding
from ghostchain.primitives.types import Address, Hash32

CHAIN_ID = 7
SEED = bytes(range(32))
KEY = public_key_of(SEED)


def signed(kind: VoteKind, round: int, block: int, valid_round: int = NO_ROUND) -> Vote:
    vote = Vote(kind, 9, round, Hash32(bytes([block]) * 32), valid_round, 1)
    return replace(vote, signature=ed25519.sign(SEED, vote.sign_bytes(CHAIN_ID)))


SAID = [
    signed(VoteKind.PREVOTE, 0, 1),
    signed(VoteKind.PREVOTE, 0, 2),
    signed(VoteKind.PRECOMMIT, 0, 1),
    signed(VoteKind.PREVOTE, 3, 2, 1),
    signed(VoteKind.PREVOTE, 3, 2),
]
# Two prevotes of a round; a lock that was forgotten. Not a lock that a polka let go (3).
GUILTY = [[SAID[0], SAID[1]], [SAID[1], SAID[0]], [SAID[3], SAID[4]], [SAID[4], SAID[3]]]
GUILTY += [[SAID[2], SAID[4]]]
PIECES = [evidence_of(KEY, SAID[0], SAID[1]), evidence_of(KEY, SAID[2], SAID[4])]
PAID = (Withdrawal(1, 0, Address(b"\x05" * 20), 2**64 - 1), Withdrawal(2, 7, Address(bytes(20)), 0))

# The first byte of an input says what the rest is.
ATTACHMENT, EVIDENCE, WITHDRAWALS = 0, 1, 2
SEEDS = [
    bytes((ATTACHMENT,)) + encode_attachment(Attachment(b"", (), bytes(80))),
    bytes((ATTACHMENT,)) + encode_attachment(Attachment(bytes(300), tuple(PIECES), bytes(80))),
    *(bytes((EVIDENCE,)) + encode_evidence(piece) for piece in PIECES),
    bytes((EVIDENCE,)) + encode_evidence(evidence_of(KEY, SAID[2], SAID[3])),
    bytes((EVIDENCE,)) + encode_evidence(evidence_of(KEY, SAID[3], SAID[4])),
    bytes((EVIDENCE,)) + encode_evidence(Evidence(KEY, bytes(115), bytes(115))),
    bytes((WITHDRAWALS,)) + encode_withdrawals(PAID),
    bytes((WITHDRAWALS,)) + encode_withdrawals(()),
]


def check(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    try:
        if kind == bytes((ATTACHMENT,)):
            assert encode_attachment(decode_attachment(rest)) == rest
        elif kind == bytes((EVIDENCE,)):
            found = decode_evidence(rest)
            assert encode_evidence(found) == rest
            check_guilt(found)
        else:
            assert encode_withdrawals(decode_withdrawals(rest)) == rest
    except (InvalidEncoding, InvalidBlock):
        return


def check_guilt(found: Evidence) -> None:
    """Whom it convicts has said both, and no honest validator says both."""
    height = infraction_height(found, CHAIN_ID, verify_batch)
    if height is None:
        return
    assert (height, found.key) == (9, KEY)
    votes = [decode_message(vote) for vote in (found.first, found.second)]
    # The index that a vote names is not signed, so it may be any.
    said = {vote.sign_bytes(CHAIN_ID): vote for vote in SAID}
    pair = [said[vote.sign_bytes(CHAIN_ID)] for vote in votes if isinstance(vote, Vote)]
    assert pair in GUILTY


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
