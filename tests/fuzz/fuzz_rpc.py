"""The JSON-RPC dispatcher over a chain in memory, fed with bytes: nothing raises, every answer is
JSON-RPC, and none is an internal error. See `harness.py`."""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path

import orjson

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import Limits
from ghostchain.rpc.services import make_services
from ghostchain.rpc.workers import Workers
from tests.unit.memory_backend import MemoryBackend

ALICE = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1"
SEEDS = [
    b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
    b'[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"},{"jsonrpc":"2.0","method":"x"}]',
    b'{"jsonrpc":"2.0","id":"a","method":"eth_call","params":[{"to":"%b","data":"0x"},"latest"]}'
    % ALICE.encode(),
    b'{"jsonrpc":"2.0","id":2,"method":"eth_getLogs","params":[{"fromBlock":"0x0","topics":[]}]}',
    b'{"jsonrpc":"2.0","id":3,"method":"eth_getBlockByNumber","params":["0x0",true]}',
    b'{"jsonrpc":"2.0","id":4,"method":"eth_sendRawTransaction","params":["0x02c0"]}',
    b'{"jsonrpc":"2.0","id":5,"method":"eth_feeHistory","params":["0x5","latest",[1,2]]}',
    b'{"jsonrpc":"2.0","id":6,"method":"eth_getProof","params":["%b",["0x0"],"latest"]}'
    % ALICE.encode(),
    b'{"jsonrpc":"2.0","id":7,"method":"eth_estimateGas","params":[{"from":"%b","gas":"0x1"}]}'
    % ALICE.encode(),
    b'{"jsonrpc":"2.0","id":8,"method":"eth_signTypedData_v4","params":["%b",{"types":{}}]}'
    % ALICE.encode(),
]


def make_dispatcher() -> Dispatcher:
    """A dispatcher over a fresh chain; stop its workers afterwards."""
    options = RpcOptions()
    workers = Workers(threads=1, queue_max=64, timeout_s=5.0)
    services = make_services(MemoryBackend(), options, workers)
    limits = Limits(body_bytes_max=100_000, batch_items_max=50)
    return Dispatcher(services, METHODS, workers, limits)


async def answer_body(dispatcher: Dispatcher, body: bytes) -> bytes:
    """The answer, checked: empty or JSON-RPC, and never an internal error."""
    answer = await dispatcher.answer(body)
    if answer:
        document = orjson.loads(answer)
        for response in document if isinstance(document, list) else [document]:
            assert response["jsonrpc"] == "2.0"
            assert ("result" in response) != ("error" in response)
            assert response.get("error", {}).get("code") != -32603, (body, response)
    return answer


@functools.cache
def shared_dispatcher() -> Dispatcher:
    return make_dispatcher()


def check(data: bytes) -> None:
    asyncio.run(answer_body(shared_dispatcher(), data))


if __name__ == "__main__":
    from harness import fuzz

    fuzz(check, SEEDS)
