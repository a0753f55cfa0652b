"""Signed addresses: where a node can be reached, in its own words, and whose validator it is.

    key 32 | sequence 8 | port 2 | host 1 + 4 or 16 | claim 1 + 0 or 104 | signature 64
    claim: consensus key 32 | time 8 | signature 64 over encoding/votes.node_claim_bytes

The node key signs "GhostChain addr\\0" | chain id 8 | everything before its signature. The sequence
is the time of signing in Unix milliseconds: of two records of a key the later holds. Hosts are
IP addresses, never names: what a record says costs whoever believes it no more than a dial.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from ghostchain.crypto import ed25519
from ghostchain.encoding.votes import node_claim_bytes
from ghostchain.p2p.messages import InvalidMessage, MessageReason

RECORD_DOMAIN = b"GhostChain addr\0"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
CLAIM_BYTES = KEY_BYTES + 8 + SIGNATURE_BYTES

Signer = Callable[[bytes], bytes]
"""Signs with the node key."""


class Scope(IntEnum):
    """From how far an address can be reached. A record spreads only among peers that are at least
    as near."""

    LOOPBACK = 0
    PRIVATE = 1
    PUBLIC = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """That a consensus key speaks through a node. time: Unix milliseconds."""

    key: bytes
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """Where a node says it can be reached. raw: its bytes. claim: of a validator's node."""

    key: bytes
    sequence: int
    host: str
    port: int
    claim: Claim | None
    raw: bytes


def make_record(
    sign: Signer,
    *,
    chain_id: int,
    key: bytes,
    host: str,
    port: int,
    sequence: int,
    claim: Claim | None = None,
) -> AddressRecord:
    """The signed record of this node. Raises: ValueError when host is not an IP address."""
    packed = _address(host).packed
    body = b"".join(
        (
            key,
            sequence.to_bytes(8, "big"),
            port.to_bytes(2, "big"),
            bytes((len(packed),)),
            packed,
            b"\0"
            if claim is None
            else b"\1" + claim.key + claim.time.to_bytes(8, "big") + claim.signature,
        )
    )
    raw = body + sign(_signed(chain_id, body))
    return AddressRecord(key, sequence, str(_address(host)), port, claim, raw)


def decode_record(raw: bytes) -> AddressRecord:
    """The fields of a record; no signature is looked at. Raises: InvalidMessage."""
    place = KEY_BYTES + 8 + 2
    if len(raw) < place + 1:
        raise InvalidMessage(MessageReason.MALFORMED, f"a record of {len(raw)} bytes")
    host_end = place + 1 + raw[place]
    if raw[place] not in (4, 16) or len(raw) <= host_end or raw[host_end] > 1:
        raise InvalidMessage(MessageReason.MALFORMED, "a record's host or claim")
    end = host_end + 1 + raw[host_end] * CLAIM_BYTES
    if len(raw) != end + SIGNATURE_BYTES:
        raise InvalidMessage(MessageReason.MALFORMED, f"a record of {len(raw)} bytes")
    address = _unmapped(ipaddress.ip_address(raw[place + 1 : host_end]))
    port = int.from_bytes(raw[place - 2 : place], "big")
    if port == 0 or address.is_unspecified or address.is_multicast:
        raise InvalidMessage(MessageReason.FIELD_RANGE, f"{address} port {port}")
    if len(address.packed) != raw[place]:
        raise InvalidMessage(MessageReason.MALFORMED, "an IPv4 address as one of IPv6")
    claim = None
    if raw[host_end]:
        key_end = host_end + 1 + KEY_BYTES
        time = int.from_bytes(raw[key_end : key_end + 8], "big")
        claim = Claim(raw[host_end + 1 : key_end], time, raw[key_end + 8 : end])
    sequence = int.from_bytes(raw[KEY_BYTES : KEY_BYTES + 8], "big")
    return AddressRecord(raw[:KEY_BYTES], sequence, str(address), port, claim, raw)


def verify_record(chain_id: int, record: AddressRecord) -> bool:
    """Whether the node, and the validator that it claims to be of, signed it.

    Cost: one or two verifications of Ed25519, 100 microseconds each.
    """
    body, signature = record.raw[:-SIGNATURE_BYTES], record.raw[-SIGNATURE_BYTES:]
    if not ed25519.verify(record.key, _signed(chain_id, body), signature):
        return False
    claim = record.claim
    if claim is None:
        return True
    claimed = node_claim_bytes(chain_id, record.key, claim.time)
    return ed25519.verify(claim.key, claimed, claim.signature)


@lru_cache(maxsize=4_096)
def scope_of(host: str) -> Scope:
    """Of an IP address; whatever is none counts as public."""
    try:
        address = _address(host)
    except ValueError:
        return Scope.PUBLIC
    if address.is_loopback:
        return Scope.LOOPBACK
    return Scope.PUBLIC if address.is_global else Scope.PRIVATE


@lru_cache(maxsize=4_096)
def group_of(host: str) -> bytes:
    """What counts as one network: the first 24 bits of an IPv4 address, 48 of an IPv6 one."""
    try:
        packed = _address(host).packed
    except ValueError:
        return host.encode()
    return packed[:3] if len(packed) == 4 else packed[:6]


def is_address(host: str) -> bool:
    """Whether it is an IP address, not a name."""
    try:
        _address(host)
    except ValueError:
        return False
    return True


def _signed(chain_id: int, body: bytes) -> bytes:
    return RECORD_DOMAIN + chain_id.to_bytes(8, "big") + body


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return _unmapped(ipaddress.ip_address(host.partition("%")[0]))


def _unmapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address written as one of IPv6 is the IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
