"""Transactions 0 to 4: their bytes, the bytes their signature covers, and back. The door to
`native/rlp`.

`TransactionBatch` decodes, hashes and recovers many transactions natively; blocks, the pool and the
executor work on it. The codec below it is plain Python, one transaction at a time: what wallets,
tests and readers use, and the oracle of the native decoder. Both read in the same order, so that
bytes with several faults are refused for the same one: size, type byte, the outer list, the number
of fields, the fields from first to last, and then the signature (parity, range, upper half).

Spec: EIP-155, EIP-2718, EIP-2930, EIP-1559, EIP-4844, EIP-7594 (sidecars), EIP-7702, EIP-2.
Oracle: the codec in this file over valid and mutated bytes, eth-account, and the TransactionTests
of ethereum/tests, in tests/oracle/test_transactions.py and tests/conformance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from ghostchain._native import ffi, lib
from ghostchain.encoding import rlp
from ghostchain.encoding.rlp import Decoded
from ghostchain.primitives.errors import (
    EncodingReason,
    InvalidEncoding,
    InvalidTransaction,
    TransactionReason,
)
from ghostchain.primitives.transaction import (
    AccessEntry,
    Authorization,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32

SIZE_MAX = 1 << 24
"""Canonical bytes of the largest transaction that is looked at, unless the caller says less."""

LENGTH_MIN = 10
"""No transaction is shorter: nine fields of a byte each under a head."""

SIGNATURE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""n, the order of secp256k1."""

SIDECAR_VERSIONS = (b"\x01",)
"""Versions that a network form names (EIP-7594); without a version it is EIP-4844's own."""

AUTHORIZATION_MAGIC = 0x05


__all__ = [
    "SIGNATURE_ORDER",
    "SIZE_MAX",
    "TransactionBatch",
    "authorization_payload",
    "decode_transaction",
    "encode_transaction",
    "signing_payload",
    "split_transactions",
    "unwrap",
]


# ---- many at once ----


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

    __slots__ = ("_batch", "_count", "_items", "_recovered")

    def __init__(self) -> None:
        batch = lib.ghost_tx_batch_new()
        if batch == ffi.NULL:
            raise MemoryError("the native core found no memory for transactions")
        self._batch = ffi.gc(batch, lib.ghost_tx_batch_free)
        self._items: Any = ffi.NULL
        self._count = 0
        self._recovered = 0

    @classmethod
    def decode(cls, raws: Sequence[bytes], *, size_max: int = SIZE_MAX) -> TransactionBatch:
        """The batch of these transactions, each with its own reason; see `append`."""
        batch = cls()
        batch.append(raws, size_max=size_max)
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

    def append(self, raws: Sequence[bytes], *, size_max: int = SIZE_MAX) -> None:
        """Decodes more transactions behind those that are there.

        raws are canonical bytes or the network form of type 3, whose sidecar is left out (see
        `sidecar_length`). size_max bounds one transaction's canonical bytes. Each gets its own
        reason: structure, signature ranges and EIP-2 are checked, the sender is not recovered.
        Effects: pointers and cdata of earlier items are no longer valid.
        Cost: about 0.4 microseconds for a transfer, hashes included.
        """
        offsets = ffi.new("size_t[]", list(accumulate(map(len, raws), initial=0)))
        data = ffi.from_buffer(b"".join(raws))
        status = lib.ghost_tx_batch_decode(self._batch, data, offsets, len(raws), size_max)
        self._adopt(status)

    def recover(self, *, senders: Sequence[bytes] | None = None, threads: int = 0) -> None:
        """Finds the senders, and the authorities of EIP-7702, of all items not yet recovered.

        senders: those of the items not yet recovered, where an earlier recovery of the same bytes
        found them; only authorities are looked for then. Raises: ValueError when they do not fit.
        threads: at most so many, 0 for one per core. Where a sender cannot be recovered the reason
        becomes SIGNATURE_INVALID; an authority that cannot be is only marked.
        """
        known = ffi.NULL
        if senders is not None:
            joined = b"".join(senders)
            wanted = self._count - self._recovered
            if len(senders) != wanted or len(joined) != 20 * wanted:
                raise ValueError("one sender of 20 bytes for each item that is not yet recovered")
            known = ffi.from_buffer(joined)
        _check_memory(lib.ghost_tx_batch_recover(self._batch, self._recovered, known, threads))
        self._recovered = self._count

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


