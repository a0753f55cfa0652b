"""Datagrams that belong to no connection yet, and the answers that need none. Sans-IO.

Whatever is answered here is shorter than what caused it, or asks for a proof: nobody can use a node
to flood a third (RFC 9000, 8.1 and 10.3).
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.packet import (
    QuicPacketType,
    QuicProtocolVersion,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from ghostchain.net.connection import CONNECTION_ID_BYTES, RESET_TOKEN_BYTES, reset_token

LONG_HEADER = 0x80
FIXED_BIT = 0x40
INITIAL_BYTES_MIN = SMALLEST_MAX_DATAGRAM_SIZE
# RFC 9000, 10.3: shorter ones could not be told from packets.
RESET_BYTES_MIN = 21
RESET_BYTES = 41


@dataclass(frozen=True, slots=True)
class Initial:
    """The first datagram of a connection. token: empty, or what a Retry gave."""

    destination_id: bytes
    source_id: bytes
    token: bytes


def connection_id_of(data: bytes) -> bytes | None:
    """To whom a datagram is addressed, None when it is none of QUIC. Cost: under a microsecond."""
    if not data:
        return None
    if not data[0] & LONG_HEADER:
        return data[1 : 1 + CONNECTION_ID_BYTES] if len(data) > CONNECTION_ID_BYTES else None
    if len(data) < 7 or len(data) < 6 + data[5]:
        return None
    return data[6 : 6 + data[5]]


def parse_initial(data: bytes) -> Initial | None:
    """None when this can begin no connection of QUIC version 1."""
    if len(data) < INITIAL_BYTES_MIN or not data[0] & LONG_HEADER:
        return None
    try:
        header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_BYTES)
    except ValueError:
        return None
    if (
        header.packet_type is not QuicPacketType.INITIAL
        or header.version != QuicProtocolVersion.VERSION_1
        # RFC 9000, 7.2: what a client chooses has at least 8 bytes.
        or len(header.destination_cid) < 8
    ):
        return None
    return Initial(header.destination_cid, header.source_cid, header.token)


def version_answer(data: bytes) -> bytes | None:
    """What to say to a client of another version of QUIC; None when the datagram is not of one."""
    if len(data) < INITIAL_BYTES_MIN or not data[0] & LONG_HEADER:
        return None
    version = int.from_bytes(data[1:5], "big")
    if version in (QuicProtocolVersion.NEGOTIATION, QuicProtocolVersion.VERSION_1):
        return None
    try:
        header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_BYTES)
    except ValueError:
        return None
    return encode_quic_version_negotiation(
        source_cid=header.destination_cid,
        destination_cid=header.source_cid,
        supported_versions=[QuicProtocolVersion.VERSION_1],
    )


class Tokens:
    """Proofs of address: made for a Retry, checked when they come back, good for 30 seconds."""

    def __init__(self) -> None:
        self._handler = QuicRetryTokenHandler()

    def retry(self, initial: Initial, address: NetworkAddress, now: float) -> bytes:
        """The datagram that asks for a proof. Cost: about 40 microseconds."""
        source_id = os.urandom(CONNECTION_ID_BYTES)
        token = self._handler.create_token(
            address=address,
            original_destination_connection_id=initial.destination_id,
            retry_source_connection_id=source_id,
            now=now,
        )
        return encode_quic_retry(
            version=QuicProtocolVersion.VERSION_1,
            source_cid=source_id,
            destination_cid=initial.source_id,
            original_destination_cid=initial.destination_id,
            retry_token=token,
        )

    def original_id(self, initial: Initial, address: NetworkAddress, now: float) -> bytes | None:
        """The connection id of the client's first try, when the token proves this address."""
        try:
            return self._handler.validate_token(
                address=address,
                destination_cid=initial.destination_id,
                token=initial.token,
                now=now,
            )
        except ValueError:
            return None


def stateless_reset(data: bytes, reset_key: bytes) -> bytes | None:
    """What tells the sender of a packet that its connection is not known here; None when the packet
    is too short to be answered by a shorter one."""
    size = min(len(data) - 1, RESET_BYTES)
    if size < RESET_BYTES_MIN:
        return None
    noise = bytearray(os.urandom(size - RESET_TOKEN_BYTES))
    noise[0] = noise[0] & ~LONG_HEADER | FIXED_BIT
    return bytes(noise) + reset_token(reset_key, data[1 : 1 + CONNECTION_ID_BYTES])


def is_reset_by(data: bytes, token: bytes) -> bool:
    """Whether the datagram ends with the token that a peer told."""
    return (
        len(token) == RESET_TOKEN_BYTES
        and len(data) >= RESET_BYTES_MIN
        and hmac.compare_digest(data[-RESET_TOKEN_BYTES:], token)
    )
