"""A transaction of any type, flat: Ethereum's 0 to 4, and the two that a hybrid chain adds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ghostchain.primitives.types import Address, Hash32


class TransactionType(IntEnum):
    """The type byte (EIP-2718). Legacy transactions carry none and count as 0."""

    LEGACY = 0
    ACCESS_LIST = 1  # EIP-2930
    DYNAMIC_FEE = 2  # EIP-1559
    BLOB = 3  # EIP-4844
    SET_CODE = 4  # EIP-7702
    GHOST = 0x47  # calls in one, a fee payer, keys of several schemes
    FEE_CURRENCY = 0x7B  # CIP-64


class SignatureScheme(IntEnum):
    """How a GhostTx is signed: the tag in front of key and signature."""

    SECP256K1 = 0  # no key; 65 bytes: r, s, y_parity
    ED25519 = 1  # RFC 8032
    ML_DSA_65 = 2  # FIPS 204, empty context


SCHEME_LENGTHS = {
    SignatureScheme.SECP256K1: (0, 65),
    SignatureScheme.ED25519: (32, 64),
    SignatureScheme.ML_DSA_65: (1_952, 3_309),
}
"""Bytes of key and signature of each scheme."""


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """An account and the storage keys in it that the transaction names in advance (EIP-2930)."""

    address: Address
    keys: tuple[Hash32, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A signed wish of an account to run the code of `address` (EIP-7702).

    chain_id 0 stands for any chain. A well-formed authorization may still be skipped when it is
    applied: y_parity up to 255 and any r, s below 2^256 decode.
    """

    chain_id: int
    address: Address
    nonce: int
    y_parity: int
    r: int
    s: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a GhostTx; to is None for a creation, value is in wei."""

    to: Address | None
    value: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SchemeSignature:
    """A tagged signature; key and signature have the lengths of the scheme.

    The key is empty for secp256k1, where the signature says whose it is.
    """

    scheme: SignatureScheme
    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction with its signature; fields that its type lacks stay at their defaults.

    Units: fees in wei per (blob) gas, value in wei. Types 0 and 1 carry their one gas price in
    both fee fields. chain_id is None only for a legacy transaction without replay protection
    (EIP-155). to is None for a contract creation. y_parity is 0 or 1 for every type, also where
    the wire has 27, 28 or the EIP-155 form. r = s = 0 stands for a transaction not yet signed.

    fee_token is the token that fees are paid in, and then their unit (None: GCC). A GhostTx
    has its recipients, values and data in calls and leaves to, value and data alone; its signatures
    are sender_signature and, where it has a fee_payer, payer_signature (None: not yet signed), and
    y_parity, r and s stay 0.
    """

    type: int
    chain_id: int | None
    nonce: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    gas_limit: int
    to: Address | None
    value: int = 0
    data: bytes = b""
    access_list: tuple[AccessEntry, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_versioned_hashes: tuple[Hash32, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    calls: tuple[Call, ...] = ()
    fee_token: Address | None = None
    fee_payer: Address | None = None
    sender_signature: SchemeSignature | None = None
    payer_signature: SchemeSignature | None = None
    y_parity: int = 0
    r: int = 0
    s: int = 0

    @property
    def gas_price(self) -> int:
        """What types 0 and 1 bid, in wei per gas; the ceiling of the bid for the others."""
        return self.max_fee_per_gas
