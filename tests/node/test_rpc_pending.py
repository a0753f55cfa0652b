"""The pending block is a whole one, on every kind of chain, and what comes if nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ghostchain.chain.networks import TEST_KEYS
from ghostchain.crypto.secp256k1 import address_of
from tests.node.document import Document
from tests.node.examples import NUMBER_TAKERS, PARAMETERLESS, STATE_READERS, TAGS
from tests.node.process import Ghostd

ALICE, BOB = ("0x" + address_of(key).hex() for key in TEST_KEYS[:2])
FEES = {"gas": "0x5208", "maxFeePerGas": "0x1000000000", "maxPriorityFeePerGas": "0x1"}


def pending(node: Ghostd, document: Document, *, full: bool = False) -> dict[str, Any]:
    block: dict[str, Any] = node.call("eth_getBlockByNumber", "pending", full)
    assert not document.judge("eth_getBlockByNumber", {"result": block})
    head = node.call("eth_getBlockByNumber", "latest", False)
    assert block["parentHash"] == head["hash"]
    assert int(block["number"], 16) == int(head["number"], 16) + 1
    assert int(block["timestamp"], 16) > int(head["timestamp"], 16)
    return block


@pytest.mark.parametrize(
    "arguments", [("--dev",), ("--network", "testnet", "--no-p2p")], ids=["dev", "testnet"]
)
def test_a_fresh_chain_has_an_empty_one(arguments: tuple[str, ...], document: Document) -> None:
    with Ghostd(*arguments) as node:
        assert pending(node, document)["transactions"] == []
        assert pending(node, document, full=True)["gasUsed"] == "0x0"


@pytest.mark.parametrize(
    "arguments",
    [("--dev",), ("--network", "testnet", "--no-p2p"), ("--dev", "--hardfork", "cancun")],
    ids=["dev", "testnet", "cancun"],
)
def test_a_chain_at_block_0_answers_in_shape(
    arguments: tuple[str, ...], document: Document
) -> None:
    """What there is little of is of the document's shape too; so is a chain moved to before its
    genesis."""
    calls: list[tuple[str, list[Any]]] = [(method, []) for method in PARAMETERLESS]
    calls += [(method, [tag]) for method in NUMBER_TAKERS for tag in TAGS]
    calls += [(method, [*params, tag]) for method, params in STATE_READERS for tag in TAGS]
    calls += [("eth_feeHistory", [count, "latest", [50]]) for count in ("0x0", "0x1", "0x400")]
    calls += [("eth_getLogs", [{}]), ("eth_gasPrice", []), ("eth_maxPriorityFeePerGas", [])]
    calls += [("eth_getTransactionByBlockNumberAndIndex", [tag, "0x0"]) for tag in TAGS]
    with Ghostd(*arguments) as node:
        for moves in ([], [("evm_setTime", ["0x1"]), ("evm_mine", [])]):
            if moves and "--dev" not in arguments:
                continue
            node.batch(moves) if moves else None
            for (method, params), answer in zip(calls, node.batch(calls), strict=True):
                assert not document.judge(method, answer), (method, params)
                assert "result" in answer, (method, params, answer)


@pytest.fixture(scope="module")
def origin() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        yield node


@pytest.fixture(scope="module", params=["own", "fork"])
def node(request: pytest.FixtureRequest, origin: Ghostd) -> Iterator[Ghostd]:
    """A development chain of its own, and one that begins where another stands."""
    arguments = ("--fork-url", origin.url) if request.param == "fork" else ()
    with Ghostd("--dev", *arguments) as running:
        yield running


def test_it_is_the_block_that_comes(node: Ghostd, document: Document) -> None:
    """Transactions of two senders, one of them failing; accounts changed by hand; a time and a fee
    set for the next block: hash and all."""
    node.call("evm_setAutomine", False)
    thrower = "0x" + "75" * 20
    node.call("anvil_setCode", thrower, "0xfe")
    node.call("anvil_setBalance", "0x" + "76" * 20, "0x1234")
    head = node.call("eth_getBlockByNumber", "latest", False)
    node.call("evm_setNextBlockTimestamp", hex(int(head["timestamp"], 16) + 77))
    node.call("anvil_setNextBlockBaseFeePerGas", "0x4d")
    sent = [
        node.call("eth_sendTransaction", FEES | {"from": ALICE, "to": BOB, "value": "0x1"}),
        node.call("eth_sendTransaction", FEES | {"from": ALICE, "to": BOB, "value": "0x2"}),
        node.call("eth_sendTransaction", FEES | {"from": BOB, "to": thrower, "gas": "0x186a0"}),
    ]
    block = pending(node, document)
    assert sorted(block["transactions"]) == sorted(sent)
    assert (block["baseFeePerGas"], int(block["gasUsed"], 16)) == ("0x4d", 2 * 21_000 + 100_000)
    whole = pending(node, document, full=True)
    for index, tx in enumerate(whole["transactions"]):
        assert (tx["blockHash"], tx["transactionIndex"]) == (whole["hash"], hex(index))
        listed = node.call("eth_getTransactionByBlockNumberAndIndex", "pending", hex(index))
        assert listed == tx
        waiting = node.call("eth_getTransactionByHash", tx["hash"])
        assert waiting["blockHash"] is None
        assert not document.judge("eth_getTransactionByHash", {"result": waiting})
    assert node.call("eth_getTransactionByBlockNumberAndIndex", "pending", "0x3") is None
    assert node.call("eth_getBlockTransactionCountByNumber", "pending") == "0x3"
    header = node.call("eth_getHeaderByNumber", "pending")
    assert header == {name: block[name] for name in header}
    node.call("evm_mine")
    mined = node.call("eth_getBlockByNumber", "latest", False)
    assert sorted(mined["transactions"]) == sorted(sent)
    if mined["transactions"] == block["transactions"]:
        assert mined == block
    for name in ("number", "timestamp", "baseFeePerGas", "gasUsed", "miner", "stateRoot"):
        assert mined[name] == block[name], name
    assert node.call("eth_getBlockByHash", block["hash"], False) in (None, mined)


def test_what_does_not_hold_is_left_out(node: Ghostd, document: Document) -> None:
    """A fee below the block's, and a transaction behind a gap."""
    node.call("evm_setAutomine", False)
    node.call("evm_mine")
    nonce = int(node.call("eth_getTransactionCount", ALICE, "latest"), 16)
    node.call("anvil_setNextBlockBaseFeePerGas", hex(10**12))
    low = node.call("eth_sendTransaction", FEES | {"from": ALICE, "to": BOB})
    gap = node.call(
        "eth_sendTransaction", FEES | {"from": ALICE, "to": BOB, "nonce": hex(nonce + 7)}
    )
    found = pending(node, document)["transactions"]
    assert low not in found
    assert gap not in found
    node.call("anvil_dropAllTransactions")
    assert pending(node, document)["transactions"] == []
