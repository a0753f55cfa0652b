"""The result of one conformance case, as both suites report it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaseResult:
    """name as in the file; fork (or network); reason says what differed, empty when passed."""

    name: str
    fork: str
    passed: bool
    reason: str = ""
