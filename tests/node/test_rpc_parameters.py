"""Every parameter of every method of execution-apis' document, with values of every kind in its
place: what the document has is taken, what it has not is refused with -32602. Where geth takes
more and its clients send it, or a value of the right shape cannot be meant, a rule below says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ghostchain.rpc.methods import METHODS
from tests.node.document import Document
from tests.node.examples import Asking, examples
from tests.node.process import Ghostd
from tests.node.whole_chain import WholeChain

HASH = "0x" + "11" * 32
WHO = "0x" + "99" * 20
CALL = {"to": WHO}
SCALARS: list[Any] = [None, True, False, 0, 1, -1, 1.5, 2**53, "", "1", "0xg", "newest", "Latest"]
NUMBERS = ["0x", "0x0", "0x1", "0x00", "0x01", "0X1", "0xF", "0xf", "0x" + "f" * 16]
NUMBERS += ["0x1" + "0" * 16, "0x" + "f" * 64, "0x1" + "0" * 64]
TAGS = ["latest", "pending", "earliest", "safe", "finalized"]
TEXTS = [WHO, WHO[:-1], WHO + "0", WHO[2:], "0x" + "aB" * 20, HASH, HASH[:-1], HASH + "00"]
TEXTS += ["0x" + "00" * 33, "0x12345", "0x123456"]
LISTS: list[Any] = [[], [[]], [None], [WHO], [HASH], ["0x0"], [1, 2.5], [50, 10], ["a"], [-1]]
REQUESTS: list[Any] = [
    {},
    CALL,
    {"from": WHO, "to": WHO},
    {"to": None, "input": "0x"},
    CALL | {"data": "0x12"},
    CALL | {"unknown": 1},
    CALL | {"gas": 1},
    CALL | {"gas": "0x01"},
    CALL | {"value": "1"},
    CALL | {"nonce": "0x0"},
    CALL | {"accessList": [{"address": WHO, "storageKeys": [HASH]}]},
    CALL | {"accessList": [{"address": WHO, "storageKeys": ["0x1"]}]},
    CALL | {"chainId": "0x7a69"},
    {"from": None, "to": WHO},
    {"to": "0x"},
]
BLOCKS: list[Any] = [{"blockNumber": "0x1"}, {"blockHash": HASH}, {"blockHash": 1}]
FILTERS: list[Any] = [
    {"fromBlock": "0x0"},
    {"fromBlock": "latest", "toBlock": "latest"},
    {"fromBlock": 1},
    {"fromBlock": None},
    {"toBlock": "finalized"},
    {"address": WHO},
    {"address": [WHO]},
    {"address": [WHO, "0x1"]},
    {"address": None},
    {"topics": None},
    {"topics": [None]},
    {"topics": [HASH, [HASH, HASH]]},
    {"topics": ["0x1"]},
    {"topics": HASH},
]
STORAGE: list[Any] = [{WHO: keys} for keys in (["0x0"], [], ["0x"], "0x0", ["0x" + "0" * 65])]
TRACING: list[Any] = [
    {"tracer": "callTracer"},
    {"tracer": ""},
    {"tracer": 1},
    {"tracer": "callTracer", "tracerConfig": {}},
    {"tracer": "callTracer", "tracerConfig": 1},
    {"timeout": "1s"},
    {"timeout": 1},
    {"enableMemory": True},
    {"enableMemory": 1},
    {"limit": 5},
    {"limit": "5"},
]
SIMULATED: list[Any] = [
    {"blockStateCalls": [{}]},
    {"blockStateCalls": {}},
    {"blockStateCalls": [{"calls": [CALL]}], "validation": 1},
    {"blockStateCalls": [{"blockOverrides": {"number": 1}}]},
    {"blockStateCalls": [{"blockOverrides": {"baseFeePerGas": "0x1"}}]},
    {"blockStateCalls": [{"stateOverrides": {WHO: {"balance": "1"}}}]},
    {"blockStateCalls": [{"stateOverrides": {WHO: {"nonce": "0x1", "state": {HASH: HASH}}}}]},
    {"blockStateCalls": [{}], "returnFullTransactions": True, "traceTransfers": True},
]
VALUES = [*SCALARS, *NUMBERS, *TAGS, *TEXTS, *LISTS, *REQUESTS, *BLOCKS, *FILTERS, *STORAGE]
VALUES += [*TRACING, *SIMULATED]

TRANSACTION_TAKERS = frozenset(
    {
        "eth_call",
        "eth_estimateGas",
        "eth_createAccessList",
        "eth_fillTransaction",
        "eth_signTransaction",
        "eth_sendTransaction",
    }
)
ANY_KEYS = frozenset({"eth_getStorageAt", "eth_getProof", "eth_getStorageValues"})


@pytest.fixture(scope="module")
def asking(world: WholeChain) -> Iterator[Asking]:
    with Ghostd("--dev", "--genesis", str(world.genesis), data_dir=world.directory) as running:
        yield Asking(world, running)


def requests(asking: Asking, document: Document) -> Iterator[tuple[str, list[Any], int]]:
    """Each method's fullest example with one parameter replaced, the ones after it left out, or one
    more: (method, parameters, which one it is about)."""
    fullest: dict[str, list[Any]] = {}
    for method, params in examples(asking):
        if method not in fullest or len(params) > len(fullest[method]):
            fullest[method] = params
    for method, params in fullest.items():
        for place in range(len(document.parameters[method])):
            before = [*params, *[None] * place][:place]
            for value in VALUES:
                yield method, [*before, value, *params[place + 1 :]], place
        for count in range(len(params)):
            yield method, params[:count], count
        padding = [None] * (len(document.parameters[method]) - len(params))
        for value in ("0x1", {}):
            yield method, [*params, *padding, value], len(params) + len(padding)


def geth_takes(document: Document, method: str, params: list[Any]) -> bool:
    """Whether the document would have it once what clients of geth write otherwise is written as
    the document has it."""
    taken = [plain(method, index, value) for index, value in enumerate(params)]
    if len(taken) > len(document.parameters[method]):
        # Overrides of state and block, and fees in a token.
        return len(taken) <= len(METHODS[method].parameters)
    while taken and taken[-1] is None:
        taken.pop()
    optional = [not parameter.required for parameter in METHODS[method].parameters]
    if not all(optional[len(taken) : document.required[method]]):
        return False
    return all(
        (value is None and optional[index]) or document.parameters[method][index].is_valid(value)
        for index, value in enumerate(taken)
    )


def plain(method: str, place: int, value: Any) -> Any:
    """Hex in lower case; blocks of EIP-1898 as their number or hash; transactions without members
    that nobody knows, null ones and the second name of their data; storage keys with 0x; counts of
    blocks as hex; an address or a bound of a filter that is null as left out."""
    if method == "eth_feeHistory" and place == 0 and str(value).isdigit():
        return hex(int(value))
    if isinstance(value, str):
        text = value.lower() if value[:2].lower() == "0x" else value
        if method in ANY_KEYS and text[:2] != "0x" and all(c in "0123456789abcdef" for c in text):
            return "0x" + text
        return text
    if isinstance(value, list):
        return [plain(method, -1, item) for item in value]
    if not isinstance(value, dict):
        return value
    if method in TRANSACTION_TAKERS and place == 0:
        value = {"input" if name == "data" else name: item for name, item in value.items()}
        known = {"from", "to", "gas", "value", "nonce", "input", "accessList", "chainId"}
        value = {name: item for name, item in value.items() if name in known and item is not None}
    elif method in ("eth_newFilter", "eth_getLogs"):
        value = {name: item for name, item in value.items() if item is not None}
    elif not method.startswith("debug_trace") and list(value) in (["blockNumber"], ["blockHash"]):
        return plain(method, -1, *value.values())
    return {name: plain(method, -1, item) for name, item in value.items()}


def cannot_be(method: str, params: list[Any], place: int, message: str) -> bool:
    """Refusals of what the document has: numbers that are too wide, half bytes, blocks that nobody
    named, what a method needs in all and the document demands of nobody."""
    if " bits" in message or "odd length" in message:
        return True
    if method.startswith("eth_getBlockTransactionCount") and not params:
        return True
    closed = {"eth_simulateV1", "testing_buildBlockV1", "eth_getStorageValues"}
    return method in closed and place in (0, 1, 2, 3)


def test_parameters_are_taken_and_refused_as_the_document_says(
    asking: Asking, document: Document
) -> None:
    listed = list(requests(asking, document))
    wrong, refused = [], 0
    for start in range(0, len(listed), 200):
        part = listed[start : start + 200]
        answers = asking.node.batch([(method, params) for method, params, _ in part])
        for (method, params, place), answer in zip(part, answers, strict=True):
            error = answer.get("error", {})
            is_refused = error.get("code") == -32602
            refused += is_refused
            fault = document.judge(method, answer)
            if is_refused and document.takes(method, params):
                if not cannot_be(method, params, place, error["message"]):
                    fault = f"refused: {error['message']}"
            elif not is_refused and not geth_takes(document, method, params):
                fault = f"taken: {json.dumps(answer)[:100]}"
            if fault:
                wrong.append(f"{method} {place} {json.dumps(params)[:160]}: {fault}")
    assert not wrong, "\n".join(wrong[:60]) + f"\n{len(wrong)} of {len(listed)}"
    assert refused > len(listed) // 2
    assert len(listed) > 5_000
