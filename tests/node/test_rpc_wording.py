"""What a running node says when it refuses, held against what clients look for: regular expressions
of viem (errors/node.ts), ethers (provider-jsonrpc) and web3.py, and geth's own sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Transaction
from tests.node.process import Ghostd, RpcFailure
from tests.node.whole_chain import ALICE, BOB, CHAIN_ID, FEE, KEYS, TARGET, WholeChain

POOR = "0x" + "98" * 20
WORD = 2**256 - 1


@pytest.fixture(scope="module")
def node(world: WholeChain) -> Iterator[Ghostd]:
    with Ghostd("--dev", "--genesis", str(world.genesis), data_dir=world.directory) as running:
        # Nothing is sealed meanwhile, so that what waits can be replaced.
        running.call("evm_setAutomine", False)
        yield running


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def raw(nonce: int, **fields: Any) -> str:
    wanted: dict[str, Any] = {
        "type": 2,
        "chain_id": CHAIN_ID,
        "max_fee_per_gas": FEE,
        "max_priority_fee_per_gas": 10**9,
        "gas_limit": 21_000,
        "to": TARGET,
    }
    tx = Transaction(nonce=nonce, **wanted | fields)
    return hexed(encode_transaction(sign_transaction(tx, KEYS[0])))


def refused_sends(node: Ghostd) -> list[tuple[str, list[Any], int, str]]:
    """(method, parameters, code, what clients look for)."""
    alice = hexed(ALICE)
    nonce = int(node.call("eth_getTransactionCount", alice, "latest"), 16)
    node.call("eth_sendRawTransaction", raw(nonce))
    send = "eth_sendRawTransaction"
    return [
        (send, [raw(0)], -32000, r"nonce too low"),
        (send, [raw(nonce)], -32000, r"already known"),
        (send, [raw(nonce, value=1)], -32000, r"replacement transaction underpriced"),
        (send, [raw(nonce + 10**6)], -32000, r"nonce too high"),
        (send, [raw(nonce + 1, value=10**30)], -32000, r"insufficient funds for gas \* price"),
        (send, [raw(nonce + 1, gas_limit=20_999)], -32000, r"intrinsic gas too low"),
        (send, [raw(nonce + 1, chain_id=1)], -32000, r"invalid chain id for signer|invalid sender"),
        (
            send,
            [raw(nonce + 1, max_priority_fee_per_gas=FEE + 1)],
            -32000,
            r"max priority fee per gas higher than max fee per gas",
        ),
        (send, [raw(nonce + 1, gas_limit=10**8)], -32000, r"exceeds block gas|gas limit too high"),
        (send, ["0x05c0"], -32000, r"transaction type not supported"),
    ]


def refused_reads(world: WholeChain) -> list[tuple[str, list[Any], int, str]]:
    contract, alice = hexed(world.contract), hexed(ALICE)
    call = {"from": alice, "to": contract}
    reverts = r"^execution reverted$"
    return [
        ("eth_call", [call | {"input": "0xab"}], 3, reverts),
        ("eth_estimateGas", [call | {"input": "0xab"}], 3, reverts),
        ("eth_estimateGas", [{"from": POOR, "to": POOR, "value": "0x1"}], -32000, r"insufficient"),
        ("eth_call", [{"from": POOR, "to": POOR, "value": "0x1"}], -32000, r"insufficient funds"),
        ("eth_call", [call | {"gas": "0x1"}], -32000, r"intrinsic gas too low"),
        (
            "eth_call",
            [call | {"maxFeePerGas": "0x1"}],
            -32000,
            r"max fee per gas less than block base fee",
        ),
        (
            "eth_call",
            [call | {"maxFeePerGas": "0xfffffffff", "maxPriorityFeePerGas": "0xffffffffff"}],
            -32000,
            r"max priority fee per gas higher than max fee per gas",
        ),
        (
            "eth_estimateGas",
            [call | {"input": hexed(bytes(32)), "gas": "0x5300"}],
            -32000,
            r"gas required exceeds allowance \(21248\)",
        ),
        # Not that more gas is required: clients take that for a revert.
        ("eth_fillTransaction", [{"from": POOR, "to": POOR}], -32000, r"^insufficient funds for "),
        (
            "eth_sendTransaction",
            [{"from": alice, "to": POOR, "gasPrice": hex(1 << 100)}],
            -32000,
            r"^insufficient funds for gas \* price \+ value: address 0x\w+ have \d+ want \d+$",
        ),
        ("eth_call", [call | {"input": "0xabcd"}], -32000, r"invalid opcode"),
        ("eth_nope", [], -32601, r"the method \w+ does not exist/is not available"),
        ("eth_subscribe", ["newHeads"], -32601, r"notifications not supported"),
        ("eth_getBalance", [alice, "0xffffff"], -32000, r"^header not found$"),
        ("eth_getLogs", [{"blockHash": hexed(bytes(32))}], -32000, r"^unknown block$"),
        ("eth_getFilterChanges", ["0x1"], -32000, r"^filter not found$"),
        ("eth_sign", [POOR, "0x"], -32000, r"^unknown account$"),
        (
            "debug_traceTransaction",
            [hexed(bytes(32)), {"tracer": "callTracer"}],
            -32000,
            r"not found",
        ),
        ("eth_getBalance", ["0x1"], -32602, r"^invalid argument 0: "),
        ("eth_getBalance", [], -32602, r"^missing value for required argument 0$"),
        (
            "eth_getBalance",
            [alice, "latest", 1, 2],
            -32602,
            r"^too many arguments, want at most 2$",
        ),
        ("eth_call", [{"value": hex(WORD + 1)}], -32602, r"^invalid argument 0: "),
        ("eth_getLogs", [{"fromBlock": "0x2", "toBlock": "0x1"}], -32602, r"invalid block range"),
    ]


def test_refusals_are_worded_as_clients_look_for_them(node: Ghostd, world: WholeChain) -> None:
    wrong = []
    for method, params, code, words in (*refused_sends(node), *refused_reads(world)):
        (answer,) = node.batch([(method, params)])
        error = answer.get("error") or {"code": None, "message": str(answer.get("result"))}
        if error["code"] != code or not re.search(words, error["message"]):
            wrong.append((method, words, error))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
def test_reverts_carry_their_data(node: Ghostd, world: WholeChain, method: str) -> None:
    """ethers takes an error for a revert by the word and by `data`; viem and web3.py by code 3."""
    with pytest.raises(RpcFailure) as caught:
        node.call(method, {"from": hexed(BOB), "to": hexed(world.contract), "input": "0xab"})
    assert (caught.value.code, caught.value.data) == (3, "0xab")
