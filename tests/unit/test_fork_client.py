"""Asking a remote node that errs in every way: the right answer, or an error with its host."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ghostchain.fork.client import RemoteClient, RemoteSettings
from ghostchain.fork.endpoints import check_url
from ghostchain.fork.pacing import PACED_NS, Pace
from ghostchain.primitives.errors import RemoteFailed, RemoteRefused
from tests.unit import fork_remote as faults
from tests.unit.fork_remote import FaultyRemote, RpcRefusal


def answer(method: str, params: list[Any]) -> Any:
    if method == "echo":
        return params
    raise RpcRefusal(-32601, f"the method {method} does not exist/is not available")


@pytest.fixture
def remote() -> Iterator[FaultyRemote]:
    with FaultyRemote(answer) as server:
        yield server


def client_of(remote: FaultyRemote, **settings: Any) -> RemoteClient:
    given = {"timeout_s": 3.0, "retries": 3, "backoff_s": 0.01} | settings
    client = RemoteClient(RemoteSettings(remote.url, **given))
    client.start()
    return client


@pytest.mark.parametrize(
    "fault",
    [
        faults.too_many,
        faults.unavailable,
        faults.not_json,
        faults.wrong_ids,
        faults.truncated,
        faults.hang_up,
        faults.rate_limited,
    ],
)
def test_a_fault_that_passes_costs_a_retry(remote: FaultyRemote, fault: faults.Fault) -> None:
    remote.faults = [fault, fault, None]
    client = client_of(remote)
    try:
        assert client.call("echo", [1, "two"]) == [1, "two"]
        assert client.counters.retries == 2
    finally:
        client.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.too_many, "HTTP status 429"),
        (faults.unavailable, "HTTP status 503"),
        (faults.not_json, "not JSON"),
        (faults.wrong_ids, "which was not asked"),
        (faults.truncated, "the connection broke"),
        (faults.hang_up, "the connection broke"),
        (faults.rate_limited, "request rate limited"),
    ],
)
def test_a_fault_that_stays_is_told_with_the_host_alone(
    remote: FaultyRemote, fault: faults.Fault, words: str
) -> None:
    remote.faults = [fault]
    url = remote.url.replace("http://", "http://user:secret@") + "/v3/key?token=hidden"
    settings = RemoteSettings(url, timeout_s=3.0, retries=2, backoff_s=0.01)
    client = RemoteClient(settings)
    client.start()
    try:
        with pytest.raises(RemoteFailed, match=words) as failure:
            client.call("echo", [])
        said = str(failure.value)
        assert settings.host in said
        assert not any(part in said for part in ("secret", "key", "hidden", "user"))
        assert remote.posts == 3
    finally:
        client.close()


def test_a_remote_that_says_nothing_fails_in_time_and_others_at_once(
    remote: FaultyRemote,
) -> None:
    remote.faults = [faults.silence]
    client = client_of(remote, timeout_s=0.9, retries=5)
    try:
        start = time.monotonic()
        with pytest.raises(RemoteFailed, match="nothing within"):
            client.call("echo", [1])
        assert time.monotonic() - start < 1.5
        start = time.monotonic()
        with pytest.raises(RemoteFailed, match="nothing within"):
            client.call("echo", [2])
        assert time.monotonic() - start < 0.2, "a node that is silent is left alone a while"
        remote.faults = []
        remote.released.set()
        time.sleep(1.1)
        assert client.call("echo", [3]) == [3]
    finally:
        client.close()


def test_a_refusal_is_not_retried(remote: FaultyRemote) -> None:
    client = client_of(remote)
    try:
        with pytest.raises(RemoteRefused, match="does not exist") as refusal:
            client.call("nothing", [])
        assert refusal.value.code == -32601
        assert remote.posts == 1
    finally:
        client.close()


def test_a_thousand_questions_travel_together(remote: FaultyRemote) -> None:
    """Ten thousand at once, a thousand of them different."""
    client = client_of(remote, timeout_s=20.0)
    try:
        futures = [client.ask("echo", [number % 1_000]) for number in range(10_000)]
        assert [one.result(20) for one in futures] == [[number % 1_000] for number in range(10_000)]
        assert remote.asked["echo"] < 5_000
        assert remote.posts <= remote.asked["echo"] // 20
    finally:
        client.close()


def test_equal_questions_are_asked_once(remote: FaultyRemote) -> None:
    remote.faults = [faults.slow(0.2), None]
    client = client_of(remote)
    try:
        futures = [client.ask("echo", ["same"]) for _ in range(50)]
        assert [one.result(5) for one in futures] == [["same"]] * 50
        assert remote.asked["echo"] == 1
    finally:
        client.close()


def test_a_remote_that_takes_no_batches_is_asked_one_by_one(remote: FaultyRemote) -> None:
    remote.faults = [faults.no_batches]
    client = client_of(remote, retries=5)
    try:
        futures = [client.ask("echo", [number]) for number in range(20)]
        assert [one.result(5) for one in futures] == [[number] for number in range(20)]
    finally:
        client.close()


def test_many_threads_wait_side_by_side(remote: FaultyRemote) -> None:
    """Eight slow answers take hardly longer than one."""
    remote.faults = [faults.slow(0.3)]
    client = client_of(remote)
    try:
        client.call("echo", ["warm"])
        found: list[Any] = []

        def job(number: int) -> None:
            time.sleep(0.02 * number)  # so that each travels alone
            found.append(client.call("echo", [number]))

        threads = [threading.Thread(target=job, args=(number,)) for number in range(6)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [[number] for number in range(6)]
        assert time.monotonic() - start < 1.2
    finally:
        client.close()


def test_user_and_headers_are_sent(remote: FaultyRemote) -> None:
    url = remote.url.replace("http://", "http://user:se%20cret@")
    client = RemoteClient(RemoteSettings(url, headers=(("X-Key", "abc"),)))
    client.start()
    try:
        client.call("echo", [])
        assert remote.seen_headers[0]["authorization"] == "Basic dXNlcjpzZSBjcmV0"
        assert remote.seen_headers[0]["X-Key"] == "abc"
    finally:
        client.close()


def test_closing_fails_what_waits(remote: FaultyRemote) -> None:
    remote.faults = [faults.silence]
    client = client_of(remote, timeout_s=30.0)
    asked = client.ask("echo", [1])
    time.sleep(0.1)
    start = time.monotonic()
    client.close()
    assert time.monotonic() - start < 2.0
    with pytest.raises(RemoteFailed, match="stops"):
        asked.result(1)


@pytest.mark.parametrize(
    "url", ["ftp://x", "ws://:1", "ipc://", "nonsense", "http://:80", "http://[", ""]
)
def test_urls_that_are_none_are_refused_unrepeated(url: str) -> None:
    with pytest.raises(ValueError, match="--fork-url") as refusal:
        check_url(url)
    assert not url or url not in str(refusal.value)


def test_pace_is_free_until_a_complaint_and_paced_after_it() -> None:
    second = 1_000_000_000
    pace = Pace()
    assert [pace.wait_ns(1_000, now_ns=0) for _ in range(3)] == [0, 0, 0]
    pace.on_complaint(2 * second, now_ns=0)
    assert pace.wait_ns(330, now_ns=0) >= 2 * second
    assert pace.wait_ns(330, now_ns=0) >= 3 * second
    assert pace.wait_ns(330, now_ns=PACED_NS + 1) == 0
    never = Pace(enabled=False)
    never.on_complaint(second, now_ns=0)
    assert never.wait_ns(10**9, now_ns=second) == 0
    always = Pace(units_per_second=100)
    assert always.wait_ns(100, now_ns=0) == 0
    assert always.wait_ns(100, now_ns=0) == second
