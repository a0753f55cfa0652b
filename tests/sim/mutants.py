"""Faults planted in the code under test, one at a time: a simulation that misses them is worth
nothing. Each is a small edit of the source of one or two functions, made while the seeds run and
taken back after.
"""

from __future__ import annotations
import __future__ as future

import inspect
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ghostchain.consensus import certificates, votes
from ghostchain.consensus.core import Consensus
from ghostchain.consensus.driver import Driver
from ghostchain.consensus.laggards import Laggards
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.consensus.votes import VoteKeeper
from ghostchain.p2p.compact import Blocks
from ghostchain.p2p.gossip import Gossip
from ghostchain.storage import wal
from ghostchain.storage.highwater import HighWater
from ghostchain.storage.wal import WriteAheadLog
from ghostchain.txpool.core import Pool
from tests.sim.ledger import Chain
from tests.sim.world import Outcome, run_seed

SEEDS_MAX = 500
"""Within which every mutant must be found."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In the source of owner's function `name`, `old` (which stands there once) becomes `new`."""

    owner: Any
    name: str
    old: str
    new: str


AMNESIA = "and not self._would_prove_amnesia(block_id, valid_round)"
"""A second guard of the lock: what is to be found without it must go with it."""

LATE_POLKA = "a polka learnt late is forgotten"
SPOILT_LOG = "the log's checks are not looked at"

MUTANTS = {
    # Locks, rounds and quorums.
    "the lock is dropped after its precommit": (
        Edit(
            Consensus,
            "_precommit",
            "self._sign(VoteKind.PRECOMMIT, block_id, NO_ROUND)",
            "self._sign(VoteKind.PRECOMMIT, block_id, NO_ROUND); self.locked = None",
        ),
    ),
    "a nil polka unlocks": (
        Edit(
            Consensus,
            "_follow_prevotes",
            "self._precommit(NIL)",
            "self.locked = None; self._precommit(NIL)",
        ),
    ),
    "R2: a new proposal is free of the lock": (
        Edit(
            Consensus,
            "_answer_proposal",
            "or (valid_round != NO_ROUND and",
            "or (valid_round == NO_ROUND or",
        ),
        Edit(Consensus, "_answer_proposal", AMNESIA, ""),
    ),
    "R3: a polka older than the lock frees of it": (
        Edit(
            Consensus,
            "_answer_proposal",
            "self.locked[1] <= valid_round",
            "self.locked[1] >= valid_round",
        ),
        Edit(Consensus, "_answer_proposal", AMNESIA, ""),
    ),
    "R5: the valid round of prevotes is ignored": (
        Edit(votes, "choice_of", "vote.valid_round", "-1"),
    ),
    "R8: a quorum of prevotes decides": (
        Edit(
            VoteKeeper,
            "_count",
            "vote.kind == VoteKind.PRECOMMIT and",
            "vote.kind != VoteKind.PROPOSAL and",
        ),
    ),
    "a quorum is two thirds, not more": (
        Edit(ValidatorSet, "__init__", "2 * self.total // 3 + 1", "2 * self.total // 3"),
    ),
    "power counts twice": (
        Edit(VoteKeeper, "_count", "[vote.validator].power", "[vote.validator].power * 2"),
    ),
    "a validator set acts at H+1": (
        Edit(Chain, "validators", "self._sets.of(height)", "self._sets.of(height + 1)"),
    ),
    # What others say.
    "signatures of votes are not checked": (
        Edit(VoteKeeper, "_settle", "if is_valid:", "if True:"),
    ),
    "signatures in certificates are not checked": (
        Edit(certificates, "check_signatures", "if not is_valid:", "if False:"),
    ),
    "a block is prevoted before it is judged": (
        Edit(Consensus, "_answer_proposal", "if is_valid is None:", "if False:"),
        Edit(Consensus, "_answer_proposal", "if is_valid:", "if True:"),
    ),
    "evidence names who kept the lock": (
        Edit(
            votes,
            "is_amnesia",
            "second.valid_round < first.round",
            "second.valid_round <= first.round",
        ),
    ),
    # Crashes.
    "votes leave before the log is durable": (Edit(Driver, "_act", "self._log.flush()", "pass"),),
    "the log is written, not synced": (Edit(WriteAheadLog, "flush", "self._file.sync()", "pass"),),
    SPOILT_LOG: (Edit(wal, "decode_records", ", last_check)) != check", ", last_check)) < 0"),),
    "the log is not read at a restart": (
        Edit(Driver, "_start", "list(self._log.records())", "[]"),
    ),
    "what was signed is forgotten at a restart": (
        Edit(HighWater, "_load", "self._sequence, self._marks =", "self._sequence, _ ="),
    ),
    "the mark is written, not synced": (Edit(HighWater, "_write", "self._file.sync()", "pass"),),
    "votes of any later round are kept": (
        Edit(VoteKeeper, "_note_ahead", "if len(rounds) >= AHEAD_MAX:", "if False:"),
    ),
    # Transfers and blocks in parts.
    "the pool does not follow the head": (
        Edit(Pool, "on_head", "if nonce < state.nonce", "if nonce < 0"),
    ),
    "the pool lets a gap into a block": (
        Edit(Pool, "best", "if nonce >= queue.pending_end:", "if nonce not in queue.by_nonce:"),
        Edit(Pool, "best", "push(queue, queue.state.nonce)", "push(queue, min(queue.by_nonce))"),
    ),
    "the pool promises more than a sender has": (
        Edit(Pool, "_funds_refusal", "if overshot > 0:", "if False:"),
    ),
    "a block is taken for what its header does not stand for": (
        Edit(Blocks, "_complete", "self._matches(block)", "True"),
    ),
    "who believed a liar about a block is blamed": (
        Edit(Blocks, "_serve_transactions", "if message.listing != block.listing:", "if False:"),
    ),
    "who does not give a block is waited for": (
        Edit(Blocks, "on_tick", "elif now_ns >= fetch.deadline_ns:", "elif False:"),
    ),
    "a peer that comes is not told what waits": (
        Edit(Gossip, "on_up", "if talk.hashes:", "talk.hashes.clear()\n    if talk.hashes:"),
    ),
    "what is announced is not asked for": (
        Edit(Gossip, "_ask_due", "want is None or want.is_asked", "True"),
    ),
    # Liveness.
    "nothing is said again": (
        Edit(Consensus, "_rebroadcast", "if self.step == Step.NEW_HEIGHT:", "if True:"),
    ),
    "who is behind is not helped": (
        Edit(Laggards, "may_answer", "if not (is_news or is_due):", "if True:"),
    ),
    LATE_POLKA: (
        Edit(Consensus, "_learn_late_polka", "if not known < round < self.round:", "if True:"),
    ),
    "round skip is left out": (
        Edit(Consensus, "_apply_a_rule", "if target is not None:", "if False:"),
    ),
}
"""Each by its name, to be found within SEEDS_MAX seeds. R3's `<=` as `<` is not among them: where
the rounds are equal there is one polka, for one block, so both say the same."""

