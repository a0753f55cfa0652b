"""Where ghostd answers otherwise than anvil 1.7, and why. Whatever else differs fails, and so does
an entry that nothing needs any more.

The measure is geth (its source of August 2026) and the document of execution-apis; where those are
silent, Erigon for `trace_*`, Otterscan's document for `ots_*`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

ABSENT = "absent"
PRECOMPILES = {*range(1, 0x12), 0x100}
EXTRA_DATA = "0x" + b"ghostchain".hex()


@dataclass(frozen=True, slots=True)
class Refused:
    """The error of a node, where the other has a result."""

    error: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """methods, paths: patterns of fnmatch, parted by spaces, `[*]` any index; a method asked for
    a block is `method(block)` too, and the path `refusal` is where one node has an
    error and the other a result. when: of ghostd's member and anvil's,
    `absent` for none, whether this is the difference that is meant. is_rare: it is met on few
    random chains."""

    methods: str
    paths: str
    why: str
    when: Callable[[Any, Any], bool] = lambda ours, theirs: True
    is_rare: bool = False


def is_quantity(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("0x")


def is_absent(ours: Any, theirs: Any) -> bool:
    """Only anvil has it."""
    return bool(ours == ABSENT)


def is_more(ours: Any, theirs: Any) -> bool:
    """Only ghostd has it."""
    return bool(theirs == ABSENT)


def refuses(ours: Any, theirs: Any) -> bool:
    """Only ghostd refuses."""
    return isinstance(ours, Refused)


def answers(ours: Any, theirs: Any) -> bool:
    """Only anvil refuses."""
    return isinstance(theirs, Refused)


def is_null(ours: Any, theirs: Any) -> bool:
    return ours is None


def is_empty(ours: Any, theirs: Any) -> bool:
    """Only anvil has it, and it says nothing."""
    return ours == ABSENT and theirs in (0, "0x", [], {}, {"balance": "0x0"})


def are_more(ours: Any, theirs: Any) -> bool:
    """Both count, ghostd more."""
    if isinstance(ours, int) and isinstance(theirs, int):
        return ours > theirs
    return is_quantity(ours) and is_quantity(theirs) and int(ours, 16) > int(theirs, 16)


def are_fewer(ours: Any, theirs: Any) -> bool:
    return are_more(theirs, ours)


def longer_by_extra_data(ours: Any, theirs: Any) -> bool:
    """And by the one byte of an empty list of withdrawals."""
    if not (is_quantity(ours) and is_quantity(theirs)):
        return False
    return int(ours, 16) - int(theirs, 16) in (1, len(EXTRA_DATA) // 2)


def within_search(ours: Any, theirs: Any) -> bool:
    """Both end a binary search for the same gas: geth's within 1.5 % above it."""
    if not (is_quantity(ours) and is_quantity(theirs)):
        return False
    return abs(int(ours, 16) - int(theirs, 16)) <= 0.02 * int(ours, 16)


def both_words(ours: Any, theirs: Any) -> bool:
    """Both say something; of a revert both say that it is one."""
    if not (isinstance(ours, str) and isinstance(theirs, str)) or ABSENT in (ours, theirs):
        return False
    return ours.startswith("execution reverted") is theirs.startswith("execution reverted")


def calls_precompile(trace: dict[str, Any]) -> bool:
    """Below the top, and without value."""
    action = trace["action"]
    return (
        trace["traceAddress"] != []
        and int(action.get("to", "0x0"), 16) in PRECOMPILES
        and int(action["value"], 16) == 0
    )


def lists_precompiles(ours: Any, theirs: Any) -> bool:
    """anvil has those calls, too."""
    if not (isinstance(ours, list) and isinstance(theirs, list)):
        return False
    return len(ours) == sum(not calls_precompile(trace) for trace in theirs)


def geths_error(ours: Any, theirs: Any) -> bool:
    """anvil shows its own name of it."""
    return isinstance(theirs, str) and theirs.startswith("Some(")


def geths_code(ours: Any, theirs: Any) -> bool:
    return (ours, theirs) in {
        (-32000, -32602),
        (-32000, -32603),
        (-32000, -32003),
        (-32000, -32001),
    }


