"""What all tests share: where the official vectors are, and how much chance is spent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "ghostchain",
    max_examples=int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "60")),
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ghostchain")


def fixtures_folder() -> Path:
    """GHOSTCHAIN_FIXTURES, or ../shared/fixtures beside the checkout."""
    return Path(os.environ.get("GHOSTCHAIN_FIXTURES") or ROOT.parent / "shared" / "fixtures")


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return fixtures_folder()


@pytest.fixture(scope="session")
def fixture_archive(fixtures: Path) -> Callable[[str], Path]:
    """A function from an archive's name to its path; skips with that name when it is absent."""

    def find(name: str) -> Path:
        path = fixtures / name
        if not path.exists():
            pytest.skip(f"fixture set {name} is not here ({fixtures}; set GHOSTCHAIN_FIXTURES)")
        return path

    return find


@pytest.fixture(scope="session")
def openrpc(fixture_archive: Callable[[str], Path]) -> dict[str, Any]:
    """The document of execution-apis, as it is."""
    document: dict[str, Any] = json.loads(fixture_archive("openrpc.json").read_text())
    return document
