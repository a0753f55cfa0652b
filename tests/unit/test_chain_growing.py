"""Many empty blocks at once are those that would be made one by one, and as safe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain import writer
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.chain.verify import verify_state
from ghostchain.chain.writer import Proposal
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.errors import InvalidBlock
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from tests.unit.test_chain import COINBASE, batch_of, build, grow
from tests.unit.test_chain_crash import Cutter, tear

DEV = network("dev")
HOLDER = Address(b"\x5a" * 20)
AMENDED = {HOLDER: AccountAmendment(balance=9, slots={Hash32(bytes(32)): Hash32(b"\1" * 32)})}


def proposed(parent: Header) -> Proposal:
    return Proposal(
        timestamp=parent.timestamp + 3,
        coinbase=COINBASE,
        prev_randao=keccak256(parent.prev_randao),
    )


def one_by_one(chain: Chain, count: int) -> None:
    for _ in range(count):
        proposal = proposed(chain.head)
        chain.build_block(
            batch_of([]),
            timestamp=proposal.timestamp,
            coinbase=proposal.coinbase,
            prev_randao=proposal.prev_randao,
        )


@pytest.mark.parametrize("count", [1, 2, writer.GROUP_BLOCKS_MAX, 3 * writer.GROUP_BLOCKS_MAX + 5])
def test_they_are_the_same_blocks(count: int, tmp_path: Path) -> None:
    """Hashes, states and what a listener hears; the first takes what is pending."""
    heads: list[list[int]] = [[], []]
    found = []
    for place, path in enumerate((tmp_path / "one", tmp_path / "many")):
        chain = Chain.open(path, DEV)
        grow(chain, 3)
        chain.amend(AMENDED)
        told = heads[place]
        chain.subscribe(lambda header, told=told: told.append(header.number))  # type: ignore[misc]
        if place:
            made = chain.build_empty(count, proposed)
            assert [one.block.header.number for one in made] == told
        else:
            one_by_one(chain, count)
        assert not chain.pending_amendments
        assert [chain.is_by_hand(number) for number in told] == [True] + [False] * (count - 1)
        hashes = [chain.hash_of(number) for number in range(chain.head.number + 1)]
        build(chain, [])
        found.append((hashes, chain.head_hash))
        chain.close()
        reopened = Chain.open(path, DEV)
        assert reopened.head_hash == found[-1][1]
        reopened.rewind(3)
        reopened.close()
    assert found[0] == found[1]
    assert heads[0] == heads[1] == list(range(4, 5 + count))


def test_a_block_that_cannot_be_made_takes_none_before_it_back(tmp_path: Path) -> None:
    """They are committed, and the chain goes on."""
    chain = Chain.open(tmp_path, DEV)

    def until_fifth(parent: Header) -> Proposal:
        proposal = proposed(parent)
        return replace(proposal, timestamp=parent.timestamp) if parent.number == 4 else proposal

    with pytest.raises(InvalidBlock):
        chain.build_empty(9, until_fifth)
    assert chain.head.number == 4
    chain.build_empty(2, proposed)
    assert chain.head.number == 6
    chain.close()


@pytest.mark.parametrize("torn", [0, 1, 60, 300])
def test_a_kill_at_any_step_leaves_whole_blocks(
    torn: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a listener was told of is there, and what is there more are the blocks that were being
    made. torn: bytes that the last write lacks, of those that no sync has reached."""
    monkeypatch.setattr(writer, "GROUP_BLOCKS_MAX", 3)
    count = 8
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, DEV, on_step=cutter.on_step)
    chain.amend(AMENDED)
    first = len(cutter.cuts)

    def told(header: Header) -> None:
        cutter.acknowledged = header.number

    chain.subscribe(told)
    chain.build_empty(count, proposed)
    hashes = [chain.hash_of(number) for number in range(count + 1)]
    chain.close()
    heads, synced = set(), 32
    for name, copy, acknowledged in cutter.cuts[first:]:
        segment = copy / "blocks" / "blocks-000000.seg"
        if name == "sync":
            synced = segment.stat().st_size
        if torn and name == "append":
            tear(segment, torn, synced)
        reopened = Chain.open(copy, DEV)
        head = reopened.head.number
        heads.add(head)
        assert head >= acknowledged
        assert [reopened.hash_of(number) for number in range(head + 1)] == hashes[: head + 1]
        assert bool(reopened.pending_amendments) == (head == 0)
        assert verify_state(reopened.storage.database).agrees
        if head < count:
            reopened.build_empty(count - head, proposed)
        assert reopened.head_hash == hashes[count]
        reopened.close()
    assert {0, 3, 6, 8} <= heads
