"""The doors of sync, on a real chain: what proves a block, what imports it, what is served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ghostchain.chain import seals
from ghostchain.chain.chain import Chain
from ghostchain.chain.snapshot import SnapshotDownload
from ghostchain.consensus.certificates import SignatureItem, Verify, check_shape
from ghostchain.consensus.messages import Certificate, InvalidMessage, decode_message
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.crypto import vrf
from ghostchain.encoding import rlp
from ghostchain.encoding.attachments import ATTACHMENT_BYTES_MAX, Attachment, decode_attachment
from ghostchain.encoding.blocks import (
    decode_block,
    decode_withdrawals,
    encode_header,
    encode_withdrawal,
    encode_withdrawals,
    join_block,
)
from ghostchain.encoding.manifests import Manifest
from ghostchain.encoding.votes import VoteKind
from ghostchain.node.judging import BlockRules
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import EncodingReason, InvalidBlock, InvalidEncoding
from ghostchain.primitives.types import Address, Hash32
from ghostchain.sync.messages import Item, SyncBlock
from ghostchain.sync.ports import ImportFailed, InstallFailed
from ghostchain.trie.merkle import ordered_root

T = TypeVar("T")

Sets = Callable[[int], ValidatorSet | None]
"""The validators of a height; None while the head does not tell them."""

Beside = Callable[[Sequence[tuple[SyncBlock, Hash32]]], Sequence[bool | None]]
"""Whether attachments are those of the blocks; with each block comes its parent's prevRandao. None
while the head does not tell."""

EMPTY_LIST = b"\xc0"

THREADS = 4
"""One that imports, one that verifies, two that read for others."""


class SyncPort:
    """A `SyncChain`. sets: of which validators a certificate must be; verify: their signatures, as
    many as there are at once; beside: judges attachments, which else are only kept."""

    def __init__(
        self,
        chain: Chain,
        sets: Sets,
        verify: Verify,
        beside: Beside = lambda blocks: [True] * len(blocks),
    ) -> None:
        self._chain = chain
        self._sets = sets
        self._verify = verify
        self._beside = beside
        # Of the last block that was proven, which the next one to be follows.
        self._proven: tuple[Hash32, Hash32] = chain.genesis.hash, chain.genesis.header.prev_randao

    @property
    def head(self) -> tuple[int, Hash32]:
        header, block_hash, _ = self._chain.latest()
        return header.number, block_hash

    def verify(self, blocks: Sequence[SyncBlock]) -> list[bool | None]:
        """Cost: one batch of all the signatures, and what `beside` takes."""
        verdicts: list[bool | None] = []
        signatures: list[list[SignatureItem]] = []
        certified: list[tuple[SyncBlock, Hash32]] = []
        randao = self._randao_of(blocks[0].parent_hash)
        for block in blocks:
            signed = [] if randao is None else self._signed(block)
            if not signed or randao is None:
                verdicts.append(None if signed is None or randao is None else False)
                break
            verdicts.append(True)
            signatures.append(signed)
            certified.append((block, randao))
            randao = block.header.prev_randao
        for index, verdict in enumerate(self._beside(certified)):
            verdicts[index] = verdict
            if not verdict:
                # What follows it is looked at again, in any case.
                del verdicts[index + 1 :], signatures[index + 1 :]
                break
        items = [item for signed in signatures for item in signed]
        answers = iter(self._verify(items) if items else [])
        for index, signed in enumerate(signatures):
            held = [next(answers) for _ in signed]
            if not all(held):
                verdicts[index] = False
        for block, verdict in zip(blocks, verdicts, strict=False):
            if not verdict:
                break
            self._proven = block.hash, block.header.prev_randao
        return verdicts + [None] * (len(blocks) - len(verdicts))

    def _signed(self, block: SyncBlock) -> list[SignatureItem] | None:
        """The signatures that prove the block; none where it brings no certificate of this block,
        None while its validators are not known."""
        validators = self._sets(block.height)
        if validators is None:
            return None
        certificate = _certificate_of(block, validators)
        if certificate is None or len(block.attachment) > ATTACHMENT_BYTES_MAX:
            return []
        votes = certificate.votes()
        message = votes[0].sign_bytes(self._chain.config.chain_id)
        return [(validators[vote.validator].key, message, vote.signature) for vote in votes]

    def _randao_of(self, block_hash: Hash32) -> Hash32 | None:
        """The prevRandao of a block that was proven last, or is of the chain."""
        if block_hash == self._proven[0]:
            return self._proven[1]
        header = self._chain.header(block_hash)
        return None if header is None else header.prev_randao

    def import_blocks(self, blocks: Iterator[SyncBlock]) -> Iterator[tuple[int, Hash32, int]]:
        # Those on their way through the import, to see what was wrong with one: a few groups, and
        # never more than sync gives to it at a time.
        given: dict[int, SyncBlock] = {}
        known: deque[SyncBlock] = deque()

        def triples() -> Iterator[Item]:
            """Consensus may have decided the first of them meanwhile. Asked for while the chain
            takes blocks from nobody else."""
            for block in blocks:
                if block.height <= self._chain.head.number:
                    known.append(block)
                else:
                    given[block.height] = block
                    yield block.block, block.certificate, block.attachment

        try:
            for sealed in self._chain.import_certified(triples()):
                while known:
                    yield _as_imported(known.popleft())
                block = sealed.block
                given.pop(block.header.number, None)
                yield block.header.number, sealed.hash, len(block.transactions)
        except InvalidBlock as failure:
            bad = given.get(self._chain.head.number + 1)
            is_changed = bad is not None and not has_its_body(bad.block)
            raise ImportFailed(str(failure), is_changed=is_changed) from failure
        while known:
            yield _as_imported(known.popleft())

    def range(self) -> tuple[int, int]:
        return self._chain.begin + 1, self._chain.head.number

    def header(self, height: int) -> bytes | None:
        header = self._chain.header(height)
        return None if header is None else encode_header(header)

    def read(self, height: int) -> Item | None:
        body = self._chain.body(height)
        certificate = self._chain.certificate(height)
        attachment = self._chain.attachment(height)
        if body is None or certificate is None or attachment is None:
            return None
        paid = encode_withdrawals(body.block().withdrawals) if body.withdrawals else EMPTY_LIST
        return join_block(body.header, body.raws(), paid), certificate, attachment


def _as_imported(block: SyncBlock) -> tuple[int, Hash32, int]:
    """A block that was here already: it brought no transactions."""
    return block.height, block.hash, 0


def _certificate_of(block: SyncBlock, validators: ValidatorSet) -> Certificate | None:
    """The commit certificate of this very block with a quorum of these validators, its signatures
    not verified; None when it is something else."""
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


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What an attachment claims: randomness (key, input and proof), and who is guilty of what."""

    claim: tuple[bytes, bytes, bytes]
    attachment: Attachment
    accused: list[tuple[int, Address]]


