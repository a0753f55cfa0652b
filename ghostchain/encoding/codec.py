"""Transactions one at a time, in plain Python: their bytes, the bytes their signatures cover, and
back.

What wallets, tests and readers use, and the oracle of the native decoder behind
`encoding/transactions.py`. Both read in the same order, so that bytes with several faults are
refused for the same one: size, type byte, the outer list, the number of fields, the fields from
first to last (a call or a signature from first to last within it), and then the numbers of
signatures of secp256k1 (parity, range, upper half; the sender's before the fee payer's).

Spec: EIP-155, EIP-2718, EIP-2930, EIP-1559, EIP-4844, EIP-7594 (sidecars), EIP-7702, EIP-2,
CIP-64 (0x7b); `docs/transactions.md` for 0x47.
Oracle: eth-account and the TransactionTests of ethereum/tests, in tests/oracle/test_transactions.py
and tests/conformance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from ghostchain.encoding import rlp
from ghostchain.encoding.rlp import Decoded
from ghostchain.primitives.errors import (
    EncodingReason,
    InvalidEncoding,
    InvalidTransaction,
    TransactionReason,
)
from ghostchain.primitives.transaction import (
    SCHEME_LENGTHS,
    AccessEntry,
    Authorization,
    Call,
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32

SIZE_MAX = 1 << 24
"""Canonical bytes of the largest transaction that is looked at, unless the caller says less."""

SIGNATURE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""n, the order of secp256k1."""

SIDECAR_VERSIONS = (b"\x01",)
"""Versions that a network form names (EIP-7594); without a version it is EIP-4844's own."""

AUTHORIZATION_MAGIC = 0x05
PAYER_DOMAIN = 0x50
"""Stands behind the type byte in what a fee payer signs, so that it is no sender's signature."""

CALLS_MAX = 256
"""Most calls of one GhostTx."""


# ---- encoding ----


def encode_transaction(tx: Transaction) -> bytes:
    """The canonical bytes of a signed transaction, as in a block.

    Raises: ValueError when a GhostTx is not signed.
    """
    if tx.type == TransactionType.GHOST:
        return _encode_ghost(tx)
    signature = [
        rlp.encode_integer(_v_of(tx) if tx.type == TransactionType.LEGACY else tx.y_parity),
        rlp.encode_integer(tx.r),
        rlp.encode_integer(tx.s),
    ]
    payload = rlp.list_of([*_unsigned_fields(tx), *signature])
    return payload if tx.type == TransactionType.LEGACY else bytes((tx.type,)) + payload


def signing_payload(tx: Transaction) -> bytes:
    """The bytes whose keccak256 the sender signs."""
    fields = _unsigned_fields(tx)
    if tx.type != TransactionType.LEGACY:
        return bytes((tx.type,)) + rlp.list_of(fields)
    if tx.chain_id is not None:
        fields += [rlp.encode_integer(tx.chain_id), b"\x80", b"\x80"]
    return rlp.list_of(fields)


def payer_payload(tx: Transaction, sender: Address) -> bytes:
    """The bytes whose keccak256 the fee payer of a GhostTx by this sender signs."""
    fields = [*_unsigned_fields(tx), rlp.encode_bytes(sender)]
    return bytes((tx.type, PAYER_DOMAIN)) + rlp.list_of(fields)


def authorization_payload(chain_id: int, address: Address, nonce: int) -> bytes:
    """The bytes whose keccak256 an authority signs (EIP-7702)."""
    return bytes((AUTHORIZATION_MAGIC,)) + rlp.list_of(
        (rlp.encode_integer(chain_id), rlp.encode_bytes(address), rlp.encode_integer(nonce))
    )


def _encode_ghost(tx: Transaction) -> bytes:
    if tx.sender_signature is None:
        raise ValueError("a GhostTx without its sender's signature has no canonical bytes")
    signatures = [_encode_signature(tx.sender_signature), _encode_signature(tx.payer_signature)]
    return bytes((tx.type,)) + rlp.list_of([*_unsigned_fields(tx), *signatures])


def _encode_signature(signature: SchemeSignature | None) -> bytes:
    if signature is None:
        return rlp.list_of(())
    return rlp.list_of(
        (
            rlp.encode_integer(signature.scheme),
            rlp.encode_bytes(signature.key),
            rlp.encode_bytes(signature.signature),
        )
    )


def _v_of(tx: Transaction) -> int:
    return tx.y_parity + (27 if tx.chain_id is None else 35 + 2 * tx.chain_id)


