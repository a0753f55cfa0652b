"""A running `ghostd --dev` with every type of transaction, driven by clients that are strict about
the type of each field: go-ethereum's (tests/clients/geth) and web3j (tests/clients/web3j).

They take minutes to build, so they are built by hand, `make typed-clients`, and skipped otherwise.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.typed_clients import require_passes, whole_node

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Path]:
    """Each client changes the chain, so each has its own."""
    with whole_node(tmp_path) as path:
        yield path


def built(name: str) -> Path:
    """In GHOSTCHAIN_TYPED_CLIENTS, or build/clients."""
    folder = Path(os.environ.get("GHOSTCHAIN_TYPED_CLIENTS") or ROOT / "build" / "clients")
    if not (folder / name).exists():
        pytest.skip(f"the client {name} is not in {folder}; run `make typed-clients`")
    return folder / name


def test_go_ethereum_finds_all_it_needs(request: pytest.FixtureRequest) -> None:
    """ethclient and gethclient with each of their methods, subscriptions over WebSocket and the
    operator's socket, contracts bound as abigen binds them, roots and proofs recomputed."""
    client = built("geth")
    require_passes([client, request.getfixturevalue("facts")], checks=41)


def test_web3j_finds_all_it_needs(request: pytest.FixtureRequest) -> None:
    """Every method of its Ethereum interface that Ethereum still has, Parity's traces, contracts as
    its generator wraps them, transaction managers, polling, subscriptions, the unix socket."""
    client = built("web3j")
    # The compiler's own, since older ones do not run what it made.
    java = (client / "java").read_text().strip()
    if shutil.which(java) is None:
        pytest.skip(f"{java} is not installed")
    paths = f"{client}/*{os.pathsep}{client}/classes"
    require_passes([java, "-cp", paths, "Checks", request.getfixturevalue("facts")], checks=23)
