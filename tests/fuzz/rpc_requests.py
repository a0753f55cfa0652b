"""Requests for the JSON-RPC of a running node: valid, nearly valid and hostile, from the methods'
own tables of parameters; and what must hold of the answers.

    python -m tests.fuzz.rpc_requests --count 100000 [--seed N] [--url http://...]

Without --url it starts a `ghostd --dev` of its own, with a token and some transactions. Requests go
over HTTP and WebSocket, alone and in batches, several at once, and as bytes that are no good HTTP
(`rpc_bytes`). Whatever is asked: no status of 5xx, no traceback, no internal error, nothing that
takes longer than SECONDS_MAX, an answer to every call that wants one and to no other, by its id,
of the shape that the openrpc document demands; and the node still answers at the end. Values come
from three sources: the parser of each parameter (VALUES), the examples of the openrpc document when
it is there (GHOSTCHAIN_FIXTURES), and JSON of any kind. A failure prints the request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.bench_rpc_reads import TOKEN, TRANSFER_TOPIC, Wallet, balance_call
from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.rpc.client import RpcClient
from ghostchain.rpc.method import Door
from ghostchain.rpc.methods import METHODS
from tests.fuzz.rpc_bytes import ALLOWED, Bender, answered
from tests.node.document import Judge
from tests.node.process import Ghostd

SECONDS_MAX = 30.0
CLIENTS = 7
# Larger answers take long to judge, and are of the same methods.
JUDGED_BYTES_MAX = 30_000
JUDGE = Judge()
BATCH_MAX = 12
# These reach for other machines, take the node's own past away whole, or wait on purpose.
LEFT_OUT = frozenset(
    {
        "anvil_reset",
        "hardhat_reset",
        "anvil_setRpcUrl",
        "eth_sendRawTransactionSync",
        "eth_sendTransactionSync",
    }
)
ACCOUNTS = ["0x" + address_of(key).hex() for key in TEST_KEYS]
TAGS = ["latest", "pending", "earliest", "safe", "finalized"]
HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    2**53,
    2**63,
    2**64 - 1,
    "",
    "0x",
    "0X0",
    "0x0",
    "0x00",
    "0xg",
    "x",
    "-0x1",
    "0x-1",
    " 0x1",
    "0x" + "f" * 16,
    "0x1" + "0" * 16,
    "0x" + "f" * 64,
    "0x1" + "0" * 64,
    "0x" + "0" * 5000,
    "latest ",
    "LATEST",
    "\u0000",
    "\ud83d\ude00",
    "é" * 100,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"a": {"b": {"c": []}}},
    ["0x0"] * 300,
    {"__proto__": 1},
]


@dataclass(slots=True)
class World:
    """What the node knows: so that valid requests are about something."""

    addresses: list[str] = field(default_factory=lambda: [*ACCOUNTS, "0x" + TOKEN.hex()])
    transactions: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    raws: list[str] = field(default_factory=list)
    examples: dict[str, list[list[Any]]] = field(default_factory=dict)


def prepared_world(url: str) -> World:
    """A token, transfers, and a raw transaction for later."""
    client = RpcClient(url)
    wallet, world = Wallet(), World()
    for raw in [wallet.creation(), *(wallet.token() for _ in range(8)), wallet.plain()]:
        receipt = client.call("eth_sendRawTransactionSync", raw)
        world.transactions.append(receipt["transactionHash"])
        world.blocks.append(receipt["blockHash"])
        world.raws.append(raw)
    world.raws += [wallet.plain() for _ in range(20)]
    folder = os.environ.get("GHOSTCHAIN_FIXTURES")
    path = Path(folder) / "openrpc.json" if folder else None
    if path is not None and path.exists():
        for method in json.loads(path.read_text())["methods"]:
            for example in method.get("examples", ()):
                params = [item.get("value") for item in example.get("params", ())]
                world.examples.setdefault(method["name"], []).append(params)
    return world


class Generator:
    """Calls out of one seed."""

    def __init__(self, seed: int, world: World) -> None:
        self.chance = random.Random(seed)
        self.world = world
        self.methods = [method for name, method in METHODS.items() if name not in LEFT_OUT]
        # What moves the chain by hand comes less often, or little else is seen of it.
        self.weights = [1 if item.door is Door.DEVELOPMENT else 6 for item in self.methods]

    # ---- values ----

    def address(self) -> Any:
        return self.chance.choice([*self.world.addresses, "0x" + self.hex(20)])

    def hex(self, count: int) -> str:
        return self.chance.randbytes(count).hex()

    def hash(self) -> Any:
        pool = [*self.world.transactions, *self.world.blocks, "0x" + self.hex(32)]
        return self.chance.choice(pool)

    def quantity(self) -> Any:
        bits = self.chance.choice((0, 1, 4, 8, 16, 32, 63, 64, 128, 256))
        return hex(self.chance.getrandbits(bits) if bits else 0)

    def small(self) -> Any:
        return hex(self.chance.randrange(40))

    def block(self) -> Any:
        number = self.chance.choice((self.small(), self.small(), *TAGS, *TAGS, self.quantity()))
        if self.chance.random() < 0.15:
            named = {"blockHash": self.chance.choice([*self.world.blocks, "0x" + self.hex(32)])}
            return self.chance.choice((named, {"blockNumber": number}))
        return number

    def data(self) -> Any:
        if self.chance.random() < 0.3:
            return balance_call(ACCOUNTS[0])["data"]
        return "0x" + self.hex(self.chance.choice((0, 1, 4, 32, 36, 100, 1000)))

    def request(self) -> Any:
        members: dict[str, Callable[[], Any]] = {
            "from": self.address,
            "to": self.address,
            "gas": self.quantity,
            "gasPrice": self.quantity,
            "maxFeePerGas": self.quantity,
            "maxPriorityFeePerGas": self.small,
            "value": self.small,
            "nonce": self.small,
            "data": self.data,
            "input": self.data,
            "accessList": lambda: [{"address": self.address(), "storageKeys": [self.hash()]}],
            "chainId": lambda: "0x7a69",
            "authorizationList": lambda: [self.any()],
            "blobVersionedHashes": lambda: ["0x01" + self.hex(31)],
            "feeToken": self.address,
            "feeCurrency": self.address,
            "calls": lambda: [{"to": self.address(), "input": self.data()}],
            "feePayer": self.address,
        }
        often = self.chance.sample(["from", "to", "data", "gas", "value"], k=3)
        rare = self.chance.sample(list(members), k=self.chance.choice((0, 0, 1, 2)))
        return {name: members[name]() for name in (*often, *rare)}

    def logs(self) -> Any:
        found: dict[str, Any] = {}
        if self.chance.random() < 0.7:
            found["fromBlock"], found["toBlock"] = self.block(), self.block()
        else:
            found["blockHash"] = self.hash()
        if self.chance.random() < 0.5:
            found["address"] = self.chance.choice((self.address(), [self.address()]))
        found["topics"] = self.chance.choice(
            ([], [TRANSFER_TOPIC], [None, [self.hash()]], [[]] * 5, None)
        )
        return found

    def overrides(self) -> Any:
        account = {
            "balance": self.quantity(),
            "nonce": self.small(),
            "code": self.data(),
            self.chance.choice(("state", "stateDiff")): {self.hash(): self.hash()},
        }
        kept = self.chance.sample(list(account), k=self.chance.randint(1, 4))
        return {self.address(): {name: account[name] for name in kept}}

    def tracing(self) -> Any:
        name = self.chance.choice(
            (
                "callTracer",
                "prestateTracer",
                "4byteTracer",
                "noopTracer",
                "flatCallTracer",
                "muxTracer",
                "erc7562Tracer",
                "no such",
            )
        )
        found: dict[str, Any] = {"tracer": name} if self.chance.random() < 0.7 else {}
        for option in ("enableMemory", "disableStack", "disableStorage", "enableReturnData"):
            if self.chance.random() < 0.2:
                found[option] = self.chance.choice((True, False))
        if self.chance.random() < 0.3:
            choices = (
                {"diffMode": True},
                {"onlyTopCall": True, "withLog": True},
                {"callTracer": {}},
            )
            found["tracerConfig"] = self.chance.choice(choices)
        if self.chance.random() < 0.1:
            found[self.chance.choice(("timeout", "limit", "txIndex"))] = self.any()
        return found

    def raw(self) -> Any:
        raw = self.chance.choice(self.world.raws)
        if self.chance.random() < 0.5:
            place = self.chance.randrange(2, len(raw))
            raw = raw[:place] + self.chance.choice("0123456789abcdef") + raw[place + 1 :]
        return raw

    def values(self) -> dict[str, Callable[[], Any]]:
        """By the name of a parameter's parser."""
        return {
            "address": self.address,
            "block_id": self.block,
            "block_number": self.block,
            "hash32": self.hash,
            "word": self.hash,
            "storage_key": self.hash,
            "number": self.small,
            "number_64": self.small,
            "quantity": self.quantity,
            "quantity_64": self.small,
            "count": self.small,
            "seconds": self.small,
            "interval_seconds": self.small,
            "gas": self.quantity,
            "block_count": self.small,
            "data": self.data if self.chance.random() < 0.5 else self.raw,
            "boolean": lambda: self.chance.choice((True, False)),
            "call_request": self.request,
            "log_filter": self.logs,
            "state_overrides": self.overrides,
            "block_override": lambda: {"number": self.quantity(), "time": self.quantity()},
            "trace_options": self.tracing,
            "text": lambda: self.chance.choice(("newHeads", "logs", self.quantity())),
            "percentiles": lambda: [10, 50.5, 90],
            "proof_keys": lambda: [self.hash()],
            "storage_requests": lambda: {self.address(): [self.hash()]},
            "raw_transactions": lambda: [self.raw()],
            "bundles": lambda: [{"transactions": [self.request()]}],
            "simulation_request": lambda: {
                "blockStateCalls": [
                    {"calls": [self.request()], "stateOverrides": self.overrides()},
                    {"blockOverrides": {"number": self.quantity()}},
                ],
                "validation": self.chance.choice((True, False)),
            },
        }

    def any(self, depth: int = 0) -> Any:
        """JSON of any kind."""
        if depth < 3 and self.chance.random() < 0.25:
            if self.chance.random() < 0.5:
                return [self.any(depth + 1) for _ in range(self.chance.randrange(4))]
            names = ("from", "to", "blockHash", "fromBlock", "topics", "data", "tracer", "x", "")
            return {self.chance.choice(names): self.any(depth + 1) for _ in range(3)}
        makers = (self.address, self.hash, self.quantity, self.block, self.data)
        if self.chance.random() < 0.5:
            return self.chance.choice(makers)()
        return self.chance.choice(HOSTILE)

    # ---- requests ----

    def params(self, method: Any) -> Any:
        examples = self.world.examples.get(method.name)
        if examples and self.chance.random() < 0.15:
            found = json.loads(json.dumps(self.chance.choice(examples)))
        else:
            makers = self.values()
            wanted = [
                item for item in method.parameters if item.required or self.chance.random() < 0.7
            ]
            found = [
                makers.get(getattr(item.parse, "__qualname__", ""), self.any)() for item in wanted
            ]
        if self.chance.random() < 0.35:
            found = self.spoiled(found)
        return found

    def spoiled(self, params: list[Any]) -> Any:
        """One thing wrong with it, or a few."""
        action = self.chance.randrange(8)
        if action == 0:
            return [*params, self.any()]
        if action == 1:
            return params[:-1]
        if action == 2:
            return self.chance.choice((self.any(), {"a": params}, None))
        if params:
            place = self.chance.randrange(len(params))
            value = params[place]
            if isinstance(value, dict) and value and action < 6:
                name = self.chance.choice(list(value))
                value = {**value, name: self.any()}
            elif isinstance(value, str) and value and action < 6:
                cut = self.chance.randrange(len(value))
                value = value[:cut] + self.chance.choice(("", "0", "g", "é")) + value[cut + 1 :]
            else:
                value = self.any()
            params = [*params[:place], value, *params[place + 1 :]]
        return params

    def call(self, identity: Any) -> Any:
        (method,) = self.chance.choices(self.methods, self.weights)
        found = {
            "jsonrpc": "2.0",
            "id": identity,
            "method": method.name,
            "params": self.params(method),
        }
        if self.chance.random() < 0.04:
            name = self.chance.choice(list(found))
            if self.chance.random() < 0.5:
                del found[name]
            else:
                found[name] = self.any()
        return found

    def body(self, first_id: int) -> tuple[bytes, int]:
        """A request body, and how many calls it has."""
        if self.chance.random() < 0.02:
            text = json.dumps(self.call(first_id)).encode()
            cut = self.chance.randrange(len(text))
            return text[:cut] + self.chance.randbytes(3) + text[cut:], 1
        if self.chance.random() < 0.25:
            count = self.chance.randint(1, BATCH_MAX)
            calls = [
                self.call(first_id + index) if self.chance.random() < 0.97 else self.any()
                for index in range(count)
            ]
            return json.dumps(calls).encode(), count
        return json.dumps(self.call(first_id)).encode(), 1


