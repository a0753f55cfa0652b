"""The RLPTests of ethereum/tests."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ghostchain.encoding import rlp
from ghostchain.encoding.transactions import TransactionBatch, decode_transaction
from ghostchain.primitives.errors import InvalidEncoding, InvalidTransaction

ARCHIVE = "ethereum_tests.tar.xz"


@cache
def vectors(archive: Path, folder: str) -> list[tuple[str, Any]]:
    """(name, vector) of all the JSON files below the folder."""

    def read() -> Iterator[tuple[str, Any]]:
        with tarfile.open(archive) as tar:
            for member in tar:
                if f"/{folder}/" in f"/{member.name}" and member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    yield from json.load(file).items()

    return list(read())


def rlp_value(value: Any) -> Any:
    """A vector's notation: text for bytes, numbers, #decimals, lists."""
    if isinstance(value, list):
        return [rlp_value(part) for part in value]
    if isinstance(value, int):
        return rlp.integer_bytes(value)
    return rlp.integer_bytes(int(value[1:])) if value[:1] == "#" else value.encode("latin-1")


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def test_rlp_vectors(fixture_archive: Callable[[str], Path]) -> None:
    """Valid ones encode to their bytes and decode to their value, invalid ones are refused."""
    found = vectors(fixture_archive(ARCHIVE), "RLPTests")
    assert len(found) == 55
    for name, vector in found:
        encoded = unhex(vector["out"])
        if vector["in"] == "INVALID":
            with pytest.raises(InvalidEncoding) as refusal:
                rlp.decode(encoded)
            assert refusal.value.reason is not None, name
        elif vector["in"] == "VALID":
            assert rlp.encode(rlp.decode(encoded)) == encoded, name
        else:
            value = rlp_value(vector["in"])
            assert rlp.decode(encoded) == value, name
            assert rlp.encode(value) == encoded, name


def test_rlp_vectors_inside_transactions(fixture_archive: Callable[[str], Path]) -> None:
    """The native reader meets every vector as a transaction and as a field of one, and judges it
    as the Python codec does."""
    found = vectors(fixture_archive(ARCHIVE), "RLPTests")
    for name, vector in found:
        encoded = unhex(vector["out"])
        for position in range(9):
            fields = [b"\x80"] * 9
            fields[position] = encoded
            for raw in (rlp.list_of(fields), b"\x02" + rlp.list_of(fields), encoded):
                reason = TransactionBatch.decode([raw]).reason(0)
                with pytest.raises(InvalidTransaction) as refusal:
                    decode_transaction(raw)
                assert reason == refusal.value.reason, name
