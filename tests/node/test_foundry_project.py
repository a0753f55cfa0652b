"""A Foundry project against a running `ghostd --dev`: `forge test --fork-url` on its state, and
`forge script --broadcast` with many transactions."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.node.clients import CLIENTS, compiled_token, modules_folder, require_modules, tool
from tests.node.process import Ghostd
from tests.node.test_clients import ALICE, BOB, KEY, solc_executable

VM = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

interface Vm {
    function envAddress(string calldata name) external view returns (address);
    function envUint(string calldata name) external view returns (uint256);
    function prank(address sender) external;
    function deal(address who, uint256 balance) external;
    function roll(uint256 number) external;
    function envString(string calldata name) external view returns (string memory);
    function envBytes32(string calldata name) external view returns (bytes32);
    function createSelectFork(string calldata url) external returns (uint256);
    function createSelectFork(string calldata url, uint256 number) external returns (uint256);
    function selectFork(uint256 fork) external;
    function rollFork(uint256 number) external;
    function rollFork(bytes32 transaction) external;
    function transact(bytes32 transaction) external;
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
    function startBroadcast(uint256 key) external;
    function stopBroadcast() external;
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
"""
TEST = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {vm} from "./Vm.sol";
import {Token} from "../src/Token.sol";

contract ForkTest {
    Token token = Token(vm.envAddress("TOKEN"));
    address alice = vm.envAddress("ALICE");

    function test_state_is_the_nodes() external view {
        require(keccak256(bytes(token.symbol())) == keccak256("GTK"), "symbol");
        require(token.balanceOf(alice) == 999_990, "balance");
        require(block.chainid == 31337, "chain");
        require(block.number == vm.envUint("HEAD"), "number");
        require(alice.balance > 9_000 ether, "coins");
    }

    function test_others_pay_from_the_fork() external {
        vm.prank(alice);
        token.transfer(address(this), 77);
        require(token.balanceOf(address(this)) == 77, "received");
        vm.deal(address(this), 1 ether);
        uint256 before = address(0xbeef).balance;
        payable(address(0xbeef)).transfer(1 ether);
        require(address(0xbeef).balance == before + 1 ether, "paid");
    }

    function test_forks_stand_where_they_are_told() external {
        string memory url = vm.envString("URL");
        uint256 head = vm.envUint("HEAD");
        uint256 newest = vm.createSelectFork(url);
        require(block.number == head && token.balanceOf(address(0xbee)) == 10, "newest");
        uint256 past = vm.createSelectFork(url, head - 2);
        require(block.number == head - 2 && token.balanceOf(address(0xbee)) == 0, "past");
        vm.selectFork(newest);
        vm.prank(alice);
        token.transfer(address(0xbee), 1);
        vm.selectFork(past);
        vm.rollFork(head - 1);
        require(token.balanceOf(address(0xbee)) == 3, "rolled to a block");
        vm.rollFork(vm.envBytes32("SENT"));
        require(token.balanceOf(address(0xbee)) == 3, "rolled to before a transaction");
        vm.transact(vm.envBytes32("SENT"));
        require(token.balanceOf(address(0xbee)) == 10, "that transaction");
        require(keccak256(vm.rpc("eth_chainId", "[]")) == keccak256(hex"7a69"), "asked the node");
    }

    function testFuzz_transfers(uint96 amount) external {
        vm.prank(alice);
        try token.transfer(address(0xcafe), amount) {
            require(amount <= 999_990, "too much went");
        } catch {
            require(amount > 999_990, "nothing went");
        }
    }
}
"""
SCRIPT = """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {vm} from "../test/Vm.sol";
import {Token} from "../src/Token.sol";

