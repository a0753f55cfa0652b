"""What nodes say to each other about peers, transactions and blocks, as records and as bytes.

A frame is one message: a msgpack array of its kind and its fields. The decoder walks the schema of
the kind, so that each count and length is compared with its limit before anything of that size is
made; maps, extensions, floats and arrays in other places are refused, and so is whatever follows
the message. Hashes travel joined in one string, 32 bytes each.

    kind                    channel        fields
    1 hello                 CONTROL        version min, version max, chain id, genesis hash,
                                           software, address record or "", head, seen host
    2 welcome               CONTROL        version
    3 ping                  CONTROL        number, head
    4 pong                  CONTROL        number, head
    5 get peers             CONTROL        count at most
    6 peers                 CONTROL        address records
    7 transaction hashes    TRANSACTIONS   hashes
    8 get transactions      TRANSACTIONS   request, hashes
    9 transactions          TRANSACTIONS   request (0: unasked), transactions
    10 get block            BLOCKS         block id
    11 compact block        BLOCKS         block id, body (encode_compact)
    12 get block txs        BLOCKS         block id, listing, bitmap of indices
    13 block transactions   BLOCKS         block id, transactions
    14 block missing        BLOCKS         block id

Votes, proposals, evidence and sync have channels of their own and formats that are not ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from struct import Struct
from typing import Any

import msgpack

from ghostchain.primitives.types import Hash32

VERSION_MIN, VERSION_MAX = 1, 1
"""The versions of this protocol that are spoken here."""

KIB, MIB = 1 << 10, 1 << 20
UINT64_MAX = 2**64 - 1
SOFTWARE_CHARACTERS_MAX = 64
HOST_CHARACTERS_MAX = 45
RECORD_BYTES_MAX = 256
PEERS_MAX = 32
"""Address records in an answer."""

HASHES_MAX = 4_096
"""Transactions announced, or asked for, at once."""

TRANSACTIONS_MAX = 4_096
TRANSACTION_BYTES_MAX = MIB
"""Of one transaction on the wire; the pool's own limits are lower. A blob transaction travels with
its sidecar."""

ANSWER_BYTES_MAX = MIB
"""Transactions in one frame: as many as fit, and at least one."""

BLOCK_TRANSACTIONS_MAX = 65_536
BLOCK_BYTES_MAX = 12 * MIB
"""Transactions of a block, in count and bytes. What the chain allows is less, and is its own to
check."""

HEADER_BYTES_MAX = 2 * KIB
WITHDRAWALS_BYTES_MAX = 64 * KIB
ATTACHMENT_BYTES_MAX = 128 * KIB
COMPACT_BYTES_MAX = (
    32 * BLOCK_TRANSACTIONS_MAX + HEADER_BYTES_MAX + WITHDRAWALS_BYTES_MAX + ATTACHMENT_BYTES_MAX
) + 64
SPOKEN_BYTES_MAX = 256 * KIB
"""Of a message of consensus inside a proposal's envelope."""


class Channel(IntEnum):
    """The classes of traffic, each a stream of its own in both directions. Lower goes first, but
    CONTROL before all."""

    VOTES = 0
    PROPOSALS = 1
    BLOCKS = 2
    EVIDENCE = 3
    TRANSACTIONS = 4
    SYNC = 5
    CONTROL = 6


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """What one peer may send on a channel, and how much waits for it there.

    frame_bytes_max: of one message. bytes_per_second, messages_per_second: sustained.
    burst_seconds: how many seconds' worth may come at once. queue_bytes_max: of what is to be sent
    to it; what does not fit is not sent.
    """

    frame_bytes_max: int
    bytes_per_second: int
    messages_per_second: int
    burst_seconds: int
    queue_bytes_max: int


