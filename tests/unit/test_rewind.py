"""Blocks taken back: the chain is as if they had never been, whatever was on disk and when it was
killed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from ghostchain.chain import rewinding
from ghostchain.chain.amendments import AccountAmendment
from ghostchain.chain.chain import Chain
from ghostchain.chain.logs import LogChoice, LogsBound, ShownLogs
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.encoding.logs import LogStore
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.render import located_log_json
from ghostchain.state import store
from ghostchain.trie.merkle import verify_proof
from tests.samples import transfer
from tests.unit.test_chain_crash import Cutter

DEV = network("dev")
CONTRACT = Address(b"\x5a" * 20)
# Stores calldata word 0 under the block number, logs it with topic = caller.
RUNTIME = bytes.fromhex("5f358043555f52336020" + "5fa100")


def call(sender: int, nonce: int, to: bytes, data: bytes = b"", value: int = 1) -> bytes:
    fields = {"gas_limit": 100_000, "to": Address(to), "value": value, "data": data}
    return transfer(nonce, key=TEST_KEYS[sender], **fields)


def build(chain: Chain, raws: list[bytes]) -> None:
    batch = TransactionBatch.decode(raws)
    batch.recover()
    sealed = chain.build_block(
        batch,
        timestamp=chain.head.timestamp + 1,
        coinbase=Address(b"\xcb" * 20),
        prev_randao=Hash32(bytes(32)),
    )
    assert len(sealed.block.transactions) == len(raws)


def nonce_of(chain: Chain, sender: int) -> int:
    address = address_of(TEST_KEYS[sender])
    record = chain.state_at(chain.head.number).account(address, keccak256(address))
    return Account.decode(record).nonce if record else 0


def extend(chain: Chain, count: int, seed: int = 0) -> None:
    """The same blocks for the same head and seed: two calls that store and log, a transfer, and at
    every fifth block accounts changed by hand."""
    for number in range(chain.head.number + 1, chain.head.number + 1 + count):
        if number % 5 == 1:
            slots = {Hash32(number.to_bytes(32, "big")): Hash32((7).to_bytes(32, "big"))}
            clears = number % 10 == 6
            chain.amend(
                {
                    CONTRACT: AccountAmendment(code=RUNTIME, slots=slots, clear_storage=clears),
                    Address(number.to_bytes(20, "big")): AccountAmendment(balance=number),
                }
            )
        word = (seed * 1000 + number).to_bytes(32, "big")
        first = nonce_of(chain, 0)
        build(
            chain,
            [
                call(0, first, CONTRACT, word, 0),
                call(0, first + 1, CONTRACT, word, 0),
                call(1, nonce_of(chain, 1), keccak256(word)[:20]),
            ],
        )


def check_same(chain: Chain, fresh: Chain) -> None:
    """Everything a reader can ask is as on the chain that took no way back."""
    head = fresh.head.number
    assert chain.head_hash == fresh.head_hash
    assert chain.pending_amendments == fresh.pending_amendments
    assert verify_state(chain.storage.database).agrees
    for number in range(head + 1):
        assert chain.hash_of(number) == fresh.hash_of(number)
        block = fresh.block(number)
        assert chain.block(number) == block
        assert block is not None
        assert chain.receipts(number) == fresh.receipts(number)
        assert chain.amendments_of(number) == fresh.amendments_of(number)
        for index, raw in enumerate(block.transactions):
            assert chain.transaction_location(keccak256(raw)) == (number, index)
        for address in (CONTRACT, address_of(TEST_KEYS[0]), Address((6).to_bytes(20, "big"))):
            hashed = keccak256(address)
            views = chain.state_at(number), fresh.state_at(number)
            records = [view.account(address, hashed) for view in views]
            assert records[0] == records[1]
            for key in range(12):
                slot = key.to_bytes(32, "big")
                values = [view.slot(address, hashed, slot, keccak256(slot)) for view in views]
                assert values[0] == values[1]
    assert chain.header(head + 1) is None
    assert chain.body(head + 1) is None
    assert list(chain.logs(0, 10**6, [CONTRACT], [])) == list(fresh.logs(0, 10**6, [CONTRACT], []))
    for number in (head, max(head - 2, 0)):
        header = chain.header(number)
        assert header is not None
        proof = chain.prove(CONTRACT, [], number)
        leaf = verify_proof(header.state_root, keccak256(CONTRACT), list(proof.nodes))
        assert (leaf is None) == (number == 0)


def fresh_chain(path: Path, blocks: int) -> Chain:
    chain = Chain.open(path, DEV, is_durable=False)
    extend(chain, blocks)
    return chain


@pytest.mark.parametrize("target", [0, 1, 5, 6, 10, 11, 12])
@pytest.mark.parametrize("flush_every", [1, 3, 5, 1024])
@pytest.mark.parametrize("cut_min", [0, 1 << 30])
def test_as_if_it_had_never_been(
    tmp_path: Path, target: int, flush_every: int, cut_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the trie on disk stands: behind the target, at it, beyond it; now and after a
    restart, and with other blocks on top."""
    monkeypatch.setattr(store, "FLUSH_BLOCKS_MAX", flush_every)
    monkeypatch.setattr(rewinding, "BATCH_BLOCKS_MAX", 4)
    monkeypatch.setattr(rewinding, "CUT_BYTES_MIN", cut_min)
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    told: list[Header] = []
    chain.subscribe(lambda header: None, on_rewind=told.append)
    extend(chain, 12)
    gone = chain.block(12)
    assert gone is not None
    chain.rewind(target)
    fresh = fresh_chain(tmp_path / "fresh", target)
    assert [header.number for header in told] == [target]
    check_same(chain, fresh)
    if target < 12:
        assert chain.transaction_location(keccak256(gone.transactions[0])) is None
        assert chain.number_of(keccak256(gone.transactions[0])) is None
    chain.close()
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    check_same(chain, fresh)
    extend(chain, 4, seed=3)
    extend(fresh, 4, seed=3)
    check_same(chain, fresh)
    chain.close()
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    check_same(chain, fresh)
    chain.close()
    fresh.close()


