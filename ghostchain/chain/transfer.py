"""Chain files: the RLP of blocks one after the other, as geth exports them, gzipped for `.gz`."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from ghostchain.chain.chain import Chain
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import BLOCK_SIZE_MAX, block_end, decode_header, encode_block
from ghostchain.primitives.errors import (
    BlockReason,
    EncodingReason,
    InvalidBlock,
    InvalidEncoding,
    StorageFailed,
)
from ghostchain.storage.files import storage_failure

READ_BYTES = 1 << 20
GZIP_LEVEL = 1

Progress = Callable[[int, int], None]
"""Told after each block: how many are done, and the number of the latest."""


def _ignore_progress(done: int, number: int) -> None:
    return


def read_blocks(path: Path) -> Iterator[bytes]:
    """The blocks of a chain file, undecoded. Memory is bounded by the largest block.

    Raises: InvalidBlock RLP_STRUCTURES_ENCODING where the file is no sequence of blocks; OSError.
    """
    with _open(path, "rb") as file:
        buffered, offset = b"", 0
        while True:
            end = _complete_end(buffered, offset, path)
            if end is not None:
                yield buffered[offset:end]
                offset = end
                continue
            if len(buffered) - offset > BLOCK_SIZE_MAX:
                raise InvalidBlock(
                    BlockReason.RLP_STRUCTURES_ENCODING, f"{path}: a block is too large"
                )
            try:
                more = file.read(READ_BYTES)
            except (EOFError, gzip.BadGzipFile) as error:
                raise InvalidBlock(
                    BlockReason.RLP_STRUCTURES_ENCODING, f"{path}: {error}"
                ) from error
            if not more:
                break
            buffered, offset = buffered[offset:] + more, 0
        if offset < len(buffered):
            raise InvalidBlock(
                BlockReason.RLP_STRUCTURES_ENCODING, f"{path} ends in the middle of a block"
            )


def _complete_end(data: bytes, offset: int, path: Path) -> int | None:
    """Where the block at offset ends; None while it is not all there."""
    try:
        return block_end(data, offset)
    except InvalidEncoding as failure:
        if failure.reason == EncodingReason.TRUNCATED:
            return None
        raise InvalidBlock(
            BlockReason.RLP_STRUCTURES_ENCODING, f"{path} is not a sequence of blocks: {failure}"
        ) from failure


def import_file(chain: Chain, path: Path, progress: Progress = _ignore_progress) -> int:
    """The blocks of the file that the chain does not have follow its head. Returns how many.

    Raises: InvalidBlock at the first that cannot follow; those before it stay.
    """
    start = chain.head.number
    for sealed in chain.import_blocks(_unknown(chain, read_blocks(path))):
        number = sealed.block.header.number
        progress(number - start, number)
    return chain.head.number - start


def _unknown(chain: Chain, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Leaves out the blocks that the chain has.

    Raises: InvalidBlock NOT_THE_NEXT_HEIGHT for another block at a decided height.
    """
    start = chain.head.number
    for data in blocks:
        encoded = _header_bytes(data)
        number = decode_header(encoded).number
        if number > start:
            yield data
        elif chain.hash_of(number) != keccak256(encoded):
            raise InvalidBlock(
                BlockReason.NOT_THE_NEXT_HEIGHT,
                f"block {number} of the file is not the one of this chain",
            )


def beginning_of(path: Path) -> int | None:
    """The time of the genesis that the file begins with; None where it begins later. Raises: as
    `read_blocks`."""
    for data in read_blocks(path):
        header = decode_header(_header_bytes(data))
        return header.timestamp if header.number == 0 else None
    return None


def _header_bytes(data: bytes) -> bytes:
    """The header of an encoded block, whose other parts are not looked at."""
    try:
        _, start, end = rlp.span(data)
        _, _, header_end = rlp.span(data, start, end)
    except InvalidEncoding as failure:
        raise InvalidBlock(BlockReason.RLP_STRUCTURES_ENCODING, str(failure)) from failure
    return data[start:header_end]


def export_file(
    chain: Chain,
    path: Path,
    first: int = 0,
    last: int | None = None,
    progress: Progress = _ignore_progress,
) -> int:
    """Writes blocks first..last (default: the head). Returns how many.

    The file appears under its name only when it is complete.
    Raises: StorageFailed, also for blocks that a chain which began from a snapshot does not have,
    and at the first block of a development chain that was made by hand: a chain file holds what
    anybody can check, so it has no place for changed accounts, unsigned transactions, or fees and
    times that do not follow.
    """
    if first <= chain.begin and chain.begin > 0:
        raise StorageFailed(
            f"blocks 1 to {chain.begin} are not here, since this chain began from a snapshot; "
            f"it can be exported from block {chain.begin + 1} on"
        )
    last = chain.head.number if last is None else min(last, chain.head.number)
    scratch = path.with_name(path.name + ".part")
    done = 0
    try:
        with _open(scratch, "wb", compressed=path.suffix == ".gz") as file:
            for number in range(first, last + 1):
                block = chain.block(number)
                assert block is not None, "every number up to the head has a block"
                if chain.is_by_hand(number):
                    raise _by_hand(scratch, number)
                file.write(encode_block(block))
                done += 1
                progress(done, number)
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise storage_failure(error, path) from error
    return done


def _by_hand(scratch: Path, number: int) -> StorageFailed:
    scratch.unlink(missing_ok=True)
    return StorageFailed(
        f"block {number} was made by hand (changed accounts, unsigned transactions, or a header "
        "that does not follow its parent's), which no other node would take; export up to block "
        f"{number - 1}, or copy the data directory"
    )


def _open(path: Path, mode: str, *, compressed: bool | None = None) -> IO[bytes]:
    if compressed if compressed is not None else path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, mode, compresslevel=GZIP_LEVEL))
    return cast(IO[bytes], path.open(mode))
