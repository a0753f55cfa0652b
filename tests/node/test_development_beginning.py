"""When a development chain in a directory begins, and that its directory remembers it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.node.process import Ghostd, invoke, run_ghostd

DEV = ("--network", "dev", "--data-dir")
BOB = "0x" + "b0" * 20


def block(node: Ghostd, which: str) -> dict[str, Any]:
    found: dict[str, Any] = node.call("eth_getBlockByNumber", which, False)
    return found


def test_a_new_directory_begins_now_and_keeps_its_beginning(tmp_path: Path) -> None:
    """Clients that reckon from the head's time find the present; a second start finds the same
    genesis, though the present is another one."""
    before = int(time.time())
    with Ghostd("--dev", data_dir=tmp_path) as node:
        genesis = block(node, "0x0")
        assert before <= int(genesis["timestamp"], 16) <= time.time() + 1
        sender = node.call("eth_accounts")[0]
        sent = node.call("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x7"})
        node.wait_for_receipt(sent)
        head = block(node, "latest")
    time.sleep(1.1)
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert block(node, "0x0") == genesis
        assert block(node, "latest") == head
        node.call("evm_mine")
        assert block(node, "latest")["parentHash"] == head["hash"]
    verified = invoke("db", "verify", *DEV, str(tmp_path), "--log-json")
    assert verified.returncode == 0, verified.stderr


def test_a_reset_comes_back_to_the_beginning_of_the_directory(tmp_path: Path) -> None:
    with Ghostd("--dev", data_dir=tmp_path) as node:
        genesis = block(node, "0x0")
        node.call("anvil_mine", "0x3")
        node.call("anvil_reset")
        assert block(node, "latest") == genesis
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert block(node, "latest") == genesis


def test_a_kill_before_the_first_block_changes_no_beginning(tmp_path: Path) -> None:
    node = Ghostd("--dev", data_dir=tmp_path)
    genesis = block(node, "0x0")
    node.kill()
    time.sleep(1.1)
    with Ghostd("--dev", data_dir=tmp_path) as again:
        assert block(again, "0x0") == genesis


def test_the_time_asked_for_is_kept_and_another_one_refused(tmp_path: Path) -> None:
    with Ghostd("--dev", "--timestamp", "1000000", data_dir=tmp_path) as node:
        assert block(node, "0x0")["timestamp"] == hex(1_000_000)
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert block(node, "0x0")["timestamp"] == hex(1_000_000)
    refused = run_ghostd("run", "--dev", "--timestamp", "1000001", "--data-dir", str(tmp_path))
    assert refused.returncode == 3
    assert "choose another --data-dir" in refused.stderr
    other = run_ghostd("run", "--dev", "--accounts", "3", "--data-dir", str(tmp_path))
    assert other.returncode == 3


def test_a_directory_of_before_keeps_its_zero(tmp_path: Path) -> None:
    """What was made when such chains began in 1970 goes on."""
    with Ghostd("--dev", "--timestamp", "0", data_dir=tmp_path) as node:
        genesis = block(node, "0x0")
    identity = json.loads((tmp_path / "IDENTITY").read_text())
    del identity["ghostchain"]["genesisHeader"]
    (tmp_path / "IDENTITY").write_text(json.dumps(identity))
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert block(node, "0x0") == genesis


@pytest.mark.parametrize("text", ["0x00", "0xzz", "7"])
def test_a_damaged_identity_is_said(tmp_path: Path, text: str) -> None:
    invoke("init", *DEV, str(tmp_path))
    identity = json.loads((tmp_path / "IDENTITY").read_text())
    identity["ghostchain"]["genesisHeader"] = text
    (tmp_path / "IDENTITY").write_text(json.dumps(identity))
    refused = run_ghostd("run", "--dev", "--data-dir", str(tmp_path))
    assert refused.returncode == 3
    assert "IDENTITY" in refused.stderr


def test_a_chain_file_brings_its_beginning(tmp_path: Path) -> None:
    """An export is imported into a new directory, which then begins where the first did."""
    file, first, second = str(tmp_path / "chain.rlp"), tmp_path / "first", tmp_path / "second"
    with Ghostd("--dev", data_dir=first) as node:
        sender = node.call("eth_accounts")[0]
        sent = node.call("eth_sendTransaction", {"from": sender, "to": BOB, "value": "0x7"})
        node.wait_for_receipt(sent)
        head = block(node, "latest")
    limit = ("--gas-limit", str(int(head["gasLimit"], 16)))
    exported = invoke("export", file, *limit, *DEV, str(first))
    assert exported.returncode == 0, exported.stderr
    time.sleep(1.1)
    imported = invoke("import", file, *limit, *DEV, str(second))
    assert imported.returncode == 0, imported.stderr
    with Ghostd("--dev", data_dir=second) as node:
        assert block(node, "latest") == head
