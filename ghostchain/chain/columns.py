"""Blocks as columns: numpy views of the native core's transactions and outcomes.

A block may hold 50,000 transactions; what the chain keeps of them (hashes, senders, receipts) is
taken out column by column, never by a Python object for each.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from ghostchain._native import ffi
from ghostchain.chain import fees
from ghostchain.chain.records import COUNT, FEE_RATE, BodyRecord, receipts_parts
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import BlockReason, InvalidBlock, InvalidTransaction
from ghostchain.primitives.errors import TransactionReason as Reason
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.changes import FEW_ROWS, Column, rows


def _fields(struct: str, **kinds: Any) -> np.dtype[Any]:
    """Some fields of a C struct as a numpy type over the whole of it; a__b is b inside of a."""
    return np.dtype(
        {
            "names": list(kinds),
            "formats": list(kinds.values()),
            "offsets": [ffi.offsetof(struct, *name.split("__")) for name in kinds],
            "itemsize": ffi.sizeof(struct),
        }
    )


TRANSACTIONS = _fields(
    "ghost_tx",
    reason="<i4",
    type="u1",
    hash=("u1", 32),
    sender=("u1", 20),
    raw_length="<u8",
    call_count="<u8",
    authorization_count="<u8",
    has_fee_payer="u1",
    is_unsigned="u1",
    signature__scheme="u1",
    payer_signature__scheme="u1",
)
OUTCOMES = _fields(
    "ghost_tx_outcome",
    reason="<i4",
    included="u1",
    success="u1",
    gas_used="<u8",
    cumulative_gas_used="<u8",
    log_count="<u8",
    receipt_offset="<u8",
    receipt_length="<u8",
)

# Whose accounts a fork asks for before a block runs, not one by one while it does.
PREFETCHED_TRANSACTIONS_MAX = 256


def transaction_columns(batch: TransactionBatch) -> Column:
    """The transactions of a batch, valid as long as the batch is unchanged."""
    return _column(batch.pointer, len(batch), TRANSACTIONS)


def outcome_columns(native: Any) -> Column:
    """The outcomes of a ghost_block_result, valid until the executor moves on."""
    return _column(native.outcomes, native.outcome_count, OUTCOMES)


def _column(pointer: Any, count: int, kind: np.dtype[Any]) -> Column:
    if count == 0:
        return np.zeros(0, kind)
    return np.frombuffer(ffi.buffer(pointer, count * kind.itemsize), kind)


def refuse_undecodable(batch: TransactionBatch) -> None:
    """Raises: InvalidBlock naming the first transaction that does not decode or recover."""
    wrong = np.flatnonzero(transaction_columns(batch)["reason"])
    if len(wrong):
        index = int(wrong[0])
        reason = batch.reason(index)
        raise InvalidBlock(
            BlockReason.INVALID_TRANSACTION,
            f"transaction {index} is invalid: {reason.name}",
            transaction=InvalidTransaction(reason),
            transaction_index=index,
        )


def gas_least(batch: TransactionBatch) -> int:
    """Gas that a block of these transactions uses at least, whatever they do: what each costs
    before it runs, less what can be given back. Needs no sender."""
    columns = transaction_columns(batch)
    has_scheme = columns["call_count"] > 0
    has_payer = columns["has_fee_payer"] != 0
    scheme, payer = columns["signature__scheme"], columns["payer_signature__scheme"]
    authorized = int(columns["authorization_count"].sum())
    gas = len(batch) * fees.GAS_TRANSACTION + authorized * fees.GAS_AUTHORIZATION
    for kind, cost in fees.GAS_SIGNATURE.items():
        gas += int((has_scheme & (scheme == kind)).sum()) * cost
        gas += int((has_payer & (payer == kind)).sum()) * (cost or fees.GAS_PAYER_SECP256K1)
    return gas - gas // fees.REFUND_DIVISOR


def refuse_overpromised(header: Header, batch: TransactionBatch) -> None:
    """Raises: InvalidBlock when the transactions cannot use as little gas as the header says. Their
    signatures are not worth a look then."""
    least = gas_least(batch)
    if header.gas_used < least:
        raise InvalidBlock(
            BlockReason.INVALID_GAS_USED,
            f"gas used {header.gas_used}, but {len(batch)} transactions use {least} at least",
        )


def own_batch(body: BodyRecord, count: int | None = None) -> TransactionBatch:
    """The transactions of a block of this chain, with the senders that its record keeps; the first
    `count` where it is given."""
    ends = body.ends if count is None else body.ends[:count]
    batch = TransactionBatch.stored(body.data, body.raws_at, ends, body.senders_at)
    if count is None:
        body.lend_batch(batch)
    return batch


def included_in(native: Any) -> list[int]:
    """The places of the candidates that a run took in, ascending."""
    count = native.outcome_count
    if count > FEW_ROWS:
        many: list[int] = np.flatnonzero(outcome_columns(native)["included"]).tolist()
        return many
    outcomes = native.outcomes
    few: list[int] = [place for place in range(count) if outcomes[place].included]
    return few


def any_unsigned(batch: TransactionBatch, indices: Sequence[int]) -> bool:
    """Whether one of these transactions was signed by nobody."""
    if len(indices) > FEW_ROWS:
        return bool(transaction_columns(batch)["is_unsigned"][indices].any())
    items = batch.pointer
    return any(items[index].is_unsigned for index in indices)


def lengths_of(batch: TransactionBatch) -> list[int]:
    """The bytes of each transaction of a batch, in its canonical form."""
    if len(batch) > FEW_ROWS:
        many: list[int] = transaction_columns(batch)["raw_length"].tolist()
        return many
    items = batch.pointer
    return [items[index].raw_length for index in range(len(batch))]


def raw_transactions(batch: TransactionBatch, indices: Sequence[int]) -> tuple[bytes, ...]:
    """The canonical bytes of some transactions of a batch."""
    items, buffer = batch.pointer, ffi.buffer
    return tuple(buffer(items[i].raw, items[i].raw_length)[:] for i in indices)


@dataclass(frozen=True, slots=True)
class CandidateOutcome:
    """What became of one candidate: its reason is OK when it is included, or when it was valid
    but did not fit."""

    included: bool
    reason: Reason


class CandidateOutcomes(Sequence[CandidateOutcome]):
    """The outcomes of all candidates of a block, in their order."""

    __slots__ = ("_included", "_reasons")

    def __init__(self, included: bytes, reasons: bytes) -> None:
        self._included = included
        self._reasons = reasons

    def __len__(self) -> int:
        return len(self._included)

    @property
    def are_all_included(self) -> bool:
        return 0 not in self._included

    @overload
    def __getitem__(self, index: int) -> CandidateOutcome: ...
    @overload
    def __getitem__(self, index: slice) -> list[CandidateOutcome]: ...
    def __getitem__(self, index: int | slice) -> CandidateOutcome | list[CandidateOutcome]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return CandidateOutcome(bool(self._included[index]), Reason(self._reasons[index]))


def candidate_outcomes(outcomes: Column, candidate_count: int) -> CandidateOutcomes:
    """A copy that outlives the executor's result; candidates beyond it were not tried."""
    if len(outcomes) <= FEW_ROWS:
        return CandidateOutcomes(
            bytes(outcomes["included"].tolist()).ljust(candidate_count, b"\0"),
            bytes(outcomes["reason"].tolist()).ljust(candidate_count, b"\0"),
        )
    return CandidateOutcomes(
        outcomes["included"].tobytes().ljust(candidate_count, b"\0"),
        outcomes["reason"].astype(np.uint8).tobytes().ljust(candidate_count, b"\0"),
    )


