"""Digests that wallets sign: personal messages (EIP-191) and typed data (EIP-712).

Oracle: eth-account, in tests/unit/test_rpc_typed_data.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import parse_data
from ghostchain.primitives.types import Hash32

DEPTH_MAX = 32
TYPES_MAX = 256
NUMBER_CHARACTERS_MAX = 80

ARRAY = re.compile(r"(.+)\[(\d{0,6})\]", re.ASCII)
INTEGER = re.compile(r"(u?)int(\d{0,3})", re.ASCII)
FIXED_BYTES = re.compile(r"bytes(\d{1,2})", re.ASCII)

Members = Sequence[tuple[str, str]]
Types = Mapping[str, Members]


def personal_message_digest(message: bytes) -> Hash32:
    """What eth_sign and personal_sign sign."""
    prefix = b"\x19Ethereum Signed Message:\n%d" % len(message)
    return keccak256(prefix + message)


def typed_data_digest(document: Any) -> Hash32:
    """What eth_signTypedData_v4 signs. Raises ValueError naming the fault."""
    if not isinstance(document, dict):
        raise ValueError("typed data is not an object")
    types = parse_types(document.get("types"))
    primary = document.get("primaryType")
    if not isinstance(primary, str) or (primary not in types and primary != "EIP712Domain"):
        raise ValueError("primaryType is not among the types")
    domain = hash_struct("EIP712Domain", document.get("domain"), types, 0)
    if primary == "EIP712Domain":
        return keccak256(b"\x19\x01" + domain)
    message = hash_struct(primary, document.get("message"), types, 0)
    return keccak256(b"\x19\x01" + domain + message)


def parse_types(value: Any) -> Types:
    if not isinstance(value, dict) or len(value) > TYPES_MAX:
        raise ValueError("types is not an object of at most 256 types")
    types: dict[str, Members] = {}
    for name, members in value.items():
        if not isinstance(members, list):
            raise ValueError(f"type {name} is not an array")
        parsed = []
        for member in members:
            if (
                not isinstance(member, dict)
                or not isinstance(member.get("name"), str)
                or not isinstance(member.get("type"), str)
            ):
                raise ValueError(f"type {name} has a member without name and type")
            parsed.append((member["name"], member["type"]))
        types[name] = parsed
    types.setdefault("EIP712Domain", [])
    return types


def element_type(kind: str) -> str:
    """The type inside all the brackets."""
    while (array := ARRAY.fullmatch(kind)) is not None:
        kind = array[1]
    return kind


def encode_type(name: str, types: Types) -> bytes:
    """The struct and all it refers to, those in alphabetical order."""
    found = {name}
    waiting = [name]
    while waiting:
        for _, kind in types[waiting.pop()]:
            element = element_type(kind)
            if element in types and element not in found:
                found.add(element)
                waiting.append(element)
    names = [name, *sorted(found - {name})]
    return "".join(
        f"{struct}({','.join(f'{kind} {member}' for member, kind in types[struct])})"
        for struct in names
    ).encode()


def hash_struct(name: str, value: Any, types: Types, depth: int) -> Hash32:
    if depth > DEPTH_MAX:
        raise ValueError("typed data is nested too deeply")
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    words = [keccak256(encode_type(name, types))]
    for member, kind in types[name]:
        if member not in value:
            raise ValueError(f"{name} lacks {member}")
        words.append(encode_value(kind, value[member], types, depth))
    return keccak256(b"".join(words))


def encode_value(kind: str, value: Any, types: Types, depth: int) -> Hash32:
    """One 32-byte word (EIP-712, definition of encodeData)."""
    if depth > DEPTH_MAX:
        raise ValueError("typed data is nested too deeply")
    array = ARRAY.fullmatch(kind)
    if array is not None:
        if not isinstance(value, list):
            raise ValueError(f"a value of {kind} is not an array")
        if array[2] and len(value) != int(array[2]):
            raise ValueError(f"a value of {kind} has {len(value)} items")
        words = [encode_value(array[1], item, types, depth + 1) for item in value]
        return keccak256(b"".join(words))
    if kind in types:
        return Hash32(bytes(32)) if value is None else hash_struct(kind, value, types, depth + 1)
    return encode_atom(kind, value)


def encode_atom(kind: str, value: Any) -> Hash32:
    if kind == "string":
        if not isinstance(value, str):
            raise ValueError("a string value is not a string")
        return keccak256(value.encode("utf-8", "surrogatepass"))
    if kind == "bytes":
        return keccak256(parse_data(value))
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError("a bool value is neither true nor false")
        return Hash32(int(value).to_bytes(32, "big"))
    if kind == "address":
        return Hash32(parse_data(value, length=20).rjust(32, b"\0"))
    fixed = FIXED_BYTES.fullmatch(kind)
    if fixed is not None and 1 <= int(fixed[1]) <= 32:
        return Hash32(parse_data(value, length=int(fixed[1])).ljust(32, b"\0"))
    integer = INTEGER.fullmatch(kind)
    if integer is not None:
        bits = int(integer[2] or 256)
        if bits % 8 == 0 and 8 <= bits <= 256:
            return encode_integer(parse_integer(value), bits, is_signed=not integer[1])
    raise ValueError(f"unknown type {kind[:64]}")


def parse_integer(value: Any) -> int:
    """Wallets send numbers, decimal text and hexadecimal text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= NUMBER_CHARACTERS_MAX:
        return int(value, 16 if value.lower().startswith("0x") else 10)
    raise ValueError("an integer value is not a number")


def encode_integer(value: int, bits: int, *, is_signed: bool) -> Hash32:
    low, high = (-(1 << bits - 1), 1 << bits - 1) if is_signed else (0, 1 << bits)
    if not low <= value < high:
        raise ValueError(f"an integer does not fit {bits} bits")
    return Hash32((value % (1 << 256)).to_bytes(32, "big"))
