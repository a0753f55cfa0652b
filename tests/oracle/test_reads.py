"""The busiest reads, answered natively: every body that is taken has the very bytes for an answer
that the ordinary way gives; what is not in the well-known form is not taken."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import load_genesis
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import BlockEnvironment, Executor
from ghostchain.execution.forks import Fork
from ghostchain.execution.reads import Reading, ReadsHead
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.node.backend import NodeBackend
from ghostchain.primitives.errors import StorageFailed
from ghostchain.rpc.asking import Asker
from ghostchain.rpc.dispatch import Dispatcher, TooFast
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import Limits
from ghostchain.rpc.services import make_services
from ghostchain.rpc.workers import Workers
from tests.node.whole_chain import ALICE, BOB, COINBASE, TARGET, WholeChain, make, word

ITEMS_MAX = 1000
ANSWER_BYTES_MAX = 25_000_000
# Stands for the members that a call may have beyond those of a plain one.
EXTRA: dict[str, Any] = {"gas": "0x10000"}


@dataclass
class Ways:
    """The same node, asked in both ways."""

    world: WholeChain
    native: Dispatcher
    ordinary: Dispatcher

    def both(self, body: bytes) -> tuple[bytes, bytes]:
        return (
            asyncio.run(self.native.answer(body)),
            asyncio.run(self.ordinary.answer(body)),
        )


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    world = make(tmp_path_factory.mktemp("reads"))
    with ExitStack() as stack:
        chain = Chain.open(world.directory, load_genesis(world.genesis))
        stack.callback(chain.close)
        admission = stack.enter_context(ThreadPoolExecutor(1))
        options = RpcOptions()
        workers = Workers(threads=2, queue_max=8, timeout_s=10.0)
        stack.callback(workers.stop)
        services = make_services(NodeBackend(chain, "test", admission), options, workers)
        native, ordinary = (
            Dispatcher(services, METHODS, workers, options.limits) for _ in range(2)
        )
        ordinary.takes_reads = False
        yield Ways(world, native, ordinary)


def body_of(method: str, *params: Any, identity: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": list(params)}


def shown(data: bytes) -> str:
    return "0x" + data.hex()


def calls(world: WholeChain, seed: int) -> list[dict[str, Any]]:
    """Reads of all kinds, and among them some that must go elsewhere."""
    chance = random.Random(seed)
    who = [ALICE, BOB, TARGET, COINBASE, world.contract, bytes(20), bytes(19) + b"\x04"]

    def address() -> str:
        found = shown(chance.choice(who) if chance.random() < 0.8 else chance.randbytes(20))
        return found if chance.random() < 0.8 else "0x" + found[2:].upper()

    def message() -> dict[str, Any]:
        data = chance.choice([b"", b"\x01", b"\x01\x02", word(5), chance.randbytes(70)])
        found = {"to": address(), chance.choice(["data", "input"]): shown(data)}
        if chance.random() < 0.3:
            found["from"] = address()
        if chance.random() < 0.1:
            del found[next(iter(found.keys() - {"to", "from"}))]
        members = list(found.items())
        chance.shuffle(members)
        return dict(members)

    def one(identity: Any) -> dict[str, Any]:
        block = chance.choice([("latest",), ()])
        match chance.randrange(5):
            case 0:
                return body_of("eth_blockNumber", identity=identity)
            case 1:
                return body_of("eth_chainId", identity=identity)
            case 2:
                return body_of("eth_getBalance", address(), *block, identity=identity)
            case 3:
                return body_of("eth_getTransactionCount", address(), *block, identity=identity)
            case _:
                return body_of("eth_call", message(), *block, identity=identity)

    identities = [0, 7, 10**17, "a", "", "über"[1:], "x y/z"]
    return [one(chance.choice(identities)) for _ in range(chance.randrange(1, 12))]


@pytest.mark.parametrize("seed", range(60))
def test_answers_are_those_of_the_ordinary_way(ways: Ways, seed: int) -> None:
    """Alone, in batches, with any spaces."""
    asked = calls(ways.world, seed)
    spaces = [(",", ":"), (" , ", " : "), (",\r\n\t", ":\n")][seed % 3]
    bodies = [json.dumps(item, separators=spaces).encode() for item in asked]
    bodies.append(json.dumps(asked, separators=spaces).encode())
    for body in bodies:
        assert Reading(ANSWER_BYTES_MAX).take(body, ITEMS_MAX) > 0, body
        mine, theirs = ways.both(body)
        assert mine == theirs, body


@pytest.mark.parametrize("seed", range(200))
def test_mutations_are_answered_alike(ways: Ways, seed: int) -> None:
    """Whether such a body is taken or not."""
    chance = random.Random(1000 + seed)
    asked: Any = calls(ways.world, seed)
    body = bytearray(json.dumps(asked if chance.random() < 0.5 else asked[0]).encode())
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] = chance.choice(b'{}[]",:0x9aZ \\\x00\x7f\xff-e.')
            case 1:
                del body[at : at + chance.randrange(1, 9)]
            case 2:
                body[at:at] = chance.choice([b",", b'"', b" ", b"null", b'"id":2,', b"0"])
            case _:
                other = chance.randrange(len(body))
                body[at : at + 12] = body[other : other + 12]
        if not body:
            body = bytearray(b" ")
    mine, theirs = ways.both(bytes(body))
    assert mine == theirs, bytes(body)


GOOD = json.dumps(body_of("eth_getBalance", shown(ALICE), "latest"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"[" + GOOD.encode(),
        GOOD.encode() + b"x",
        GOOD.replace('"id": 1', '"id": 1.0').encode(),
        GOOD.replace('"id": 1', '"id": -1').encode(),
        GOOD.replace('"id": 1', '"id": 01').encode(),
        GOOD.replace('"id": 1', '"id": null').encode(),
        GOOD.replace('"id": 1', '"id": 1234567890123456789').encode(),
        GOOD.replace('"id": 1', '"id": "\\u0041"').encode(),
        GOOD.replace('"id": 1', '"id": "ü"').encode(),
        GOOD.replace('"id": 1, ', "").encode(),
        GOOD.replace('"id": 1', '"id": 1, "id": 2').encode(),
        GOOD.replace("2.0", "1.0").encode(),
        GOOD.replace("latest", "pending").encode(),
        GOOD.replace("latest", "latest ").encode(),
        GOOD.replace("0x", "0X").encode(),
        GOOD.replace("]", ", 1]").encode(),
        json.dumps(body_of("eth_getBalance", shown(ALICE)[:-1])).encode(),
        json.dumps(body_of("eth_getBalance")).encode(),
        json.dumps(body_of("eth_blockNumber", 1)).encode(),
        json.dumps(body_of("eth_call", {})).encode(),
        json.dumps(body_of("eth_call", {"to": shown(TARGET), "value": "0x1"})).encode(),
        json.dumps(body_of("eth_call", {"to": shown(TARGET), "data": "0x1"})).encode(),
        json.dumps(body_of("eth_call", {"to": shown(TARGET), **EXTRA})).encode(),
        json.dumps(
            body_of("eth_call", {"to": shown(TARGET), "data": "0x", "input": "0x01"})
        ).encode(),
        json.dumps(body_of("eth_call", {"to": shown(TARGET)}, "latest", {})).encode(),
        json.dumps([body_of("eth_blockNumber"), body_of("eth_gasPrice")]).encode(),
        json.dumps([body_of("eth_blockNumber")] * (ITEMS_MAX + 1)).encode(),
    ],
)
def test_what_is_not_well_known_is_not_taken(ways: Ways, body: bytes) -> None:
    assert Reading(ANSWER_BYTES_MAX).take(body, ITEMS_MAX) == 0
    mine, theirs = ways.both(body)
    assert mine == theirs


def test_reverts_in_a_batch_keep_their_place(ways: Ways) -> None:
    """What fails is asked elsewhere, and the batch goes on after it."""
    contract = shown(ways.world.contract)
    batch = [
        body_of("eth_call", {"to": contract, "data": data}, identity=index)
        for index, data in enumerate(["0x", "0x01", "0x0102", "0x", "0x01"])
    ]
    mine, theirs = ways.both(json.dumps(batch).encode())
    assert mine == theirs
    found = json.loads(mine)
    assert [item["id"] for item in found] == [0, 1, 2, 3, 4]
    assert [("error" in item) for item in found] == [False, True, True, False, True]


def test_answers_stay_within_their_bound(ways: Ways) -> None:
    """As in the ordinary way, what comes after the limit is an error each."""
    batch = [body_of("eth_chainId", identity=index) for index in range(50)]
    found = []
    for one in (ways.native, ways.ordinary):
        limited = Dispatcher(one.services, METHODS, one.workers, Limits(response_bytes_max=800))
        limited.takes_reads = one.takes_reads
        answers = json.loads(asyncio.run(limited.answer(json.dumps(batch).encode())))
        assert [item["id"] for item in answers] == list(range(50))
        found.append(["error" in item for item in answers])
    assert found[0][-1]
    assert not found[0][0]
    assert abs(sum(found[0]) - sum(found[1])) <= 4  # room that is kept free for one answer


def test_each_call_counts_against_the_rate(ways: Ways) -> None:
    body = json.dumps([body_of("eth_chainId")] * 10).encode()

    async def play() -> None:
        asker = Asker(rate=1.0, burst=15.0)
        assert isinstance(ways.native.begin(body, asker), bytes)
        with pytest.raises(TooFast):
            ways.native.begin(body, asker)

    asyncio.run(play())


def test_a_batch_for_which_the_round_has_no_time_is_answered_elsewhere(ways: Ways) -> None:
    """Whatever the memory it is answered in was used for before."""
    bodies = [json.dumps([body_of("eth_chainId")] * count).encode() for count in (7, 3)]
    odd = json.dumps([body_of("eth_chainId"), body_of("eth_getBalance", "0x1", "latest")]).encode()

    async def play() -> list[bytes]:
        found = []
        for body in (odd, *bodies):
            ways.native.round.spent = 1.0
            begun = ways.native.begin(body, Asker())
            assert not isinstance(begun, bytes)
            answer = await begun
            assert isinstance(answer, bytes)
            found.append(answer)
        return found

    found = asyncio.run(play())
    for body, answer in zip((odd, *bodies), found, strict=True):
        assert answer == asyncio.run(ways.ordinary.answer(body))


def test_a_long_batch_ends_at_its_deadline(ways: Ways, tmp_path: Path) -> None:
    """What is left when the time is over is answered by an error each."""
    workers = Workers(threads=1, queue_max=1, timeout_s=0.0)
    try:
        hurried = Dispatcher(ways.native.services, METHODS, workers, ways.native.limits)
        batch = [
            body_of("eth_call", {"to": shown(ways.world.contract), "data": "0x01"}, identity=index)
            for index in range(20)
        ]
        answers = json.loads(asyncio.run(hurried.answer(json.dumps(batch).encode())))
        assert [item["id"] for item in answers] == list(range(20))
        assert {item["error"]["message"] for item in answers} == {"request timed out"}
    finally:
        workers.stop()


class Counting(MemoryView):
    """A state that remembers who asked for what, and fails at one address."""

    def __init__(self, balances: dict[bytes, int], broken: bytes = b"") -> None:
        super().__init__({who: Allocation(balance=value) for who, value in balances.items()})
        self.broken = broken
        self.asked: list[bytes] = []

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        assert hashed == keccak256(address)
        self.asked.append(address)
        if address == self.broken:
            raise StorageFailed("the disk")
        return super().account(address, hashed)


ENVIRONMENT = BlockEnvironment(
    fork=Fork.PRAGUE,
    chain_id=31337,
    number=7,
    timestamp=1,
    gas_limit=30_000_000,
    base_fee=7,
    blob_base_fee_update_fraction=5_007_716,
    blobs_per_block_max=9,
)
HEAD = ReadsHead(ENVIRONMENT, 31337, gas_max=100_000, slice_ns=10**10)


@pytest.mark.parametrize("seed", range(10))
def test_accounts_of_a_batch_are_asked_for_once_each(seed: int) -> None:
    """Whatever stands between them, and however often each is named."""
    chance = random.Random(seed)
    people = [chance.randbytes(20) for _ in range(chance.choice([1, 2, 33, 90]))]
    balances = {who: chance.randrange(2**200) for who in people if chance.random() < 0.5}
    view = Counting(balances)
    executor = Executor(view)
    asked = [chance.choice(people) for _ in range(150)]
    calls = [
        body_of(chance.choice(["eth_getBalance", "eth_getTransactionCount"]), shown(who))
        for who in asked
    ]
    for place in chance.sample(range(150), seed):
        calls[place] = body_of("eth_blockNumber")
    reading = Reading(ANSWER_BYTES_MAX)
    assert reading.take(json.dumps(calls).encode(), ITEMS_MAX) == 150
    answer = reading.run(executor, HEAD)
    assert answer is not None
    for call, who, found in zip(calls, asked, json.loads(answer), strict=True):
        match call["method"]:
            case "eth_getBalance":
                assert found["result"] == hex(balances.get(who, 0))
            case "eth_getTransactionCount":
                assert found["result"] == "0x0"
            case _:
                assert found["result"] == "0x7"
    assert sorted(view.asked) == sorted(
        {who for who, one in zip(asked, calls, strict=True) if one["params"]}
    )


def test_an_account_that_cannot_be_read_fails_the_run() -> None:
    people = [bytes([index]) * 20 for index in range(60)]
    view = Counting(dict.fromkeys(people, 5), broken=people[40])
    reading = Reading(ANSWER_BYTES_MAX)
    calls = [body_of("eth_getBalance", shown(who)) for who in people]
    assert reading.take(json.dumps(calls).encode(), ITEMS_MAX) == 60
    with pytest.raises(StorageFailed):
        reading.run(Executor(view), HEAD)
    assert reading.answered <= 40
