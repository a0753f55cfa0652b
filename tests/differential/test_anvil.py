"""Every common method's answer, ghostd's beside anvil's, on chains that are alike.

What differs stands in `reasons.py`, each entry with its reason; whatever else differs fails, and so
does an entry that nothing needs any more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ghostchain.rpc.methods import METHODS
from tests.differential.anvil import Pair, live, post, running_pair
from tests.differential.comparing import Comparison
from tests.differential.conversation import PARTS, STRANGER, begin_anew
from tests.differential.dumps import accounts_of, root_of
from tests.differential.questions import questions
from tests.differential.reasons import UNCOMPARED
from tests.differential.subscribing import subscribe
from tests.differential.twins import run_chain

NAMES = ("anvil", "hardhat")
SEEDS = range(101, 105)
QUESTIONS = 150
METHOD_NOT_FOUND = -32601
# What no method takes.
WRONG: list[Any] = [{"no": "parameters"}] * 9


def both(pair: Pair) -> tuple[str, str]:
    return pair.ghost, pair.anvil


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    with running_pair(tmp_path_factory.mktemp("pair")) as pair:
        live(pair)
        yield Comparison(pair)


def answers_are_the_same(comparison: Comparison) -> None:
    for method, parameters in questions(comparison.pair):
        comparison.ask(method, *parameters)


def states_are_the_same(comparison: Comparison) -> None:
    """Each node's dump holds the same accounts, and ghostd's head names their root."""
    pair = comparison.pair
    pair.mine()
    ghost, anvil = (accounts_of(post(url, "anvil_dumpState", [])) for url in both(pair))
    assert ghost == anvil
    head = post(pair.ghost, "eth_getBlockByNumber", ["latest", False])["result"]
    assert head["stateRoot"] == root_of(anvil)


def dumps_are_read_by_the_other(comparison: Comparison) -> None:
    """Each node takes the other's dump; both have what was in it then."""
    pair = comparison.pair
    dumps = [post(url, "anvil_dumpState", [])["result"] for url in both(pair)]
    kept = accounts_of({"result": dumps[0]})
    pair.tell("anvil_setBalance", STRANGER, "0x7777")
    pair.mine()
    for name in ("anvil", "hardhat"):
        assert post(pair.ghost, f"{name}_loadState", [dumps[1]]) == {"result": True}
        assert post(pair.anvil, f"{name}_loadState", [dumps[0]]) == {"result": True}
    for url in both(pair):
        assert accounts_of(post(url, "hardhat_dumpState", [])) == kept
    comparison.asked |= {f"{name}_{what}State" for name in NAMES for what in ("load", "dump")}


def random_chains_are_the_same(comparison: Comparison) -> None:
    """A few of those that `python -m tests.differential.twins` makes."""
    with tempfile.TemporaryDirectory() as folder, running_pair(Path(folder)) as pair:
        for seed in SEEDS:
            talk = run_chain(pair, seed, QUESTIONS)
            comparison.used |= talk.used
            comparison.unexplained += [f"seed {seed}: {line}" for line in talk.unexplained]


Chapter = Callable[[Comparison], None]
CHAPTERS: tuple[Chapter, ...] = (
    answers_are_the_same,
    *PARTS,
    subscribe,
    states_are_the_same,
    dumps_are_read_by_the_other,
    begin_anew,
    random_chains_are_the_same,
)


def tell(comparison: Comparison, chapter: Chapter) -> None:
    """Once a process: what is asked about a whole story has to see all of it, and several processes
    may share out the tests."""
    if chapter.__name__ not in comparison.told:
        comparison.told.add(chapter.__name__)
        comparison.learn_blocks()
        chapter(comparison)
    comparison.require_same()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
def test_answers_are_anvils_but_for_reasons(comparison: Comparison, chapter: Chapter) -> None:
    tell(comparison, chapter)


def test_every_common_method_is_compared(comparison: Comparison) -> None:
    """Or it has a reason not to be. Common is what anvil does not call unknown."""
    for chapter in CHAPTERS:
        tell(comparison, chapter)
    url = comparison.pair.anvil
    common = {name for name in METHODS if is_known(post(url, name, WRONG))}
    assert len(common) > 150
    assert common - comparison.asked == UNCOMPARED.keys()


def test_no_reason_is_idle(comparison: Comparison) -> None:
    for chapter in CHAPTERS:
        tell(comparison, chapter)
    idle = comparison.idle()
    assert not idle, "nothing differs so any more:\n" + "\n".join(idle)


def is_known(answer: dict[str, Any]) -> bool:
    return bool(answer.get("error", {}).get("code") != METHOD_NOT_FOUND)
