"""Where nodes can be reached: the peer book.

An entry is a record that a node signed of itself (records.py), or a bootnode's address from the
configuration. What is kept of strangers is bounded in all, by network and by who told of them, so
that nobody fills the book with nodes of his own. Whoever was up here before stays before those that
never were. Only records of nodes that were up here are passed on.

On disk: 8 bytes of checksum, then msgpack of a version, the entries and the bans of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgpack

from ghostchain.crypto.keccak import keccak256
from ghostchain.p2p.effects import Chance, Peer
from ghostchain.p2p.messages import InvalidMessage
from ghostchain.p2p.records import AddressRecord, Scope, decode_record, group_of, scope_of
from ghostchain.p2p.scoring import SECOND_NS, Ban

ENTRIES_MAX = 2_048
UNTRIED_OF_SOURCE_MAX = 64
"""Entries that were never up, told of by one peer."""

GROUP_ENTRIES_MAX = 32
"""Entries of one network, with public addresses."""

AHEAD_MILLISECONDS_MAX = 600_000
"""How far a record's time may lie in the future."""

AGE_NS_MAX = 14 * 24 * 3_600 * SECOND_NS
"""A node that was not up, and did not sign anew, for so long is forgotten."""

FAILURES_MAX = 12
"""Dials that failed one after the other, until a node that never was up is forgotten."""

DIAL_STEP_NS = 5 * SECOND_NS
DIAL_NS_MAX = 300 * SECOND_NS
WANTED_DIAL_STEP_NS = SECOND_NS
WANTED_DIAL_NS_MAX = 4 * SECOND_NS
"""The n-th dial that fails is followed by a pause of n steps, up to the maximum, a quarter more or
less; shorter for validators and bootnodes."""

LAYOUT = 1
FILE_BYTES_MAX = 4 << 20


@dataclass(slots=True)
class Entry:
    """One node. record: None for a bootnode that was not up yet. source: who told of it; empty:
    itself, or the configuration. up_ns: when it was up last, 0 for never."""

    key: Peer
    host: str
    port: int
    record: AddressRecord | None = None
    source: Peer = b""
    is_boot: bool = False
    up_ns: int = 0
    failures: int = 0
    dial_ns: int = 0


