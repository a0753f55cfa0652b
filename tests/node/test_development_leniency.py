"""What a development chain lets pass, and anvil's command lines brought along."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import pytest

from ghostchain.node.commands.carried_over import translated
from tests.node.process import Ghostd, RpcFailure, invoke

ECRECOVER = "0x" + "00" * 19 + "01"
DIGEST, R, S = "99" * 32, "11" * 32, "22" * 32
WHO = "0x" + "ab" * 20
SIZE = 60_000
# Returns SIZE zero bytes as code; and one such byte, with init code of 100 kB.
LARGE = f"0x62{SIZE:06x}6000f3"
LONG = "0x60016000f3" + "00" * 100_000
# Calls ECRECOVER with its call data, keeps what it says in slot 0.
RECOVERS = "0x60806000600037602060806080600060015afa5060805160005500"


def code_of(node: Ghostd, init: str, gas: int) -> str:
    sender = node.call("eth_accounts")[0]
    sent = node.call("eth_sendTransaction", {"from": sender, "data": init, "gas": hex(gas)})
    receipt = node.call("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    found: str = node.call("eth_getCode", receipt["contractAddress"], "latest")
    return found


def test_code_of_any_size_is_deployed_traced_and_kept(tmp_path: Path) -> None:
    """A kill loses nothing of it, nor does a restart without the flag."""
    with Ghostd("--dev", "--disable-code-size-limit", data_dir=tmp_path) as node:
        assert len(code_of(node, LARGE, 20_000_000)) == 2 + 2 * SIZE
        assert code_of(node, LONG, 20_000_000) == "0x00"
        block = node.call("eth_getBlockByNumber", "0x1", False)
        traced = node.call(
            "debug_traceTransaction", block["transactions"][0], {"disableStack": True}
        )
        assert traced["failed"] is False
        node.kill()
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert node.call("eth_getBlockByNumber", "0x1", False) == block
        with pytest.raises(RpcFailure, match="initcode size"):
            code_of(node, LONG, 10_000_000)


def test_a_smaller_limit_holds_as_well() -> None:
    with Ghostd("--dev", "--code-size-limit", "100") as node:
        assert len(code_of(node, "0x60646000f3", 200_000)) == 202
        sender = node.call("eth_accounts")[0]
        for init in ("0x60656000f3", "0x60016000f3" + "00" * 200):
            with pytest.raises(RpcFailure):
                node.call("eth_estimateGas", {"from": sender, "data": init})


@pytest.mark.parametrize("is_bound", [False, True])
def test_gas_of_a_transaction_is_bound_when_asked_for(is_bound: bool) -> None:
    flags = ["--tx-gas-limit"] if is_bound else []
    with Ghostd("--dev", *flags) as node:
        sender = node.call("eth_accounts")[0]
        request = {"from": sender, "to": WHO, "gas": hex((1 << 24) + 1)}
        if is_bound:
            with pytest.raises(RpcFailure, match="gas limit too high"):
                node.call("eth_sendTransaction", request)
            return
        sent = node.call("eth_sendTransaction", request)
        assert node.call("eth_getTransactionReceipt", sent)["status"] == "0x1"


def recovered(node: Ghostd, v: str, r: str = R) -> str:
    data = "0x" + DIGEST + v.rjust(64, "0") + r + S
    found: str = node.call("eth_call", {"to": ECRECOVER, "data": data}, "latest")
    return found


def test_a_believed_signature_is_believed_everywhere_and_for_good(tmp_path: Path) -> None:
    """In calls, blocks and traces, in both forms of parameters, after a kill; no other is."""
    answer = "0x" + WHO[2:].rjust(64, "0")
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert recovered(node, "1b") != answer
        node.call("anvil_impersonateSignature", "0x" + R + S + "1b", WHO)
        node.call("anvil_impersonateSignature", ["0x" + S + S + "1c", WHO])
        assert recovered(node, "1b") == answer
        assert recovered(node, "1c") != answer
        assert recovered(node, "1c", r=S) == answer
        node.call("anvil_setCode", WHO, RECOVERS)
        request = {"from": node.call("eth_accounts")[0], "to": WHO, "gas": "0x30d40"}
        request["data"] = "0x" + DIGEST + "1b".rjust(64, "0") + R + S
        sent = node.call("eth_sendTransaction", request)
        assert node.call("eth_getTransactionReceipt", sent)["status"] == "0x1"
        assert node.call("eth_getStorageAt", WHO, "0x0", "latest") == answer
        traced = node.call("debug_traceTransaction", sent, {"tracer": "callTracer"})
        assert traced["calls"][0]["output"] == answer
        node.kill()
    with Ghostd("--dev", data_dir=tmp_path) as node:
        assert recovered(node, "1b") == answer
        with pytest.raises(RpcFailure, match="65 bytes"):
            node.call("anvil_impersonateSignature", "0x11", WHO)
        with pytest.raises(RpcFailure, match="missing"):
            node.call("anvil_impersonateSignature", "0x" + R + S + "1b")


def test_believed_signatures_are_so_many_at_most() -> None:
    with Ghostd("--dev") as node:
        for number in range(64):
            node.call("anvil_impersonateSignature", f"0x{number:0130x}", WHO)
        with pytest.raises(RpcFailure, match="at most 64"):
            node.call("anvil_impersonateSignature", f"0x{64:0130x}", WHO)


def test_blocks_hold_so_many_transactions_at_most(tmp_path: Path) -> None:
    out = tmp_path / "accounts.json"
    flags = ["--no-mine", "--max-transactions", "2", "--config-out", str(out)]
    with Ghostd("--dev", *flags, "--derivation-path", "m/44'/60'/0'/1/", "-a", "3") as node:
        accounts = node.call("eth_accounts")
        written = json.loads(out.read_text())
        assert [one.lower() for one in written["available_accounts"]] == accounts
        assert written["wallet"]["derivation_path"] == "m/44'/60'/0'/1/"
        for _ in range(3):
            node.call("eth_sendTransaction", {"from": accounts[0], "to": WHO})
        node.call("evm_mine")
        node.call("evm_mine")
        counts = [
            node.call("eth_getBlockTransactionCountByNumber", height) for height in ("0x1", "0x2")
        ]
        assert counts == ["0x2", "0x1"]


def test_the_state_is_written_every_so_often(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with Ghostd("--dev", "--dump-state", str(path), "-s", "1") as node:
        node.call("anvil_setBalance", WHO, "0x7")
        found = False
        for _ in range(100):
            node.call("evm_mine")
            found = path.exists() and json.loads(path.read_text())["accounts"].get(WHO) is not None
            if found:
                break
            node.process.poll()
            time.sleep(0.1)
        assert found
        node.kill()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("--dev -p 1 --host 0.0.0.0", "--dev --rpc-port 1 --rpc-host 0.0.0.0"),
        ("--dev -p1 -a3 -b 2", "--dev --rpc-port 1 --accounts 3 --block-time 2"),
        ("--dev --port=1 --timeout=4500", "--dev --rpc-port 1 --fork-timeout 4.5"),
        ("--dev --timeout 250 --retries 3", "--dev --fork-timeout 0.25 --fork-retries 3"),
        ("--dev --steps-tracing --prune-history --no-mine", "--dev --no-mining"),
        ("--dev --prune-history 5 -j 4 --no-mine", "--dev --no-mining"),
        ("--dev -q", "--dev --log-level error"),
        ("--dev -vvv", "--dev --log-level debug"),
        ("--port 1", "--port 1"),
        ("--dev --accounts 3", "--dev --accounts 3"),
    ],
)
def test_flags_of_anvil_are_translated(given: str, made: str) -> None:
    assert translated(given.split()) == made.split()


@pytest.mark.parametrize("flag", ["--number", "--celo", "--ipc", "--mnemonic-random"])
def test_what_is_not_here_is_refused_with_what_is(flag: str) -> None:
    with pytest.raises(click.UsageError, match=flag):
        translated(["--dev", flag])
    assert invoke("run", "--dev", flag).returncode == 2


def test_by_arrival_means_in_the_order_of_nonces_too() -> None:
    """What came first but follows a later one of its sender goes into the same block behind it."""
    with Ghostd("--dev", "--order", "fifo") as node:
        sender = node.call("eth_accounts")[0]
        for nonce in ("0x1", "0x0"):
            node.call("eth_sendTransaction", {"from": sender, "to": WHO, "nonce": nonce})
        assert node.call("eth_getBlockTransactionCountByNumber", "0x1") == "0x2"


def test_parameters_come_as_clients_send_them() -> None:
    with Ghostd("--dev") as node:
        node.call("anvil_setCode", WHO, "")
        node.call("evm_setTime", 1_900_000_000_000)
        node.call("evm_mine")
        head = node.call("eth_getBlockByNumber", "latest", False)
        assert 0 <= int(head["timestamp"], 16) - 1_900_000_000 < 9
        body = {"jsonrpc": "2.0", "id": 1, "method": "anvil_reorg"}
        body["params"] = {"depth": 1, "tx_block_pairs": []}
        assert node.post(json.dumps(body).encode())["result"] is None
        node.call("anvil_setBalance", WHO, "0x7")
        node.call("evm_mine")
        node.call("anvil_rollback")
        assert node.call("eth_getBalance", WHO, "latest") == "0x7"