def test_over_and_over(tmp_path: Path) -> None:
    """Snapshot and revert as test suites do it: hundreds of times around the same block."""
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    extend(chain, 6)
    pending = {CONTRACT: AccountAmendment(balance=77)}
    for turn in range(60):
        extend(chain, 1 + turn % 4, seed=turn)
        chain.rewind(6, amendments=pending if turn % 2 else {})
        assert chain.pending_amendments == (pending if turn % 2 else {})
    fresh = fresh_chain(tmp_path / "fresh", 6)
    fresh.amend(pending)
    check_same(chain, fresh)
    chain.rewind(6)
    fresh.rewind(6)
    check_same(chain, fresh)
    chain.close()
    fresh.close()


def test_amendments_at_the_target(tmp_path: Path) -> None:
    """What was pending at the head goes, what is given is pending, also after a restart."""
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    extend(chain, 3)
    chain.amend(
        {CONTRACT: AccountAmendment(balance=1, slots={Hash32(bytes(32)): Hash32(b"\1" * 32)})}
    )
    wanted = {Address(b"\x01" * 20): AccountAmendment(nonce=4)}
    chain.rewind(3, amendments=wanted)
    assert chain.pending_amendments == wanted
    chain.rewind(1, amendments=wanted)
    chain.close()
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    assert (chain.head.number, chain.pending_amendments) == (1, wanted)
    chain.close()


def test_what_cannot_be(tmp_path: Path) -> None:
    """Above the head, below what is kept, or where many decide: refused, and nothing changed."""
    chain = Chain.open(tmp_path / "data", DEV, prune=2, is_durable=False)
    extend(chain, 8)
    head_hash = chain.head_hash
    for number in (9, -1, chain.oldest_rewind - 1):
        with pytest.raises(StateUnavailable, match="cannot be the head"):
            chain.rewind(number)
    assert chain.oldest_rewind == 6
    config = chain.config
    chain.config = replace(config, consensus=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="development chain"):
        chain.rewind(7)
    chain.config = config
    assert chain.head_hash == head_hash
    chain.rewind(6)
    assert chain.head.number == 6
    chain.close()


