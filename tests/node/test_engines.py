"""Contracts of every engine on a live chain, asked through the same methods."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from ghostchain.contracts.addresses import SPIRIT, TOKENS
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.traces import FrameKind
from tests.engines import EVM, READ, REVERT, SUCCEED, THEN_REVERT, WASM, act, assemble, call
from tests.node.process import Ghostd, RpcFailure

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
FLOATING = bytes.fromhex("0061736d010000000105016000017d030201000a09010700430000803f0b")
SELECTOR_BALANCE = keccak256(b"balanceOf(address)")[:4]
SELECTOR_TRANSFER = keccak256(b"transfer(address,uint256)")[:4]


def shown(data: bytes) -> str:
    return "0x" + data.hex()


def word_of(address: str | bytes) -> bytes:
    data = bytes.fromhex(address[2:]) if isinstance(address, str) else address
    return data.rjust(32, b"\0")


def returning(code: bytes) -> bytes:
    """Init code that returns what follows it."""
    head = assemble(f"{len(code)} 0x1111 0 codecopy {len(code)} 0 return")
    return head.replace(b"\x11\x11", len(head).to_bytes(2, "big")) + code


class Chain:
    """A chain with one contract of each engine that a user can deploy."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node
        self.evm = self.deploy(returning(EVM))
        self.wasm = self.deploy(WASM)

    def send(self, **members: Any) -> dict[str, Any]:
        sent = self.node.call("eth_sendTransaction", {"from": ALICE, **members})
        return self.node.wait_for_receipt(sent)

    def deploy(self, init_code: bytes) -> str:
        receipt = self.send(data=shown(init_code))
        assert receipt["status"] == "0x1"
        return str(receipt["contractAddress"])

    def requests(self) -> dict[str, dict[str, str]]:
        """A transaction that changes state, for each engine as the one that is called."""
        transfer = SELECTOR_TRANSFER + word_of(b"\x99" * 20) + (5).to_bytes(32, "big")
        across = call(FrameKind.CALL, bytes.fromhex(self.wasm[2:]), act(SUCCEED))
        back = call(FrameKind.CALL, bytes.fromhex(self.evm[2:]), act(SUCCEED))
        return {
            "evm": {"to": self.evm, "data": shown(act(SUCCEED))},
            "wasm": {"to": self.wasm, "data": shown(act(SUCCEED))},
            "python": {"to": shown(SPIRIT), "data": shown(transfer)},
            "evm to wasm": {"to": self.evm, "data": shown(across)},
            "wasm to evm": {"to": self.wasm, "data": shown(back)},
            "a module": {"data": shown(WASM)},
            "init code": {"data": shown(returning(EVM))},
        }


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Ghostd("--dev") as node:
        yield Chain(node)


def test_code_of_every_engine(chain: Chain) -> None:
    """eth_getCode gives the very bytes: EVM code, the module, and `ef 47 id`."""
    assert chain.node.call("eth_getCode", chain.evm, "latest") == shown(EVM)
    assert chain.node.call("eth_getCode", chain.wasm, "latest") == shown(WASM)
    for token in TOKENS:
        assert (
            chain.node.call("eth_getCode", shown(token), "latest") == "0xef47" + shown(token)[-2:]
        )


def test_calls_answer_and_fail_alike(chain: Chain) -> None:
    """eth_call: output, revert data, and what a contract of another engine sees of its caller."""
    for place in (chain.evm, chain.wasm):
        request = {"from": ALICE, "to": place, "data": shown(act(READ))}
        answer = chain.node.call("eth_call", request, "latest")
        assert answer == shown(word_of(ALICE) + bytes(32) + word_of(place))
        with pytest.raises(RpcFailure, match="execution reverted") as failure:
            chain.node.call("eth_call", request | {"data": shown(act(REVERT))}, "latest")
        assert failure.value.data == shown((0xDEAD).to_bytes(32, "big"))
    balance = {"to": shown(SPIRIT), "data": shown(SELECTOR_BALANCE + word_of(ALICE))}
    direct = chain.node.call("eth_call", balance, "latest")
    for place in (chain.evm, chain.wasm):
        asked = call(FrameKind.STATICCALL, SPIRIT, SELECTOR_BALANCE + word_of(ALICE))
        answer = chain.node.call("eth_call", {"to": place, "data": shown(asked)}, "latest")
        assert answer == shown((1).to_bytes(32, "big")) + direct[2:]


NAMES = ("evm", "wasm", "python", "evm to wasm", "wasm to evm", "a module", "init code")


