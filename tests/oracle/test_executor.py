"""The executor against the official state and blockchain tests."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from ghostchain.node.blocktest import run_block_test_file
from ghostchain.node.statetest import run_state_test_file

STATE_TESTS = "state_tests.tar.xz"
BLOCK_TESTS = "blockchain_tests.tar.xz"
# One file in so many, also under the sanitizers; tests/conformance runs all of them.
SAMPLE_STEP = 12

EMPTY_TEST = {
    "env": {
        "currentCoinbase": "0x" + "c0" * 20,
        "currentGasLimit": "0x1c9c380",
        "currentNumber": "0x1",
        "currentTimestamp": "0x3e8",
        "currentRandom": "0x00",
        "currentBaseFee": "0x7",
        "currentExcessBlobGas": "0x0",
    },
    "pre": {
        "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf": {
            "nonce": "0x00",
            "balance": "0xde0b6b3a7640000",
            "code": "0x",
            "storage": {},
        }
    },
    "transaction": {
        "nonce": "0x00",
        "gasPrice": "0x0a",
        "gasLimit": ["0x5208", "0x5207"],
        "to": "0x" + "77" * 20,
        "value": ["0x01"],
        "data": ["0x"],
        "secretKey": "0x" + "00" * 31 + "01",
    },
    "config": {"chainid": "0x01"},
}


def members(archive: Path, step: int) -> Iterator[tuple[str, bytes]]:
    """Every step-th vector of the archive."""
    with tarfile.open(archive, "r|*") as files:
        vectors = (member for member in files if member.name.endswith(".json"))
        for index, member in enumerate(vectors):
            content = files.extractfile(member) if index % step == 0 else None
            if content is not None:
                yield member.name, content.read()


def failures(runner, archive: Path, step: int) -> tuple[int, list[str]]:
    count, failed = 0, []
    for name, content in members(archive, step):
        for case in runner(name, content):
            count += 1
            if not case.passed:
                failed.append(f"{case.name} [{case.fork}]: {case.reason}")
    return count, failed


def test_official_state_tests_sampled(fixture_archive) -> None:
    """State root, logs hash or reason of refusal, of a sample that takes seconds."""
    count, failed = failures(run_state_test_file, fixture_archive(STATE_TESTS), SAMPLE_STEP)
    assert not failed, "\n".join(failed[:20])
    assert count > 0


def test_official_blockchain_tests_sampled(fixture_archive) -> None:
    """Every block accepted or refused for the right reason, of a sample that takes seconds."""
    count, failed = failures(run_block_test_file, fixture_archive(BLOCK_TESTS), SAMPLE_STEP)
    assert not failed, "\n".join(failed[:20])
    assert count > 0


def cases(post: dict[str, object], fork: str = "Osaka", gas: int = 0):
    entry = {"indexes": {"data": 0, "gas": gas, "value": 0}, **post}
    content = orjson.dumps({"case": {**EMPTY_TEST, "post": {fork: [entry]}}})
    return run_state_test_file("made.json", content)


def test_a_transaction_is_signed_from_its_fields() -> None:
    """Without txbytes the fields and the secret key make the transaction; a wrong root shows."""
    (case,) = cases({"hash": "0x" + "00" * 32, "logs": "0x" + "00" * 32})
    assert not case.passed
    root = case.reason.split(",")[0].removeprefix("state root ")
    empty_logs = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    (case,) = cases({"hash": root, "logs": empty_logs})
    assert case.passed, case.reason
    (case,) = cases({"hash": root, "logs": "0x" + "00" * 32})
    assert case.reason.startswith("logs hash")


def test_a_refusal_must_have_the_expected_reason() -> None:
    """Refused for something else, or not at all, is a failure."""
    wrong = {"expectException": "TransactionException.NONCE_IS_MAX", "hash": "0x00", "logs": "0x"}
    (case,) = cases(wrong, gas=1)
    assert "INTRINSIC_GAS_TOO_LOW" in case.reason
    (case,) = cases(wrong)
    assert case.reason == "valid, expected TransactionException.NONCE_IS_MAX"


def test_unknown_forks_and_broken_files_are_told() -> None:
    """Nothing is dropped in silence."""
    (case,) = cases({"hash": "0x00", "logs": "0x00"}, fork="Shanghai")
    assert (case.passed, case.reason) == (False, "fork Shanghai is not supported")
    (case,) = run_state_test_file("broken.json", b"{")
    assert not case.passed
    assert "not JSON" in case.reason
