"""debug_trace* on a live chain: one tree of frames over all engines, in geth's shape."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak

from ghostchain.contracts.addresses import FEE_MARKET, GCC, SPIRIT, STAKING
from ghostchain.encoding.blocks import decode_block, encode_block
from ghostchain.node.tracing import READY_MAX
from tests.node.process import Ghostd, RpcFailure
from tests.wasm.build import wat

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
MULTICALL = "0xca11bde05977b3631167028862be2a173976ca11"
NOBODY = "0x" + "99" * 20
OPTIONS = {"tracer": "callTracer"}
NUMBER = keccak(text="number()")[:4]


def shown(data: bytes) -> str:
    return "0x" + data.hex()


def balance_of(who: str) -> bytes:
    return keccak(text="balanceOf(address)")[:4] + encode(["address"], [who])


def aggregate(*calls: tuple[str, bytes]) -> str:
    items = [(target, True, data) for target, data in calls]
    selector = keccak(text="aggregate3((address,bool,bytes)[])")[:4]
    return shown(selector + encode(["(address,bool,bytes)[]"], [items]))


class Traced:
    def __init__(self, node: Ghostd, data_dir: Path) -> None:
        self.node = node
        self.data_dir = data_dir
        self.counter = self.send({"data": shown(wat("counter"))})["contractAddress"]
        self.data = aggregate(
            (shown(SPIRIT), balance_of(ALICE)),
            (shown(FEE_MARKET), keccak(text="rate(address)")[:4] + encode(["address"], [ALICE])),
            (self.counter, NUMBER),
            (shown(STAKING), keccak(text="validator(address)")[:4] + encode(["address"], [ALICE])),
            (NOBODY, b""),
        )
        self.receipt = self.send({"to": MULTICALL, "data": self.data})

    def send(self, members: dict[str, Any]) -> dict[str, Any]:
        sent = self.node.call("eth_sendTransaction", {"from": ALICE} | members)
        receipt = self.node.wait_for_receipt(sent)
        assert receipt["status"] == "0x1"
        return receipt


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    data_dir = tmp_path_factory.mktemp("ghostd")
    with Ghostd("--dev", data_dir=data_dir) as node:
        yield Traced(node, data_dir)


def check_frames(trace: dict[str, Any], traced: Traced) -> None:
    assert (trace["type"], trace["from"], trace["to"]) == ("CALL", ALICE, MULTICALL)
    assert trace["value"] == "0x0"
    assert "engine" not in trace
    inner = trace["calls"]
    assert [(call["to"], call.get("engine")) for call in inner] == [
        (shown(SPIRIT), "native"),
        (shown(FEE_MARKET), "native"),
        (traced.counter, "wasm"),
        (shown(STAKING), "native"),
        (NOBODY, None),
    ]
    assert {call["from"] for call in inner} == {MULTICALL}
    assert inner[0]["output"] == shown(encode(["uint256"], [1_000_000 * 10**18]))
    assert inner[2]["output"] == shown(encode(["uint256"], [0]))
    unknown = keccak(text="UnknownValidator(address)")[:4] + encode(["address"], [ALICE])
    assert (inner[3]["error"], inner[3]["output"]) == ("execution reverted", shown(unknown))
    assert "output" not in inner[4]
    spent = sum(int(call["gasUsed"], 16) for call in inner)
    assert 0 < spent < int(trace["gasUsed"], 16)


def test_transaction(traced: Traced) -> None:
    trace = traced.node.call("debug_traceTransaction", traced.receipt["transactionHash"], OPTIONS)
    check_frames(trace, traced)
    assert trace["gasUsed"] == traced.receipt["gasUsed"]
    sent = traced.node.call("eth_getTransactionByHash", traced.receipt["transactionHash"])
    assert (trace["gas"], trace["input"]) == (sent["gas"], sent["input"])


def test_call_and_block_say_the_same(traced: Traced) -> None:
    request = {"from": ALICE, "to": MULTICALL, "data": traced.data}
    number = traced.receipt["blockNumber"]
    check_frames(traced.node.call("debug_traceCall", request, number, OPTIONS), traced)
    by_number = traced.node.call("debug_traceBlockByNumber", number, OPTIONS)
    assert by_number == traced.node.call(
        "debug_traceBlockByHash", traced.receipt["blockHash"], OPTIONS
    )
    (entry,) = by_number
    assert entry["txHash"] == traced.receipt["transactionHash"]
    check_frames(entry["result"], traced)


def test_only_the_top(traced: Traced) -> None:
    options = OPTIONS | {"tracerConfig": {"onlyTopCall": True}}
    trace = traced.node.call("debug_traceTransaction", traced.receipt["transactionHash"], options)
    assert "calls" not in trace
    assert trace["gasUsed"] == traced.receipt["gasUsed"]


def test_names_of_options_are_read_as_go_writes_them(traced: Traced) -> None:
    """gethclient sends its structs with the names of their fields; geth's decoder takes any case,
    and the last of several spellings."""
    ask, sent = traced.node.call, traced.receipt["transactionHash"]
    method = "debug_traceTransaction"
    spelled = {"EnableMemory": False, "Limit": 0, "Tracer": "callTracer", "Timeout": "5s"}
    config = {"WithLog": True, "ONLYTOPCALL": True}
    expected = OPTIONS | {"tracerConfig": {"withLog": True, "onlyTopCall": True}}
    assert ask(method, sent, spelled | {"TracerConfig": config}) == ask(method, sent, expected)
    memory = ask(method, sent, {"enableMemory": True, "disableStack": True})
    assert ask(method, sent, {"EnableMemory": True, "DisableStack": True}) == memory
    twice = {"enableMemory": False, "ENABLEMEMORY": True, "disableStack": True}
    assert ask(method, sent, twice) == memory
    with pytest.raises(RpcFailure, match="nothing"):
        ask(method, sent, {"tracer": "callTracer", "Tracer": "nothing"})
    state = {"0x" + "ab" * 20: {"code": "0x4360005260206000f3"}}
    overridden = OPTIONS | {"StateOverrides": state, "BlockOverrides": {"number": "0x9"}}
    frame = ask("debug_traceCall", {"to": "0x" + "ab" * 20}, "latest", overridden)
    assert int(frame["output"], 16) == 9


def test_creation(traced: Traced) -> None:
    """A module deploys itself: what was sent is what is placed."""
    trace = traced.node.call("debug_traceCall", {"data": shown(wat("counter"))}, "latest", OPTIONS)
    assert (trace["type"], trace["input"]) == ("CREATE", trace["output"])
    failing = {"data": "0x60016002fe"}
    trace = traced.node.call("debug_traceCall", failing, "latest", OPTIONS)
    assert (trace["type"], trace["error"]) == ("CREATE", "invalid opcode: INVALID")
    assert "to" not in trace


def test_calls_of_a_ghost_transaction_stand_side_by_side(traced: Traced) -> None:
    request = {
        "from": ALICE,
        "type": "0x47",
        "calls": [
            {"to": shown(SPIRIT), "data": shown(balance_of(ALICE))},
            {"to": shown(GCC), "data": shown(balance_of(ALICE))},
        ],
    }
    trace = traced.node.call("debug_traceCall", request, "latest", OPTIONS)
    assert (trace["type"], trace["from"]) == ("GHOST", ALICE)
    assert [call["to"] for call in trace["calls"]] == [shown(SPIRIT), shown(GCC)]


def test_flat_traces_of_a_ghost_transaction_are_one_tree(traced: Traced) -> None:
    """ethereum-etl, Blockscout and others look for the parent of each trace but the one at []."""
    ask = traced.node.call
    good = {"to": MULTICALL, "data": traced.data}
    bad = {"to": shown(SPIRIT), "data": "0xffffffff"}
    for calls, places in (([good, good], 2), ([good, bad], 2), ([good], 0)):
        request = {"from": ALICE, "type": "0x47", "calls": calls, "gas": hex(2_000_000)}
        flat = ask("debug_traceCall", request, "latest", {"tracer": "flatCallTracer"})
        listed = ask("trace_call", request, ["trace"], "latest")["trace"]
        for traces in (flat, listed):
            below = [tuple(item["traceAddress"]) for item in traces]
            assert below[0] == ()
            assert len(set(below)) == len(below)
            assert all(way[:-1] in below for way in below)
            for item in traces:
                place = tuple(item["traceAddress"])
                inside = [way for way in below if way and way[:-1] == place]
                assert item["subtraces"] == len(inside)
            root = traces[0]
            if places:
                assert root["subtraces"] == places
                assert root["action"]["from"] == root["action"]["to"] == ALICE
                assert (root["action"]["value"], root["type"]) == ("0x0", "call")
            assert ("error" in root) == (bad in calls)
        tree = ask("debug_traceCall", request, "latest", OPTIONS)
        assert flat[0]["action"]["gas"] == tree["gas"]


def test_struct_logs(traced: Traced) -> None:
    """The default tracer: steps of the EVM, whose frame is the one that calls the other engines."""
    sent = traced.receipt["transactionHash"]
    trace = traced.node.call("debug_traceTransaction", sent)
    assert list(trace) == ["gas", "failed", "returnValue", "structLogs"]
    assert (trace["gas"], trace["failed"]) == (int(traced.receipt["gasUsed"], 16), False)
    calls = traced.node.call("debug_traceTransaction", sent, OPTIONS)
    assert trace["returnValue"] == calls["output"]
    steps = trace["structLogs"]
    assert steps[0] | {"gas": 0} == {
        "pc": 0,
        "op": "PUSH1",
        "gas": 0,
        "gasCost": 3,
        "depth": 1,
        "stack": [],
    }
    assert {step["depth"] for step in steps} == {1}
    assert [step["op"] for step in steps].count("CALL") == 5
    plain = {"disableStack": True, "enableMemory": True, "enableReturnData": True}
    steps = traced.node.call("debug_traceTransaction", sent, plain)["structLogs"]
    assert all("stack" not in step for step in steps)
    assert any(len(step.get("memory", ())) > 4 for step in steps)
    assert any(step.get("returnData", "").startswith("0x") for step in steps)
    few = traced.node.call("debug_traceTransaction", sent, {"limit": 500})["structLogs"]
    assert 0 < len(few) < 10


def test_prestate_of_every_engine(traced: Traced) -> None:
    """Slots that WASM and native contracts read and write, and what a fee changes."""
    set_number = keccak(text="setNumber(uint256)")[:4] + encode(["uint256"], [77])
    request = {"from": ALICE, "to": traced.counter, "data": shown(set_number)}
    options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    changes = traced.node.call("debug_traceCall", request, "latest", options)
    assert list(changes["post"][traced.counter]["storage"].values()) == ["0x" + f"{77:064x}"]
    reached = traced.node.call(
        "debug_traceTransaction", traced.receipt["transactionHash"], {"tracer": "prestateTracer"}
    )
    assert {ALICE, MULTICALL, traced.counter, shown(SPIRIT), shown(STAKING)} <= set(reached)
    assert reached[shown(SPIRIT)]["storage"]
    assert reached[traced.counter]["code"].startswith("0x0061736d")


def test_every_tracer_answers_for_every_engine(traced: Traced) -> None:
    """Alone, and several in one run."""
    sent = traced.receipt["transactionHash"]
    names = (
        "callTracer",
        "flatCallTracer",
        "prestateTracer",
        "4byteTracer",
        "noopTracer",
        "keccak256PreimageTracer",
        "erc7562Tracer",
    )
    alone = {
        name: traced.node.call("debug_traceTransaction", sent, {"tracer": name}) for name in names
    }
    together = {"tracer": "muxTracer", "tracerConfig": {name: {} for name in names}}
    assert traced.node.call("debug_traceTransaction", sent, together) == alone
    flat = alone["flatCallTracer"]
    assert [frame.get("engine") for frame in flat] == [
        None,
        "native",
        "native",
        "wasm",
        "native",
        None,
    ]
    assert [frame["traceAddress"] for frame in flat] == [[], [0], [1], [2], [3], [4]]
    assert (flat[0]["subtraces"], flat[0]["transactionHash"]) == (5, sent)
    assert alone["4byteTracer"][f"{shown(NUMBER)}-0"] == 1
    assert alone["noopTracer"] == {}


def test_logs_of_native_contracts(traced: Traced) -> None:
    transfer = keccak(text="transfer(address,uint256)")[:4] + encode(
        ["address", "uint256"], [NOBODY, 5]
    )
    request = {"from": ALICE, "to": shown(SPIRIT), "data": shown(transfer)}
    options = OPTIONS | {"tracerConfig": {"withLog": True}}
    (log,) = traced.node.call("debug_traceCall", request, "latest", options)["logs"]
    assert log["address"] == shown(SPIRIT)
    assert log["topics"][0] == shown(keccak(text="Transfer(address,address,uint256)"))
    assert (log["index"], log["position"]) == ("0x0", "0x0")


def test_calls_in_the_middle_of_a_block(traced: Traced) -> None:
    """Before the transaction that sends it has less, and each call of a bundle sees the last."""
    node = traced.node
    receipt = traced.send({"to": NOBODY, "value": "0x5"})
    block = receipt["blockNumber"]
    # Returns the balance of NOBODY: PUSH20 BALANCE PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    code = "0x73" + NOBODY[2:] + "315f5260205ff3"
    place = "0x" + "ab" * 20
    overrides = {place: {"code": code}}
    request = {"to": place}
    options = OPTIONS | {"stateOverrides": overrides}
    after = int(node.call("debug_traceCall", request, block, options)["output"], 16)
    before = node.call("debug_traceCall", request, block, options | {"txIndex": "0x0"})
    assert int(before["output"], 16) == after - 5
    bundle = {"transactions": [{"from": ALICE, "to": NOBODY, "value": "0x7"}, request]}
    ((_, seen),) = node.call(
        "debug_traceCallMany", [bundle], {"blockNumber": block, "transactionIndex": 0}, options
    )
    assert int(seen["output"], 16) == after - 5 + 7
    ((_, seen),) = node.call("debug_traceCallMany", [bundle], {"blockNumber": block}, options)
    assert int(seen["output"], 16) == after + 7


def test_a_block_as_its_bytes(traced: Traced) -> None:
    """One of this chain, and one that nobody has sealed."""
    node = traced.node
    raw = node.call("debug_getRawBlock", traced.receipt["blockNumber"])
    own = node.call("debug_traceBlockByHash", traced.receipt["blockHash"], OPTIONS)
    assert node.call("debug_traceBlock", raw, OPTIONS) == own
    block = decode_block(bytes.fromhex(raw[2:]))
    other = replace(block, header=replace(block.header, extra_data=b"another"))
    made = node.call("debug_traceBlock", shown(encode_block(other)), OPTIONS)
    assert made == own
    orphan = replace(block, header=replace(block.header, parent_hash=bytes(32)))
    with pytest.raises(RpcFailure, match="not found"):
        node.call("debug_traceBlock", shown(encode_block(orphan)), OPTIONS)
    with pytest.raises(RpcFailure, match="could not decode block"):
        node.call("debug_traceBlock", "0xc0", OPTIONS)


def ask_operator(data_dir: Path, method: str, *parameters: Any) -> Any:
    """The result of a call through the socket in the data directory."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(data_dir / "ghostd.ipc"))
        door.sendall(json.dumps(body).encode() + b"\n")
        with door.makefile() as lines:
            answer = json.loads(lines.readline())
    if "error" in answer:
        raise RpcFailure(answer["error"])
    return answer["result"]


