"""Pages of docs/ whose commands are run: the first block of the page, then one section's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.node.clients import modules_folder, tool
from tests.node.process import Ghostd
from tests.wasm.build import ROOT

SECONDS_MAX = 400


class Page:
    """A page by its name in docs/."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / "docs" / name).read_text()

    def section(self, title: str) -> str:
        """The text below a heading, up to the next; "" for what is above the first."""
        text = self.text.partition(f"\n## {title}\n")[2] if title else self.text
        return text.partition("\n## ")[0]

    def commands(self, title: str) -> str:
        """The one block of commands of a section."""
        (block,) = re.findall(r"^```sh\n(.*?)^```", self.section(title), re.DOTALL | re.MULTILINE)
        return str(block)

    def rows(self, title: str) -> list[list[str]]:
        """The cells of all table rows of a section."""
        lines = [line for line in self.section(title).splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    def run(self, node: Ghostd, folder: Path, title: str, **environment: str) -> list[str]:
        """The lines that a section's commands print, in a folder, at this node's URL."""
        script = self.commands("") + self.commands(title)
        script = script.replace("~/ghostchain", f"'{ROOT}'")
        script = script.replace("http://127.0.0.1:8545", node.url)
        programs = folder / "programs"
        programs.mkdir()
        command = f"'{sys.executable}' -m ghostchain.node.cli"
        shim = f"#!/bin/sh\nPYTHONPATH='{ROOT}' exec {command} \"$@\"\n"
        (programs / "ghostd").write_text(shim)
        (programs / "ghostd").chmod(0o755)
        places = [str(programs), str(Path(sys.executable).parent)]
        if re.search(r"\b(cast|forge) ", script):
            places += [str(Path(tool(name)).parent) for name in ("cast", "forge")]
        if modules_folder().is_dir():
            (folder / "node_modules").symlink_to(modules_folder())
        finished = subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
            env=os.environ | {"PATH": os.pathsep.join([*places, os.environ["PATH"]])} | environment,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout.splitlines()