contract Deploy {
    function run() external {
        vm.startBroadcast(vm.envUint("KEY"));
        Token token = new Token(5_000);
        for (uint256 index = 1; index <= 20; index++) {
            token.transfer(address(uint160(0x1000 + index)), index);
        }
        payable(vm.envAddress("BOB")).transfer(1 ether);
        vm.stopBroadcast();
    }
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Skips when forge has no compiler to run."""
    require_modules("solc", "@openzeppelin/contracts")
    for folder in ("src", "test", "script"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "Token.sol").write_text((CLIENTS / "Token.sol").read_text())
    (tmp_path / "test" / "Vm.sol").write_text(VM)
    (tmp_path / "test" / "Fork.t.sol").write_text(TEST)
    (tmp_path / "script" / "Deploy.s.sol").write_text(SCRIPT)
    (tmp_path / "foundry.toml").write_text(
        f"""[profile.default]
src = "src"
solc = "{solc_executable(tmp_path)}"
remappings = ["@openzeppelin/={modules_folder() / "@openzeppelin"}/"]
allow_paths = ["{modules_folder()}"]
no_storage_caching = true
fuzz = {{ runs = 64 }}
"""
    )
    return tmp_path


def forge(project: Path, *arguments: str, **variables: str) -> str:
    finished = subprocess.run(
        [tool("forge"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=project,
        env=os.environ | {"ALICE": ALICE, "BOB": BOB, "KEY": KEY} | variables,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
    return finished.stdout


def test_forge_tests_on_the_nodes_state(ghostd: Ghostd, project: Path) -> None:
    data = compiled_token()["bytecode"] + f"{1_000_000:064x}"
    sent = ghostd.call("eth_sendTransaction", {"from": ALICE, "data": data})
    token = ghostd.wait_for_receipt(sent)["contractAddress"]
    for value in (3, 7):
        data = f"0xa9059cbb{0xBEE:064x}{value:064x}"
        sent = ghostd.call("eth_sendTransaction", {"from": ALICE, "to": token, "data": data})
        ghostd.wait_for_receipt(sent)
    head = str(int(ghostd.call("eth_blockNumber"), 16))
    variables = {"TOKEN": token, "HEAD": head, "URL": ghostd.url, "SENT": sent}
    shown = forge(project, "test", "--fork-url", ghostd.url, **variables)
    assert "4 passed; 0 failed" in shown


def test_forge_scripts_broadcast(ghostd: Ghostd, project: Path) -> None:
    """A creation, twenty calls of what it created and a payment, sent at once."""
    before = int(ghostd.call("eth_getBalance", BOB, "latest"), 16)
    forge(
        project,
        *("script", "script/Deploy.s.sol:Deploy", "--rpc-url", ghostd.url, "--broadcast"),
    )
    written = project / "broadcast" / "Deploy.s.sol" / "31337" / "run-latest.json"
    done = json.loads(written.read_text())
    assert len(done["receipts"]) == 22
    assert {receipt["status"] for receipt in done["receipts"]} == {"0x1"}
    (token,) = filter(None, (receipt["contractAddress"] for receipt in done["receipts"]))
    for index in (1, 20):
        holder = f"{0x1000 + index:064x}"
        held = ghostd.call("eth_call", {"to": token, "data": "0x70a08231" + holder}, "latest")
        assert int(held, 16) == index
    assert int(ghostd.call("eth_getBalance", BOB, "latest"), 16) == before + 10**18


def test_forge_resumes_a_script_that_was_stopped(project: Path) -> None:
    """forge dies while all that it has sent waits; the blocks come, and it finds every receipt."""
    written = project / "broadcast" / "Deploy.s.sol" / "31337" / "run-latest.json"
    secret = project / "cache" / "Deploy.s.sol" / "31337" / "run-latest.json"

    def is_noted() -> bool:
        """forge notes what it has sent after it has sent it."""
        try:
            return secret.exists() and len(json.loads(written.read_text())["pending"]) == 22
        except (OSError, ValueError):
            return False

    with Ghostd("--dev", "--no-mining") as node:
        arguments = ("script/Deploy.s.sol:Deploy", "--rpc-url", node.url)
        with subprocess.Popen(
            [tool("forge"), "script", *arguments, "--broadcast"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=project,
            env=os.environ | {"ALICE": ALICE, "BOB": BOB, "KEY": KEY},
        ) as running:
            try:
                deadline = time.monotonic() + 120
                while node.call("txpool_status")["pending"] != hex(22) or not is_noted():
                    assert running.poll() is None, "forge ended before it was stopped"
                    assert time.monotonic() < deadline, "forge has not sent what it was to send"
                    time.sleep(0.05)
            finally:
                running.kill()
        node.call("anvil_mine")
        forge(project, "script", *arguments, "--private-key", KEY, "--resume")
    receipts = json.loads(written.read_text())["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["0x1"] * 22
