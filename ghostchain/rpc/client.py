"""The other end: how services and tools ask a node, in one thread or on an event loop.

Both clients know `call` and `batch`; a node's error is raised as `RpcFailure`, a connection that
fails or an answer that is no JSON-RPC as `RpcUnreachable`. Both send transactions that other
libraries do not know:

    client = RpcClient("http://127.0.0.1:8545")
    signer = MlDsa65Signer.from_seed(seed)
    calls = [Call(token, data=approve), Call(shop, data=buy)]
    receipt = client.send_ghost(signer, calls, fee_token=SPIRIT, payer=sponsor)
"""

from __future__ import annotations

import itertools
import urllib.error
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from ghostchain.crypto.signing import Signer
from ghostchain.primitives.transaction import Call
from ghostchain.primitives.types import Address
from ghostchain.rpc.render import Json
from ghostchain.rpc.sending import (
    DEFAULT_TERMS,
    Request,
    Steps,
    Terms,
    fee_currency_steps,
    ghost_steps,
)

__all__ = [
    "AsyncRpcClient",
    "Outcome",
    "Request",
    "RpcClient",
    "RpcFailure",
    "RpcUnreachable",
    "Terms",
]

HEADERS = {"Content-Type": "application/json"}
ANSWER_BYTES_MAX = 256 * 1024 * 1024


class RpcFailure(Exception):
    """The node's answer is an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message
        self.data = data


class RpcUnreachable(Exception):
    """No node answered, or what answered is none."""


Outcome = Any | RpcFailure


def encode_requests(requests: Sequence[Request], first_id: int) -> bytes:
    return orjson.dumps(
        [
            {"jsonrpc": "2.0", "id": first_id + index, "method": item.method, "params": item.params}
            for index, item in enumerate(requests)
        ]
    )


def decode_answers(body: bytes, count: int, first_id: int) -> list[Outcome]:
    """Results and failures in the order of the requests. Raises RpcUnreachable."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcUnreachable(f"the answer is not JSON: {body[:100]!r}") from None
    if isinstance(document, dict):
        # A batch that was refused as a whole.
        failure = outcome_of(document)
        if isinstance(failure, RpcFailure):
            raise failure
        document = [document]
    if not isinstance(document, list):
        raise RpcUnreachable("the answer is no JSON-RPC")
    by_id = {item.get("id"): item for item in document if isinstance(item, dict)}
    if any(first_id + index not in by_id for index in range(count)):
        raise RpcUnreachable("the answer lacks a response")
    return [outcome_of(by_id[first_id + index]) for index in range(count)]


def outcome_of(response: dict[str, Any]) -> Outcome:
    error = response.get("error")
    if isinstance(error, dict):
        code, message = error.get("code", 0), error.get("message", "")
        return RpcFailure(code, message, error.get("data"))
    return response.get("result")


def result_of(outcome: Outcome) -> Any:
    """The result. Raises RpcFailure."""
    if isinstance(outcome, RpcFailure):
        raise outcome
    return outcome


class RpcClient:
    """Blocking, over urllib; for scripts and tools. Threads: any."""

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.ids = itertools.count(1)

    def call(self, method: str, *params: Any) -> Any:
        """The result. Raises RpcFailure, RpcUnreachable."""
        return result_of(self.batch([Request(method, params)])[0])

    def batch(self, requests: Sequence[Request]) -> list[Outcome]:
        """An outcome for each request, in order; failures are returned, not raised.

        Raises RpcUnreachable, and RpcFailure when the batch was refused as a whole.
        """
        first_id = next(self.ids)
        self.ids = itertools.count(first_id + len(requests))
        request = urllib.request.Request(
            self.url, data=encode_requests(requests, first_id), headers=HEADERS
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                body = response.read(ANSWER_BYTES_MAX)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read(ANSWER_BYTES_MAX)
        except OSError as error:
            raise RpcUnreachable(f"{self.url}: {error}") from error
        return decode_answers(body, len(requests), first_id)

    def send_fee_currency(
        self,
        private_key: bytes,
        call: Call,
        fee_currency: Address | None,
        *,
        terms: Terms = DEFAULT_TERMS,
    ) -> Json:
        """The receipt of a transaction of type 0x7b whose fee is paid in fee_currency.

        Raises RpcFailure, with the reason where it is refused; RpcUnreachable.
        """
        return self._drive(fee_currency_steps(private_key, call, fee_currency, terms))

    def send_ghost(
        self,
        signer: Signer,
        calls: Sequence[Call],
        *,
        fee_token: Address | None = None,
        payer: Signer | None = None,
        terms: Terms = DEFAULT_TERMS,
    ) -> Json:
        """The receipt of a GhostTx: all the calls or none, the fee paid in fee_token (None: GCC) by
        payer (None: the signer).

        Raises RpcFailure, with the reason where it is refused; RpcUnreachable.
        """
        return self._drive(ghost_steps(signer, calls, fee_token, payer, terms))

    def _drive(self, steps: Steps) -> Json:
        try:
            requests = next(steps)
            while True:
                requests = steps.send([result_of(item) for item in self.batch(requests)])
        except StopIteration as end:
            receipt: Json = end.value
            return receipt


class AsyncRpcClient:
    """On an event loop, over one kept-alive connection pool. Use as a context manager."""

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self.url = url
        self.timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.session: aiohttp.ClientSession | None = None
        self.ids = itertools.count(1)

    async def __aenter__(self) -> AsyncRpcClient:
        self.session = aiohttp.ClientSession(timeout=self.timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.session is not None:
            await self.session.close()

    async def call(self, method: str, *params: Any) -> Any:
        """The result. Raises RpcFailure, RpcUnreachable."""
        return result_of((await self.batch([Request(method, params)]))[0])

    async def batch(self, requests: Sequence[Request]) -> list[Outcome]:
        """As RpcClient.batch."""
        assert self.session is not None, "use the client as a context manager"
        first_id = next(self.ids)
        self.ids = itertools.count(first_id + len(requests))
        body = encode_requests(requests, first_id)
        try:
            async with self.session.post(self.url, data=body, headers=HEADERS) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RpcUnreachable(f"{self.url}: {error}") from error
        return decode_answers(answer, len(requests), first_id)

    async def send_fee_currency(
        self,
        private_key: bytes,
        call: Call,
        fee_currency: Address | None,
        *,
        terms: Terms = DEFAULT_TERMS,
    ) -> Json:
        """As RpcClient.send_fee_currency."""
        return await self._drive(fee_currency_steps(private_key, call, fee_currency, terms))

    async def send_ghost(
        self,
        signer: Signer,
        calls: Sequence[Call],
        *,
        fee_token: Address | None = None,
        payer: Signer | None = None,
        terms: Terms = DEFAULT_TERMS,
    ) -> Json:
        """As RpcClient.send_ghost."""
        return await self._drive(ghost_steps(signer, calls, fee_token, payer, terms))

    async def _drive(self, steps: Steps) -> Json:
        try:
            requests = next(steps)
            while True:
                requests = steps.send([result_of(item) for item in await self.batch(requests)])
        except StopIteration as end:
            receipt: Json = end.value
            return receipt
