"""What validators sign: the bytes of a consensus message, of the claim to a consensus key, and of
the claim of a node to be a validator's.

Consensus signs these and the slashing contract reads them as evidence, so the format stands here
once. Each begins with 16 bytes that no other signed thing of the chain begins with, and names the
chain, so that a signature means nothing elsewhere. All integers are big-endian.

    vote    "GhostChain vote\\0" | chain id 8 | kind 1 | height 8 | round 4 | block id 32
            | valid round + 1, 4
    claim   "GhostChain key\\0\\0" | chain id 8 | operator 20
    node    "GhostChain node\\0" | chain id 8 | node key 32 | time 8
"""

from __future__ import annotations

from enum import IntEnum

from ghostchain.primitives.types import Address

VOTE_DOMAIN = b"GhostChain vote\0"
CLAIM_DOMAIN = b"GhostChain key\0\0"
NODE_DOMAIN = b"GhostChain node\0"

NIL_BLOCK = bytes(32)
"""The block id of a vote for no block."""

NO_ROUND = -1
"""The valid round of a proposal of a new block, of a prevote for such a one, and of a precommit."""


class VoteKind(IntEnum):
    """The messages of one round of which a validator signs one at most (arXiv 1807.04938)."""

    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3


def vote_bytes(
    chain_id: int,
    kind: int,
    height: int,
    round: int,
    block_id: bytes,
    valid_round: int = NO_ROUND,
) -> bytes:
    """What a validator signs to propose or to vote: 73 bytes.

    valid_round: the earlier round whose prevotes let it propose, or prevote, a block again. It
    makes a validator that forgets its lock provably guilty by two signatures (Accountable
    Tendermint).

    Shapes: chain_id and height under 2**64, round under 2**32, kind under 2**8, block_id 32 bytes,
    valid_round -1 or above, under 2**32 - 1.
    Raises: OverflowError or ValueError when one does not fit.
    """
    if len(block_id) != 32:
        raise ValueError(f"a block id has 32 bytes, not {len(block_id)}")
    return b"".join(
        (
            VOTE_DOMAIN,
            chain_id.to_bytes(8, "big"),
            kind.to_bytes(1, "big"),
            height.to_bytes(8, "big"),
            round.to_bytes(4, "big"),
            block_id,
            (valid_round + 1).to_bytes(4, "big"),
        )
    )


def key_claim_bytes(chain_id: int, operator: Address) -> bytes:
    """What the holder of a consensus key signs to let an operator register it: 44 bytes.

    It proves possession, so nobody registers another's key, to occupy it or to be slashed by it.
    """
    return CLAIM_DOMAIN + chain_id.to_bytes(8, "big") + operator


def node_claim_bytes(chain_id: int, node_key: bytes, time: int) -> bytes:
    """What the holder of a consensus key signs to make a node known as its own: 64 bytes.

    time: Unix milliseconds; of several nodes that claim one key, peers believe the latest.
    Shapes: node_key 32 bytes. Raises: OverflowError or ValueError when one does not fit.
    """
    if len(node_key) != 32:
        raise ValueError(f"a node key has 32 bytes, not {len(node_key)}")
    return NODE_DOMAIN + chain_id.to_bytes(8, "big") + node_key + time.to_bytes(8, "big")
