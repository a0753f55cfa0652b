"""Blob sidecars: a type-3 transaction waits only when its blobs are what its hashes say.

The wrapper of EIP-4844 is `0x03 || rlp([transaction, blobs, commitments, proofs])`; since EIP-7594
(Osaka) it is `0x03 || rlp([transaction, 1, blobs, commitments, cell_proofs])`, 128 proofs a blob.
Checked here: counts, lengths, versioned hashes, KZG proofs (ckzg, in one batch). The sidecar is
not part of a block; it is verified at the door and not kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import ckzg

from ghostchain.crypto.kzg import trusted_setup
from ghostchain.encoding import rlp
from ghostchain.primitives.errors import InvalidEncoding

BLOB_BYTES = 131_072
COMMITMENT_BYTES = 48
CELLS_PER_BLOB = 128
# Six blobs with 128 cell proofs each, and room for the transaction itself.
SIDECAR_BYTES_MAX = 6 * (BLOB_BYTES + COMMITMENT_BYTES * (CELLS_PER_BLOB + 2)) + 128 * 1024


class SidecarError(ValueError):
    """The sidecar does not prove what the transaction claims; the text says where."""


def check_sidecar(
    network_form: bytes, hashes: Sequence[bytes], *, cell_proofs: bool, older_too: bool = False
) -> None:
    """The blobs of a type-3 transaction in network form match its versioned hashes.

    cell_proofs: the chain is at Osaka or later (wrapper version 1). older_too: then the wrapper of
    before does as well, where no other node has to take it.
    Raises: SidecarError with the reason.
    Spec: EIP-4844 "Networking", EIP-7594 "Networking".
    """
    items = _items(network_form)
    cell_proofs = cell_proofs and not (older_too and len(items) == 4)
    blobs, commitments, proofs = _unwrap(items, cell_proofs=cell_proofs)
    count = len(hashes)
    if len(blobs) != count or len(commitments) != count:
        raise SidecarError(
            f"invalid number of {len(blobs)} blobs and {len(commitments)} commitments "
            f"compared to {count} blob hashes"
        )
    wanted = count * (CELLS_PER_BLOB if cell_proofs else 1)
    if len(proofs) != wanted:
        raise SidecarError(f"invalid number of {len(proofs)} proofs, expected {wanted}")
    if any(len(blob) != BLOB_BYTES for blob in blobs):
        raise SidecarError(f"a blob is not {BLOB_BYTES} bytes long")
    if any(len(item) != COMMITMENT_BYTES for item in (*commitments, *proofs)):
        raise SidecarError(f"a commitment or proof is not {COMMITMENT_BYTES} bytes long")
    for index, (commitment, versioned) in enumerate(zip(commitments, hashes, strict=True)):
        if b"\x01" + hashlib.sha256(commitment).digest()[1:] != versioned:
            raise SidecarError(f"blob {index}: computed hash mismatches transaction one")
    if not _proofs_hold(blobs, commitments, proofs, cell_proofs=cell_proofs):
        raise SidecarError("blob proof verification failed")


def _items(network_form: bytes) -> Sequence[rlp.Decoded]:
    try:
        items = rlp.decode(network_form[1:], size_max=SIDECAR_BYTES_MAX, depth_max=5)
    except InvalidEncoding as failure:
        raise SidecarError(f"malformed blob wrapper: {failure}") from failure
    return () if isinstance(items, bytes) else items


def _unwrap(
    items: Sequence[rlp.Decoded], *, cell_proofs: bool
) -> tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]:
    length = 5 if cell_proofs else 4
    if len(items) != length:
        raise SidecarError(
            "missing sidecar in blobs transaction"
            if len(items) > 5
            else f"blob wrapper must have {length} items at this fork"
        )
    if cell_proofs and items[1] != b"\x01":
        raise SidecarError("blob wrapper version must be 1 at this fork")
    blobs, commitments, proofs = (
        byte_strings(part) for part in (items[2:] if cell_proofs else items[1:])
    )
    return blobs, commitments, proofs


def byte_strings(part: rlp.Decoded) -> list[bytes]:
    """The items of a list that holds only byte strings. Raises SidecarError."""
    if isinstance(part, bytes):
        raise SidecarError("blob wrapper must hold lists of byte strings")
    strings = [item for item in part if isinstance(item, bytes)]
    if len(strings) != len(part):
        raise SidecarError("blob wrapper must hold lists of byte strings")
    return strings


def _proofs_hold(
    blobs: Sequence[bytes],
    commitments: Sequence[bytes],
    proofs: Sequence[bytes],
    *,
    cell_proofs: bool,
) -> bool:
    setup = trusted_setup()
    try:
        if not cell_proofs:
            return bool(
                ckzg.verify_blob_kzg_proof_batch(
                    b"".join(blobs), b"".join(commitments), b"".join(proofs), setup
                )
            )
        cells: list[bytes] = []
        for blob in blobs:
            cells.extend(ckzg.compute_cells(blob, setup))
        repeated = [item for item in commitments for _ in range(CELLS_PER_BLOB)]
        indices = list(range(CELLS_PER_BLOB)) * len(blobs)
        return bool(ckzg.verify_cell_kzg_proof_batch(repeated, indices, cells, list(proofs), setup))
    except (RuntimeError, ValueError, AssertionError) as failure:
        raise SidecarError(f"blob proof verification failed: {failure}") from failure