WORDS = "geth's wording; of reverts it is `execution reverted` and a reason in both"
CODES = "geth answers -32000 to whatever has no code of its own"
PENDING = "a hash is each node's own; anvil's pending block repeats its head's randomness"
NOT_MADE = "a block that is not made has no traces; anvil shows the head's"
UNKNOWN = "what is not there is refused, or null, as geth does it; anvil answers otherwise"
SIMULATED = (
    "execution-apis' forms: blocks follow the head, calls have hashes; anvil repeats the head's "
    "number and time, and lacks members"
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference("*", "error.message", WORDS, both_words),
    Difference("*", "error.code", CODES, geths_code),
    Difference(
        "*", "*extraData", "each says who made a block", lambda a, b: a == EXTRA_DATA and b == "0x"
    ),
    Difference(
        "*",
        "*size",
        "the block's bytes: extraData is longer, and anvil leaves out the list of withdrawals",
        longer_by_extra_data,
    ),
    Difference(
        "*",
        "*stateRoot result.accountProof[*] result.accountProof",
        "anvil's genesis names no state, and its roots count accounts and slots that are zero; "
        "the root of anvil's own dump is ghostd's, see test_state_is_the_same",
    ),
    Difference("*", "*totalDifficulty", "geth's blocks have none since the merge", is_absent),
    Difference(
        "erigon_getHeaderByNumber",
        "result.size result.transactions result.uncles result.withdrawals",
        "a header has none, as Erigon",
        is_absent,
    ),
    Difference("*", "*blobGasPrice", "geth's receipts say it of blob transactions only", is_absent),
    Difference(
        "eth_getAccount",
        "result.storageRoot",
        "anvil's counts slots that are zero; of what was set by hand ghostd's is the last block's",
    ),
    Difference(
        "eth_accounts",
        "result",
        "anvil lists impersonated accounts; geth those whose keys it has",
        lambda ours, theirs: set(ours) < set(theirs),
    ),
    Difference(
        "eth_getBlock* eth_getTransactionByHash",
        "*size result.transactionsRoot result.transactions[*].r result.r",
        "an unsigned transaction names its sender where the signature would be; anvil's are zero",
        lambda ours, theirs: theirs == "0x0" or len(ours) == 66 or int(ours, 16) < 2000,
    ),
    Difference(
        "eth_signTypedData eth_signTypedData_v3",
        "refusal",
        "as version 4; anvil has that alone",
        answers,
    ),
    Difference(
        "eth_signTransaction",
        "result",
        "execution-apis: the bytes and the transaction",
        lambda ours, theirs: ours["raw"] == theirs,
    ),
    Difference(
        "eth_fillTransaction",
        "result.tx.block* result.tx.from result.tx.transactionIndex",
        "geth's filled transaction is in no block",
        is_absent,
    ),
    Difference(
        "eth_fillTransaction",
        "result.raw result.tx.hash result.tx.gasPrice result.tx.maxFeePerGas",
        "the tip and twice the head's base fee, as geth; anvil takes the next block's",
    ),
    Difference(
        "txpool_content eth_getTransactionByHash",
        "result.*blockTimestamp",
        "null of what waits, as geth",
        is_null,
    ),
    Difference(
        "eth_getTransactionByHash",
        "result.gasPrice",
        "of what waits the most that it pays, as geth",
        are_more,
    ),
    Difference(
        "eth_getTransactionByBlockNumberAndIndex(pending) "
        "eth_getRawTransactionByBlockNumberAndIndex(pending)",
        "result",
        "anvil finds nothing in the pending block",
        lambda ours, theirs: theirs is None,
    ),
    Difference("eth_feeHistory", "result.reward", "none where none is asked, as geth", is_absent),
    Difference(
        "eth_getFilterChanges",
        "result",
        "a filter brings what is new, as geth's; anvil's begins with what was there",
        lambda ours, theirs: len(ours) < len(theirs) and ours == theirs[-len(ours) :],
    ),
    Difference("eth_getAccount", "result", "null where there is none, as reth", is_null),
    Difference(
        "eth_getBlockByNumber(0x0)",
        "result.baseFeePerGas result.miner result.hash",
        "after a reset block 0 is genesis again; anvil's has the fee and miner of now",
    ),
    Difference(
        "eth_subscribe",
        "result.heads[*].*",
        "newHeads are headers alone, as geth's",
        lambda ours, theirs: ours == ABSENT,
    ),
    Difference(
        "eth_subscribe",
        "error.code",
        "a kind that is not there is a method that is not there, as geth",
        lambda ours, theirs: (ours, theirs) == (-32601, -32602),
    ),
    Difference("eth_unsubscribe", "refusal", UNKNOWN, refuses),
    Difference("anvil_setRpcUrl", "refusal", "only a fork has an endpoint", refuses),
    Difference(
        "anvil_metadata hardhat_metadata web3_clientVersion",
        "result result.client* result.instanceId",
        "each says what it is",
    ),
    Difference("eth_config", "result.current.forkId", "EIP-2124's; anvil has none"),
    Difference(
        "eth_newFilter", "refusal", "a range that cannot be is refused, as geth does it", refuses
    ),
    Difference(
        "eth_get*Receipt* eth_send*Sync",
        "result.blockTimestamp result[*].blockTimestamp",
        "geth's receipts have it in their logs only; anvil's is a number, not a quantity",
        is_absent,
    ),
    Difference(
        "eth_feeHistory",
        "result.baseFeePerGas[*]",
        "the last is of the block after the newest asked for; anvil's of the one after its head",
    ),
    Difference("eth_feeHistory", "refusal", UNKNOWN, refuses),
    Difference(
        "eth_feeHistory(safe) eth_feeHistory(finalized)",
        "result.*",
        "the head, as in every other method; here anvil goes 32 and 64 blocks back",
    ),
    Difference(
        "eth_getBlockByNumber(pending)",
        "result.hash result.mixHash result.transactions[*].blockHash",
        PENDING,
    ),
    Difference("trace_block", "refusal", NOT_MADE, refuses),
    Difference("trace_replayBlockTransactions", "refusal", NOT_MADE, refuses),
    Difference("eth_getUncle*", "refusal", UNKNOWN, answers),
    Difference("eth_getBlockTransactionCountBy*", "refusal", UNKNOWN, answers),
    Difference("debug_trace*", "refusal", UNKNOWN, refuses),
    Difference("ots_*", "refusal", UNKNOWN, refuses),
    Difference("debug_getRawTransaction", "result", "0x, as geth", lambda a, b: a == "0x"),
    Difference("trace_transaction", "result", "null where there is none, as Erigon", is_null),
    Difference(
        "debug_trace*",
        "result.gas result[*].result.gas",
        "geth's callTracer shows the transaction's limit, anvil's what was left for the call",
        are_more,
    ),
    Difference(
        "debug_trace*",
        "result.gas result.gasUsed result[*].result.gas result[*].result.gasUsed",
        "anvil adds up the block's transactions so far",
        are_fewer,
    ),
    Difference(
        "debug_trace*",
        "*structLogs[*].refund *structLogs[*].returnData *structLogs[*].memory "
        "*structLogs[*].storage",
        "geth leaves them out where there is nothing to say",
        is_empty,
    ),
    Difference(
        "debug_trace*",
        "*structLogs[*].refund",
        "the transaction's so far, as geth's counter; anvil's is the frame's",
        lambda ours, theirs: isinstance(theirs, int),
    ),
    Difference(
        "debug_trace*",
        "*structLogs[*].error",
        "geth's words; INVALID fails as it runs, so geth says it of the call",
        geths_error,
    ),
    Difference(
        "debug_trace*",
        "*structLogs[*].op",
        "geth's name of what is no instruction",
        lambda ours, theirs: theirs == "Unknown" and ours.endswith("not defined"),
    ),
    Difference(
        "debug_trace* trace_*",
        "*error",
        "geth's words for a failure that both have",
        lambda ours, theirs: ABSENT not in (ours, theirs),
    ),
    Difference(
        "debug_trace*",
        "*structLogs[*].gasCost *structLogs[*].storage.0x*",
        "of an instruction that runs out of gas geth shows what it costs, anvil what was left",
    ),
    Difference(
        "debug_trace*", "*.codeHash", "geth's prestateTracer shows it of contracts", is_more
    ),
    Difference(
        "debug_trace*",
        "result.callTracer result.4byteTracer",
        "anvil's muxTracer answers nothing",
        is_more,
    ),
    Difference(
        "debug_trace*",
        "result.0x* result.pre.0x* result.post.0x* "
        "result[*].result.0x* result[*].result.pre.0x* result[*].result.post.0x*",
        "geth leaves out accounts that were empty, and shows what failed creations touched",
        lambda ours, theirs: ABSENT in (ours, theirs),
    ),
    Difference(
        "trace_replayBlockTransactions",
        "*.vmTrace.*",
        "as Parity: memory, stores and gas after the instruction, no member `op`",
    ),
    Difference(
        "trace_replayBlockTransactions",
        "*.stateDiff.0x*.balance.[*+] *.stateDiff.0x*.code *.stateDiff.0x*.nonce",
        "an account that comes into being is `+` throughout, and a delegation is a change of code",
    ),
    Difference("ots_traceTransaction", "result", "anvil leaves creations out"),
    Difference(
        "ots_traceTransaction",
        "result[*].value",
        "DELEGATECALL and STATICCALL move none",
        is_null,
    ),
    Difference(
        "trace_filter trace_block trace_transaction",
        "result",
        "calls of precompiles without value are left out, as Erigon, and anvil where it replays",
        lists_precompiles,
    ),
    Difference(
        "trace_filter trace_block trace_transaction",
        "*subtraces *traceAddress[*]",
        "nor are they counted",
        are_fewer,
    ),
    Difference(
        "debug_trace*",
        "result.0x*-* result[*].result.0x*-*",
        "geth's 4byteTracer leaves calls of precompiles out",
        are_fewer,
        is_rare=True,
    ),
    Difference(
        "debug_trace*",
        "*logs[*].index",
        "of the block, as geth and in anvil's receipts; its callTracer counts the transaction's",
        are_more,
        is_rare=True,
    ),
    Difference(
        "eth_sendRawTransaction",
        "refusal",
        "what cannot pay for its own bytes is no transaction, as geth; anvil drops it later",
        lambda ours, theirs: (
            isinstance(ours, Refused) and ours.error["message"].startswith("intrinsic gas too low")
        ),
        is_rare=True,
    ),
    Difference("debug_traceCall", "refusal", "anvil has no such tracer of calls", answers),
    Difference(
        "eth_getProof",
        "result.storageHash result.storageProof[*].proof*",
        "anvil's storage has leaves of zero, and of an empty one the proof is a node",
    ),
    Difference(
        "eth_createAccessList",
        "result.accessList* result.gasUsed",
        "in no order; geth runs the call again until the list stays the same",
    ),
    Difference(
        "eth_estimateGas",
        "error.*",
        "at most EIP-7825's gas, as geth",
        lambda ours, theirs: (
            "16777216" in str(ours) or (ours, theirs) == (-32000, 3) or ours == ABSENT
        ),
        is_rare=True,
    ),
    Difference(
        "ots_getInternalOperations",
        "result",
        "anvil lists the transaction's own transfer, which is not internal",
        # What failed moved nothing either.
        lambda ours, theirs: all(one in theirs for one in ours),
    ),
    Difference(
        "eth_getLogs",
        "result",
        "a wildcard at the end stands for a topic that is there, as geth",
        lambda ours, theirs: all(one in theirs for one in ours),
        is_rare=True,
    ),
    Difference("debug_trace*", "*logs", "what failed logged nothing, as geth", is_absent),
    Difference(
        "debug_trace*",
        "result.calls result[*].result.calls",
        "a self-destruct is no top call, as geth",
        is_absent,
        is_rare=True,
    ),
    Difference("eth_getLogs", "refusal", "a range that cannot be is refused, as geth", refuses),
    Difference(
        "eth_estimateGas",
        "result",
        "a search that begins with what was used ends within 1.5 %, as geth's; anvil's goes lower",
        lambda ours, theirs: within_search(ours, theirs) or are_more(ours, theirs),
    ),
    Difference(
        "eth_maxPriorityFeePerGas eth_gasPrice anvil_nodeInfo",
        "result result.environment.gasPrice",
        "the tip that recent blocks suggest, as geth; anvil's is a gwei, or the lowest seen",
        lambda ours, theirs: is_quantity(ours) and is_quantity(theirs),
    ),
    Difference(
        "eth_call eth_estimateGas eth_createAccessList debug_traceCall",
        "refusal",
        "what the sender cannot pay, fees under the base fee and of two kinds are refused, as geth",
        refuses,
    ),
    Difference(
        "eth_createAccessList",
        "refusal",
        "a call that fails has a list and its error, as geth",
        answers,
    ),
    Difference(
        "eth_simulateV1",
        "result[*].baseFeePerGas result[*].*lobGas* result[*].*ash result[*].number result[*].*oot "
        "result[*].timestamp result[*].size result[*].withdrawals result[*].logsBloom "
        "result[*].transactions[*]* result[*].calls[*].maxUsedGas "
        "result[*].calls[*].logs[*].block* result[*].calls[*].logs[*].transactionHash",
        SIMULATED,
    ),
)
"""The first that fits counts."""

UNCOMPARED: dict[str, str] = {}
"""Common methods that are not compared, each with a reason."""


def reason_for(
    method: str,
    path: str,
    ours: Any,
    theirs: Any,
    parameters: Sequence[Any] = (),
    entries: Sequence[Difference] = DIFFERENCES,
) -> int | None:
    """Which entry covers it."""
    blocks = [one for one in parameters if isinstance(one, str) and len(one) < 10]
    names = (method, *(f"{method}({one})" for one in blocks))
    plain = re.sub(r"\[\d+\]", "(i)", path)
    for index, entry in enumerate(entries):
        if (
            any(fnmatch.fnmatchcase(*one) for one in product(names, entry.methods.split()))
            and any(
                fnmatch.fnmatchcase(plain, pattern.replace("[*]", "(i)"))
                for pattern in entry.paths.split()
            )
            and entry.when(ours, theirs)
        ):
            return index
    return None
