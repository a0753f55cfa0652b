"""A Foundry project against a running `ghostd --dev`: `forge test --fork-url` on its state, and
`forge script --broadcast` with many transactions."""

from __future__ import annotations

import json
import os
import subprocess
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
        require(token.balanceOf(alice) == 1_000_000, "balance");
        require(block.chainid == 31337, "chain");
        require(block.number == vm.envUint("HEAD"), "number");
        require(alice.balance > 9_000 ether, "coins");
    }

    function test_others_pay_from_the_fork() external {
        vm.prank(alice);
        token.transfer(address(this), 77);
        require(token.balanceOf(address(this)) == 77, "received");
        vm.deal(address(this), 1 ether);
        payable(address(0xbeef)).transfer(1 ether);
        require(address(0xbeef).balance == 1 ether, "paid");
    }

    function testFuzz_transfers(uint96 amount) external {
        vm.prank(alice);
        try token.transfer(address(0xcafe), amount) {
            require(amount <= 1_000_000, "too much went");
        } catch {
            require(amount > 1_000_000, "nothing went");
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
    head = str(int(ghostd.call("eth_blockNumber"), 16))
    shown = forge(project, "test", "--fork-url", ghostd.url, TOKEN=token, HEAD=head)
    assert "3 passed; 0 failed" in shown


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