def test_a_block_from_a_file(traced: Traced, tmp_path: Path) -> None:
    """For the operator, who has what else lies there."""
    node = traced.node
    raw = bytes.fromhex(node.call("debug_getRawBlock", traced.receipt["blockNumber"])[2:])
    file = tmp_path / "block.rlp"
    file.write_bytes(raw)
    own = node.call("debug_traceBlockByHash", traced.receipt["blockHash"], OPTIONS)
    method = "debug_traceBlockFromFile"
    assert ask_operator(traced.data_dir, method, str(file), OPTIONS) == own
    file.write_bytes(raw + bytes(16 << 20))
    with pytest.raises(RpcFailure, match="more than 16777216 bytes"):
        ask_operator(traced.data_dir, method, str(file), OPTIONS)
    with pytest.raises(RpcFailure, match="could not read file"):
        ask_operator(traced.data_dir, method, str(tmp_path / "nothing"), OPTIONS)


def test_states_that_are_there(traced: Traced) -> None:
    node = traced.node
    assert node.call("debug_getAccessibleState", "0x0", "0x2") == 0
    assert node.call("debug_getAccessibleState", "latest", "0x0") == int(
        node.call("eth_blockNumber"), 16
    )


def test_deep_calls_are_shown_whole(traced: Traced) -> None:
    """A contract that calls itself to the gas' end: deeper than JSON writers go by themselves."""
    place = "0x" + "ac" * 20
    overrides = {place: {"code": "0x5f5f5f5f5f305af1"}}
    options = OPTIONS | {"stateOverrides": overrides}
    request = {"to": place, "gas": "0x100000"}
    trace = traced.node.call("debug_traceCall", request, "latest", options)
    depth = 0
    while "calls" in trace:
        (trace,) = trace["calls"]
        depth += 1
    assert depth > 300


