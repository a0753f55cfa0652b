"""The state of the remote chain after one block, as the executor asks for it.

An account is asked for as a whole (balance, nonce, code, in one batch), a slot alone; what comes is
kept in memory and on disk. Threads wait for what is on its way, equal questions are asked once.
A thread that runs an event loop must not wait: there RemoteNeeded is raised, which brings the
future to wait for.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.fork import answers
from ghostchain.fork.answers import Malformed
from ghostchain.fork.cache import ForkCache
from ghostchain.fork.client import RemoteClient, shared_future
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import (
    RemoteError,
    RemoteFailed,
    RemoteNeeded,
    RemoteRefused,
    UnknownCode,
)
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Hash32
from ghostchain.state.remote import REMOTE_ROOT, Missed

# Entries of accounts, slots and hashes kept in memory, about 200 bytes each; code by its bytes.
ENTRIES_MAX = 200_000
CODE_BYTES_MAX = 64 << 20
# Of what is taken for absent while one guesses; nothing can stand for code, or a block's hash.
ABSENT_TABLES = frozenset({"accounts", "slots"})
# A remote that answers with these never lists what a call touches.
UNKNOWN_METHOD_CODES = frozenset({-32600, -32601, -32604})
# How nodes say that a state is pruned, and that a block is none of their chain's.
PRUNED_WORDS = re.compile(
    r"missing trie node|state (is )?(not available|unavailable)|historical state|pruned|archive|"
    r"too old|distance to target block",
    re.IGNORECASE,
)
GONE_WORDS = re.compile(
    r"header not found|unknown block|block not found|not canonical|resource not found|"
    r"hash .{0,80}not (currently )?canonical",
    re.IGNORECASE,
)
# Of what it lists so much is believed.
LISTED_MAX = 4_096


class Recent:
    """A bounded dictionary for many threads: when it is full, its older half goes."""

    def __init__(self, size_max: int) -> None:
        self._entries: dict[bytes, bytes] = {}
        self._size = 0
        self._size_max = size_max
        self._lock = threading.Lock()

    def get(self, name: bytes) -> bytes | None:
        return self._entries.get(name)

    def put(self, name: bytes, value: bytes, size: int = 1) -> None:
        with self._lock:
            if name in self._entries:
                return
            if self._size + size > self._size_max:
                kept = list(self._entries.items())[len(self._entries) // 2 :]
                self._entries = dict(kept)
                self._size //= 2
            self._entries[name] = value
            self._size += size


class Manner(threading.local):
    """How a thread takes it that something is not here. missed: noted there, and taken for absent;
    is_impatient: RemoteNeeded. Neither: it waits, where it runs no event loop."""

    missed: Missed | None = None
    is_impatient = False


class RemoteState:
    """Implements `state.remote.RemoteView`."""

    def __init__(self, client: RemoteClient, cache: ForkCache, block: Any, *, number: int) -> None:
        """block: how the remote is told which block, a quantity or an object of EIP-1898."""
        self._client = client
        self._cache = cache
        self._block = block
        self.number = number
        self._recent = Recent(ENTRIES_MAX)
        self._codes = Recent(CODE_BYTES_MAX)
        # Where code that is in memory no more, and not on disk, can be had again: by its hash.
        self._owners = Recent(ENTRIES_MAX)
        self._lock = threading.Lock()
        self._coming: dict[bytes, Future[bytes]] = {}
        self._manner = Manner()
        self._gives_hints = True

    # ---- what the executor asks ----

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        """Raises: RemoteError, RemoteNeeded."""
        record = self._find("accounts", address, self._ask_account) or None
        if record is not None and record[72:] != EMPTY_CODE_HASH:
            self._owners.put(record[72:], address)
        return record

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        """Raises: RemoteError, RemoteNeeded."""
        return self._find("slots", address + key, self._ask_slot) or None

    def code(self, code_hash: bytes) -> bytes:
        """That of an account that was asked for before. Raises: RemoteError."""
        if code_hash == EMPTY_CODE_HASH:
            return b""
        found = self._codes.get(code_hash)
        if found is None:
            found = self._cache.get("codes", code_hash)
            if found is None or keccak256(found) != code_hash:
                found = self._find("codes", code_hash, self._ask_code)
            self._codes.put(code_hash, found, len(found))
        return found

    def block_hash(self, number: int) -> bytes | None:
        """That of an ancestor of the block, or of the block. Raises: RemoteError, RemoteNeeded."""
        if not 0 <= number <= self.number:
            return None
        return self._find("answers", b"hash" + number.to_bytes(8, "big"), self._ask_hash) or None

    def prefetch(
        self, addresses: Collection[bytes], slots: Collection[tuple[bytes, bytes]] = ()
    ) -> None:
        """All of it is here, or has failed and will be asked for again; asked for together.

        On a thread that must not wait: on its way.
        """
        waiting = []
        for address in addresses:
            if self._known("accounts", address) is None:
                waiting.append(self._coming_for("accounts", address, self._ask_account))
        for address, key in slots:
            if self._known("slots", address + key) is None:
                waiting.append(self._coming_for("slots", address + key, self._ask_slot))
        if not self.must_not_wait:
            for answer in waiting:
                answer.exception(self._client.settings.timeout_s + 5.0)

    # ---- for whoever must not wait ----

    @contextmanager
    def guessing(self, missed: Missed) -> Iterator[None]:
        before, self._manner.missed = self._manner.missed, missed
        try:
            yield
        finally:
            self._manner.missed = before

    @contextmanager
    def impatient(self) -> Iterator[None]:
        before, self._manner.is_impatient = self._manner.is_impatient, True
        try:
            yield
        finally:
            self._manner.is_impatient = before

    def fetched(self, missed: Missed) -> Future[None]:
        asked = [
            self._coming_for(table, name, self._asker(table))
            for table, name in missed
            if self._known(table, name) is None
        ]
        return all_of(asked)

    def wait_for(self, answer: Future[None]) -> None:
        if self.must_not_wait and not answer.done():
            raise RemoteNeeded(answer)
        answer.result()

    def _asker(self, table: str) -> Callable[[bytes], Future[bytes]]:
        return {
            "accounts": self._ask_account,
            "slots": self._ask_slot,
            "codes": self._ask_code,
            "answers": self._ask_hash,
        }[table]

    def hint(self, call: Mapping[str, Any]) -> None:
        if not self._gives_hints:
            return

        def arrived(answer: Future[Any]) -> None:
            failure = answer.exception()
            if isinstance(failure, RemoteRefused) and failure.code in UNKNOWN_METHOD_CODES:
                self._gives_hints = False
            if failure is None:
                self.fetched(listed(answer.result()))

        asked = self._client.ask("eth_createAccessList", [dict(call), self._block])
        asked.add_done_callback(arrived)

    @property
    def must_not_wait(self) -> bool:
        """Whether this thread gets RemoteNeeded where it would have to wait."""
        return (
            self._manner.missed is not None
            or self._manner.is_impatient
            or asyncio._get_running_loop() is not None
        )

    # ---- how ----

    def _known(self, table: str, name: bytes) -> bytes | None:
        found = self._recent.get(table[:1].encode() + name)
        if found is None:
            found = self._cache.get(table, name)
            if found is not None:
                self._recent.put(table[:1].encode() + name, found)
        return found

    def _find(self, table: str, name: bytes, ask: Callable[[bytes], Future[bytes]]) -> bytes:
        found = self._known(table, name)
        if found is not None:
            return found
        missed = self._manner.missed
        if missed is not None:
            missed[table, name] = None
            if table in ABSENT_TABLES:
                return b""
        answer = self._coming_for(table, name, ask)
        if self.must_not_wait and not answer.done():
            raise RemoteNeeded(answer)
        found = self._client.wait(answer, "in time")
        assert isinstance(found, bytes), "futures of this module bring bytes"
        return found

    def _coming_for(
        self, table: str, name: bytes, ask: Callable[[bytes], Future[bytes]]
    ) -> Future[bytes]:
        """The future of a question, which may be under way already, or answered by now."""
        with self._lock:
            answer = self._coming.get(name)
            if answer is not None:
                return answer
            found = self._recent.get(table[:1].encode() + name)
            if found is not None:
                answer = shared_future()
                answer.set_result(found)
                return answer
            answer = ask(name)
            if not answer.done():
                self._coming[name] = answer
        answer.add_done_callback(lambda _: self._arrived(name))
        return answer

    def _arrived(self, name: bytes) -> None:
        with self._lock:
            self._coming.pop(name, None)

    def _keep(self, table: str, name: bytes, value: bytes) -> bytes:
        self._recent.put(table[:1].encode() + name, value)
        self._cache.put(table, name, value)
        return value

    def _ask_account(self, address: bytes) -> Future[bytes]:
        params = ["0x" + address.hex(), self._block]
        methods = ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")
        parts = [self._client.ask(method, params) for method in methods]

        def made(results: list[Any]) -> bytes:
            code = answers.data(results[2], "the code of an account")
            code_hash = keccak256(code) if code else EMPTY_CODE_HASH
            nonce = answers.quantity(results[1], "a nonce", bits=64)
            balance = answers.quantity(results[0], "a balance")
            if not (code or nonce or balance):
                return self._keep("accounts", address, b"")
            if code:
                self._codes.put(code_hash, code, len(code))
                self._cache.put("codes", code_hash, code)
            has_storage = bool(code or nonce)
            root = Hash32(REMOTE_ROOT) if has_storage else EMPTY_ROOT
            record = Account(nonce, balance, root, Hash32(code_hash)).encode()
            return self._keep("accounts", address, record)

        return self._joined(parts, made)

    def _ask_code(self, code_hash: bytes) -> Future[bytes]:
        owner = self._owners.get(code_hash)
        if owner is None:
            lost: Future[bytes] = Future()
            words = f"fork: nobody is known with the code 0x{code_hash.hex()}"
            lost.set_exception(UnknownCode(words))
            return lost

        def made(results: list[Any]) -> bytes:
            code = answers.data(results[0], "the code of an account")
            if keccak256(code) != code_hash:
                raise Malformed(f"another code of 0x{owner.hex()} than before")
            self._codes.put(code_hash, code, len(code))
            self._cache.put("codes", code_hash, code)
            return code

        asked = self._client.ask("eth_getCode", ["0x" + owner.hex(), self._block])
        return self._joined([asked], made)

    def _ask_slot(self, place: bytes) -> Future[bytes]:
        params = ["0x" + place[:20].hex(), "0x" + place[20:].hex(), self._block]

        def made(results: list[Any]) -> bytes:
            value = answers.word(results[0], "a slot")
            return self._keep("slots", place, value if any(value) else b"")

        return self._joined([self._client.ask("eth_getStorageAt", params)], made)

    def _ask_hash(self, name: bytes) -> Future[bytes]:
        number = int.from_bytes(name[4:], "big")

        def made(results: list[Any]) -> bytes:
            if not isinstance(results[0], dict):
                raise Malformed(f"block {number} is not there")
            return self._keep("answers", name, answers.hash32(results[0].get("hash"), "a hash"))

        asked = self._client.ask("eth_getBlockByNumber", [hex(number), False])
        return self._joined([asked], made)

    def _advice(self, words: str) -> str:
        """What to do about a failure, where its words tell."""
        if PRUNED_WORDS.search(words):
            return (
                f" (it keeps the state of block {self.number} no more: an archive node does, or "
                "fork a later block)"
            )
        if GONE_WORDS.search(words):
            return f" (its chain has that block {self.number} no more: fork a final one)"
        return ""

    def _joined(
        self, parts: list[Future[Any]], made: Callable[[list[Any]], bytes]
    ) -> Future[bytes]:
        """What is made of the results when all are there; the first failure else."""
        joined: Future[bytes] = shared_future()
        lock = threading.Lock()
        left = len(parts)

        def arrived(_: Future[Any]) -> None:
            nonlocal left
            with lock:
                left -= 1
                if left:
                    return
            try:
                joined.set_result(made([part.result() for part in parts]))
            except RemoteError as failure:
                # A refusal is not what whoever runs a call here asked for.
                joined.set_exception(RemoteFailed(str(failure) + self._advice(str(failure))))
            except Malformed as failure:
                words = f"fork: {self._client.host} answered with nonsense: {failure}"
                joined.set_exception(RemoteFailed(words))

        for part in parts:
            part.add_done_callback(arrived)
        return joined


def all_of(answers: Sequence[Future[Any]]) -> Future[None]:
    """Done when all are, or with the first failure in their order."""
    whole: Future[None] = shared_future()
    left = len(answers)
    lock = threading.Lock()

    def arrived(_: Future[Any] | None) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left > 0:
                return
        failures = (answer.exception() for answer in answers)
        failure = next((one for one in failures if one is not None), None)
        if failure is None:
            whole.set_result(None)
        else:
            whole.set_exception(failure)

    if not answers:
        arrived(None)
    for answer in answers:
        answer.add_done_callback(arrived)
    return whole


def listed(result: object) -> Missed:
    """The accounts and slots of an answer of eth_createAccessList; what has no form is left out,
    since all of it is but a hint."""
    entries = result.get("accessList") if isinstance(result, Mapping) else None
    found: Missed = {}
    for entry in entries if isinstance(entries, list) else []:
        with suppress(Malformed):
            if not isinstance(entry, Mapping) or len(found) >= LISTED_MAX:
                break
            address = answers.data(entry.get("address"), "an address", length=20)
            found["accounts", address] = None
            keys = entry.get("storageKeys")
            for key in keys[:LISTED_MAX] if isinstance(keys, list) else []:
                found["slots", address + answers.word(key, "a slot's key")] = None
    return found
