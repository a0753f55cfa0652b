"""The consensus key in the node's own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ghostchain.consensus.messages import Vote
from ghostchain.crypto import ed25519, vrf
from ghostchain.encoding.votes import key_claim_bytes, node_claim_bytes
from ghostchain.primitives.types import Address
from ghostchain.storage.disk import Disk, RealDisk
from ghostchain.storage.highwater import HighWater, Request, SigningRefused

HIGH_WATER_NAME = "highwater"


def request_of(vote: Vote) -> Request:
    """What of a vote is signed."""
    return Request(vote.kind, vote.height, vote.round, vote.block_id, vote.valid_round)


class LocalSigner:
    """Implements `consensus.ports.Signer`. For one thread."""

    def __init__(
        self, seed: bytes, *, chain_id: int, disk: Disk, name: str = HIGH_WATER_NAME
    ) -> None:
        """seed: 32 bytes. disk, name: where the high-water mark is kept.

        Raises: ValueError for another length; StorageCorrupt, StorageFailed, DirectoryLocked from
        the mark.
        """
        self._seed = seed
        self._chain_id = chain_id
        self._public_key = ed25519.public_key_of(seed)
        self._high_water = HighWater(disk, name, chain_id=chain_id, public_key=self._public_key)

    @classmethod
    def open(cls, seed: bytes, *, chain_id: int, directory: Path) -> LocalSigner:
        """With the high-water mark in a directory of the operating system. Raises as above."""
        return cls(seed, chain_id=chain_id, disk=RealDisk(directory))

    @property
    def public_key(self) -> bytes:
        return self._public_key

    @property
    def high_water(self) -> HighWater:
        return self._high_water

    def sign(self, vote: Vote, done: Callable[[bytes, str], None]) -> None:
        """done(signature, "") or done(b"", reason), before this returns.

        Raises: StorageFull, StorageFailed when the mark cannot be written; nothing is signed then,
        nor ever after.
        Cost: 50 microseconds and two fdatasync.
        """
        try:
            signature = self.sign_request(request_of(vote))
        except SigningRefused as refusal:
            done(b"", str(refusal))
            return
        done(signature, "")

    def sign_request(self, request: Request) -> bytes:
        """The signature. Raises: SigningRefused; StorageFull, StorageFailed as above."""
        return self._high_water.sign(request, self._sign)

    def prove(self, alpha: bytes) -> bytes:
        """The VRF proof, 80 bytes, for the input alpha. Cost: 300 microseconds."""
        return vrf.prove(self._seed, alpha)

    def claim(self, operator: Address) -> bytes:
        """The signature by which the operator may register this key."""
        return self._sign(key_claim_bytes(self._chain_id, operator))

    def introduce(self, node_key: bytes, time: int) -> bytes:
        """The signature by which peers know the node as this key's; time in Unix milliseconds."""
        return self._sign(node_claim_bytes(self._chain_id, node_key, time))

    def close(self) -> None:
        self._high_water.close()

    def _sign(self, data: bytes) -> bytes:
        return ed25519.sign(self._seed, data)
