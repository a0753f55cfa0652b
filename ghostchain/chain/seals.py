"""What consensus makes a block say: the fields of a header, and the withdrawals, of a chain that
many validators decide about. Pure functions of bytes and records; who signed what is for others.

    parentBeaconBlockRoot  keccak256("GhostChain seal\\0" | keccak256(certificate of the parent)
                           | hash of the validators of the next height)
    prevRandao             keccak256(the parent's prevRandao | VRF output 64)
    VRF input              "GhostChain rand\\0" | chain id 8 | height 8 | the parent's prevRandao
    extraData              1 | round 4, in which the block was proposed first
    coinbase               that of the validator whose turn it is in that round
    timestamp              the parent's or later; 15 s before to 2 s after it is first judged
    withdrawals            1. the reward, if there is any: 0, STAKING, gwei
                           2. for each validator that the certificate lacks, in the set's order:
                              0, operator, 0
                           3. for each piece of evidence: height of the infraction, operator, 0

The index of the i-th withdrawal of block h is h * 2**16 + i. What the executor does with them
stands in `native/executor/block.c`. All integers are big-endian.
"""

from __future__ import annotations

from collections.abc import Iterable

from ghostchain.contracts.addresses import STAKING
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import BlockReason, InvalidBlock
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32

SEAL_DOMAIN = b"GhostChain seal\0"
RANDOM_DOMAIN = b"GhostChain rand\0"
EXTRA_VERSION = b"\x01"

CLOCK_AHEAD_S_MAX = 2
"""How far before its timestamp a block may be proposed."""

CLOCK_BEHIND_S_MAX = 15
"""How long after its timestamp a block may be proposed."""

REWARDED_S_MAX = 60
"""A block is rewarded for so many seconds at most, however long the chain stood."""

INDEX_SHIFT = 16
_GWEI = 10**9


def seal_root(certificate: bytes, next_validators: bytes) -> Hash32:
    """What a block says of its parent's commit, and of who votes after it. certificate: empty for
    the first block. next_validators: the hash of the set."""
    return keccak256(SEAL_DOMAIN + keccak256(certificate) + next_validators)


def random_input(chain_id: int, height: int, parent_randao: bytes) -> bytes:
    """What the proposer of a height puts into the VRF."""
    numbers = chain_id.to_bytes(8, "big") + height.to_bytes(8, "big")
    return RANDOM_DOMAIN + numbers + parent_randao


def mixed(parent_randao: bytes, output: bytes) -> Hash32:
    """The next `prevRandao`. output: of the VRF."""
    return keccak256(parent_randao + output)


def extra_data_of(round: int) -> bytes:
    return EXTRA_VERSION + round.to_bytes(4, "big")


def round_of(header: Header) -> int:
    """The round in which the block was proposed first. Raises: InvalidBlock INVALID_ROUND."""
    data = header.extra_data
    if len(data) != 5 or data[:1] != EXTRA_VERSION:
        raise InvalidBlock(BlockReason.INVALID_ROUND, f"extra data 0x{data.hex()}")
    return int.from_bytes(data[1:], "big")


def reward_gwei(reward_per_second: int, timestamp: int, parent_timestamp: int) -> int:
    """reward_per_second: wei."""
    seconds = min(timestamp - parent_timestamp, REWARDED_S_MAX)
    return reward_per_second * seconds // _GWEI


def orders(
    number: int,
    reward: int,
    missing: Iterable[Address],
    guilty: Iterable[tuple[int, Address]],
) -> tuple[Withdrawal, ...]:
    """The withdrawals of block `number`. reward: gwei. missing: operators whose validators the
    parent's certificate lacks. guilty: height of the infraction and operator."""
    told = [(0, STAKING, reward)] if reward else []
    told += [(0, operator, 0) for operator in missing]
    told += [(height, operator, 0) for height, operator in guilty]
    first = number << INDEX_SHIFT
    return tuple(Withdrawal(first + place, *order) for place, order in enumerate(told))


def check_time(header: Header, parent: Header) -> None:
    """The timestamp is not before the parent's. Raises: InvalidBlock."""
    if header.timestamp < parent.timestamp:
        raise InvalidBlock(
            BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT,
            f"timestamp {header.timestamp} after {parent.timestamp}",
        )


def check_proposed_now(header: Header, round: int, now_s: float) -> None:
    """The block may be proposed for the first time in that round and at that time.

    Raises: InvalidBlock INVALID_ROUND, INVALID_PROPOSAL_TIME.
    """
    if round_of(header) != round:
        raise InvalidBlock(
            BlockReason.INVALID_ROUND, f"round {round_of(header)}, proposed in {round}"
        )
    if not now_s - CLOCK_BEHIND_S_MAX <= header.timestamp <= now_s + CLOCK_AHEAD_S_MAX:
        raise InvalidBlock(
            BlockReason.INVALID_PROPOSAL_TIME, f"timestamp {header.timestamp} at {now_s:.3f}"
        )