# ---- what must hold ----


class Broken(AssertionError):
    """An answer that should not be."""


def check_answer(body: bytes, answer: bytes) -> Counter[str]:
    """Raises: Broken. Returns: how many results and errors of each code there were."""
    seen: Counter[str] = Counter()
    if not answer:
        return seen
    try:
        document = json.loads(answer)
    except ValueError:
        raise Broken(f"not JSON: {answer[:300]!r}") from None
    for response in document if isinstance(document, list) else [document]:
        if response.get("jsonrpc") != "2.0" or ("result" in response) == ("error" in response):
            raise Broken(f"no JSON-RPC answer: {str(response)[:300]}")
        if "result" in response:
            seen["result"] += 1
            continue
        error = response["error"]
        message = error.get("message")
        if not isinstance(error.get("code"), int) or not isinstance(message, str) or not message:
            raise Broken(f"no JSON-RPC error: {str(response)[:300]}")
        if error["code"] == -32603 or "Traceback" in message or "object at 0x" in message:
            raise Broken(f"an internal error: {str(response)[:500]}")
        seen[str(error["code"])] += 1
    check_ids(body, document)
    if len(answer) < JUDGED_BYTES_MAX:
        check_shapes(body, document)
    return seen


def check_shapes(body: bytes, document: Any) -> None:
    """Results are as the document of execution-apis has them. Raises: Broken."""
    try:
        JUDGE.check(json.loads(body), document)
    except ValueError:
        return
    except AssertionError as failure:
        raise Broken(str(failure)) from None


