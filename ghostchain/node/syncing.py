"""The doors of sync, on a real chain: what proves a block, what imports it, what is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ghostchain.chain.chain import Chain
from ghostchain.chain.seals import seal_root
from ghostchain.chain.snapshot import SnapshotDownload
from ghostchain.consensus.certificates import SignatureItem, Verify, check_shape
from ghostchain.consensus.messages import Certificate, InvalidMessage, decode_message
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.encoding.attachments import ATTACHMENT_BYTES_MAX, decode_attachment
from ghostchain.encoding.blocks import decode_block, encode_block, encode_header, encode_withdrawal
from ghostchain.encoding.manifests import Manifest
from ghostchain.encoding.votes import VoteKind
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding
from ghostchain.primitives.types import Hash32
from ghostchain.sync.messages import Item, SyncBlock
from ghostchain.sync.ports import ImportFailed, InstallFailed
from ghostchain.trie.merkle import ordered_root

T = TypeVar("T")

Sets = Callable[[int], ValidatorSet | None]
"""The validators of a height; None while the head does not tell them."""

THREADS = 4
"""One that imports, one that verifies, two that read for others."""


class SyncPort:
    """A `SyncChain`. sets: of which validators a certificate must be; verify: their signatures, as
    many as there are at once."""

    def __init__(self, chain: Chain, sets: Sets, verify: Verify) -> None:
        self._chain = chain
        self._sets = sets
        self._verify = verify

    @property
    def head(self) -> tuple[int, Hash32]:
        header, block_hash = self._chain.head, self._chain.head_hash
        while self._chain.head is not header:
            header, block_hash = self._chain.head, self._chain.head_hash
        return header.number, block_hash

    def verify(self, blocks: Sequence[SyncBlock]) -> list[bool | None]:
        """Cost: one batch of all the signatures, and the transactions hashed into a root."""
        sets = {
            height: self._sets(height)
            for block in blocks
            for height in (block.height, block.height + 1)
        }
        chain_id = self._chain.config.chain_id
        verdicts: list[bool | None] = []
        items: list[SignatureItem] = []
        counts: list[int] = []
        for block in blocks:
            validators, following = sets[block.height], sets[block.height + 1]
            if validators is None or following is None:
                verdicts.append(None)
                counts.append(0)
                continue
            certificate = _certificate_of(block, validators)
            verdicts.append(certificate is not None and _is_whole(block, following))
            if certificate is None:
                counts.append(0)
                continue
            votes = certificate.votes()
            message = votes[0].sign_bytes(chain_id)
            items += [(validators[vote.validator].key, message, vote.signature) for vote in votes]
            counts.append(len(votes))
        answers = self._verify(items) if items else []
        start = 0
        for index, count in enumerate(counts):
            if not all(answers[start : start + count]):
                verdicts[index] = False
            start += count
        return verdicts

    def import_blocks(self, blocks: Iterator[SyncBlock]) -> Iterator[tuple[int, Hash32, int]]:
        triples = ((block.block, block.certificate, block.attachment) for block in blocks)
        try:
            for sealed in self._chain.import_certified(triples):
                block = sealed.block
                yield block.header.number, sealed.hash, len(block.transactions)
        except InvalidBlock as failure:
            raise ImportFailed(str(failure)) from failure

    def range(self) -> tuple[int, int]:
        return self._chain.begin + 1, self._chain.head.number

    def header(self, height: int) -> bytes | None:
        header = self._chain.header(height)
        return None if header is None else encode_header(header)

    def read(self, height: int) -> Item | None:
        block = self._chain.block(height) if height > 0 else None
        certificate = self._chain.certificate(height)
        attachment = self._chain.attachment(height)
        if block is None or certificate is None or attachment is None:
            return None
        return encode_block(block), certificate, attachment


def _certificate_of(block: SyncBlock, validators: ValidatorSet) -> Certificate | None:
    """The commit certificate of this very block with a quorum of these validators, its signatures
    not verified; None when it is something else, or what stands beside the block is too large."""
    if len(block.attachment) > ATTACHMENT_BYTES_MAX:
        return None
    try:
        certificate = decode_message(block.certificate)
        if not isinstance(certificate, Certificate):
            return None
        about = certificate.kind, certificate.height, certificate.block_id
        if about != (VoteKind.PRECOMMIT, block.height, block.hash):
            return None
        check_shape(certificate, validators)
    except InvalidMessage:
        return None
    return certificate


def _is_whole(block: SyncBlock, following: ValidatorSet) -> bool:
    """Whether the transactions, the withdrawals and the parent's certificate are those that the
    header commits to. following: who votes at the next height.

    Cost: about 0.4 microseconds a transaction, and 0.1 milliseconds.
    """
    try:
        decoded: Block = decode_block(block.block)
        certificate = decode_attachment(block.attachment).certificate
    except (InvalidBlock, InvalidEncoding):
        return False
    header = decoded.header
    paid = list(map(encode_withdrawal, decoded.withdrawals))
    return (
        header.transactions_root == ordered_root(decoded.transactions)
        and header.withdrawals_root == ordered_root(paid)
        and header.parent_beacon_block_root == seal_root(certificate, following.hash)
    )


class DownloadPort:
    """A `Download` of sync, over the chain's."""

    def __init__(self, download: SnapshotDownload) -> None:
        self._download = download
        self.saved = download.saved
        self.choose = download.choose
        self.store = download.store

    def install(self, manifest: Manifest, headers: Sequence[bytes]) -> None:
        try:
            self._download.install(manifest, headers)
        except InvalidEncoding as failure:
            raise InstallFailed(str(failure)) from failure


class LoopTasks:
    """`Tasks` on the event loop of this thread. on_failure: told of what work raised. through:
    makes each call there, and sees to its exceptions."""

    def __init__(
        self,
        on_failure: Callable[[BaseException], object],
        through: Callable[[Callable[[], None]], None] = lambda act: act(),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sync")
        self._on_failure = on_failure
        self._through = through
        self._is_closed = False

    def run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        if not self._is_closed:
            future = self._threads.submit(work)
            future.add_done_callback(lambda future: self.call(lambda: self._finish(future, done)))

    def _finish(self, future: Future[T], done: Callable[[T], None]) -> None:
        failure = future.exception()
        if failure is not None:
            self._on_failure(failure)
        else:
            done(future.result())

    def call(self, act: Callable[[], None]) -> None:
        if not self._is_closed:
            self._loop.call_soon_threadsafe(self._through, act)

    def close(self) -> None:
        """Nothing is called any more. Waits for what is under way."""
        self._is_closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
