"""ghostd beside anvil on random chains.

    python -m tests.differential.twins --chains 1000 --seed 1

Each chain is made from its seed (`chains.py`) on both nodes. Compared are the answers to random
questions, member by member, and at the end of each chain the whole state and its root. Some chains
follow each other on one pair of nodes; the pair is a new one where two have parted.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.differential.anvil import Pair, post, running_pair
from tests.differential.chains import RandomChain
from tests.differential.comparing import Comparison
from tests.differential.dumps import accounts_of, root_of

CHAINS_A_PAIR = 10
QUESTIONS = 150


def run_chain(pair: Pair, seed: int, count: int = QUESTIONS) -> Comparison:
    """The chain of this seed, asked so many questions. Raises AssertionError where the nodes part;
    what differs without a reason is in the comparison."""
    talk = Comparison(pair)
    talk.learn_blocks()
    chain = RandomChain(talk, random.Random(seed))
    chain.live()
    compare_states(talk)
    pair.rest()
    for method, parameters in chain.questions(count):
        talk.ask(method, *parameters)
    return talk


def compare_states(talk: Comparison) -> None:
    """Both hold the same accounts, whose root ghostd's head names. Raises AssertionError."""
    pair = talk.pair
    ghost, anvil = (
        accounts_of(post(url, "anvil_dumpState", [])) for url in (pair.ghost, pair.anvil)
    )
    assert ghost == anvil, [
        (address, ghost.get(address), anvil.get(address))
        for address in sorted(ghost.keys() | anvil.keys())
        if ghost.get(address) != anvil.get(address)
    ]
    head = post(pair.ghost, "eth_getBlockByNumber", ["latest", False])["result"]
    assert head["stateRoot"] == root_of(anvil), "the root is not that of the state"


def run_chains(seeds: Iterable[int], count: int = QUESTIONS) -> tuple[int, dict[int, list[str]]]:
    """How many questions were asked, and what differed, by seed."""
    failures: dict[int, list[str]] = {}
    asked = 0
    waiting = list(seeds)
    while waiting:
        with tempfile.TemporaryDirectory() as folder, running_pair(Path(folder)) as pair:
            for _ in range(min(CHAINS_A_PAIR, len(waiting))):
                seed = waiting.pop(0)
                try:
                    talk = run_chain(pair, seed, count)
                except AssertionError as parted:
                    failures[seed] = [f"the nodes part: {parted!s:.2000}"]
                    break
                asked += talk.count
                if talk.unexplained:
                    failures[seed] = talk.unexplained
    return asked, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--chains", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    given = parser.parse_args()
    total, bad = 0, 0
    for first in range(given.seed, given.seed + given.chains, CHAINS_A_PAIR):
        last = min(first + CHAINS_A_PAIR, given.seed + given.chains)
        asked, failures = run_chains(range(first, last), given.questions)
        total, bad = total + asked, bad + len(failures)
        for seed, lines in failures.items():
            for line in lines:
                print(f"FAILED seed {seed}: {line}", flush=True)
        print(f"seeds {given.seed} to {last - 1}: {total} questions, {bad} differ", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
