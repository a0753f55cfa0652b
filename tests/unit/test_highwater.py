"""What was signed is remembered, and nothing is signed against it: across kills at every step, torn
writes, damage and a refusing disk."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.errors import (
    DirectoryLocked,
    StorageCorrupt,
    StorageFailed,
    StorageFull,
)
from ghostchain.storage.disk import RealDisk, RealFile
from ghostchain.storage.highwater import (
    FILE_BYTES,
    SLOT_BYTES,
    SLOT_OFFSETS,
    HighWater,
    RefusalReason,
    Request,
    SigningRefused,
    decode_slot,
)

# The child of a fork here only ever runs what it was forked for.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

KEY = b"\x11" * 32
BLOCK, OTHER = b"\xaa" * 32, b"\xbb" * 32
PROPOSAL, PREVOTE, PRECOMMIT = VoteKind


def opened(directory: Path, on_step: Callable[[str], None] = lambda name: None) -> HighWater:
    return HighWater(RealDisk(directory), "highwater", chain_id=7, public_key=KEY, on_step=on_step)


def stamp(data: bytes) -> bytes:
    """Stands for a signature: 64 bytes that differ each time, as some schemes' do."""
    stamp.count = getattr(stamp, "count", 0) + 1  # type: ignore[attr-defined]
    return stamp.count.to_bytes(8, "big") * 8  # type: ignore[attr-defined,no-any-return]


def refused(water: HighWater, request: Request) -> RefusalReason:
    with pytest.raises(SigningRefused) as failure:
        water.sign(request, stamp)
    return failure.value.reason


def test_the_same_request_gets_the_same_signature(tmp_path: Path) -> None:
    """Also after a restart, and when later kinds of the round were signed meanwhile."""
    water = opened(tmp_path)
    requests = [Request(kind, 5, 2, BLOCK) for kind in VoteKind]
    signatures = [water.sign(request, stamp) for request in requests]
    assert len(set(signatures)) == 3
    for _ in range(2):
        assert [water.sign(request, stamp) for request in requests] == signatures
        water.close()
        water = opened(tmp_path)
    assert water.mended == ""


def test_contradictions_and_regressions_are_refused(tmp_path: Path) -> None:
    water = opened(tmp_path)
    water.sign(Request(PREVOTE, 5, 2, BLOCK), stamp)
    for _ in range(2):
        assert refused(water, Request(PREVOTE, 5, 2, OTHER)) == RefusalReason.CONTRADICTION
        assert refused(water, Request(PREVOTE, 5, 2, NIL_BLOCK)) == RefusalReason.CONTRADICTION
        assert refused(water, Request(PREVOTE, 5, 2, BLOCK, 1)) == RefusalReason.CONTRADICTION
        assert refused(water, Request(PROPOSAL, 5, 2, BLOCK)) == RefusalReason.REGRESSION
        assert refused(water, Request(PRECOMMIT, 5, 1, BLOCK)) == RefusalReason.REGRESSION
        assert refused(water, Request(PRECOMMIT, 4, 9, BLOCK)) == RefusalReason.REGRESSION
        water.close()
        water = opened(tmp_path)
    water.sign(Request(PRECOMMIT, 5, 2, NIL_BLOCK), stamp)
    water.sign(Request(PROPOSAL, 6, 0, OTHER), stamp)


def test_amnesia_is_refused(tmp_path: Path) -> None:
    """A prevote against the lock needs a valid round since; the next height is free again."""
    water = opened(tmp_path)
    water.sign(Request(PRECOMMIT, 5, 2, BLOCK), stamp)
    water.sign(Request(PRECOMMIT, 5, 3, NIL_BLOCK), stamp)
    water.close()
    water = opened(tmp_path)
    assert refused(water, Request(PREVOTE, 5, 4, OTHER)) == RefusalReason.AMNESIA
    assert refused(water, Request(PREVOTE, 5, 4, OTHER, 1)) == RefusalReason.AMNESIA
    water.sign(Request(PREVOTE, 5, 4, NIL_BLOCK), stamp)
    water.sign(Request(PREVOTE, 5, 5, BLOCK), stamp)
    water.sign(Request(PREVOTE, 5, 6, OTHER, 2), stamp)
    water.sign(Request(PRECOMMIT, 5, 6, OTHER), stamp)
    assert refused(water, Request(PREVOTE, 5, 7, BLOCK, 5)) == RefusalReason.AMNESIA
    # For the lock itself, but justified by less than the precommit for another block before it.
    assert refused(water, Request(PREVOTE, 5, 7, OTHER, 1)) == RefusalReason.AMNESIA
    water.sign(Request(PREVOTE, 5, 7, OTHER, 2), stamp)
    water.sign(Request(PREVOTE, 6, 0, BLOCK), stamp)