@pytest.mark.parametrize("name", NAMES)
def test_estimates_suffice(chain: Chain, name: str) -> None:
    """eth_estimateGas: with it the transaction succeeds, with 5% less it does not."""
    request = chain.requests()[name] | {"from": ALICE}
    gas = int(chain.node.call("eth_estimateGas", request), 16)
    with pytest.raises(RpcFailure):
        chain.node.call("eth_call", request | {"gas": hex(gas * 95 // 100)}, "latest")
    receipt = chain.send(**request, gas=hex(gas))
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) <= gas


@pytest.mark.parametrize("name", NAMES[:5])
def test_access_lists_cover_what_is_touched(chain: Chain, name: str) -> None:
    """eth_createAccessList: sent along, nothing is cold any more; a second look adds nothing."""
    request = chain.requests()[name] | {"from": ALICE}
    first = chain.node.call("eth_createAccessList", request, "latest")
    assert "error" not in first
    listed = request | {"accessList": first["accessList"]}
    second = chain.node.call("eth_createAccessList", listed, "latest")
    assert second["accessList"] == first["accessList"]
    touched = {entry["address"] for entry in first["accessList"]}
    if name == "python":
        assert touched == {shown(SPIRIT)}
    elif " to " in name:
        assert touched >= {chain.evm, chain.wasm}
    receipt = chain.send(**listed, gas=hex(2_000_000))
    assert receipt["status"] == "0x1"
    assert receipt["gasUsed"] == second["gasUsed"]


def test_a_refused_module_says_why(chain: Chain) -> None:
    """eth_call and eth_estimateGas carry the validator's reason; the transaction fails."""
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(RpcFailure, match=r"invalid wasm module: [a-z]"):
            chain.node.call(method, {"from": ALICE, "data": shown(FLOATING)})
    receipt = chain.send(data=shown(FLOATING), gas=hex(10_000_000))
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(10_000_000))


def test_the_protocol_s_code_cannot_be_deployed(chain: Chain) -> None:
    """Neither as init code nor as what init code returns (EIP-3541)."""
    for init_code in (b"\xef\x47\x02", returning(b"\xef\x47\x02")):
        with pytest.raises(RpcFailure):
            chain.node.call("eth_estimateGas", {"from": ALICE, "data": shown(init_code)})


def slots(numbers: dict[int, int]) -> dict[str, str]:
    return {
        shown(key.to_bytes(32, "big")): shown(n.to_bytes(32, "big")) for key, n in numbers.items()
    }


def test_traces_lead_through_every_engine(chain: Chain) -> None:
    """EVM, WASM, EVM, and a contract of the protocol: one tree, its gas, logs and slots."""
    evm, wasm = chain.deploy(returning(EVM)), chain.deploy(WASM)
    balance = call(FrameKind.STATICCALL, SPIRIT, SELECTOR_BALANCE + word_of(ALICE))
    innermost = call(FrameKind.CALL, bytes.fromhex(chain.evm[2:]), balance)
    across = call(FrameKind.CALL, bytes.fromhex(wasm[2:]), innermost)
    receipt = chain.send(to=evm, data=shown(across), gas=hex(3_000_000))
    sent = receipt["transactionHash"]
    tracers = {
        "callTracer": {"withLog": True},
        "flatCallTracer": {},
        "prestateTracer": {"diffMode": True},
    }
    trace = {
        name: chain.node.call(
            "debug_traceTransaction", sent, {"tracer": name, "tracerConfig": config}
        )
        for name, config in tracers.items()
    }
    options = {"tracer": "muxTracer", "tracerConfig": tracers}
    assert chain.node.call("debug_traceTransaction", sent, options) == trace
    frames = [trace["callTracer"]]
    while "calls" in frames[-1]:
        (below,) = frames[-1]["calls"]
        frames.append(below)
    assert [(frame["type"], frame["to"], frame.get("engine")) for frame in frames] == [
        ("CALL", evm, None),
        ("CALL", wasm, "wasm"),
        ("CALL", chain.evm, None),
        ("STATICCALL", shown(SPIRIT), "native"),
    ]
    assert frames[0]["gasUsed"] == receipt["gasUsed"]
    for above, below in pairwise(frames):
        assert int(below["gas"], 16) <= int(above["gas"], 16) * 63 // 64
        assert 0 < int(below["gasUsed"], 16) < int(above["gasUsed"], 16)
    flat = trace["flatCallTracer"]
    assert [(frame["traceAddress"], frame.get("engine")) for frame in flat] == [
        ([0] * depth, frame.get("engine")) for depth, frame in enumerate(frames)
    ]
    assert [frame["result"]["gasUsed"] for frame in flat] == [frame["gasUsed"] for frame in frames]
    post = trace["prestateTracer"]["post"]
    assert post[evm]["storage"] == post[wasm]["storage"] == slots({1: 1, 2: 2})
    (parity,) = (chain.node.call("trace_replayTransaction", sent, ["trace", "stateDiff"]),)
    assert [call["traceAddress"] for call in parity["trace"]] == [[0] * depth for depth in range(4)]
    assert set(parity["stateDiff"][wasm]["storage"]) == set(slots({1: 0, 2: 0}))


def test_what_a_frame_of_any_engine_undoes_is_not_shown(chain: Chain) -> None:
    """Logs below a WASM frame that reverts are gone; those beside it stay where they were made."""
    evm, wasm = chain.deploy(returning(EVM)), chain.deploy(WASM)
    for then in (0, THEN_REVERT):
        inner = call(FrameKind.CALL, bytes.fromhex(chain.evm[2:]), act(SUCCEED), then=then)
        request = {"from": ALICE, "to": evm}
        request["data"] = shown(call(FrameKind.CALL, bytes.fromhex(wasm[2:]), inner))
        options = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
        trace = chain.node.call("debug_traceCall", request, "latest", options)
        (above,) = trace["calls"]
        (below,) = above["calls"]
        assert above.get("error") == ("execution reverted" if then else None)
        assert [log["address"] for log in below.get("logs", ())] == ([] if then else [chain.evm])
        diff = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
        post = chain.node.call("debug_traceCall", request, "latest", diff)["post"]
        assert (wasm in post) == (not then)
        assert post[evm]["storage"] == slots({1: 1, 2: 1 if then else 2})