CHANNEL_LIMITS = {
    Channel.VOTES: ChannelLimits(128 * KIB, 4 * MIB, 4_000, 2, 2 * MIB),
    Channel.PROPOSALS: ChannelLimits(3 * MIB, 16 * MIB, 200, 2, 16 * MIB),
    Channel.BLOCKS: ChannelLimits(3 * MIB, 32 * MIB, 1_000, 2, 16 * MIB),
    Channel.EVIDENCE: ChannelLimits(64 * KIB, 512 * KIB, 100, 2, MIB),
    Channel.TRANSACTIONS: ChannelLimits(2 * MIB, 16 * MIB, 2_000, 2, 8 * MIB),
    Channel.SYNC: ChannelLimits(2 * MIB, 64 * MIB, 2_000, 2, 32 * MIB),
    Channel.CONTROL: ChannelLimits(16 * KIB, 128 * KIB, 40, 4, 256 * KIB),
}


_FRAME_BYTES_MAX = {
    int(channel): limits.frame_bytes_max for channel, limits in CHANNEL_LIMITS.items()
}


class MessageReason(Enum):
    """Why a frame is refused. Whoever sent it is to blame for each of these."""

    EMPTY = "an empty frame"
    OVERSIZED = "a frame longer than its channel allows"
    MALFORMED = "not msgpack of the expected shape"
    UNKNOWN_KIND = "no such kind of message"
    WRONG_CHANNEL = "a message on a channel that it does not belong to"
    FIELD_COUNT = "wrong number of fields"
    FIELD_TYPE = "a field of the wrong type"
    FIELD_RANGE = "a number or a length outside its bounds"
    TOO_MANY = "more items than allowed"
    DUPLICATE = "the same item twice"
    TRAILING_BYTES = "bytes after the message"


