"""A running `ghostd --dev`, driven by the libraries and tools that people use: ethers v6, viem,
Foundry's cast and forge."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.node.clients import CLIENTS, modules_folder, require_modules, run_script, tool
from tests.node.process import Ghostd

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize("library", ["ethers", "viem"])
def test_library_finds_all_it_needs(ghostd: Ghostd, library: str) -> None:
    """Compile OpenZeppelin's ERC-20, deploy, transfer, read events, hit a revert with its reason
    and a nonce error, subscribe over WebSocket: each check of the script passes."""
    require_modules(library, "solc", "@openzeppelin/contracts")
    finished = run_script(f"{library}.cjs", ghostd.url)
    outcomes = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    failed = [f"{item['name']}: {item['reason']}" for item in outcomes if not item["pass"]]
    assert not failed, "\n".join(failed)
    assert finished.returncode == 0, finished.stderr
    assert len(outcomes) >= 12


class Foundry:
    """cast and forge against one node."""

    def __init__(self, node: Ghostd) -> None:
        self.node = node

    def run(self, name: str, *arguments: str, cwd: Path | None = None) -> str:
        finished = self.finish(name, *arguments, cwd=cwd)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    def finish(
        self, name: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [tool(name), arguments[0], "--rpc-url", self.node.url, *arguments[1:]]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd
        )

    def cast(self, *arguments: str) -> str:
        return self.run("cast", *arguments)


@pytest.fixture
def foundry(ghostd: Ghostd) -> Foundry:
    return Foundry(ghostd)


def test_cast_reads_and_sends(foundry: Foundry) -> None:
    assert foundry.cast("chain-id") == "31337"
    before = int(foundry.cast("balance", BOB))
    sent = ("send", BOB, "--value", "12345", "--private-key", KEY, "--json")
    receipt = json.loads(foundry.cast(*sent))
    assert receipt["status"] == "0x1"
    assert int(foundry.cast("balance", BOB)) == before + 12345
    assert int(foundry.cast("block-number")) >= int(receipt["blockNumber"], 16)
    assert foundry.cast("nonce", ALICE) != "0"
    shown = json.loads(foundry.cast("tx", receipt["transactionHash"], "--json"))
    assert shown["hash"] == receipt["transactionHash"]
    block = json.loads(foundry.cast("block", "latest", "--json"))
    assert int(block["number"], 16) >= int(receipt["blockNumber"], 16)
    assert int(foundry.cast("gas-price")) > 0


def test_cast_sends_unlocked_and_legacy(foundry: Foundry) -> None:
    unlocked = ("send", BOB, "--value", "1", "--unlocked", "--from", ALICE, "--json")
    assert json.loads(foundry.cast(*unlocked))["status"] == "0x1"
    legacy = ("send", BOB, "--value", "1", "--legacy", "--private-key", KEY, "--json")
    assert json.loads(foundry.cast(*legacy))["type"] == "0x0"


def test_cast_shows_a_nonce_error(foundry: Foundry) -> None:
    stale = ("send", BOB, "--value", "1", "--nonce", "0", "--private-key", KEY)
    finished = foundry.finish("cast", *stale)
    assert finished.returncode != 0
    assert "nonce too low" in finished.stderr


@pytest.fixture
def forge_project(tmp_path: Path) -> Path:
    """A Foundry project with the tests' token. Skips when forge has no compiler to run."""
    require_modules("solc", "@openzeppelin/contracts")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Token.sol").write_text((CLIENTS / "Token.sol").read_text())
    compiler = solc_executable(tmp_path)
    (tmp_path / "foundry.toml").write_text(
        f"""[profile.default]
src = "src"
solc = "{compiler}"
remappings = ["@openzeppelin/={modules_folder() / "@openzeppelin"}/"]
allow_paths = ["{modules_folder()}"]
"""
    )
    return tmp_path


def solc_executable(folder: Path) -> Path:
    """solc in JavaScript with the command line that forge expects of the compiler."""
    path = folder / "solc"
    path.write_text(
        f"""#!/bin/sh
NODE_PATH={modules_folder()} exec node {CLIENTS / "solc.cjs"} "$@"
"""
    )
    os.chmod(path, 0o755)
    return path


def test_forge_creates_and_cast_calls(foundry: Foundry, forge_project: Path) -> None:
    """`forge create` deploys; cast reads, sends and sees a revert's reason."""
    created = foundry.run(
        "forge",
        "create",
        "src/Token.sol:Token",
        "--private-key",
        KEY,
        "--broadcast",
        "--json",
        "--constructor-args",
        "1000",
        cwd=forge_project,
    )
    address = json.loads(created[created.index("{") :])["deployedTo"]
    assert foundry.cast("call", address, "symbol()(string)") == '"GTK"'
    transfer = ("send", address, "transfer(address,uint256)", BOB, "7", "--private-key", KEY)
    receipt = json.loads(foundry.cast(*transfer, "--json"))
    assert len(receipt["logs"]) == 1
    balance = foundry.cast("call", address, "balanceOf(address)(uint256)", BOB)
    assert balance.split()[0] == "7"
    logs = foundry.cast(
        "logs", "--from-block", receipt["blockNumber"], "--address", address, "--json"
    )
    assert json.loads(logs)[0]["transactionHash"] == receipt["transactionHash"]
    refused = foundry.finish("cast", "call", address, "failWithReason(string)", "no money")
    assert "no money" in refused.stderr
    assert int(foundry.cast("estimate", address, "nested(uint256)", "5")) > 21_000
