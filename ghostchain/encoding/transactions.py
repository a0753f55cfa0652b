"""Transactions many at once: the door to `native/rlp`.

`TransactionBatch` decodes, hashes and recovers natively; blocks, the pool and the executor work on
it. Transactions one at a time are `encoding/codec.py`, whose names stand here too.

Spec and order of refusal: those of `encoding/codec.py`.
Oracle: that codec over valid and mutated bytes, eth-account, and the TransactionTests of
ethereum/tests, in tests/oracle/test_transactions.py and tests/conformance.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

from ghostchain._native import ffi, lib
from ghostchain.crypto.schemes import verify
from ghostchain.encoding.codec import (
    SIGNATURE_ORDER,
    SIZE_MAX,
    authorization_payload,
    decode_transaction,
    encode_transaction,
    payer_payload,
    signing_payload,
    unwrap,
)
from ghostchain.primitives.errors import (
    EncodingReason,
    InvalidEncoding,
    InvalidTransaction,
    TransactionReason,
)
from ghostchain.primitives.transaction import (
    AccessEntry,
    Authorization,
    Call,
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32

LENGTH_MIN = 10
"""No transaction is shorter: nine fields of a byte each under a head."""

SHARE = 16
"""Transactions whose signatures a thread verifies at a time: a few milliseconds of work."""

__all__ = [
    "SIGNATURE_ORDER",
    "SIZE_MAX",
    "TransactionBatch",
    "authorization_payload",
    "decode_transaction",
    "encode_transaction",
    "payer_payload",
    "signing_payload",
    "split_transactions",
    "unwrap",
]


def split_transactions(body: bytes) -> tuple[bytes, ...]:
    """The canonical bytes of each transaction in the payload of a block's list of them.

    Raises: InvalidEncoding NOT_CANONICAL (or cut), when an item has no type byte or carries a blob
    sidecar too; TOO_LONG when there are more items than can be transactions.
    Cost: about 0.2 microseconds for a transfer.
    """
    count_max = len(body) // LENGTH_MIN
    bounds = ffi.new("size_t[]", 2 * count_max)
    count = ffi.new("size_t *")
    status = lib.ghost_tx_split(bounds, count, ffi.from_buffer(body), len(body), count_max)
    if status == lib.GHOST_LIMIT:
        message = f"more than {count_max} transactions in {len(body)} bytes"
        raise InvalidEncoding(EncodingReason.TOO_LONG, message)
    if status != lib.GHOST_OK:
        message = "an item that is no transaction in its canonical form"
        raise InvalidEncoding(EncodingReason.NOT_CANONICAL, message)
    edges = ffi.unpack(bounds, 2 * count[0])
    return tuple([body[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)])


class TransactionBatch:
    """A growing list of natively decoded transactions.

    Item i stands at `pointer[i]`, a `ghost_tx` for the other kernels; the getters read single
    fields of it. Where `reason(i)` is not OK only `hash(i)` means anything. A batch belongs to one
    thread at a time; decoding, recovering and copying release the interpreter lock.
    """

    __slots__ = ("__weakref__", "_batch", "_count", "_is_part", "_items", "_recovered")

    def __init__(self) -> None:
        batch = lib.ghost_tx_batch_new()
        if batch == ffi.NULL:
            raise MemoryError("the native core found no memory for transactions")
        self._batch = ffi.gc(batch, lib.ghost_tx_batch_free)
        self._items: Any = ffi.NULL
        self._count = 0
        self._recovered = 0
        self._is_part = False

    @classmethod
    def decode(
        cls, raws: Sequence[bytes], *, size_max: int = SIZE_MAX, allows_unsigned: bool = False
    ) -> TransactionBatch:
        """The batch of these transactions, each with its own reason; see `append`."""
        batch = cls()
        batch.append(raws, size_max=size_max, allows_unsigned=allows_unsigned)
        return batch

    @classmethod
    def stored(
        cls, record: bytes, raws_at: int, ends: Sequence[int], senders_at: int
    ) -> TransactionBatch:
        """The transactions that stand in a record one behind the other from raws_at on, up to
        these ends counted from there; from senders_at on, 20 bytes each, stand their senders.
        Unsigned ones are taken, as of `append`. The record is this node's own."""
        batch = cls()
        start: Any = ffi.from_buffer("uint8_t[]", record)
        offsets = ffi.new("size_t[]", [0, *ends])
        status = lib.ghost_tx_batch_decode(
            batch._batch, start + raws_at, offsets, len(ends), SIZE_MAX, lib.GHOST_TX_UNSIGNED
        )
        batch._adopt(status)
        batch._recover(start + senders_at, 0)
        return batch

    @classmethod
    def gather(cls, places: Iterable[tuple[TransactionBatch, int]]) -> TransactionBatch:
        """A new batch of copies of transactions from other batches, in this order.

        Senders come along where all of a source was recovered.
        Raises: IndexError.
        """
        chosen = list(places)
        batch = cls()
        pointers = ffi.new("ghost_tx *[]", [source._place(index) for source, index in chosen])
        batch._adopt(lib.ghost_tx_batch_append(batch._batch, pointers, len(chosen)))
        if all(source._recovered == source._count for source, _ in chosen):
            batch._recovered = batch._count
        return batch

    def select(self, indices: Iterable[int]) -> TransactionBatch:
        """A new batch of copies of these items, in this order. Raises: IndexError."""
        return self.gather((self, index) for index in indices)

    def parts(self, counts: Sequence[int]) -> list[TransactionBatch]:
        """The items in runs of so many each, one after the other: views of what they are now, which
        neither grow nor are recovered apart.

        Raises: ValueError when the counts are not those of all items.
        """
        if sum(counts) != self._count:
            raise ValueError(f"parts of {sum(counts)} items, but there are {self._count}")
        parts, start = [], 0
        for count in counts:
            part = TransactionBatch.__new__(TransactionBatch)
            part._batch = self._batch
            part._items = self._items + start if count else ffi.NULL
            part._count = count
            part._recovered = count if self._recovered == self._count else 0
            part._is_part = True
            parts.append(part)
            start += count
        return parts

    def append(
        self, raws: Sequence[bytes], *, size_max: int = SIZE_MAX, allows_unsigned: bool = False
    ) -> None:
        """Decodes more transactions behind those that are there.

        raws are canonical bytes or the network form of type 3, whose sidecar is left out (see
        `sidecar_length`). size_max bounds one transaction's canonical bytes. Each gets its own
        reason: structure, signature ranges and EIP-2 are checked, the sender is not recovered.
        allows_unsigned: of a development chain's own pool and blocks (`encoding/unsigned.py`).
        Effects: pointers and cdata of earlier items are no longer valid.
        Cost: about 0.4 microseconds for a transfer, hashes included.
        """
        assert not self._is_part, "a part of a batch does not grow"
        offsets = ffi.new("size_t[]", list(accumulate(map(len, raws), initial=0)))
        data = ffi.from_buffer(b"".join(raws))
        flags = lib.GHOST_TX_UNSIGNED if allows_unsigned else 0
        status = lib.ghost_tx_batch_decode(self._batch, data, offsets, len(raws), size_max, flags)
        self._adopt(status)

    def recover(self, *, senders: Sequence[bytes] | None = None, threads: int = 0) -> None:
        """Finds the senders, and the authorities of EIP-7702, of all items not yet recovered.

        senders: those of the items not yet recovered, where an earlier recovery of the same bytes
        found them; only authorities are looked for then, and no signature of a GhostTx is verified
        again. Raises: ValueError when they do not fit.
        threads: at most so many, 0 for one per core. Where a sender cannot be recovered, or its
        signature does not hold, the reason becomes SIGNATURE_INVALID; where the fee payer's does
        not, PAYER_SIGNATURE; an authority that cannot be recovered is only marked.
        Cost: see `crypto/schemes.py` for a signature that is not of secp256k1.
        """
        assert not self._is_part, "the whole of a batch is recovered"
        known = ffi.NULL
        if senders is not None:
            joined = b"".join(senders)
            wanted = self._count - self._recovered
            if len(senders) != wanted or len(joined) != 20 * wanted:
                raise ValueError("one sender of 20 bytes for each item that is not yet recovered")
            known = ffi.from_buffer(joined)
        self._recover(known, threads)

    def _recover(self, known: Any, threads: int) -> None:
        unverified = ffi.new("size_t *")
        _check_memory(
            lib.ghost_tx_batch_recover(self._batch, self._recovered, known, threads, unverified)
        )
        if unverified[0]:
            self._verify(self._recovered, threads)
        self._recovered = self._count

    def _verify(self, first: int, threads: int) -> None:
        """Settles the signatures that native recovery left open, in items from first on. Until then
        the items count as refused, so nothing that ends this early lets one through."""
        stride, at = ffi.sizeof("ghost_tx"), ffi.offsetof("ghost_tx", "unverified")
        marks = memoryview(self._buffer())[at::stride].tolist()
        items = [self._items[index] for index in range(first, self._count) if marks[index]]
        shares = [items[start : start + SHARE] for start in range(0, len(items), SHARE)]
        workers = min(threads or os.cpu_count() or 1, len(shares))
        if workers == 1:
            _settle(items)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
            for _ in pool.map(_settle, shares):
                pass

    def __len__(self) -> int:
        return self._count

    @property
    def pointer(self) -> Any:
        """cffi `ghost_tx *` to the items, valid while the batch lives and nothing is appended."""
        return self._items

    def reason(self, index: int) -> TransactionReason:
        return TransactionReason(self._item(index).reason)

    def first_invalid(self) -> int | None:
        """The index of the first item whose reason is not OK. Cost: 0.1 microseconds an item."""
        if not self._count:
            return None
        stride = ffi.sizeof("ghost_tx") // 4
        view = memoryview(self._buffer()).cast("i")
        reasons = view[ffi.offsetof("ghost_tx", "reason") // 4 :: stride].tolist()
        return next((index for index, reason in enumerate(reasons) if reason), None)

    def hash(self, index: int) -> Hash32:
        """keccak256 of the canonical bytes; where decoding failed, of the bytes as they came."""
        return Hash32(ffi.buffer(self._item(index).hash)[:])

    def hashes(self) -> list[Hash32]:
        """The hash of every item."""
        return [Hash32(digest) for digest in self._column("hash", 32)]

    def sender(self, index: int) -> Address:
        """Who signed. Raises: ValueError before `recover`."""
        item = self._item(index)
        if index >= self._recovered:
            raise ValueError("senders are known after recover()")
        return Address(ffi.buffer(item.sender)[:])

    def senders(self) -> list[Address]:
        """The sender of every item. Raises: ValueError before `recover`."""
        if self._recovered != self._count:
            raise ValueError("senders are known after recover()")
        return [Address(sender) for sender in self._column("sender", 20)]

    def raw(self, index: int) -> bytes:
        """The canonical bytes, as in a block."""
        item = self._item(index)
        return _bytes(item.raw, item.raw_length)

    def raws(self) -> list[bytes]:
        """The canonical bytes of every item."""
        return [self.raw(index) for index in range(self._count)]

    def is_unsigned(self, index: int) -> bool:
        """Whether the signature is the marker of `encoding/unsigned.py`."""
        return bool(self._item(index).is_unsigned)

    def type(self, index: int) -> int:
        return int(self._item(index).type)

    def nonce(self, index: int) -> int:
        return int(self._item(index).nonce)

    def gas_limit(self, index: int) -> int:
        return int(self._item(index).gas_limit)

    def max_fee_per_gas(self, index: int) -> int:
        """In wei; the gas price of types 0 and 1."""
        return _integer(self._item(index).max_fee_per_gas)

    def max_priority_fee_per_gas(self, index: int) -> int:
        """In wei; the gas price of types 0 and 1."""
        return _integer(self._item(index).max_priority_fee_per_gas)

    def size(self, index: int) -> int:
        """Canonical bytes."""
        return int(self._item(index).raw_length)

    def sidecar_length(self, index: int) -> int:
        """Bytes of the network form beyond the canonical ones, 0 without a sidecar."""
        return int(self._item(index).sidecar_length)

    def transaction(self, index: int) -> Transaction:
        """The item as a record. Raises: InvalidTransaction when its reason is not OK."""
        item = self._item(index)
        if item.reason:
            raise InvalidTransaction(TransactionReason(item.reason))
        return _record(item)

    def _item(self, index: int) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(f"transaction {index} of {self._count}")
        return self._items[index]

    def _place(self, index: int) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(f"transaction {index} of {self._count}")
        return self._items + index

    def _adopt(self, status: int) -> None:
        """Looks again where the items are, after they became more."""
        _check_memory(status)
        self._items = lib.ghost_tx_batch_items(self._batch)
        self._count = lib.ghost_tx_batch_count(self._batch)

    def _buffer(self) -> Any:
        return ffi.buffer(self._items, self._count * ffi.sizeof("ghost_tx"))

    def _column(self, field: str, width: int) -> list[bytes]:
        if not self._count:
            return []
        buffer, stride = self._buffer(), ffi.sizeof("ghost_tx")
        start = ffi.offsetof("ghost_tx", field)
        return [buffer[at : at + width] for at in range(start, self._count * stride, stride)]


def _check_memory(status: int) -> None:
    if status == lib.GHOST_OUT_OF_MEMORY:
        raise MemoryError("the native core found no memory for transactions")
    assert status == lib.GHOST_OK, status


def _bytes(pointer: Any, length: int) -> bytes:
    return bytes(ffi.buffer(pointer, length)) if length else b""


def _integer(field: Any) -> int:
    """A 32-byte big-endian field."""
    return int.from_bytes(ffi.buffer(field), "big")


def _settle(items: Iterable[Any]) -> None:
    """The reason of each `ghost_tx` is what its open signatures make of it."""
    for item in items:
        _settle_one(item)


def _settle_one(item: Any) -> None:
    """The sender's signature is told before the fee payer's."""
    if item.unverified & lib.GHOST_TX_UNVERIFIED_SENDER:
        digest = ffi.buffer(item.signing_hash)[:]
        if not verify(_signature_record(item.signature), digest):
            item.reason = lib.GHOST_TX_SIGNATURE_INVALID
            return
    if item.reason == lib.GHOST_TX_PAYER_SIGNATURE:
        return
    if item.unverified & lib.GHOST_TX_UNVERIFIED_PAYER:
        digest = ffi.buffer(item.payer_signing_hash)[:]
        if not verify(_signature_record(item.payer_signature), digest):
            item.reason = lib.GHOST_TX_PAYER_SIGNATURE
            return
    item.reason = lib.GHOST_TX_OK


def _record(item: Any) -> Transaction:
    """The record of a `ghost_tx`."""
    entries = (item.access_list[i] for i in range(item.access_count))
    hashes = _bytes(item.blob_hashes, 32 * item.blob_count)
    is_ghost = item.type == TransactionType.GHOST
    return Transaction(
        type=item.type,
        chain_id=item.chain_id if item.has_chain_id else None,
        nonce=item.nonce,
        max_fee_per_gas=_integer(item.max_fee_per_gas),
        max_priority_fee_per_gas=_integer(item.max_priority_fee_per_gas),
        gas_limit=item.gas_limit,
        to=None if is_ghost else _recipient(item),
        value=0 if is_ghost else _integer(item.value),
        data=b"" if is_ghost else _bytes(item.data, item.data_length),
        access_list=tuple(
            AccessEntry(
                Address(ffi.buffer(entry.address)[:]),
                _hash_tuple(_bytes(entry.keys, 32 * entry.key_count)),
            )
            for entry in entries
        ),
        max_fee_per_blob_gas=_integer(item.max_fee_per_blob_gas),
        blob_versioned_hashes=_hash_tuple(hashes),
        authorizations=tuple(
            _authorization_record(item.authorizations[i]) for i in range(item.authorization_count)
        ),
        calls=tuple(_call_record(item.calls[i]) for i in range(item.call_count)),
        fee_token=Address(ffi.buffer(item.fee_token)[:]) if item.has_fee_token else None,
        fee_payer=Address(ffi.buffer(item.fee_payer)[:]) if item.has_fee_payer else None,
        sender_signature=_signature_record(item.signature) if is_ghost else None,
        payer_signature=_signature_record(item.payer_signature) if item.has_fee_payer else None,
        y_parity=0 if is_ghost else item.y_parity,
        r=0 if is_ghost else _integer(item.r),
        s=0 if is_ghost else _integer(item.s),
    )


def _recipient(item: Any) -> Address | None:
    """Of a `ghost_tx` or a `ghost_tx_call`."""
    return None if item.is_create else Address(ffi.buffer(item.to)[:])


def _call_record(item: Any) -> Call:
    return Call(_recipient(item), _integer(item.value), _bytes(item.data, item.data_length))


def _signature_record(item: Any) -> SchemeSignature:
    return SchemeSignature(
        SignatureScheme(item.scheme),
        _bytes(item.key, item.key_length),
        _bytes(item.signature, item.signature_length),
    )


def _authorization_record(item: Any) -> Authorization:
    return Authorization(
        chain_id=_integer(item.chain_id),
        address=Address(ffi.buffer(item.address)[:]),
        nonce=item.nonce,
        y_parity=item.y_parity,
        r=_integer(item.r),
        s=_integer(item.s),
    )


def _hash_tuple(joined: bytes) -> tuple[Hash32, ...]:
    return tuple(Hash32(joined[start : start + 32]) for start in range(0, len(joined), 32))
