"""Blocks before they run: decoded, headers held against their parents, senders known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ghostchain.chain.amendments import Amendments
from ghostchain.chain.columns import refuse_overpromised, refuse_undecodable
from ghostchain.chain.config import ChainConfig
from ghostchain.chain.validation import BLOCK_BYTES_MAX, check_block_size, check_next
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_block, encode_block, encode_header
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import InvalidBlock
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32

# RLP beside header, transactions and withdrawals: list heads and the empty ommers.
BLOCK_FRAME_BYTES = 64
WITHDRAWAL_BYTES_MAX = 48

KnownSenders = Callable[[Sequence[Hash32]], Sequence[Address | None]]
"""The senders of transactions with these hashes, where their signatures were verified before."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A header as bytes, and the parent that it may follow."""

    encoded: bytes
    hash: Hash32
    parent_hash: Hash32


@dataclass(frozen=True, slots=True)
class Prepared:
    """A block whose transactions are decoded and their senders known.

    by_hand: what it began with, when it was made by hand and stands in this node's own records;
    its header then need not be what its parent demands. None for all other blocks. checked: what
    is known of its header already.
    """

    block: Block
    batch: TransactionBatch
    by_hand: Amendments | None = None
    checked: Checked | None = None


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Blocks that follow one another, up to the first that does not hold, and why that is so."""

    blocks: list[Prepared]
    failure: InvalidBlock | None


class Preparer:
    """Prepares blocks that follow one another. One thread at a time, any thread."""

    def __init__(
        self,
        config: ChainConfig,
        parent: Header,
        parent_hash: Hash32,
        *,
        senders: KnownSenders | None = None,
    ) -> None:
        """parent: of the first block. senders: those that are known already."""
        self._config = config
        self._senders = senders
        self._parent = parent
        self._parent_hash = parent_hash

    def prepare(self, block: Block | bytes) -> Prepared:
        """One block, as `prepare_run`.

        Raises: InvalidBlock; the next block is then held against the same parent.
        """
        run = self.prepare_run([block])
        if run.failure is not None:
            raise run.failure
        return run.blocks[0]

    def prepare_run(self, blocks: Sequence[Block | bytes]) -> PreparedRun:
        """Decodes blocks, their transactions and their senders; the slowest step of an import of
        transfers. Headers are checked, and that each admits to the gas of so many signatures,
        before one of its signatures is verified: a bad block must not cost more than its bytes.

        What follows is held against the last block that holds. Cost: one native call each for the
        transactions and the signatures of all blocks.
        """
        checked, failure = self._look_at(blocks)
        batch, parts, refused = _decode([block for block, _ in checked])
        if refused is not None:
            failure = refused
            checked = checked[: len(parts)]
            batch, parts, _ = _decode([block for block, _ in checked])
        if len(batch):
            self._recover(batch)
        parts = batch.parts(list(map(len, parts)))
        prepared: list[Prepared] = []
        for (block, known), part in zip(checked, parts, strict=True):
            try:
                refuse_undecodable(part)
            except InvalidBlock as invalid:
                failure = invalid
                break
            prepared.append(Prepared(block, part, checked=known))
            self._parent, self._parent_hash = block.header, known.hash
        return PreparedRun(prepared, failure)

    def _look_at(
        self, blocks: Sequence[Block | bytes]
    ) -> tuple[list[tuple[Block, Checked]], InvalidBlock | None]:
        """The blocks whose headers follow one another, until one does not."""
        parent, parent_hash = self._parent, self._parent_hash
        found: list[tuple[Block, Checked]] = []
        for data in blocks:
            try:
                block = decode_block(data) if isinstance(data, bytes) else data
                size = len(data) if isinstance(data, bytes) else block_size(block)
                check_block_size(self._config, block.header.timestamp, size)
                check_next(self._config, block.header, parent, parent_hash)
            except InvalidBlock as invalid:
                return found, invalid
            encoded = encode_header(block.header)
            known = Checked(encoded, keccak256(encoded), parent_hash)
            found.append((block, known))
            parent, parent_hash = block.header, known.hash
        return found, None

    def _recover(self, batch: TransactionBatch) -> None:
        """Only the senders that nobody knows are recovered, if any is known."""
        known = None if self._senders is None else self._senders(batch.hashes())
        if known is None or not any(known):
            batch.recover()
            return
        unknown = [index for index, sender in enumerate(known) if sender is None]
        rest = batch.select(unknown)
        rest.recover()
        if rest.first_invalid() is not None:
            batch.recover()  # which tells its place in the block
            return
        found = dict(zip(unknown, rest.senders(), strict=True))
        senders = [found[index] if sender is None else sender for index, sender in enumerate(known)]
        batch.recover(senders=senders)


def _decode(
    blocks: Sequence[Block],
) -> tuple[TransactionBatch, list[TransactionBatch], InvalidBlock | None]:
    """The transactions of all blocks and, of each one before the first that is refused, its own;
    why that one is."""
    batch = TransactionBatch.decode([raw for block in blocks for raw in block.transactions])
    parts = batch.parts([len(block.transactions) for block in blocks])
    for index, (block, part) in enumerate(zip(blocks, parts, strict=True)):
        try:
            refuse_undecodable(part)
            refuse_overpromised(block.header, part)
        except InvalidBlock as invalid:
            return batch, parts[:index], invalid
    return batch, parts, None


def block_size(block: Block) -> int:
    """Bytes of the block's RLP, or a few more: heads of transactions are counted as 4 bytes where
    that cannot exceed the limit, else exactly."""
    count = len(block.transactions)
    body = sum(map(len, block.transactions)) + WITHDRAWAL_BYTES_MAX * len(block.withdrawals)
    size = len(encode_header(block.header)) + body + 4 * count + BLOCK_FRAME_BYTES
    if size <= BLOCK_BYTES_MAX:
        return size
    return len(encode_block(block))
