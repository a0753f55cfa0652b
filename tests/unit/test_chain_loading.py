"""A chain that is put together from a dump, and put in another one's place, whatever is wrong with
the dump and wherever a kill comes."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain import replacing
from ghostchain.chain.chain import Chain
from ghostchain.chain.loading import put_together
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.encoding.unsigned import encode_unsigned
from ghostchain.node.development import dump, loading
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32

BOB = Address(b"\xb0" * 20)
WHALE = Address(b"\x3f" * 20)
LOGGER = Address(b"\xc0" * 20)
# Slot 0 goes up by one, and its new value is logged.
LOGGING = bytes.fromhex("5f54600101805f555f52600160205fa1")
GENESIS = network("dev")
CHAIN_ID = GENESIS.config.chain_id
BLOCKS = 6
JUNK: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1 << 63, 1 << 64, "", "0x", "0x0", "0xzz", [], {}, [[]], {"a": 1}),
    *("0x" + "ff" * 20, "0x" + "ff" * 32, "0x" + "ff" * 33, ["0x1"]),
)


def transfer(nonce: int, to: Address, *, signed: bool = True) -> bytes:
    tx = Transaction(
        type=2,
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_fee_per_gas=10**11,
        max_priority_fee_per_gas=10**9,
        gas_limit=200_000,
        to=to,
        value=0 if to == LOGGER else 7,
    )
    if signed:
        return encode_transaction(sign_transaction(tx, TEST_KEYS[0]))
    return encode_unsigned(tx, WHALE)


def lived(path: Path) -> Chain:
    """A chain of blocks with transfers, logs, changes by hand and what nobody signed."""
    chain = Chain.open(path, GENESIS)
    chain.amend({LOGGER: AccountAmendment(code=LOGGING), WHALE: AccountAmendment(balance=10**20)})
    for number in range(BLOCKS):
        raws = [transfer(2 * number, BOB), transfer(2 * number + 1, LOGGER)]
        raws.append(transfer(number, BOB, signed=False))
        batch = TransactionBatch.decode(raws, allows_unsigned=True)
        batch.recover()
        sealed = chain.build_block(
            batch,
            timestamp=chain.head.timestamp + 12,
            coinbase=Address(b"\x77" * 20),
            prev_randao=Hash32(bytes([number]) * 32),
        )
        assert all(outcome.included for outcome in sealed.outcomes)
    chain.amend({BOB: AccountAmendment(nonce=3)})
    return chain


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chain, dict[str, Any]]]:
    chain = lived(tmp_path_factory.mktemp("told") / "chain")
    moment = dump.moment_of(chain, chain.next_environment())
    yield chain, json.loads(dump.dump(chain, moment, with_history=True))
    chain.close()


def loaded_from(document: dict[str, Any], path: Path) -> Chain:
    """The chain of a dump. Raises: ValueError."""
    found = loading.parse(json.dumps(document).encode())
    assert found.run
    wanted = found.chain(CHAIN_ID, CHAIN_ID)
    genesis = replace(GENESIS, header=wanted.blocks[0].header)
    last = loading.laid_over(GENESIS.alloc, found.accounts)
    states = itertools.chain(found.older_states(wanted.oldest, {}), [last])
    put_together(path, genesis, wanted, states)
    return Chain.open(path, genesis)


def test_blocks_receipts_logs_and_states_are_those_of_the_chain(
    told: tuple[Chain, dict[str, Any]], tmp_path: Path
) -> None:
    chain, document = told
    other = loaded_from(document, tmp_path / "chain")
    assert other.head_hash == chain.head_hash
    for number in range(1, BLOCKS + 1):
        body, found = chain.body(number), other.body(number)
        assert body is not None
        assert found is not None
        assert found.data == body.data
        assert other.receipts(number) == chain.receipts(number)
        for raw in TransactionBatch.decode(body.raws(), allows_unsigned=True).hashes():
            assert other.transaction_location(raw) == chain.transaction_location(raw)
        ours, theirs = chain.prove(BOB, [], number), other.prove(BOB, [], number)
        # What was changed by hand after the last block is in its state there.
        assert (ours.account == theirs.account) == (number < BLOCKS)
    everything = (0, BLOCKS, [], [])
    assert list(other.logs(*everything)) == list(chain.logs(*everything))
    other.rewind(2)
    assert other.head_hash == chain.hash_of(2)
    batch = TransactionBatch.decode([transfer(4, BOB)])
    batch.recover()
    sealed = other.build_block(
        batch,
        timestamp=other.head.timestamp + 1,
        coinbase=BOB,
        prev_randao=Hash32(bytes(32)),
    )
    assert sealed.outcomes[0].included
    other.close()
    again = Chain.open(tmp_path / "chain", other.genesis)
    assert again.head_hash == sealed.hash
    again.close()


def test_without_older_states_there_is_the_last_one(
    told: tuple[Chain, dict[str, Any]], tmp_path: Path
) -> None:
    chain, document = told
    other = loaded_from({**document, "historical_states": None}, tmp_path / "chain")
    assert other.oldest_state == BLOCKS
    with pytest.raises(StateUnavailable):
        other.state_at(BLOCKS - 1)
    assert other.receipts(1) == chain.receipts(1)
    other.close()


def test_blocks_that_are_linked_to_the_head_count(
    told: tuple[Chain, dict[str, Any]], tmp_path: Path
) -> None:
    """Another block at a height is left out; without a parent, or the receipts of one, the chain
    begins there."""
    chain, document = told
    stray = json.loads(json.dumps(document["blocks"][-1]))
    stray["header"]["parentHash"] = "0x" + "12" * 32
    other = loaded_from(
        {**document, "blocks": [*document["blocks"], stray]}, tmp_path / "with another head"
    )
    assert (other.head_hash, other.begin) == (chain.head_hash, 0)
    other.close()
    other = loaded_from({**document, "blocks": document["blocks"][2:]}, tmp_path / "cut")
    assert (other.head_hash, other.begin) == (chain.head_hash, 2)
    assert (other.hash_of(1), other.receipts(3)) == (None, chain.receipts(3))
    other.close()
    mined = [one for one in document["transactions"] if one["block_number"] != 4]
    other = loaded_from({**document, "transactions": mined}, tmp_path / "without receipts")
    assert (other.head_hash, other.begin) == (chain.head_hash, 4)
    other.close()


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from places_in(inside, (*place, name))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from places_in(inside, (*place, index))


def test_whatever_is_wrong_with_a_dump_it_is_refused_or_opens(
    told: tuple[Chain, dict[str, Any]], tmp_path: Path
) -> None:
    """Values replaced and left out at random: nothing but ValueError comes of it."""
    _, document = told
    places = [place for place in places_in(document) if place]
    chance = random.Random(20_261)
    outcomes = {"refused": 0, "opened": 0, "without blocks": 0}
    for turn in range(150):
        broken = json.loads(json.dumps(document))
        *path, last = chance.choice(places)
        inside = broken
        for step in path:
            inside = inside[step]
        if chance.random() < 0.2:
            del inside[last]
        else:
            inside[last] = chance.choice(JUNK)
        try:
            if not loading.parse(json.dumps(broken).encode()).run:
                outcomes["without blocks"] += 1
                continue
            other = loaded_from(broken, tmp_path / str(turn))
        except ValueError:
            outcomes["refused"] += 1
            continue
        list(other.logs(0, BLOCKS, [], []))
        other.close()
        outcomes["opened"] += 1
    assert all(outcomes[name] > 10 for name in ("refused", "opened")), outcomes


class Killed(Exception):
    """A step that a kill came before."""


@pytest.mark.parametrize("step", range(12))
def test_a_kill_while_it_is_put_in_place_leaves_the_new_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    def files(where: Path, text: str) -> None:
        for name in ("state", "blocks"):
            (where / name).mkdir(parents=True)
            (where / name / "one").write_text(text)
        (where / "IDENTITY").write_text(text)

    files(tmp_path, "old")
    (tmp_path / "blooms").write_text("old")
    files(tmp_path / "next", "new")
    replacing.begin_replacing(tmp_path)
    left = step

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*arguments, **named)

        return run

    with monkeypatch.context() as patched:
        patched.setattr(replacing.shutil, "rmtree", dying(replacing.shutil.rmtree))
        patched.setattr(Path, "rename", dying(Path.rename))
        patched.setattr(replacing, "sync", dying(replacing.sync))
        with contextlib.suppress(Killed):
            replacing.put_in_place(tmp_path)
    replacing.finish_replacing(tmp_path, ())
    for name in ("state", "blocks"):
        assert (tmp_path / name / "one").read_text() == "new"
    assert (tmp_path / "IDENTITY").read_text() == "new"
    assert not (tmp_path / "blooms").exists()
    assert not (tmp_path / "next").exists()
