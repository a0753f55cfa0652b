"""Both new types across the end of a process: what waits outlives a kill, and another node that is
given the blocks verifies every signature in them again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ghostchain.contracts.addresses import MANA, SPIRIT
from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    Signer,
    sign_ghost,
    sign_transaction,
)
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Call, Transaction, TransactionType
from ghostchain.primitives.types import Address
from tests.node.economy import UNIT, write_genesis
from tests.node.process import Ghostd

FRIEND = Address(b"\x77" * 20)
ALICE = Secp256k1Signer(b"\x61" * 32)
QUANTUM = MlDsa65Signer(b"\x62" * 32)
SPONSOR = Ed25519Signer(b"\x63" * 32)
SECONDS_MAX = 120


def draft(**changes: object) -> Transaction:
    fields: dict[str, object] = {
        "type": TransactionType.GHOST,
        "chain_id": 31337,
        "max_fee_per_gas": 10**10,
        "max_priority_fee_per_gas": 10**6,
        "gas_limit": 200_000,
        "to": None,
    }
    return Transaction(**{**fields, **changes})  # type: ignore[arg-type]


def ghost(signer: Signer, nonce: int) -> str:
    tx = draft(nonce=nonce, calls=(Call(FRIEND), Call(FRIEND, 0, b"\x01")), fee_token=MANA)
    return "0x" + encode_transaction(sign_ghost(tx, signer, SPONSOR)).hex()


def currency(nonce: int) -> str:
    tx = draft(type=TransactionType.FEE_CURRENCY, nonce=nonce, to=FRIEND, value=1, fee_token=SPIRIT)
    return "0x" + encode_transaction(sign_transaction(tx, ALICE.reveal_seed())).hex()


def command(*arguments: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "ghostchain.node.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_both_types_outlive_a_kill_and_are_imported(tmp_path: Path) -> None:
    """Queued behind a gap, killed, started again, included; exported, imported by another node,
    whose head is the same."""
    genesis = write_genesis(
        tmp_path / "genesis.json",
        {ALICE.address: UNIT},
        {MANA: {SPONSOR.address: UNIT}, SPIRIT: {ALICE.address: UNIT}},
    )
    data, copy, chain = tmp_path / "data", tmp_path / "copy", tmp_path / "chain.rlp"
    arguments = ("--dev", "--genesis", str(genesis))
    with Ghostd(*arguments, data_dir=data) as node:
        waiting = [
            node.call("eth_sendRawTransaction", raw) for raw in (ghost(QUANTUM, 1), currency(1))
        ]
        assert node.call("txpool_status") == {"pending": "0x0", "queued": "0x2"}
        node.kill()
    with Ghostd(*arguments, data_dir=data) as node:
        assert node.call("txpool_status") == {"pending": "0x0", "queued": "0x2"}
        for raw in (ghost(QUANTUM, 0), currency(0)):
            waiting.append(node.call("eth_sendRawTransaction", raw))
        receipts = [node.wait_for_receipt(transaction_hash) for transaction_hash in waiting]
        assert [receipt["status"] for receipt in receipts] == ["0x1"] * 4
        head = node.call("eth_getBlockByNumber", "latest", False)["hash"]
        node.stop()
    command("export", str(chain), "--data-dir", str(data), "--genesis", str(genesis))
    command("import", str(chain), "--data-dir", str(copy), "--genesis", str(genesis))
    with Ghostd(*arguments, data_dir=copy) as node:
        assert node.call("eth_getBlockByNumber", "latest", False)["hash"] == head
        found = node.call("eth_getTransactionByHash", waiting[0])
        assert found["from"] == "0x" + QUANTUM.address.hex()
