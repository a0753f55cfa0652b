"""What of docker/ can be held without an engine: sources that exist and reach the build, flags that
ghostd has, and a compose file that compose reads."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ghostchain.node.cli import run

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_build_copies_what_exists_and_is_not_ignored() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in shlex.split(line)[:-1]
    ]
    assert set(sources) == allowed
    for source in sources:
        assert (ROOT / source).exists(), source


def test_image_runs_with_flags_that_exist() -> None:
    """Parsed by the command itself, which is not run."""
    (flags,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    context = run.make_context("run", list(ast.literal_eval(flags)))
    assert context.params["rpc_host"] == "0.0.0.0"


def compose() -> list[str]:
    """The command of compose, new or old. Skips when there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("docker compose is not installed")


def test_compose_reads_its_file() -> None:
    command = [*compose(), "-f", str(ROOT / "docker" / "compose.yml"), "config"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    flags = re.findall(r"^\s+- (--\S+)$", finished.stdout, re.MULTILINE)
    assert run.make_context("run", flags).params["rpc_allowed_host"] == ("localhost", "ghostd")