def check_ids(body: bytes, document: Any) -> None:
    """Every call that has an id is answered by it, once. Raises: Broken."""
    try:
        asked = json.loads(body)
        json.dumps(asked, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except ValueError:
        return
    if isinstance(asked, list) and isinstance(document, list):
        wanted = sum(1 for item in asked if not isinstance(item, dict) or "id" in item)
        # An item without an id that is no call either is told so.
        if not wanted <= len(document) <= len(asked):
            raise Broken(f"{len(document)} answers to {wanted} calls")
    elif isinstance(asked, dict) and not isinstance(document, dict):
        raise Broken("an array for an answer")
    elif isinstance(asked, dict) and isinstance(asked.get("id"), int | str):
        same = document.get("id") == asked["id"] and not isinstance(asked["id"], bool)
        if not isinstance(asked["id"], bool) and not same:
            raise Broken("an answer with another id")


@dataclass(slots=True)
class Report:
    """What came of a run."""

    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    resident_mib: list[int] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.calls += other.calls
        self.outcomes += other.outcomes
        self.failures += other.failures
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = other.slowest_s, other.slowest

    def note(self, body: bytes, answer: bytes, seconds: float) -> None:
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, body[:300].decode(errors="replace")
        try:
            self.outcomes.update(check_answer(body, answer))
        except Broken as failure:
            self.fail(body, str(failure))

    def fail(self, body: bytes, why: str) -> None:
        if len(self.failures) < 200:
            self.failures.append(f"{why} <- {body[:1500].decode(errors='replace')}")


async def over_http(url: str, generator: Generator, report: Report, count: int) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS_MAX)) as session:
        asked = 0
        while asked < count:
            body, calls = generator.body(asked)
            asked += calls
            start = time.perf_counter()
            try:
                headers = {"Content-Type": "application/json"}
                async with session.post(url, data=body, headers=headers) as response:
                    answer = await response.read()
                    if response.status >= 500:
                        report.fail(body, f"HTTP {response.status}: {answer[:300]!r}")
            except (aiohttp.ClientError, TimeoutError) as failure:
                report.fail(body, f"no answer: {failure!r}")
                continue
            report.calls += calls
            report.note(body, answer, time.perf_counter() - start)


