"""The JSON-RPC parser and dispatcher under any input: an answer, never an exception."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ghostchain.rpc.errors import RpcError
from ghostchain.rpc.methods import METHODS
from ghostchain.rpc.parameters import bind
from ghostchain.rpc.protocol import Call, Fault, Limits, parse
from tests.fuzz.fuzz_rpc import answer_body, make_dispatcher

LIMITS = Limits(body_bytes_max=10_000, batch_items_max=20)

hexadecimal = st.one_of(
    st.binary(max_size=40).map(lambda data: "0x" + data.hex()),
    st.integers(0, 2**70).map(hex),
    st.sampled_from(["latest", "pending", "earliest", "0x", "0x0", "0x00", "0xg", ""]),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=20), hexadecimal
)
members = st.sampled_from(
    [
        "from", "to", "data", "input", "value", "gas", "gasPrice", "maxFeePerGas", "nonce",
        "accessList", "authorizationList", "address", "topics", "fromBlock", "toBlock",
        "blockHash", "blockNumber", "types", "domain", "message", "primaryType", "storageKeys",
    ]
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(members, inner, max_size=5)
    ),
    max_leaves=12,
)
# Calls of real methods with any parameters: those that would wait are left out.
names = st.sampled_from(sorted(name for name in METHODS if not name.endswith("Sync")))
calls = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": names, "params": st.lists(documents, max_size=4)},
    optional={"id": scalars},
)


@given(st.one_of(st.binary(max_size=200), documents.map(lambda item: json.dumps(item).encode())))
def test_any_body_parses(body: bytes) -> None:
    """The items of any body are calls and faults, and there is at least one."""
    parsed = parse(body, LIMITS)
    assert parsed.items
    assert all(isinstance(item, Call | Fault) for item in parsed.items)


@given(calls)
def test_parameters_bind_or_are_refused(call: dict[str, Any]) -> None:
    """Whatever stands in params, a method's parameters are bound or an RpcError is raised."""
    method = METHODS[call["method"]]
    with contextlib.suppress(RpcError):
        arguments = bind(method.parameters, call["params"])
        assert len(arguments) == len(method.parameters)


@given(st.lists(calls, min_size=1, max_size=4))
def test_any_batch_is_answered(batch: list[dict[str, Any]]) -> None:
    """One response for each call that has an id, in order, and none is an internal error."""

    async def main() -> bytes:
        dispatcher = make_dispatcher()
        try:
            return await answer_body(dispatcher, json.dumps(batch).encode())
        finally:
            dispatcher.workers.stop()

    body = asyncio.run(main())
    answers = json.loads(body) if body else []
    asked = [call for call in batch if "id" in call]
    assert len(answers) == len(asked)
    for answer in answers:
        assert ("result" in answer) != ("error" in answer)
        assert answer.get("error", {}).get("code") != -32603, answer
