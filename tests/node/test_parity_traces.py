"""trace_* and ots_* on a live chain of every engine: lists that agree with the tree of callTracer,
differences that turn the state before into the state after, instructions that agree with the struct
logger's, searches that find what is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from ghostchain.contracts.addresses import SPIRIT
from tests.node.process import Ghostd, RpcFailure
from tests.node.test_traces import ALICE, NOBODY, OPTIONS, Traced, shown

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
EVERYTHING = ["trace", "stateDiff", "vmTrace"]
# Stores its call's first word at slot 1, calls the identity precompile, sends a wei to 0x99...
STORING = "5f3560015560205f5f5f5f600460fff1505f5f5f5f600173" + NOBODY[2:] + "5af15000"
UNKNOWN = "0x" + "11" * 32


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    data_dir = tmp_path_factory.mktemp("ghostd")
    with Ghostd("--dev", data_dir=data_dir) as node:
        yield Traced(node, data_dir)


@pytest.fixture(scope="module")
def storing(traced: Traced) -> dict[str, Any]:
    """The receipt of a call of a contract that stores, calls and pays."""
    code = bytes.fromhex(STORING)
    init = bytes.fromhex("60" + f"{len(code):02x}" + "600a5f3960" + f"{len(code):02x}" + "5ff3")
    made = traced.send({"data": shown(init.ljust(10, b"\0") + code), "value": "0x0"})
    to = made["contractAddress"]
    return traced.send({"to": to, "data": "0x" + f"{77:064x}", "value": "0x5", "gas": "0x30d40"})


def flattened(tree: dict[str, Any], way: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way, tree["from"], tree.get("to"), tree["input"]
    for index, child in enumerate(tree.get("calls", ())):
        yield from flattened(child, (*way, index))


def test_calls_are_those_of_the_tree(traced: Traced) -> None:
    """Every frame of every engine, in the same order and at the same place."""
    sent = traced.receipt["transactionHash"]
    tree = traced.node.call("debug_traceTransaction", sent, OPTIONS)
    calls = traced.node.call("trace_transaction", sent)
    listed = [
        (tuple(call["traceAddress"]), *(call["action"][name] for name in ("from", "to", "input")))
        for call in calls
    ]
    assert listed == list(flattened(tree))
    assert {call.get("engine") for call in calls} >= {"native", "wasm", None}
    number = traced.receipt["blockNumber"]
    assert traced.node.call("trace_block", number) == calls
    assert traced.node.call("trace_get", sent, ["0x2"]) == next(
        call for call in calls if call["traceAddress"] == [2]
    )
    assert traced.node.call("trace_get", sent, [7, 7]) is None
    for call in calls:
        place = call["traceAddress"]
        below = [other["traceAddress"] for other in calls if len(other["traceAddress"])]
        assert call["subtraces"] == sum(way[:-1] == place for way in below)


def test_difference_leads_from_before_to_after(traced: Traced, storing: dict[str, Any]) -> None:
    answer = traced.node.call("trace_replayTransaction", storing["transactionHash"], EVERYTHING)
    number = int(storing["blockNumber"], 16)
    assert set(answer["stateDiff"]) >= {storing["from"], storing["to"], NOBODY}
    reads = {"balance": "eth_getBalance", "nonce": "eth_getTransactionCount", "code": "eth_getCode"}
    for address, difference in answer["stateDiff"].items():
        for name, method in reads.items():
            before = traced.node.call(method, address, hex(number - 1))
            after = traced.node.call(method, address, hex(number))
            assert changed(difference[name]) == ((before, after) if before != after else None)
        for key, change in difference["storage"].items():
            before, after = (
                traced.node.call("eth_getStorageAt", address, key, hex(block))
                for block in (number - 1, number)
            )
            assert changed(change) == (before, after)
    assert answer["stateDiff"][storing["to"]]["storage"] == {
        "0x" + f"{1:064x}": {"*": {"from": "0x" + "00" * 32, "to": "0x" + f"{77:064x}"}}
    }


@pytest.mark.parametrize("opcode", ["f1", "f2", "f4", "fa"])
@pytest.mark.parametrize("value", [0, 3])
def test_calls_of_precompiles(traced: Traced, opcode: str, value: int) -> None:
    """Those that move nothing are left out and not counted, of whatever kind; the others are there.
    The value of a DELEGATECALL is the caller's. At the top they are listed in any case."""
    somebody = "0x" + "98" * 20
    words = {"f1": f"60{value:02x}", "f2": f"60{value:02x}", "f4": "", "fa": ""}[opcode]
    to_identity = f"5f5f60015f{words}600461ffff{opcode}50"
    to_somebody = f"5f5f5f5f5f73{somebody[2:]}5af150"
    code = bytes.fromhex(to_identity + to_somebody + "00")
    init = bytes.fromhex(f"60{len(code):02x}600a5f3960{len(code):02x}5ff3").ljust(10, b"\0") + code
    holder = traced.send({"data": shown(init)})["contractAddress"]
    sent = traced.send({"to": holder, "value": hex(value), "gas": "0x30d40"})["transactionHash"]
    calls = traced.node.call("trace_transaction", sent)
    identity = "0x" + f"{4:040x}"
    wanted = [identity, somebody] if value and opcode != "fa" else [somebody]
    assert [call["action"]["to"] for call in calls] == [holder, *wanted]
    assert calls[0]["subtraces"] == len(wanted)
    assert [call["traceAddress"] for call in calls[1:]] == [[at] for at in range(len(wanted))]
    if identity in wanted:
        assert (calls[1]["action"]["value"], calls[1]["subtraces"]) == (hex(value), 0)
    replayed = traced.node.call("trace_replayTransaction", sent, ["trace"])["trace"]
    assert [call["action"] for call in replayed] == [call["action"] for call in calls]
    message = {"from": ALICE, "to": identity, "value": hex(value)}
    top = traced.node.call("trace_call", message, ["trace"], "latest")["trace"]
    assert [call["action"]["to"] for call in top] == [identity]


