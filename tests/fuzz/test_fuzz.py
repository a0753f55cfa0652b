"""Every fuzz target that takes bytes alone, for a moment, with mutations from a seed that a failure
names.

GHOSTCHAIN_FUZZ_SEED chooses another seed, GHOSTCHAIN_FUZZ_CASES how many mutations.
"""

from __future__ import annotations

import os
from types import ModuleType

import pytest

from tests.fuzz import (
    fuzz_attachments,
    fuzz_consensus_messages,
    fuzz_ghost_tx,
    fuzz_net_datagrams,
    fuzz_net_frames,
    fuzz_p2p_messages,
    fuzz_rlp,
    fuzz_rpc,
    fuzz_signer,
    fuzz_sync_messages,
    fuzz_transactions,
    fuzz_trie,
    fuzz_wasm,
)
from tests.fuzz.harness import run_briefly

SEED = int(os.environ.get("GHOSTCHAIN_FUZZ_SEED", "44678"))
CASES = int(os.environ.get("GHOSTCHAIN_FUZZ_CASES", "2000"))
TARGETS = (
    fuzz_attachments,
    fuzz_consensus_messages,
    fuzz_ghost_tx,
    fuzz_net_datagrams,
    fuzz_net_frames,
    fuzz_p2p_messages,
    fuzz_rlp,
    fuzz_rpc,
    fuzz_signer,
    fuzz_sync_messages,
    fuzz_transactions,
    fuzz_trie,
    fuzz_wasm,
)
# A case of these needs milliseconds, most of them for a handshake.
SLOW_TARGETS = {fuzz_net_datagrams: 4}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__.split(".")[-1])
def test_target_holds(target: ModuleType) -> None:
    count = CASES // SLOW_TARGETS.get(target, 1)
    print(f"seed {SEED}, {count} cases")
    run_briefly(target.check, target.SEEDS, seed=SEED, count=count)


def test_a_failing_case_is_named() -> None:
    """A failure says seed, number and bytes, so that it can be run again."""

    def check(data: bytes) -> None:
        assert len(data) < 8

    with pytest.raises(AssertionError, match="seed 5, case 1, bytes 0102030405060708"):
        run_briefly(check, [b"\x01", bytes(range(1, 9))], seed=5, count=10)