async def over_websocket(url: str, generator: Generator, report: Report, count: int) -> None:
    """One request at a time: events of subscriptions come between and are passed over."""
    async with aiohttp.ClientSession() as session:
        asked = 0
        while asked < count:
            async with session.ws_connect(url, max_msg_size=0) as socket:
                for _ in range(200):
                    if asked >= count:
                        break
                    body, calls = generator.body(asked)
                    asked += calls
                    text = body.decode(errors="replace")
                    body = text.encode()
                    start = time.perf_counter()
                    await socket.send_str(text)
                    # Has an answer also where the request has none.
                    await socket.send_str('{"jsonrpc":"2.0","id":"fence","method":"web3_sha3"}')
                    try:
                        answer = await answer_to(socket, body)
                    except (aiohttp.ClientError, TimeoutError, TypeError) as failure:
                        report.fail(body, f"no answer: {failure!r}")
                        break
                    report.calls += calls
                    report.note(body, answer, time.perf_counter() - start)


def wants_answer(body: bytes) -> bool:
    """Whether there surely is one: to all but notifications, which may be faults and told so."""
    try:
        asked = json.loads(body)
    except ValueError:
        return True
    items = asked if isinstance(asked, list) and asked else [asked]
    return any(not isinstance(item, dict) or "id" in item for item in items)


