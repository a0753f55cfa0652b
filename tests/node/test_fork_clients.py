"""Forks and the tools of others: Foundry against a node and against a fork of it, anvil as the
remote and as the judge of a fork."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.anvil import Anvil
from tests.node.clients import CLIENTS, modules_folder, require_modules, tool
from tests.node.process import Ghostd, RpcFailure

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
COUNTER = "0x60158060095f395ff336600c575f545f5260205ff35b5f355f54015f5500"

TEST = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface Vm {
    function prank(address sender) external;
    function deal(address who, uint256 amount) external;
    function envAddress(string calldata name) external view returns (address);
    function envUint(string calldata name) external view returns (uint256);
}

contract ForkTest {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function testReadsTheFork() public view {
        (bool ok, bytes memory data) = vm.envAddress("COUNTER").staticcall("");
        require(ok && abi.decode(data, (uint256)) == 7, "counter");
        require(vm.envAddress("STRANGER").balance == 123, "balance");
        require(block.chainid == 31337, "chain id");
        require(block.number == vm.envUint("BLOCK"), "block");
    }

    function testWritesOverIt() public {
        (bool ok,) = vm.envAddress("COUNTER").call(abi.encode(uint256(5)));
        require(ok, "call");
        (, bytes memory data) = vm.envAddress("COUNTER").staticcall("");
        require(abi.decode(data, (uint256)) == 12, "counter after");
    }
}
"""


ROLLS = """// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface Vm {
    function createSelectFork(string calldata url, uint256 number) external returns (uint256);
    function createFork(string calldata url) external returns (uint256);
    function selectFork(uint256 id) external;
    function rollFork(uint256 number) external;
    function rollFork(bytes32 transaction) external;
    function transact(bytes32 transaction) external;
    function envAddress(string calldata name) external view returns (address);
    function envUint(string calldata name) external view returns (uint256);
    function envBytes32(string calldata name) external view returns (bytes32);
    function envString(string calldata name) external view returns (string memory);
}

contract RollTest {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function require_count(uint256 wanted) internal view {
        (bool ok, bytes memory data) = vm.envAddress("COUNTER").staticcall("");
        require(ok && abi.decode(data, (uint256)) == wanted, "counter");
    }

    function testRollsOverTheBlockOfTheFork() public {
        uint256 begin = vm.envUint("BLOCK");
        uint256 first = vm.createSelectFork(vm.envString("URL"), begin - 1);
        require(block.number == begin - 1, "before");
        require_count(7);
        vm.rollFork(begin + 1);
        require_count(10);
        vm.rollFork(begin + 2);
        require_count(15);
        vm.rollFork(vm.envBytes32("OWN"));
        require_count(10);
        vm.transact(vm.envBytes32("OWN"));
        require_count(15);
        vm.rollFork(vm.envBytes32("OLD"));
        (bool ok, bytes memory data) = vm.envAddress("COUNTER").staticcall("");
        require(ok && abi.decode(data, (uint256)) == 0, "before the first");
        uint256 second = vm.createFork(vm.envString("URL"));
        vm.selectFork(second);
        require_count(15);
        vm.selectFork(first);
        require(vm.envAddress("STRANGER").balance == 0, "stranger");
    }
}
"""


def send(node: Any, sender: str, to: str | None, value: int = 0, data: str = "0x") -> Any:
    request = {"from": sender, "value": hex(value), "data": data}
    if to is not None:
        request["to"] = to
    return node.wait_for_receipt(node.call("eth_sendTransaction", request))


def prepare(node: Any) -> str:
    """A counter at 7, and 123 wei for a stranger. Returns the counter's address."""
    counter: str = send(node, ALICE, None, data=COUNTER)["contractAddress"]
    send(node, ALICE, counter, data="0x" + f"{7:064x}")
    send(node, ALICE, "0x" + "11" * 20, value=123)
    return counter


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Ghostd, str]]:
    with Ghostd("--dev") as ghostd:
        yield ghostd, prepare(ghostd)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_modules("solc")
    folder = tmp_path_factory.mktemp("forge")
    (folder / "test").mkdir()
    (folder / "test" / "Fork.t.sol").write_text(TEST)
    (folder / "test" / "Roll.t.sol").write_text(ROLLS)
    solc = folder / "solc"
    solc.write_text(
        f'#!/bin/sh\nNODE_PATH={modules_folder()} exec node {CLIENTS / "solc.cjs"} "$@"\n'
    )
    os.chmod(solc, 0o755)
    (folder / "foundry.toml").write_text(f'[profile.default]\ntest = "test"\nsolc = "{solc}"\n')
    return folder


