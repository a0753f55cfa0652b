"""go-ethereum's own cases of its tracers (eth/tracers/internal/tracetest/testdata): a state, a
transaction, and the trace.

Most are of blocks before Cancun, whose rules are not here. They run under the nearest fork there
is, and what differs is listed by case, with the rule that makes it differ; everything in them that
does not hang on the rule is compared all the same.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment, Executor
from ghostchain.execution.forks import Fork
from ghostchain.execution.traces import recording
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.tracers.runs import Around, Parts
from ghostchain.rpc.tracers.table import chosen

Json = dict[str, Any]
Fixture = Callable[[str], Path]

ARCHIVE = "tracers.tar.xz"
CASES = 72  # and one page of text
TRACERS = {
    "call_tracer": "callTracer",
    "call_tracer_flat": "flatCallTracer",
    "call_tracer_legacy": "callTracerLegacy",
    "call_tracer_withLog": "callTracer",
    "erc7562_tracer": "erc7562Tracer",
    "prestate_tracer": "prestateTracer",
    "prestate_tracer_legacy": "prestateTracerLegacy",
    "prestate_tracer_with_diff_mode": "prestateTracer",
}

# Rules of older blocks.
GAS = "what instructions, creations, data and refunds cost before Cancun"
PAYS = "GAS, which a contract of the case pays its caller for"
WAY = "GAS, so that it runs out at another instruction"
NONCE = "contracts began with nonce 0 (EIP-161)"
EMPTY = "empty accounts were there (EIP-161)"
INIT_CODE = "init code had no bound (EIP-3860)"

# Cases that need them. Those that are not here match whole.
OLDER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "call_tracer/deep_calls",
            "call_tracer/delegatecall",
            "call_tracer/inner_create_oog_outer_throw",
            "call_tracer/inner_instafail",
            "call_tracer/revert",
            "call_tracer/simple",
            "call_tracer/simple_onlytop",
            "call_tracer_flat/big_slow",
            "call_tracer_flat/callcode_precompiled_fail_hide",
            "call_tracer_flat/callcode_precompiled_oog",
            "call_tracer_flat/callcode_precompiled_throw",
            "call_tracer_flat/deep_calls",
            "call_tracer_flat/delegatecall_parent_value",
            "call_tracer_flat/include_precompiled",
            "call_tracer_flat/inner_instafail",
            "call_tracer_flat/inner_precompiled_wrong_gas",
            "call_tracer_flat/inner_throw_outer_revert",
            "call_tracer_flat/nested_create",
            "call_tracer_flat/nested_create2_action_gas",
            "call_tracer_flat/nested_create_inerror",
            "call_tracer_flat/nested_pointer_issue",
            "call_tracer_flat/result_output",
            "call_tracer_flat/revert",
            "call_tracer_flat/selfdestruct",
            "call_tracer_flat/simple",
            "call_tracer_flat/staticcall_precompiled",
            "call_tracer_legacy/create",
            "call_tracer_legacy/deep_calls",
            "call_tracer_legacy/delegatecall",
            "call_tracer_legacy/inner_instafail",
            "call_tracer_legacy/revert",
            "call_tracer_legacy/revert_reason",
            "call_tracer_withLog/calldata",
            "call_tracer_withLog/delegatecall",
            "call_tracer_withLog/multi_contracts",
            "call_tracer_withLog/multilogs",
            "call_tracer_withLog/notopic",
            "call_tracer_withLog/simple",
            "call_tracer_withLog/tx_failed",
            "call_tracer_withLog/tx_partial_failed",
        ),
        (GAS,),
    ),
    "call_tracer_flat/nested_create_action_gas": (WAY,),
    "call_tracer_flat/skip_no_balance_error": (INIT_CODE,),
    "call_tracer_legacy/selfdestruct": (GAS,),
    "prestate_tracer_with_diff_mode/create_disable_code": (GAS, NONCE),
    "prestate_tracer_with_diff_mode/create_disable_storage": (GAS, NONCE),
    "prestate_tracer_with_diff_mode/create_post_eip158": (GAS,),
    "prestate_tracer_with_diff_mode/create_suicide": (GAS,),
    "prestate_tracer_with_diff_mode/inner_create": (GAS, PAYS, NONCE, EMPTY),
}


def number(value: str | int | None) -> int:
    return int(value, 0) if isinstance(value, str) else int(value or 0)


def data(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def word(text: str) -> Hash32:
    return Hash32(data(text.removeprefix("0x").rjust(64, "0")))


def allocation(account: Json) -> Allocation:
    return Allocation(
        nonce=number(account.get("nonce")),
        balance=number(account.get("balance")),
        code=data(account.get("code", "0x")),
        storage={
            word(key): word(value)
            for key, value in (account.get("storage") or {}).items()
            if int(value, 16)
        },
    )


def fork_of(case: Json) -> Fork:
    prague = case["genesis"]["config"].get("pragueTime")
    is_prague = prague is not None and number(prague) <= number(case["context"]["timestamp"])
    return Fork.PRAGUE if is_prague else Fork.CANCUN


def traced(case: Json, name: str) -> Any:
    """Our answer."""
    context, fork = case["context"], fork_of(case)
    view = MemoryView(
        {
            Address(data(address)): allocation(account)
            for address, account in case["genesis"]["alloc"].items()
        }
    )
    batch = TransactionBatch.decode([data(case["input"])])
    batch.recover()
    transaction = batch.transaction(0)
    environment = BlockEnvironment(
        fork=fork,
        chain_id=number(case["genesis"]["config"]["chainId"]),
        number=number(context["number"]),
        timestamp=number(context["timestamp"]),
        gas_limit=max(number(context["gasLimit"]), transaction.gas_limit),
        base_fee=number(context.get("baseFeePerGas")),
        coinbase=Address(data(context["miner"])),
        prev_randao=Hash32(number(context["difficulty"]).to_bytes(32, "big")),
        blob_base_fee_update_fraction=3_338_477,
        blobs_per_block_max=6,
    )
    tracer = chosen(name, case.get("tracerConfig"))
    executor = Executor(view)
    with recording(executor, tracer.watch()) as recorder:
        (outcome,) = executor.run_block(environment, batch, system_calls=False).outcomes
        trace = recorder.trace()
    executor.discard()
    sender, gas_limit = batch.sender(0), transaction.gas_limit
    around = Around(sender, gas_limit, outcome.gas_used, fork, environment.coinbase)
    return orjson.loads(orjson.dumps(tracer.show(Parts(trace).run(0, around))))


# ---- how geth's own tests compare ----

# Of where a transaction stood, which the cases of the flat tracer leave out or take from mainnet.
PLACES = ("blockHash", "blockNumber", "transactionHash", "transactionPosition", "time")
NOTHING = ("0x", "0x0", None, 0, {}, "0x" + "00" * 20)


def as_compared(folder: str, trace: Any) -> Any:
    """What geth's test of a folder decodes of an answer before it compares: members that are zero
    are none, in the flat tracer's frames and for the index of a log."""
    if folder == "call_tracer_flat":
        return [
            without_nothing({key: value for key, value in frame.items() if key not in PLACES})
            for frame in trace
        ]
    if folder == "call_tracer_legacy":
        return in_lower_case(trace)
    return without_first_index(trace)


