"""Signatures of the simulation: a keyed hash that costs a microsecond, or Ed25519 itself.

A keyed hash is a signature among people who do not look into each other's pockets: verifying takes
the secret, which the keyring holds and no node does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Protocol

from nacl.signing import SigningKey

from ghostchain.crypto import ed25519


class Key(Protocol):
    """Who can sign."""

    public: bytes

    def sign(self, message: bytes) -> bytes: ...


class HashKey:
    """Signs with a keyed hash of 64 bytes."""

    def __init__(self, number: int) -> None:
        self.secret = blake2b(b"secret %d" % number, digest_size=32).digest()
        self.public = blake2b(b"public %d" % number, digest_size=32).digest()

    def sign(self, message: bytes) -> bytes:
        return blake2b(message, key=self.secret, digest_size=64).digest()


class EdwardsKey:
    """Signs with Ed25519."""

    def __init__(self, number: int) -> None:
        self.secret = blake2b(b"secret %d" % number, digest_size=32).digest()
        self._key = SigningKey(self.secret)
        self.public = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


@cache
def hash_key(number: int) -> HashKey:
    key = HashKey(number)
    _SECRETS[key.public] = key.secret
    return key


@cache
def edwards_key(number: int) -> EdwardsKey:
    return EdwardsKey(number)


_SECRETS: dict[bytes, bytes] = {}

Items = Sequence[tuple[bytes, bytes, bytes]]
"""(public key, message, signature) of each."""

Verify = Callable[[Items], list[bool]]


def verify_hashes(items: Items) -> list[bool]:
    return [
        key in _SECRETS
        and blake2b(message, key=_SECRETS[key], digest_size=64).digest() == signature
        for key, message, signature in items
    ]


def verify_edwards(items: Items) -> list[bool]:
    return ed25519.verify_batch(items)