def test_a_run_ends_at_its_timeout(traced: Traced) -> None:
    """In a call, and in a block: its transactions say so."""
    place = "0x" + "ad" * 20
    options = {"stateOverrides": {place: {"code": "0x5b5f56"}}, "timeout": "1ms"}
    with pytest.raises(RpcFailure, match="execution timeout"):
        traced.node.call("debug_traceCall", {"to": place}, "latest", options)
    spinning = traced.send({"data": "0x5b5a612710105f5700", "gas": "0xf00000"})
    (entry,) = traced.node.call(
        "debug_traceBlockByNumber", spinning["blockNumber"], {"timeout": "1us"}
    )
    assert entry == {"txHash": spinning["transactionHash"], "error": "execution timeout"}


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("debug_traceTransaction", ["0x" + "11" * 32, OPTIONS], "transaction not found"),
        ("debug_traceTransaction", [], "missing value"),
        ("debug_traceTransaction", ["0x" + "11" * 32, {"timeout": "soon"}], "invalid duration"),
        ("debug_traceBlockByNumber", ["0x0", OPTIONS], "genesis is not traceable"),
        ("debug_traceBlockByNumber", ["0xffffff", {}], "block #16777215 not found"),
        ("debug_traceCall", [{}, "latest", {"txIndex": "0x63"}], "out of range"),
        (
            "debug_traceCall",
            [{"from": NOBODY, "gasPrice": "0xffffffffff"}, "latest", {}],
            "tracing failed: insufficient funds",
        ),
        (
            "debug_traceCall",
            [{}, "latest", {"tracer": "muxTracer", "tracerConfig": {"nonesuch": {}}}],
            "'nonesuch' is not available",
        ),
        (
            "debug_traceCall",
            [
                {},
                "latest",
                {
                    "tracer": "prestateTracer",
                    "tracerConfig": {"diffMode": True, "includeEmpty": True},
                },
            ],
            "cannot use diffMode with includeEmpty",
        ),
        ("debug_traceCallMany", [[{"transactions": 5}]], "expected an array"),
        ("debug_traceBlockByNumber", ["latest", {"tracer": "x"}], "'x' is not available"),
        ("debug_traceBlockByHash", ["0x" + "11" * 32, OPTIONS], "not found"),
        ("debug_traceBadBlock", ["0x" + "11" * 32], f"bad block 0x{'11' * 32} not found"),
        ("debug_traceBlockFromFile", ["/etc/hostname"], "not available"),
        ("debug_getAccessibleState", ["latest", "latest"], "from and to needs to be different"),
    ],
)
def test_refusals(traced: Traced, method: str, params: list[Any], message: str) -> None:
    with pytest.raises(RpcFailure, match=message):
        traced.node.call(method, *params)


