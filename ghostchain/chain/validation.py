"""Whether a header may follow its parent, and whether a block is what its header says.

Spec: Yellow Paper 4.3.4; EIP-1559, EIP-3675, EIP-4399, EIP-4788, EIP-4844, EIP-7685, EIP-7934.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ghostchain.chain import fees
from ghostchain.chain.config import ChainConfig
from ghostchain.execution.forks import Fork
from ghostchain.primitives.errors import BlockReason, InvalidBlock
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import EMPTY_OMMERS_HASH

EXTRA_DATA_BYTES_MAX = 32
# EIP-7934: 10 MiB less 2 MiB of margin for the beacon block around it.
BLOCK_BYTES_MAX = (10 << 20) - (2 << 20)
NO_NONCE = bytes(8)


class Executed(Protocol):
    """What the execution of a block yielded."""

    @property
    def gas_used(self) -> int: ...
    @property
    def blob_gas_used(self) -> int: ...
    @property
    def bloom(self) -> bytes: ...
    @property
    def receipts_root(self) -> bytes: ...
    @property
    def transactions_root(self) -> bytes: ...
    @property
    def withdrawals_root(self) -> bytes: ...
    @property
    def requests_hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ChildFees:
    """What a parent demands of its child's fee fields. Units: wei per gas, blob gas."""

    base_fee: int
    excess_blob_gas: int


def child_fees(config: ChainConfig, parent: Header, timestamp: int) -> ChildFees:
    """The fee fields of a child of parent at that time."""
    return ChildFees(
        base_fee=fees.next_base_fee(
            gas_limit=parent.gas_limit,
            gas_used=parent.gas_used,
            base_fee=parent.base_fee_per_gas,
        ),
        excess_blob_gas=fees.next_excess_blob_gas(
            excess_blob_gas=parent.excess_blob_gas,
            blob_gas_used=parent.blob_gas_used,
            base_fee=parent.base_fee_per_gas,
            schedule=config.blob_schedule_at(timestamp),
            has_reserve_price=config.fork_at(timestamp) >= Fork.OSAKA,
        ),
    )


def check_next(config: ChainConfig, header: Header, parent: Header, parent_hash: bytes) -> None:
    """The header may follow parent, the head. Raises: as `check_header`; NOT_THE_NEXT_HEIGHT for
    another block at a height that is decided."""
    if header.number <= parent.number and header.parent_hash != parent_hash:
        raise InvalidBlock(
            BlockReason.NOT_THE_NEXT_HEIGHT,
            f"height {header.number} is decided; the head is {parent.number}",
        )
    check_header(config, header, parent, parent_hash)


def check_header(config: ChainConfig, header: Header, parent: Header, parent_hash: bytes) -> None:
    """The header may follow parent.

    Raises: InvalidBlock with the reason.
    """
    _check_link(header, parent, parent_hash)
    if header.timestamp < parent.timestamp + config.timestamp_step_min:
        raise InvalidBlock(
            BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT,
            f"timestamp {header.timestamp} after {parent.timestamp}",
        )
    _check_form(config, header)
    if not fees.is_gas_limit_allowed(parent.gas_limit, header.gas_limit):
        raise InvalidBlock(
            BlockReason.INVALID_GASLIMIT,
            f"gas limit {header.gas_limit} after {parent.gas_limit}",
        )
    _check_gas_used(header)
    wanted = child_fees(config, parent, header.timestamp)
    if header.base_fee_per_gas != wanted.base_fee:
        raise InvalidBlock(
            BlockReason.INVALID_BASEFEE_PER_GAS,
            f"base fee {header.base_fee_per_gas}, the parent demands {wanted.base_fee}",
        )
    if header.excess_blob_gas != wanted.excess_blob_gas:
        raise InvalidBlock(
            BlockReason.INCORRECT_EXCESS_BLOB_GAS,
            f"excess blob gas {header.excess_blob_gas}, not {wanted.excess_blob_gas}",
        )


def check_place(config: ChainConfig, header: Header, parent: Header, parent_hash: bytes) -> None:
    """The header is the next after parent and has the form of one, whatever its time, gas limit and
    fees. Raises: InvalidBlock with the reason."""
    _check_link(header, parent, parent_hash)
    _check_form(config, header)
    _check_gas_used(header)


