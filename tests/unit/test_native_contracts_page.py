"""The page docs/native-contracts.md: its contract and its test run as they stand there, its prices
are those of the table, and its contract runs in the native executor too."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ghostchain.contracts.addresses import address_of, code_of
from ghostchain.contracts.framework import gas, runner
from ghostchain.execution.executor import CallFlag, Executor, Message
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address
from tests.hybrid import environment

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "native-contracts.md").read_text()


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The page's contract and its test."""
    contract, test = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "vault.py").write_text(contract)
    (tmp_path / "page_test_of_vault.py").write_text(test)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("vault", "page_test_of_vault"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("vault"), importlib.import_module("page_test_of_vault")


def test_the_test_of_the_page_passes(modules: tuple[ModuleType, ModuleType]) -> None:
    modules[1].test_value_waits_for_its_time()


def test_the_contract_of_the_page_runs_in_the_executor(
    modules: tuple[ModuleType, ModuleType],
) -> None:
    vault = modules[0].Vault
    owner, target, place = Address(b"\x01" * 20), Address(b"\x02" * 20), address_of(vault.ID)
    view = MemoryView({owner: Allocation(balance=100)})
    view.put(place, Allocation(nonce=1, code=code_of(vault.ID)))
    executor = Executor(view, contracts=runner({vault.ID: vault}))
    block = environment(0, Address(bytes(20)))

    def send(function: str, *arguments: object, value: int = 0) -> bytes:
        data = vault.method(function).encode_call(arguments)
        message = Message(sender=owner, to=place, data=data, value=value, gas_limit=200_000)
        flags = CallFlag.KEEP | CallFlag.NO_NONCE_CHECK
        result = executor.call(block, message, flags=flags)
        assert result.success, result
        return result.output

    send("lock", block.timestamp, value=70)
    assert vault.method("withdraw").decode_result(send("withdraw", target)) == 70
    assert vault.method("total").decode_result(send("total")) == 0


def test_the_prices_of_the_page_are_those_of_the_table() -> None:
    listed = [int(price.replace(",", "")) for price in re.findall(r"\| ([\d,]+) \|\n", PAGE)]
    assert listed == [gas.DISPATCH, gas.COPY_WORD, gas.WORD, gas.HASH, gas.STEP]
