"""The line that stands below the logs of a terminal."""

from __future__ import annotations

import io
import logging

import pytest

from ghostchain.node import logs
from ghostchain.node.catching_up import duration, line_of
from ghostchain.node.logs import CLEAR_LINE, event
from ghostchain.sync.effects import Progress

logger = logging.getLogger("standing")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)


def shown(text: str) -> list[str]:
    """What a terminal shows in the end, line by line."""
    return [line.rpartition(CLEAR_LINE)[2] for line in text.split("\n")]


def test_line_stands_below_what_is_logged() -> None:
    stream = Terminal()
    logs.configure(json=False, level="info", stream=stream)
    logs.stand("half way")
    event(logger, logging.INFO, "sealed block", number=7)
    assert shown(stream.getvalue())[-1] == "half way"
    assert "sealed block" in shown(stream.getvalue())[0]
    logs.stand("nearly there")
    assert shown(stream.getvalue())[-1] == "nearly there"
    logs.stand("")
    event(logger, logging.INFO, "done")
    lines = shown(stream.getvalue())
    assert lines[-1] == ""
    assert len(lines) == 3
    assert "half way" not in "".join(lines)


@pytest.mark.parametrize("json", [False, True])
def test_files_and_machines_are_told_nothing(json: bool) -> None:
    stream = Terminal() if json else io.StringIO()
    logs.configure(json=json, level="info", stream=stream)
    logs.stand("half way")
    assert stream.getvalue() == ""


def test_long_lines_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that went over into the next row could not be taken back."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    logs.configure(json=False, level="info", stream=stream)
    logs.stand("x" * 100)
    assert shown(stream.getvalue())[-1] == "x" * 39


def test_progress_is_said_in_words() -> None:
    progress = Progress(
        height=1_500,
        target=3_000,
        blocks_per_s=512.4,
        transactions_per_s=51_240.0,
        bytes_per_s=1e6,
        eta_s=2.9,
        peers=4,
    )
    line = line_of(progress)
    assert "50.0%, block 1,500 of 3,000, 512 blocks/s, 51,240 tx/s, 3 s left, peers 4" in line
    assert [duration(seconds) for seconds in (0.2, 61, 7_320)] == ["0 s", "1 min 1 s", "2 h 2 min"]