def forge_test(
    url: str, project: Path, counter: str, block: int, test: str = "ForkTest", **variables: str
) -> str:
    environment = os.environ | {
        "COUNTER": counter,
        "STRANGER": "0x" + "11" * 20,
        "BLOCK": str(block),
        "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1",
        **variables,
    }
    arguments = ["--no-storage-caching", "--match-contract", test]
    finished = subprocess.run(
        [tool("forge"), "test", "--fork-url", url, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=project,
        env=environment,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert re.search(r"[1-9] passed.*0 failed", finished.stdout), finished.stdout
    return finished.stdout


def test_forge_rolls_over_the_block_of_a_fork(
    node: tuple[Ghostd, str], project: Path, tmp_path: Path
) -> None:
    """Before it, after it, to transactions of the remote and of the fork, which are run again."""
    ghostd, counter = node
    begin = int(ghostd.call("eth_blockNumber"), 16)
    old = next(
        transaction["hash"]
        for number in range(1, begin + 1)
        for transaction in ghostd.call("eth_getBlockByNumber", hex(number), True)["transactions"]
        if transaction["to"] == counter
    )
    with Ghostd("--dev", "--fork-url", ghostd.url, "--cache-dir", str(tmp_path)) as fork:
        send(fork, BOB, counter, data="0x" + f"{3:064x}")
        own = send(fork, BOB, counter, data="0x" + f"{5:064x}")["transactionHash"]
        names = {"URL": fork.url, "OWN": own, "OLD": old}
        forge_test(fork.url, project, counter, begin, "RollTest", **names)


def test_a_fork_of_a_fork_is_one(node: tuple[Ghostd, str], tmp_path: Path) -> None:
    """By ghostd and by anvil: what is the first chain's, what the first fork's, what its own."""
    ghostd, counter = node
    begin = int(ghostd.call("eth_blockNumber"), 16)
    with Ghostd("--dev", "--fork-url", ghostd.url, "--cache-dir", str(tmp_path / "1")) as fork:
        first = send(fork, BOB, counter, data="0x" + f"{3:064x}")
        flags = ("--fork-url", fork.url)
        with (
            Ghostd("--dev", *flags, "--cache-dir", str(tmp_path / "2")) as again,
            Anvil(*flags, "--no-storage-caching") as anvil,
        ):
            for second in (again, anvil):
                own = send(second, BOB, counter, data="0x" + f"{5:064x}")
                assert int(own["blockNumber"], 16) == begin + 2
                counts = [
                    int(second.call("eth_getStorageAt", counter, "0x0", hex(number)), 16)
                    for number in (begin, begin + 1, begin + 2)
                ]
                assert counts == [7, 10, 15]
                for sent in (first["transactionHash"], own["transactionHash"]):
                    receipt = second.call("eth_getTransactionReceipt", sent)
                    assert receipt["status"] == "0x1"
                    tracer = {"tracer": "callTracer"}
                    trace = second.call("debug_traceTransaction", sent, tracer)
                    assert trace["to"] == counter
                for number in range(begin + 2):
                    here = second.call("eth_getBlockByNumber", hex(number), False)
                    assert (
                        here["hash"]
                        == fork.call("eth_getBlockByNumber", hex(number), False)["hash"]
                    )
            whole = {"fromBlock": "0x0", "toBlock": "latest", "toAddress": [counter]}
            traced = [trace["blockNumber"] for trace in again.call("trace_filter", whole)]
            assert traced[-2:] == [begin + 1, begin + 2]
            assert len(traced) == len(set(traced))


def test_forge_tests_against_a_node_and_against_a_fork_of_it(
    node: tuple[Ghostd, str], project: Path, tmp_path: Path
) -> None:
    ghostd, counter = node
    forge_test(ghostd.url, project, counter, int(ghostd.call("eth_blockNumber"), 16))
    with Ghostd("--dev", "--fork-url", ghostd.url, "--cache-dir", str(tmp_path)) as fork:
        forge_test(fork.url, project, counter, int(fork.call("eth_blockNumber"), 16))
        fork.call("anvil_mine", 3)
        forge_test(fork.url, project, counter, int(fork.call("eth_blockNumber"), 16))


def test_cast_reads_and_sends_on_a_fork(node: tuple[Ghostd, str], tmp_path: Path) -> None:
    ghostd, counter = node
    with Ghostd("--dev", "--fork-url", ghostd.url, "--cache-dir", str(tmp_path)) as fork:

        def cast(*arguments: str) -> str:
            finished = subprocess.run(
                [tool("cast"), arguments[0], "--rpc-url", fork.url, *arguments[1:]],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert finished.returncode == 0, finished.stderr
            return finished.stdout.strip()

        assert int(cast("storage", counter, "0"), 16) == 7
        data = "0x" + f"{3:064x}"
        sent = json.loads(cast("send", counter, data, "--private-key", KEY, "--json"))
        assert sent["status"] == "0x1"
        assert int(cast("call", counter), 16) == 10
        assert int(cast("storage", counter, "0", "--block", "3"), 16) == 7
        assert (
            json.loads(cast("block", "1", "--json"))["hash"]
            == ghostd.call("eth_getBlockByNumber", "0x1", False)["hash"]
        )
        proof = json.loads(cast("proof", counter, "0", "--block", "3"))
        assert int(proof["storageProof"][0]["value"], 16) == 7


def test_anvil_is_forked(tmp_path: Path) -> None:
    """Whose headers, errors and limits are another program's."""
    with Anvil() as anvil:
        counter = prepare(anvil)
        with Ghostd("--dev", "--fork-url", anvil.url, "--cache-dir", str(tmp_path)) as fork:
            assert int(fork.call("eth_getStorageAt", counter, "0x0", "latest"), 16) == 7
            assert int(fork.call("eth_call", {"to": counter, "from": ALICE}, "latest"), 16) == 7
            send(fork, BOB, counter, data="0x" + f"{3:064x}")
            assert int(fork.call("eth_call", {"to": counter, "from": ALICE}, "latest"), 16) == 10
            head = anvil.call("eth_blockNumber")
            assert fork.call("eth_getBlockByNumber", head, True) == anvil.call(
                "eth_getBlockByNumber", head, True
            )
            assert fork.call("eth_getCode", BOB, "latest") == "0x"


def test_a_fork_does_what_anvils_fork_does(node: tuple[Ghostd, str], tmp_path: Path) -> None:
    """The same calls on both forks of one node: the same status, logs, gas and state."""
    ghostd, counter = node
    with (
        Anvil("--fork-url", ghostd.url, "--no-storage-caching") as anvil,
        Ghostd("--dev", "--fork-url", ghostd.url, "--cache-dir", str(tmp_path)) as fork,
    ):
        for index, (sender, to, value, data) in enumerate(
            (
                (ALICE, counter, 0, "0x" + f"{3:064x}"),
                (BOB, "0x" + "11" * 20, 5, "0x"),
                (BOB, None, 0, COUNTER),
                (ALICE, counter, 0, "0x" + f"{2**256 - 10:064x}"),
                (ALICE, "0x" + "77" * 20, 1, "0x1234"),
            )
        ):
            receipts = [send(one, sender, to, value, data) for one in (anvil, fork)]
            for name in ("status", "gasUsed", "contractAddress", "logs", "type", "from", "to"):
                assert receipts[0][name] == receipts[1][name], (index, name)
        for method, params in (
            ("eth_getStorageAt", [counter, "0x0", "latest"]),
            ("eth_getBalance", ["0x" + "11" * 20, "latest"]),
            ("eth_getTransactionCount", [BOB, "latest"]),
            ("eth_getCode", [counter, "latest"]),
            ("eth_chainId", []),
            ("eth_blockNumber", []),
        ):
            assert anvil.call(method, *params) == fork.call(method, *params), method
        with pytest.raises(RpcFailure):
            fork.call("eth_getProof", counter, [], "latest")


@pytest.mark.parametrize("hardfork", ["berlin", "london", "shanghai", "cancun", "prague"])
def test_blocks_of_earlier_rules_are_forked(hardfork: str, tmp_path: Path) -> None:
    """Their headers have fewer fields; what follows them has all."""
    with Anvil("--hardfork", hardfork) as anvil:
        anvil.call("anvil_setBalance", "0x" + "11" * 20, "0x7b")
        anvil.call("anvil_mine", 1)
        with Ghostd("--dev", "--fork-url", anvil.url, "--cache-dir", str(tmp_path)) as fork:
            assert int(fork.call("eth_getBalance", "0x" + "11" * 20, "latest"), 16) == 123
            receipt = send(fork, BOB, "0x" + "11" * 20, value=7)
            assert receipt["status"] == "0x1"
            assert int(fork.call("eth_getBalance", "0x" + "11" * 20, "latest"), 16) == 130
            block = fork.call("eth_getBlockByNumber", "latest", False)
            assert "excessBlobGas" in block
            assert block["parentHash"] == anvil.call("eth_getBlockByNumber", "0x1", False)["hash"]
