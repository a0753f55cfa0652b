"""A fork of a chain does what the chain itself does: random contracts and transactions on both,
whatever is read of the remote, taken back, amended or opened again meanwhile."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.amendments import AccountAmendment
from ghostchain.chain.chain import Chain
from ghostchain.chain.fork import ForkStart, begin_fork
from ghostchain.chain.genesis import Genesis, parse_genesis
from ghostchain.chain.networks import network
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.fork.origin import REQUEST_CONTRACTS, SYSTEM_CONTRACTS
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import RemoteFailed, StateUnavailable
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Address, Hash32
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.state.remote import BEACON_ROOTS, HISTORY_STORAGE, REMOTE_ROOT, RING, Missed
from ghostchain.state.views import View
from ghostchain.storage.database import after
from tests.differential.generate import (
    BASE_FEE,
    COINBASE,
    CONTRACTS,
    GAS_LIMIT,
    SENDERS,
    pre_state,
    transaction,
)

SYSTEM = network("dev").alloc


class Mirror:
    """The remote view of a chain that is here: what a remote node would tell of one state."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.asked: list[bytes] = []
        self.is_down = False

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        self.ask(address)
        record = self.view.account(address, hashed)
        if record is None:
            return None
        account = Account.decode(record)
        has_storage = account.nonce or account.code_hash != EMPTY_CODE_HASH
        root = Hash32(REMOTE_ROOT) if has_storage else EMPTY_ROOT
        return Account(account.nonce, account.balance, root, account.code_hash).encode()

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        self.ask(address + key)
        return self.view.slot(address, hashed_address, key, hashed_key)

    def code(self, code_hash: bytes) -> bytes:
        self.ask(code_hash)
        return self.view.code(code_hash)

    def block_hash(self, number: int) -> bytes | None:
        return self.view.block_hash(number)

    def prefetch(
        self, addresses: Collection[bytes], slots: Collection[tuple[bytes, bytes]] = ()
    ) -> None:
        return

    def guessing(self, missed: Missed) -> AbstractContextManager[None]:
        """All is here, so that nothing is ever missed."""
        return nullcontext()

    def impatient(self) -> AbstractContextManager[None]:
        return nullcontext()

    def fetched(self, missed: Missed) -> Future[None]:
        answer: Future[None] = Future()
        answer.set_result(None)
        return answer

    def wait_for(self, answer: Future[None]) -> None:
        answer.result()

    def hint(self, call: Mapping[str, Any]) -> None:
        return

    def ask(self, name: bytes) -> None:
        if self.is_down:
            raise RemoteFailed("down")
        self.asked.append(name)


def genesis_of(chance: random.Random) -> Genesis:
    alloc = pre_state(chance, "Osaka")
    for address in (*SYSTEM_CONTRACTS, *REQUEST_CONTRACTS):
        alloc["0x" + address.hex()] = {
            "balance": "0x0",
            "nonce": "0x1",
            "code": "0x" + SYSTEM[address].code.hex(),
        }
    config = {
        "chainId": 1,
        "terminalTotalDifficulty": 0,
        "cancunTime": 0,
        "pragueTime": 0,
        "osakaTime": 0,
    }
    header = {"gasLimit": hex(GAS_LIMIT), "baseFeePerGas": hex(BASE_FEE), "timestamp": "0x1000"}
    return parse_genesis({"config": config, "alloc": alloc, "difficulty": "0x0", **header})


