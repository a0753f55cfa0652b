"""What records hash to: headers, transactions, contract addresses, blooms, requests.

Spec: Yellow Paper 4.3 (header hash, bloom), 7 (contract addresses); EIP-1014, EIP-2718, EIP-7685.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import encode_header, encode_log
from ghostchain.encoding.manifests import Manifest, encode_manifest
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32

__all__ = [
    "bloom_may_contain",
    "contract_address",
    "contract_address_by_salt",
    "header_hash",
    "logs_bloom",
    "logs_hash",
    "manifest_hash",
    "requests_hash",
    "transaction_hash",
]

BLOOM_BYTES = 256


def header_hash(header: Header) -> Hash32:
    """The hash by which a block is known."""
    return keccak256(encode_header(header))


def transaction_hash(tx: Transaction) -> Hash32:
    """The hash by which a signed transaction is known. Of raw canonical bytes it is keccak256."""
    return keccak256(encode_transaction(tx))


def contract_address(sender: Address, nonce: int) -> Address:
    """Where a creation by sender at nonce puts the contract (CREATE and transactions)."""
    payload = rlp.list_of((rlp.encode_bytes(sender), rlp.encode_integer(nonce)))
    return Address(keccak256(payload)[12:])


def contract_address_by_salt(sender: Address, salt: Hash32, init_code: bytes) -> Address:
    """Where CREATE2 puts the contract (EIP-1014)."""
    return Address(keccak256(b"\xff" + sender + salt + keccak256(init_code))[12:])


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The 256-byte filter over the addresses and topics of logs (Yellow Paper 4.3.1).

    Cost: each different address and topic is hashed once, all in one batch.
    """
    entries = {entry for log in logs for entry in (log.address, *log.topics)}
    bits = 0
    for digest in keccak256_batch(list(entries)):
        bits |= _bloom_bits(digest)
    return bits.to_bytes(BLOOM_BYTES, "big")


def bloom_may_contain(bloom: bytes, entry: bytes) -> bool:
    """Whether an address or topic may be among the entries; False is certain."""
    wanted = _bloom_bits(keccak256(entry))
    return int.from_bytes(bloom, "big") & wanted == wanted


def logs_hash(logs: Sequence[Log]) -> Hash32:
    """keccak256 of the RLP list of logs, by which the state tests compare them."""
    return keccak256(rlp.list_of([encode_log(log) for log in logs]))


def requests_hash(requests: Iterable[bytes]) -> Hash32:
    """The commitment to a block's requests, each being type byte and data (EIP-7685).

    Requests without data do not count.
    """
    return Hash32(
        sha256(
            b"".join(sha256(request).digest() for request in requests if len(request) > 1)
        ).digest()
    )


def _bloom_bits(digest: bytes) -> int:
    """The three bits that the low 11 bits of the first three 16-bit words choose."""
    bits = 0
    for start in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[start : start + 2], "big") & 2047)
    return bits


def manifest_hash(manifest: Manifest) -> Hash32:
    """The name of a snapshot. Cost: linear in its chunks."""
    return keccak256(encode_manifest(manifest))


def checksummed(address: bytes) -> str:
    """The address with the checksum of EIP-55 in the case of its letters, as messages name it."""
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    shown = (d.upper() if m > "7" else d for d, m in zip(digits, marks, strict=False))
    return "0x" + "".join(shown)