class InvalidMessage(Exception):
    """A frame that no honest peer sends."""

    def __init__(self, reason: MessageReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


# ---- the messages ----


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of both sides: who runs what.

    version_min, version_max: of the protocol. record: the sender's signed address (records.py),
    empty when it cannot be dialled. head: height of its chain. seen_host: the address under which
    it sees the receiver.
    """

    version_min: int
    version_max: int
    chain_id: int
    genesis: Hash32
    software: str
    record: bytes
    head: int
    seen_host: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The sender took the receiver's Hello; from now on it listens on every channel."""

    version: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with a Pong of the same number. head: height of the sender's chain."""

    number: int
    head: int


@dataclass(frozen=True, slots=True)
class Pong:
    number: int
    head: int


@dataclass(frozen=True, slots=True)
class GetPeers:
    """Who else is there? count: records wanted, at most PEERS_MAX."""

    count: int


@dataclass(frozen=True, slots=True)
class Peers:
    """Address records, undecoded: an answer, or news of the sender's own address."""

    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TransactionHashes:
    """The sender has these transactions."""

    hashes: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class GetTransactions:
    """To be answered with Transactions of the same request; positive."""

    request: int
    hashes: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class Transactions:
    """request 0: unasked. Otherwise those of the asked that the sender has and that fit, in the
    order asked."""

    request: int
    raws: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class GetBlock:
    """To be answered with CompactBlock or BlockMissing."""

    block_id: Hash32


@dataclass(frozen=True, slots=True)
class CompactBlock:
    """body: `encode_compact`."""

    block_id: Hash32
    body: bytes


@dataclass(frozen=True, slots=True)
class GetBlockTransactions:
    """To be answered with BlockTransactions or BlockMissing, or with CompactBlock where the block
    has another listing.

    listing: keccak256 of the hashes, joined, of the body whose indices these are. bitmap: wanted
    indices, least significant bit first, without zero bytes at its end.
    """

    block_id: Hash32
    listing: Hash32
    bitmap: bytes


@dataclass(frozen=True, slots=True)
class BlockTransactions:
    """The wanted transactions in the order of the block, from the first on as many as fit."""

    block_id: Hash32
    raws: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BlockMissing:
    """The sender does not have that block."""

    block_id: Hash32


@dataclass(frozen=True, slots=True)
class CompactBody:
    """A block without its transactions. header, withdrawals: RLP; attachment: what travels beside
    the block, opaque here; hashes: of its transactions in their order, none twice."""

    header: bytes
    withdrawals: bytes
    attachment: bytes
    hashes: tuple[Hash32, ...]


Message = (
    Hello
    | Welcome
    | Ping
    | Pong
    | GetPeers
    | Peers
    | TransactionHashes
    | GetTransactions
    | Transactions
    | GetBlock
    | CompactBlock
    | GetBlockTransactions
    | BlockTransactions
    | BlockMissing
)

# ---- the schemas ----

Reader = Callable[[Any], Any]
"""Takes one field from a msgpack.Unpacker."""


def _integer(maximum: int, minimum: int = 0) -> Reader:
    def read(unpacker: Any) -> int:
        value = unpacker.unpack()
        if type(value) is not int:
            raise InvalidMessage(MessageReason.FIELD_TYPE, "a number is expected")
        if not minimum <= value <= maximum:
            raise InvalidMessage(MessageReason.FIELD_RANGE, str(value))
        return value

    return read


def _string(maximum: int, minimum: int = 0) -> Reader:
    def read(unpacker: Any) -> bytes:
        value = unpacker.unpack()
        if type(value) is not bytes:
            raise InvalidMessage(MessageReason.FIELD_TYPE, "bytes are expected")
        if not minimum <= len(value) <= maximum:
            raise InvalidMessage(MessageReason.FIELD_RANGE, f"{len(value)} bytes")
        return value

    return read


def _text(maximum: int) -> Reader:
    """Printable ASCII, since it is shown and logged."""

    def read(unpacker: Any) -> str:
        value = unpacker.unpack()
        if type(value) is not str:
            raise InvalidMessage(MessageReason.FIELD_TYPE, "a text is expected")
        if len(value) > maximum or not (value.isascii() and value.isprintable()):
            raise InvalidMessage(MessageReason.FIELD_RANGE, f"a text of {len(value)} characters")
        return value

    return read


def _hashes(maximum: int, minimum: int = 1) -> Reader:
    """Joined hashes, none twice."""

    def read(unpacker: Any) -> tuple[bytes, ...]:
        return _split_hashes(unpacker.unpack(), maximum, minimum)

    return read


def _split_hashes(joined: object, maximum: int, minimum: int) -> tuple[Hash32, ...]:
    if type(joined) is not bytes:
        raise InvalidMessage(MessageReason.FIELD_TYPE, "bytes are expected")
    count, rest = divmod(len(joined), 32)
    if rest or count < minimum:
        raise InvalidMessage(MessageReason.FIELD_RANGE, f"hashes of {len(joined)} bytes")
    if count > maximum:
        raise InvalidMessage(MessageReason.TOO_MANY, f"{count} hashes")
    hashes = tuple([hash for (hash,) in _CUT.iter_unpack(joined)])
    if len(set(hashes)) != count:
        raise InvalidMessage(MessageReason.DUPLICATE, "a hash")
    return hashes


def _strings(count_max: int, bytes_max: int) -> Reader:
    """An array of strings, none empty."""

    def read(unpacker: Any) -> tuple[bytes, ...]:
        count = unpacker.read_array_header()
        if count > count_max:
            raise InvalidMessage(MessageReason.TOO_MANY, f"{count} items")
        unpack = unpacker.unpack
        items = tuple([unpack() for _ in range(count)])
        if not _ONLY_BYTES.issuperset(map(type, items)):
            raise InvalidMessage(MessageReason.FIELD_TYPE, "bytes are expected")
        if items and (b"" in items or max(map(len, items)) > bytes_max):
            raise InvalidMessage(MessageReason.FIELD_RANGE, "an item empty or too long")
        return items

    return read


def _bitmap(unpacker: Any) -> bytes:
    value: bytes = _BITMAP_BYTES(unpacker)
    if value[-1] == 0:
        raise InvalidMessage(MessageReason.FIELD_RANGE, "a bitmap that ends with zeros")
    return value


_CUT = Struct("32s")
_ONLY_BYTES = frozenset((bytes,))
_UINT64 = _integer(UINT64_MAX)
_HASH = _string(32, 32)
_BITMAP_BYTES = _string(BLOCK_TRANSACTIONS_MAX // 8, 1)

# The kind of each message is its place.
SCHEMAS: tuple[tuple[type, Channel, tuple[Reader, ...]], ...] = (
    (
        Hello,
        Channel.CONTROL,
        (
            _integer(255),
            _integer(255),
            _UINT64,
            _HASH,
            _text(SOFTWARE_CHARACTERS_MAX),
            _string(RECORD_BYTES_MAX),
            _UINT64,
            _text(HOST_CHARACTERS_MAX),
        ),
    ),
    (Welcome, Channel.CONTROL, (_integer(255),)),
    (Ping, Channel.CONTROL, (_UINT64, _UINT64)),
    (Pong, Channel.CONTROL, (_UINT64, _UINT64)),
    (GetPeers, Channel.CONTROL, (_integer(PEERS_MAX, 1),)),
    (Peers, Channel.CONTROL, (_strings(PEERS_MAX, RECORD_BYTES_MAX),)),
    (TransactionHashes, Channel.TRANSACTIONS, (_hashes(HASHES_MAX),)),
    (GetTransactions, Channel.TRANSACTIONS, (_integer(UINT64_MAX, 1), _hashes(HASHES_MAX))),
    (
        Transactions,
        Channel.TRANSACTIONS,
        (_UINT64, _strings(TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX)),
    ),
    (GetBlock, Channel.BLOCKS, (_HASH,)),
    (CompactBlock, Channel.BLOCKS, (_HASH, _string(COMPACT_BYTES_MAX, 1))),
    (GetBlockTransactions, Channel.BLOCKS, (_HASH, _HASH, _bitmap)),
    (
        BlockTransactions,
        Channel.BLOCKS,
        (_HASH, _strings(BLOCK_TRANSACTIONS_MAX, TRANSACTION_BYTES_MAX)),
    ),
    (BlockMissing, Channel.BLOCKS, (_HASH,)),
)
KINDS = {record: kind for kind, (record, _, _) in enumerate(SCHEMAS, 1)}
CHANNELS = {record: channel for record, channel, _ in SCHEMAS}
_JOINED = frozenset((TransactionHashes, GetTransactions))
"""Messages whose last field is hashes."""


def channel_of(message: Message) -> Channel:
    """Where the message is said."""
    return CHANNELS[type(message)]


def encode_message(message: Message) -> bytes:
    """The frame of a message."""
    record = type(message)
    fields = (KINDS[record], *_fields_of(message))
    if record in _JOINED:
        fields = (*fields[:-1], b"".join(fields[-1]))
    packed: bytes = msgpack.packb(fields, use_bin_type=True)
    return packed


def _fields_of(message: Message) -> tuple[Any, ...]:
    """The fields in their order, uncopied."""
    return tuple([getattr(message, name) for name in message.__slots__])


def decode_message(channel: int, frame: bytes) -> Message:
    """The one message of a frame that came on a channel. Raises: InvalidMessage.

    Cost: about 3 microseconds, and 0.1 for each item of an array or hash.
    """
    _check_size(frame, _FRAME_BYTES_MAX[channel])
    unpacker = _unpacker(frame)
    try:
        count = unpacker.read_array_header()
        kind = unpacker.unpack() if count else 0
        if type(kind) is not int or not 1 <= kind <= len(SCHEMAS):
            raise InvalidMessage(MessageReason.UNKNOWN_KIND, str(kind)[:20])
        record, own_channel, readers = SCHEMAS[kind - 1]
        if own_channel != channel:
            raise InvalidMessage(MessageReason.WRONG_CHANNEL, record.__name__)
        if count != len(readers) + 1:
            raise InvalidMessage(MessageReason.FIELD_COUNT, f"{count - 1} of {record.__name__}")
        fields = [reader(unpacker) for reader in readers]
    except (msgpack.UnpackException, ValueError, RecursionError) as failure:
        raise InvalidMessage(MessageReason.MALFORMED, str(failure)[:80]) from failure
    _check_end(unpacker, frame)
    message: Message = record(*fields)
    return message


def encode_envelope(spoken: bytes, body: bytes | None) -> bytes:
    """The frame on PROPOSALS: what consensus says and, with a proposal, its block."""
    packed: bytes = msgpack.packb((spoken, body), use_bin_type=True)
    return packed


def decode_envelope(frame: bytes) -> tuple[bytes, bytes | None]:
    """The two parts of `encode_envelope`, the second None when there is none.

    Raises: InvalidMessage.
    """
    _check_size(frame, CHANNEL_LIMITS[Channel.PROPOSALS].frame_bytes_max)
    unpacker = _unpacker(frame)
    try:
        if unpacker.read_array_header() != 2:
            raise InvalidMessage(MessageReason.FIELD_COUNT, "an envelope has two parts")
        spoken, body = unpacker.unpack(), unpacker.unpack()
    except (msgpack.UnpackException, ValueError, RecursionError) as failure:
        raise InvalidMessage(MessageReason.MALFORMED, str(failure)[:80]) from failure
    _check_end(unpacker, frame)
    if type(spoken) is not bytes or not (body is None or type(body) is bytes):
        raise InvalidMessage(MessageReason.FIELD_TYPE, "bytes are expected")
    if not 0 < len(spoken) <= SPOKEN_BYTES_MAX or (body is not None and not body):
        raise InvalidMessage(MessageReason.FIELD_RANGE, f"{len(spoken)} bytes")
    return spoken, body


def encode_compact(body: CompactBody) -> bytes:
    """The bytes of a block without its transactions: what goes with a proposal."""
    packed: bytes = msgpack.packb(
        (body.header, body.withdrawals, body.attachment, b"".join(body.hashes)), use_bin_type=True
    )
    return packed


def decode_compact(data: bytes) -> CompactBody:
    """The parts of `encode_compact`. That they belong together is not looked at.

    Raises: InvalidMessage.
    """
    _check_size(data, COMPACT_BYTES_MAX)
    unpacker = _unpacker(data)
    try:
        count = unpacker.read_array_header()
        if count != len(_COMPACT):
            raise InvalidMessage(MessageReason.FIELD_COUNT, f"a compact block of {count} parts")
        header, withdrawals, attachment, hashes = [reader(unpacker) for reader in _COMPACT]
    except (msgpack.UnpackException, ValueError, RecursionError) as failure:
        raise InvalidMessage(MessageReason.MALFORMED, str(failure)[:80]) from failure
    _check_end(unpacker, data)
    return CompactBody(header, withdrawals, attachment, hashes)


_COMPACT = (
    _string(HEADER_BYTES_MAX, 1),
    _string(WITHDRAWALS_BYTES_MAX, 1),
    _string(ATTACHMENT_BYTES_MAX),
    _hashes(BLOCK_TRANSACTIONS_MAX, 0),
)


def _check_size(frame: bytes, bytes_max: int) -> None:
    if not frame:
        raise InvalidMessage(MessageReason.EMPTY)
    if len(frame) > bytes_max:
        raise InvalidMessage(MessageReason.OVERSIZED, f"{len(frame)} bytes")


def _unpacker(frame: bytes) -> Any:
    """Arrays are read by their heads alone, so that no count makes room before it is looked at;
    strings cannot be longer than the frame."""
    unpacker = msgpack.Unpacker(
        None,
        read_size=1,
        max_buffer_size=len(frame),
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
    )
    unpacker.feed(frame)
    return unpacker


def _check_end(unpacker: Any, frame: bytes) -> None:
    if unpacker.tell() != len(frame):
        raise InvalidMessage(MessageReason.TRAILING_BYTES, str(len(frame) - unpacker.tell()))
