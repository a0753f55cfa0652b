"""One development node for all tests that only need some running node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.process import Ghostd


@pytest.fixture(scope="session")
def ghostd() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        yield node
