"""Multicall3 and the deployment proxy, as tools use them."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from eth_abi import decode, encode
from eth_utils.crypto import keccak

from ghostchain.contracts.customary import (
    DEPLOYMENT_PROXY,
    DEPLOYMENT_PROXY_CODE,
    MULTICALL3,
    customary_codes,
)
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import BlockEnvironment, CallFlag, CallResult, Executor, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address
from tests.node.clients import modules_folder, require_modules

CALLER = Address(bytes(19) + b"\x99")
ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    chain_id=31337,
    number=300,
    timestamp=1_000,
    gas_limit=30_000_000,
    base_fee=7,
    coinbase=Address(bytes(19) + b"\x05"),
    prev_randao=bytes([3] * 32),
    parent_hash=bytes([4] * 32),
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)
# Returns its value and call data: CALLVALUE, CALLDATALOAD(0).
ECHO = Address(bytes(19) + b"\xe1")
ECHO_CODE = bytes.fromhex("3460005260003560205260406000f3")
# Reverts with its call data.
REVERTS = Address(bytes(19) + b"\xe2")
REVERTS_CODE = bytes.fromhex("366000600037366000fd")


@pytest.fixture
def executor() -> Executor:
    codes = customary_codes() | {ECHO: ECHO_CODE, REVERTS: REVERTS_CODE}
    accounts = {address: Allocation(nonce=1, code=code) for address, code in codes.items()}
    return Executor(MemoryView(accounts | {CALLER: Allocation(balance=10**18)}))


def call(executor: Executor, to: Address, data: bytes, value: int = 0) -> CallResult:
    message = Message(sender=CALLER, to=to, gas_limit=5_000_000, data=data, value=value)
    flags = CallFlag.NO_BASE_FEE | CallFlag.NO_NONCE_CHECK | CallFlag.KEEP
    return executor.call(ENVIRONMENT, message, flags=flags)


def multicall(
    executor: Executor, signature: str, types: list[str], *arguments: object, value: int = 0
) -> CallResult:
    data = keccak(text=signature)[:4] + encode(types, arguments)
    return call(executor, MULTICALL3, data, value)


def test_aggregate3_tells_each_result(executor: Executor) -> None:
    calls = [(ECHO, False, b"\x01" * 32), (REVERTS, True, b"oh"), (CALLER, True, b"")]
    result = multicall(
        executor, "aggregate3((address,bool,bytes)[])", ["(address,bool,bytes)[]"], calls
    )
    (answers,) = decode(["(bool,bytes)[]"], result.output)
    assert answers == ((True, bytes(32) + b"\x01" * 32), (False, b"oh"), (True, b""))


def test_aggregate3_fails_with_the_one_that_must_not(executor: Executor) -> None:
    calls = [(REVERTS, False, b"oh")]
    result = multicall(
        executor, "aggregate3((address,bool,bytes)[])", ["(address,bool,bytes)[]"], calls
    )
    assert not result.success
    assert decode(["string"], result.output[4:]) == ("Multicall3: call failed",)


@pytest.mark.parametrize(("sent", "succeeds"), [(7, True), (8, False), (6, False)])
def test_aggregate3_value_sends_what_was_given(
    executor: Executor, sent: int, succeeds: bool
) -> None:
    calls = [(ECHO, False, 3, b""), (ECHO, False, 4, b"")]
    result = multicall(
        executor,
        "aggregate3Value((address,bool,uint256,bytes)[])",
        ["(address,bool,uint256,bytes)[]"],
        calls,
        value=sent,
    )
    assert result.success is succeeds
    if succeeds:
        (answers,) = decode(["(bool,bytes)[]"], result.output)
        assert [int.from_bytes(data[:32], "big") for _, data in answers] == [3, 4]


def test_older_forms(executor: Executor) -> None:
    calls = [(ECHO, b"\x02" * 32)]
    types = ["(address,bytes)[]"]
    echoed = bytes(32) + b"\x02" * 32
    result = multicall(executor, "aggregate((address,bytes)[])", types, calls)
    assert decode(["uint256", "bytes[]"], result.output) == (300, (echoed,))
    result = multicall(executor, "blockAndAggregate((address,bytes)[])", types, calls)
    assert decode(["uint256", "bytes32", "(bool,bytes)[]"], result.output) == (
        300,
        bytes(32),
        ((True, echoed),),
    )
    failing = [*calls, (REVERTS, b"no")]
    for name in ("tryAggregate", "tryBlockAndAggregate"):
        signature = f"{name}(bool,(address,bytes)[])"
        assert not multicall(executor, signature, ["bool", *types], True, failing).success
        result = multicall(executor, signature, ["bool", *types], False, failing)
        head = ["uint256", "bytes32"] if "Block" in name else []
        answers = decode([*head, "(bool,bytes)[]"], result.output)[-1]
        assert answers == ((True, echoed), (False, b"no"))


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("getBlockNumber()", 300),
        ("getCurrentBlockCoinbase()", 5),
        ("getCurrentBlockDifficulty()", int.from_bytes(bytes([3] * 32), "big")),
        ("getCurrentBlockGasLimit()", 30_000_000),
        ("getCurrentBlockTimestamp()", 1_000),
        ("getLastBlockHash()", int.from_bytes(bytes([4] * 32), "big")),
        ("getChainId()", 31337),
    ],
)
def test_getters(executor: Executor, signature: str, expected: int) -> None:
    result = multicall(executor, signature, [])
    assert int.from_bytes(result.output, "big") == expected


def test_getters_with_an_argument(executor: Executor) -> None:
    result = multicall(executor, "getEthBalance(address)", ["address"], CALLER)
    assert int.from_bytes(result.output, "big") == 10**18
    result = multicall(executor, "getBlockHash(uint256)", ["uint256"], 299)
    assert result.output == bytes([4] * 32)


def test_proxy_deploys_where_create2_says(executor: Executor) -> None:
    salt = bytes([7] * 32)
    init_code = bytes.fromhex("600160005360016000f3")  # deploys the code 01
    result = call(executor, DEPLOYMENT_PROXY, salt + init_code)
    place = keccak256(b"\xff" + DEPLOYMENT_PROXY + salt + keccak256(init_code))[12:]
    assert result.output == place
    again = call(executor, DEPLOYMENT_PROXY, salt + init_code)
    assert not again.success
    assert again.output == b""


def test_proxy_is_the_one_that_foundry_knows() -> None:
    """Foundry refuses a proxy of another hash."""
    expected = "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"
    assert keccak256(DEPLOYMENT_PROXY_CODE).hex() == expected


def test_multicall3_is_what_its_source_compiles_to() -> None:
    require_modules("solc")
    folder = Path(str(files("ghostchain.contracts.customary")))
    finished = subprocess.run(
        ["node", str(folder / "compile.cjs")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"NODE_PATH": str(modules_folder())},
    )
    assert json.loads(finished.stdout) == json.loads((folder / "multicall3.json").read_text())