def test_the_same_again_at_once(traced: Traced) -> None:
    """What was traced lately is answered from what is still there, alike; a new block ends that,
    and so does another time and size."""
    sent = traced.receipt["transactionHash"]
    for options in ({}, OPTIONS, {"tracer": "prestateTracer"}, {"limit": 300}):
        first = traced.node.call("debug_traceTransaction", sent, options)
        assert traced.node.call("debug_traceTransaction", sent, options) == first
        traced.send({"to": NOBODY, "value": "0x1"})
        assert traced.node.call("debug_traceTransaction", sent, options) == first
    with pytest.raises(RpcFailure, match="execution timeout"):
        traced.node.call("debug_traceTransaction", sent, {"timeout": "0"})


@pytest.mark.parametrize("options", [{}, {"tracer": "prestateTracer"}])
def test_many_blocks_in_turn(traced: Traced, options: dict[str, Any]) -> None:
    """A block that is traced after others, more than are kept, shows its own state: as when it is
    the only one that was traced since the head moved."""
    node, increment = traced.node, keccak(text="increment()")[:4]
    data = aggregate((traced.counter, increment), (traced.counter, NUMBER))
    sent = [
        traced.send({"to": MULTICALL, "data": data})["transactionHash"]
        for _ in range(READY_MAX + 3)
    ]
    node.call("evm_mine")
    in_turn = [node.call("debug_traceTransaction", one, options) for one in sent]
    for one, found in zip(sent, in_turn, strict=True):
        node.call("evm_mine")
        assert node.call("debug_traceTransaction", one, options) == found
    assert len({json.dumps(found) for found in in_turn}) == len(sent)


