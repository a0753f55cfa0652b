"""Where a fork by ghostd answers otherwise than one by anvil 1.7 of the same chain, and why, beside
what `reasons.py` has. anvil passes on less of what was before the fork."""

from __future__ import annotations

from typing import Any

from tests.differential.reasons import DIFFERENCES, Difference, Refused, answers, refuses

OWN_BLOCKS_ALONE = "anvil looks through its own blocks alone; ghostd through its remote's too"
OWN_BLOCK = "anvil takes the block of the fork for one of its own, and has nothing in it"


def is_null_unread(ours: Any, theirs: Any) -> bool:
    return ours is None and isinstance(theirs, Refused) and "Deser" in theirs.error["message"]


def has_nothing(ours: Any, theirs: Any) -> bool:
    return theirs in (None, [], "0x") and ours not in (None, [], "0x")


def is_the_remotes(ours: Any, theirs: Any) -> bool:
    return ours is None and theirs is not None


def has_more(ours: Any, theirs: Any) -> bool:
    return isinstance(ours, list) and isinstance(theirs, list) and len(ours) > len(theirs)


FORK_DIFFERENCES = (
    *DIFFERENCES,
    Difference(
        "debug_traceTransaction",
        "result result.* refusal",
        "anvil asks its remote without the tracer that was wanted, and shows steps",
    ),
    Difference(
        "trace_replayBlockTransactions",
        "refusal",
        "anvil asks by a plain number, with kinds in capitals, and has no such method itself",
        answers,
    ),
    Difference("trace_replayBlockTransactions trace_block", "result", OWN_BLOCK, has_nothing),
    Difference("trace_filter", "result", OWN_BLOCK, has_more),
    Difference("eth_getTransactionByBlockNumberAndIndex", "result", OWN_BLOCK, has_nothing),
    Difference("eth_getTransactionByBlockHashAndIndex", "result", OWN_BLOCK, has_nothing, True),
    Difference("eth_feeHistory", "result.*", OWN_BLOCKS_ALONE),
    Difference(
        "eth_getTransactionByHash eth_getRawTransactionByHash",
        "result",
        "what the remote included after the block of the fork is not of this chain",
        is_the_remotes,
    ),
    Difference("ots_searchTransactions*", "result.*", OWN_BLOCKS_ALONE),
    Difference(
        "ots_getContractCreator ots_getTransactionBySenderAndNonce "
        "eth_getTransactionBySenderAndNonce",
        "result",
        OWN_BLOCKS_ALONE,
        has_nothing,
    ),
    Difference("ots_getInternalOperations", "refusal", OWN_BLOCKS_ALONE, answers),
    Difference("ots_getTransactionError", "result", OWN_BLOCKS_ALONE, has_nothing),
    Difference("*", "refusal", "anvil takes no null of its remote", is_null_unread, True),
    Difference(
        "eth_getProof",
        "refusal",
        "a fork keeps no trie; anvil proves against a root that is no state's",
        refuses,
    ),
    Difference(
        "eth_getBlockByNumber eth_getBlockByHash ots_getBlockDetails* erigon_getHeaderByNumber",
        "result.difficulty result.block.difficulty",
        "anvil has the randomness of its first block stand as its difficulty",
    ),
    Difference("ots_getBlockDetails*", "result.block.size", "the first block's difficulty"),
    Difference("anvil_nodeInfo", "result.forkConfig.*", "anvil tells how it asks its remote"),
)
"""The first that fits counts."""