DUELLED = frozenset(name for name in MUTANTS if name.startswith(("R2", "R3", "R5", "a nil")))
"""Those about locks against locks, hunted with the seeds that are all about these."""


def kind_of(mutant: str) -> str:
    """Which seeds hunt it."""
    rare = {LATE_POLKA: "runt", SPOILT_LOG: "spoilt"}
    return rare.get(mutant, "duel" if mutant in DUELLED else "mixed")


@dataclass(frozen=True, slots=True)
class Kill:
    """How a mutant was found: by which seed, after how long, for which rule."""

    mutant: str
    seeds: int
    seconds: float
    outcome: Outcome


def mutated(edit: Edit) -> Callable[..., Any]:
    """The function with the edit made."""
    found = inspect.getattr_static(edit.owner, edit.name)
    function = getattr(found, "fget", None) or getattr(found, "__func__", found)
    source = getattr(function, "source", None) or textwrap.dedent(inspect.getsource(function))
    assert source.count(edit.old) == 1, f"{edit.name}: {edit.old!r} is not there once"
    source = source.replace(edit.old, edit.new)
    code = compile(source, f"<mutant of {edit.name}>", "exec", future.annotations.compiler_flag)
    names: dict[str, Any] = {}
    exec(code, function.__globals__, names)
    replacement = names[edit.name]
    replacement.source = source  # for another edit of the same function
    return replacement  # type: ignore[no-any-return]


@contextmanager
def planted(mutant: str) -> Iterator[None]:
    """The fault is there while this lasts, wherever the function is known by its name."""
    with ExitStack() as stack:
        for edit in MUTANTS[mutant]:
            stack.enter_context(_planted(edit))
        yield


@contextmanager
def _planted(edit: Edit) -> Iterator[None]:
    original = inspect.getattr_static(edit.owner, edit.name)
    replacement = mutated(edit)
    owners = [edit.owner]
    if isinstance(edit.owner, ModuleType):
        owners = [
            module
            for name, module in list(sys.modules.items())
            if name.startswith(("ghostchain.", "tests.sim"))
            and getattr(module, edit.name, None) is original
        ]
    for owner in owners:
        setattr(owner, edit.name, replacement)
    try:
        yield
    finally:
        for owner in owners:
            setattr(owner, edit.name, original)


def hunt(mutant: str, first: int = 0, seeds_max: int = SEEDS_MAX) -> Kill | None:
    """The first seed that finds it, None when none does."""
    started = time.monotonic()
    with planted(mutant):
        for seed in range(first, first + seeds_max):
            outcome = run_seed(seed, kind_of(mutant))
            if not outcome.is_good:
                seconds = time.monotonic() - started
                return Kill(mutant, seed - first + 1, seconds, outcome)
    return None
