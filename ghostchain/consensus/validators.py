"""Who may vote at a height, with what power, and whose turn it is to propose.

A set is given by the staking contract in its order; a validator is named by its index in it.
Quorums are of power, never of heads: Q = ⌊2N/3⌋ + 1 of the total N decides, F1 = ⌊N/3⌋ + 1 has an
honest member (arXiv 1807.04938).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.types import Address, Hash32

VALIDATORS_MAX = 200
"""Validators in a set at most: what bitmaps, certificates and messages are bounded by."""

GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio, made odd: the step of the rotation of proposers."""


@dataclass(frozen=True, slots=True)
class Validator:
    """One that may vote. key: Ed25519 public key, 32 bytes. power: whole SPIRIT, positive."""

    operator: Address
    key: bytes
    power: int


class ValidatorSet:
    """The validators of a height, at least one and at most VALIDATORS_MAX, no key twice.

    Raises: ValueError when they cannot be a set.
    """

    def __init__(self, validators: Iterable[Validator]) -> None:
        self.validators = tuple(validators)
        if not 1 <= len(self.validators) <= VALIDATORS_MAX:
            raise ValueError(f"{len(self.validators)} validators, not 1 to {VALIDATORS_MAX}")
        if any(validator.power <= 0 for validator in self.validators):
            raise ValueError("a validator without power")
        self._indices = {validator.key: index for index, validator in enumerate(self.validators)}
        if len(self._indices) != len(self.validators):
            raise ValueError("two validators with one key")
        self.total = sum(validator.power for validator in self.validators)
        self.quorum = 2 * self.total // 3 + 1
        self.honest_part = self.total // 3 + 1

    def __len__(self) -> int:
        return len(self.validators)

    def __getitem__(self, index: int) -> Validator:
        return self.validators[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValidatorSet) and self.validators == other.validators

    def __hash__(self) -> int:
        return hash(self.validators)

    def index_of(self, key: bytes) -> int | None:
        """Where the key stands, None when it is not of the set."""
        return self._indices.get(key)

    def power_of(self, indices: Iterable[int]) -> int:
        """The sum of the powers of distinct indices."""
        return sum(self.validators[index].power for index in set(indices))

    def proposer(self, height: int, round: int) -> int:
        """The index of who proposes: each as often as its power says, and evenly spread.

        Steps of the golden ratio on a circle that the powers divide (a Weyl sequence): without a
        state, so that whoever knows the set knows the proposer, and with the least spread that a
        sequence can have, so that nobody waits much longer than its share (three-gap theorem).
        Cost: linear in the set.
        """
        point = ((height + round) * GOLDEN % 2**64) * self.total >> 64
        for index, validator in enumerate(self.validators):
            point -= validator.power
            if point < 0:
                return index
        raise AssertionError("the point lies on the circle")

    @cached_property
    def hash(self) -> Hash32:
        """keccak256 of operator 20 | key 32 | power 8, of each: what a header commits to."""
        return keccak256(
            b"".join(
                validator.operator + validator.key + validator.power.to_bytes(8, "big")
                for validator in self.validators
            )
        )
