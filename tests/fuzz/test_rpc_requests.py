"""Some thousands of requests to a running node; `rpc_requests.py` runs more of them.

GHOSTCHAIN_FUZZ_SEED chooses another seed, GHOSTCHAIN_FUZZ_CASES how many calls.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.fuzz.rpc_requests import Broken, check_answer, fuzz

SEED = int(os.environ.get("GHOSTCHAIN_FUZZ_SEED", "44678"))
CASES = int(os.environ.get("GHOSTCHAIN_FUZZ_CASES", "2000"))


def test_no_request_breaks_the_node() -> None:
    report, faults = fuzz(SEED, CASES)
    print(f"seed {SEED}: {report.calls} calls, {dict(report.outcomes)}")
    assert not report.failures, "\n".join(report.failures[:20])
    assert not faults, "\n".join(faults)
    assert report.calls >= CASES * 9 // 10
    results = report.outcomes["result"]
    assert results > report.calls // 5, "most requests are refused at the door"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>", "not JSON"),
        (b'{"jsonrpc":"2.0","id":1}', "no JSON-RPC answer"),
        (b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}', "no JSON-RPC answer"),
        (
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}',
            "internal",
        ),
        (b'{"jsonrpc":"2.0","id":2,"result":1}', "another id"),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":3}}', "no JSON-RPC error"),
    ],
)
def test_broken_answers_are_found(answer: bytes, why: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x"}).encode()
    with pytest.raises(Broken, match=why):
        check_answer(body, answer)
