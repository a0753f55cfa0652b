"""Calls that are answered on the event loop: only what no amount of gas would change."""

from __future__ import annotations

import pytest

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import BlockEnvironment, CallFlag, Executor, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import MemoryView
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import ZERO_ADDRESS, Address

GAS_MAX = 300_000
ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    chain_id=1,
    number=1,
    timestamp=1,
    gas_limit=30_000_000,
    base_fee=7,
    blob_base_fee_update_fraction=5_007_716,
    blobs_per_block_max=6,
)
HERE, OTHER = Address(b"\x11" * 20), Address(b"\x22" * 20)
RETURN_TOP = "5f5260205ff3"
PUSH_OTHER = "73" + OTHER.hex()
# Returns 7, and with GAS instead what is left.
SEVEN = bytes.fromhex("6007" + RETURN_TOP)
GAS = bytes.fromhex("5a" + RETURN_TOP)
LOOP = bytes.fromhex("5b5f56")
REVERT = bytes.fromhex("5f5ffd")


def calls_other(opcode: str, gas: str) -> bytes:
    """Calls OTHER with 32 bytes of output, and returns its output or whether it succeeded."""
    value = "5f" if opcode in ("f1", "f2") else ""
    return bytes.fromhex("60205f5f5f" + value + PUSH_OTHER + gas + opcode + "505f51" + RETURN_TOP)


def succeeds(opcode: str, gas: str) -> bytes:
    value = "5f" if opcode in ("f1", "f2") else ""
    return bytes.fromhex("5f5f5f5f" + value + PUSH_OTHER + gas + opcode + RETURN_TOP)


def executor(here: bytes, other: bytes = b"") -> Executor:
    view = MemoryView()
    for address, code in ((HERE, here), (OTHER, other)):
        view.accounts[address] = Account(nonce=1, balance=0, code_hash=keccak256(code)).encode()
        view.codes[keccak256(code)] = code
    return Executor(view)


def peek(of: Executor, *, gas_limit: int = GAS_MAX) -> bytes | None:
    return of.peek(ENVIRONMENT, ZERO_ADDRESS, HERE, b"", gas_limit=gas_limit)


CASES = {
    "plain": (SEVEN, b"", 7),
    "looks at gas": (GAS, b"", None),
    "gives all gas to CALL": (calls_other("f1", "5a"), SEVEN, 7),
    "gives all gas to DELEGATECALL": (calls_other("f4", "5a"), SEVEN, 7),
    "gives all gas to STATICCALL": (calls_other("fa", "5a"), SEVEN, 7),
    "gives some gas": (calls_other("fa", "6103e8"), SEVEN, 7),
    "asks for more gas than there is": (calls_other("fa", "63ffffffff"), SEVEN, 7),
    "callee looks at gas": (calls_other("fa", "5a"), GAS, None),
    "callee halts": (succeeds("fa", "6103e8"), LOOP, None),
    "callee reverts": (succeeds("fa", "5a"), REVERT, 0),
    "halts": (LOOP, b"", None),
    "reverts": (REVERT, b"", None),
    "loops and looks at gas between": (bytes.fromhex("5b5a50" + "6007" + RETURN_TOP), b"", None),
}


@pytest.mark.parametrize("name", CASES)
def test_only_what_no_gas_would_change_is_answered(name: str) -> None:
    """And what is answered is what the whole call answers."""
    here, other, expected = CASES[name]
    one = executor(here, other)
    found = peek(one)
    assert (None if found is None else int.from_bytes(found, "big")) == expected
    if found is not None:
        flags = CallFlag.NO_NONCE_CHECK | CallFlag.NO_GAS_CAP | CallFlag.NO_BASE_FEE
        message = Message(sender=ZERO_ADDRESS, to=HERE, gas_limit=30_000_000)
        assert one.call(ENVIRONMENT, message, flags=flags).output == found
        assert peek(one) == found, "nothing is left behind"


def test_gas_limit_bounds_it() -> None:
    one = executor(SEVEN)
    assert peek(one, gas_limit=21_000 + 100) is not None
    assert peek(one, gas_limit=21_000 + 5) is None
    assert peek(one, gas_limit=20_000) is None
