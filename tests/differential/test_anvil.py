"""Every common method's answer, ghostd's beside anvil's, on chains that are alike.

What differs stands in `reasons.py`, each entry with its reason; whatever else differs fails, and so
does an entry that nothing needs any more.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.anvil import Pair, live, running_pair
from tests.differential.comparing import Comparison
from tests.differential.questions import questions


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    with running_pair(tmp_path_factory.mktemp("pair")) as pair:
        live(pair)
        yield Comparison(pair)


@pytest.fixture
def pair(comparison: Comparison) -> Pair:
    return comparison.pair


def test_answers_are_anvils_but_for_reasons(comparison: Comparison) -> None:
    comparison.learn_blocks()
    for method, parameters in questions(comparison.pair):
        comparison.ask(method, *parameters)
    comparison.require_same()
