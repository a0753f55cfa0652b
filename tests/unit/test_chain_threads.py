"""The writer beside readers, and the import whose steps overlap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain import writer
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.chain.opening import STATE_CACHE_BYTES
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.transactions import decode_transaction, encode_transaction
from ghostchain.primitives.account import Account
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import BlockReason, InvalidBlock, StorageFailed
from ghostchain.primitives.types import Address, Hash32
from tests.unit.test_chain import SENDERS, build, transaction

DEV = network("dev")
RECIPIENT = Address(b"\x11" * 20)
BLOCKS = 12


def account(chain: Chain, address: Address, number: int) -> Account:
    record = chain.state_at(number).account(address, keccak256(address))
    return Account.decode(record) if record else Account()


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> list[Block]:
    """Blocks in each of which the first account gives one wei to the recipient."""
    chain = Chain.open(tmp_path_factory.mktemp("source"), DEV)
    built = [build(chain, [transaction(0, nonce)]).block for nonce in range(BLOCKS)]
    chain.close()
    return built


def test_readers_never_see_half_a_block(tmp_path: Path) -> None:
    """The sender's nonce and what the recipient got move together in every view, proof included,
    while blocks are committed."""
    chain = Chain.open(tmp_path, DEV)
    stop = threading.Event()
    failures: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                head = chain.head
                view = chain.state_at(head.number)
                records = [
                    view.account(address, keccak256(address)) for address in (SENDERS[0], RECIPIENT)
                ]
                nonce, got = (Account.decode(r or Account().encode()) for r in records)
                assert nonce.nonce == got.balance == head.number
                proof = chain.prove(RECIPIENT, [], head.number)
                assert proof.account.balance == head.number
        except BaseException as failure:
            failures.append(failure)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for nonce in range(40):
        build(chain, [transaction(0, nonce)])
    stop.set()
    for reader in readers:
        reader.join()
    chain.close()
    assert not failures, failures


TOGETHER = pytest.mark.parametrize("together", [1, 3, 5, 32])
"""Blocks of an import that are written together at most."""


@TOGETHER
@pytest.mark.parametrize("cache_bytes", [1, STATE_CACHE_BYTES])
def test_overlapping_import_equals_one_by_one(
    tmp_path: Path,
    blocks: list[Block],
    monkeypatch: pytest.MonkeyPatch,
    cache_bytes: int,
    together: int,
) -> None:
    """Each block is readable when it is yielded, and nothing differs in the end.

    Without caches the next block reads everything of those that are on their way to disk.
    """
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", together)
    chain = Chain.open(tmp_path, DEV, cache_bytes=cache_bytes)
    heads: list[int] = []
    end = chain.subscribe(lambda header: heads.append(header.number))
    for number, sealed in enumerate(chain.import_blocks(map(encode_block, blocks)), start=1):
        assert sealed.block == blocks[number - 1]
        assert chain.head.number >= number
        assert account(chain, RECIPIENT, number).balance == number
    end()
    assert heads == list(range(1, BLOCKS + 1))
    assert chain.head == blocks[-1].header
    assert verify_state(chain.storage.database).agrees
    build(chain, [])
    assert heads[-1] == BLOCKS
    chain.close()


@TOGETHER
def test_bad_block_ends_an_import_after_those_before_it(
    tmp_path: Path, blocks: list[Block], monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Also in the middle of those that are written together."""
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", together)
    chain = Chain.open(tmp_path, DEV)
    header = replace(blocks[5].header, state_root=Hash32(bytes(32)))
    stream = [*blocks[:5], replace(blocks[5], header=header), *blocks[6:]]
    with pytest.raises(InvalidBlock) as caught:
        list(chain.import_blocks(stream))
    assert caught.value.reason == BlockReason.INVALID_STATE_ROOT
    assert chain.head == blocks[4].header
    assert len(list(chain.import_blocks(blocks[5:]))) == BLOCKS - 5
    chain.close()


def unsigned(raw: bytes) -> bytes:
    """The transaction with a signature that has no signer: r is no abscissa of the curve."""
    transaction = decode_transaction(raw)
    return encode_transaction(replace(transaction, r=5))


