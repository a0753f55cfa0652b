"""What tests of a running node share: a development node for those that only need some node, a
chain where everything happened, and the document that judges answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.document import Document
from tests.node.process import Ghostd
from tests.node.whole_chain import WholeChain, make


@pytest.fixture(scope="session")
def ghostd() -> Iterator[Ghostd]:
    with Ghostd("--dev") as node:
        yield node


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> WholeChain:
    return make(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def document(fixture_archive: Callable[[str], Path]) -> Document:
    return Document(fixture_archive("openrpc.json"))
