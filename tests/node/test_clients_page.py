"""The snippets of docs/clients.md, run as they stand against a running node."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node.clients import CLIENTS, compiled_token, modules_folder, require_modules, tool
from tests.node.process import Ghostd
from tests.node.test_clients import solc_executable

ROOT = CLIENTS.parents[1]
SECONDS_MAX = 120


def snippet(section: str) -> str:
    """The one code block of a section."""
    page = (ROOT / "docs" / "clients.md").read_text()
    text = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return str(block)


def run(node: Ghostd, folder: Path, section: str, *command: str, **environment: str) -> list[str]:
    """The lines that a section's snippet prints, as a file in folder, at this node's URL."""
    address = node.url.removeprefix("http://")
    file = folder / "snippet.cjs"
    file.write_text(snippet(section).replace("127.0.0.1:8545", address))
    finished = subprocess.run(
        [*command, str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "NODE_PATH": str(modules_folder())}
        | environment,
    )
    assert finished.returncode == 0, finished.stderr
    return (finished.stdout + finished.stderr).splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the compiled token."""
    (tmp_path / "token.json").write_text(json.dumps(compiled_token()))
    return tmp_path


def test_web3_snippet(ghostd: Ghostd, folder: Path) -> None:
    lines = run(ghostd, folder, "web3.py", sys.executable)
    assert lines[:5] == ["status 1", "gas 21000", "balance 7", "before 0", "event 7"]
    assert lines[5] == "execution reverted: no money"
    assert lines[6].startswith("nonce too low")


def test_ethers_snippet(ghostd: Ghostd, folder: Path) -> None:
    require_modules("ethers")
    assert run(ghostd, folder, "ethers v6", "node") == [
        "status 1",
        "event 7n",
        "balance 7n",
        "CALL_EXCEPTION no money",
        "NONCE_EXPIRED",
        "heard 3n",
    ]


def test_viem_snippet(ghostd: Ghostd, folder: Path) -> None:
    require_modules("viem")
    lines = run(ghostd, folder, "viem", "node")
    assert lines[:3] == ["success", "balance 7n", "heard 7n"]
    assert "no money" in "\n".join(lines[3:])


def test_viem_with_fees_in_tokens(ghostd: Ghostd, tmp_path: Path) -> None:
    """The fee takes no GCC."""
    require_modules("viem")
    lines = run(ghostd, tmp_path, "viem with fees in tokens", "node")
    assert lines == ["success cip64 36000n", "GCC 5n"]


def test_foundry_snippet(ghostd: Ghostd, tmp_path: Path) -> None:
    tools = [str(Path(tool(name)).parent) for name in ("cast", "forge")]
    require_modules("solc")
    lines = run(
        ghostd,
        tmp_path,
        "Foundry",
        *("bash", "-eu"),
        PATH=os.pathsep.join([*tools, os.environ["PATH"]]),
        FOUNDRY_SOLC=str(solc_executable(tmp_path)),
    )
    shown = "\n".join(lines)
    assert lines[0] == "31337"
    assert "5" in lines, shown
    assert "nothing to add" in shown
    assert "pending" in shown


def test_services_snippet(ghostd: Ghostd, tmp_path: Path) -> None:
    lines = run(ghostd, tmp_path, "Python services", sys.executable)
    assert lines[0] == "31337"
    assert lines[2].startswith("-32602")
