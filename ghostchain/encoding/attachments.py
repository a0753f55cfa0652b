"""What travels and is kept beside a block of a chain with consensus, and is not in its header.

    msgpack array of 3:  commit certificate of the parent, bytes, empty for the first block
                       | evidence, array of [key 32, vote 115, vote 115]
                       | VRF proof of the proposer, 80 bytes

Certificate and votes are messages of consensus (`consensus/messages.py`), opaque here. One record
has one encoding, so all nodes keep the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

from ghostchain.primitives.errors import EncodingReason, InvalidEncoding

CERTIFICATE_BYTES_MAX = 16_384
"""More than 200 signatures and what is around them."""

EVIDENCE_MAX = 8
"""Pieces of evidence in a block at most."""

KEY_BYTES = 32
VOTE_BYTES = 115
PROOF_BYTES = 80
ATTACHMENT_BYTES_MAX = CERTIFICATE_BYTES_MAX + EVIDENCE_MAX * 512 + 128


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two votes that the holder of the key signed and no honest one does, as messages."""

    key: bytes
    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a block brings along. proof: the proposer's, for `prevRandao`."""

    certificate: bytes
    evidence: tuple[Evidence, ...]
    proof: bytes


def encode_evidence(evidence: Evidence) -> bytes:
    """The bytes under which a piece of evidence is kept before it is in a block."""
    return bytes(msgpack.packb([evidence.key, evidence.first, evidence.second]))


def decode_evidence(data: bytes) -> Evidence:
    """Raises: InvalidEncoding."""
    if len(data) > 512:
        raise InvalidEncoding(EncodingReason.TOO_LONG, f"evidence of {len(data)} bytes")
    found = _evidence(_unpacked(data))
    if encode_evidence(found) != data:
        raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "evidence in another form")
    return found


def encode_attachment(attachment: Attachment) -> bytes:
    """The bytes of an attachment."""
    pieces = [[one.key, one.first, one.second] for one in attachment.evidence]
    return bytes(msgpack.packb([attachment.certificate, pieces, attachment.proof]))


def decode_attachment(data: bytes) -> Attachment:
    """The attachment of these bytes; whether its votes and its proof hold is not looked at.

    Raises: InvalidEncoding; TOO_LONG before anything is decoded.
    Cost: linear, and data has ATTACHMENT_BYTES_MAX bytes at most.
    """
    if len(data) > ATTACHMENT_BYTES_MAX:
        raise InvalidEncoding(EncodingReason.TOO_LONG, f"an attachment of {len(data)} bytes")
    certificate, pieces, proof = _array(_unpacked(data), 3)
    if not isinstance(pieces, list):
        raise InvalidEncoding(EncodingReason.NOT_A_LIST, "evidence is no array")
    if len(pieces) > EVIDENCE_MAX:
        raise InvalidEncoding(EncodingReason.TOO_LONG, f"{len(pieces)} pieces of evidence")
    if not isinstance(certificate, bytes) or len(certificate) > CERTIFICATE_BYTES_MAX:
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, "a certificate that is too long")
    found = Attachment(
        certificate, tuple(map(_evidence, pieces)), _fixed(proof, PROOF_BYTES, "proof")
    )
    if encode_attachment(found) != data:
        raise InvalidEncoding(EncodingReason.NOT_CANONICAL, "an attachment in another form")
    return found


def _unpacked(data: bytes) -> object:
    try:
        unpacked: object = msgpack.unpackb(
            data,
            raw=False,
            max_str_len=0,
            max_bin_len=CERTIFICATE_BYTES_MAX,
            max_array_len=EVIDENCE_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidEncoding(EncodingReason.NOT_CANONICAL, f"not msgpack: {error}") from error
    return unpacked


def _array(value: object, length: int) -> list[object]:
    if not isinstance(value, list) or len(value) != length:
        raise InvalidEncoding(EncodingReason.FIELD_COUNT, f"not an array of {length}")
    return value


def _fixed(value: object, length: int, name: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != length:
        raise InvalidEncoding(EncodingReason.FIELD_WIDTH, f"a {name} has {length} bytes")
    return value


def _evidence(value: object) -> Evidence:
    key, first, second = _array(value, 3)
    return Evidence(
        _fixed(key, KEY_BYTES, "key"),
        _fixed(first, VOTE_BYTES, "vote"),
        _fixed(second, VOTE_BYTES, "vote"),
    )
