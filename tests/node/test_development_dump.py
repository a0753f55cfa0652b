"""State dumps in anvil's format: written and read here, and exchanged with anvil itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.node.anvil import Anvil
from tests.node.process import Ghostd, RpcFailure

ETHER = 10**18
BOB = "0x" + "b0" * 20
WHALE = "0x" + "3f" * 20
CONTRACT = "0x" + "c0" * 20
COUNTER = "0x5f546001015f5500"  # slot 0 goes up by one


@pytest.fixture(scope="module")
def node() -> Iterator[Ghostd]:
    with Ghostd("--dev") as running:
        yield running


def live(chain: Any) -> None:
    """Something of everything: transfers, code, slots, an account changed by hand."""
    sender = chain.call("eth_accounts")[0]
    chain.call("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x7"})
    chain.call("anvil_setCode", CONTRACT, COUNTER)
    chain.call("eth_sendTransaction", {"from": sender, "to": CONTRACT, "gas": "0x30d40"})
    chain.call("anvil_setBalance", WHALE, hex(ETHER))
    chain.call("anvil_impersonateAccount", WHALE)
    chain.call("eth_sendTransaction", {"from": WHALE, "to": BOB, "value": "0x1"})
    chain.call("anvil_setNonce", WHALE, "0x9")


def seen(chain: Any) -> list[Any]:
    return [
        chain.call("eth_getBalance", BOB, "latest"),
        chain.call("eth_getCode", CONTRACT, "latest"),
        int(chain.call("eth_getStorageAt", CONTRACT, "0x0", "latest"), 16),
        chain.call("eth_getTransactionCount", WHALE, "latest"),
        chain.call("eth_getBalance", WHALE, "latest"),
        chain.call("eth_getTransactionCount", chain.call("eth_accounts")[0], "latest"),
        chain.call("eth_blockNumber"),
    ]


def test_a_dump_is_read_back(node: Ghostd) -> None:
    node.call("anvil_reset")  # what other tests did is not counted
    live(node)
    before, dumped = seen(node), node.call("anvil_dumpState")
    document = json.loads(gzip.decompress(bytes.fromhex(dumped[2:])))
    assert document["best_block_number"] == int(before[-1], 16)
    # What nobody signed is told by anvil's hash too.
    assert len(document["transactions"]) == 4
    assert document["accounts"][WHALE]["nonce"] == 9
    with Ghostd("--dev") as other:
        assert other.call("hardhat_loadState", dumped) is True
        assert seen(other) == before
        other.call("evm_mine")
        assert seen(other)[:-1] == before[:-1]


def test_anvil_reads_what_is_written_here(node: Ghostd) -> None:
    live(node)
    before, dumped = seen(node), node.call("anvil_dumpState", True)
    height = hex(int(before[-1], 16) - 2)
    last, signed = (node.call("eth_getBlockByNumber", which, False) for which in ("latest", height))
    with Anvil() as anvil:
        assert anvil.call("anvil_loadState", dumped) is True
        assert seen(anvil) == before
        for which, block in (("latest", last), (height, signed)):
            shown = anvil.call("eth_getBlockByNumber", which, False)
            assert [shown[name] for name in ("hash", "timestamp")] == [
                block[name] for name in ("hash", "timestamp")
            ]
        (sent,) = signed["transactions"]
        ours, theirs = (one.call("eth_getTransactionReceipt", sent) for one in (node, anvil))
        for name in ("from", "to", "status", "gasUsed", "blockHash", "logs"):
            assert theirs[name] == ours[name], name


def test_what_anvil_writes_is_read_here() -> None:
    with Anvil() as anvil:
        live(anvil)
        before, dumped = seen(anvil), anvil.call("anvil_dumpState")
        timestamp = anvil.call("eth_getBlockByNumber", "latest", False)["timestamp"]
        height = int(anvil.call("eth_blockNumber"), 16)
        told = [anvil.call("eth_getBlockByNumber", hex(one), False) for one in range(1, height + 1)]
    with Ghostd("--dev") as other:
        assert other.call("anvil_loadState", dumped) is True
        assert seen(other) == before
        for block in told:
            found = other.call("eth_getBlockByNumber", block["number"], False)
            for name in ("timestamp", "miner", "baseFeePerGas", "mixHash"):
                assert found[name] == block[name], (block["number"], name)
        other.call("evm_mine")
        after = other.call("eth_getBlockByNumber", "latest", False)
        assert after["miner"] == told[-1]["miner"], "who made blocks there makes them here"
        assert int(after["timestamp"], 16) >= int(timestamp, 16)
        other.call("anvil_rollback")
        plain = gzip.decompress(bytes.fromhex(dumped[2:]))
        assert other.call("anvil_loadState", "0x" + plain.hex()) is True
        shown = int(other.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        assert shown >= int(timestamp, 16)


@pytest.mark.parametrize(
    "dumped",
    [
        b"",
        b"no dump",
        b"\x1f\x8b\x08",
        b"[]",
        b'{"accounts":[]}',
        b'{"accounts":{"0x01":{}}}',
        b'{"accounts":{"0x%b":{"nonce":"0x0"}}}' % (b"00" * 20),
        b'{"accounts":{"0x%b":{"nonce":-1,"balance":0,"code":"0x","storage":{}}}}' % (b"00" * 20),
        gzip.compress(bytes(600 << 20), 9),
    ],
)
def test_what_is_no_dump_is_refused(node: Ghostd, dumped: bytes) -> None:
    with pytest.raises(RpcFailure) as caught:
        node.call("anvil_loadState", "0x" + dumped.hex())
    assert caught.value.code == -32602
    assert caught.value.message.startswith("Failed to decode state dump")