@pytest.mark.parametrize("options", [{}, OPTIONS, {"tracer": "prestateTracer"}])
def test_first_traces(traced: Traced, options: dict[str, Any]) -> None:
    """What nobody has traced yet is answered alike alone, in a batch, with its block, and where a
    limit of time sends it to a thread."""
    node, increment = traced.node, keccak(text="increment()")[:4]
    data = aggregate((traced.counter, increment), (traced.counter, NUMBER))
    sent = [
        traced.send({"to": MULTICALL, "data": data})["transactionHash"]
        for _ in range(2 * READY_MAX + 1)
    ]
    answers = node.batch([("debug_traceTransaction", [one, options]) for one in sent])
    found = [answer["result"] for answer in answers]
    node.call("evm_mine")
    assert [node.call("debug_traceTransaction", one, options) for one in sent] == found
    node.call("evm_mine")
    for one, trace in zip(sent, found, strict=True):
        number = node.call("eth_getTransactionByHash", one)["blockNumber"]
        whole = node.call("debug_traceBlockByNumber", number, options)
        assert whole == [{"txHash": one, "result": trace}]


# Init code of creations: what it returns is placed, reverts, or breaks off.
PLACES = "0x60aa60005360bb604f5360506000f3"
REVERTS = "0x63deadbeef600052600b6015fd"
BREAKS_OFF = ["0xfe", "0x01", "0x63ffffffff600020", "0x0c"]
STORES_AND_HASHES = (
    "0x" + "7f" + "f0" * 32 + "80600052600160015560026001556001548060025560406000209060035560025400"
)


