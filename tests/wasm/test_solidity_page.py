"""docs/solidity-contracts.md: its commands, run as they stand against a running node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.clients import require_modules
from tests.node.process import Ghostd
from tests.node.test_clients import solc_executable
from tests.wasm.page import Page

PAGE = Page("solidity-contracts.md")


@pytest.mark.parametrize(
    ("section", "printed"),
    [
        ("With Foundry", ["42", "arithmetic underflow or overflow"]),
        ("With viem", ["[ 7n, 8n ]"]),
        ("At an address known beforehand", ["0"]),
        ("Calling the protocol", ["fb8f41b2", "15", "3"]),
        ("Calling WASM", ["3", "false"]),
    ],
)
def test_section(ghostd: Ghostd, tmp_path: Path, section: str, printed: list[str]) -> None:
    require_modules("solc", "viem")
    solc = str(solc_executable(tmp_path))
    lines = PAGE.run(ghostd, tmp_path, section, FOUNDRY_SOLC=solc)
    shown = [line.replace("ERC20InsufficientAllowance", "fb8f41b2") for line in lines]
    assert shown == printed


def test_page_lists_the_contracts_of_the_protocol(ghostd: Ghostd) -> None:
    """Each address of the table is a contract, and no other of that form is left out."""
    listed = [row[0].strip("`") for row in PAGE.rows("Calling the protocol") if "47" in row[0]]
    present = [
        address
        for number in range(256)
        if ghostd.call("eth_getCode", address := f"0x{'00' * 17}4743{number:02x}", "latest") != "0x"
    ]
    assert listed == present