def _check_link(header: Header, parent: Header, parent_hash: bytes) -> None:
    if header.parent_hash != parent_hash:
        raise InvalidBlock(
            BlockReason.UNKNOWN_PARENT,
            f"the parent 0x{header.parent_hash.hex()} is not the head 0x{parent_hash.hex()}",
        )
    if header.number != parent.number + 1:
        raise InvalidBlock(
            BlockReason.INVALID_BLOCK_NUMBER,
            f"number {header.number} after {parent.number}",
        )


def _check_gas_used(header: Header) -> None:
    if header.gas_used > header.gas_limit:
        raise InvalidBlock(
            BlockReason.GAS_USED_OVERFLOW,
            f"gas used {header.gas_used} above the limit {header.gas_limit}",
        )


def _check_form(config: ChainConfig, header: Header) -> None:
    """What a header must look like, whatever its parent."""
    if header.difficulty != 0:
        raise InvalidBlock(BlockReason.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS)
    if header.ommers_hash != EMPTY_OMMERS_HASH:
        raise InvalidBlock(BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS)
    if header.nonce != NO_NONCE:
        raise InvalidBlock(BlockReason.INCORRECT_BLOCK_FORMAT, "the nonce is not zero")
    if len(header.extra_data) > EXTRA_DATA_BYTES_MAX:
        raise InvalidBlock(
            BlockReason.EXTRA_DATA_TOO_BIG, f"extra data of {len(header.extra_data)} bytes"
        )
    fork = config.fork_at(header.timestamp)
    if (header.requests_hash is not None) != (fork >= Fork.PRAGUE):
        state = "absent" if header.requests_hash is None else "present"
        raise InvalidBlock(
            BlockReason.INCORRECT_BLOCK_FORMAT, f"requests hash {state} at {fork.name}"
        )
    if header.blob_gas_used % fees.GAS_PER_BLOB:
        raise InvalidBlock(
            BlockReason.INCORRECT_BLOB_GAS_USED,
            f"blob gas used {header.blob_gas_used} is no multiple of {fees.GAS_PER_BLOB}",
        )


def check_block_size(config: ChainConfig, timestamp: int, size: int) -> None:
    """Raises: InvalidBlock RLP_BLOCK_LIMIT_EXCEEDED (EIP-7934, from Osaka on)."""
    if config.fork_at(timestamp) >= Fork.OSAKA and size > BLOCK_BYTES_MAX:
        raise InvalidBlock(
            BlockReason.RLP_BLOCK_LIMIT_EXCEEDED,
            f"a block of {size} bytes, at most {BLOCK_BYTES_MAX} are allowed",
        )


def check_outcome(config: ChainConfig, header: Header, executed: Executed) -> None:
    """The header says what execution yielded (but for the state root).

    The bound on blob gas stands here, after execution, because a transaction that carries too
    many blobs is the better reason.

    Raises: InvalidBlock with the reason.
    """
    limit = config.blob_schedule_at(header.timestamp).max * fees.GAS_PER_BLOB
    if header.blob_gas_used > limit:
        raise InvalidBlock(
            BlockReason.BLOB_GAS_USED_ABOVE_LIMIT,
            f"blob gas used {header.blob_gas_used} above the limit {limit}",
        )
    pairs: tuple[tuple[BlockReason, object, object], ...] = (
        (
            BlockReason.INVALID_TRANSACTIONS_ROOT,
            header.transactions_root,
            executed.transactions_root,
        ),
        (BlockReason.INVALID_WITHDRAWALS_ROOT, header.withdrawals_root, executed.withdrawals_root),
        (BlockReason.INCORRECT_BLOB_GAS_USED, header.blob_gas_used, executed.blob_gas_used),
        (BlockReason.INVALID_GAS_USED, header.gas_used, executed.gas_used),
        (BlockReason.INVALID_LOG_BLOOM, header.bloom, executed.bloom),
        (BlockReason.INVALID_RECEIPTS_ROOT, header.receipts_root, executed.receipts_root),
    )
    for reason, said, found in pairs:
        if said != found:
            raise InvalidBlock(reason, f"{reason.value}: {_shown(said)}, not {_shown(found)}")
    if header.requests_hash is not None and header.requests_hash != executed.requests_hash:
        raise InvalidBlock(BlockReason.INVALID_REQUESTS)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value[:32].hex() + ("..." if len(value) > 32 else "")
    return str(value)
