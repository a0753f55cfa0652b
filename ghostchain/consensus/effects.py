"""What goes into the core of consensus and what it wants done, as values.

Inputs are logged before they are applied, and applied to the same core in the same order they give
the same effects: that is what a restart relies on. The order of effects is meaning. The driver
makes the log durable before it does the first of them that leaves this process (Sign, Broadcast,
Send, Decide).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ghostchain.consensus.messages import Certificate, Message, MessageReason, Step, Vote
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.primitives.types import Hash32

Peer = bytes
"""Who sent something: its node key, 32 bytes. Empty: this node itself."""

# ---- inputs ----


@dataclass(frozen=True, slots=True)
class StartHeight:
    """The height to decide next and who votes in it; everything below is final. has_work: something
    waits to go into a block already.

    The driver adds the rest. decided_ns: when the height before was decided, None: just now. last:
    the certificate that decided it, with its validators: precommits that come late still join it.
    """

    height: int
    validators: ValidatorSet
    has_work: bool = False
    decided_ns: int | None = None
    last: Certificate | None = None
    last_validators: ValidatorSet | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A peer said something that decodes."""

    message: Message
    peer: Peer


@dataclass(frozen=True, slots=True)
class Built:
    """The answer to Build: the block that this node would propose, durable with the log. block_id
    None: none could be made, with the reason."""

    height: int
    round: int
    block_id: Hash32 | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Validated:
    """The answer to Validate of the same round: the whole block is here, and durable with the log
    if it is valid."""

    height: int
    block_id: Hash32
    is_valid: bool
    reason: str = ""
    round: int | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """The answer to Sign: the vote with its signature. An empty signature: the signer refused, with
    the reason; the validator stays silent there."""

    vote: Vote
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """Something waits to go into a block."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The moment that `deadline_ns` named has come."""


@dataclass(frozen=True, slots=True)
class Resume:
    """What of a height must not be forgotten, at the start of a round, in place of all that led
    there: so that the log of a height that is stuck for days stays short. `Consensus.resume` makes
    it, and it is applied to the same core, too, so that a restart stands where that stands.

    own: what it signed. votes: verified, of others and its own. judged: block, round, is valid.
    """

    height: int
    round: int
    step: Step
    locked: tuple[Hash32, int] | None
    valid: tuple[Hash32, int] | None
    own: tuple[Vote, ...]
    votes: tuple[Vote, ...]
    at_hand: tuple[Hash32, ...]
    judged: tuple[tuple[Hash32, int | None, bool], ...]


Input = StartHeight | Received | Built | Validated | Signed | Work | Tick | Resume

# ---- effects ----


@dataclass(frozen=True, slots=True)
class Build:
    """Make the block that this node proposes; answer with Built. Once for each round."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class Validate:
    """Get the block (its proposer, or whoever voted for it, has it) and judge it; answer with
    Validated once that is possible. peer: who told of it. An answer may never come.

    round: the one in which it is proposed for the first time: what is asked of a new block (its
    time, its round) is asked. None: a quorum vouches for it, or did in an earlier round; only what
    is true of it forever is asked. So a block may be judged twice, with two answers.
    """

    height: int
    round: int | None
    block_id: Hash32
    peer: Peer


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign the vote; answer with Signed. Wanted again, the same, while a round is stuck and there
    was no signature."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Say it to every peer. With an own proposal goes its block."""

    message: Message


@dataclass(frozen=True, slots=True)
class Send:
    """Say it to one peer."""

    peer: Peer
    message: Message


@dataclass(frozen=True, slots=True)
class SendDecided:
    """The peer is behind: send it the commit certificate of that height."""

    peer: Peer
    height: int


@dataclass(frozen=True, slots=True)
class Decide:
    """The block is final. Commit it with its certificate, then answer with StartHeight."""

    height: int
    round: int
    block_id: Hash32
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Extend:
    """More precommits have come for the block that was decided last: the certificate that the next
    block should carry, so that nobody counts as missing who was only late."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Doppelganger:
    """Somebody else votes with the key of this node: the signature holds, and is not its own. To go
    on signing would be a double sign."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Diverged:
    """A quorum committed a block that the application says is invalid: this node's state or code is
    not theirs. It cannot go on, and a person must look."""

    height: int
    block_id: Hash32
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """A validator signed two votes of which an honest one signs one at most. Either they are of the
    same kind, height and round, or `first` is a precommit for a block and `second` a prevote for
    another in a later round whose valid round is before the precommit's (amnesia)."""

    first: Vote
    second: Vote
    key: bytes


@dataclass(frozen=True, slots=True)
class Punish:
    """The peer said what no honest one says."""

    peer: Peer
    reason: MessageReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """For whoever watches: this node is at that step now."""

    height: int
    round: int
    step: Step


class RoundFailure(Enum):
    """Why a round ended without a decision."""

    NO_PROPOSAL = "no proposal came in time"
    BLOCK_MISSING = "the proposed block did not come in time"
    BLOCK_INVALID = "the proposed block is invalid"
    PREVOTES_SPLIT = "prevotes did not agree"
    PRECOMMITS_SPLIT = "precommits did not agree"
    SKIPPED = "others were at a later round already"


@dataclass(frozen=True, slots=True)
class RoundFailed:
    """For whoever watches: the round ended without a decision, and who was not heard."""

    height: int
    round: int
    reason: RoundFailure
    proposer: int
    missing: tuple[int, ...]


Effect = (
    Build
    | Validate
    | Sign
    | Broadcast
    | Send
    | SendDecided
    | Decide
    | Extend
    | Doppelganger
    | Diverged
    | Report
    | Punish
    | Entered
    | RoundFailed
)
