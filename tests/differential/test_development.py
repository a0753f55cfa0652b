"""Development methods told to ghostd and to anvil, in random stories; both show the same after each
step.

What is meant to differ, each avoided or allowed for in `development.py`:

- Blocks that the clock times are at least a second apart here; anvil's may share one.
- A revert brings the pool and the settings of that moment back here (as Hardhat does); anvil keeps
  those of now, and its clock goes on from the head. So nothing waits when a story takes a snapshot,
  and after a return both are set to the same.
- What nobody signed has a hash of its own in each.
- A reorganised block's base fee follows from its parent here, in anvil from the block that goes.
- anvil refuses numbers as text for its intervals and for a rollback, and `evm_mine` with so many
  blocks but no time; it knows no way to set the next block's randomness.
- Where one refuses, the other refuses; the words are each node's own.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from tests.differential.anvil import running_pair
from tests.differential.development import AnvilHangs, Story, tell

STORIES = int(os.environ.get("DEVELOPMENT_STORIES", "25"))
FIRST = int(os.environ.get("DEVELOPMENT_SEED", "0"))
STEPS = 25
# Of so many stories anvil may spoil one by standing still.
SPOILT_PART = 2


def test_random_stories_end_alike(tmp_path: Path) -> None:
    """A failure names its seed, and what was told last."""
    seed, spoilt = FIRST, 0
    while seed < FIRST + STORIES:
        with running_pair(tmp_path) as pair:
            while seed < FIRST + STORIES:
                story = Story(pair, Random(seed))
                seed += 1
                try:
                    tell(story, STEPS)
                except AnvilHangs:
                    spoilt += 1
                    break
                assert not story.differences, (seed - 1, story.differences, story.told[-12:])
    assert spoilt * SPOILT_PART <= max(STORIES, SPOILT_PART)