@dataclass(frozen=True, slots=True)
class Included:
    """What is kept of a block's transactions: type bytes, senders of 20 bytes each joined, and the
    hash of each (many of them: a column of 32 bytes each)."""

    types: bytes
    senders: bytes
    hashes: Sequence[bytes] | Column

    def names(self) -> list[Hash32]:
        """The hashes one by one."""
        found = rows(self.hashes) if isinstance(self.hashes, np.ndarray) else self.hashes
        return [Hash32(one) for one in found]

    def from_whom(self) -> list[Address]:
        """The senders one by one."""
        starts = range(0, len(self.senders), 20)
        return [Address(self.senders[start : start + 20]) for start in starts]


def included_columns(batch: TransactionBatch, native: Any) -> Included:
    """Copies of the transactions of a batch that a run took in."""
    places, items, buffer = included_in(native), batch.pointer, ffi.buffer
    if len(places) > FEW_ROWS:
        chosen = transaction_columns(batch)[places]
        senders = chosen["sender"].tobytes()
        return Included(chosen["type"].tobytes(), senders, chosen["hash"].copy())
    return Included(
        bytes([items[place].type for place in places]),
        b"".join([buffer(items[place].sender)[:] for place in places]),
        [buffer(items[place].hash)[:] for place in places],
    )


