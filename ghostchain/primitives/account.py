"""An account as the state trie knows it, and its flat form on disk and at the native door."""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Hash32

ACCOUNT_BYTES = 104


@dataclass(frozen=True, slots=True)
class Account:
    """nonce, balance in wei, root of the storage trie and hash of the code (Yellow Paper 4.1)."""

    nonce: int = 0
    balance: int = 0
    storage_root: Hash32 = EMPTY_ROOT
    code_hash: Hash32 = EMPTY_CODE_HASH

    @property
    def is_empty(self) -> bool:
        """No nonce, no balance, no code (EIP-161)."""
        return self.nonce == 0 and self.balance == 0 and self.code_hash == EMPTY_CODE_HASH

    def encode(self) -> bytes:
        """The flat record.

        Shapes: 104 bytes, big-endian: nonce 8 | balance 32 | storage_root 32 | code_hash 32.
        """
        return b"".join(
            (
                self.nonce.to_bytes(8, "big"),
                self.balance.to_bytes(32, "big"),
                self.storage_root,
                self.code_hash,
            )
        )

    @staticmethod
    def decode(record: bytes) -> Account:
        """The account of a flat record. Raises: ValueError when it is not 104 bytes long."""
        if len(record) != ACCOUNT_BYTES:
            raise ValueError(f"an account record has {ACCOUNT_BYTES} bytes, not {len(record)}")
        return Account(
            nonce=int.from_bytes(record[:8], "big"),
            balance=int.from_bytes(record[8:40], "big"),
            storage_root=Hash32(record[40:72]),
            code_hash=Hash32(record[72:104]),
        )


EMPTY = Account()
"""An account that nothing has touched."""