def test_struct_logs_alone_are_those_of_the_block(traced: Traced) -> None:
    """What is written of one transaction at a time is, byte for byte, what is made of the recording
    of its whole block: of every engine, of what fails, of several calls in one transaction."""
    node = traced.node
    transfer = {"to": shown(SPIRIT), "data": shown(balance_of(ALICE))}
    wanted: list[dict[str, Any]] = [
        {"to": NOBODY, "value": "0x1"},
        {"to": MULTICALL, "data": traced.data},
        {"data": PLACES},
        {"data": REVERTS},
        *({"data": code} for code in BREAKS_OFF),
        {"data": STORES_AND_HASHES},
        {"data": shown(wat("counter"))},
        {"type": "0x47", "calls": [transfer, {"to": MULTICALL, "data": traced.data}]},
        {"type": "0x47", "calls": [transfer, {"to": shown(SPIRIT), "data": "0xffffffff"}]},
    ]
    node.call("evm_setAutomine", False)
    gas = {"from": ALICE, "gas": hex(2_000_000)}
    sent = [node.call("eth_sendTransaction", one | gas) for one in wanted]
    node.call("evm_mine")
    node.call("evm_setAutomine", True)
    number = node.wait_for_receipt(sent[-1])["blockNumber"]
    for options in (
        {},
        {"enableMemory": True, "enableReturnData": True},
        {"disableStack": True, "disableStorage": True},
        {"limit": 400},
    ):
        whole = node.call("debug_traceBlockByNumber", number, options)
        assert [entry["txHash"] for entry in whole] == sent
        alone = node.batch([("debug_traceTransaction", [one, options]) for one in sent])
        for entry, answer in zip(whole, alone, strict=True):
            assert json.dumps(answer["result"]) == json.dumps(entry["result"])
    failed = [entry["result"]["failed"] for entry in whole]
    assert failed == [False, False, False, *[True] * 5, False, False, False, True]
    assert whole[3]["result"]["returnValue"] == "0x" + "00" * 7 + "deadbeef"
