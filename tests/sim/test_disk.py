"""The real log and high-water mark on the virtual disk, killed at every step, twice in a row."""

from __future__ import annotations

from random import Random

import pytest

from ghostchain.encoding.votes import VoteKind
from ghostchain.storage.highwater import HighWater, Request
from ghostchain.storage.wal import WriteAheadLog
from tests.sim.disk import VirtualDisk


class Cut(Exception):
    """The power goes."""


class Fuse:
    """Lets a number of steps to the disk happen."""

    def __init__(self) -> None:
        self.left = 1 << 30

    def __call__(self, what: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cut(what)


def opened(disk: VirtualDisk) -> HighWater:
    return HighWater(disk, "mark", chain_id=7, public_key=b"k" * 32)


def stamp(data: bytes) -> bytes:
    return data[:64].ljust(64)


def requests() -> list[Request]:
    return [
        Request(kind, height, 0, bytes([height]) * 32)
        for height in range(1, 6)
        for kind in VoteKind
    ]


@pytest.mark.parametrize("seed", range(40))
def test_two_crashes_in_a_row_lose_no_mark(seed: int) -> None:
    """The second while the first is mended: what has left is still known, whatever was torn."""
    random = Random(seed)
    for first in range(9):
        for second in range(9):
            fuse = Fuse()
            disk = VirtualDisk(fuse)
            mark, left = opened(disk), 0
            fuse.left = 12 + first
            try:
                for request in requests():
                    mark.sign(request, stamp)
                    left += 1
            except Cut:
                disk.lose(random)
            try:
                fuse.left = second
                opened(disk)
            except Cut:
                disk.lose(random)
            fuse.left = 1 << 30
            known = {signed.request for signed in opened(disk).marks.signed if signed}
            assert requests()[left - 1] in known, (first, second, left)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_flushed_comes_back(seed: int) -> None:
    """All of it, in order, and of the rest a beginning at most."""
    random = Random(seed)
    for steps in range(2, 30):
        fuse = Fuse()
        disk = VirtualDisk(fuse)
        written: list[bytes] = []
        flushed = 0
        try:
            log = WriteAheadLog(disk)
            fuse.left = steps
            for _ in range(10):
                for _ in range(random.randint(1, 3)):
                    record = random.randbytes(random.randint(1, 60))
                    log.append(record)
                    written.append(record)
                log.flush()
                flushed = len(written)
        except Cut:
            disk.lose(random)
        fuse.left = 1 << 30
        back = WriteAheadLog(disk).records()
        assert back == written[: len(back)]
        assert len(back) >= flushed


@pytest.mark.parametrize("seed", range(20))
def test_what_a_kill_left_is_durable_before_it_is_trusted(seed: int) -> None:
    """A killed process leaves what the disk does not have yet. Who reads it and goes on, and loses
    the power then, must find it again."""
    random = Random(seed)
    for steps in range(40):
        fuse = Fuse()
        disk = VirtualDisk(fuse)
        log, mark = WriteAheadLog(disk), opened(disk)
        fuse.left = steps
        left = 0
        try:
            for request in requests():
                log.append(bytes([request.height, request.kind]))
                log.flush()
                mark.sign(request, stamp)
                left += 1
        except Cut:
            fuse.left = 1 << 30
        seen = WriteAheadLog(disk).records()
        known = opened(disk)
        if left:
            known.sign(requests()[left - 1], stamp)  # the same again: nothing is written for it
        fuse.left = 1  # of the next mark the first slot is written, and never synced
        with pytest.raises(Cut):
            known.sign(requests()[-1], stamp)
        disk.lose(random)
        fuse.left = 1 << 30
        assert WriteAheadLog(disk).records() == seen
        places = [signed.request.place for signed in opened(disk).marks.signed if signed]
        assert not left or max(places) >= requests()[left - 1].place


class Life:
    """One log over many crashes: what must come back, and what else may."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.fuse = Fuse()
        self.disk = VirtualDisk(self.fuse)
        self.sure: list[bytes] = []
        self.allowed: list[list[bytes]] = [[]]

    def live(self) -> None:
        """Opens the log and works on it until the power goes, or the process is killed."""
        log = WriteAheadLog(self.disk)
        back = log.records()
        assert any(back == each[: len(back)] for each in self.allowed), "what nobody wrote"
        assert any(len(back) >= len(each) for each in self.least), "less than was durable"
        self._settle(back)
        for _ in range(20):
            self._work(log)

    @property
    def least(self) -> list[list[bytes]]:
        return [self.sure, *self.allowed[1:]]

    def _settle(self, records: list[bytes]) -> None:
        self.sure, self.allowed = list(records), [list(records)]

    def _work(self, log: WriteAheadLog) -> None:
        chance = self.random.random()
        if chance < 0.5:
            record = self.random.randbytes(self.random.randint(1, 40))
            log.append(record)
            self.allowed[0].append(record)
        elif chance < 0.8:
            log.flush()
            self._settle(self.allowed[0])
        else:
            new = [self.random.randbytes(9) for _ in range(self.random.randint(1, 3))]
            self.allowed.append(new)
            log.rewrite(new)
            self._settle(new)


@pytest.mark.parametrize("seed", range(60))
def test_a_log_survives_kills_and_power_cuts_in_any_order(seed: int) -> None:
    """Appended, flushed and written anew, it comes back with all that was durable, and nothing that
    nobody wrote, whether the machine or the process alone died, and how often."""
    life = Life(Random(seed))
    for _ in range(40):
        life.fuse.left = life.random.randint(0, 30)
        try:
            life.live()
        except Cut:
            if life.random.random() < 0.5:
                life.disk.lose(life.random)