class Attachments:
    """A `Beside`: whether attachments are what the headers of proven blocks commit to. The headers
    are believed; what is not in them, peers may have changed on the way."""

    def __init__(self, rules: BlockRules) -> None:
        self._rules = rules

    def __call__(self, blocks: Sequence[tuple[SyncBlock, Hash32]]) -> list[bool | None]:
        """Cost: of each a VRF proof, 0.15 milliseconds; evidence, where there is any, two
        signatures."""
        looked = [self._look_at(block, randao) for block, randao in blocks]
        shown = vrf.verify_batch([found.claim for found in looked if isinstance(found, _Claimed)])
        outputs = iter(shown)
        verdicts: list[bool | None] = []
        for (block, randao), found in zip(blocks, looked, strict=True):
            if not isinstance(found, _Claimed):
                verdicts.append(found)
                continue
            output = next(outputs)
            if output is None or block.header.prev_randao != seals.mixed(randao, output):
                verdicts.append(False)
            elif found.accused or found.attachment.evidence:
                verdicts.append(self._convicts(block.height, found.attachment, found.accused))
            else:
                verdicts.append(True)
        return verdicts

    def _look_at(self, block: SyncBlock, randao: Hash32) -> _Claimed | bool | None:
        """What is left to be verified; else the verdict."""
        rules, header = self._rules, block.header
        validators = rules.validators(block.height)
        following = rules.validators(block.height + 1)
        if validators is None or following is None:
            return None
        try:
            attachment = decode_attachment(block.attachment)
            round = seals.round_of(header)
            accused = _accused(block.block)
        except (InvalidEncoding, InvalidBlock):
            return False
        if header.parent_beacon_block_root != seals.seal_root(
            attachment.certificate, following.hash
        ):
            return False
        key = validators[validators.proposer(block.height, round)].key
        chain_id = rules.chain.config.chain_id
        alpha = seals.random_input(chain_id, block.height, randao)
        return _Claimed((key, alpha, attachment.proof), attachment, accused)

    def _convicts(
        self, height: int, attachment: Attachment, accused: list[tuple[int, Address]]
    ) -> bool | None:
        """Whom evidence convicts is told by the state before the block alone."""
        rules = self._rules
        if rules.chain.head.number != height - 1:
            return None
        try:
            guilty = rules.guilty(attachment)
        except InvalidBlock:
            return False
        return accused == [(one.height, one.operator) for one in guilty]


def _accused(block: bytes) -> list[tuple[int, Address]]:
    """What the withdrawals of an encoded block order against whom. Raises: InvalidEncoding,
    InvalidBlock."""
    _, start, end = rlp.span(block)
    parts = rlp.spans(block, start, end)
    if len(parts) != 4:
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, f"a block of {len(parts)} parts")
    paid = decode_withdrawals(block[parts[3][1] : parts[3][3]])
    return [(one.validator_index, one.address) for one in paid if one.validator_index]


def has_its_body(data: bytes) -> bool:
    """Whether an encoded block holds the transactions and withdrawals that its header names.

    Cost: about 0.4 microseconds a transaction, and 0.1 milliseconds.
    """
    try:
        block: Block = decode_block(data)
    except InvalidBlock:
        return False
    header = block.header
    return header.transactions_root == ordered_root(
        block.transactions
    ) and header.withdrawals_root == ordered_root(list(map(encode_withdrawal, block.withdrawals)))


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
