"""What a node and its signer process say to each other over a Unix socket.

A frame is its length (4 bytes, big-endian) and that many bytes of msgpack, one array:

    node     [number, "hello", chain id]
             [number, "sign", kind, height, round, block id, valid round]
             [number, "prove", alpha]
             [number, "claim", operator]
             [number, "introduce", node key, time]
    signer   [number, true, bytes]      the public key, signature, proof or signature
             [number, false, reason]

Each request gets one answer with its number, in the order of the requests. Whoever sends anything
else is hung up on. A request may be sent again on another connection: the same vote gets the same
signature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from ghostchain.encoding.votes import VoteKind
from ghostchain.primitives.errors import GhostError
from ghostchain.storage.highwater import Request

FRAME_BYTES_MAX = 1_024
LENGTH_BYTES = 4
ALPHA_BYTES_MAX = 256
REASON_CHARACTERS_MAX = 256


class InvalidFrame(GhostError):
    """What the other side sent is not of this protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first request of a connection. The signer answers with its public key."""

    chain_id: int


@dataclass(frozen=True, slots=True)
class Sign:
    """For the signature of a vote."""

    request: Request


@dataclass(frozen=True, slots=True)
class Prove:
    """For the proof of randomness from this input."""

    alpha: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """For the signature by which the operator, 20 bytes, registers the key."""

    operator: bytes


@dataclass(frozen=True, slots=True)
class Introduce:
    """For the signature by which peers know a node, 32 bytes, as the key's. time: in Unix
    milliseconds."""

    node_key: bytes
    time: int


Ask = Hello | Sign | Prove | Claim | Introduce


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for, or b"" and the reason why not."""

    result: bytes
    reason: str = ""


def encode_ask(number: int, ask: Ask) -> bytes:
    """The frame of a request. Raises: OverflowError for numbers beyond 64 bits."""
    if isinstance(ask, Hello):
        return _frame([number, "hello", ask.chain_id])
    if isinstance(ask, Sign):
        it = ask.request
        return _frame(
            [number, "sign", int(it.kind), it.height, it.round, it.block_id, it.valid_round]
        )
    if isinstance(ask, Prove):
        return _frame([number, "prove", ask.alpha])
    if isinstance(ask, Claim):
        return _frame([number, "claim", ask.operator])
    return _frame([number, "introduce", ask.node_key, ask.time])


def encode_answer(number: int, answer: Answer) -> bytes:
    """The frame of an answer; a long reason is cut."""
    if answer.reason:
        return _frame([number, False, answer.reason[:REASON_CHARACTERS_MAX]])
    return _frame([number, True, answer.result])


def decode_ask(payload: bytes) -> tuple[int, Ask]:
    """(number, request) of a frame without its length. Raises: InvalidFrame."""
    number, name, fields = _unpacked(payload)
    decode = _ASKS.get(name) if isinstance(name, str) else None
    if decode is None:
        raise InvalidFrame(f"no such request: {name!r:.40}")
    ask = decode(fields)
    if encode_ask(number, ask)[LENGTH_BYTES:] != payload:
        raise InvalidFrame("a request in other words than its own")
    return number, ask


def decode_answer(payload: bytes) -> tuple[int, Answer]:
    """(number, answer) of a frame without its length. Raises: InvalidFrame."""
    number, is_result, fields = _unpacked(payload)
    if len(fields) != 1 or not isinstance(is_result, bool):
        raise InvalidFrame("not an answer")
    if is_result:
        answer = Answer(_bytes(fields[0], 0, FRAME_BYTES_MAX))
    else:
        if not isinstance(fields[0], str) or not fields[0]:
            raise InvalidFrame("a refusal without a reason")
        answer = Answer(b"", fields[0])
    if encode_answer(number, answer)[LENGTH_BYTES:] != payload:
        raise InvalidFrame("an answer in other words than its own")
    return number, answer


def frame_length(head: bytes) -> int:
    """How many bytes follow a frame's first four. Raises: InvalidFrame."""
    length = int.from_bytes(head, "big")
    if not 1 <= length <= FRAME_BYTES_MAX:
        raise InvalidFrame(f"a frame of {length} bytes")
    return length


def _frame(fields: list[Any]) -> bytes:
    data: bytes = msgpack.packb(fields)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def _unpacked(payload: bytes) -> tuple[int, object, list[object]]:
    if len(payload) > FRAME_BYTES_MAX:
        raise InvalidFrame(f"a frame of {len(payload)} bytes")
    try:
        fields = msgpack.unpackb(payload)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise InvalidFrame(f"not msgpack: {error}") from error
    if not isinstance(fields, list) or len(fields) < 3:
        raise InvalidFrame("not an array of three or more")
    return _integer(fields[0], 0, (1 << 64) - 1), fields[1], fields[2:]


def _integer(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise InvalidFrame(f"{value!r:.40} is not from {least} to {most}")
    return value


def _bytes(value: object, least: int, most: int) -> bytes:
    if type(value) is not bytes or not least <= len(value) <= most:
        raise InvalidFrame(f"not {least} to {most} bytes")
    return value


def _only(fields: list[object]) -> object:
    if len(fields) != 1:
        raise InvalidFrame(f"{len(fields)} fields, not one")
    return fields[0]


def _decode_sign(fields: list[object]) -> Ask:
    if len(fields) != 5:
        raise InvalidFrame(f"a vote of {len(fields)} fields")
    return Sign(
        Request(
            VoteKind(_integer(fields[0], 1, 3)),
            _integer(fields[1], 0, (1 << 64) - 1),
            _integer(fields[2], 0, (1 << 32) - 1),
            _bytes(fields[3], 32, 32),
            _integer(fields[4], -1, (1 << 32) - 2),
        )
    )


def _decode_introduce(fields: list[object]) -> Introduce:
    if len(fields) != 2:
        raise InvalidFrame(f"{len(fields)} fields of an introduction")
    return Introduce(_bytes(fields[0], 32, 32), _integer(fields[1], 0, (1 << 64) - 1))


_ASKS: dict[str, Callable[[list[object]], Ask]] = {
    "hello": lambda fields: Hello(_integer(_only(fields), 0, (1 << 64) - 1)),
    "sign": _decode_sign,
    "prove": lambda fields: Prove(_bytes(_only(fields), 0, ALPHA_BYTES_MAX)),
    "claim": lambda fields: Claim(_bytes(_only(fields), 20, 20)),
    "introduce": _decode_introduce,
}
