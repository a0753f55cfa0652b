"""The schemes that a GhostTx may be signed with, as a table: how a key's address is made, and
whether a signature holds.

secp256k1 is not in it: its signatures name their signer, and are recovered in native batches.
"""

from __future__ import annotations

from collections.abc import Callable

from ghostchain.crypto import ed25519, mldsa
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.transaction import SchemeSignature, SignatureScheme, TransactionType
from ghostchain.primitives.types import Address

__all__ = ["key_address", "verify"]

_VERIFIERS: dict[SignatureScheme, Callable[[bytes, bytes, bytes], bool]] = {
    SignatureScheme.ED25519: ed25519.verify,
    SignatureScheme.ML_DSA_65: mldsa.verify,
}


def key_address(scheme: SignatureScheme, public_key: bytes) -> Address:
    """The account of a key that is not of secp256k1: the last 20 bytes of keccak256 of 0x47, the
    scheme and the key."""
    return Address(keccak256(bytes((TransactionType.GHOST, scheme)) + public_key)[12:])


def verify(signature: SchemeSignature, digest: bytes) -> bool:
    """Whether the key in the signature signed the digest. Raises: KeyError for secp256k1.

    Cost: 100 microseconds for Ed25519, 200 for ML-DSA-65.
    """
    return _VERIFIERS[signature.scheme](signature.key, digest, signature.signature)
