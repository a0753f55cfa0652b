"""What a development chain lets pass that other chains refuse, for as long as its node is told to.

No block that made use of it can be imported elsewhere; one that could have counts as made by hand
(`chain/writer.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.primitives.types import Address

CODE_BYTES_MAX = 0x6000  # EIP-170
INIT_CODE_BYTES_MAX = 2 * CODE_BYTES_MAX  # EIP-3860
# What stands for no limit: more code than this costs more gas to deploy than a block can have.
CODE_BYTES_UNBOUND = 1 << 30
SIGNATURES_MAX = 64


@dataclass(frozen=True, slots=True)
class Leniency:
    """code_bytes_max: of EVM code, init code may have twice that; None: EIP-170's. signatures: what
    ECRECOVER is to say of a signature, whoever made it: (r 32, s 32 and v 1, as a client writes
    them; the address), at most SIGNATURES_MAX."""

    code_bytes_max: int | None = None
    signatures: tuple[tuple[bytes, Address], ...] = ()

    @property
    def init_code_bytes_max(self) -> int:
        return INIT_CODE_BYTES_MAX if self.code_bytes_max is None else 2 * self.code_bytes_max


STRICT = Leniency()
