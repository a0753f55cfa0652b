"""One development node for the tests that need a running one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web3 import Web3

from tests.node.process import Ghostd


@pytest.fixture(scope="session")
def ghostd() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        yield node


@pytest.fixture(scope="session")
def web3(ghostd: Ghostd) -> Web3:
    return Web3(Web3.HTTPProvider(ghostd.url))