SPOILS: dict[str, tuple[Callable[[Block], Block], BlockReason]] = {
    "header": (
        lambda block: replace(block, header=replace(block.header, timestamp=0)),
        BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT,
    ),
    "bytes": (
        lambda block: replace(block, transactions=(b"\x02\xc8" + bytes(8) + bytes(4),)),
        BlockReason.INVALID_TRANSACTION,
    ),
    "gas": (
        lambda block: replace(block, header=replace(block.header, gas_used=1)),
        BlockReason.INVALID_GAS_USED,
    ),
    "signature": (
        lambda block: replace(block, transactions=tuple(map(unsigned, block.transactions))),
        BlockReason.INVALID_TRANSACTION,
    ),
    "execution": (
        lambda block: replace(block, header=replace(block.header, gas_used=30_000)),
        BlockReason.INVALID_GAS_USED,
    ),
}


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("at", [0, 1, 7, BLOCKS - 1])
def test_what_is_wrong_with_one_of_many_is_told_and_the_others_stay(
    tmp_path: Path, blocks: list[Block], spoil: str, at: int
) -> None:
    """Blocks are prepared together: whichever step refuses one, those before it are committed."""
    spoilt, reason = SPOILS[spoil]
    stream = [*blocks[:at], spoilt(blocks[at]), *blocks[at + 1 :]]
    chain = Chain.open(tmp_path, DEV)
    with pytest.raises(InvalidBlock) as caught:
        list(chain.import_blocks(map(encode_block, stream)))
    assert caught.value.reason == reason
    assert chain.head.number == at
    assert len(list(chain.import_blocks(blocks[at:]))) == BLOCKS - at
    assert chain.head == blocks[-1].header
    chain.close()


def test_source_that_fails_leaves_what_it_gave(tmp_path: Path, blocks: list[Block]) -> None:
    def source() -> Iterator[Block]:
        yield from blocks[:7]
        raise OSError("the file ends")

    chain = Chain.open(tmp_path, DEV)
    with pytest.raises(OSError, match="the file ends"):
        list(chain.import_blocks(source()))
    assert chain.head == blocks[6].header
    chain.close()


def test_listener_sees_the_chain_at_each_multiple_it_asks_for(
    tmp_path: Path, blocks: list[Block]
) -> None:
    """All others may learn of several new blocks at once, in order."""
    chain = Chain.open(tmp_path, DEV)
    seen: list[tuple[int, int]] = []
    told: list[int] = []
    ends = [
        chain.subscribe(lambda header: seen.append((header.number, chain.head.number)), every=5),
        chain.subscribe(lambda header: told.append(header.number)),
    ]
    list(chain.import_blocks(blocks))
    for end in ends:
        end()
    assert told == list(range(1, BLOCKS + 1))
    assert [number for number, _ in seen] == told
    assert [head for _, head in seen] == [5] * 5 + [10] * 5 + [12] * 2
    chain.close()


@pytest.mark.parametrize("together", [1, 2, 3])
def test_abandoned_import_leaves_a_working_chain(
    tmp_path: Path, blocks: list[Block], monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Closing the iterator finishes what is on its way to disk and gives the chain back."""
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", together)
    chain = Chain.open(tmp_path, DEV)
    running = chain.import_blocks(blocks)
    assert isinstance(running, Iterator)
    for _ in range(3):
        next(running)
    running.close()  # type: ignore[attr-defined]
    reached = chain.head.number
    assert reached >= 3
    chain.import_block(blocks[reached])
    assert chain.head == blocks[reached].header
    chain.close()
    chain = Chain.open(tmp_path, DEV)
    assert chain.head == blocks[reached].header
    chain.close()


def test_failed_write_stops_the_writer_but_not_readers(
    tmp_path: Path, blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks whose write failed were never told of, and no other follows until a restart."""
    chain = Chain.open(tmp_path, DEV)
    chain.import_block(blocks[0])

    def fail(_: object) -> None:
        raise StorageFailed("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(chain.storage.database, "commit", fail)
        with pytest.raises(StorageFailed, match="the disk is gone"):
            list(chain.import_blocks(blocks[1:]))
    for attempt in (lambda: chain.import_block(blocks[1]), lambda: build(chain, [])):
        with pytest.raises(StorageFailed, match="restart to recover"):
            attempt()
    assert chain.head == blocks[0].header
    assert account(chain, RECIPIENT, 1).balance == 1
    chain.close()
    chain = Chain.open(tmp_path, DEV)
    reached = chain.head.number
    assert reached == BLOCKS  # their records were written before their batch was not
    assert len(list(chain.import_blocks(blocks[reached:]))) == BLOCKS - reached
    chain.close()