def test_readers_keep_what_they_hold(tmp_path: Path) -> None:
    """A reader that began before goes on with its blocks; a new one finds the new ones."""
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    extend(chain, 6)
    view, logs = chain.state_at(6), chain.logs(0, 6, [CONTRACT], [])
    first = next(logs)
    record = view.account(CONTRACT, keccak256(CONTRACT))
    old = chain.header(4)
    chain.rewind(2)
    extend(chain, 4, seed=9)
    assert view.account(CONTRACT, keccak256(CONTRACT)) == record
    assert [first.block_number, *(log.block_number for log in logs)] == [
        number for number in range(1, 7) for _ in range(2)
    ]
    assert chain.header(4) != old
    chain.close()


@pytest.mark.parametrize("batch_blocks", [1, 3, 256])
@pytest.mark.parametrize("flush_every", [2, 1024])
@pytest.mark.parametrize("cut_min", [0, 1 << 30])
def test_cut_at_every_step(
    tmp_path: Path,
    batch_blocks: int,
    flush_every: int,
    cut_min: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kill anywhere in a rewind leaves the old head or, opened again, the new one."""
    monkeypatch.setattr(store, "FLUSH_BLOCKS_MAX", flush_every)
    monkeypatch.setattr(rewinding, "BATCH_BLOCKS_MAX", batch_blocks)
    monkeypatch.setattr(rewinding, "CUT_BYTES_MIN", cut_min)
    cuts: list[Path] = []
    data = tmp_path / "data"
    watch: list[Callable[[str], None]] = []

    def on_step(name: str) -> None:
        for one in watch:
            one(name)

    def copy(name: str) -> None:
        cuts.append(tmp_path / f"{len(cuts):03d}-{name}")
        shutil.copytree(data, cuts[-1])

    chain = Chain.open(data, DEV, on_step=on_step)
    extend(chain, 8)
    wanted = {Address(b"\x01" * 20): AccountAmendment(nonce=4)}
    watch.append(copy)
    chain.rewind(2, amendments=wanted)
    watch.clear()
    chain.close()
    fresh = fresh_chain(tmp_path / "fresh", 2)
    fresh.amend(wanted)
    long_fresh = fresh_chain(tmp_path / "long", 8)
    assert len(cuts) >= -(-6 // batch_blocks)
    for cut in cuts:
        chain = Chain.open(cut, DEV)
        check_same(chain, fresh if chain.head.number == 2 else long_fresh)
        chain.close()
    assert chain.head.number == 2
    fresh.close()
    long_fresh.close()


@pytest.mark.parametrize("cut_min", [0, 1 << 30])
def test_cutter_of_blocks_after_a_rewind(
    tmp_path: Path, cut_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks after a rewind are as safe as any: killed between their records and their batch, they
    come back, and those that were taken back do not."""
    monkeypatch.setattr(rewinding, "CUT_BYTES_MIN", cut_min)
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, DEV, on_step=cutter.on_step)
    extend(chain, 5)
    chain.rewind(2)
    start = len(cutter.cuts)
    extend(chain, 2, seed=4)
    hashes = [chain.hash_of(number) for number in range(5)]
    chain.close()
    for _, copy, _ in cutter.cuts[start:]:
        chain = Chain.open(copy, DEV)
        head = chain.head.number
        assert 2 <= head <= 4
        assert [chain.hash_of(number) for number in range(head + 1)] == hashes[: head + 1]
        assert verify_state(chain.storage.database).agrees
        chain.close()