async def answer_to(socket: aiohttp.ClientWebSocketResponse, body: bytes) -> bytes:
    """What is answered that is neither an event nor the fence, which was sent after the body."""
    answer, fenced = b"", False
    must = wants_answer(body)
    while not (fenced and answer):
        try:
            text = await socket.receive_str(timeout=0.3 if fenced and not must else SECONDS_MAX)
        except TimeoutError:
            if must or not fenced:
                raise
            break
        if '"eth_subscription"' in text[:60]:
            continue
        if '"fence"' in text[:60]:
            fenced = True
        else:
            answer = text.encode()
    return answer


async def over_bytes(url: str, generator: Generator, report: Report, count: int) -> None:
    """Whatever the bytes: statuses that a client understands, and an end to it."""
    bender = Bender(generator.chance.getrandbits(64))
    host, _, port = url.removeprefix("http://").rpartition(":")
    asked = 0
    while asked < count:
        bodies = [
            generator.body(asked + place)[0] for place in range(generator.chance.randint(1, 3))
        ]
        asked += len(bodies)
        sent = bender.stream(bodies)
        try:
            statuses, found = await answered(host, int(port), sent, SECONDS_MAX)
        except (OSError, TimeoutError) as failure:
            report.fail(sent, f"no answer to bytes: {failure!r}")
            continue
        report.calls += len(bodies)
        report.outcomes["bytes"] += 1
        if not set(statuses) <= ALLOWED or b"Traceback" in found:
            report.fail(sent, f"statuses {statuses}: {found[:300]!r}")


async def run(url: str, world: World, seed: int, count: int) -> Report:
    """count calls: of seven, four over HTTP, two over WebSocket and one as bent bytes."""
    report = Report()
    share = -(-count // CLIENTS)
    ways = [over_http] * 4 + [over_websocket] * 2 + [over_bytes]
    await asyncio.gather(
        *(
            way(url, Generator(seed * 1000 + index, world), report, share)
            for index, way in enumerate(ways)
        )
    )
    return report


def resident_mib(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def fuzz(seed: int, count: int) -> tuple[Report, list[str]]:
    """Against a node of its own. Returns: the report, and what the node logged as faults."""
    with Ghostd("--dev") as node:
        world = prepared_world(node.url)
        parts = min(4, -(-count // 2_000))
        report = Report(resident_mib=[resident_mib(node.process.pid)])
        for part in range(parts):
            report.add(asyncio.run(run(node.url, world, seed * 100 + part, count // parts)))
            report.resident_mib.append(resident_mib(node.process.pid))
        if node.process.poll() is not None:
            report.failures.append(f"the node ended: {node.process.returncode}")
        elif not isinstance(node.call("eth_blockNumber"), str):
            report.failures.append("the node does not answer any more")
        faults = Counter(map(fault_of, node.events))
    faults.pop("", None)
    return report, [f"{count} times {fault}" for fault, count in faults.most_common()]


def fault_of(event: dict[str, Any]) -> str:
    """What the node logged that it should not have had to, or nothing."""
    if event.get("level") not in LOUD:
        return ""
    lines = str(event.get("exception") or "").strip().splitlines()
    return f"{event.get('message')}: {' | '.join(line.strip() for line in lines[-5:])}"


LOUD = frozenset({"error", "critical", "raw"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url")
    chosen = parser.parse_args()
    start = time.monotonic()
    if chosen.url:
        world = prepared_world(chosen.url)
        report, faults = asyncio.run(run(chosen.url, world, chosen.seed, chosen.count)), []
    else:
        report, faults = fuzz(chosen.seed, chosen.count)
    for line in (*report.failures, *faults):
        print(line)
    print(
        f"{report.calls} calls in {time.monotonic() - start:.0f} s: {dict(report.outcomes)}; "
        f"{len(report.failures)} failures, {len(faults)} faults logged; slowest "
        f"{report.slowest_s:.2f} s: {report.slowest}; resident MiB {report.resident_mib}"
    )
    sys.exit(1 if report.failures or faults else 0)


if __name__ == "__main__":
    main()
