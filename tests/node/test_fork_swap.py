"""Uniswap v2 traded on a fork whose remote node is far away: how many round trips a trade costs,
beside anvil's fork of the same chain."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi import decode, encode

from ghostchain.crypto.keccak import keccak256
from tests.node.anvil import Anvil
from tests.node.clients import tool
from tests.node.process import Ghostd, RpcFailure
from tests.node.test_hardhat import PROJECT
from tests.unit.fork_remote import FaultyRemote, RpcRefusal, slow

MODULES = Path(os.environ.get("GHOSTCHAIN_HARDHAT_MODULES") or PROJECT / "node_modules")
UNISWAP = MODULES / "@uniswap"
ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
LATENCY_S = 0.05
DEADLINE = 1 << 40

pytestmark = pytest.mark.skipif(
    not (UNISWAP / "v2-periphery").exists(), reason="the Uniswap packages are not installed"
)


def artifact(package: str, name: str) -> str:
    """The contract's creation code."""
    document = json.loads((UNISWAP / package / "build" / f"{name}.json").read_text())
    code: str = document.get("bytecode") or document["evm"]["bytecode"]["object"]
    return code if code.startswith("0x") else "0x" + code


def called(signature: str, *values: Any) -> str:
    kinds = signature[signature.index("(") + 1 : -1]
    names = [kind for kind in kinds.split(",") if kind]
    return "0x" + (keccak256(signature.encode())[:4] + encode(names, values)).hex()


class Market:
    """Two tokens, wrapped coins, a pair with liquidity, a router; on a chain of its own."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node
        self.factory = self.made(artifact("v2-core", "UniswapV2Factory"), "address", ALICE)
        self.coin = self.made(artifact("v2-periphery", "WETH9"))
        self.token = self.made(artifact("v2-core", "ERC20"), "uint256", 10**24)
        self.router = self.made(
            artifact("v2-periphery", "UniswapV2Router02"),
            "address,address",
            self.factory,
            self.coin,
        )
        self.sent(self.token, called("approve(address,uint256)", self.router, 2**255))
        self.sent(
            self.router,
            called(
                "addLiquidityETH(address,uint256,uint256,uint256,address,uint256)",
                self.token,
                10**22,
                0,
                0,
                ALICE,
                DEADLINE,
            ),
            value=10**20,
        )

    def made(self, code: str, kinds: str = "", *values: Any) -> str:
        names = [kind for kind in kinds.split(",") if kind]
        receipt = self.sent(None, code + encode(names, values).hex())
        place: str = receipt["contractAddress"]
        return place

    def sent(self, to: str | None, data: str, value: int = 0) -> dict[str, Any]:
        request = {"from": ALICE, "data": data, "value": hex(value), "gas": "0x7a1200"}
        if to is not None:
            request["to"] = to
        receipt = self.node.wait_for_receipt(self.node.call("eth_sendTransaction", request))
        assert receipt["status"] == "0x1"
        return receipt

    @property
    def trade(self) -> dict[str, str]:
        """A coin of BOB's for tokens."""
        data = called(
            "swapExactETHForTokens(uint256,address[],address,uint256)",
            1,
            [self.coin, self.token],
            BOB,
            DEADLINE,
        )
        price, gas = hex(10**18), "0x7a120"
        return {"from": BOB, "to": self.router, "data": data, "value": price, "gas": gas}


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    with Ghostd("--dev") as node:
        yield Market(node)


@pytest.fixture
def far(market: Market) -> Iterator[FaultyRemote]:
    """The market's chain, whose answers take a while."""

    def answer(method: str, params: list[Any]) -> Any:
        try:
            return market.node.call(method, *params)
        except RpcFailure as failure:
            raise RpcRefusal(failure.code, failure.message) from None

    with FaultyRemote(answer) as remote:
        remote.faults = [slow(LATENCY_S)]
        yield remote


def measured(far: FaultyRemote, what: Callable[[], Any]) -> tuple[Any, int, float]:
    """What it gives, and the messages and seconds that it cost."""
    before, start = far.posts, time.monotonic()
    result = what()
    return result, far.posts - before, time.monotonic() - start


def traded(fork: Any, market: Market) -> Any:
    receipt = fork.wait_for_receipt(fork.call("eth_sendTransaction", market.trade), 60.0)
    assert receipt["status"] == "0x1"
    owned = {"to": market.token, "data": called("balanceOf(address)", BOB)}
    (balance,) = decode(["uint256"], bytes.fromhex(fork.call("eth_call", owned, "latest")[2:]))
    return balance


def test_a_trade_costs_a_few_round_trips(
    market: Market, far: FaultyRemote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A swap reads the accounts and slots of four contracts; another run reads them for nothing.
    Where anvil is installed, it is not faster."""
    flags = ("--dev", "--fork-url", far.url, "--cache-dir", str(tmp_path))
    figures = {}
    with Ghostd(*flags) as fork:
        fork.call("anvil_mine")  # what every block of this chain reads
        expected = [10**18, 98715803439706129885]
        quoted, posts, seconds = measured(
            far, lambda: fork.call("eth_call", market.trade, "latest")
        )
        assert decode(["uint256[]"], bytes.fromhex(quoted[2:])) == (tuple(expected),)
        figures["eth_call"] = posts, seconds
        assert posts <= 8
        tokens, posts, seconds = measured(far, lambda: traded(fork, market))
        assert tokens == expected[1]
        figures["eth_sendTransaction after it"] = posts, seconds
    with Ghostd(*flags) as fork:
        fork.call("anvil_mine")
        _, posts, seconds = measured(far, lambda: fork.call("eth_call", market.trade, "latest"))
        assert posts == 0
        figures["eth_call of the next run"] = posts, seconds
    with Ghostd(*flags[:3], "--no-storage-caching") as fork:
        fork.call("anvil_mine")
        tokens, posts, seconds = measured(far, lambda: traded(fork, market))
        assert tokens == expected[1]
        figures["eth_sendTransaction alone"] = ours = posts, seconds
    try:
        tool("anvil")
    except pytest.skip.Exception:
        theirs = None
    else:
        with Anvil("--fork-url", far.url, "--no-storage-caching") as anvil:
            tokens, *theirs = measured(far, lambda: traded(anvil, market))
            assert tokens == expected[1]
            figures["anvil: eth_sendTransaction alone"] = theirs[0], theirs[1]
            assert ours[0] < theirs[0], "messages; a busy machine tells nothing by its seconds"
    with capsys.disabled():
        for name, (posts, seconds) in figures.items():
            print(f"  {name:34} {posts:4} messages {seconds * 1e3:8.0f} ms")
