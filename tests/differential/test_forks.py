"""What was before a fork: as the other chain has it, be it a ghostd's or an anvil's, and beside
what a fork by anvil makes of the same chain."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.differential import questions
from tests.differential.anvil import (
    ANVIL_FLAGS,
    COINBASE,
    GWEI,
    Pair,
    accounts,
    live,
    post,
    running_pair,
    transfer_data,
)
from tests.differential.comparing import Comparison
from tests.differential.fork_reasons import FORK_DIFFERENCES
from tests.differential.questions import (
    BOB,
    CAROL,
    OF_A_TRANSACTION,
    TRACERS,
    UNKNOWN_HASH,
    Question,
)
from tests.node.anvil import Anvil
from tests.node.process import Ghostd

# The remote's blocks go on to questions.HEAD.
FORK = 9
OURS_AT_THE_FORK = ("eth_getBalance", "eth_getAccount", "eth_getAccountInfo", "eth_estimateGas")
KINDS = ("trace", "stateDiff", "vmTrace")


@dataclass(slots=True)
class Forks:
    """A remote, and two forks of it with the same blocks of their own."""

    remote: str
    pair: Pair
    hashes: list[str]  # of the remote's blocks
    before: list[str]  # the remote's transactions up to the fork
    later: list[str]
    own: list[str]

    @property
    def ghost(self) -> str:
        return self.pair.ghost


@contextlib.contextmanager
def forked_by_anvil(url: str) -> Iterator[str]:
    flags = ("--no-storage-caching", "--fork-block-number", str(FORK), *ANVIL_FLAGS)
    with Anvil("--fork-url", url, *flags) as anvil:
        yield anvil.url


@pytest.fixture(scope="module", params=["ghostd", "anvil"])
def forks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("forks")
    with running_pair(folder) as origin:
        live(origin)
        remote = origin.ghost if request.param == "ghostd" else origin.anvil
        flags = ("--fork-url", remote, "--fork-block-number", str(FORK), "--order", "fifo")
        cache = str(folder / "cache")
        with (
            forked_by_anvil(remote) as anvil,
            Ghostd("--dev", *flags, "--cache-dir", cache) as node,
        ):
            pair = Pair(node.url, anvil, now=origin.now, addresses=dict(origin.addresses))
            yield forks_of(remote, origin, pair)


def forks_of(remote: str, origin: Pair, pair: Pair) -> Forks:
    """The forks have made the same blocks, and no fees of their own remain to be told apart."""
    hashes = [
        post(remote, "eth_getBlockByNumber", [hex(number), False])["result"]["hash"]
        for number in range(questions.HEAD + 1)
    ]
    before, later = [], []
    for sent in origin.transactions.values():
        block = post(remote, "eth_getTransactionByHash", [sent])["result"]["blockNumber"]
        (before if int(block, 16) <= FORK else later).append(sent)
    bob = accounts()[1]
    for account in accounts():
        pair.tell("anvil_setBalance", account.address, hex(10**22))
        count = pair.ask("eth_getTransactionCount", account.address, "latest")[0]["result"]
        pair.nonces[account.address] = int(count, 16)
    pair.tell("anvil_setCoinbase", COINBASE)
    pair.tell("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    token = pair.addresses["token"]
    transfer = {"to": token, "data": transfer_data(CAROL, 10), "gas": 100_000}
    pair.prepare_block()
    own = [pair.send("own transfer", bob, transfer)]
    pair.await_anvil(own[0])
    pair.prepare_block()
    own.append(pair.send("own plain", bob, {"to": CAROL, "value": 12345, "gas": 21_000}))
    pair.await_anvil(own[1])
    pair.prepare_block()
    pair.tell("evm_mine")
    pair.transactions |= {sent: sent for sent in (*before, *later)}
    return Forks(remote, pair, hashes, before, later, own)


def of_the_past(forks: Forks) -> Iterator[Question]:
    """All that can be asked of blocks up to the fork's, and of states before it."""
    token = forks.pair.addresses["token"]
    for number in range(FORK + 1):
        listed = [
            *questions.of_block(hex(number), token),
            *questions.of_hash(forks.hashes[number], number),
            ("debug_getRawBlock", (hex(number),)),
            ("debug_getRawReceipts", (hex(number),)),
            ("eth_getProof", (token, ["0x" + f"{2:064x}"], hex(number))),
            ("eth_getProof", (token, [], {"blockHash": forks.hashes[number]})),
            ("ots_getBlockTransactions", (number, 0, 2)),
            ("ots_getBlockDetails", (number,)),
            ("debug_storageRangeAt", (forks.hashes[number], 0, token, "0x", 5)),
            ("debug_getModifiedAccountsByNumber", (hex(number),)),
        ]
        for method, parameters in listed:
            # At the fork's own block the state is ours, with other funds, and calls run here.
            if number < FORK or method not in OURS_AT_THE_FORK:
                yield method, parameters
    for sent in forks.before:
        for method in OF_A_TRANSACTION:
            yield method, (sent,)
        for options in TRACERS:
            yield "debug_traceTransaction", (sent, options)
        for kind in KINDS:
            yield "trace_replayTransaction", (sent, [kind])
    past = {"fromBlock": "0x0", "toBlock": hex(FORK)}
    call = {"transactions": [{"to": token, "data": questions.BALANCE_OF}]}
    for method, parameters in (
        ("eth_getLogs", (past,)),
        ("eth_getLogs", (past | {"address": token, "toBlock": "0x3"},)),
        ("trace_filter", (past,)),
        ("trace_filter", (past | {"fromAddress": [BOB], "after": 1, "count": 2},)),
        ("ots_searchTransactionsBefore", (BOB, 8, 2)),
        ("ots_searchTransactionsAfter", (BOB, 2, 2)),
        ("ots_getContractCreator", (token,)),
        ("ots_getTransactionBySenderAndNonce", (BOB, 1)),
        ("eth_getTransactionBySenderAndNonce", (BOB, "0x1")),
        ("eth_callMany", ([call], {"blockNumber": "0x3"})),
        ("eth_callMany", ([call], {"blockNumber": hex(FORK), "transactionIndex": 0})),
        ("debug_traceCallMany", ([call], {"blockNumber": "0x3"})),
    ):
        yield method, parameters