def _record(item: Any) -> Transaction:
    """The record of a `ghost_tx`."""
    entries = (item.access_list[i] for i in range(item.access_count))
    hashes = _bytes(item.blob_hashes, 32 * item.blob_count)
    return Transaction(
        type=item.type,
        chain_id=item.chain_id if item.has_chain_id else None,
        nonce=item.nonce,
        max_fee_per_gas=_integer(item.max_fee_per_gas),
        max_priority_fee_per_gas=_integer(item.max_priority_fee_per_gas),
        gas_limit=item.gas_limit,
        to=None if item.is_create else Address(ffi.buffer(item.to)[:]),
        value=_integer(item.value),
        data=_bytes(item.data, item.data_length),
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
        y_parity=item.y_parity,
        r=_integer(item.r),
        s=_integer(item.s),
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


# ---- encoding ----


def encode_transaction(tx: Transaction) -> bytes:
    """The canonical bytes of a signed transaction, as in a block."""
    signature = [
        rlp.encode_integer(_v_of(tx) if tx.type == TransactionType.LEGACY else tx.y_parity),
        rlp.encode_integer(tx.r),
        rlp.encode_integer(tx.s),
    ]
    payload = rlp.list_of([*_unsigned_fields(tx), *signature])
    return payload if tx.type == TransactionType.LEGACY else bytes((tx.type,)) + payload


def signing_payload(tx: Transaction) -> bytes:
    """The bytes whose keccak256 is signed."""
    fields = _unsigned_fields(tx)
    if tx.type != TransactionType.LEGACY:
        return bytes((tx.type,)) + rlp.list_of(fields)
    if tx.chain_id is not None:
        fields += [rlp.encode_integer(tx.chain_id), b"\x80", b"\x80"]
    return rlp.list_of(fields)


def authorization_payload(chain_id: int, address: Address, nonce: int) -> bytes:
    """The bytes whose keccak256 an authority signs (EIP-7702)."""
    return bytes((AUTHORIZATION_MAGIC,)) + rlp.list_of(
        (rlp.encode_integer(chain_id), rlp.encode_bytes(address), rlp.encode_integer(nonce))
    )


def _v_of(tx: Transaction) -> int:
    return tx.y_parity + (27 if tx.chain_id is None else 35 + 2 * tx.chain_id)


def _unsigned_fields(tx: Transaction) -> list[bytes]:
    """The fields before the signature, encoded."""
    integer = rlp.encode_integer
    call = [
        integer(tx.gas_limit),
        rlp.encode_bytes(tx.to or b""),
        integer(tx.value),
        rlp.encode_bytes(tx.data),
    ]
    if tx.type == TransactionType.LEGACY:
        return [integer(tx.nonce), integer(tx.gas_price), *call]
    fields = [integer(tx.chain_id or 0), integer(tx.nonce)]
    if tx.type != TransactionType.ACCESS_LIST:
        fields.append(integer(tx.max_priority_fee_per_gas))
    fields += [integer(tx.max_fee_per_gas), *call, _encode_access_list(tx.access_list)]
    if tx.type == TransactionType.BLOB:
        hashes = [rlp.encode_bytes(versioned) for versioned in tx.blob_versioned_hashes]
        fields += [integer(tx.max_fee_per_blob_gas), rlp.list_of(hashes)]
    if tx.type == TransactionType.SET_CODE:
        fields.append(rlp.list_of([_encode_authorization(item) for item in tx.authorizations]))
    return fields


def _encode_access_list(entries: tuple[AccessEntry, ...]) -> bytes:
    return rlp.list_of(
        [
            rlp.list_of(
                (
                    rlp.encode_bytes(entry.address),
                    rlp.list_of([rlp.encode_bytes(key) for key in entry.keys]),
                )
            )
            for entry in entries
        ]
    )


def _encode_authorization(item: Authorization) -> bytes:
    return rlp.list_of(
        (
            rlp.encode_integer(item.chain_id),
            rlp.encode_bytes(item.address),
            rlp.encode_integer(item.nonce),
            rlp.encode_integer(item.y_parity),
            rlp.encode_integer(item.r),
            rlp.encode_integer(item.s),
        )
    )


# ---- decoding ----


class NetworkForm(NamedTuple):
    """A transaction as it is submitted, taken apart: its canonical bytes, and how many more bytes
    its blob sidecar took (0 without one)."""

    canonical: bytes
    sidecar_length: int


def decode_transaction(raw: bytes, *, size_max: int = SIZE_MAX) -> Transaction:
    """The transaction of these bytes: canonical ones, or the network form of type 3, whose sidecar
    is left out unread.

    The sender is not recovered, so a signature in range that recovers to no key passes here.
    Raises: InvalidTransaction with a decoding reason.
    """
    try:
        canonical, _ = unwrap(raw, size_max=size_max)
        kind, fields = _fields_of(canonical)
        tx = _DECODERS[kind](fields)
    except InvalidEncoding as failure:
        raise InvalidTransaction(_REASONS[failure.reason], str(failure)) from failure
    _check_signature(tx)
    return tx


def unwrap(raw: bytes, *, size_max: int = SIZE_MAX) -> NetworkForm:
    """The canonical bytes of a transaction that may carry a blob sidecar.

    Only the outermost items of a sidecar are looked at; whether its blobs, commitments and proofs
    are right is the pool's to ask.
    Raises: InvalidTransaction SIZE, TYPE_UNKNOWN; InvalidEncoding.
    """
    if not raw:
        raise InvalidEncoding(EncodingReason.TRUNCATED, "no bytes")
    if raw[0] == TransactionType.BLOB:
        form = _unwrap_blob(raw)
        if form is not None:
            _check_size(len(form.canonical), size_max)
            return form
    _check_size(len(raw), size_max)
    return NetworkForm(raw, 0)


def _unwrap_blob(raw: bytes) -> NetworkForm | None:
    """The network form of a type-3 transaction, None when the bytes are no such form."""
    is_list, start, end = rlp.span(raw, 1)
    if not is_list or start == end or raw[start] < 0xC0:
        return None
    if end != len(raw):
        raise InvalidEncoding(EncodingReason.TRAILING_BYTES)
    items = rlp.spans(raw, start, end)
    versioned = len(items) == 5
    if len(items) not in (4, 5):
        message = f"a blob transaction with a sidecar of {len(items)} items"
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, message)
    if versioned:
        is_list, first, _, stop = items[1]
        if is_list:
            raise InvalidEncoding(EncodingReason.NOT_BYTES, "a list as the sidecar's version")
        if raw[first:stop] not in SIDECAR_VERSIONS:
            message = "a sidecar of an unknown version"
            raise InvalidEncoding(EncodingReason.FIELD_WIDTH, message)
    if not all(item[0] for item in items[2 if versioned else 1 :]):
        raise InvalidEncoding(EncodingReason.NOT_A_LIST, "a sidecar holds three lists")
    canonical = raw[:1] + raw[items[0][1] : items[0][3]]
    return NetworkForm(canonical, len(raw) - len(canonical))


