"""Logs over JSON-RPC, against the receipts of every block: asked for the first time, when they are
read from disk in a thread, and again, when memory has them and the event loop answers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ghostchain.rpc.client import RpcClient, RpcFailure
from tests.node.process import Ghostd

# Logs what it is sent, with the caller and the first word of that as topics.
EMITTER = "0x365f5f375f3533365fa200"
CONTRACTS = ["0x" + name * 20 for name in ("a1", "b2", "c3")]
WORDS = [f"0x{number:064x}" for number in range(3)]
Block = list[dict[str, Any]]


class Logs:
    """A development node, and what its receipts say."""

    def __init__(self, url: str) -> None:
        self.client = RpcClient(url, timeout_s=60.0)
        self.accounts = self.client.call("eth_accounts")[:3]

    def emit(self, chance: random.Random) -> None:
        self.client.call(
            "eth_sendTransaction",
            {
                "from": chance.choice(self.accounts),
                "to": chance.choice(CONTRACTS),
                "data": chance.choice(WORDS) + "ab" * chance.randrange(40),
                "gas": "0x30000",
            },
        )

    def blocks(self) -> list[Block]:
        """The logs of each block, as its receipts show them."""
        head = int(self.client.call("eth_blockNumber"), 16)
        receipts = [self.client.call("eth_getBlockReceipts", hex(n)) for n in range(head + 1)]
        return [[log for item in block for log in item["logs"]] for block in receipts]

    def question(self, chance: random.Random, head: int) -> dict[str, Any]:
        padded = ["0x" + "00" * 12 + account[2:] for account in self.accounts]
        asked: dict[str, Any] = {}
        match chance.randrange(4):
            case 0:
                asked["address"] = chance.choice(CONTRACTS)
            case 1:
                asked["address"] = chance.sample(
                    [*CONTRACTS, self.accounts[0]], chance.randrange(4)
                )
        if chance.random() < 0.7:
            asked["topics"] = [
                chance.choice([None, chance.choice(words), chance.sample(words, 2), []])
                for words in (padded, WORDS, WORDS)[: chance.choice([0, 1, 2, 2, 3])]
            ]
        if chance.random() < 0.2:
            number = chance.randrange(head + 1)
            asked["blockHash"] = self.client.call("eth_getBlockByNumber", hex(number), False)[
                "hash"
            ]
            return asked
        first, last = sorted((chance.randrange(head + 1), chance.randrange(head + 1)))
        return asked | {"fromBlock": hex(first), "toBlock": chance.choice([hex(last), "latest"])}

    def check(self, chance: random.Random, count: int) -> None:
        blocks = self.blocks()
        for _ in range(count):
            asked = self.question(chance, len(blocks) - 1)
            expected = [log for block in blocks for log in block if matches(log, asked)]
            for _ in range(2):
                assert self.client.call("eth_getLogs", asked) == expected
            if "blockHash" not in asked:
                made = self.client.call("eth_newFilter", asked)
                assert self.client.call("eth_getFilterLogs", made) == expected
                assert self.client.call("eth_getFilterChanges", made) == []
                self.client.call("eth_uninstallFilter", made)


def matches(log: dict[str, Any], asked: dict[str, Any]) -> bool:
    if "blockHash" in asked:
        if log["blockHash"] != asked["blockHash"]:
            return False
    else:
        last = asked["toBlock"]
        number = int(log["blockNumber"], 16)
        if number < int(asked["fromBlock"], 16) or (last != "latest" and number > int(last, 16)):
            return False
    wanted = asked.get("address", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted and log["address"] not in wanted:
        return False
    topics = asked.get("topics", [])
    if len(topics) > len(log["topics"]):
        return False
    for topic, entries in zip(log["topics"], topics, strict=False):
        entries = [entries] if isinstance(entries, str) else entries
        if entries and topic not in entries:
            return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


def test_logs_are_those_of_the_receipts(folder: Path) -> None:
    """While blocks come, are taken back and replaced, and after a restart."""
    chance = random.Random(3)
    with Ghostd("--dev", data_dir=folder) as node:
        logs = Logs(node.url)
        for contract in CONTRACTS:
            logs.client.call("anvil_setCode", contract, EMITTER)
        for _ in range(20):
            logs.emit(chance)
        logs.client.call("anvil_mine", "0x100")
        logs.emit(chance)
        logs.check(chance, 30)
        mark = logs.client.call("evm_snapshot")
        polled = logs.client.call("eth_newFilter", {"address": CONTRACTS[:2]})
        heads = logs.client.call("eth_newBlockFilter")
        for _ in range(10):
            logs.emit(chance)
            logs.check(chance, 2)
            new = [log for log in logs.blocks()[-1] if log["address"] in CONTRACTS[:2]]
            assert logs.client.call("eth_getFilterChanges", polled) == new
            assert len(logs.client.call("eth_getFilterChanges", heads)) == 1
            for one in (polled, heads):
                assert logs.client.call("eth_getFilterChanges", one) == []
        logs.emit(chance)
        logs.client.call("evm_revert", mark)
        logs.check(chance, 10)
        for _ in range(10):
            logs.emit(chance)
            logs.check(chance, 2)
        new = [log for block in logs.blocks()[-10:] for log in block]
        new = [log for log in new if log["address"] in CONTRACTS[:2]]
        assert logs.client.call("eth_getFilterChanges", polled) == new
        assert logs.client.call("eth_getFilterChanges", polled) == []
        logs.client.call("anvil_reorg", 3, [])
        logs.check(chance, 20)
        before = logs.client.call("eth_getLogs", {"fromBlock": "0x0"})
        assert len(before) > 20
    with Ghostd("--dev", data_dir=folder) as node:
        logs = Logs(node.url)
        assert logs.client.call("eth_getLogs", {"fromBlock": "0x0"}) == before
        logs.check(chance, 20)


def test_refusals_stay_what_they_are(folder: Path) -> None:
    """What is refused is refused in the same words however often it is asked."""
    with Ghostd("--dev", data_dir=folder) as node:
        client = RpcClient(node.url, timeout_s=60.0)
        head = int(client.call("eth_blockNumber"), 16)
        refused = [
            ({"fromBlock": "0x0", "toBlock": hex(head + 1)}, "beyond current head"),
            ({"fromBlock": "0x2", "toBlock": "0x1"}, "invalid block range"),
            ({"blockHash": "0x" + "77" * 32}, "unknown block"),
        ]
        for _ in range(3):
            client.call("eth_getLogs", {"fromBlock": hex(head - 20)})
            for asked, reason in refused:
                with pytest.raises(RpcFailure, match=reason):
                    client.call("eth_getLogs", asked)
