"""JSON-RPC 2.0 without I/O: bytes in, calls or errors out; results in, bytes out.

Every body has a parse: a malformed one gives faults, which are answered like results. Nothing
here raises on input.

Spec: https://www.jsonrpc.org/specification; limits and wording as geth's `rpc` package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from ghostchain.rpc.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    RESPONSE_TOO_LARGE,
    RpcError,
)

Id = str | int | float | None
# A response body, whole or in pieces that need not be copied together.
Answer = bytes | list[bytes]
# What is shorter is copied together with its neighbours.
PIECE_BYTES_MIN = 32 * 1024
# What JSON's values become, of which true and false are no ids.
ID_TYPES = frozenset({str, int, float, type(None)})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may weigh. response_bytes_max: of a batch's answers together;
    answer_bytes_max: of the answer to a request that came alone. unfinished_bytes_max: of what is
    made of the answers to all batches under way. values_max: of values in its JSON, about."""

    body_bytes_max: int = 5 * 1024 * 1024
    batch_items_max: int = 1000
    response_bytes_max: int = 25_000_000
    answer_bytes_max: int = 150_000_000
    unfinished_bytes_max: int = 512 * 1024 * 1024
    values_max: int = 120_000


@dataclass(slots=True)
class Call:
    """One method to run. A notification is run and not answered. is_positional: False where params
    were no array, which is said only of methods that are known: a wallet's own take objects, and
    who asks a node for them must learn that it has none."""

    id: Id
    method: str
    params: list[Any]
    is_notification: bool = False
    is_positional: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """An item that is not a call, or cannot be run; error is its answer."""

    id: Id
    error: RpcError
    is_notification: bool = False


@dataclass(slots=True)
class Parsed:
    """A body: its items in order, and whether the answer is an array."""

    items: tuple[Call | Fault, ...]
    is_batch: bool


def parse(body: bytes, limits: Limits) -> Parsed:
    """The calls of a request body.

    A body that is not JSON (nesting beyond 1,024 included), or has too many values, is one
    PARSE_ERROR; an empty or
    oversized batch is one INVALID_REQUEST; an item of a batch that is no call is a Fault among
    the others.
    """
    if len(body) > limits.body_bytes_max:
        return alone(RpcError(INVALID_REQUEST, "request entity too large"))
    if len(body) > limits.values_max and values_at_most(body) > limits.values_max:
        most = limits.values_max
        return alone(RpcError(PARSE_ERROR, f"parse error: more than {most} values"))
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return alone(RpcError(PARSE_ERROR, f"parse error: {error}"))
    if not isinstance(document, list):
        return Parsed((parse_item(document),), is_batch=False)
    if not document:
        return alone(RpcError(INVALID_REQUEST, "empty batch"))
    if len(document) > limits.batch_items_max:
        return alone(RpcError(INVALID_REQUEST, "batch too large"))
    return Parsed(tuple(map(parse_item, document)), is_batch=True)


# Foundry's client gives the options of these as `params` itself, not in a list.
BY_NAME = frozenset({"anvil_reorg"})


def values_at_most(body: bytes) -> int:
    """No fewer values than the JSON has: reading takes time for each of them, and holds up
    everybody else meanwhile, where long texts take next to none."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def alone(error: RpcError) -> Parsed:
    """A body that is refused as a whole."""
    return Parsed((Fault(None, error),), is_batch=False)


def parse_item(item: Any) -> Call | Fault:
    if not isinstance(item, dict):
        return Fault(None, RpcError(INVALID_REQUEST, "invalid request"))
    identity = item.get("id")
    if type(identity) not in ID_TYPES:
        return Fault(None, RpcError(INVALID_REQUEST, "invalid request: bad id"))
    method = item.get("method")
    if item.get("jsonrpc") != "2.0" or not isinstance(method, str) or not method:
        return Fault(identity, RpcError(INVALID_REQUEST, "invalid request"))
    params = item.get("params")
    if isinstance(params, dict) and params and method in BY_NAME:
        params = [params]
    is_positional = type(params) is list or params is None or params == {}
    arguments = params if type(params) is list else []
    return Call(identity, method, arguments, "id" not in item, is_positional)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A result that is JSON already, and perhaps long: parts one after the other, bytes or other
    buffers, which are copied once. owner: what their memory belongs to."""

    parts: tuple[Any, ...]
    owner: Any = None


def encode_result(identity: Id, result: Any) -> bytes:
    """A response. Results are Rendered, or hold only str, bool, None, float, list and dict, so this
    cannot fail but by a fault of ours, which is then the answer."""
    if type(result) is Rendered:
        head = b'{"jsonrpc":"2.0","id":'
        return b"".join((head, orjson.dumps(identity), b',"result":', *result.parts, b"}"))
    try:
        return orjson.dumps({"jsonrpc": "2.0", "id": identity, "result": result})
    except TypeError as error:
        return encode_error(identity, RpcError(INTERNAL_ERROR, f"result is not JSON: {error}"))


def encode_error(identity: Id, error: RpcError) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": identity, "error": error.as_json()})


def encode_notification(subscription: str, result: Any) -> bytes:
    """What a WebSocket client receives for its subscription."""
    return orjson.dumps(
        {
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": {"subscription": subscription, "result": result},
        }
    )


def response_too_large(identity: Id) -> bytes:
    return encode_error(identity, RpcError(RESPONSE_TOO_LARGE, "response too large"))


def encode_batch(answers: Iterable[bytes]) -> bytes:
    """The array of the answers; b"" when there is none (only notifications were sent)."""
    parts = [b"["]
    for answer in answers:
        parts += (answer, b",")
    if len(parts) == 1:
        return b""
    parts[-1] = b"]"
    return b"".join(parts)


def batch_pieces(answers: Iterable[bytes]) -> list[bytes]:
    """As `encode_batch`, in pieces: long answers as they are, short ones together."""
    pieces: list[bytes] = []
    short = [b"["]
    size = 1
    for answer in answers:
        if len(answer) >= PIECE_BYTES_MIN:
            pieces += (b"".join(short), answer)
            short, size = [], 0
        else:
            short.append(answer)
            size += len(answer)
            if size >= PIECE_BYTES_MIN:
                pieces.append(b"".join(short))
                short, size = [], 0
        short.append(b",")
    if not pieces and len(short) == 1:
        return []
    short[-1] = b"]"
    pieces.append(b"".join(short))
    return pieces


def size_of(answer: Answer) -> int:
    """Bytes."""
    return len(answer) if isinstance(answer, bytes) else sum(map(len, answer))
