"""Every common method's answer, ghostd's beside anvil's, on chains that are alike.

What differs stands in DIFFERENCES with its reason; whatever else differs fails, and so does an
entry that nothing needs any more.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.differential.anvil import Pair, live, running_pair
from tests.differential.questions import questions

ABSENT = "absent"

MADE_BY = "each names itself, and draws its own randomness"
STATE = (
    "anvil does not run EIP-4788's and EIP-2935's system calls, and its genesis has no state root"
)
GETH_BLOCKS = "geth's blocks and headers have no such member since the merge"
GETH_RECEIPTS = "geth's receipts say it only of blob transactions, or not at all"
GETH_WORDS = "geth's wording and codes"
GETH_GAS = "geth's callTracer shows the transaction's gas limit, anvil's what the call had"
UNKNOWN = "what is not there is refused as geth does it; anvil answers something empty"
ESTIMATE = "a search ends within 1.5 %, as geth's; anvil's ends elsewhere"
PENDING = (
    "geth's pending block has no hash, miner and nonce; a block that is not made has no traces"
)
CODE_HASH = "geth's prestateTracer shows the code's hash"
GAS_CAP = "calls have at most --rpc-gas-cap gas (geth's), in anvil the block's limit"
NOT_FREE = "a gas price under the base fee is refused, as geth does it"

DIFFERENCES: tuple[tuple[str, str, str], ...] = (
    ("net_listening", "result", "no peer can connect to a development node"),
    ("anvil_nodeInfo", "result.hardFork", "as --hardfork takes it"),
    ("anvil_nodeInfo", "result.network", "says which node it is"),
    ("*", "*extraData", MADE_BY),
    ("*", "*mixHash", MADE_BY),
    ("*", "*stateRoot", STATE),
    ("eth_getProof", "result.accountProof*", STATE),
    ("*", "*totalDifficulty", GETH_BLOCKS),
    ("*", "*size", "extraData is longer, and Erigon's header has no size"),
    ("erigon_getHeaderByNumber", "result.transactions", GETH_BLOCKS),
    ("erigon_getHeaderByNumber", "result.uncles", GETH_BLOCKS),
    ("erigon_getHeaderByNumber", "result.withdrawals", GETH_BLOCKS),
    ("*", "*blobGasPrice", GETH_RECEIPTS),
    ("eth_get*Receipt*", "*blockTimestamp", GETH_RECEIPTS),
    (
        "eth_feeHistory",
        "result.baseFeePerGas[*]",
        "the base fees were set by hand, anvil computes what they would have been",
    ),
    ("eth_getBlockByNumber", "result.hash", PENDING),
    ("eth_getBlockByNumber", "result.miner", PENDING),
    ("eth_getBlockByNumber", "result.nonce", PENDING),
    ("erigon_getHeaderByNumber", "result", PENDING),
    ("eth_getUncleCountByBlockNumber", "*", PENDING),
    ("trace_block", "*", PENDING),
    ("trace_replayBlockTransactions", "error", PENDING),
    ("trace_replayBlockTransactions", "result", PENDING),
    ("ots_getBlockDetails", "error.*", GETH_WORDS),
    ("debug_traceBlockByNumber", "result[*].result.gas", GETH_GAS),
    ("debug_traceTransaction", "result.gas", GETH_GAS),
    (
        "debug_trace*",
        "*gasUsed",
        "anvil adds up a block's transactions; calls have --rpc-gas-cap",
    ),
    ("debug_traceBlockByNumber", "*", UNKNOWN),
    ("debug_traceTransaction", "error", UNKNOWN),
    ("debug_traceTransaction", "result", UNKNOWN),
    ("debug_traceTransaction", "result.structLogs", "anvil keeps steps with --steps-tracing only"),
    ("debug_traceTransaction", "result.*codeHash", CODE_HASH),
    ("debug_traceTransaction", "result.callTracer", "anvil's muxTracer answers nothing"),
    ("debug_traceTransaction", "result.4byteTracer", "anvil's muxTracer answers nothing"),
    (
        "debug_traceTransaction",
        "result.*0x????????????????????????????????????????",
        "geth leaves out accounts that were empty, and shows what creations touched",
    ),
    (
        "trace_replayBlockTransactions",
        "*.vmTrace.*",
        "anvil's memory, stores and gas are not what the instruction left",
    ),
    (
        "trace_replayBlockTransactions",
        "*.stateDiff.*",
        "an account that comes into being is `+` throughout, and a delegation is a change of code",
    ),
    ("trace_transaction", "result", "null, as Erigon, for a transaction that is not known"),
    ("ots_traceTransaction", "result", "anvil leaves calls that failed and creations out"),
    (
        "ots_getInternalOperations",
        "result",
        "anvil lists the transaction's own transfer, which is not internal",
    ),
    ("ots_get*", "error*", UNKNOWN),
    ("ots_get*", "result", UNKNOWN),
    ("ots_traceTransaction", "error*", UNKNOWN),
    ("debug_getRawTransaction", "result", "0x, as geth"),
    ("eth_getBlockTransactionCountByNumber", "*", UNKNOWN),
    ("eth_feeHistory", "*", UNKNOWN),
    ("eth_getBalance", "error*", GETH_WORDS),
    ("eth_getTransactionCount", "error*", GETH_WORDS),
    ("eth_getCode", "error*", GETH_WORDS),
    ("eth_getStorageAt", "error*", GETH_WORDS),
    ("eth_getLogs", "*", "a range that ends before it begins is refused, as geth does it"),
    ("eth_getBlockBy*", "error.message", GETH_WORDS),
    ("eth_getTransactionByHash", "error.message", GETH_WORDS),
    ("eth_sendRawTransaction", "error.*", GETH_WORDS),
    ("eth_unknownMethod", "error.message", GETH_WORDS),
    ("eth_estimateGas", "result", ESTIMATE),
    ("eth_estimateGas", "error.*", GETH_WORDS),
    ("eth_estimateGas", "error", "whoever has not the value is refused, as geth does it"),
    (
        "eth_simulateV1",
        "result[*].*",
        "execution-apis' forms; anvil repeats the head's number and time and lacks members",
    ),
    ("eth_createAccessList", "error.*", GETH_WORDS),
    ("eth_createAccessList", "*", "a message that fails has a list and its error, as geth"),
    ("eth_call", "error.*", GETH_WORDS),
    ("eth_call", "*", NOT_FREE),
    ("debug_traceCall", "result.structLogs[*].gas", GAS_CAP),
    ("debug_traceCall", "result.gas", GAS_CAP),
    ("debug_traceCall", "result.structLogs[*].refund", "left out where it is zero, as geth"),
    (
        "debug_traceCall",
        "result.structLogs[*].error",
        "INVALID fails when it runs: geth says so of the call",
    ),
    ("debug_traceCall", "error.*", GETH_WORDS),
    ("debug_traceCall", "*", NOT_FREE),
)
"""(method, path of the member, why); the first two are patterns of fnmatch, `[*]` any index."""


def named(value: Any, names: dict[str, str]) -> Any:
    """The value, hashes of blocks replaced by what they are."""
    if isinstance(value, dict):
        return {key: named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def differences(ghost: Any, anvil: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, ghostd's, anvil's) for each member that is not the same."""
    if isinstance(ghost, dict) and isinstance(anvil, dict):
        for key in sorted(ghost.keys() | anvil.keys()):
            yield from differences(
                ghost.get(key, ABSENT), anvil.get(key, ABSENT), f"{path}.{key}".lstrip(".")
            )
    elif isinstance(ghost, list) and isinstance(anvil, list) and len(ghost) == len(anvil):
        for index, pair in enumerate(zip(ghost, anvil, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif ghost != anvil:
        yield path, ghost, anvil


def reason_for(method: str, path: str) -> int | None:
    """Which entry of DIFFERENCES covers it."""
    plain = re.sub(r"\[\d+\]", "(i)", path)
    for index, (methods, paths, _) in enumerate(DIFFERENCES):
        pattern = paths.replace("[*]", "(i)")
        if fnmatch.fnmatchcase(method, methods) and fnmatch.fnmatchcase(plain, pattern):
            return index
    return None


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(tmp_path_factory.mktemp("pair")) as both:
        live(both)
        yield both


def test_answers_are_anvils_but_for_reasons(pair: Pair) -> None:
    ghost_names, anvil_names = pair.block_hashes()
    used: set[int] = set()
    unexplained: list[str] = []
    for method, parameters in questions(pair):
        ghost, anvil = pair.ask(method, *parameters)
        for path, own, other in differences(named(ghost, ghost_names), named(anvil, anvil_names)):
            if "pending" in parameters and path.endswith("timestamp"):
                continue  # both clocks run on, and a second may end between the two answers
            index = reason_for(method, path)
            if index is None:
                shown = f"{method}{parameters!r:.200}: {path}: {own!r:.160} is not {other!r:.160}"
                unexplained.append(shown)
            else:
                used.add(index)
    assert not unexplained, f"{len(unexplained)} differ:\n" + "\n".join(unexplained)
    idle = [DIFFERENCES[index] for index in range(len(DIFFERENCES)) if index not in used]
    assert not idle, f"nothing differs so any more: {idle}"