def receipts_record(native: Any, types: bytes) -> list[bytes]:
    """The parts of the receipts record. types: of the included transactions."""
    if native.outcome_count <= FEW_ROWS:
        return _few_receipts(native, types)
    outcomes = outcome_columns(native)
    rates = _fee_rates(native, outcomes)
    outcomes = outcomes[outcomes["included"] != 0]
    with_logs = outcomes[outcomes["log_count"] > 0]
    blob = ffi.buffer(native.receipts, native.receipts_length) if len(with_logs) else b""
    starts = with_logs["receipt_offset"].tolist()
    lengths = with_logs["receipt_length"].tolist()
    return receipts_parts(
        np.frombuffer(types, np.uint8),
        outcomes["success"],
        outcomes["cumulative_gas_used"],
        outcomes["log_count"],
        [blob[start : start + length] for start, length in zip(starts, lengths, strict=True)],
        rates,
    )


def _few_receipts(native: Any, types: bytes) -> list[bytes]:
    """`receipts_record` of a few transactions, one by one."""
    outcomes = [native.outcomes[place] for place in included_in(native)]
    blob = ffi.buffer(native.receipts, native.receipts_length) if native.receipts_length else b""
    receipts = [
        blob[one.receipt_offset : one.receipt_offset + one.receipt_length] if one.log_count else b""
        for one in outcomes
    ]
    count = len(outcomes)
    rates = _fee_rates(native, outcome_columns(native)) if native.fee_rate_count else ()
    return [
        COUNT.pack(count),
        types,
        bytes([one.success for one in outcomes]),
        struct.pack(f">{count}Q", *(one.cumulative_gas_used for one in outcomes)),
        struct.pack(f">{count}I", *(one.log_count for one in outcomes)),
        struct.pack(f">{count}I", *map(len, receipts)),
        *receipts,
        *(FEE_RATE.pack(place, rate) for place, rate in rates),
    ]


def _fee_rates(native: Any, outcomes: Column) -> list[tuple[int, bytes]]:
    """The rates by the place in the block."""
    if native.fee_rate_count == 0:
        return []
    places = np.cumsum(outcomes["included"] != 0) - 1
    rates = (native.fee_rates[i] for i in range(native.fee_rate_count))
    return [(int(places[item.index]), ffi.buffer(item.rate, 32)[:]) for item in rates]


def touched_by(batch: TransactionBatch) -> tuple[set[bytes], set[tuple[bytes, bytes]]]:
    """The accounts and slots that transactions name, as far as it pays to ask for them together."""
    addresses: set[bytes] = set()
    slots: set[tuple[bytes, bytes]] = set()
    for place, sender in enumerate(batch.senders()[:PREFETCHED_TRANSACTIONS_MAX]):
        transaction = batch.transaction(place)
        addresses |= {sender, *filter(None, [transaction.to])}
        for entry in transaction.access_list:
            addresses.add(entry.address)
            slots |= {(entry.address, key) for key in entry.keys}
    return addresses, slots
