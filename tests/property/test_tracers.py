"""Every tracer shows every run: random programs of the EVM, and random options."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.execution.executor import Executor, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.traces import recording
from ghostchain.execution.views import Allocation
from ghostchain.rpc.tracers.options import trace_options
from ghostchain.rpc.tracers.runs import Around, Parts
from ghostchain.rpc.tracers.table import MUX, STRUCT_LOGGER, TRACERS, Chosen, chosen
from tests.property.test_steps import PLACES, programs
from tests.unit.test_hybrid_blocks import ENVIRONMENT, SENDERS, world

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "callTracer": [{}, {"withLog": True}, {"onlyTopCall": True}],
    "flatCallTracer": [{}, {"convertParityErrors": True, "includePrecompiles": True}],
    "prestateTracer": [
        {},
        {"diffMode": True},
        {"disableCode": True, "disableStorage": True},
        {"includeEmpty": True},
    ],
    MUX: [{"callTracer": {}, MUX: {"prestateTracer": {"diffMode": True}, "erc7562Tracer": {}}}],
}
STRUCTS: list[dict[str, Any]] = [{}, {"enableMemory": True, "disableStorage": True, "limit": 900}]


def tracers() -> list[Chosen]:
    named = [chosen(name, settings) for name in TRACERS for settings in SETTINGS.get(name, [{}])]
    return named + [Chosen(STRUCT_LOGGER, STRUCT_LOGGER.parse(settings)) for settings in STRUCTS]


@given(st.tuples(programs, programs, programs), st.integers(21_000, 200_000), st.booleans())
def test_every_tracer_shows_every_run(
    codes: tuple[bytes, ...], gas_limit: int, creates: bool
) -> None:
    view = world()
    for address, code in zip(PLACES, codes, strict=True):
        view.put(address, Allocation(nonce=1, balance=2, code=code))
    executor = Executor(view)
    environment = replace(ENVIRONMENT, fork=Fork.OSAKA)
    message = Message(sender=SENDERS[0], to=PLACES[0], gas_limit=gas_limit, max_fee_per_gas=7)
    if creates:
        message = replace(message, to=None, data=codes[0])
    for tracer in tracers():
        with recording(executor, tracer.watch()) as recorder:
            result = executor.call(environment, message)
            run = Parts(recorder.trace()).run(
                0,
                Around(SENDERS[0], gas_limit, result.gas_used, Fork.OSAKA, environment.coinbase),
            )
        json.loads(orjson.dumps(tracer.show(run)))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
options = st.fixed_dictionaries(
    {},
    optional={
        "tracer": st.sampled_from([*TRACERS, "", "x"]) | anything,
        "tracerConfig": st.dictionaries(
            st.sampled_from(
                ["withLog", "diffMode", "ignoredOpcodes", "stackTopItemsSize", MUX, "callTracer"]
            ),
            anything,
        )
        | anything,
        "timeout": st.sampled_from(["5s", "1m30s", ".5h", "-1s", "1s1"]) | anything,
        "limit": anything,
        "enableMemory": anything,
        "txIndex": st.sampled_from(["0x0", "0x1"]) | anything,
        "stateOverrides": anything,
        "blockOverrides": anything,
    },
)


@given(options)
def test_options_are_taken_or_refused(value: Any) -> None:
    try:
        taken = trace_options(value)
    except ValueError:
        return
    assert taken.timeout_ns >= 0
    assert taken.chosen.watch()
