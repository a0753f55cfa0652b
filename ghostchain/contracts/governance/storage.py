"""What governance remembers, what it tells, and why it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from ghostchain.contracts.addresses import GOVERNANCE_ID
from ghostchain.contracts.framework import (
    Address,
    Array,
    Bytes32,
    Error,
    Event,
    Mapping,
    Record,
    Slot,
    UInt8,
    UInt32,
    UInt64,
    UInt128,
    UInt256,
)
from ghostchain.contracts.governed import WAD, Governed, Parameter

CALLS_MAX = 16
CALL_BYTES_MAX = 4_096
PAGE_MAX = 64


class Choice(IntEnum):
    """A vote. The first three are numbered as in most governors on Ethereum."""

    NO = 0
    YES = 1
    ABSTAIN = 2
    VETO = 3


class State(IntEnum):
    """Where a proposal stands. QUEUED: passed, in the timelock. READY: can be executed."""

    PENDING = 0
    ACTIVE = 1
    QUEUED = 2
    READY = 3
    EXECUTED = 4
    CANCELLED = 5
    DEFEATED = 6
    WITHOUT_QUORUM = 7
    VETOED = 8
    EXPIRED = 9


class GovernanceParameters(Record):
    """Units: wei of SPIRIT; blocks; fractions in units of 1e-18."""

    min_deposit: UInt128
    voting_delay: UInt32
    voting_period: UInt32
    timelock: UInt32
    grace: UInt32
    quorum: UInt64
    threshold: UInt64
    veto_threshold: UInt64


class ProposedCall(Record):
    """A call that a proposal makes."""

    target: Address
    value: UInt256
    data: bytes


class Ballot(Record):
    """A vote that was cast. weight: in wei of SPIRIT; 0: none was."""

    weight: UInt128
    choice: UInt8


class Proposal(Record):
    """A proposal. starts and ends: the first and last block of voting. ready and expires: the
    first and last block in which it can be executed. deposit: what is still held. The rules are
    those of when it was made."""

    proposer: Address
    starts: UInt64
    is_executed: bool
    is_cancelled: bool
    ends: UInt64
    ready: UInt64
    expires: UInt64
    quorum: UInt64
    threshold: UInt64
    veto_threshold: UInt64
    deposit: UInt128
    description: Bytes32
    no: UInt128
    yes: UInt128
    abstain: UInt128
    veto: UInt128
    calls: Array[ProposedCall]
    ballots: Mapping[Address, Ballot]


@dataclass(frozen=True, slots=True)
class CallView:
    """A call that a proposal makes. value: GCC, in wei."""

    target: Address
    value: UInt256
    data: bytes


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal. state: as `State`. bonded: what all could have voted with, known from starts on.
    Units: block numbers; wei of SPIRIT."""

    id: UInt256
    proposer: Address
    state: UInt8
    starts: UInt64
    ends: UInt64
    ready: UInt64
    expires: UInt64
    deposit: UInt256
    description: Bytes32
    no: UInt256
    yes: UInt256
    abstain: UInt256
    veto: UInt256
    bonded: UInt256
    calls: list[CallView]


class GovernanceStorage(Governed):
    """The declarations; `contract.Governance` adds the functions."""

    ID = GOVERNANCE_ID
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "minDeposit": Parameter("min_deposit", 1_000 * WAD, 1, 1_000_000 * WAD),
        "votingDelay": Parameter("voting_delay", 1_800, 1, 1_000_000),
        "votingPeriod": Parameter("voting_period", 86_400, 1, 2_000_000),
        "timelock": Parameter("timelock", 43_200, 1, 2_000_000),
        "grace": Parameter("grace", 302_400, 1, 4_000_000),
        "quorum": Parameter("quorum", WAD * 334 // 1_000, WAD // 100, WAD * 9 // 10),
        "threshold": Parameter("threshold", WAD // 2, WAD // 2, WAD * 9 // 10),
        "vetoThreshold": Parameter("veto_threshold", WAD * 334 // 1_000, WAD // 10, WAD // 2),
    }

    limits = Slot[GovernanceParameters](0)
    count = Slot[UInt256](3)
    deposits = Slot[UInt256](4)
    records = Mapping[UInt256, Proposal](5)

    Proposed = Event(
        "Proposed(uint256 indexed id, address indexed proposer, uint64 starts, uint64 ends,"
        " bytes32 description)"
    )
    Voted = Event("Voted(uint256 indexed id, address indexed voter, uint8 choice, uint256 weight)")
    Executed = Event("Executed(uint256 indexed id)")
    Cancelled = Event("Cancelled(uint256 indexed id)")
    DepositReturned = Event(
        "DepositReturned(uint256 indexed id, address indexed to, uint256 amount)"
    )
    DepositBurnt = Event("DepositBurnt(uint256 indexed id, uint256 amount)")

    UnknownProposal = Error("UnknownProposal(uint256 id)")
    CallCount = Error("CallCount(uint256 count, uint256 high)")
    CallLengths = Error("CallLengths(uint256 targets, uint256 values, uint256 datas)")
    CallTooLarge = Error("CallTooLarge(uint256 index, uint256 high)")
    WrongState = Error("WrongState(uint256 id, uint8 state)")
    UnknownChoice = Error("UnknownChoice(uint8 choice)")
    AlreadyVoted = Error("AlreadyVoted(uint256 id, address voter)")
    NoVotes = Error("NoVotes(address voter)")
    OnlyProposer = Error("OnlyProposer(address sender)")
    NothingHeld = Error("NothingHeld(uint256 id)")
    CallFailed = Error("CallFailed(uint256 index, bytes reason)")
    NoCode = Error("NoCode(uint256 index, address target)")
    DepositsSpent = Error("DepositsSpent(uint256 held, uint256 needed)")

    def parameter_record(self) -> Any:
        return self.limits

    def known(self, id: int) -> Proposal:
        """Raises: UnknownProposal."""
        if not 1 <= id <= self.count:
            raise self.UnknownProposal(id)
        return self.records[id]
