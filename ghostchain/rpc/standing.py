"""How a node stands among others, as records: what `ghost_status` and its sisters show.

The node fills them; JSON-RPC only renders. Powers are whole SPIRIT, times are Unix seconds unless
a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.types import Address, Hash32


@dataclass(frozen=True, slots=True)
class PeerStanding:
    """One peer. address: host and port as seen from here. head: what it last said. validator: the
    operator whose key it has shown to hold, or None."""

    key: bytes
    address: str
    is_inbound: bool
    version: str = ""
    head: int = 0
    score: int = 0
    validator: Address | None = None
    connected_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Voter:
    """A validator of a height, and what this node knows that it said in the round shown: None:
    nothing yet; 32 zero bytes: nil."""

    index: int
    operator: Address
    key: bytes
    power: int
    prevote: Hash32 | None = None
    precommit: Hash32 | None = None


@dataclass(frozen=True, slots=True)
class FailedRound:
    """A round that ended without a decision. missing: indices that were not heard."""

    height: int
    round: int
    reason: str
    proposer: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConsensusStanding:
    """Where this node is in deciding. proposal: the block proposed in this round, or None.
    since_s: how long it is in this step. failed: the latest failed rounds, newest first."""

    height: int
    round: int
    step: str
    since_s: float
    proposer: int
    proposal: Hash32 | None
    total: int
    quorum: int
    voters: tuple[Voter, ...]
    failed: tuple[FailedRound, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidatorStanding:
    """This node as a validator. index: in the set of the height being decided, None: not in it.
    silent: why it does not sign, empty when it does."""

    key: bytes
    operator: Address | None
    index: int | None
    silent: str


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """What a node says of itself. node_key: empty without a network. p2p: where it listens. waits:
    transactions in the pool. seals: `consensus`, or `solo` for a chain that one node seals."""

    node_key: bytes
    p2p: str
    peers_in: int
    peers_out: int
    seals: str
    started: int
    validator: ValidatorStanding | None
    waits: int


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """The precommits that made a block final. signers: indices in the set of its height."""

    height: int
    round: int
    block_hash: Hash32
    size: int
    signers: tuple[int, ...]
    signatures: tuple[bytes, ...]
    raw: bytes
