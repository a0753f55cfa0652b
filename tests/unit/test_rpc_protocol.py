"""JSON-RPC 2.0 framing: what is a call, what is a fault, and how answers look."""

from __future__ import annotations

import json

import orjson
import pytest

from ghostchain.rpc.errors import INVALID_REQUEST, PARSE_ERROR, RpcError
from ghostchain.rpc.protocol import (
    Call,
    Fault,
    Limits,
    Rendered,
    batch_pieces,
    encode_batch,
    encode_error,
    encode_result,
    parse,
    size_of,
)

LIMITS = Limits(body_bytes_max=100_000, batch_items_max=3)

BAD_BODIES = [
    (b"", PARSE_ERROR),
    (b"{", PARSE_ERROR),
    (b"\xff\xfe", PARSE_ERROR),
    (b"[1,]", PARSE_ERROR),
    (b'{"jsonrpc":"2.0","method":"a","id":1}}', PARSE_ERROR),
    (b"NaN", PARSE_ERROR),
    (b'"\\ud800"', PARSE_ERROR),
    (b"[" * 5_000 + b"]" * 5_000, PARSE_ERROR),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, PARSE_ERROR),
    (b"[]", INVALID_REQUEST),
    (b"1", INVALID_REQUEST),
    (b"null", INVALID_REQUEST),
    (b'"eth_chainId"', INVALID_REQUEST),
    (b"{}", INVALID_REQUEST),
    (b'{"jsonrpc":"1.0","method":"a","id":1}', INVALID_REQUEST),
    (b'{"method":"a","id":1}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","method":"","id":1}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","method":7,"id":1}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","method":"a","id":{}}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","method":"a","id":[1]}', INVALID_REQUEST),
    (b'{"jsonrpc":"2.0","method":"a","id":true}', INVALID_REQUEST),
    (b"[1,2,3,4]", INVALID_REQUEST),
    (b" " * 100_001, INVALID_REQUEST),
]


@pytest.mark.parametrize(("body", "code"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_body_is_one_fault(body: bytes, code: int) -> None:
    """No body raises, and a bad one is answered once, not as an array."""
    parsed = parse(body, LIMITS)
    (item,) = parsed.items
    assert isinstance(item, Fault)
    assert item.error.code == code
    assert not parsed.is_batch


@pytest.mark.parametrize("identity", [1, 0, -7, "a", "", None, 1.5])
def test_id_is_echoed(identity: object) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": identity, "method": "m", "params": [1]}).encode()
    (call,) = parse(body, LIMITS).items
    assert call == Call(identity, "m", [1])
    assert json.loads(encode_result(call.id, "0x1"))["id"] == identity


@pytest.mark.parametrize(("params", "told"), [({"a": 1}, False), ("x", False), ({}, True)])
def test_params_that_are_no_array_are_remembered(params: object, told: bool) -> None:
    """Who knows the methods judges them: an unknown one is unknown whatever it is given."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "m", "params": params}).encode()
    (call,) = parse(body, LIMITS).items
    assert call == Call(1, "m", [], is_positional=told)


def test_call_without_id_is_a_notification() -> None:
    (call,) = parse(b'{"jsonrpc":"2.0","method":"m"}', LIMITS).items
    assert call == Call(None, "m", [], is_notification=True)


def test_batch_keeps_its_order_and_its_faults() -> None:
    """A bad item of a batch does not spoil the others."""
    body = b'[{"jsonrpc":"2.0","method":"a","id":1},7,{"jsonrpc":"2.0","method":"b","id":2}]'
    parsed = parse(body, LIMITS)
    assert parsed.is_batch
    assert [getattr(item, "method", None) for item in parsed.items] == ["a", None, "b"]


def test_error_carries_data_only_where_there_is_some() -> None:
    plain = json.loads(encode_error(1, RpcError(-32000, "no")))
    assert plain == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}}
    assert json.loads(encode_error(1, RpcError(3, "no", "0x")))["error"]["data"] == "0x"


def test_result_that_is_no_json_is_an_internal_error() -> None:
    assert json.loads(encode_result(1, b"bytes"))["error"]["code"] == -32603


@pytest.mark.parametrize("identity", [1, -5, 1.5, "a\n\u00e9", "", None])
def test_what_is_rendered_is_shown_as_it_would_be(identity: str | float | None) -> None:
    for result in ([], {"a": "\u00e9"}, [1, "2", None]):
        whole = encode_result(identity, result)
        assert encode_result(identity, Rendered((orjson.dumps(result),))) == whole


def test_batch_of_notifications_has_no_body() -> None:
    assert encode_batch([]) == b""
    assert json.loads(encode_batch([b"1", b"2"])) == [1, 2]
    assert batch_pieces([]) == []


@pytest.mark.parametrize("sizes", [(1,), (40_000,), (1, 40_000, 1), (40_000, 40_000), (9,) * 9_000])
def test_pieces_of_a_batch_are_the_batch(sizes: tuple[int, ...]) -> None:
    """Short answers are copied together, long ones are not copied."""
    answers = [b"%0*d" % (size, 7) for size in sizes]
    pieces = batch_pieces(answers)
    assert b"".join(pieces) == encode_batch(answers)
    assert size_of(pieces) == len(encode_batch(answers)) == size_of(encode_batch(answers))
    assert len(pieces) <= 2 * sum(size >= 32_768 for size in sizes) + 4
    kept = {id(piece) for piece in pieces}
    assert all(id(answer) in kept for answer in answers if len(answer) >= 32_768)
