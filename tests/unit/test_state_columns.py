"""What a block changed comes out the same row by row, as few rows are taken, and as columns."""

from __future__ import annotations

import random

import numpy as np

from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT
from ghostchain.state import store
from ghostchain.state.changes import ACCOUNT_CHANGES, FEW_ROWS, Column, compact_column, expand

COUNT = 5 * FEW_ROWS


def accounts(seed: int) -> Column:
    """Some plain, some with code or storage, some with more than 2^128 wei, some absent."""
    chance = random.Random(seed)
    column = np.zeros(COUNT, ACCOUNT_CHANGES)
    for row in column:
        row["hashed"] = np.frombuffer(chance.randbytes(32), np.uint8)
        row["existed"] = chance.random() < 0.8
        before = row["before"]
        before["nonce"] = chance.choice([0, 1, 255, 256, chance.getrandbits(64)])
        balance = chance.getrandbits(chance.choice([0, 8, 128, 129, 256]))
        before["balance"] = np.frombuffer(balance.to_bytes(32, "big"), np.uint8)
        has_more = chance.random() < 0.3
        root = chance.randbytes(32) if has_more else EMPTY_ROOT
        code = chance.randbytes(32) if chance.random() < 0.3 else EMPTY_CODE_HASH
        before["storage_root"] = np.frombuffer(root, np.uint8)
        before["code_hash"] = np.frombuffer(code, np.uint8)
    return column


def parts(column: Column) -> list[Column]:
    """As few rows at a time as are taken one by one."""
    return [column[start : start + FEW_ROWS] for start in range(0, COUNT, FEW_ROWS)]


def test_accounts_are_stored_the_same() -> None:
    for seed in range(20):
        column = accounts(seed)
        whole = compact_column(column["before"], column["existed"])
        assert whole == [
            value
            for part in parts(column)
            for value in compact_column(part["before"], part["existed"])
        ]
        for value, row in zip(whole, column, strict=True):
            found = expand(value)
            assert (found is not None) == bool(row["existed"])
            if found is not None:
                assert int.from_bytes(found[:8], "big") == row["before"]["nonce"]
                assert found[8:40] == row["before"]["balance"].tobytes()


def test_keys_are_the_same() -> None:
    hashed = np.ascontiguousarray(accounts(0)["hashed"])
    whole = store._keys(b"x", hashed, hashed[::-1], end=b"12345678")
    pieces = zip(parts(hashed), parts(hashed[::-1]), strict=True)
    assert whole == [key for piece in pieces for key in store._keys(b"x", *piece, end=b"12345678")]
    assert whole[0] == b"x" + hashed[0].tobytes() + hashed[-1].tobytes() + b"12345678"