def test_the_past_is_the_remotes(forks: Forks) -> None:
    """Answer by answer, errors too."""
    asked = list(of_the_past(forks))
    wrong = []
    for method, parameters in asked:
        here = post(forks.ghost, method, list(parameters))
        there = post(forks.remote, method, list(parameters))
        if here != there and not is_ours_alone(there):
            wrong.append(f"{method}{parameters!r:.200}: {here!r:.200} is not {there!r:.200}")
    assert len(asked) > 900
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:50])


def is_ours_alone(answer: dict[str, Any]) -> bool:
    """A method that the remote lacks: at the fork's block it is answered here."""
    return bool(answer.get("error", {}).get("code") in (-32601, -32602))


def test_what_the_remote_did_later_is_not_there(forks: Forks) -> None:
    for sent in (*forks.later, UNKNOWN_HASH):
        for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
            assert post(forks.ghost, method, [sent])["result"] is None
        for method in ("debug_traceTransaction", "trace_transaction", "ots_traceTransaction"):
            assert not post(forks.ghost, method, [sent]).get("result")
    for number in range(FORK + 1, questions.HEAD + 1):
        block_hash = forks.hashes[number]
        assert post(forks.ghost, "eth_getBlockByHash", [block_hash, False])["result"] is None
        assert "error" in post(forks.ghost, "eth_getLogs", [{"blockHash": block_hash}])
        assert "error" in post(forks.ghost, "eth_getBalance", [BOB, {"blockHash": block_hash}])


def listed(answer: dict[str, Any]) -> list[str]:
    return [item["hash"] for item in answer["result"]["txs"]]


