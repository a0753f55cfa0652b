"""What of docker/ can be held without an engine: sources that exist and reach the build, commands
that ghostd has, measures that it takes, manifests that Kubernetes accepts. Where an engine runs,
the network is brought up for real."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ghostchain.node.cli import cli, run
from ghostchain.node.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text())
KUBERNETES = "1.33"


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


def parse(arguments: list[str]) -> None:
    """The command line holds. Raises: click.UsageError."""
    group: Any = cli
    while (command := group.get_command(None, arguments[0])) is not None:
        name, *arguments = arguments
        if not hasattr(command, "get_command"):
            command.make_context(name, arguments)
            return
        group = command
    raise AssertionError(f"no command {arguments}")


def test_services_run_commands_that_exist() -> None:
    commands = [s["command"] for s in COMPOSE["services"].values() if "command" in s]
    assert len(commands) == 6
    for command in commands:
        parse(command)


def test_prometheus_asks_every_node() -> None:
    document = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    asked = {target for config in job["static_configs"] for target in config["targets"]}
    assert asked == {f"{name}:9545" for name in COMPOSE["services"] if name.startswith("node-")}


def test_dashboard_shows_what_is_measured() -> None:
    """Every name in a query is one that a node gives."""
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "ghostchain.json").read_text())
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", ())]
    asked = {name for query in queries for name in re.findall(r"ghost_\w+", query)}
    given = set(re.findall(r"^# TYPE (\w+) ", Metrics().exposition().decode(), re.MULTILINE))
    parts = {name.removesuffix("_bucket") for name in asked}
    assert len(queries) > 20
    assert parts <= given, parts - given


def test_kubernetes_takes_the_manifest() -> None:
    """Each object holds to its schema, strictly; the pods run commands that exist."""
    objects = list(yaml.safe_load_all((DOCKER / "k8s" / "ghostchain.yaml").read_text()))
    for document in objects:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    (pods,) = [each["spec"]["template"] for each in objects if each["kind"] == "StatefulSet"]
    (container,) = pods["spec"]["containers"]
    parse(container["args"])


def compose() -> list[str]:
    """The command of compose, new or old. Skips when there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("docker compose is not installed")


def test_compose_reads_its_file() -> None:
    command = [*compose(), "-f", str(DOCKER / "compose.yml"), "config"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


NODE_SERVICES = [name for name in COMPOSE["services"] if name.startswith("node-")]
BASE = os.environ.get("GHOSTCHAIN_BASE", "debian:bookworm-slim")


def engine() -> None:
    """Skips where no engine runs, or it has no base image."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    asked = subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip(f"no engine, or it has no {BASE}: {asked.stderr.decode().strip()}")


def answer(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def eventually(question: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if question():
                return
        except (OSError, ValueError, KeyError):
            pass
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.5)


@pytest.mark.timeout(1_800)
def test_network_of_containers_finalises() -> None:
    """All nodes come up and ready, the chain grows, Prometheus sees five nodes of one height."""
    engine()
    environment = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": "ghostchain-test",
        "GHOSTCHAIN_PORT": "18545",
        "PROMETHEUS_PORT": "19090",
    }
    command = [*compose(), "-f", str(DOCKER / "compose.yml")]

    def do(*arguments: str) -> None:
        subprocess.run([*command, *arguments], check=True, env=environment, timeout=1_200)

    height_body = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
    try:
        do("up", "--build", "--detach", "genesis", *NODE_SERVICES, "prometheus")
        eventually(
            lambda: int(answer("http://127.0.0.1:18545", height_body)["result"], 16) >= 5, 180
        )

        def measured() -> bool:
            url = "http://127.0.0.1:19090/api/v1/query?query=ghost_height"
            found = answer(url)["data"]["result"]
            heights = [int(each["value"][1]) for each in found]
            return len(heights) == len(NODE_SERVICES) and max(heights) - min(heights) <= 3 < min(
                heights
            )

        eventually(measured, 60)
    finally:
        do("down", "--volumes")
