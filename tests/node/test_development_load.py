"""A development chain under load: what it takes is mined, in whatever order and company it came."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain.networks import TEST_MNEMONIC
from ghostchain.crypto.hierarchical import keys_of
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from tests.node.process import Ghostd, RpcFailure

SENDERS = 25
EACH = 8
AT_ONCE = 25
KEYS = keys_of(TEST_MNEMONIC, SENDERS)
GWEI = 10**9


@pytest.fixture(params=["scratch", "kept"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ghostd]:
    data_dir = tmp_path / "chain" if request.param == "kept" else None
    with Ghostd("--dev", "--accounts", str(SENDERS), data_dir=data_dir) as running:
        yield running


def signed(key: bytes, nonce: int, *, fee_gwei: int = 10, value: int = 1) -> str:
    transaction = Transaction(
        type=2,
        chain_id=31337,
        nonce=nonce,
        max_fee_per_gas=fee_gwei * GWEI,
        max_priority_fee_per_gas=fee_gwei * GWEI,
        gas_limit=21_000,
        to=Address(b"\x5e" * 20),
        value=value,
    )
    return "0x" + encode_transaction(sign_transaction(transaction, key)).hex()


@dataclass(slots=True)
class Sent:
    """What a node answered. refused: the messages."""

    hashes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def send_all(node: Ghostd, raws: list[str], method: str = "eth_sendRawTransaction") -> Sent:
    """Many at once, in about this order."""
    sent = Sent()

    def send(raw: str) -> None:
        try:
            sent.hashes.append(node.call(method, raw))
        except RpcFailure as refusal:
            sent.refused.append(refusal.message)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(send, raws))
    return sent


def all_are_mined(node: Ghostd, nonces: dict[bytes, int]) -> None:
    """Each sender stands there, and nothing waits."""
    for key, nonce in nonces.items():
        found = node.call("eth_getTransactionCount", "0x" + address_of(key).hex(), "latest")
        assert int(found, 16) == nonce
    assert node.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}


def mined_hashes(node: Ghostd) -> set[str]:
    head = int(node.call("eth_blockNumber"), 16)
    blocks = [node.call("eth_getBlockByNumber", hex(number), False) for number in range(head + 1)]
    found = [name for block in blocks for name in block["transactions"]]
    assert len(found) == len(set(found))
    return set(found)


def shuffled(seed: int, items: list[str]) -> list[str]:
    """Every order of arrival there is: gaps that close later, last nonces first."""
    random.Random(seed).shuffle(items)
    return items


@pytest.mark.parametrize("seed", [1, 2])
def test_every_transaction_is_mined_whatever_the_order(node: Ghostd, seed: int) -> None:
    raws = [signed(key, nonce) for key in KEYS for nonce in range(EACH)]
    sent = send_all(node, shuffled(seed, raws))
    assert sent.refused == []
    all_are_mined(node, dict.fromkeys(KEYS, EACH))
    assert mined_hashes(node) == set(sent.hashes)
    receipts = [node.call("eth_getTransactionReceipt", name) for name in sent.hashes[::7]]
    assert all(receipt["status"] == "0x1" for receipt in receipts)


def test_hundreds_wait_for_one_block(node: Ghostd) -> None:
    node.call("evm_setAutomine", False)
    sent = send_all(
        node, shuffled(3, [signed(key, nonce) for key in KEYS for nonce in range(EACH)])
    )
    assert sent.refused == []
    node.call("evm_mine")
    assert int(node.call("eth_blockNumber"), 16) == 1
    all_are_mined(node, dict.fromkeys(KEYS, EACH))
    assert mined_hashes(node) == set(sent.hashes)


def test_automine_begins_with_what_waits(node: Ghostd) -> None:
    """Also where it is switched while others send."""
    node.call("evm_setAutomine", False)
    raws = [signed(key, nonce) for key in KEYS for nonce in range(EACH)]
    half = len(raws) // 2
    assert send_all(node, raws[half:]).refused == []
    with ThreadPoolExecutor(1) as other:
        rest = other.submit(send_all, node, raws[:half])
        for on in (True, False, True, False, True):
            node.call("evm_setAutomine", on)
        assert rest.result().refused == []
    all_are_mined(node, dict.fromkeys(KEYS, EACH))


def test_replacements_leave_one_of_each_nonce(node: Ghostd) -> None:
    node.call("evm_setAutomine", False)
    first = send_all(node, [signed(key, nonce) for key in KEYS for nonce in range(1, 5)])
    dearer = [signed(key, nonce, fee_gwei=20, value=2) for key in KEYS for nonce in range(1, 5)]
    second = send_all(node, shuffled(4, dearer))
    cheaper = [signed(key, 2, fee_gwei=20, value=3) for key in KEYS]
    assert set(send_all(node, cheaper).refused) == {"replacement transaction underpriced"}
    assert first.refused == second.refused == []
    assert int(node.call("txpool_status")["queued"], 16) == 4 * SENDERS
    node.call("evm_setAutomine", True)
    # Nonce 0 closes the gap before all of them, whoever sends it.
    third = send_all(node, [signed(key, 0) for key in KEYS])
    all_are_mined(node, dict.fromkeys(KEYS, 5))
    assert mined_hashes(node) == {*second.hashes, *third.hashes}


def test_replacements_race_with_blocks(node: Ghostd) -> None:
    """Two offers for each nonce at once: one of them is mined, and the other is refused or gone."""
    raws = [
        signed(key, nonce, fee_gwei=fee_gwei, value=fee_gwei)
        for nonce in range(EACH)
        for key in KEYS
        for fee_gwei in (10, 20)
    ]
    sent = send_all(node, shuffled(5, raws))
    known = ("nonce too low", "replacement transaction underpriced")
    assert all(message.startswith(known) for message in sent.refused), set(sent.refused)
    all_are_mined(node, dict.fromkeys(KEYS, EACH))
    found = mined_hashes(node)
    assert len(found) == SENDERS * EACH
    assert found <= set(sent.hashes)


def test_every_way_of_sending_at_once(node: Ghostd) -> None:
    """Signed, signed by the node, impersonated, with a receipt and without; mined by hand too."""
    node.call("anvil_autoImpersonateAccount", True)
    addresses = ["0x" + address_of(key).hex() for key in KEYS]
    stranger = "0x" + "77" * 20
    node.call("anvil_setBalance", stranger, hex(10**20))
    calls: list[tuple[str, Any]] = []
    for turn in range(6):
        calls += [("eth_sendRawTransactionSync", signed(key, turn)) for key in KEYS[:8]]
        calls += [
            ("eth_sendTransaction", {"from": one, "to": stranger, "value": "0x1"})
            for one in addresses[8:16]
        ]
        calls += [
            ("eth_sendTransactionSync", {"from": one, "to": stranger, "value": "0x1"})
            for one in addresses[16:]
        ]
        calls += [("eth_sendTransaction", {"from": stranger, "to": stranger}), ("evm_mine", {})]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(lambda call: node.call(*call), calls))
    for (method, _), answer in zip(calls, answers, strict=True):
        if method.endswith("Sync"):
            assert answer["status"] == "0x1"
    all_are_mined(node, dict.fromkeys(KEYS, 6))
    found = node.call("eth_getTransactionCount", stranger, "latest")
    assert int(found, 16) == 6