def _check_size(length: int, size_max: int) -> None:
    if length > size_max:
        message = f"a transaction of {length} bytes, at most {size_max} are allowed"
        raise InvalidTransaction(TransactionReason.SIZE, message, size=length, limit=size_max)


def _fields_of(canonical: bytes) -> tuple[int, list[Decoded]]:
    """The type, and the fields as decoded items, their number checked."""
    first = canonical[0]
    if first >= 0xC0:
        kind, offset = int(TransactionType.LEGACY), 0
    elif first >= 0x80:
        raise InvalidEncoding(EncodingReason.NOT_A_LIST)
    elif first in _DECODERS and first != TransactionType.LEGACY:
        kind, offset = first, 1
    else:
        message = f"transaction type {first:#04x} is not known"
        raise InvalidTransaction(TransactionReason.TYPE_UNKNOWN, message, type=first)
    is_list, start, end = rlp.span(canonical, offset)
    if not is_list:
        raise InvalidEncoding(EncodingReason.NOT_A_LIST)
    if end != len(canonical):
        raise InvalidEncoding(EncodingReason.TRAILING_BYTES)
    items = rlp.spans(canonical, start, end)
    if len(items) != _FIELD_COUNTS[kind]:
        message = f"{len(items)} fields, type {kind} has {_FIELD_COUNTS[kind]}"
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, message)
    return kind, [_lazy(canonical, item) for item in items]


