"""The remote chain's blocks, transactions, receipts and logs up to the block of the fork, passed on
as the remote gives them. Implements `rpc.remote.RemoteChain`.

What is there never changes, and is kept on disk with the state. That nothing is there may change
(a node that is still indexing), so it is kept in memory for a moment only, which is what lets the
event loop, which cannot wait, ask twice.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

import orjson

from ghostchain.chain.logs import LocatedLog
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.fork import answers
from ghostchain.fork.answers import Malformed
from ghostchain.fork.cache import ForkCache
from ghostchain.fork.client import RemoteClient, shared_future
from ghostchain.fork.state import RemoteState
from ghostchain.primitives.errors import RemoteFailed, RemoteNeeded
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32

Check = Callable[[Any], bool]

# Answers kept in memory, by bytes, and for how long one that may change.
BYTES_KEPT = 32 << 20
PASSING_S = 1.0
NULL = b"null"
# Larger answers are not kept on disk (a trace may be a hundred megabytes).
ANSWER_BYTES_MAX = 4 << 20


class RemoteHistory:
    """See the module."""

    def __init__(
        self, client: RemoteClient, cache: ForkCache, number: int, state: RemoteState
    ) -> None:
        """state: of the same fork; a thread that must not wait for it must not for this either."""
        self._client = client
        self._cache = cache
        self._state = state
        self._number = number
        self._lock = Lock()
        self._kept: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    @property
    def number(self) -> int:
        return self._number

    @property
    def timeout_s(self) -> float:
        return self._client.settings.timeout_s

    def ask(self, method: str, params: Sequence[Any], holds: Check | None = None) -> Any:
        name = keccak256(orjson.dumps([method, params]))
        found = self._find(name)
        if found is None:
            answer = self._asked(method, params, name, holds)
            if self._state.must_not_wait and not answer.done():
                raise RemoteNeeded(answer)
            found = self._client.wait(answer, method)
        return None if found == NULL else orjson.Fragment(found)

    def impatient(self) -> AbstractContextManager[None]:
        return self._state.impatient()

    def forwarded(self, method: str, params: Sequence[Any]) -> Any:
        self.ask(method, params)
        return orjson.loads(self._body(method, params))

    def number_of(self, block_hash: bytes) -> int | None:
        params = [format_data(block_hash), False]
        found = self.ask("eth_getBlockByHash", params, self._is_ours)
        if found is None:
            return None
        body = self._find(keccak256(orjson.dumps(["eth_getBlockByHash", params])))
        return int(orjson.loads(body or NULL)["number"], 16)

    def _is_ours(self, block: Any) -> bool:
        number = block.get("number") if isinstance(block, dict) else None
        return isinstance(number, str) and int(number, 16) <= self._number

    # ---- what is kept ----

    def _find(self, name: bytes) -> bytes | None:
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None and time.monotonic() < kept[1]:
                self._kept.move_to_end(name)
                return kept[0]
        found = self._cache.get("answers", name)
        if found is not None:
            self._keep(name, found, float("inf"))
        return found

    def _keep(self, name: bytes, body: bytes, until: float) -> None:
        with self._lock:
            before = self._kept.pop(name, None)
            self._bytes -= 0 if before is None else len(before[0])
            self._kept[name] = body, until
            self._bytes += len(body)
            while self._bytes > BYTES_KEPT and len(self._kept) > 1:
                _, (gone, _) = self._kept.popitem(last=False)
                self._bytes -= len(gone)

    def _asked(
        self, method: str, params: Sequence[Any], name: bytes, holds: Check | None
    ) -> Future[bytes]:
        made: Future[bytes] = shared_future()

        def arrived(answer: Future[Any]) -> None:
            failure = answer.exception()
            if failure is not None:
                made.set_exception(failure)
                return
            result = answer.result()
            try:
                is_here = result is not None and (holds is None or holds(result))
            except (ValueError, TypeError) as error:
                words = f"fork: {self._client.host} answered {method} with nonsense: {error}"
                made.set_exception(RemoteFailed(words))
                return
            body = orjson.dumps(result) if is_here else NULL
            lasting = is_here and len(body) <= ANSWER_BYTES_MAX
            self._keep(name, body, float("inf") if lasting else time.monotonic() + PASSING_S)
            if lasting:
                self._cache.put("answers", name, body)
            made.set_result(body)

        self._client.ask(method, params).add_done_callback(arrived)
        return made

    # ---- logs ----

    def logs(
        self, first: int, last: int, addresses: Iterable[bytes], topics: Sequence[Iterable[bytes]]
    ) -> Iterator[LocatedLog]:
        """As `Chain.logs`, of blocks up to the fork's. Raises: RemoteError."""
        wanted: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last)}
        if given := sorted(map(format_data, addresses)):
            wanted["address"] = given
        choices = [sorted(map(format_data, choice)) for choice in topics]
        if choices:
            wanted["topics"] = [choice or None for choice in choices]
        found = self.ask("eth_getLogs", [wanted])
        items = [] if found is None else orjson.loads(bytes(self._body("eth_getLogs", [wanted])))
        try:
            if not isinstance(items, list):
                raise Malformed("no array of logs")
            located = [self._located(item) for item in items]
        except Malformed as failure:
            words = f"fork: {self._client.host} answered with nonsense: {failure}"
            raise RemoteFailed(words) from None
        # Some say no time of a log's block; then the block does.
        for log, timestamp in located:
            if not first <= log.block_number <= last:
                raise RemoteFailed(f"fork: {self._client.host} gave a log that was not asked for")
            if timestamp is None:
                yield self._with_time(log)
            else:
                yield log

    def _body(self, method: str, params: Sequence[Any]) -> bytes:
        """What `ask` has just found."""
        return self._find(keccak256(orjson.dumps([method, params]))) or NULL

    def _located(self, item: Any) -> tuple[LocatedLog, int | None]:
        if not isinstance(item, dict) or not isinstance(item.get("topics"), list):
            raise Malformed("a log that is none")
        if len(item["topics"]) > 4:
            raise Malformed("a log with more than four topics")
        log = Log(
            Address(answers.data(item.get("address"), "a log's address", length=20)),
            tuple(answers.hash32(topic, "a topic") for topic in item["topics"]),
            answers.data(item.get("data"), "a log's data"),
        )
        given = item.get("blockTimestamp")
        timestamp = None if given is None else answers.quantity(given, "blockTimestamp", bits=64)
        located = LocatedLog(
            log=log,
            block_number=answers.quantity(item.get("blockNumber"), "blockNumber", bits=64),
            block_hash=answers.hash32(item.get("blockHash"), "blockHash"),
            block_timestamp=timestamp or 0,
            transaction_hash=Hash32(answers.hash32(item.get("transactionHash"), "a hash")),
            transaction_index=answers.quantity(item.get("transactionIndex"), "an index", bits=32),
            log_index=answers.quantity(item.get("logIndex"), "an index", bits=64),
        )
        return located, timestamp

    def _with_time(self, log: LocatedLog) -> LocatedLog:
        params = [hex(log.block_number), False]
        self.ask("eth_getBlockByNumber", params)
        block = orjson.loads(self._body("eth_getBlockByNumber", params))
        if not isinstance(block, dict):
            raise RemoteFailed(f"fork: {self._client.host} has no block {log.block_number}")
        timestamp = int(block["timestamp"], 16)
        return LocatedLog(
            log=log.log,
            block_number=log.block_number,
            block_hash=log.block_hash,
            block_timestamp=timestamp,
            transaction_hash=log.transaction_hash,
            transaction_index=log.transaction_index,
            log_index=log.log_index,
        )