class Pair:
    """A chain and a fork of it, at the same block, driven together."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.genesis = genesis_of(self.chance)
        self.nonces = dict.fromkeys(SENDERS, 0)
        self.chain = Chain.open(folder / "chain", self.genesis, is_durable=False)
        for _ in range(self.chance.randrange(0, 4)):
            self.build(self.chain, self.transactions(), self.moment())
        self.begin = self.chain.head.number
        head = self.chain.head
        self.mirror = Mirror(self.chain.state_at(self.begin))
        self.forked = Genesis(self.genesis.config, head, {}, "fork")
        begin_fork(folder / "fork", self.forked, ForkStart({}, {}, b"{}"))
        self.fork = self.opened()

    def opened(self) -> Chain:
        return Chain.open(self.folder / "fork", self.forked, is_durable=False, remote=self.mirror)

    def transactions(self) -> list[bytes]:
        count = self.chance.randrange(0, 6)
        return [transaction(self.chance, "Osaka", self.nonces) for _ in range(count)]

    def moment(self) -> tuple[int, Hash32, Hash32]:
        """Time, randomness, beacon root of the next block."""
        step = self.chance.choice((1, 1, 12, RING + 1))
        root = self.chance.choice((bytes(32), self.chance.randbytes(32)))
        time = self.chain.head.timestamp + step
        return time, Hash32(self.chance.randbytes(32)), Hash32(root)

    @staticmethod
    def build(chain: Chain, raws: list[bytes], moment: tuple[int, Hash32, Hash32]) -> None:
        batch = TransactionBatch.decode(raws)
        batch.recover()
        chain.build_block(
            batch,
            timestamp=moment[0],
            coinbase=COINBASE,
            prev_randao=moment[1],
            parent_beacon_block_root=moment[2],
        )

    def both(self) -> None:
        raws, moment = self.transactions(), self.moment()
        self.build(self.chain, raws, moment)
        self.build(self.fork, raws, moment)
        number = self.chain.head.number
        ours, theirs = self.fork.receipts_record(number), self.chain.receipts_record(number)
        assert ours is not None
        assert theirs is not None
        assert ours.data == theirs.data

    def same_states(self) -> None:
        for number in range(self.begin, self.chain.head.number + 1):
            self.same_state(self.chain.state_at(number), self.fork.state_at(number))
        self.same_flat()

    def same_state(self, theirs: View, ours: View) -> None:
        for address in (*SENDERS, *CONTRACTS, COINBASE, HISTORY_STORAGE, BEACON_ROOTS):
            hashed = keccak256(address)
            assert plain(ours.account(address, hashed)) == plain(theirs.account(address, hashed))
            for number in range(7):
                key = number.to_bytes(32, "big")
                place = address, hashed, key, keccak256(key)
                if address not in (HISTORY_STORAGE, BEACON_ROOTS):
                    assert (ours.slot(*place) or bytes(32)) == (theirs.slot(*place) or bytes(32))
        head_time = self.fork.head.timestamp
        for number in (head_time % RING, head_time % RING + RING):
            key = number.to_bytes(32, "big")
            place = BEACON_ROOTS, keccak256(BEACON_ROOTS), key, keccak256(key)
            assert (ours.slot(*place) or bytes(32)) == (theirs.slot(*place) or bytes(32))

    def same_flat(self) -> None:
        """All accounts that are stored in the fork, those of new contracts too."""
        reader = self.fork.latest()[2]
        original = self.chain.latest()[2]
        with reader.items(keys.ACCOUNT, after(keys.ACCOUNT)) as items:
            for key, stored in items:
                there = original.get(key)
                assert plain(expand(stored)) == plain(None if there is None else expand(there))
        ring = keccak256(HISTORY_STORAGE)
        with reader.items(keys.SLOT, after(keys.SLOT)) as items:
            for key, stored in items:
                if key[1:33] != ring:
                    there = original.get(key)
                    assert stored.lstrip(b"\0") == (there or b""), key.hex()

    def close(self) -> None:
        self.fork.close()
        self.chain.close()


def plain(record: bytes | None) -> bytes | None:
    """Nonce, balance and code hash: the storage root is a mark on a fork."""
    return None if record is None else record[:40] + record[72:]


@pytest.mark.parametrize("seed", range(60))
def test_a_fork_does_what_the_chain_does(seed: int, tmp_path: Path) -> None:
    pair = Pair(seed, tmp_path)
    try:
        for _ in range(4):
            pair.both()
        pair.same_states()
        pair.fork.close()
        pair.fork = pair.opened()
        pair.both()
        pair.same_states()
    finally:
        pair.close()


@pytest.mark.parametrize("seed", range(20))
def test_blocks_taken_back_leave_the_remote_visible(seed: int, tmp_path: Path) -> None:
    pair = Pair(1_000 + seed, tmp_path)
    try:
        pair.both()
        middle = pair.chain.head.number
        nonces = dict(pair.nonces)
        for _ in range(3):
            pair.both()
        back = pair.chance.choice((middle, pair.begin))
        if back == middle:
            pair.nonces = nonces
        else:
            pair.nonces = {
                address: Account.decode(
                    pair.mirror.view.account(address, keccak256(address)) or b""
                ).nonce
                for address in SENDERS
            }
        pair.chain.rewind(back)
        pair.fork.rewind(back)
        assert pair.fork.head.number == back
        pair.same_state(pair.chain.state_at(back), pair.fork.state_at(back))
        for _ in range(2):
            pair.both()
        pair.same_states()
    finally:
        pair.close()


@pytest.mark.parametrize("seed", range(10))
def test_amendments_lie_over_the_remote(seed: int, tmp_path: Path) -> None:
    pair = Pair(2_000 + seed, tmp_path)
    try:
        for _ in range(2):
            target = pair.chance.choice((*CONTRACTS, Address(pair.chance.randbytes(20))))
            amendment = AccountAmendment(
                balance=pair.chance.choice((None, 0, 5)),
                nonce=pair.chance.choice((None, 7)),
                code=pair.chance.choice((None, b"", bytes.fromhex("5f5450"))),
                slots={Hash32((1).to_bytes(32, "big")): Hash32(pair.chance.randbytes(32))},
                clear_storage=pair.chance.random() < 0.3,
            )
            pair.chain.amend({target: amendment})
            pair.fork.amend({target: amendment})
            pair.both()
        pair.same_states()
    finally:
        pair.close()


def test_a_remote_that_fails_leaves_the_block_unmade(tmp_path: Path) -> None:
    pair = Pair(7, tmp_path)
    try:
        pair.mirror.is_down = True
        raws, moment = [], pair.moment()
        while not raws:
            raws = pair.transactions()
        head = pair.fork.head
        with pytest.raises(RemoteFailed):
            pair.build(pair.fork, raws, moment)
        assert pair.fork.head == head
        pair.mirror.is_down = False
        pair.build(pair.fork, raws, moment)
        pair.build(pair.chain, raws, moment)
        pair.same_states()
    finally:
        pair.close()


def test_what_was_written_here_is_never_asked_for(tmp_path: Path) -> None:
    """Empty blocks ask nothing new once the first has asked for the system contracts."""
    pair = Pair(11, tmp_path)
    try:
        pair.build(pair.fork, [], pair.moment())
        known = set(pair.mirror.asked)
        for step in (0, 1, RING, 5):
            moment = (pair.fork.head.timestamp + 1 + step, Hash32(bytes(32)), Hash32(bytes(32)))
            pair.build(pair.fork, [], moment)
        assert set(pair.mirror.asked) == known
        with pytest.raises(StateUnavailable, match="keeps no trie"):
            pair.fork.prove(SENDERS[0], [], pair.fork.head.number)
    finally:
        pair.close()
