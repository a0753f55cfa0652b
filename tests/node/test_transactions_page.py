"""docs/transactions.md: its snippets run, its tables are the code's, its vectors hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ghostchain.chain import fees
from ghostchain.contracts.addresses import MANA
from ghostchain.crypto.hashes import transaction_hash
from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    check_payer,
    payer_signing_hash,
    sender_of,
    sign_ghost,
    sign_transaction,
    signing_hash,
)
from ghostchain.encoding import rlp
from ghostchain.encoding.codec import CALLS_MAX, decode_transaction, encode_transaction
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import SCHEME_LENGTHS
from ghostchain.txpool import validation
from tests.node.economy import UNIT, write_genesis
from tests.node.process import Ghostd

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "transactions.md").read_text()
SPONSOR = Secp256k1Signer(
    bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
)
ONE = (1).to_bytes(32, "big")
TWO = (2).to_bytes(32, "big")
SECONDS_MAX = 120


def section(title: str) -> str:
    _, _, rest = PAGE.partition(f"\n## {title}\n")
    assert rest, f"no section {title}"
    return rest.partition("\n## ")[0]


def rows(title: str, first: str) -> list[list[str]]:
    """The cells of the tables' rows whose first cell matches."""
    lines = [line.strip("|").split("|") for line in section(title).splitlines() if "|" in line]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [row for row in cells if re.fullmatch(first, row[0])]


# ---- the snippets ----


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ghostd]:
    path = write_genesis(
        tmp_path_factory.mktemp("page") / "genesis.json",
        {SPONSOR.address: UNIT},
        {MANA: {SPONSOR.address: 1_000 * UNIT}},
    )
    with Ghostd("--dev", "--genesis", str(path)) as running:
        yield running


def test_snippets_run(node: Ghostd, tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", section("Sign and send"), re.DOTALL | re.MULTILINE
    )
    printed = []
    for block in blocks:
        file = tmp_path / "snippet.py"
        file.write_text(block.replace("http://127.0.0.1:8545", node.url))
        finished = subprocess.run(
            [sys.executable, str(file)],
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert finished.returncode == 0, finished.stderr
        printed += finished.stdout.splitlines()
    alice = Ed25519Signer(ONE).address.hex()
    assert printed == ["0x47 0x1 True", "0x7b 0x1 36000", f"266 bytes by 0x{alice}"]


# ---- the tables ----


@pytest.mark.parametrize("kind", ["0x7b", "0x47"])
def test_fields_are_those_of_the_wire(kind: str) -> None:
    """As many as the vector has, in the order of the line above the table, none longer."""
    listed = rows(kind, r"`\w+`")
    names = [row[0].strip("`") for row in listed]
    (line,) = re.findall(r"`0x.. ‖ rlp\(\[(.*?)\]\)`", section(kind).replace("\n", " "), re.DOTALL)
    assert names == re.split(r",\s*", line)
    fields = rlp.decode(bytes.fromhex(vectors()[f"{kind} bytes"])[1:])
    assert isinstance(fields, list)
    assert len(fields) == len(names)
    for row, field in zip(listed, fields, strict=True):
        if row[1] == "list":
            assert isinstance(field, list)
        elif row[1].startswith("up to"):
            assert len(field) <= int(row[1].removeprefix("up to "))
        elif row[1] == "0 or 20":
            assert len(field) in (0, 20)


def test_schemes_are_those_of_the_code() -> None:
    listed = {
        int(row[0]): (int(row[2]), int(row[3].partition(":")[0])) for row in rows("0x47", r"\d")
    }
    assert listed == {int(scheme): lengths for scheme, lengths in SCHEME_LENGTHS.items()}
    assert f"1 to {CALLS_MAX} of" in section("0x47")


def test_gas_is_the_pools() -> None:
    """Of the pool, whose numbers tests/oracle/test_pool_rules.py holds against the executor."""
    listed = [
        int(row[1]) for row in rows("Gas before the first instruction", r"(an?|another|each) .*")
    ]
    scheme = fees.GAS_SIGNATURE
    assert listed == [
        fees.GAS_TRANSACTION,
        validation.GAS_ZERO_BYTE,
        validation.GAS_NONZERO_BYTE,
        validation.GAS_CREATE,
        validation.GAS_INITCODE_WORD,
        validation.GAS_ACCESS_ADDRESS,
        validation.GAS_ACCESS_KEY,
        validation.GAS_FEE_TOKEN,
        validation.GAS_FURTHER_CALL,
        fees.GAS_PAYER_SECP256K1,
        *(gas for gas in scheme.values() if gas),
    ]


def test_reasons_are_those_of_the_code() -> None:
    listed = {row[0].strip("`") for row in rows("Refusals", r"`\w+`")}
    ours = {reason.name for reason in TransactionReason if reason >= 48}
    assert listed == ours | {"SIGNATURE_INVALID"}


# ---- the vectors ----


def vectors() -> dict[str, str]:
    """Names and hexadecimal digits; a line that begins with a blank goes on."""
    (block,) = re.findall(r"^```text\n(.*?)^```", section("Test vectors"), re.DOTALL | re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line[0] != " ":
            name, _, digits = re.split(r"(\s{2,}|\s(?=[0-9a-f]{20}))", line, maxsplit=1)
            found[name] = ""
        else:
            digits = line
        found[name] += digits.strip()
    return found


def test_ghost_vector_holds() -> None:
    wanted = vectors()
    tx = decode_transaction(bytes.fromhex(wanted["0x47 bytes"]))
    sender = sender_of(tx)
    check_payer(tx, sender)
    assert sender.hex() == wanted["0x47 sender"]
    assert tx.fee_payer is not None
    assert tx.fee_payer.hex() == wanted["0x47 payer"]
    assert signing_hash(tx).hex() == wanted["0x47 signing hash"]
    assert payer_signing_hash(tx, sender).hex() == wanted["0x47 payer's hash"]
    assert transaction_hash(tx).hex() == wanted["0x47 hash"]
    assert sign_ghost(tx, Secp256k1Signer(ONE), Ed25519Signer(TWO)) == tx


def test_fee_currency_vector_holds() -> None:
    wanted = vectors()
    tx = decode_transaction(bytes.fromhex(wanted["0x7b bytes"]))
    assert sender_of(tx).hex() == wanted["0x7b sender"]
    assert signing_hash(tx).hex() == wanted["0x7b signing hash"]
    assert transaction_hash(tx).hex() == wanted["0x7b hash"]
    assert sign_transaction(tx, ONE) == tx
    assert encode_transaction(tx).hex() == wanted["0x7b bytes"]


def test_addresses_of_keys_hold() -> None:
    wanted = vectors()
    assert Ed25519Signer(ONE).address.hex() == wanted["address of Ed25519 seed 1"]
    assert MlDsa65Signer(ONE).address.hex() == wanted["address of ML-DSA-65 seed 1"]
