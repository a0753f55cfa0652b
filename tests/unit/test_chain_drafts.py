"""Blocks that are made or judged first and committed later, with what is kept beside them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain import writer
from ghostchain.chain.chain import Chain, Draft
from ghostchain.chain.config import ConsensusParameters, parse_config
from ghostchain.chain.networks import network
from ghostchain.chain.transfer import export_file, import_file
from ghostchain.chain.verify import verify_state
from ghostchain.crypto.hashes import header_hash
from ghostchain.encoding import transactions
from ghostchain.encoding.attachments import Attachment, Evidence, decode_attachment
from ghostchain.encoding.attachments import encode_attachment as encoded
from ghostchain.encoding.blocks import decode_block, encode_block
from ghostchain.node.syncing import SyncPort
from ghostchain.primitives.errors import (
    BlockReason,
    InvalidBlock,
    InvalidEncoding,
    InvalidGenesis,
)
from ghostchain.primitives.types import Hash32
from ghostchain.sync.messages import SyncBlock
from ghostchain.sync.ports import ImportFailed
from tests.unit.test_chain import COINBASE, SENDERS, balance, batch_of, build, transaction
from tests.unit.test_chain_crash import Cutter, tear

DEV = network("dev")
SEALED = replace(DEV, config=replace(DEV.config, consensus=ConsensusParameters()))
BLOCKS = 5


def draft(chain: Chain, *raws: bytes) -> Draft:
    return chain.draft(
        batch_of(list(raws)),
        timestamp=chain.head.timestamp + 1,
        coinbase=COINBASE,
        prev_randao=chain.head.prev_randao,
    )


def certificate_of(number: int) -> bytes:
    return b"certificate of %d" % number


def attachment_of(number: int) -> bytes:
    parent = certificate_of(number - 1) if number > 1 else b""
    return encoded(Attachment(parent, (), bytes(80)))


def commit(chain: Chain, made: Draft) -> None:
    number = made.block.header.number
    chain.commit(made, certificate=certificate_of(number), attachment=attachment_of(number))


def extend(chain: Chain) -> None:
    number = chain.head.number + 1
    commit(chain, draft(chain, transaction(0, number - 1), transaction(1, number - 1)))


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    opened = Chain.open(tmp_path / "chain", SEALED)
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Chain]:
    opened = Chain.open(tmp_path / "source", SEALED)
    yield opened
    opened.close()


def test_a_draft_changes_nothing_until_it_is_committed(chain: Chain) -> None:
    heads: list[int] = []
    chain.subscribe(lambda header: heads.append(header.number))
    made = draft(chain, transaction(0, 0), transaction(0, 5))
    assert [outcome.included for outcome in made.sealed.outcomes] == [True, False]
    assert made.senders == (SENDERS[0],)
    assert (chain.head.number, heads) == (0, [])
    assert balance(chain, COINBASE, 0) == 0
    commit(chain, made)
    assert (chain.head_hash, heads) == (made.hash, [1])
    assert chain.certificate(1) == certificate_of(1)
    assert chain.attachment(1) == attachment_of(1)
    assert chain.certificate(0) == b""
    assert chain.certificate(2) is None
    assert chain.attachment(0) is None


def test_of_many_drafts_any_can_be_committed(chain: Chain) -> None:
    """The last is in the executor; others are run again, built and judged ones alike."""
    first = draft(chain, transaction(0, 0), transaction(1, 3))
    second = draft(chain, transaction(2, 0, value=7))
    judged = chain.check(encode_block(first.block))
    assert judged.hash == first.hash
    assert judged.senders == first.senders
    commit(chain, second)
    assert chain.head_hash == second.hash
    with pytest.raises(InvalidBlock) as failure:
        commit(chain, first)
    assert failure.value.reason is BlockReason.NOT_THE_NEXT_HEIGHT
    third = draft(chain, transaction(0, 0), transaction(2, 1))
    draft(chain)
    commit(chain, third)
    assert chain.head_hash == third.hash
    assert verify_state(chain.storage.database).agrees


def test_a_bad_block_leaves_the_next_draft_alone(chain: Chain) -> None:
    made = draft(chain, transaction(0, 0))
    wrong = replace(made.block, header=replace(made.block.header, state_root=made.hash))
    with pytest.raises(InvalidBlock) as failure:
        chain.check(wrong)
    assert failure.value.reason is BlockReason.INVALID_STATE_ROOT
    commit(chain, made)
    extend_again = draft(chain, transaction(0, 1))
    commit(chain, extend_again)
    assert verify_state(chain.storage.database).agrees


def test_solo_ways_go_on_beside_drafts(chain: Chain) -> None:
    """A draft that nobody commits is forgotten by whatever comes next."""
    draft(chain, transaction(0, 0))
    build(chain, [transaction(0, 0)])
    stale = draft(chain, transaction(0, 1))
    chain.import_block(stale.block)
    assert chain.head_hash == stale.hash
    assert chain.certificate(2) is None
    assert verify_state(chain.storage.database).agrees


def test_certified_blocks_are_imported_with_what_they_bring(chain: Chain, source: Chain) -> None:
    for _ in range(BLOCKS):
        extend(source)
    draft(chain)
    assert [sealed.hash for sealed in chain.import_certified(stream_of(source))] == [
        source.hash_of(number) for number in range(1, BLOCKS + 1)
    ]
    for number in range(1, BLOCKS + 1):
        assert chain.certificate(number) == certificate_of(number)
        assert chain.attachment(number) == attachment_of(number)


def test_exported_blocks_are_imported_by_execution_alone(
    chain: Chain, source: Chain, tmp_path: Path
) -> None:
    for _ in range(BLOCKS):
        extend(source)
    export_file(source, tmp_path / "blocks.rlp")
    assert import_file(chain, tmp_path / "blocks.rlp") == BLOCKS
    assert chain.head_hash == source.head_hash
    assert chain.attachment(BLOCKS) is None


@pytest.mark.parametrize("at", [1, 2, 17, 40, 60])
@pytest.mark.parametrize("fault", ["body", "header"])
def test_sync_tells_a_changed_body_from_a_block_that_does_not_hold(
    chain: Chain, source: Chain, at: int, fault: str
) -> None:
    """Wherever it stands among those on their way, and what is before it stays."""
    for _ in range(60):
        extend(source)
    blocks = []
    for number, (encoded_block, certificate, attachment) in enumerate(stream_of(source), 1):
        block = decode_block(encoded_block)
        if number == at and fault == "body":
            encoded_block = encode_block(replace(block, transactions=block.transactions[:1]))
        if number == at and fault == "header":
            header = replace(block.header, state_root=Hash32(bytes(32)))
            block = replace(block, header=header)
            encoded_block = encode_block(block)
        digest = header_hash(block.header)
        blocks.append(SyncBlock(block.header, digest, encoded_block, certificate, attachment))
    port = SyncPort(chain, lambda height: None, lambda items: [])
    imported: list[int] = []
    with pytest.raises(ImportFailed) as failure:
        imported.extend(height for height, _, _ in port.import_blocks(iter(blocks)))
    assert failure.value.is_changed == (fault == "body")
    assert chain.head.number == at - 1
    assert imported == list(range(1, len(imported) + 1))
    good = [*blocks[: at - 1], *map(sync_block_of, stream_of(source)[at - 1 :])]
    heights = [height for height, _, _ in port.import_blocks(iter(good))]
    assert heights == list(range(1, 61))
    assert chain.head_hash == source.head_hash


def sync_block_of(item: tuple[bytes, bytes, bytes]) -> SyncBlock:
    header = decode_block(item[0]).header
    return SyncBlock(header, header_hash(header), *item)


# ---- kills ----


def check_copy(copy: Path, acknowledged: int, hashes: list[bytes]) -> None:
    """The copy opens with what was acknowledged or one block more, each with its certificate and
    attachment, and goes on to the same chain."""
    chain = Chain.open(copy, SEALED)
    assert chain.head.number in (acknowledged, acknowledged + 1)
    for number in range(1, chain.head.number + 1):
        assert chain.hash_of(number) == hashes[number]
        assert chain.certificate(number) == certificate_of(number)
        assert chain.attachment(number) == attachment_of(number)
    assert verify_state(chain.storage.database).agrees
    while chain.head.number < BLOCKS:
        extend(chain)
    assert chain.head_hash == hashes[BLOCKS]
    chain.close()


def stream_of(source: Chain) -> list[tuple[bytes, bytes, bytes]]:
    """The blocks of a chain with what is imported beside them."""
    blocks = [source.block(number) for number in range(1, source.head.number + 1)]
    return [
        (encode_block(block), certificate_of(number), attachment_of(number))
        for number, block in enumerate(blocks, 1)
        if block is not None
    ]


@pytest.mark.parametrize("torn", [0, 1, 60, 300])
@pytest.mark.parametrize("together", [2, 3, 32])
def test_cut_at_every_step_of_an_import(
    source: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int, torn: int
) -> None:
    """Blocks that are written together are all there or none, each with what it brought.

    torn: bytes that the last write lacks, and with it what was appended since the last sync.
    """
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", together)
    for _ in range(BLOCKS):
        extend(source)
    hashes = [source.hash_of(number) or b"" for number in range(BLOCKS + 1)]
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, SEALED, on_step=cutter.on_step)
    for sealed in chain.import_certified(stream_of(source)):
        cutter.acknowledged = max(cutter.acknowledged, sealed.block.header.number)
    chain.close()
    names = [name for name, _, _ in cutter.cuts]
    groups = [min(together, BLOCKS - first) for first in range(0, BLOCKS, together)]
    assert names.count("append") == 3 * BLOCKS + sum(size > 1 for size in groups)
    synced = 32
    heads = set()
    for name, copy, acknowledged in cutter.cuts:
        segment = copy / "blocks" / "blocks-000000.seg"
        if name == "sync":
            synced = segment.stat().st_size
        if torn and name == "append":
            tear(segment, torn, synced)
        elif torn and name == "batch" and segment.exists():
            with segment.open("r+b") as file:
                file.truncate(synced)
        reopened = Chain.open(copy, SEALED)
        head = reopened.head.number
        heads.add(head)
        assert head >= acknowledged
        for number in range(1, head + 1):
            assert reopened.hash_of(number) == hashes[number]
            assert reopened.block(number) is not None
            assert reopened.certificate(number) == certificate_of(number)
            assert reopened.attachment(number) == attachment_of(number)
        assert verify_state(reopened.storage.database).agrees
        list(reopened.import_certified(stream_of(source)[head:]))
        assert reopened.head_hash == hashes[BLOCKS]
        reopened.close()
    assert heads == {sum(groups[:count]) for count in range(len(groups) + 1)}


@pytest.mark.parametrize("torn", [0, 1, 60, 300])
def test_cut_at_every_step(tmp_path: Path, torn: int) -> None:
    """A block whose batch is not written is decided again by whoever logged it: it does not come
    back without its certificate."""
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, SEALED, on_step=cutter.on_step)
    hashes: list[bytes] = [chain.head_hash]
    for _ in range(BLOCKS):
        extend(chain)
        cutter.acknowledged = chain.head.number
        hashes.append(chain.head_hash)
    chain.close()
    names = [name for name, _, _ in cutter.cuts]
    assert names.count("append") == 3 * BLOCKS
    for name, copy, acknowledged in cutter.cuts:
        if torn and name == "append":
            tear(copy / "blocks" / "blocks-000000.seg", torn)
        if name != "batch" or not torn:
            check_copy(copy, acknowledged, hashes)


# ---- work before judgement ----


def test_signatures_are_not_looked_at_in_a_block_that_cannot_be(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the header is wrong, nor where it admits to less gas than they cost."""
    made = draft(chain, *(transaction(0, nonce) for nonce in range(10)))
    verified: list[object] = []
    recover = transactions.TransactionBatch.recover

    def counting(self: transactions.TransactionBatch, **options: object) -> None:
        verified.append(self)
        recover(self, **options)

    monkeypatch.setattr(transactions.TransactionBatch, "recover", counting)
    header = made.block.header
    wrong = {
        BlockReason.INVALID_BASEFEE_PER_GAS: replace(header, base_fee_per_gas=1),
        BlockReason.INVALID_GAS_USED: replace(header, gas_used=8 * 21_000 - 1),
    }
    for reason, bad in wrong.items():
        for take in (chain.check, chain.import_block, lambda one: list(chain.import_blocks([one]))):
            with pytest.raises(InvalidBlock) as failure:
                take(encode_block(replace(made.block, header=bad)))
            assert failure.value.reason is reason
    assert not verified
    with pytest.raises(InvalidBlock):
        chain.check(replace(made.block, header=replace(header, gas_used=8 * 21_000)))
    assert len(verified) == 1


