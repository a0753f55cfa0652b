"""What the staking contract says of validators, read out of a state without running anything.

Who votes at height `h`, from 1 on, is the set of epoch `(h - 1) // epochBlocks`: what a block
changes acts at the second block after it at the earliest, so that whoever has block `h - 2` knows
the set of `h`. When nobody is left in an epoch's set, the last that had anybody goes on: a chain
without validators could never get any.

Sets are final when they can be read, and kept by epoch. Cost: two or three slots for each validator
on the list, once an epoch (100 validators: about 10 ms); a few slots for the other questions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from ghostchain.chain.chain import Chain
from ghostchain.contracts.addresses import STAKING
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.staking.validators import set_of
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.contracts import ContractBlock, ContractHost, ContractMessage
from ghostchain.execution.executor import StateView
from ghostchain.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address

SETS_KEPT = 64


@dataclass(frozen=True, slots=True)
class ValidatorRecord:
    """One that may vote. key: Ed25519. power: whole SPIRIT."""

    operator: Address
    key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class Liability:
    """For what infractions a validator can be punished in the next block: those at heights from low
    to high; of none when it is out for good."""

    operator: Address
    is_tombstoned: bool
    low: int
    high: int


class _ReadingHost:
    """A host that only reads storage, and charges nothing."""

    def __init__(self, number: int, load: Callable[[int], int]) -> None:
        self.block = ContractBlock(number, 0, 0, 0, ZERO_ADDRESS, 0, ZERO_HASH)
        self.message = ContractMessage(STAKING, ZERO_ADDRESS, 0, b"", True, ZERO_ADDRESS)
        self.load = load

    def charge(self, gas: int) -> None:
        """Nobody pays for a look."""

    def hash(self, data: bytes, gas: int) -> int:
        return int.from_bytes(keccak256(data), "big")


def staking_at(view: StateView, number: int) -> Staking:
    """The contract as it stands after block `number`, to be read only."""
    hashed = keccak256(STAKING)

    def load(key: int) -> int:
        word = key.to_bytes(32, "big")
        value = view.slot(STAKING, hashed, word, keccak256(word))
        return int.from_bytes(value, "big") if value else 0

    return Staking(cast(ContractHost, _ReadingHost(number, load)))


class ValidatorReader:
    """Answers for one chain, to any thread."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._lock = threading.Lock()
        self._sets: dict[int, tuple[ValidatorRecord, ...]] = {}
        self.epoch_blocks = self._staking().limits.epoch_blocks

    def at(self, height: int) -> tuple[ValidatorRecord, ...] | None:
        """Who votes at that height, in the contract's order. None when it is not known yet (it is
        of every height up to the second after the head), not known any more, or nobody ever was."""
        if not 1 <= height <= self._last_known():
            return None
        epoch = (height - 1) // self.epoch_blocks
        with self._lock:
            found = self._sets.get(epoch)
            if found is None:
                found = self._read(epoch)
                if not found:
                    return None
                while len(self._sets) >= SETS_KEPT:
                    del self._sets[next(iter(self._sets))]
                self._sets[epoch] = found
        return found

    def _last_known(self) -> int:
        """Every height whose epoch's set is final with the head."""
        number = self._chain.head.number
        return ((number + 1) // self.epoch_blocks + 1) * self.epoch_blocks

    def _read(self, epoch: int) -> tuple[ValidatorRecord, ...]:
        staking = self._staking()
        low = max(0, staking.epoch() - staking.limits.unbonding_epochs)
        for each in range(epoch, low - 1, -1):
            members = set_of(staking, each)
            if members:
                return tuple(
                    ValidatorRecord(one.operator, bytes(one.consensusKey), one.power)
                    for one in members
                )
        return ()

    def coinbase(self, operator: Address) -> Address:
        """Where a validator's fees go in the next block."""
        return self._staking().records[operator].coinbase

    def reward_per_second(self) -> int:
        """Wei of GCC in the next block."""
        return self._staking().limits.reward_per_second

    def liability(self, key: bytes) -> Liability | None:
        """Of the validator with that consensus key; None when there is none."""
        staking = self._staking()
        operator = staking.key_operators[key]
        if operator == ZERO_ADDRESS:
            return None
        record = staking.records[operator]
        now = self._chain.head.number + 1
        epoch = now // self.epoch_blocks
        oldest = max(0, epoch - staking.limits.unbonding_epochs) * self.epoch_blocks + 1
        return Liability(operator, record.is_tombstoned, max(record.created, oldest), now)

    def _staking(self) -> Staking:
        number = self._chain.head.number
        return staking_at(self._chain.state_at(number), number)
