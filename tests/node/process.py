"""A `ghostd` of one's own: started on a free port, asked over HTTP, stopped or killed."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import unittest.mock
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any

import orjson

from ghostchain.node import cli
from tests.node.document import IS_ASKED_FOR, Judge

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
JUDGE = Judge() if IS_ASKED_FOR else None


class RpcFailure(Exception):
    """The node answered with a JSON-RPC error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message", "")
        self.data = error.get("data")


class Ghostd:
    """A running node. Use as a context manager; leaving stops it with SIGTERM."""

    def __init__(self, *arguments: str, data_dir: Path | None = None) -> None:
        command = [sys.executable, "-m", "ghostchain.node.cli", "run"]
        command += ["--rpc-port", "0", "--metrics-port", "0", "--p2p-port", "0"]
        if data_dir is not None:
            command += ["--data-dir", str(data_dir)]
        command += ["--log-json", *arguments]
        self.events: deque[dict[str, Any]] = deque(maxlen=10_000)
        # Of all that was logged, however long the node runs; `events` forgets.
        self.faults: deque[dict[str, Any]] = deque(maxlen=1_000)
        self.url = ""
        self.metrics_url = ""
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        self._reader = threading.Thread(target=self._read_logs, daemon=True)
        self._reader.start()
        self._await_start()

    def _read_logs(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"message": line.rstrip(), "level": "raw"}
            self.events.append(event)
            if event.get("level") in ("error", "raw"):
                self.faults.append(event)
            if event.get("message") == "json-rpc ready":
                self.metrics_url = event["metrics"]
                self.url = event["url"]
                self._ready.set()
        self._ready.set()

    def _await_start(self) -> None:
        if not self._ready.wait(START_SECONDS_MAX) or not self.url:
            self.kill()
            raise AssertionError(f"ghostd did not start: {list(self.events)[-20:]}")

    def post(self, body: bytes) -> Any:
        """The decoded answer to a raw request body."""
        request = urllib.request.Request(
            self.url, data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.loads(response.read())
        if JUDGE is not None:
            with contextlib.suppress(orjson.JSONDecodeError):
                JUDGE.check(orjson.loads(body), answer)
        return answer

    def call(self, method: str, *parameters: Any) -> Any:
        """The result of one call. Raises RpcFailure for a JSON-RPC error."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = self.post(json.dumps(body).encode())
        if "error" in answer:
            raise RpcFailure(answer["error"])
        return answer["result"]

    def batch(self, calls: list[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        """The answers to one batch, in the order of the calls."""
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": parameters}
            for index, (method, parameters) in enumerate(calls)
        ]
        answers = self.post(json.dumps(body).encode())
        return sorted(answers, key=lambda answer: answer["id"])

    def wait_for_receipt(self, transaction_hash: str, seconds: float = 20.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            receipt = self.call("eth_getTransactionReceipt", transaction_hash)
            if receipt is not None:
                return receipt
            time.sleep(0.01)
        raise AssertionError(f"no receipt for {transaction_hash} in {seconds} s")

    def cpu_s(self) -> float:
        """Seconds of the processor that the node has taken so far, however busy the machine is."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL: whatever the node was doing, it does no more."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS_MAX)
        self._finish()

    def _finish(self) -> None:
        """All that the node logged is read and its pipe is closed."""
        self._reader.join(STOP_SECONDS_MAX)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._finish()
        return self.process.returncode

    def __enter__(self) -> Ghostd:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def invoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As run_ghostd, in this process, which saves starting one. Not for commands that run on."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    output, errors = io.StringIO(), io.StringIO()
    code = 0
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        unittest.mock.patch.object(sys, "argv", ["ghostd", *arguments]),
    ):
        root.handlers[:] = []
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


def run_ghostd(*arguments: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
    """One finished command of ghostd's, output captured."""
    return subprocess.run(
        [sys.executable, "-m", "ghostchain.node.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
