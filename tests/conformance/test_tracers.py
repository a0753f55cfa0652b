"""go-ethereum's own cases of its tracers (eth/tracers/internal/tracetest/testdata): a state, a
transaction, and the trace.

Most are of blocks before Cancun, whose rules are not here. Under Cancun's rules the same
transaction costs other gas, and its trace says so. `tracer_rules.json` has what geth itself then
answers, where that is not what the case says: geth's tracers (1.17), over the same state and
transaction, with a chain configuration that has Cancun (or what the case has later) from genesis
on. With that every case matches in every field.
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

RULES = Path(__file__).with_name("tracer_rules.json")


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


# ---- under the rules that are here ----


def changed(result: Any, changes: list[tuple[str, Any]]) -> Any:
    """A case's result, with what other rules make of it. A change: a path of names and places with
    slashes, empty for the whole, and what stands there instead."""
    for path, value in changes:
        if not path:
            return value
        *way, last = path.split("/")
        holder = result
        for name in way:
            holder = holder[place(holder, name)]
        holder[place(holder, last)] = value
    return result


def place(holder: Any, name: str) -> Any:
    return int(name) if isinstance(holder, list) else name


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
    """Each matches whole."""
    rules = json.loads(RULES.read_text())
    assert len(all_cases) == CASES
    assert set(rules) <= set(all_cases)
    failures = []
    for name, case in all_cases.items():
        folder = name.partition("/")[0]
        ours = as_compared(folder, traced(case, TRACERS[folder]))
        theirs = as_compared(folder, case["result"])
        if name in rules:
            assert ours != theirs, f"{name} needs no other rules"
            theirs = changed(theirs, rules[name])
        if ours != theirs:
            failures.append(name)
    assert not failures, f"{len(failures)} of {len(all_cases)}: {failures}"


def test_rules_change_what_they_must(all_cases: dict[str, Json]) -> None:
    """Of most cases gas alone; of the others also what hangs on it."""
    beside: dict[str, set[str]] = {}
    for name, changes in json.loads(RULES.read_text()).items():
        last = {path.rpartition("/")[2] for path, _ in changes}
        if not last <= {"gas", "gasUsed"}:
            beside[name] = last
    balances, nonces = {"balance"}, {"balance", "nonce"}
    diff = "prestate_tracer_with_diff_mode"
    assert beside == {
        # runs out of gas at another instruction; has init code that EIP-3860 refuses
        "call_tracer_flat/nested_create_action_gas": {""},
        "call_tracer_flat/skip_no_balance_error": {""},
        # fees; contracts began with nonce 0 before EIP-161
        f"{diff}/create_disable_code": nonces,
        f"{diff}/create_disable_storage": nonces,
        f"{diff}/create_post_eip158": balances,
        f"{diff}/create_suicide": balances,
        f"{diff}/inner_create": nonces,
    }
