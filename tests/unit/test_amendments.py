"""Accounts changed by hand: seen at once, part of the next block, there again after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.chain.amendments import (
    AccountAmendment,
    Amendments,
    decode_amendments,
    encode_amendments,
    merge_amendments,
)
from ghostchain.chain.chain import Chain, SealedBlock
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.chain.transfer import export_file
from ghostchain.chain.verify import verify_state
from ghostchain.contracts import registry
from ghostchain.contracts.addresses import GCC
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import Executor
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding, StorageFailed
from ghostchain.primitives.types import EMPTY_ROOT, Address, Hash32
from ghostchain.rpc.development_parameters import base_fee
from ghostchain.state.views import View
from tests.samples import transfer
from tests.unit.test_chain_crash import Cutter

DEV = network("dev")
SENDER = address_of(TEST_KEYS[0])
SOMEBODY = Address(b"\x5a" * 20)
OTHER = Address(b"\x5b" * 20)
CODE = bytes.fromhex("5f5460015500")  # slot 1 becomes what slot 0 is

words = st.binary(min_size=32, max_size=32).map(Hash32)
accounts = st.builds(
    AccountAmendment,
    nonce=st.none() | st.integers(0, 2**64 - 1),
    balance=st.none() | st.integers(0, 2**256 - 1),
    code=st.none() | st.binary(max_size=70),
    slots=st.dictionaries(words, words, max_size=4),
    clear_storage=st.booleans(),
)
amendments = st.dictionaries(st.binary(min_size=20, max_size=20).map(Address), accounts, max_size=4)


def word(value: int) -> Hash32:
    return Hash32(value.to_bytes(32, "big"))


def batch_of(raws: list[bytes]) -> TransactionBatch:
    batch = TransactionBatch.decode(raws)
    batch.recover()
    return batch


def build(chain: Chain, raws: list[bytes] | None = None, **fields: object) -> SealedBlock:
    options: dict[str, object] = {
        "timestamp": chain.head.timestamp + 1,
        "coinbase": Address(b"\xcb" * 20),
        "prev_randao": Hash32(bytes(32)),
        **fields,
    }
    return chain.build_block(batch_of(raws or []), **options)  # type: ignore[arg-type]


def account(view: View, address: bytes) -> Account | None:
    record = view.account(address, keccak256(address))
    return None if record is None else Account.decode(record)


def slot(view: View, address: bytes, key: int) -> int:
    name = word(key)
    value = view.slot(address, keccak256(address), name, keccak256(name))
    return int.from_bytes(value or b"", "big")


@given(amendments)
def test_bytes_of_amendments(given_amendments: Amendments) -> None:
    """Every amendment comes back from its bytes, and no other bytes stand for it."""
    encoded = encode_amendments(given_amendments)
    assert decode_amendments(encoded) == given_amendments
    assert encode_amendments(decode_amendments(encoded)) == encoded


@given(amendments, st.data())
def test_damaged_amendments_are_refused(given_amendments: Amendments, data: st.DataObject) -> None:
    """A changed byte is refused or stands for other amendments: nothing is read two ways."""
    encoded = bytearray(encode_amendments(given_amendments))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_amendments(bytes(encoded))
    except InvalidEncoding:
        return
    assert encode_amendments(found) == bytes(encoded)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain.open(tmp_path / "data", DEV)


def test_seen_at_once_and_in_the_next_block(chain: Chain) -> None:
    """Pending for readers of the head, settled by the block; who reads the block that was the head
    goes on seeing it, while what is proved of it and runs on it is without."""
    told: list[int] = []
    chain.subscribe(lambda header: None, on_amend=lambda: told.append(chain.head.number))
    before = account(chain.state_at(0), SENDER)
    assert before is not None
    chain.amend(
        {SOMEBODY: AccountAmendment(nonce=7, balance=5, code=CODE, slots={word(0): word(9)})}
    )
    chain.amend({SENDER: AccountAmendment(balance=10**18)})
    chain.amend({SOMEBODY: AccountAmendment(balance=6)})
    assert told == [0, 0, 0]
    for number in (0, 1):
        view = chain.state_at(number)
        found = account(view, SOMEBODY)
        assert found is not None
        assert (found.nonce, found.balance, view.code(found.code_hash)) == (7, 6, CODE)
        assert slot(view, SOMEBODY, 0) == 9
        assert found.storage_root != EMPTY_ROOT
        if number == 0:
            build(chain, [transfer(0, to=SOMEBODY)], gas_limit=None)
    assert chain.pending_amendments == {}
    settled, changed = chain.start_of_child(0)
    assert account(settled, SENDER) == before
    assert account(settled, SOMEBODY) is None
    assert changed.keys() == {SOMEBODY, SENDER}
    assert account(chain.replay(1).view, SOMEBODY) is None
    assert not chain.prove(SOMEBODY, [], 0).account.balance
    found = account(chain.state_at(0), SOMEBODY)
    assert found is not None
    assert (found.nonce, found.balance, slot(chain.state_at(0), SOMEBODY, 0)) == (7, 6, 9)
    assert (chain.amendments_of(1) or {}).keys() == {SOMEBODY, SENDER}
    build(chain)
    assert chain.amendments_of(2) is None
    assert verify_state(chain.storage.database).agrees
    chain.close()


def test_clearing_storage(chain: Chain) -> None:
    """Slots that are not set again go; one that is set to what it was stays."""
    slots = {word(key): word(key + 1) for key in range(4)}
    chain.amend({SOMEBODY: AccountAmendment(code=CODE, slots=slots)})
    build(chain)
    again = {word(1): word(2), word(9): word(1)}
    chain.amend({SOMEBODY: AccountAmendment(clear_storage=True, slots=again)})
    for number in (1, 2):
        view = chain.state_at(number)
        assert [slot(view, SOMEBODY, key) for key in (0, 1, 2, 3, 9)] == [0, 2, 0, 0, 1]
        if number == 1:
            build(chain)
    settled, _ = chain.start_of_child(1)
    assert [slot(settled, SOMEBODY, key) for key in range(4)] == [1, 2, 3, 4]
    assert [slot(chain.state_at(1), SOMEBODY, key) for key in range(4)] == [0, 2, 0, 0]
    assert verify_state(chain.storage.database).agrees
    chain.amend({SOMEBODY: AccountAmendment(clear_storage=True)})
    build(chain)
    found = account(chain.state_at(3), SOMEBODY)
    assert found is not None
    assert found.storage_root == EMPTY_ROOT
    assert verify_state(chain.storage.database).agrees
    chain.close()


def test_empty_accounts(chain: Chain) -> None:
    """What is empty afterwards is gone, unless there is storage under it."""
    chain.amend({SOMEBODY: AccountAmendment(balance=1), OTHER: AccountAmendment(balance=0)})
    assert account(chain.state_at(0), OTHER) is None
    build(chain)
    chain.amend(
        {SOMEBODY: AccountAmendment(balance=0), OTHER: AccountAmendment(slots={word(1): word(2)})}
    )
    for number in (1, 2):
        assert account(chain.state_at(number), SOMEBODY) is None
        assert slot(chain.state_at(number), OTHER, 1) == 2
        assert account(chain.state_at(number), OTHER) is not None
        if number == 1:
            build(chain)
    assert verify_state(chain.storage.database).agrees
    # Something that runs in the same block sees it, too.
    chain.amend({OTHER: AccountAmendment(code=CODE, slots={word(0): word(3)})})
    build(chain, [transfer(0, to=OTHER)], gas_limit=None)
    assert slot(chain.state_at(3), OTHER, 1) == 2  # a transfer's gas runs no code
    chain.close()


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_emptied_slot_by_slot(chain: Chain, blocks: int) -> None:
    """An account that has lost its code and each of its slots is gone, whether in one block or in
    some, and the root is of the other accounts; one that keeps a slot is there."""
    build(chain)
    slots = {word(key): word(key + 1) for key in range(3)}
    chain.amend({SOMEBODY: AccountAmendment(nonce=1, balance=1, code=CODE, slots=slots)})
    build(chain)
    held = chain.head.state_root
    changes = [AccountAmendment(nonce=0, balance=0, code=b"", slots={word(0): word(0)})]
    changes += [AccountAmendment(slots={word(key): word(0)}) for key in (1, 2)]
    for at, change in enumerate(changes):
        chain.amend({SOMEBODY: change})
        if at >= 3 - blocks:
            build(chain)
            found = account(chain.state_at(chain.head.number), SOMEBODY)
            assert (found is None) is (at == 2)
            assert verify_state(chain.storage.database).agrees
    assert slot(chain.state_at(chain.head.number), SOMEBODY, 1) == 0
    last = chain.head.number
    replay = chain.replay(last)
    result = Executor(replay.view, contracts=registry.RUN).run_block(
        replay.environment, replay.batch, replay.withdrawals, amendments=replay.amendments
    )
    assert result.receipts_root == chain.head.receipts_root
    # It comes back with nothing of what it had, and the past is as it was.
    chain.amend({SOMEBODY: AccountAmendment(code=CODE, slots={word(7): word(8)})})
    build(chain)
    assert [slot(chain.state_at(last + 1), SOMEBODY, key) for key in (0, 1, 2, 7)] == [0, 0, 0, 8]
    settled, _ = chain.start_of_child(2)
    assert [slot(settled, SOMEBODY, key) for key in (0, 1, 2, 7)] == [1, 2, 3, 0]
    chain.rewind(2)
    assert chain.head.state_root == held
    assert verify_state(chain.storage.database).agrees
    assert [slot(chain.state_at(2), SOMEBODY, key) for key in (0, 1, 2, 7)] == [1, 2, 3, 0]
    chain.close()


def test_pending_ones_outlive_a_restart(tmp_path: Path) -> None:
    """Durable at once; the block that takes them takes them off the disk."""
    path = tmp_path / "data"
    chain = Chain.open(path, DEV)
    first: Amendments = {
        SOMEBODY: AccountAmendment(balance=5, slots={word(1): word(2), word(2): word(0)})
    }
    second: Amendments = {
        SOMEBODY: AccountAmendment(clear_storage=True, slots={word(3): word(4)}),
        OTHER: AccountAmendment(code=CODE),
    }
    chain.amend(first)
    chain.amend(second)
    assert chain.pending_amendments == merge_amendments(first, second)
    chain.close()
    chain = Chain.open(path, DEV)
    assert chain.pending_amendments == merge_amendments(first, second)
    assert slot(chain.state_at(0), SOMEBODY, 3) == 4
    build(chain)
    chain.close()
    chain = Chain.open(path, DEV)
    assert chain.pending_amendments == {}
    assert slot(chain.state_at(1), SOMEBODY, 3) == 4
    chain.close()


def test_headers_by_hand(tmp_path: Path) -> None:
    """Time, fees, limits as said; refused where they are not asked for, and out of range."""
    path = tmp_path / "data"
    chain = Chain.open(path, DEV)
    build(chain, timestamp=100)
    parent = chain.head
    with pytest.raises(InvalidBlock):
        build(chain, timestamp=parent.timestamp - 5)
    for wrong in ({"base_fee": 2**200}, {"gas_limit": 0}, {"excess_blob_gas": 2**60}):
        with pytest.raises(ValueError):
            build(chain, is_free=True, **wrong)
    build(chain, timestamp=parent.timestamp - 5, is_free=True)
    assert chain.head.timestamp == parent.timestamp - 5
    assert chain.amendments_of(2) == {}
    build(chain, is_free=True, gas_limit=10**9, base_fee=0, excess_blob_gas=2**28)
    head = chain.head
    assert (head.gas_limit, head.base_fee_per_gas, head.excess_blob_gas) == (10**9, 0, 2**28)
    build(chain, is_free=True)
    assert chain.amendments_of(4) is None  # what any block could be
    build(chain, is_free=True, timestamp=2**63)
    chain.close()
    chain = Chain.open(path, DEV)
    assert chain.head.timestamp == 2**63
    chain.close()


def test_run_once_more(chain: Chain) -> None:
    """Replaying a block made by hand gives its receipts and changes again."""
    chain.amend({SOMEBODY: AccountAmendment(code=CODE, slots={word(0): word(9)})})
    build(chain, [transfer(0, to=OTHER)], base_fee=77)
    replay = chain.replay(1)
    result = Executor(replay.view, contracts=registry.RUN).run_block(
        replay.environment, replay.batch, replay.withdrawals, amendments=replay.amendments
    )
    header = chain.header(1)
    assert header is not None
    assert result.receipts_root == header.receipts_root
    assert result.gas_used == header.gas_used == 21000
    chain.close()


def test_refused_where_many_decide(chain: Chain) -> None:
    """A chain with consensus is not changed by hand, whatever is asked of it."""
    chain.config = replace(chain.config, consensus=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="development chain"):
        chain.amend({SOMEBODY: AccountAmendment(balance=1)})
    with pytest.raises(ValueError, match="development chain"):
        build(chain, base_fee=1)
    chain.close()


def extend(chain: Chain, number: int) -> None:
    chain.amend({SOMEBODY: AccountAmendment(balance=number, slots={word(number): word(1)})})
    build(chain, [transfer(number, to=OTHER)], base_fee=1000 + number, timestamp=9, is_free=True)


def test_cut_at_every_step(tmp_path: Path) -> None:
    """A kill between any two steps loses no acknowledged amendment or block; a block whose records
    are whole comes back as it was made."""
    blocks = 3
    cutter = Cutter(tmp_path / "data", tmp_path / "copies")
    cutter.copies.mkdir()
    chain = Chain.open(cutter.data, DEV, on_step=cutter.on_step)
    hashes: list[bytes] = [chain.head_hash]
    for number in range(blocks):
        extend(chain, number)
        cutter.acknowledged = chain.head.number
        hashes.append(chain.head_hash)
    chain.close()
    came_back = 0
    for _, copy, acknowledged in cutter.cuts:
        chain = Chain.open(copy, DEV)
        head = chain.head.number
        came_back += head > acknowledged
        assert head >= acknowledged
        assert [chain.hash_of(number) for number in range(head + 1)] == hashes[: head + 1]
        assert verify_state(chain.storage.database).agrees
        if head < blocks and chain.pending_amendments:
            assert chain.pending_amendments[SOMEBODY].balance == head
            build(
                chain, [transfer(head, to=OTHER)], base_fee=1000 + head, timestamp=9, is_free=True
            )
        for number in range(chain.head.number, blocks):
            extend(chain, number)
        assert chain.head_hash == hashes[blocks]
        chain.close()
    assert came_back > 0


def test_export_stops_at_a_block_by_hand(tmp_path: Path) -> None:
    """A chain file has no place for it: refused with the block and what to do, no file left."""
    chain = Chain.open(tmp_path / "data", DEV)
    build(chain)
    chain.amend({SOMEBODY: AccountAmendment(balance=1)})
    build(chain)
    path = tmp_path / "chain.rlp"
    with pytest.raises(StorageFailed, match=r"block 2 was made by hand .* up to block 1"):
        export_file(chain, path)
    assert list(tmp_path.glob("chain.rlp*")) == []
    assert export_file(chain, path, last=1) == 2
    chain.close()


def test_the_coins_supply_follows(chain: Chain) -> None:
    """On a hybrid chain what is given by hand is minted, what is taken is burnt: the face of the
    coin says as much more, or less, as balances do."""

    def supply() -> int:
        return slot(chain.state_at(chain.head.number), GCC, 2)

    before, owned = supply(), account(chain.state_at(0), SENDER)
    assert owned is not None
    chain.amend({SOMEBODY: AccountAmendment(balance=1000), SENDER: AccountAmendment(balance=7)})
    build(chain)
    assert supply() - before == 1000 + 7 - owned.balance
    chain.amend({SOMEBODY: AccountAmendment(balance=2**256 - 1)})
    build(chain)
    assert supply() == 2**256 - 1
    chain.close()


def test_what_is_taken_can_be_built(chain: Chain) -> None:
    """The largest base fee that RPC takes makes a block, and full blocks after it; one more wei is
    refused there, not when the block is due."""
    largest = base_fee(hex(2**128 - 1))
    with pytest.raises(ValueError, match="below 2\\^128"):
        base_fee(hex(2**128))
    build(chain, base_fee=largest)
    assert chain.head.base_fee_per_gas == largest
    build(chain)
    chain.close()


def test_blocks_of_others_leave_it_pending(tmp_path: Path) -> None:
    """An imported block does not take what waits: it waits on, now and after a restart."""
    source = Chain.open(tmp_path / "source", DEV, is_durable=False)
    build(source, [transfer(0, to=OTHER)])
    block = source.block(1)
    assert block is not None
    chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    wanted: Amendments = {SOMEBODY: AccountAmendment(balance=5)}
    chain.amend(wanted)
    chain.import_block(block)
    for _ in range(2):
        assert chain.head.number == 1
        assert chain.pending_amendments == wanted
        found = account(chain.state_at(1), SOMEBODY)
        assert found is not None
        assert found.balance == 5
        chain.close()
        chain = Chain.open(tmp_path / "data", DEV, is_durable=False)
    build(chain)
    assert chain.pending_amendments == {}
    chain.close()
    source.close()
