"""The signer process and the node's end of its socket: real processes, killed and started again."""

from __future__ import annotations

import errno
import os
import queue
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ghostchain.consensus.messages import Vote
from ghostchain.crypto import ed25519, vrf
from ghostchain.encoding.votes import VoteKind, key_claim_bytes, node_claim_bytes
from ghostchain.node.signing import process, remote
from ghostchain.node.signing.process import SocketRefused, run_signer, socket_path
from ghostchain.node.signing.protocol import (
    FRAME_BYTES_MAX,
    Answer,
    Hello,
    Sign,
    decode_answer,
    encode_answer,
    encode_ask,
)
from ghostchain.node.signing.remote import RemoteSigner, SignerUnavailable
from ghostchain.primitives.errors import StorageFailed
from ghostchain.primitives.types import Address
from ghostchain.storage.disk import RealFile
from ghostchain.storage.highwater import Request
from tests.unit.test_signing import CHAIN, SEED, vote

# The child of a fork here only ever runs what it was forked for.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

KEY = ed25519.public_key_of(SEED)


class Process:
    """A signer process, forked; `faulty` makes its disk refuse that sync and all later ones."""

    def __init__(self, directory: Path, *, seed: bytes = SEED, chain: int = CHAIN) -> None:
        self.directory, self.seed, self.chain = directory, seed, chain
        self.path = directory / "signer.sock"
        self.faulty: int | None = None
        self.pid = 0

    def start(self) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 9
            try:
                code = self._serve(writer)
            finally:
                os._exit(code)
        os.close(writer)
        assert os.read(reader, 32) == ed25519.public_key_of(self.seed)
        os.close(reader)

    def _serve(self, writer: int) -> int:
        if self.faulty is not None:
            original, left = RealFile.sync, self.faulty

            def sync(file: RealFile) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise OSError(errno.EIO, "it is broken")
                original(file)

            RealFile.sync = sync  # type: ignore[method-assign]
        try:
            run_signer(
                self.seed,
                chain_id=self.chain,
                listen=f"unix:{self.path}",
                directory=self.directory / "signer",
                on_ready=lambda key: os.write(writer, key) and None,
            )
        except StorageFailed:
            return 3
        return 0

    def end(self, number: int) -> int:
        """Its exit code."""
        if not self.pid:
            return 0
        os.kill(self.pid, number)
        return self.wait()

    def wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Process]:
    running = Process(tmp_path)
    yield running
    if running.pid:
        running.end(signal.SIGKILL)


class Client:
    """A remote signer whose answers are put into a queue."""

    def __init__(self, path: Path, **options: object) -> None:
        self.answers: queue.Queue[tuple[bytes, str]] = queue.Queue()
        self.states: queue.Queue[str] = queue.Queue()
        self.remote = RemoteSigner(
            path,
            chain_id=CHAIN,
            deliver=lambda call: call(),
            on_state=self.states.put,
            **options,  # type: ignore[arg-type]
        )

    def ask(self, request: Vote) -> None:
        self.remote.sign(request, lambda *answer: self.answers.put(answer))

    def answer(self, request: Vote) -> tuple[bytes, str]:
        self.ask(request)
        return self.answers.get(timeout=10)


@pytest.fixture
def client(signer: Process) -> Iterator[Client]:
    made = Client(signer.path)
    yield made
    made.remote.close()


def test_signs_proves_and_claims(signer: Process, client: Client) -> None:
    signer.start()
    assert client.remote.wait(10) == client.remote.public_key == KEY
    signature, reason = client.answer(vote(5, 1, 9))
    assert reason == ""
    assert ed25519.verify(KEY, vote(5, 1, 9).sign_bytes(CHAIN), signature)
    assert client.answer(vote(5, 1, 9)) == (signature, "")
    refused, reason = client.answer(vote(5, 1, 8))
    assert (refused, reason[:38]) == (b"", "something else has been signed there: ")
    assert vrf.verify(KEY, b"alpha", client.remote.prove(b"alpha")) is not None
    operator = Address(b"\x22" * 20)
    claim = client.remote.claim(operator)
    assert ed25519.verify(KEY, key_claim_bytes(CHAIN, operator), claim)
    introduction = client.remote.introduce(b"\x23" * 32, 7)
    assert ed25519.verify(KEY, node_claim_bytes(CHAIN, b"\x23" * 32, 7), introduction)
    assert signer.path.stat().st_mode & 0o777 == 0o600
    assert signer.end(signal.SIGTERM) == 0
    assert not signer.path.exists()