@pytest.mark.parametrize("size", [1, 2, 3, 25])
def test_an_account_is_followed_across_the_fork(forks: Forks, size: int) -> None:
    """Page by page, forwards and backwards: each of its transactions once, in order."""
    url = forks.ghost

    def block_of(sent: str) -> int:
        found = post(url, "eth_getTransactionByHash", [sent])["result"]
        return int(found["blockNumber"], 16)

    whole = listed(post(url, "ots_searchTransactionsBefore", [BOB, 0, 1000]))
    old = listed(post(forks.remote, "ots_searchTransactionsBefore", [BOB, FORK + 1, 1000]))
    assert whole == [*reversed(forks.own), *old]
    assert len(old) > 5
    back: list[str] = []
    at = 0
    for _ in range(40):
        page = post(url, "ots_searchTransactionsBefore", [BOB, at, size])
        back += listed(page)
        assert page["result"]["firstPage"] is (at == 0)
        if page["result"]["lastPage"]:
            break
        at = block_of(back[-1])
    assert back == whole
    forth: list[str] = []
    at = 0
    for _ in range(40):
        page = post(url, "ots_searchTransactionsAfter", [BOB, at, size])
        forth = [*listed(page), *forth]
        assert page["result"]["lastPage"] is (at == 0)
        if page["result"]["firstPage"]:
            break
        at = block_of(forth[0])
    assert forth == whole


def test_traces_are_counted_across_the_fork(forks: Forks) -> None:
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    found = post(forks.ghost, "trace_filter", [whole])["result"]
    old = post(forks.remote, "trace_filter", [{"fromBlock": "0x0", "toBlock": hex(FORK)}])
    assert found[: len(old["result"])] == old["result"]
    assert {trace["transactionHash"] for trace in found[len(old["result"]) :]} == set(forks.own)
    for after, count in ((0, 1), (0, 100), (3, 2), (len(old["result"]) - 1, 2), (99, 5), (0, 0)):
        wanted = whole | {"after": after, "count": count}
        part = post(forks.ghost, "trace_filter", [wanted])["result"]
        assert part == found[after:][:count], (after, count)


def test_logs_and_fees_are_joined_at_the_fork(forks: Forks) -> None:
    url, token = forks.ghost, forks.pair.addresses["token"]
    old = post(forks.remote, "eth_getLogs", [{"fromBlock": "0x0", "toBlock": hex(FORK)}])["result"]
    head = int(post(url, "eth_blockNumber", [])["result"], 16)
    for first, last in ((0, head), (3, FORK + 1), (FORK, FORK + 1), (FORK + 1, head)):
        wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": token}
        found = post(url, "eth_getLogs", [wanted])["result"]
        hashes = [log["transactionHash"] for log in found]
        expected = [log["transactionHash"] for log in old if int(log["blockNumber"], 16) >= first]
        assert hashes == [*expected, forks.own[0]]
        installed = post(url, "eth_newFilter", [wanted])["result"]
        assert post(url, "eth_getFilterLogs", [installed])["result"] == found
    for newest in range(1, head + 1):
        fees = post(url, "eth_feeHistory", ["0x4", hex(newest), [50]])["result"]
        oldest = int(fees["oldestBlock"], 16)
        assert oldest == max(newest - 3, 0)
        for place, fee in enumerate(fees["baseFeePerGas"][:-1]):
            block = post(url, "eth_getBlockByNumber", [hex(oldest + place), False])["result"]
            assert block["baseFeePerGas"] == fee, (newest, place)
        assert len(fees["gasUsedRatio"]) == len(fees["reward"]) == newest - oldest + 1


def test_forks_are_anvils_but_for_reasons(forks: Forks) -> None:
    comparison = Comparison(forks.pair, FORK_DIFFERENCES)
    comparison.learn_blocks()
    for method, parameters in questions.questions(forks.pair):
        comparison.ask(method, *parameters)
    assert comparison.count > 1_000
    comparison.require_same()