def changed(member: Any) -> tuple[str, str] | None:
    """(before, after) of a member of a difference; a new account's members begin at nothing."""
    if member == "=":
        return None
    if "*" in member:
        return member["*"]["from"], member["*"]["to"]
    ((sign, value),) = member.items()
    empty = "0x" if value == "0x" or len(value) > 66 else "0x0"
    if value == empty:
        return None
    return (empty, value) if sign == "+" else (value, empty)


def test_instructions_are_those_of_the_struct_log(traced: Traced, storing: dict[str, Any]) -> None:
    """The same instructions with the same costs; what each pushed is what the next one found."""
    sent = storing["transactionHash"]
    logs = traced.node.call("debug_traceTransaction", sent)["structLogs"]
    shown_vm = traced.node.call("trace_replayTransaction", sent, ["vmTrace"])
    assert shown_vm["trace"] == []
    assert shown_vm["stateDiff"] is None
    vm = shown_vm["vmTrace"]
    assert vm["code"] == traced.node.call("eth_getCode", storing["to"], "latest")
    tops = [log for log in logs if log["depth"] == 1]
    assert [op["pc"] for op in vm["ops"]] == [log["pc"] for log in tops]
    assert [op["cost"] for op in vm["ops"]] == [log["gasCost"] for log in tops]
    for op, log, after in zip(vm["ops"], tops, tops[1:], strict=False):
        assert op["ex"]["used"] == after["gas"]
        pushed = op["ex"]["push"]
        assert after["stack"][len(after["stack"]) - len(pushed) :] == pushed
        if log["op"] == "SSTORE":
            assert op["ex"]["store"] == {"key": "0x1", "val": hex(77)}
    assert sum(op["sub"] is not None for op in vm["ops"]) == 2