def test_known_senders_are_not_recovered_again(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some, all or none known: the same block. Only the rest is recovered; what it hides is told
    with its place."""
    raws = [transaction(sender, 0) for sender in range(4)]
    made = draft(chain, *raws)
    hashes = batch_of(raws).hashes()
    recovered: list[int] = []
    recover = transactions.TransactionBatch.recover

    def counting(self: transactions.TransactionBatch, **options: object) -> None:
        if "senders" not in options:
            recovered.append(len(self))
        recover(self, **options)

    monkeypatch.setattr(transactions.TransactionBatch, "recover", counting)
    for count, expected in ((0, [4]), (1, [3]), (3, [1]), (4, [0])):
        recovered.clear()
        known = dict(zip(hashes[:count], SENDERS, strict=False))
        checked = chain.check(
            made.block, senders=lambda them, known=known: list(map(known.get, them))
        )
        assert checked.hash == made.hash
        assert checked.senders == tuple(SENDERS[:4])
        assert recovered == expected
    # A signature that recovers to nobody: r beyond the field.
    broken = raws[3][:-66] + b"\xa0" + b"\xff" * 32 + raws[3][-33:]
    header = made.block.header
    wrong = replace(made.block, transactions=(*raws[:3], broken))
    with pytest.raises(InvalidBlock) as failure:
        chain.check(wrong, senders=lambda them: [*SENDERS[:3], None])
    assert failure.value.reason is BlockReason.INVALID_TRANSACTION
    assert failure.value.transaction_index == 3
    assert chain.head.number == 0
    assert header.number == 1


# ---- parameters, attachments ----


def fields(**ghost: object) -> dict[str, object]:
    return {
        "chainId": 7,
        "cancunTime": 0,
        "ghost": {"hybridTime": 0, "timestampStepMin": 0, **ghost},
    }


def test_parameters_are_read() -> None:
    assert parse_config(fields(), 0).consensus is None
    assert parse_config(fields(consensus={}), 0).consensus == ConsensusParameters()
    given = parse_config(fields(consensus={"heartbeatMs": 1000}), 0).consensus
    assert given == ConsensusParameters(heartbeat_ms=1000)


@pytest.mark.parametrize(
    "ghost",
    [
        {"consensus": 1},
        {"consensus": {"heartbeat": 1}},
        {"consensus": {"heartbeatMs": 0}},
        {"consensus": {"heartbeatMs": 10**9}},
        {"consensus": {}, "hybridTime": None},
        {"consensus": {}, "hybridTime": 5},
        {"consensus": {}, "timestampStepMin": 1},
    ],
)
def test_parameters_that_cannot_hold_are_refused(ghost: dict[str, object]) -> None:
    with pytest.raises(InvalidGenesis, match=r"config\.ghost\.consensus"):
        parse_config(fields(**ghost), 0)


def test_attachments_have_one_encoding() -> None:
    """Any change to the bytes is another attachment or none."""
    chance = random.Random(20261121)
    evidence = Evidence(*(chance.randbytes(size) for size in (32, 115, 115)))
    made = Attachment(chance.randbytes(333), (evidence, evidence), chance.randbytes(80))
    data = encoded(made)
    assert decode_attachment(data) == made
    for _ in range(3_000):
        changed = bytearray(data)
        place = chance.randrange(len(changed))
        kind = chance.randrange(3)
        if kind == 0:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del changed[place : place + chance.randrange(1, 40)]
        else:
            changed[place:place] = chance.randbytes(chance.randrange(1, 10))
        try:
            found = decode_attachment(bytes(changed))
        except InvalidEncoding:
            continue
        assert encoded(found) == changed


@pytest.mark.parametrize(
    "made",
    [
        Attachment(bytes(16_385), (), bytes(80)),
        Attachment(b"", (), bytes(79)),
        Attachment(b"", (Evidence(bytes(32), bytes(115), bytes(115)),) * 9, bytes(80)),
        Attachment(b"", (Evidence(bytes(32), bytes(115), bytes(114)),), bytes(80)),
    ],
)
def test_attachments_have_bounds(made: Attachment) -> None:
    with pytest.raises(InvalidEncoding):
        decode_attachment(encoded(made))