def in_lower_case(value: Any) -> Any:
    """As addresses are compared; destructions, which have no input, get one."""
    if isinstance(value, list):
        return [in_lower_case(item) for item in value]
    if not isinstance(value, dict):
        return value.lower() if isinstance(value, str) and value[:2] == "0x" else value
    shown = {key: in_lower_case(item) for key, item in value.items()}
    return {"input": "0x"} | shown if "type" in shown else shown


def without_nothing(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    shown = {key: without_nothing(item) for key, item in value.items()}
    return {key: item for key, item in shown.items() if item not in NOTHING}


def without_first_index(value: Any) -> Any:
    if isinstance(value, list):
        return [without_first_index(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_first_index(item)
        for key, item in value.items()
        if not (key == "index" and item == "0x0")
    }


# ---- what does not hang on older rules ----


def without_gas(value: Any) -> Any:
    if isinstance(value, list):
        return [without_gas(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_gas(item) for key, item in value.items() if key not in ("gas", "gasUsed")}


def take_fees(ours: Json, theirs: Json, case: Json, rules: tuple[str, ...]) -> None:
    """Takes out the balances that differ: the sender's and the coinbase's, and where a contract
    pays for gas its own. What one has less the others have more, where no base fee is burnt."""
    differing = {
        address
        for address in ours["post"].keys() & theirs["post"].keys()
        if ours["post"][address].get("balance") != theirs["post"][address].get("balance")
    }
    miner = case["context"]["miner"].lower()
    others = differing - {miner}
    assert len(others) <= (2 if PAYS in rules else 1), others
    sums = [
        sum(number(trace["post"][address].pop("balance")) for address in differing)
        for trace in (ours, theirs)
    ]
    if not number(case["context"].get("baseFeePerGas")):
        assert sums[0] == sums[1]


def check_difference(case: Json, ours: Json, theirs: Json, rules: tuple[str, ...]) -> None:
    if GAS in rules:
        take_fees(ours, theirs, case, rules)
    for address in list(ours["post"]):
        if EMPTY in rules and address not in theirs["post"]:
            assert allocation(case["genesis"]["alloc"][address]) == Allocation()
            del ours["post"][address]
        elif NONCE in rules and address not in ours["pre"]:
            assert ours["post"][address].pop("nonce") == 1
            assert "nonce" not in theirs["post"][address]
    assert ours == theirs


def check_way(ours: list[Json], theirs: list[Json], rules: tuple[str, ...]) -> None:
    """The transaction's own frame: who called whom with what, and that it failed."""
    mine, other = without_gas(ours[0]), without_gas(theirs[0])
    if INIT_CODE in rules:
        text = "out of gas: max initcode size exceeded: code size 50000 limit 49152"
        assert mine.pop("error") == text
    else:
        assert mine.pop("error").startswith("out of gas")
    assert other.pop("error").startswith("out of gas")
    mine.pop("subtraces", None)
    other.pop("subtraces", None)
    assert mine == other


def cases(archive: Path) -> dict[str, Json]:
    found = {}
    with tarfile.open(archive) as files:
        for member in files:
            content = files.extractfile(member) if member.name.endswith(".json") else None
            if content is not None:
                folder, name = member.name.removesuffix(".json").split("/")[-2:]
                found[f"{folder}/{name}"] = json.load(content)
    return found


@pytest.fixture(scope="module")
def all_cases(fixture_archive: Fixture) -> dict[str, Json]:
    return cases(fixture_archive(ARCHIVE))


def test_cases(all_cases: dict[str, Json]) -> None:
    """Each matches: whole, or but for what its older rules make of it. No rule is listed for
    nothing."""
    assert len(all_cases) == CASES
    assert set(OLDER) <= set(all_cases)
    failures = []
    for name, case in all_cases.items():
        try:
            check(name, case)
        except AssertionError as error:
            failures.append(f"{name}: {str(error)[:400]}")
    assert not failures, f"{len(failures)} of {len(all_cases)}:\n" + "\n".join(failures)


def check(name: str, case: Json) -> None:
    folder = name.partition("/")[0]
    rules = OLDER.get(name, ())
    ours = as_compared(folder, traced(case, TRACERS[folder]))
    theirs = as_compared(folder, case["result"])
    if not rules:
        assert ours == theirs
        return
    assert ours != theirs, "matches whole, and needs no older rules"
    if WAY in rules or INIT_CODE in rules:
        check_way(ours, theirs, rules)
    elif "diff_mode" in folder:
        check_difference(case, ours, theirs, rules)
    else:
        assert without_gas(ours) == without_gas(theirs)
