"""Parameters: strict in what they take, and every refusal names the argument."""

from __future__ import annotations

from typing import Any

import pytest

from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc import parameters as p
from ghostchain.rpc.errors import INVALID_PARAMS, RpcError

ADDRESS = "0x" + "11" * 20
HASH = "0x" + "22" * 32

GOOD: list[tuple[p.Parser, Any, Any]] = [
    (p.quantity_64, "0x0", 0),
    (p.quantity_64, "0xffffffffffffffff", 2**64 - 1),
    (p.quantity, "0x" + "f" * 64, 2**256 - 1),
    (p.address, ADDRESS, b"\x11" * 20),
    (p.address, "0x" + "Ab" * 20, b"\xab" * 20),
    (p.hash32, HASH, b"\x22" * 32),
    (p.data, "0x", b""),
    (p.storage_key, "0x0", bytes(32)),
    (p.storage_key, "0x1", bytes(31) + b"\x01"),
    (p.storage_key, HASH, b"\x22" * 32),
    (p.block_id, "latest", "latest"),
    (p.block_id, "pending", "pending"),
    (p.block_id, "0x10", 16),
    (p.block_id, HASH, p.BlockHash(Hash32(b"\x22" * 32))),
    (p.block_id, {"blockHash": HASH}, p.BlockHash(Hash32(b"\x22" * 32))),
    (p.block_id, {"blockNumber": "0x1"}, 1),
    (p.block_id, {"blockHash": HASH, "requireCanonical": True}, p.BlockHash(Hash32(b"\x22" * 32))),
    (p.block_count, 4, 4),
    (p.block_count, "4", 4),
    (p.block_count, "0x4", 4),
    (p.percentiles, [1, 2.5], [1.0, 2.5]),
    (p.topic_choices, None, frozenset()),
    (p.topic_choices, [HASH, None], frozenset()),
    (p.topic_choices, [HASH], frozenset({Hash32(b"\x22" * 32)})),
]


@pytest.mark.parametrize(("parse", "value", "expected"), GOOD)
def test_good_value_is_taken(parse: p.Parser, value: Any, expected: Any) -> None:
    assert parse(value) == expected


BAD: list[tuple[p.Parser, Any]] = [
    (p.quantity_64, "0x10000000000000000"),
    (p.quantity_64, "0x01"),
    (p.quantity_64, "0x"),
    (p.quantity_64, ""),
    (p.quantity_64, "1"),
    (p.quantity_64, 1),
    (p.quantity_64, "0xg"),
    (p.quantity_64, " 0x1"),
    (p.quantity_64, "0x_1"),
    (p.quantity, "0x1" + "0" * 64),
    (p.quantity, "0x" + "f" * 1_000_000),
    (p.address, "0x11"),
    (p.address, "11" * 20),
    (p.address, "0x" + "1" * 39),
    (p.data, "0x1"),
    (p.data, "0x1 1"),
    (p.data, "0x 1"),
    (p.block_id, "newest"),
    (p.block_id, 5),
    (p.block_id, {}),
    (p.block_id, {"blockHash": HASH, "blockNumber": "0x1"}),
    (p.block_number, HASH),
    (p.boolean, "true"),
    (p.percentiles, ["a"]),
    (p.percentiles, [True]),
    (p.percentiles, list(range(101))),
    (p.call_request, []),
    (p.call_request, {"to": "0x1"}),
    (p.call_request, {"data": "0x01", "input": "0x02"}),
    (p.call_request, {"accessList": [{"address": ADDRESS, "storageKeys": ["0x1"]}]}),
    (p.call_request, {"authorizationList": [{}]}),
    (p.state_overrides, {"0x1": {}}),
    (p.log_filter, "x"),
    (p.log_filter, {"address": [1]}),
    (p.log_filter, {"topics": ["0x1"]}),
    (p.log_filter, {"topics": {}}),
]


@pytest.mark.parametrize(("parse", "value"), BAD, ids=range(len(BAD)))
def test_bad_value_is_refused_by_position(parse: p.Parser, value: Any) -> None:
    with pytest.raises(RpcError, match="invalid argument 0: ") as caught:
        p.bind((p.Parameter("x", parse),), [value])
    assert caught.value.code == INVALID_PARAMS


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("0x" + "0" * 65, "storage key too long (want at most 32 bytes): "),
        ("0xzz", "invalid hex in storage key: "),
        ("0x" + "9" * 100_000, "storage key too long (want at most 32 bytes): "),
    ],
)
def test_bad_storage_key_is_shown(key: str, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        p.bind((p.Parameter("x", p.storage_key),), [key])
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.message.startswith(message)
    assert len(caught.value.message) < 300


def test_counts_of_arguments_are_checked() -> None:
    one = (p.Parameter("a", p.quantity), p.Parameter("b", p.quantity, required=False, default=7))
    assert p.bind(one, ["0x1"]) == [1, 7]
    assert p.bind(one, ["0x1", None]) == [1, 7]
    with pytest.raises(RpcError, match="missing value for required argument 0"):
        p.bind(one, [])
    with pytest.raises(RpcError, match="too many arguments, want at most 2"):
        p.bind(one, ["0x1", "0x1", "0x1"])


def test_call_request_takes_either_name_of_the_data() -> None:
    for name in ("data", "input"):
        request = p.call_request({"to": ADDRESS, name: "0x0102", "unknown": {}})
        assert request.to == Address(b"\x11" * 20)
        assert request.data == b"\x01\x02"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"blockHash": HASH, "fromBlock": "0x1"}, "cannot specify both"),
        ({"topics": [None] * 5}, "exceed max topics"),
        ({"address": [ADDRESS] * 1001}, "exceed max addresses"),
    ],
)
def test_log_filter_combinations(value: Any, message: str) -> None:
    with pytest.raises(RpcError, match=message):
        p.bind((p.Parameter("filter", p.log_filter),), [value])