def _lazy(canonical: bytes, item: tuple[bool, int, int, int]) -> Decoded:
    """A byte string as such; a list still encoded, marked by a list around it, because faults are
    told field by field."""
    is_list, first, payload, end = item
    return [canonical[first:end]] if is_list else canonical[payload:end]


def _list_parts(field: Decoded) -> list[Decoded]:
    """The parts of a field that is a list, each as `_lazy` leaves it."""
    encoded = rlp.as_bytes(rlp.as_list(field)[0])
    _, start, end = rlp.span(encoded)
    return [_lazy(encoded, item) for item in rlp.spans(encoded, start, end)]


def _tuple_parts(field: Decoded, length: int) -> list[Decoded]:
    parts = _list_parts(field)
    return rlp.as_list(parts, length=length)


def _uint64(field: Decoded) -> int:
    return rlp.integer(field, bytes_max=8)


def _to(field: Decoded) -> Address | None:
    recipient = rlp.as_bytes(field)
    return Address(rlp.fixed(recipient, 20)) if recipient else None


def _access_list(field: Decoded) -> tuple[AccessEntry, ...]:
    entries = []
    for part in _list_parts(field):
        address, keys = _tuple_parts(part, 2)
        entries.append(
            AccessEntry(
                Address(rlp.fixed(address, 20)),
                tuple(Hash32(rlp.fixed(key, 32)) for key in _list_parts(keys)),
            )
        )
    return tuple(entries)


def _authorizations(field: Decoded) -> tuple[Authorization, ...]:
    found = []
    for part in _list_parts(field):
        chain_id, address, nonce, y_parity, r, s = _tuple_parts(part, 6)
        found.append(
            Authorization(
                chain_id=rlp.integer(chain_id),
                address=Address(rlp.fixed(address, 20)),
                nonce=_uint64(nonce),
                y_parity=rlp.integer(y_parity, bytes_max=1),
                r=rlp.integer(r),
                s=rlp.integer(s),
            )
        )
    return tuple(found)


def _legacy(fields: list[Decoded]) -> Transaction:
    nonce = _uint64(fields[0])
    gas_price = rlp.integer(fields[1])
    gas_limit, to, value = _uint64(fields[2]), _to(fields[3]), rlp.integer(fields[4])
    data = rlp.as_bytes(fields[5])
    v, r, s = (rlp.integer(field) for field in fields[6:])
    chain_id: int | None = None
    y_parity = v - 27
    if v >= 35:
        chain_id, y_parity = divmod(v - 35, 2)
        if chain_id >> 64:
            raise InvalidEncoding(EncodingReason.FIELD_WIDTH, f"v = {v}: a chain id above 64 bits")
    return Transaction(
        type=TransactionType.LEGACY,
        chain_id=chain_id,
        nonce=nonce,
        max_fee_per_gas=gas_price,
        max_priority_fee_per_gas=gas_price,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        y_parity=y_parity,
        r=r,
        s=s,
    )


def _access_list_transaction(fields: list[Decoded]) -> Transaction:
    chain_id, nonce, gas_price = _uint64(fields[0]), _uint64(fields[1]), rlp.integer(fields[2])
    return Transaction(
        type=TransactionType.ACCESS_LIST,
        chain_id=chain_id,
        nonce=nonce,
        max_fee_per_gas=gas_price,
        max_priority_fee_per_gas=gas_price,
        gas_limit=_uint64(fields[3]),
        to=_to(fields[4]),
        value=rlp.integer(fields[5]),
        data=rlp.as_bytes(fields[6]),
        access_list=_access_list(fields[7]),
        y_parity=rlp.integer(fields[8]),
        r=rlp.integer(fields[9]),
        s=rlp.integer(fields[10]),
    )