class Book:
    """All entries, by key. own: this node's key, which never is one."""

    def __init__(self, own: Peer) -> None:
        self._own = own
        self.entries: dict[Peer, Entry] = {}
        self.validators: dict[bytes, tuple[int, Peer]] = {}
        """The latest claim to each consensus key: time and node key."""

    # ---- changes ----

    def add_boot(self, key: Peer, host: str, port: int) -> None:
        """A node of the configuration, which stays. host may be a name."""
        if key == self._own:
            return
        entry = self.entries.get(key)
        if entry is None:
            self.entries[key] = Entry(key, host, port, is_boot=True)
        else:
            entry.host, entry.port, entry.is_boot = host, port, True

    def forget_boot(self, key: Peer) -> None:
        """The node is one among others again; it is forgotten where nothing else is known of it."""
        entry = self.entries.get(key)
        if entry is not None and entry.is_boot:
            entry.is_boot = False
            if entry.record is None:
                del self.entries[key]

    def wants(self, record: AddressRecord, source: Peer, *, now_ns: int) -> bool:
        """Whether the record is news that there is room for; its signature is worth a look then."""
        if record.key == self._own:
            return False
        if record.sequence > now_ns // 1_000_000 + AHEAD_MILLISECONDS_MAX:
            return False
        entry = self.entries.get(record.key)
        if entry is not None:
            return entry.record is None or entry.record.sequence < record.sequence
        if record.sequence * 1_000_000 < now_ns - AGE_NS_MAX:
            return False
        others = self.entries.values()
        if scope_of(record.host) == Scope.PUBLIC:
            group = group_of(record.host)
            if sum([group_of(other.host) == group for other in others]) >= GROUP_ENTRIES_MAX:
                return False
        if source == record.key:
            return True
        untried = sum([other.source == source and not other.up_ns for other in others])
        return untried < UNTRIED_OF_SOURCE_MAX

    def add(self, record: AddressRecord, source: Peer, *, now_ns: int) -> None:
        """The record, which is wanted and verified, is in the book; a full one forgets the least
        useful entry first."""
        entry = self.entries.get(record.key)
        if entry is None:
            if len(self.entries) >= ENTRIES_MAX:
                self._forget_one()
            source = b"" if source == record.key else source
            entry = self.entries[record.key] = Entry(record.key, "", 0, source=source)
        if (entry.host, entry.port) != (record.host, record.port):
            entry.failures, entry.dial_ns = 0, 0
        entry.record, entry.host, entry.port = record, record.host, record.port
        if record.claim is not None:
            known = self.validators.get(record.claim.key)
            if known is None or known[0] <= record.claim.time:
                self.validators[record.claim.key] = (record.claim.time, record.key)

    def on_up(self, key: Peer, *, now_ns: int) -> None:
        """Hellos were exchanged with it."""
        entry = self.entries.get(key)
        if entry is not None:
            entry.up_ns, entry.failures, entry.dial_ns = now_ns, 0, now_ns + SECOND_NS

    def on_failed(self, key: Peer, *, is_wanted: bool, chance: Chance, now_ns: int) -> None:
        """It could not be reached, or did not stay: it is dialled later."""
        entry = self.entries.get(key)
        if entry is None:
            return
        entry.failures += 1
        if entry.failures >= FAILURES_MAX and not entry.up_ns and not entry.is_boot:
            self._forget(key)
            return
        step, most = DIAL_STEP_NS, DIAL_NS_MAX
        if is_wanted or entry.is_boot:
            step, most = WANTED_DIAL_STEP_NS, WANTED_DIAL_NS_MAX
        pause = min(entry.failures * step, most)
        entry.dial_ns = now_ns + round(pause * (0.75 + chance.random() / 2))

    def postpone(self, key: Peer, until_ns: int) -> None:
        """It is not dialled before: it is of another chain, or banned."""
        entry = self.entries.get(key)
        if entry is not None:
            entry.dial_ns = max(entry.dial_ns, until_ns)

    def expire(self, *, now_ns: int) -> None:
        """What was not heard of for too long is forgotten."""
        for key in [
            entry.key
            for entry in self.entries.values()
            if not entry.is_boot and max(entry.up_ns, _signed_ns(entry)) < now_ns - AGE_NS_MAX
        ]:
            self._forget(key)

    def _forget_one(self) -> None:
        """The entry that was never up, and failed most; else that which was up least lately."""
        key = min(
            (entry for entry in self.entries.values() if not entry.is_boot),
            key=lambda entry: (entry.up_ns, -entry.failures, _signed_ns(entry)),
        ).key
        self._forget(key)

    def _forget(self, key: Peer) -> None:
        entry = self.entries.pop(key)
        claim = entry.record.claim if entry.record is not None else None
        if claim is not None and self.validators.get(claim.key) == (claim.time, key):
            del self.validators[claim.key]

    # ---- questions ----

    def node_of(self, validator: bytes) -> Peer | None:
        """The node that speaks for a consensus key."""
        claim = self.validators.get(validator)
        return claim[1] if claim is not None else None

    def to_dial(self, *, now_ns: int) -> Iterator[Entry]:
        """Those whose pause is over."""
        return (entry for entry in self.entries.values() if entry.dial_ns <= now_ns)

    def sample(
        self, count: int, scope: Scope, first: set[Peer], asker: Peer, chance: Chance
    ) -> list[bytes]:
        """Records to pass on to a peer of that scope: of nodes that were up here, in random order,
        those of `first` before others."""
        fit = [
            entry.record.raw
            for entry in self.entries.values()
            if entry.record is not None
            and entry.up_ns
            and entry.key != asker
            and scope_of(entry.host) >= scope
        ]
        if len(fit) <= count:
            return fit
        chosen = chance.sample(fit, len(fit))
        chosen.sort(key=lambda raw: raw[:32] not in first)
        return chosen[:count]

    # ---- on disk ----

    def to_bytes(self, bans: dict[bytes, Ban]) -> bytes:
        """What is worth keeping: entries with a record, and bans of keys."""
        entries = [
            (entry.record.raw, entry.source, entry.up_ns, entry.failures)
            for entry in self.entries.values()
            if entry.record is not None
        ]
        kept = [(key, ban.until_ns, ban.reason[:200], ban.count) for key, ban in bans.items()]
        body: bytes = msgpack.packb((LAYOUT, entries, kept), use_bin_type=True)
        return keccak256(body)[:8] + body

    def load(self, data: bytes, *, now_ns: int) -> dict[bytes, Ban]:
        """The entries of `to_bytes` are in the book; signatures were verified when they came first.

        Returns: the bans. Raises: ValueError when the bytes are damaged; the book is as it was.
        """
        if len(data) > FILE_BYTES_MAX or keccak256(data[8:])[:8] != data[:8]:
            raise ValueError("the peer book is damaged: its checksum does not hold")
        try:
            layout, entries, kept = msgpack.unpackb(data[8:])
            if layout != LAYOUT:
                raise ValueError(f"layout {layout} of the peer book is not known")
            records = [(decode_record(raw), *rest) for raw, *rest in entries[:ENTRIES_MAX]]
            bans = {key: Ban(until_ns, reason, count) for key, until_ns, reason, count in kept}
        except (TypeError, InvalidMessage) as failure:
            raise ValueError(f"the peer book is damaged: {failure}") from failure
        for record, source, up_ns, failures in records:
            if self.wants(record, record.key, now_ns=now_ns):
                self.add(record, source, now_ns=now_ns)
                entry = self.entries[record.key]
                entry.up_ns, entry.failures = up_ns, failures
        return bans


def _signed_ns(entry: Entry) -> int:
    return entry.record.sequence * 1_000_000 if entry.record is not None else 0
