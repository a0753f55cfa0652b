"""What a client asked for takes no more of the processor once the client has left, whatever it was;
and gas, which bounds every call, has a cap."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.node.process import Ghostd, RpcFailure

ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
SPINNER = "0x" + "75" * 20
SPINS = "0x5b600056"  # JUMPDEST PUSH1 0 JUMP, until the gas is gone
BLOCKS = 40
WHILE_THERE_S, AFTER_MAX_S, QUIET_S = 0.2, 0.8, 1.5


@pytest.fixture(scope="module")
def node() -> Iterator[Ghostd]:
    """Many blocks whose transactions take long to run again."""
    with Ghostd("--dev") as running:
        running.call("anvil_setCode", SPINNER, SPINS)
        running.call("evm_setAutomine", False)
        for _ in range(BLOCKS):
            for _ in range(2):
                spin = {"from": ALICE, "to": SPINNER, "gas": hex(14_000_000)}
                running.call("eth_sendTransaction", spin)
            running.call("evm_mine")
        yield running


def asked(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


SPIN = {"to": SPINNER, "gas": hex(50_000_000)}
QUIET = {"tracer": "callTracer"}
CALLS = [[SPIN, ["trace"]]] * 200
WORK: dict[str, Any] = {
    "a batch of calls": [asked("eth_call", SPIN, "latest")] * 400,
    "estimates": [asked("eth_estimateGas", SPIN | {"gas": hex(16_000_000)})] * 400,
    "blocks run again": [asked("trace_filter", {"fromBlock": "0x1", "toBlock": hex(BLOCKS)})] * 50,
    "traces of blocks": [asked("debug_traceBlockByNumber", hex(BLOCKS))] * 100,
    "a search": [asked("ots_searchTransactionsBefore", "0x" + "76" * 20, 0, 25)] * 20,
    "calls on calls": asked("trace_callMany", CALLS),
    "bundles traced": asked("debug_traceCallMany", [{"transactions": [SPIN] * 200}], None, QUIET),
}


def wait_until_spent(node: Ghostd, since: float) -> None:
    """Until the work has taken some of the processor, however busy the machine is."""
    deadline = time.monotonic() + 30
    while node.cpu_s() - since < WHILE_THERE_S:
        assert time.monotonic() < deadline, "nothing that could be measured was asked"
        time.sleep(0.01)


def leave_http(node: Ghostd, body: bytes, since: float) -> None:
    host, _, port = node.url.removeprefix("http://").rpartition(":")
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        wait_until_spent(node, since)


def leave_websocket(node: Ghostd, body: bytes, since: float) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            client = await session.ws_connect(node.url)
            await client.send_str(body.decode())
            await asyncio.to_thread(wait_until_spent, node, since)
            await client.close()

    asyncio.run(run())


def spent_until_quiet(node: Ghostd, since: float) -> float:
    """What the processor gave from then on, until for a second it gave next to nothing."""
    seen, quiet_since = node.cpu_s(), time.monotonic()
    deadline = time.monotonic() + 30
    while time.monotonic() - quiet_since < QUIET_S:
        assert time.monotonic() < deadline, f"still busy after {seen - since:.2f} s"
        time.sleep(0.05)
        now = node.cpu_s()
        if now - seen > 0.02:
            seen, quiet_since = now, time.monotonic()
    return node.cpu_s() - since


@pytest.mark.parametrize("leave", [leave_http, leave_websocket], ids=["http", "websocket"])
@pytest.mark.parametrize("what", WORK)
def test_work_ends_when_the_client_leaves(node: Ghostd, what: str, leave: Any) -> None:
    """Each would take seconds of the processor."""
    before = node.cpu_s()
    leave(node, json.dumps(WORK[what]).encode(), before)
    left = node.cpu_s()
    after = spent_until_quiet(node, left)
    print(f"{what}: {left - before:.2f} s while the client was there, {after:.2f} s after it")
    assert after < AFTER_MAX_S
    assert node.call("eth_blockNumber")


def test_gas_of_a_call_is_capped(node: Ghostd) -> None:
    """Whatever it names: an endless loop ends in no time, by the gas of the cap."""
    for gas in (None, hex(2**63), hex(2**64 - 1)):
        start = time.monotonic()
        with pytest.raises(RpcFailure, match="out of gas") as caught:
            node.call("eth_call", {"to": SPINNER} | ({} if gas is None else {"gas": gas}))
        assert caught.value.code == -32000
        assert time.monotonic() - start < 5
    reader = "0x" + "77" * 20
    node.call("anvil_setCode", reader, "0x5a5f5260205ff3")  # GAS
    seen = int(node.call("eth_call", {"to": reader, "gas": hex(2**62)}), 16)
    assert 49_000_000 < seen < 50_000_000