def _dynamic_fee(fields: list[Decoded], kind: TransactionType) -> Transaction:
    """The types since EIP-1559: nine common fields, the type's own, the signature.

    Keyword arguments are evaluated in the order of the wire, which is the order of refusal.
    """
    return Transaction(
        type=kind,
        chain_id=_uint64(fields[0]),
        nonce=_uint64(fields[1]),
        max_priority_fee_per_gas=rlp.integer(fields[2]),
        max_fee_per_gas=rlp.integer(fields[3]),
        gas_limit=_uint64(fields[4]),
        to=_to(fields[5]),
        value=rlp.integer(fields[6]),
        data=rlp.as_bytes(fields[7]),
        access_list=_access_list(fields[8]),
        max_fee_per_blob_gas=rlp.integer(fields[9]) if kind == TransactionType.BLOB else 0,
        blob_versioned_hashes=(
            tuple(Hash32(rlp.fixed(item, 32)) for item in _list_parts(fields[10]))
            if kind == TransactionType.BLOB
            else ()
        ),
        authorizations=_authorizations(fields[9]) if kind == TransactionType.SET_CODE else (),
        y_parity=rlp.integer(fields[-3]),
        r=rlp.integer(fields[-2]),
        s=rlp.integer(fields[-1]),
    )


def _check_signature(tx: Transaction) -> None:
    """y_parity is 0 or 1, 0 < r < n, 0 < s <= n/2 (EIP-2)."""
    if tx.y_parity not in (0, 1):
        message = "y_parity (or the v it comes from) stands for no point"
        raise InvalidTransaction(TransactionReason.Y_PARITY, message, y_parity=tx.y_parity)
    if not (0 < tx.r < SIGNATURE_ORDER and 0 < tx.s < SIGNATURE_ORDER):
        raise InvalidTransaction(
            TransactionReason.SIGNATURE_RANGE, "r or s is zero or not below n", r=tx.r, s=tx.s
        )
    if tx.s > SIGNATURE_ORDER // 2:
        raise InvalidTransaction(TransactionReason.HIGH_S, "s is above n/2", s=tx.s)


_DECODERS: dict[int, Callable[[list[Decoded]], Transaction]] = {
    TransactionType.LEGACY: _legacy,
    TransactionType.ACCESS_LIST: _access_list_transaction,
    TransactionType.DYNAMIC_FEE: lambda fields: _dynamic_fee(fields, TransactionType.DYNAMIC_FEE),
    TransactionType.BLOB: lambda fields: _dynamic_fee(fields, TransactionType.BLOB),
    TransactionType.SET_CODE: lambda fields: _dynamic_fee(fields, TransactionType.SET_CODE),
}

_FIELD_COUNTS: dict[int, int] = {
    TransactionType.LEGACY: 9,
    TransactionType.ACCESS_LIST: 11,
    TransactionType.DYNAMIC_FEE: 12,
    TransactionType.BLOB: 14,
    TransactionType.SET_CODE: 13,
}

_REASONS = {
    EncodingReason.TRUNCATED: TransactionReason.RLP_MALFORMED,
    EncodingReason.NOT_CANONICAL: TransactionReason.RLP_MALFORMED,
    EncodingReason.NOT_A_LIST: TransactionReason.RLP_MALFORMED,
    EncodingReason.NOT_BYTES: TransactionReason.RLP_MALFORMED,
    EncodingReason.TRAILING_BYTES: TransactionReason.TRAILING_BYTES,
    EncodingReason.FIELD_COUNT: TransactionReason.FIELD_COUNT,
    EncodingReason.FIELD_WIDTH: TransactionReason.FIELD_WIDTH,
    EncodingReason.LEADING_ZERO: TransactionReason.LEADING_ZERO,
}
