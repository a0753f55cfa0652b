"""A remote node for tests of forks: answers out of dictionaries, on loopback, and errs as told."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answerer = Callable[[str, list[Any]], Any]
# (handler, body of the request, body that would be right) -> whether it has answered itself.
Fault = Callable[["Handler", Any, bytes], bool]


class RpcRefusal(Exception):
    """A JSON-RPC error: code, message."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyRemote

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        remote = self.server
        items = body if isinstance(body, list) else [body]
        with remote.lock:
            remote.posts += 1
            remote.asked.update(item["method"] for item in items)
            remote.bodies.append(body)
            remote.seen_headers.append(dict(self.headers))
        answers = [remote.answer_to(item) for item in items]
        right = json.dumps(answers if isinstance(body, list) else answers[0]).encode()
        fault = remote.next_fault()
        if fault is None or not fault(self, body, right):
            self.reply(200, right)

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked may have left
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        return


class FaultyRemote(ThreadingHTTPServer):
    """Serves until closed. faults: one for each request, the last one for ever."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answerer: Answerer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answerer = answerer
        self.lock = threading.Lock()
        self.posts = 0
        self.asked: Counter[str] = Counter()
        self.bodies: list[Any] = []
        self.seen_headers: list[dict[str, str]] = []
        self.faults: list[Fault | None] = []
        self.released = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self) -> Fault | None:
        with self.lock:
            if not self.faults:
                return None
            return self.faults.pop(0) if len(self.faults) > 1 else self.faults[0]

    def answer_to(self, item: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": item["id"]}
        try:
            answer["result"] = self.answerer(item["method"], item.get("params", []))
        except RpcRefusal as refusal:
            code, message = refusal.args
            answer["error"] = {"code": code, "message": message}
        return answer

    def __enter__(self) -> FaultyRemote:
        return self

    def __exit__(self, *exception: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


# ---- faults ----


def too_many(handler: Handler, body: Any, right: bytes) -> bool:
    handler.reply(429, b"slow down")
    return True


def unavailable(handler: Handler, body: Any, right: bytes) -> bool:
    handler.reply(503, b"")
    return True


def not_json(handler: Handler, body: Any, right: bytes) -> bool:
    handler.reply(200, b"<html>hello</html>")
    return True


def wrong_ids(handler: Handler, body: Any, right: bytes) -> bool:
    answer = json.loads(right)
    for item in answer if isinstance(answer, list) else [answer]:
        item["id"] += 1_000
    handler.reply(200, json.dumps(answer).encode())
    return True


def truncated(handler: Handler, body: Any, right: bytes) -> bool:
    handler.send_response(200)
    handler.send_header("content-length", str(len(right) + 10))
    handler.end_headers()
    handler.wfile.write(right)
    handler.close_connection = True
    return True


def hang_up(handler: Handler, body: Any, right: bytes) -> bool:
    handler.close_connection = True
    return True


def silence(handler: Handler, body: Any, right: bytes) -> bool:
    """Nothing, until the test is over."""
    handler.server.released.wait(60)
    handler.close_connection = True
    return True


def slow(seconds: float) -> Fault:
    def wait(handler: Handler, body: Any, right: bytes) -> bool:
        time.sleep(seconds)
        return False

    return wait


def no_batches(handler: Handler, body: Any, right: bytes) -> bool:
    if not isinstance(body, list):
        return False
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
    handler.reply(200, json.dumps(error).encode())
    return True


def rate_limited(handler: Handler, body: Any, right: bytes) -> bool:
    items = body if isinstance(body, list) else [body]
    error = {"code": -32005, "message": "daily request count exceeded, request rate limited"}
    answers = [{"jsonrpc": "2.0", "id": item["id"], "error": error} for item in items]
    answer = answers if isinstance(body, list) else answers[0]
    handler.reply(200, json.dumps(answer).encode())
    return True