def _unsigned_fields(tx: Transaction) -> list[bytes]:
    """The fields before the signature, encoded."""
    integer = rlp.encode_integer
    call = [integer(tx.gas_limit), *_encode_call(tx.to, tx.value, tx.data)]
    if tx.type == TransactionType.GHOST:
        call[1:] = [rlp.list_of([_call_item(one) for one in tx.calls])]
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
    if tx.type in (TransactionType.FEE_CURRENCY, TransactionType.GHOST):
        fields.append(rlp.encode_bytes(tx.fee_token or b""))
    if tx.type == TransactionType.GHOST:
        fields.append(rlp.encode_bytes(tx.fee_payer or b""))
    return fields


def _encode_call(to: Address | None, value: int, data: bytes) -> list[bytes]:
    return [rlp.encode_bytes(to or b""), rlp.encode_integer(value), rlp.encode_bytes(data)]


def _call_item(call: Call) -> bytes:
    return rlp.list_of(_encode_call(call.to, call.value, call.data))


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


def decode_transaction(
    raw: bytes, *, size_max: int = SIZE_MAX, allows_unsigned: bool = False
) -> Transaction:
    """The transaction of these bytes: canonical ones, or the network form of type 3, whose sidecar
    is left out unread.

    The sender is not recovered, so a signature in range that recovers to no key passes here.
    allows_unsigned: of a development chain's own pool and blocks (`encoding/unsigned.py`).
    Raises: InvalidTransaction with a decoding reason.
    """
    try:
        canonical, _ = unwrap(raw, size_max=size_max)
        kind, fields = _fields_of(canonical)
        tx = _DECODERS[kind](fields)
    except InvalidEncoding as failure:
        raise InvalidTransaction(_REASONS[failure.reason], str(failure)) from failure
    _check_signatures(tx, allows_unsigned=allows_unsigned)
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


def _optional_address(field: Decoded) -> Address | None:
    """No bytes stand for no address: of a recipient, a creation; of a fee token, GCC."""
    address = rlp.as_bytes(field)
    return Address(rlp.fixed(address, 20)) if address else None


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
    gas_limit, to, value = _uint64(fields[2]), _optional_address(fields[3]), rlp.integer(fields[4])
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
        to=_optional_address(fields[4]),
        value=rlp.integer(fields[5]),
        data=rlp.as_bytes(fields[6]),
        access_list=_access_list(fields[7]),
        y_parity=rlp.integer(fields[8]),
        r=rlp.integer(fields[9]),
        s=rlp.integer(fields[10]),
    )


def _dynamic_fee(fields: list[Decoded], kind: TransactionType) -> Transaction:
    """The types since EIP-1559 with one call: nine common fields, the type's own, the signature.

    Keyword arguments are evaluated in the order of the wire, which is the order of refusal.
    """
    return Transaction(
        type=kind,
        chain_id=_uint64(fields[0]),
        nonce=_uint64(fields[1]),
        max_priority_fee_per_gas=rlp.integer(fields[2]),
        max_fee_per_gas=rlp.integer(fields[3]),
        gas_limit=_uint64(fields[4]),
        to=_optional_address(fields[5]),
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
        fee_token=_optional_address(fields[9]) if kind == TransactionType.FEE_CURRENCY else None,
        y_parity=rlp.integer(fields[-3]),
        r=rlp.integer(fields[-2]),
        s=rlp.integer(fields[-1]),
    )


def _calls(field: Decoded) -> tuple[Call, ...]:
    parts = _list_parts(field)
    if not 0 < len(parts) <= CALLS_MAX:
        message = f"{len(parts)} calls, there are 1 to {CALLS_MAX}"
        raise InvalidTransaction(TransactionReason.CALL_COUNT, message, calls=len(parts))
    calls: list[Call] = []
    total = 0
    for part in parts:
        calls.append(_call(part, is_only=len(parts) == 1))
        total += calls[-1].value
        if total >> 256:
            message = "the values of all calls together are above 256 bits"
            raise InvalidEncoding(EncodingReason.FIELD_WIDTH, message)
    return tuple(calls)


def _call(part: Decoded, *, is_only: bool) -> Call:
    to, value, data = _tuple_parts(part, 3)
    recipient = _optional_address(to) if is_only or to != b"" else None
    if recipient is None and not is_only:
        message = "a creation beside other calls"
        raise InvalidTransaction(TransactionReason.CALL_CREATES, message)
    return Call(recipient, rlp.integer(value), rlp.as_bytes(data))


def _signature(parts: list[Decoded]) -> SchemeSignature:
    """A tagged signature, key and signature of the scheme's lengths."""
    tag = rlp.integer(parts[0], bytes_max=1)
    if tag not in SCHEME_LENGTHS:
        message = f"signature scheme {tag} is not known"
        raise InvalidTransaction(TransactionReason.SIGNATURE_SCHEME, message, scheme=tag)
    key, signature = rlp.as_bytes(parts[1]), rlp.as_bytes(parts[2])
    lengths = SCHEME_LENGTHS[SignatureScheme(tag)]
    if (len(key), len(signature)) != lengths:
        message = (
            f"key and signature of {len(key)} and {len(signature)} bytes, "
            f"scheme {tag} has {lengths[0]} and {lengths[1]}"
        )
        raise InvalidTransaction(TransactionReason.SIGNATURE_LENGTH, message, scheme=tag)
    return SchemeSignature(SignatureScheme(tag), key, signature)


