"""What the core keeps beside the height it decides: who is behind or only listens, what came too
early for the next height, and what came too late for the last.

None of it changes how this node votes; all of it is bounded by peers and validators.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from ghostchain.consensus.certificates import Verify, certificate_of
from ghostchain.consensus.effects import Effect, Peer, Punish, Received, Report
from ghostchain.consensus.messages import Certificate, Message, MessageReason, Status, Vote
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.consensus.votes import VoteKeeper
from ghostchain.encoding.votes import VoteKind

PEERS_MAX = 512
"""Peers of which something is remembered; the one not heard for longest is forgotten first."""

EARLY_VOTES_MAX = 8
"""Votes of the next height that are kept for one peer; of its certificates one of each kind."""


@dataclass(slots=True)
class _PeerRecord:
    height: int = 0
    voted_height: int = -1
    answered_height: int = -1
    answered_ns: int | None = None


class Laggards:
    """What peers told of themselves, and what was answered."""

    def __init__(self) -> None:
        self._records: dict[Peer, _PeerRecord] = {}
        self._helper: Peer = b""
        self._shared_last: Peer = b""

    def __len__(self) -> int:
        return len(self._records)

    def _record(self, peer: Peer) -> _PeerRecord:
        record = self._records.pop(peer, None)
        if record is None:
            if len(self._records) >= PEERS_MAX:
                del self._records[next(iter(self._records))]
            record = _PeerRecord()
        self._records[peer] = record
        return record

    def seen(self, peer: Peer, height: int) -> None:
        """It said that it is at that height."""
        self._record(peer).height = height

    def heard(self, peer: Peer, height: int) -> None:
        """It said a vote of that height."""
        self._record(peer).voted_height = height

    def listeners(self, height: int) -> tuple[Peer, ...]:
        """Who is near that height but says no votes: followers, who are told decisions."""
        return tuple(
            peer
            for peer, record in self._records.items()
            if record.voted_height < height - 1 and record.height in (height - 1, height)
        )

    def next_peers(self, count: int) -> tuple[Peer, ...]:
        """Some peers, others each time, until all had their turn."""
        peers = sorted(self._records)
        start = bisect_right(peers, self._shared_last)
        chosen = tuple((peers[start:] + peers[:start])[:count])
        if chosen:
            self._shared_last = chosen[-1]
        return chosen

    def told(self, peers: tuple[Peer, ...], height: int) -> None:
        """They are sent the decision of that height, so they will be at the next."""
        for peer in peers:
            record = self._records[peer]
            record.height = max(record.height, height + 1)

    def may_answer(self, peer: Peer, height: int, now_ns: int, interval_ns: int) -> bool:
        """Whether a peer that says it is at that height is answered: once for each height that it
        reaches, else after the interval."""
        record = self._record(peer)
        is_news = height > record.answered_height
        is_due = record.answered_ns is None or now_ns - record.answered_ns >= interval_ns
        if not (is_news or is_due):
            return False
        record.answered_height, record.answered_ns = height, now_ns
        return True

    def helped(self, peer: Peer) -> None:
        """Its certificate let this node decide: perhaps it knows of the next height too."""
        self._helper = peer

    def take_helper(self) -> Peer:
        helper, self._helper = self._helper, b""
        return helper


class WaitingRoom:
    """Messages of the next height, in the order in which they came."""

    def __init__(self) -> None:
        self._messages: list[Received] = []
        self._counts: dict[tuple[Peer, type], int] = {}
        self._height = 0

    def __len__(self) -> int:
        return len(self._messages)

    def keep(self, message: Message, peer: Peer) -> None:
        """Keep it, unless the peer has filled its part."""
        assert not isinstance(message, Status)
        if message.height != self._height:
            self._clear(message.height)
        place = (peer, type(message))
        count = self._counts.get(place, 0)
        limit = EARLY_VOTES_MAX if isinstance(message, Vote) else 1
        if count >= limit or (count == 0 and len(self._counts) >= 3 * PEERS_MAX):
            return
        self._counts[place] = count + 1
        self._messages.append(Received(message, peer))

    def take(self, height: int) -> tuple[Received, ...]:
        """Those of that height; nothing is kept any more."""
        messages = tuple(self._messages) if height == self._height else ()
        self._clear(0)
        return messages

    def _clear(self, height: int) -> None:
        self._messages, self._counts, self._height = [], {}, height


class LastCommit:
    """The certificate of the height before, and precommits for it that came late."""

    def __init__(
        self,
        certificate: Certificate | None,
        validators: ValidatorSet | None,
        chain_id: int,
        verify: Verify,
    ) -> None:
        self.findings: list[Effect] = []
        self._certificate = certificate
        self._validators = validators
        self._chain_id = chain_id
        self._verify = verify
        self._late: dict[int, tuple[Vote, Peer]] = {}
        self._guilty: set[int] = set()

    def add(self, vote: Vote, peer: Peer) -> None:
        """A precommit of the round that decided, perhaps."""
        certificate, validators = self._certificate, self._validators
        if certificate is None or validators is None or vote.kind != VoteKind.PRECOMMIT:
            return
        if (vote.height, vote.round) != (certificate.height, certificate.round):
            return
        if vote.validator >= len(validators):
            return
        if vote.block_id != certificate.block_id:
            self._check_guilt(certificate, vote, peer)
        elif vote.validator not in certificate.signers:
            known = self._late.get(vote.validator)
            if known is None or (known[0] != vote and not self._holds(*known)):
                self._late[vote.validator] = (vote, peer)

    def extended(self) -> Certificate | None:
        """The certificate with all that came late and holds, None when that is nothing new."""
        if not self._late or self._certificate is None:
            return None
        late, self._late = self._late, {}
        held = self._hold(list(late.values()))
        if not held:
            return None
        votes = (*self._certificate.votes(), *held)
        self._certificate = certificate_of(votes, self._certificate.size)
        return self._certificate

    @staticmethod
    def late(keeper: VoteKeeper, certificate: Certificate) -> list[Received]:
        """The precommits of a height just decided that its certificate lacks."""
        votes = keeper.at(certificate.round)
        if votes is None:
            return []
        ballot = votes.precommits
        proven = [Received(vote, b"") for vote in ballot.first.values()]
        waiting = [Received(vote, peer) for vote, peer in ballot.waiting.values()]
        return [
            received
            for received in (*proven, *waiting)
            if isinstance(received.message, Vote)
            and received.message.block_id == certificate.block_id
            and received.message.validator not in certificate.signers
        ]

    def _check_guilt(self, certificate: Certificate, vote: Vote, peer: Peer) -> None:
        """Whoever signed for the decided block and for another, in one round, is guilty."""
        assert self._validators is not None
        if vote.validator not in certificate.signers or vote.validator in self._guilty:
            return
        if self._holds(vote, peer):
            self._guilty.add(vote.validator)
            first = next(own for own in certificate.votes() if own.validator == vote.validator)
            self.findings.append(Report(first, vote, self._validators[vote.validator].key))

    def _holds(self, vote: Vote, peer: Peer) -> bool:
        return bool(self._hold([(vote, peer)]))

    def _hold(self, candidates: list[tuple[Vote, Peer]]) -> list[Vote]:
        """Those whose signature holds; whoever delivered another is punished."""
        assert self._validators is not None
        items = [
            (self._validators[vote.validator].key, vote.sign_bytes(self._chain_id), vote.signature)
            for vote, _ in candidates
        ]
        held = []
        for (vote, peer), is_valid in zip(candidates, self._verify(items), strict=True):
            if is_valid:
                held.append(vote)
            else:
                detail = f"precommit of validator {vote.validator}"
                self.findings.append(Punish(peer, MessageReason.INVALID_SIGNATURE, detail))
        return held