def test_silent_while_the_signer_is_away(signer: Process, client: Client) -> None:
    """What was asked for meanwhile is answered once it is back; nothing is asked twice for two
    signatures."""
    with pytest.raises(SignerUnavailable, match=r"signer\.sock"):
        client.remote.wait(0.05)
    client.ask(vote(5, 1, 9))
    signer.start()
    first = client.answers.get(timeout=10)
    assert first[1] == ""
    for height in range(6, 9):
        signer.end(signal.SIGKILL)
        client.ask(vote(height, 0, 1))
        client.ask(vote(height, 0, 2))
        signer.start()
        answers = [client.answers.get(timeout=10) for _ in range(2)]
        assert [reason[:19] for _, reason in answers] == ["", "something else has "]
        assert ed25519.verify(KEY, vote(height, 0, 1).sign_bytes(CHAIN), answers[0][0])
    states = [client.states.get() for _ in range(client.states.qsize())]
    assert states.count("") == 4
    assert all("connected" in state for state in states if state)


def test_killed_at_any_moment_it_contradicts_nothing(signer: Process, client: Client) -> None:
    """SIGKILL while votes are asked for; whatever had left is repeated after the restart."""
    chance = random.Random(4)
    left: dict[Vote, bytes] = {}
    for height in range(1, 25):
        signer.start()
        client.remote.wait(10)
        request = vote(height, 0, 1)
        client.ask(request)
        time.sleep(chance.random() * 0.002)
        signer.end(signal.SIGKILL)
        with suppress(queue.Empty):
            left[request] = client.answers.get_nowait()[0]
        signer.start()
        if request not in left:
            left[request] = client.answers.get(timeout=10)[0]
        assert client.answer(request) == (left[request], "")
        assert client.answer(vote(height, 0, 2))[0] == b""
        signer.end(signal.SIGKILL)
    assert all(ed25519.verify(KEY, v.sign_bytes(CHAIN), left[v]) for v in left)


@pytest.mark.parametrize("sync", [3, 4])
def test_a_failing_disk_ends_the_signer_before_a_signature_leaves(
    signer: Process, client: Client, sync: int
) -> None:
    """Opening syncs three times, a signature twice."""
    signer.faulty = sync
    signer.start()
    client.ask(vote(5, 1, 9))
    assert signer.wait() == 3
    assert client.answers.empty()
    signer.faulty = None
    signer.start()
    assert client.answers.get(timeout=10)[1] == ""


def test_a_signer_for_another_chain_or_key_is_not_used(tmp_path: Path) -> None:
    other = Process(tmp_path, chain=CHAIN + 1)
    other.start()
    client = Client(other.path)
    while "not 31337" not in client.states.get(timeout=10):
        pass
    client.remote.close()
    other.end(signal.SIGTERM)
    client = Client(other.path, public_key=KEY)
    other.seed, other.chain, other.directory = bytes(32), CHAIN, tmp_path / "b"
    other.start()
    while "it has another key" not in client.states.get(timeout=10):
        pass
    client.ask(vote(1, 0, 1))
    client.remote.close()
    assert client.answers.get(timeout=10) == (b"", "closed")
    assert client.answer(vote(1, 0, 1)) == (b"", "closed")
    other.end(signal.SIGKILL)


def test_waiting_votes_are_bounded(tmp_path: Path) -> None:
    client = Client(tmp_path / "nobody")
    for height in range(1, remote.PENDING_MAX + 3):
        client.ask(vote(height, 0, 1))
    for _ in range(2):
        assert client.answers.get(timeout=10) == (b"", "the signer was not reached in time")
    assert client.answers.empty()
    with pytest.raises(SignerUnavailable):
        Client(tmp_path / "nobody").remote.wait(0.01)
    client.remote.close()


# ---- hostile ends ----


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(os.fspath(path))
    return connection


def received(connection: socket.socket) -> bytes:
    """Everything until it hangs up."""
    data = b""
    with suppress(ConnectionResetError):
        while more := connection.recv(4096):
            data += more
    return data


HELLO = encode_ask(1, Hello(CHAIN))
SIGN = encode_ask(2, Sign(Request(VoteKind.PREVOTE, 5, 1, b"\x09" * 32)))


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (SIGN, 0),
        (encode_ask(1, Hello(CHAIN + 1)), 1),
        (HELLO + HELLO, 1),
        (b"\xff\xff\xff\xff", 0),
        (bytes(4), 0),
        (HELLO + (FRAME_BYTES_MAX + 1).to_bytes(4, "big"), 1),
        (HELLO + b"\0\0\0\x03\xff\xff\xff", 1),
        (HELLO + SIGN[:-1] + b"\xfe", 1),
        (HELLO + encode_answer(2, Answer(b"")), 1),
    ],
)
def test_what_is_not_the_protocol_is_hung_up_on(
    signer: Process, client: Client, sent: bytes, answers: int
) -> None:
    """And the others go on undisturbed."""
    signer.start()
    client.remote.wait(10)
    with connected(signer.path) as connection:
        connection.sendall(sent)
        data = received(connection)
    seen = 0
    while data:
        length = int.from_bytes(data[:4], "big")
        decode_answer(data[4 : 4 + length])
        data, seen = data[4 + length :], seen + 1
    assert seen == answers
    assert client.answer(vote(5, 1, 9))[1] == ""