def test_the_files_do_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There and back again: what was taken back is cut off where it is much, and a reader who
    began before is told of nothing rather than of another block."""
    monkeypatch.setattr(rewinding, "CUT_BYTES_MIN", 1)
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    extend(chain, 2)
    file = tmp_path / "data" / "blocks" / "blocks-000000.seg"
    size = file.stat().st_size
    published = None
    for turn in range(10):
        extend(chain, 3, seed=turn)
        published = chain._published
        chain.rewind(2)
        assert file.stat().st_size == size
    assert published is not None
    assert published.body(5) is None
    assert list(published.logs(chain.storage.blooms, 3, 5, [CONTRACT], [])) == []
    assert chain.body(2) is not None
    chain.close()


def shown(pieces: Iterable[ShownLogs]) -> bytes:
    return b",".join(piece.text for piece in pieces if piece.text)


@pytest.mark.parametrize("cut_bytes_min", [1, 1 << 30])
def test_who_began_before_is_told_of_no_other_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_bytes_min: int
) -> None:
    """The columns beside the database are of the new blocks, and a reader's past is not."""
    monkeypatch.setattr(rewinding, "CUT_BYTES_MIN", cut_bytes_min)
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    extend(chain, 5)
    past = chain._published
    choice = LogChoice((), ())
    before = shown(chain.shown_logs(range(6), choice, LogsBound()))
    hashes = [chain.hash_of(number) for number in range(6)]
    past.kept.logs = LogStore(pages_max=100, page_bytes_max=1 << 20, sections_max=1)
    chain.rewind(2)
    assert past.kept_logs(range(6), choice, LogsBound()) is None
    extend(chain, 4, seed=9)
    told = shown(past.shown_logs(chain.storage, range(6), choice, LogsBound()))
    for number in range(3, 6):
        assert (chain.hash_of(number) or b"").hex().encode() not in told
        assert (hashes[number] or b"").hex().encode() in before
    assert told == before or cut_bytes_min == 1
    after = shown(chain.shown_logs(range(6), choice, LogsBound()))
    assert after != before
    chain.close()


def check_logs(chain: Chain, chance: random.Random) -> int:
    """Any question is answered as the records say, from disk and from memory. How many of the
    answers memory gave without being told before."""
    senders = [Hash32(bytes(12) + address_of(key)) for key in TEST_KEYS[:2]]
    head, answered = chain.head.number, 0
    for _ in range(4):
        addresses = [CONTRACT, Address(bytes(20))][: chance.randrange(3)]
        topics = [
            set(chance.sample(senders, chance.randrange(3)))
            for _ in range(chance.choice([0, 1, 1, 2]))
        ]
        first = chance.randrange(head + 2)
        span = range(first, chance.choice([first, first + 1, head + 1, head + 9, 1 << 40]))
        choice = LogChoice(addresses, topics)
        located = list(chain.logs(span.start, span.stop - 1, addresses, topics))
        expected = b",".join(orjson.dumps(located_log_json(item)) for item in located)
        before = chain.kept_logs(span, choice, LogsBound())
        pieces = list(chain.shown_logs(span, choice, LogsBound()))
        assert shown(pieces) == expected
        assert sum(piece.count for piece in pieces) == len(located)
        assert before in (None, b"[%b]" % expected)
        assert chain.kept_logs(span, choice, LogsBound()) == b"[%b]" % expected
        if located:
            few = LogsBound(logs_max=len(located) - 1)
            assert chain.kept_logs(span, choice, few) is None
            *_, last = chain.shown_logs(span, choice, few)
            assert last.reached == located[-1].block_number
        answered += before is not None
    return answered


@pytest.mark.parametrize("seed", range(3))
def test_logs_are_those_of_the_blocks_that_are(tmp_path: Path, seed: int) -> None:
    """While blocks come, one by one and many at once, are taken back, and the node starts again."""
    chance = random.Random(seed)
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    answered = 0
    for turn in range(40):
        match chance.randrange(5):
            case 0:
                chain.rewind(chance.randrange(chain.head.number + 1))
            case 1:
                chain.close()
                chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
            case _:
                extend(chain, chance.choice([1, 2, 20]), seed=100 * seed + turn)
        answered += check_logs(chain, chance)
    assert answered > 50
    chain.close()


@pytest.mark.parametrize("flush_every", [3, 1024])
def test_imported_blocks(tmp_path: Path, flush_every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that were written in groups are taken back one by one, and can come again."""
    monkeypatch.setattr(store, "FLUSH_BLOCKS_MAX", flush_every)
    source = Chain.open(tmp_path / "source", DEV, is_durable=False)
    for number in range(40):
        build(source, [call(0, number, keccak256(number.to_bytes(2, "big"))[:20])])
    blocks = [block for number in range(1, 41) if (block := source.block(number)) is not None]
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    for target in (39, 7, 20, 0):
        assert len(list(chain.import_blocks(blocks[chain.head.number :]))) > 0
        chain.rewind(target)
        assert chain.head_hash == source.hash_of(target)
        assert verify_state(chain.storage.database).agrees
    chain.close()
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    assert len(list(chain.import_blocks(blocks))) == 40
    assert chain.head_hash == source.head_hash
    assert verify_state(chain.storage.database).agrees
    chain.close()
    source.close()