@pytest.mark.parametrize(
    "request_",
    [
        Request(PREVOTE, 0, 0, BLOCK),
        Request(PREVOTE, 1 << 64, 0, BLOCK),
        Request(PREVOTE, 1, -1, BLOCK),
        Request(PREVOTE, 1, (1 << 32) - 1, BLOCK),
        Request(PREVOTE, 1, 3, BLOCK, 3),
        Request(PREVOTE, 1, 3, BLOCK, -2),
        Request(PREVOTE, 1, 3, BLOCK[1:]),
        Request(PREVOTE, 1, 3, NIL_BLOCK, 1),
        Request(PRECOMMIT, 1, 3, BLOCK, 1),
        Request(PROPOSAL, 1, 3, NIL_BLOCK),
    ],
)
def test_malformed_requests_are_refused(tmp_path: Path, request_: Request) -> None:
    assert refused(opened(tmp_path), request_) == RefusalReason.MALFORMED


def conflict(first: Request, second: Request) -> bool:
    """Whether two signatures prove a fault, in the words of the slashing contract."""
    if first.height != second.height or first == second:
        return False
    if (first.kind, first.round) == (second.kind, second.round):
        return True
    return any(
        lock.kind == PRECOMMIT
        and vote.kind == PREVOTE
        and NIL_BLOCK not in (lock.block_id, vote.block_id)
        and lock.block_id != vote.block_id
        and lock.round < vote.round
        and vote.valid_round < lock.round
        for lock, vote in ((first, second), (second, first))
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_two_signatures_ever_prove_a_fault(tmp_path: Path, seed: int) -> None:
    """Whatever is asked for, in whatever order, with restarts in between."""
    chance = random.Random(seed)
    water = opened(tmp_path)
    signed: dict[Request, bytes] = {}
    for turn in range(600):
        request = Request(
            chance.choice([PROPOSAL, PREVOTE, PRECOMMIT]),
            max(1, 1 + turn // 200 - chance.randint(0, 1)),
            round := max(0, turn % 200 // 10 - chance.randint(0, 2)),
            chance.choice([BLOCK, OTHER, NIL_BLOCK]),
            chance.randint(NO_ROUND, round),
        )
        try:
            signature = water.sign(request, stamp)
        except SigningRefused:
            continue
        finally:
            if chance.random() < 0.1:
                water.close()
                water = opened(tmp_path)
        assert signed.setdefault(request, signature) == signature
    assert len(signed) > 30
    pairs = itertools.combinations(signed, 2)
    assert not [pair for pair in pairs if conflict(*pair)]


# ---- the file ----


def test_two_processes_cannot_share_a_mark(tmp_path: Path) -> None:
    water = opened(tmp_path)
    with pytest.raises(DirectoryLocked):
        opened(tmp_path)
    water.close()


@pytest.mark.parametrize(("chain_id", "key"), [(8, KEY), (7, b"\x12" * 32)])
def test_a_mark_of_another_key_or_chain_is_refused(
    tmp_path: Path, chain_id: int, key: bytes
) -> None:
    opened(tmp_path).close()
    with pytest.raises(StorageCorrupt, match=r"belongs to key 1111.* on chain 7"):
        HighWater(RealDisk(tmp_path), "highwater", chain_id=chain_id, public_key=key)


FIRST, SECOND = Request(PREVOTE, 5, 0, BLOCK), Request(PRECOMMIT, 5, 0, BLOCK)


def images(directory: Path) -> tuple[list[tuple[str, bytes]], list[bytes]]:
    """The file after each step of opening and two signatures, and the two signatures."""
    steps: list[tuple[str, bytes]] = []
    path = directory / "highwater"
    water = opened(directory, lambda name: steps.append((name, path.read_bytes())))
    signatures = [water.sign(request, stamp) for request in (FIRST, SECOND)]
    water.close()
    return steps, signatures


def test_cut_at_every_step(tmp_path: Path) -> None:
    """A kill between any two steps: what had left is remembered, and nothing else is signed."""
    steps, signatures = images(tmp_path / "whole")
    assert [name for name, _ in steps] == ["write 0", "sync 0", "write 1", "sync 1"] * 3
    for index, (_, image) in enumerate(steps):
        directory = tmp_path / f"cut-{index}"
        directory.mkdir()
        (directory / "highwater").write_bytes(image)
        water = opened(directory)
        left = max(0, (index + 1) // 4 - 1)  # signatures that had left at this step
        known = [entry for entry in water.marks.signed if entry is not None]
        assert len(known) >= left
        for request, signature in zip((FIRST, SECOND)[:left], signatures, strict=False):
            assert water.sign(request, stamp) == signature
        assert water.sign(SECOND, stamp)
        assert refused(water, Request(PRECOMMIT, 5, 0, OTHER)) == RefusalReason.CONTRADICTION
        water.close()


def torn_images(before: bytes, after: bytes) -> list[bytes]:
    """What a power cut may leave of an overwritten file: any prefix of the new over the old, and
    any mixture of sectors."""
    size = max(len(before), len(after))
    before, after = before.ljust(size, b"\0"), after.ljust(size, b"\0")
    prefixes = [after[:cut] + before[cut:] for cut in range(0, SLOT_BYTES + 1, 7)]
    prefixes += [after[:cut] + before[cut:] for cut in range(SLOT_OFFSETS[1], FILE_BYTES + 1, 7)]
    mixtures = [before[:cut] + after[cut:] for cut in (64, 128, 256, 512)]
    return prefixes + mixtures


def test_torn_at_every_write(tmp_path: Path) -> None:
    """However the last write was torn, no signature that had left is forgotten."""
    steps, signatures = images(tmp_path / "whole")
    synced = {-1: b"", **{i: image for i, (name, image) in enumerate(steps) if "sync" in name}}
    for index, (name, image) in enumerate(steps):
        if not name.startswith("write"):
            continue
        for number, torn in enumerate(torn_images(synced[index - 1], image)):
            directory = tmp_path / f"torn-{index}-{number}"
            directory.mkdir()
            (directory / "highwater").write_bytes(torn if index else torn[:number])
            water = opened(directory)
            left = max(0, (index + 1) // 4 - 1)
            for request, signature in zip((FIRST, SECOND)[:left], signatures, strict=False):
                assert water.sign(request, stamp) == signature
            water.close()
            again = opened(directory)
            assert again.mended == ""
            again.close()


def test_a_damaged_slot_is_mended_by_the_other(tmp_path: Path) -> None:
    """Every bit of either slot flipped: nothing is forgotten, and the damage is told and mended."""
    steps, signatures = images(tmp_path)
    whole, path = steps[-1][1], tmp_path / "highwater"
    for offset in SLOT_OFFSETS:
        for bit in range(0, 8 * SLOT_BYTES, 13):
            image = bytearray(whole)
            image[offset + bit // 8] ^= 1 << bit % 8
            path.write_bytes(image)
            water = opened(tmp_path)
            assert "damaged or torn" in water.mended
            assert water.sign(SECOND, stamp) == signatures[1]
            water.close()
            again = opened(tmp_path)
            assert again.mended == ""
            again.close()


@pytest.mark.parametrize("kind", ["both slots", "zeros", "noise", "short", "one slot cut off"])
def test_a_damaged_file_signs_nothing(tmp_path: Path, kind: str) -> None:
    """Where nobody can know what was signed, the file is kept as it is and says what to do."""
    steps, _ = images(tmp_path)
    whole, path = steps[-1][1], tmp_path / "highwater"
    image = bytearray(whole)
    image[100] ^= 1
    image[SLOT_OFFSETS[1] + 300] ^= 4
    damaged = {
        "both slots": bytes(image),
        "zeros": bytes(len(whole)),
        "noise": random.Random(1).randbytes(len(whole)),
        "short": whole[: SLOT_BYTES - 1],
        "one slot cut off": bytes(image[:SLOT_BYTES]),
    }[kind]
    path.write_bytes(damaged)
    with pytest.raises(StorageCorrupt, match=r"signs nothing.*move the file away"):
        opened(tmp_path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_refusing_disk_lets_no_signature_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, call: int, code: int
) -> None:
    """Nor any later one, until a restart has read what the disk really holds."""
    water = opened(tmp_path)
    water.sign(FIRST, stamp)
    original = getattr(RealFile, operation)
    calls = 0

    def refuse(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(code, os.strerror(code))
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RealFile, operation, refuse)
        with pytest.raises(StorageFull if code == errno.ENOSPC else StorageFailed):
            water.sign(SECOND, stamp)
    with pytest.raises(StorageFailed, match="restart to recover"):
        water.sign(FIRST, stamp)
    water.close()
    water = opened(tmp_path)
    assert refused(water, Request(PREVOTE, 5, 0, OTHER)) == RefusalReason.CONTRADICTION
    water.sign(SECOND, stamp)


def sign_until_step(directory: Path, step: int, writer: int) -> None:
    """Ends the process after that many steps; says each signature before."""
    steps = itertools.count()

    def end(name: str) -> None:
        if next(steps) == step:
            os._exit(0)

    try:
        water = opened(directory, end)
        for request in (FIRST, SECOND):
            os.write(writer, water.sign(request, stamp))
    finally:
        os._exit(1)


def test_killed_at_every_step(tmp_path: Path) -> None:
    """Processes that really end at each step; what they had told before is never contradicted."""
    for step in range(12):
        directory = tmp_path / str(step)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            sign_until_step(directory, step, writer)
        os.close(writer)
        told = b""
        while more := os.read(reader, 4096):
            told += more
        os.close(reader)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        water = opened(directory)
        for index, request in enumerate((FIRST, SECOND)[: len(told) // 64]):
            assert water.sign(request, stamp) == told[64 * index : 64 * index + 64]
            other = Request(request.kind, 5, 0, OTHER)
            assert refused(water, other) == RefusalReason.CONTRADICTION
        water.close()


def test_slots_of_other_layouts_are_none() -> None:
    assert decode_slot(b"") is None
    assert decode_slot(bytes(SLOT_BYTES)) is None