def test_messages_are_traced_like_transactions(traced: Traced, storing: dict[str, Any]) -> None:
    node, to = traced.node, storing["to"]
    message = {"from": ALICE, "to": to, "data": "0x" + f"{9:064x}", "value": "0x5"}
    single = node.call("trace_call", message, EVERYTHING)
    assert single["trace"][0]["action"]["to"] == to
    slot = "0x" + f"{1:064x}"
    twice = [[message, ["stateDiff"]]] * 2
    first, second = node.call("trace_callMany", twice)
    assert first["stateDiff"][to]["storage"][slot]["*"]["to"] == "0x" + f"{9:064x}"
    assert second["stateDiff"].get(to, {"storage": {}})["storage"] == {}
    nonce = int(node.call("eth_getTransactionCount", ALICE, "latest"), 16)
    signed = Account.from_key(KEY).sign_transaction(
        {
            "chainId": 31337,
            "nonce": nonce,
            "to": bytes.fromhex(to[2:]),
            "value": 5,
            "gas": 200_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 1,
            "data": message["data"],
        }
    )
    raw = "0x" + signed.raw_transaction.hex().removeprefix("0x")
    answer = node.call("trace_rawTransaction", raw, ["trace"])
    assert [call["action"] | {"gas": ""} for call in answer["trace"]] == [
        call["action"] | {"gas": ""} for call in single["trace"]
    ]
    assert int(node.call("eth_getTransactionCount", ALICE, "latest"), 16) == nonce


def test_filter_finds_by_caller_and_callee(traced: Traced, storing: dict[str, Any]) -> None:
    node, to = traced.node, storing["to"]
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    every = node.call("trace_filter", whole)
    assert len(every) > 8
    from_it = node.call("trace_filter", whole | {"fromAddress": [to]})
    assert from_it == [call for call in every if call["action"]["from"] == to]
    both = {"fromAddress": [ALICE], "toAddress": [to], "mode": "intersection"}
    paid = node.call("trace_filter", whole | both)
    assert [call["type"] for call in paid] == ["create", "call"]
    assert paid[1]["transactionHash"] == storing["transactionHash"]
    assert node.call("trace_filter", whole | {"after": 2, "count": 3}) == every[2:5]
    assert node.call("trace_filter", whole | {"count": 0}) == []


def test_explorer_finds_its_way(traced: Traced, storing: dict[str, Any]) -> None:
    node, to, sent = traced.node, storing["to"], storing["transactionHash"]
    assert node.call("ots_getApiLevel") == 8
    assert node.call("ots_hasCode", to)
    assert node.call("ots_hasCode", shown(SPIRIT))
    assert not node.call("ots_hasCode", ALICE)
    assert node.call("ots_getInternalOperations", sent) == [
        {"type": 0, "from": to, "to": NOBODY, "value": "0x1"}
    ]
    assert [call["depth"] for call in node.call("ots_traceTransaction", sent)] == [0, 1, 1]
    creator = node.call("ots_getContractCreator", to)
    assert creator["creator"] == ALICE
    assert node.call("eth_getTransactionReceipt", creator["hash"])["contractAddress"] == to
    assert node.call("ots_getContractCreator", ALICE) is None
    nonce = int(node.call("eth_getTransactionByHash", sent)["nonce"], 16)
    assert node.call("ots_getTransactionBySenderAndNonce", ALICE, nonce) == sent
    newest = node.call("ots_searchTransactionsBefore", NOBODY, 0, 1)
    assert [tx["hash"] for tx in newest["txs"]] == [sent]
    assert newest["firstPage"]
    oldest = node.call("ots_searchTransactionsAfter", ALICE, 0, 2)
    assert oldest["lastPage"]
    assert [tx["nonce"] for tx in oldest["txs"]] == ["0x1", "0x0"]
    details = node.call("ots_getBlockDetails", int(storing["blockNumber"], 16))
    fee = int(storing["gasUsed"], 16) * int(storing["effectiveGasPrice"], 16)
    assert details["totalFees"] == hex(fee)
    assert details["block"]["transactionCount"] == 1
    assert node.call("ots_getBlockDetailsByHash", storing["blockHash"]) == details
    page = node.call("ots_getBlockTransactions", int(storing["blockNumber"], 16), 0, 10)
    assert [tx["hash"] for tx in page["fullblock"]["transactions"]] == [sent]
    assert len(page["fullblock"]["transactions"][0]["input"]) == 10


