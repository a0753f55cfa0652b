"""debug_trace* on a live chain: one tree of frames over all engines, in geth's shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak

from ghostchain.contracts.addresses import FEE_MARKET, GCC, SPIRIT, STAKING
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
    def __init__(self, node: Ghostd) -> None:
        self.node = node
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
def traced() -> Iterator[Traced]:
    with Ghostd("--dev") as node:
        yield Traced(node)


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
    check_frames(traced.node.call("debug_traceCall", request, "latest", OPTIONS), traced)
    by_number = traced.node.call("debug_traceBlockByNumber", traced.receipt["blockNumber"], OPTIONS)
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


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("debug_traceTransaction", ["0x" + "11" * 32, OPTIONS], "transaction not found"),
        ("debug_traceTransaction", ["0x" + "11" * 32], "missing value"),
        ("debug_traceBlockByNumber", ["0x0", OPTIONS], "genesis is not traceable"),
        ("debug_traceBlockByNumber", ["latest", {}], "struct logger"),
        ("debug_traceBlockByNumber", ["latest", {"tracer": "x"}], "'x' is not available"),
        ("debug_traceBlockByHash", ["0x" + "11" * 32, OPTIONS], "not found"),
    ],
)
def test_refusals(traced: Traced, method: str, params: list[Any], message: str) -> None:
    with pytest.raises(RpcFailure, match=message):
        traced.node.call(method, *params)
