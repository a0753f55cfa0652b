"""The console blocks of docs/development.md, run as they stand against one fresh node."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.node.clients import CLIENTS, tool
from tests.node.process import Ghostd

ROOT = CLIENTS.parents[1]


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the page and the lines that it prints."""
    page = (ROOT / "docs" / "development.md").read_text()
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_the_page_tells_what_happens(tmp_path: Path) -> None:
    cast = tool("cast")
    (tmp_path / "cast").symlink_to(cast)
    with Ghostd("--dev") as node:
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "ETH_RPC_URL": node.url,
        }
        for command, lines in steps():
            finished = subprocess.run(
                ["bash", "-ec", command],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=environment,
            )
            assert finished.returncode == 0, f"{command}: {finished.stderr}"
            printed = [re.sub(r" \[.*\]$", "", line) for line in finished.stdout.splitlines()]
            assert printed == lines, command


def test_the_page_has_steps() -> None:
    assert len(steps()) > 30