def test_a_reverted_transaction_says_why(traced: Traced) -> None:
    reason = keccak(text="Nope()")[:4]
    code = bytes.fromhex("63") + reason + bytes.fromhex("5f526004601cfd")
    sent = traced.node.call(
        "eth_sendTransaction", {"from": ALICE, "data": shown(code), "gas": "0x30d40"}
    )
    assert traced.node.wait_for_receipt(sent)["status"] == "0x0"
    assert traced.node.call("ots_getTransactionError", sent) == shown(reason)
    (call,) = traced.node.call("trace_transaction", sent)
    assert call["error"] == "Reverted"


REFUSED = (
    ("trace_block", ["0xffff"], -32000),
    ("trace_replayTransaction", [UNKNOWN, ["trace"]], -32000),
    ("trace_replayTransaction", [UNKNOWN, ["everything"]], -32602),
    ("trace_replayBlockTransactions", ["latest"], -32602),
    ("trace_filter", [{"fromBlock": "0x2", "toBlock": "0x1"}], -32602),
    ("trace_filter", [{"mode": "other"}], -32602),
    ("trace_filter", [{"fromAddress": ["0x12"]}], -32602),
    ("trace_call", [{"from": NOBODY, "to": ALICE, "value": "0x" + "f" * 40}, ["trace"]], -32000),
    ("trace_callMany", [[[{}]]], -32602),
    ("trace_rawTransaction", ["0x02c0", ["trace"]], -32000),
    ("trace_get", [UNKNOWN, "0x0"], -32602),
    ("ots_getBlockTransactions", [1, 0, 0], -32000),
    ("ots_getBlockDetails", [10**6], -32000),
    ("ots_searchTransactionsBefore", [ALICE, -1, 5], -32602),
    ("ots_traceTransaction", [UNKNOWN], -32000),
)


@pytest.mark.parametrize(("method", "parameters", "code"), REFUSED)
def test_what_cannot_be_is_refused(
    traced: Traced, method: str, parameters: list[Any], code: int
) -> None:
    with pytest.raises(RpcFailure) as failure:
        traced.node.call(method, *parameters)
    assert failure.value.code == code


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"data": "0x5f5ffd"}, "Reverted"),
        ({"data": "0x5b5f56", "gas": "0x13880"}, "Out of gas"),
        ({"data": "0x60ef5f5360015ff3"}, "Invalid code"),
        ({"data": "0xfe"}, "Bad instruction"),
        ({"data": "0x0c"}, "Bad instruction"),
        ({"data": "0x50"}, "Stack underflow"),
        ({"data": "0x5b5f5f56"}, "Out of stack"),
        ({"data": "0x600a56"}, "Bad jump destination"),
        ({"data": "0x60015f5f3e"}, "Out of bounds"),
        ({"to": "0x" + "00" * 19 + "09", "data": "0x00"}, "Built-in failed"),
        ({"to": "0x" + "00" * 19 + "08", "data": "0x00"}, "Built-in failed"),
    ],
)
def test_failures_in_parity_s_words(traced: Traced, request_: dict[str, str], words: str) -> None:
    (call,) = traced.node.call("trace_call", request_, ["trace"], "latest")["trace"]
    assert call["error"] == words
    assert (call["result"] is None) == (words != "Reverted")


def test_a_write_in_a_static_call(traced: Traced, storing: dict[str, Any]) -> None:
    request = {"data": "0x5f5f5f5f73" + storing["to"][2:] + "5afa5000"}
    calls = traced.node.call("trace_call", request, ["trace"], "latest")["trace"]
    assert [call.get("error") for call in calls] == [None, "Mutable Call In Static Context"]


def test_what_is_not_known_is_null(traced: Traced) -> None:
    assert traced.node.call("trace_transaction", UNKNOWN) is None
    assert traced.node.call("trace_get", UNKNOWN, []) is None
    assert traced.node.call("trace_block", "0x0") == []