def _payer_signature(field: Decoded, payer: Address | None) -> SchemeSignature | None:
    parts = _list_parts(field)
    if bool(parts) != (payer is not None):
        message = (
            "a fee payer without its signature"
            if payer is not None
            else "a fee payer's signature without a fee payer"
        )
        raise InvalidTransaction(TransactionReason.PAYER_FORM, message)
    return _signature(rlp.as_list(parts, length=3)) if parts else None


def _ghost(fields: list[Decoded]) -> Transaction:
    tx = Transaction(
        type=TransactionType.GHOST,
        chain_id=_uint64(fields[0]),
        nonce=_uint64(fields[1]),
        max_priority_fee_per_gas=rlp.integer(fields[2]),
        max_fee_per_gas=rlp.integer(fields[3]),
        gas_limit=_uint64(fields[4]),
        to=None,
        calls=_calls(fields[5]),
        access_list=_access_list(fields[6]),
        fee_token=_optional_address(fields[7]),
        fee_payer=_optional_address(fields[8]),
        sender_signature=_signature(_tuple_parts(fields[9], 3)),
    )
    return replace(tx, payer_signature=_payer_signature(fields[10], tx.fee_payer))


def signature_numbers(signature: SchemeSignature) -> tuple[int, int, int]:
    """(r, s, y_parity) of a tagged signature of secp256k1."""
    joined = signature.signature
    return int.from_bytes(joined[:32], "big"), int.from_bytes(joined[32:64], "big"), joined[64]


def is_marker(r: int, s: int, y_parity: int) -> bool:
    """Whether these are no signature but the marker of an unsigned transaction, r its sender."""
    return s == 0 and y_parity == 0 and r < 1 << 160


def _check_signatures(tx: Transaction, *, allows_unsigned: bool) -> None:
    """The numbers of all signatures of secp256k1 are in range: the sender's, which may be the
    marker where that is allowed, then the fee payer's."""
    own, payer = tx.sender_signature, tx.payer_signature
    numbers = None if tx.type == TransactionType.GHOST else (tx.r, tx.s, tx.y_parity)
    if own is not None and own.scheme == SignatureScheme.SECP256K1:
        numbers = signature_numbers(own)
    if numbers is not None and not (allows_unsigned and is_marker(*numbers)):
        _check_numbers(*numbers)
    if payer is not None and payer.scheme == SignatureScheme.SECP256K1:
        _check_numbers(*signature_numbers(payer))


def _check_numbers(r: int, s: int, y_parity: int) -> None:
    """y_parity is 0 or 1, 0 < r < n, 0 < s <= n/2 (EIP-2)."""
    if y_parity not in (0, 1):
        message = "y_parity (or the v it comes from) stands for no point"
        raise InvalidTransaction(TransactionReason.Y_PARITY, message, y_parity=y_parity)
    if not (0 < r < SIGNATURE_ORDER and 0 < s < SIGNATURE_ORDER):
        message = "r or s is zero or not below n"
        raise InvalidTransaction(TransactionReason.SIGNATURE_RANGE, message, r=r, s=s)
    if s > SIGNATURE_ORDER // 2:
        raise InvalidTransaction(TransactionReason.HIGH_S, "s is above n/2", s=s)


_DECODERS: dict[int, Callable[[list[Decoded]], Transaction]] = {
    TransactionType.LEGACY: _legacy,
    TransactionType.ACCESS_LIST: _access_list_transaction,
    TransactionType.DYNAMIC_FEE: lambda fields: _dynamic_fee(fields, TransactionType.DYNAMIC_FEE),
    TransactionType.BLOB: lambda fields: _dynamic_fee(fields, TransactionType.BLOB),
    TransactionType.SET_CODE: lambda fields: _dynamic_fee(fields, TransactionType.SET_CODE),
    TransactionType.FEE_CURRENCY: lambda fields: _dynamic_fee(fields, TransactionType.FEE_CURRENCY),
    TransactionType.GHOST: _ghost,
}

_FIELD_COUNTS: dict[int, int] = {
    TransactionType.LEGACY: 9,
    TransactionType.ACCESS_LIST: 11,
    TransactionType.DYNAMIC_FEE: 12,
    TransactionType.BLOB: 14,
    TransactionType.SET_CODE: 13,
    TransactionType.FEE_CURRENCY: 13,
    TransactionType.GHOST: 11,
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
