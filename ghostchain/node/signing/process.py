"""The signer as a process of its own: it alone has the key and the memory of what it signed.

It listens on a Unix socket that only its own user may open (0600), and hangs up on a peer of any
other user, on one that has not said hello in time, on a frame that is none, and on one that does
not arrive whole. A few nodes may be connected at once; whatever they ask for, no two signatures
prove a fault. When the high-water mark cannot be written the process ends, and says why.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ghostchain.node.logs import event
from ghostchain.node.signing.local import LocalSigner
from ghostchain.node.signing.protocol import (
    LENGTH_BYTES,
    Answer,
    Ask,
    Claim,
    Hello,
    Introduce,
    InvalidFrame,
    Prove,
    Sign,
    decode_ask,
    encode_answer,
    frame_length,
)
from ghostchain.primitives.errors import GhostError, StorageError
from ghostchain.primitives.types import Address
from ghostchain.storage.highwater import SigningRefused

CONNECTIONS_MAX = 8
FRAME_TIMEOUT_SECONDS = 5.0
SOCKET_PATH_BYTES_MAX = 107

_logger = logging.getLogger("ghostchain.signer")


class SocketRefused(GhostError):
    """There can be no socket at that path; the message says why."""


def socket_path(listen: str) -> Path:
    """The path in `unix:PATH`. Raises: SocketRefused for anything else, and for one too long."""
    scheme, _, path = listen.partition(":")
    if scheme != "unix" or not path:
        raise SocketRefused(f"{listen!r} is not unix:PATH")
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise SocketRefused(f"{path} is longer than {SOCKET_PATH_BYTES_MAX} bytes")
    return Path(path)


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a Unix socket, as the kernel knows it (unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, _ = struct.unpack("=iII", credentials)
    return int(uid)


def run_signer(
    seed: bytes,
    *,
    chain_id: int,
    listen: str,
    directory: Path,
    on_ready: Callable[[bytes], None] = lambda public_key: None,
) -> None:
    """Serves until SIGTERM or SIGINT. on_ready: told the public key once the socket listens.

    listen: `unix:PATH`. directory: where the high-water mark is kept; made if missing.
    Raises: SocketRefused; StorageError when the mark cannot be read, or not written any more.
    """
    path = socket_path(listen)
    signer = LocalSigner.open(seed, chain_id=chain_id, directory=directory)
    try:
        if signer.high_water.mended:
            event(_logger, logging.WARNING, "high-water mark", mended=signer.high_water.mended)
        asyncio.run(_serve_until_told(SignerServer(signer, chain_id), path, on_ready))
    finally:
        signer.close()


async def _serve_until_told(
    server: SignerServer, path: Path, on_ready: Callable[[bytes], None]
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await server.open(path)
    try:
        on_ready(server.signer.public_key)
        waiting = asyncio.create_task(stopped.wait())
        failing = asyncio.create_task(server.failed())
        done, rest = await asyncio.wait((waiting, failing), return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        for task in done:
            task.result()
    finally:
        await server.close()


class SignerServer:
    """The listening socket and its connections, on the running event loop."""

    def __init__(self, signer: LocalSigner, chain_id: int) -> None:
        self.signer = signer
        self._chain_id = chain_id
        self._connections: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def open(self, path: Path) -> None:
        """Listens. Raises: SocketRefused when the path is taken."""
        self._failure = asyncio.get_running_loop().create_future()
        listening = _bound(path)
        self._server = await asyncio.start_unix_server(
            self._on_connected, sock=listening, limit=4_096
        )
        self._path = path
        event(_logger, logging.INFO, "signer listens", path=path, key=self.signer.public_key)

    async def failed(self) -> None:
        """Returns never. Raises: StorageError once the high-water mark cannot be written."""
        assert self._failure is not None
        await self._failure

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
        if self._failure is not None:
            self._failure.cancel()

    async def _on_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        reason = ""
        try:
            reason = self._refusal_of(writer)
            if not reason:
                self._connections.add(task)
                await self._converse(reader, writer)
        except (InvalidFrame, TimeoutError) as error:
            reason = str(error) or "did not say in time what it began to say"
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it hung up, which it may
        finally:
            self._connections.discard(task)
            writer.close()
            if reason:
                event(_logger, logging.WARNING, "signer hung up", reason=reason)

    def _refusal_of(self, writer: asyncio.StreamWriter) -> str:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid != os.geteuid():
            return f"user {uid} may not ask"
        if len(self._connections) >= CONNECTIONS_MAX:
            return f"{CONNECTIONS_MAX} are connected already"
        return ""

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(FRAME_TIMEOUT_SECONDS):
            number, ask = await _read_ask(reader, await reader.readexactly(LENGTH_BYTES))
        if not isinstance(ask, Hello):
            raise InvalidFrame("asked before it said hello")
        is_ours = ask.chain_id == self._chain_id
        wrong = f"this signer is for chain {self._chain_id}, not {ask.chain_id}"
        answer = Answer(self.signer.public_key) if is_ours else Answer(b"", wrong)
        while True:
            writer.write(encode_answer(number, answer))
            async with asyncio.timeout(FRAME_TIMEOUT_SECONDS):
                await writer.drain()
            if not is_ours:
                raise InvalidFrame(wrong)
            first = await reader.readexactly(1)  # for as long as there is nothing to sign
            async with asyncio.timeout(FRAME_TIMEOUT_SECONDS):
                head = first + await reader.readexactly(LENGTH_BYTES - 1)
                number, ask = await _read_ask(reader, head)
            answer = self._answer(ask)

    def _answer(self, ask: Ask) -> Answer:
        """Raises: InvalidFrame; StorageError is told to `failed` and raised as a hang-up, so that
        nothing leaves."""
        if isinstance(ask, Sign):
            try:
                return Answer(self.signer.sign_request(ask.request))
            except SigningRefused as refusal:
                event(_logger, logging.ERROR, "signature refused", reason=refusal)
                return Answer(b"", str(refusal))
            except StorageError as error:
                assert self._failure is not None
                if not self._failure.done():
                    self._failure.set_exception(error)
                raise InvalidFrame(str(error)) from error
        if isinstance(ask, Prove):
            return Answer(self.signer.prove(ask.alpha))
        if isinstance(ask, Claim):
            return Answer(self.signer.claim(Address(ask.operator)))
        if isinstance(ask, Introduce):
            return Answer(self.signer.introduce(ask.node_key, ask.time))
        raise InvalidFrame("said hello twice")


async def _read_ask(reader: asyncio.StreamReader, head: bytes) -> tuple[int, Ask]:
    return decode_ask(await reader.readexactly(frame_length(head)))


def _bound(path: Path) -> socket.socket:
    """A socket at the path that only this user may open; a dead one there is taken away.

    Raises: SocketRefused.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_dead(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)  # the socket is never open to others, not even for a moment
        try:
            listening.bind(os.fspath(path))
        except BaseException:
            listening.close()
            raise
        finally:
            os.umask(mask)
        return listening
    except OSError as error:
        raise SocketRefused(f"no socket at {path}: {error.strerror or error}") from error


def _remove_dead(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise SocketRefused(f"{path} is there already and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise SocketRefused(f"another signer listens at {path}")