def test_slow_and_many_connections_are_bounded(
    signer: Process, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a frame is not waited for; beyond a few connections the next is hung up on."""
    monkeypatch.setattr(process, "FRAME_TIMEOUT_SECONDS", 0.1)
    signer.start()
    client.remote.wait(10)
    for sent in (b"", HELLO[:7], HELLO + SIGN[:2], HELLO + SIGN[:20]):
        with connected(signer.path) as connection:
            connection.sendall(sent)
            assert received(connection) in (b"", encode_answer(1, Answer(KEY)))
    idle = [connected(signer.path) for _ in range(process.CONNECTIONS_MAX - 1)]
    for connection in idle:
        connection.sendall(HELLO)
        assert connection.recv(100)
    with connected(signer.path) as connection:
        assert received(connection) == b""
    assert client.answer(vote(5, 1, 9))[1] == ""
    for connection in idle:
        connection.close()


def test_a_peer_of_another_user_is_hung_up_on(
    signer: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each end asks the kernel who the other is."""
    with monkeypatch.context() as patch:
        patch.setattr(process, "peer_uid", lambda connection: os.geteuid() + 1)
        signer.start()
    with connected(signer.path) as connection:
        with suppress(OSError):
            connection.sendall(HELLO)
        assert received(connection) == b""
    signer.end(signal.SIGTERM)
    signer.start()
    monkeypatch.setattr(remote, "peer_uid", lambda connection: os.geteuid() + 1)
    client = Client(signer.path)
    while "belongs to another user" not in client.states.get(timeout=10):
        pass
    client.remote.close()


def test_the_kernel_names_the_user() -> None:
    first, second = socket.socketpair(socket.AF_UNIX)
    with first, second:
        assert process.peer_uid(first) == os.getuid()


class Impostor(threading.Thread):
    """Answers on a socket with whatever it was given, to one connection after the other."""

    def __init__(self, path: Path, frames: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listening.bind(os.fspath(path))
        self.listening.listen()
        self.frames = frames
        self.start()

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                with connection, suppress(OSError):
                    for frame in self.frames:
                        connection.recv(4096)
                        connection.sendall(frame)
                    while connection.recv(4096):
                        pass


def test_a_signature_that_does_not_hold_is_not_passed_on(tmp_path: Path) -> None:
    frames = [encode_answer(0, Answer(KEY)), encode_answer(1, Answer(bytes(64)))]
    impostor = Impostor(tmp_path / "socket", frames)
    client = Client(tmp_path / "socket")
    assert client.answer(vote(5, 1, 9)) == (b"", "the signer's signature does not hold")
    client.remote.close()
    impostor.listening.close()


@pytest.mark.parametrize(
    "frames", [[b"\xff\xff\xff\xff"], [HELLO], [encode_answer(0, Answer(KEY)), b"\0\0\0\x01\xc0"]]
)
def test_an_impostor_that_babbles_is_hung_up_on(tmp_path: Path, frames: list[bytes]) -> None:
    impostor = Impostor(tmp_path / "socket", frames)
    client = Client(tmp_path / "socket")
    client.ask(vote(5, 1, 9))
    while client.states.get(timeout=10) == "":
        pass
    client.remote.close()
    assert client.answers.get(timeout=10) == (b"", "closed")
    impostor.listening.close()


def test_a_signer_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ANSWER_TIMEOUT_SECONDS", 0.05)
    impostor = Impostor(tmp_path / "socket", [encode_answer(0, Answer(KEY))])
    client = Client(tmp_path / "socket")
    client.remote.wait(10)
    with pytest.raises(SignerUnavailable):
        client.remote.prove(b"alpha")
    while "no answer within" not in client.states.get(timeout=10):
        pass
    client.remote.close()
    impostor.listening.close()


# ---- the path ----


def test_a_dead_socket_is_taken_away_and_a_living_one_is_not(
    signer: Process, tmp_path: Path
) -> None:
    signer.start()
    signer.end(signal.SIGKILL)
    assert signer.path.exists()
    signer.start()
    with pytest.raises(SocketRefused, match="another signer listens"):
        run_signer(SEED, chain_id=1, listen=f"unix:{signer.path}", directory=tmp_path / "other")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SocketRefused, match="no socket"):
        run_signer(
            SEED, chain_id=1, listen=f"unix:{tmp_path / 'file'}", directory=tmp_path / "third"
        )
    assert (tmp_path / "file").read_text() == "mine"


def test_only_unix_sockets_are_listened_on() -> None:
    assert socket_path("unix:/tmp/a b") == Path("/tmp/a b")
    for listen in ("", "unix:", "/tmp/a", "tcp:127.0.0.1:1", "unix:" + "x" * 108):
        with pytest.raises(SocketRefused):
            socket_path(listen)
