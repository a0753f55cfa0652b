"""What an executor is told of the state beforehand, out of undo records: it is believed, all else
is asked of the view, and records that do not add up are refused."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import BlockEnvironment, CallFlag, Executor, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Address, Hash32
from ghostchain.state.changes import compact
from ghostchain.state.undo import encode_undo

# Returns the slot, and the balance of the address, that its input names.
SLOAD = bytes.fromhex("5f35545f5260205ff3")
BALANCE = bytes.fromhex("5f35315f5260205ff3")
SLOAD_HASH = keccak256(SLOAD)
PROBE = Address(b"\xbb" * 20)
SENDER = Address(b"\xee" * 20)
ADDRESSES = [Address(bytes([0x10 + index]) * 20) for index in range(6)]
KEYS = [index.to_bytes(32, "big") for index in range(4)]
ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    chain_id=1,
    number=1,
    timestamp=1,
    gas_limit=30_000_000,
    base_fee=7,
    blob_base_fee_update_fraction=1,
    blobs_per_block_max=1,
)

# What the record and the view say of an account: its balance, None for absence, and its slots.
Told = tuple[int | None, dict[int, int]]
balances = st.none() | st.integers(0, 2**130)
slots = st.dictionaries(st.integers(0, len(KEYS) - 1), st.integers(0, 2**256 - 1))
accounts = st.dictionaries(st.integers(0, len(ADDRESSES) - 1), st.tuples(balances, slots))


def encoded(told: dict[int, Told]) -> bytes:
    ordered = sorted(told, key=lambda index: keccak256(ADDRESSES[index]))
    before, owners, hashed, values = [], [], [], []
    for place, index in enumerate(ordered):
        balance, held = told[index]
        # Code and storage, or neither: then it is stored short.
        code_hash, root = (SLOAD_HASH, bytes(32)) if held else (EMPTY_CODE_HASH, EMPTY_ROOT)
        record = Account(1, balance or 0, Hash32(root), Hash32(code_hash)).encode()
        before.append(b"" if balance is None else compact(record))
        for key in sorted(held, key=lambda key: keccak256(KEYS[key])):
            owners.append(place)
            hashed.append(keccak256(KEYS[key]))
            values.append(held[key].to_bytes(32, "big"))

    def column(items: list[bytes]) -> np.ndarray:
        return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), 32)

    names = [keccak256(ADDRESSES[index]) for index in ordered]
    return encode_undo(
        column(names), before, np.array(owners, np.int64), column(hashed), column(values)
    )


def view_of(told: dict[int, Told]) -> MemoryView:
    allocation = {PROBE: Allocation(nonce=1, code=BALANCE)}
    for index, (balance, held) in told.items():
        if balance is not None:
            storage = {KEYS[key]: value.to_bytes(32, "big") for key, value in held.items() if value}
            allocation[ADDRESSES[index]] = Allocation(1, balance, SLOAD, storage)
    view = MemoryView(allocation)
    view.codes[SLOAD_HASH] = SLOAD
    return view


def asked(executor: Executor, to: Address, word: bytes) -> int:
    message = Message(sender=SENDER, to=to, data=word.rjust(32, b"\0"), gas_limit=1_000_000)
    output = executor.call(ENVIRONMENT, message, flags=CallFlag.NO_BASE_FEE).output
    return int.from_bytes(output, "big")


def check(executor: Executor, known: dict[int, Told], viewed: dict[int, Told]) -> None:
    for index, address in enumerate(ADDRESSES):
        source = known if index in known else viewed
        balance, held = source.get(index, (None, {}))
        assert asked(executor, PROBE, address) == (balance or 0)
        has_code = balance is not None and (index not in known or bool(held))
        for key, word in enumerate(KEYS):
            value = 0
            if has_code:
                value = held.get(key, viewed.get(index, (None, {}))[1].get(key, 0))
                if key not in held and viewed.get(index, (None, {}))[0] is None:
                    value = 0
            assert asked(executor, address, word) == value


@given(accounts, accounts)
def test_what_is_known_is_believed(known: dict[int, Told], viewed: dict[int, Told]) -> None:
    """Before the view, which says something else; until a reset."""
    executor = Executor(view_of(viewed))
    assert executor.know(encoded(known))
    check(executor, known, viewed)
    executor.reset()
    check(executor, {}, viewed)


@given(accounts, st.data())
def test_records_that_do_not_add_up(known: dict[int, Told], data: st.DataObject) -> None:
    """Whatever the bytes are, they are refused or are read within their bounds."""
    record = bytearray(encoded(known))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(record) - 1)) if record else 0
        match data.draw(st.sampled_from(("change", "take", "add", "cut"))):
            case "change" if record:
                record[place] = data.draw(st.integers(0, 255))
            case "take" if record:
                del record[place]
            case "cut":
                del record[place:]
            case _:
                record.insert(place, data.draw(st.integers(0, 255)))
    executor = Executor(view_of({}))
    executor.know(bytes(record))
    for address in (*ADDRESSES, PROBE):
        asked(executor, PROBE, address)
        if address not in known:
            continue
        for word in KEYS:
            asked(executor, address, word)


def test_what_is_not_in_order_is_refused() -> None:
    """Searching relies on it. Nothing is known then, not even what was before."""
    good = encoded({0: (5, {0: 1, 1: 2}), 1: (6, {})})
    executor = Executor(view_of({}))
    assert executor.know(good)
    first, second = good[8:40], good[40:72]
    assert not executor.know(good.replace(first + second, second + first))
    assert asked(executor, PROBE, ADDRESSES[0]) == 0
    assert not executor.know(b"")
    keys = sorted(keccak256(KEYS[key]) for key in (0, 1))
    assert not executor.know(good.replace(b"".join(keys), keys[1] + keys[0]))
    assert not executor.know(good + b"\0")
    assert executor.know(bytes(8))
