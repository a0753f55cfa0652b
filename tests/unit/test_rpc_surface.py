"""Methods that geth, reth and Erigon offer beside those of execution-apis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_block, decode_receipt
from tests.unit.memory_backend import ACCOUNTS, BASE_FEE, MemoryBackend
from tests.unit.rpc_harness import RunningServer

ALICE, BOB, CAROL = ("0x" + address.hex() for address in ACCOUNTS)
NOBODY = "0x" + "99" * 20


@pytest.fixture
def backend() -> MemoryBackend:
    chain = MemoryBackend(automine=False)
    chain.admit(chain.signed(value=5))
    chain.seal()
    return chain


@pytest.fixture
def node(backend: MemoryBackend) -> Iterator[RunningServer]:
    with RunningServer(backend) as running:
        yield running


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def test_raw_bytes_are_what_was_hashed(node: RunningServer, backend: MemoryBackend) -> None:
    header = unhex(node.ask("debug_getRawHeader", "latest"))
    assert keccak256(header) == backend.hashes[1]
    block = decode_block(unhex(node.ask("debug_getRawBlock", "0x" + backend.hashes[1].hex())))
    assert block == backend.blocks[1]
    (receipt,) = node.ask("debug_getRawReceipts", "0x1")
    assert decode_receipt(unhex(receipt)) == backend.block_receipts[1][0]
    raw = block.transactions[0]
    assert unhex(node.ask("debug_getRawTransaction", "0x" + keccak256(raw).hex())) == raw
    assert node.ask("debug_getRawTransaction", "0x" + "00" * 32) == "0x"


@pytest.mark.parametrize(
    "method", ["debug_getRawHeader", "debug_getRawBlock", "debug_getRawReceipts"]
)
def test_raw_bytes_of_nothing_are_refused(node: RunningServer, method: str) -> None:
    for block in ("0xff", "0x" + "11" * 32):
        failure = node.refuse(method, block)
        assert (failure.code, failure.message) == (-32000, "header not found")
    failure = node.refuse(method, "2")
    assert (failure.code, failure.message) == (
        -32602,
        "invalid argument 0: hex string without 0x prefix",
    )


def test_header_under_erigons_name(node: RunningServer) -> None:
    assert node.ask("erigon_getHeaderByNumber", "0x1") == node.ask("eth_getHeaderByNumber", "0x1")
    assert node.ask("erigon_getHeaderByNumber", "0xff") is None


def test_account_in_one_answer(node: RunningServer) -> None:
    account = node.ask("eth_getAccount", ALICE)
    assert account["balance"] == node.ask("eth_getBalance", ALICE)
    assert account["nonce"] == "0x1"
    proof = node.ask("eth_getProof", ALICE, [], "latest")
    assert account["storageRoot"] == proof["storageHash"]
    assert account["codeHash"] == proof["codeHash"]
    assert node.ask("eth_getAccount", NOBODY) is None
    info = node.ask("eth_getAccountInfo", ALICE, "0x0")
    assert info == {"balance": hex(10_000 * 10**18), "nonce": "0x0", "code": "0x"}
    assert node.refuse("eth_getAccountInfo", ALICE, "0xff").code == -32000


def test_pending_transactions_of_own_accounts(node: RunningServer) -> None:
    assert node.ask("eth_pendingTransactions") == []
    sent = node.ask("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
    (found,) = node.ask("eth_pendingTransactions")
    assert (found["hash"], found["from"], found["blockHash"]) == (sent, ALICE, None)


def test_resend_replaces_what_waits(node: RunningServer) -> None:
    asked = {
        "from": ALICE,
        "to": BOB,
        "value": "0x1",
        "nonce": "0x1",
        "gas": "0x5208",
        "gasPrice": hex(2 * BASE_FEE),
    }
    before = node.ask("eth_sendTransaction", asked)
    after = node.ask("eth_resend", asked, hex(5 * BASE_FEE))
    assert before != after
    assert node.ask("eth_getTransactionByHash", after)["gasPrice"] == hex(5 * BASE_FEE)
    failure = node.refuse("eth_resend", asked | {"value": "0x2"}, hex(9 * BASE_FEE))
    assert failure.code == -32000
    assert failure.message.endswith(" not found")
    failure = node.refuse("eth_resend", {"from": ALICE, "to": BOB})
    assert failure.message == "missing transaction nonce in transaction spec"
