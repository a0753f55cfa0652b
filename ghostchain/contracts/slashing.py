"""Slashing: evidence of double signing, and validators that are not there.

Two votes of one validator for one height, round and kind that differ are proof that it signed
twice; a precommit for a block and a later prevote for another, whose valid round is before that
precommit's, are proof that it forgot its lock. Anybody may submit them, and the protocol does
(`onDoubleSign`). The validator loses `doubleSignFraction` of the stake that backed it since the
epoch whose validators voted at that height, and never validates again. Evidence is taken for as
long as stake that left is held, `unbondingEpochs` of staking, and once for a validator.

The protocol reports who is missing from each commit. Of the last `downtimeWindow` blocks a
validator may miss `downtimeMissedMax`; with the next it loses `downtimeFraction`, is jailed for
`jailBlocks`, and then has to ask to be released. The window is a ring of bits that is cleared
lazily: a block that a validator signed costs nothing, a miss one step for each 256 blocks since the
last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ghostchain.contracts.addresses import SLASHING_ID, STAKING, SYSTEM
from ghostchain.contracts.framework import (
    Address,
    Bytes32,
    Error,
    Event,
    Mapping,
    Record,
    Slot,
    UInt8,
    UInt32,
    UInt64,
    UInt256,
    external,
    view,
)
from ghostchain.contracts.governed import WAD, Governed, Parameter
from ghostchain.contracts.staking import Staking
from ghostchain.crypto import ed25519
from ghostchain.encoding.votes import NIL_BLOCK, VoteKind, vote_bytes
from ghostchain.primitives.types import ZERO_ADDRESS

SIGNATURE_GAS = 4_000
"""Of verifying an Ed25519 signature, as where a transaction carries one."""


class SlashingParameters(Record):
    """Fractions in units of 1e-18; the others are counts of blocks."""

    double_sign_fraction: UInt64
    downtime_fraction: UInt64
    jail_blocks: UInt64
    downtime_window: UInt32
    downtime_missed_max: UInt32


class Liveness(Record):
    """Which of the last blocks a validator missed: a ring of `window` bits, by height.

    last: the height of the last miss. ring: the number of the current ring of bits; a new one is
    empty, so forgetting costs nothing.
    """

    last: UInt64
    missed: UInt32
    window: UInt32
    ring: UInt32
    bits: Mapping[UInt256, UInt256]


class Slashing(Governed):
    """See the module."""

    ID = SLASHING_ID
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "doubleSignFraction": Parameter("double_sign_fraction", WAD // 20, WAD // 100, WAD),
        "downtimeFraction": Parameter("downtime_fraction", WAD // 1_000, 0, WAD // 10),
        "jailBlocks": Parameter("jail_blocks", 300, 1, 10_000_000),
        "downtimeWindow": Parameter("downtime_window", 1_000, 1, 8_192),
        "downtimeMissedMax": Parameter("downtime_missed_max", 500, 0, 8_192),
    }

    limits = Slot[SlashingParameters](0)
    records = Mapping[Address, Liveness](1)

    DoubleSigned = Event(
        "DoubleSigned(address indexed validator, address indexed reporter, uint64 height,"
        " uint32 round, uint8 kind, uint256 burnt)"
    )
    WentMissing = Event("WentMissing(address indexed validator, uint64 height, uint256 burnt)")

    OnlySystem = Error("OnlySystem(address sender)")
    UnknownVoteKind = Error("UnknownVoteKind(uint8 kind)")
    SameVote = Error("SameVote(bytes32 blockId)")
    NoAmnesia = Error("NoAmnesia(uint32 lockRound, uint32 voteRound)")
    InvalidSignature = Error("InvalidSignature(uint8 index)")
    UnknownKey = Error("UnknownKey(bytes32 consensusKey)")
    AlreadyTombstoned = Error("AlreadyTombstoned(address validator)")
    HeightOutOfRange = Error("HeightOutOfRange(uint64 height, uint64 low, uint64 high)")
    NotJailed = Error("NotJailed(address validator)")
    JailedUntil = Error("JailedUntil(uint64 number)")

    def parameter_record(self) -> Any:
        return self.limits

    # -- double signing --

    @external
    def submitEvidence(
        self,
        consensusKey: Bytes32,
        kind: UInt8,
        height: UInt64,
        round: UInt32,
        firstBlock: Bytes32,
        firstValid: UInt32,
        firstSignature: bytes,
        secondBlock: Bytes32,
        secondValid: UInt32,
        secondSignature: bytes,
    ) -> UInt256:
        """The validator signed two votes where it may sign one: the SPIRIT that was burnt at once.

        kind: as `VoteKind`. firstValid, secondValid: the valid round plus one, 0 for none. The
        signatures are of `vote_bytes` with this chain's id.
        Raises: UnknownVoteKind, SameVote, InvalidSignature (0 or 1), UnknownKey,
        AlreadyTombstoned, HeightOutOfRange.
        """
        if kind not in VoteKind.__members__.values():
            raise self.UnknownVoteKind(kind)
        if (firstBlock, firstValid) == (secondBlock, secondValid):
            raise self.SameVote(firstBlock)
        first = (kind, height, round, firstBlock, firstValid)
        second = (kind, height, round, secondBlock, secondValid)
        self._check_signature(0, consensusKey, first, firstSignature)
        self._check_signature(1, consensusKey, second, secondSignature)
        return self._punish_key(consensusKey, height, round, kind)

    @external
    def submitAmnesia(
        self,
        consensusKey: Bytes32,
        height: UInt64,
        lockRound: UInt32,
        lockBlock: Bytes32,
        lockSignature: bytes,
        voteRound: UInt32,
        voteBlock: Bytes32,
        voteValid: UInt32,
        voteSignature: bytes,
    ) -> UInt256:
        """The validator precommitted a block in lockRound, and in a later round prevoted another
        that no prevotes of lockRound or later allowed: the SPIRIT that was burnt at once.

        voteValid: the valid round of the prevote plus one, 0 for none.
        Raises: NoAmnesia; as `submitEvidence`.
        """
        is_amnesia = (
            lockBlock != NIL_BLOCK
            and voteBlock not in (NIL_BLOCK, lockBlock)
            and voteRound > lockRound
            and voteValid <= lockRound
        )
        if not is_amnesia:
            raise self.NoAmnesia(lockRound, voteRound)
        precommit = (int(VoteKind.PRECOMMIT), height, lockRound, lockBlock, 0)
        prevote = (int(VoteKind.PREVOTE), height, voteRound, voteBlock, voteValid)
        self._check_signature(0, consensusKey, precommit, lockSignature)
        self._check_signature(1, consensusKey, prevote, voteSignature)
        return self._punish_key(consensusKey, height, voteRound, VoteKind.PREVOTE)

    @external
    def onDoubleSign(self, operator: Address, height: UInt64) -> None:
        """The protocol has evidence against the validator, whose signatures all who voted for this
        block have checked. Only the system address. Raises: AlreadyTombstoned, HeightOutOfRange;
        UnknownValidator of staking."""
        if self.msg.sender != SYSTEM:
            raise self.OnlySystem(self.msg.sender)
        self._punish(operator, height, 0, 0)

    def _check_signature(
        self, index: int, key: bytes, vote: tuple[int, int, int, bytes, int], signature: bytes
    ) -> None:
        """vote: kind, height, round, block id, valid round plus one."""
        self.charge(SIGNATURE_GAS)
        kind, height, round, block_id, valid = vote
        chain_id = self.block.chain_id
        message = vote_bytes(chain_id, kind, height, round, block_id, valid - 1)
        if not ed25519.verify(key, message, signature):
            raise self.InvalidSignature(index)

    def _punish_key(self, key: bytes, height: int, round: int, kind: int) -> int:
        operator = self.at(Staking, STAKING).operatorOfKey(key)
        if operator == ZERO_ADDRESS:
            raise self.UnknownKey(key)
        return self._punish(operator, height, round, kind)

    def _punish(self, operator: Address, height: int, round: int, kind: int) -> int:
        """The validator is slashed and never validates again: the SPIRIT that was burnt at once."""
        epoch = self._epoch_of(operator, height)
        staking = self.at(Staking, STAKING)
        burnt = int(staking.slash(operator, self.limits.double_sign_fraction, epoch))
        staking.tombstone(operator)
        self.emit(self.DoubleSigned, operator, self.msg.sender, height, round, kind, burnt)
        return burnt

    def _epoch_of(self, operator: Address, height: int) -> int:
        """The epoch whose validators voted at the height of an infraction that can be punished now:
        what a block changes acts two blocks later, so they are those of the block before."""
        liability = self.at(Staking, STAKING).liability(operator)
        if liability.isTombstoned:
            raise self.AlreadyTombstoned(operator)
        now, length = self.block.number, liability.epochBlocks
        oldest = max(0, now // length - liability.unbondingEpochs) * length + 1
        low = max(liability.created, oldest)
        if not low <= height <= now:
            raise self.HeightOutOfRange(height, low, now)
        return (height - 1) // length

    # -- downtime --

    @external
    def onMissed(self, operators: list[Address]) -> None:
        """These validators are missing from the commit of the parent block. Only the system
        address; a validator counts once for a block."""
        if self.msg.sender != SYSTEM:
            raise self.OnlySystem(self.msg.sender)
        height = self.block.number - 1
        for operator in operators:
            record = self.records[operator]
            if self._count_miss(record, height) > self.limits.downtime_missed_max:
                self._forget(record)
                self._punish_downtime(operator, height)

    def _count_miss(self, record: Liveness, height: int) -> int:
        """The ring has this miss and none that is too old: how many it has."""
        window, last = self.limits.downtime_window, record.last
        if height <= last:
            return record.missed
        if record.window != window or height - last >= window:
            self._forget(record)
            record.window = window
        missed, ring = record.missed, record.ring << 32
        if missed:
            for word, mask in _ring_words(last + 1, height, window):
                self.charge(100)
                bits = record.bits[ring | word]
                if bits & mask:
                    missed -= (bits & mask).bit_count()
                    record.bits[ring | word] = bits & ~mask
        place = height % window
        record.bits[ring | place // 256] |= 1 << place % 256
        record.missed, record.last = missed + 1, height
        return missed + 1

    def _forget(self, record: Liveness) -> None:
        record.missed = 0
        record.ring += 1

    def _punish_downtime(self, operator: Address, height: int) -> None:
        """Who is in jail already, and only leaves the set with the epoch, is spared."""
        staking = self.at(Staking, STAKING)
        liability = staking.liability(operator)
        if liability.isTombstoned or liability.jailedUntil:
            return
        epoch = self.block.number // liability.epochBlocks
        burnt = staking.slash(operator, self.limits.downtime_fraction, epoch)
        staking.jail(operator, self.block.number + self.limits.jail_blocks)
        self.emit(self.WentMissing, operator, height, burnt)

    @external
    def unjail(self) -> None:
        """The sender's validator is out of jail, and counts from the next epoch on if its stake
        suffices. Raises: NotJailed, JailedUntil, AlreadyTombstoned; UnknownValidator of staking."""
        operator = self.msg.sender
        staking = self.at(Staking, STAKING)
        liability = staking.liability(operator)
        if liability.isTombstoned:
            raise self.AlreadyTombstoned(operator)
        if liability.jailedUntil == 0:
            raise self.NotJailed(operator)
        if self.block.number < liability.jailedUntil:
            raise self.JailedUntil(liability.jailedUntil)
        self._forget(self.records[operator])
        staking.release(operator)

    @view(returns=("missed", "window", "last"))
    def liveness(self, operator: Address) -> tuple[UInt32, UInt32, UInt64]:
        """Blocks missed of the window before the last miss, the window, and that miss's height."""
        record = self.records[operator]
        return record.missed, record.window, record.last


def _ring_words(first: int, last: int, window: int) -> Iterator[tuple[int, int]]:
    """The words of a ring of bits, and which of their bits belong to the heights first to last;
    there are fewer of these than window."""
    start, count = first % window, last - first + 1
    for begin, end in ((start, min(start + count, window)), (0, start + count - window)):
        place = begin
        while place < end:
            stop = min(end, place - place % 256 + 256)
            yield place // 256, ((1 << (stop - place)) - 1) << place % 256
            place = stop
