"""Records, blocks, receipts and JSON-RPC's text: what is written is read back, and nothing else
is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain._native import ffi
from ghostchain.crypto.hashes import (
    bloom_may_contain,
    contract_address,
    contract_address_by_salt,
    header_hash,
    logs_bloom,
    logs_hash,
    requests_hash,
)
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding import rlp
from ghostchain.encoding.blocks import (
    _header,
    _usual_header,
    block_end,
    decode_block,
    decode_header,
    decode_receipt,
    encode_block,
    encode_header,
    encode_receipt,
)
from ghostchain.encoding.hexadecimal import format_data, parse_data
from ghostchain.encoding.quantities import format_quantity, parse_quantity
from ghostchain.encoding.transactions import encode_transaction, split_transactions, unwrap
from ghostchain.execution.native_values import header_environment
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import (
    BlockReason,
    EncodingReason,
    InvalidBlock,
    InvalidEncoding,
    TransactionReason,
)
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.types import (
    EMPTY_BLOOM,
    EMPTY_CODE_HASH,
    EMPTY_OMMERS_HASH,
    EMPTY_REQUESTS_HASH,
    EMPTY_ROOT,
    Address,
    Hash32,
)
from tests.samples import HEADER
from tests.strategies import (
    addresses,
    answer,
    blocks,
    hashes,
    headers,
    logs,
    mutations,
    receipts,
    transactions,
    uint64s,
    uint256s,
)

canonical = transactions().map(encode_transaction)


# ---- blocks ----


@given(headers(), st.data())
def test_headers_are_read_one_way(header: Header, data: st.DataObject) -> None:
    """What is read in the usual form reads so field by field too, whatever was done to its bytes;
    what a header has is in the usual form, but for extra data that is long."""
    encoded = bytearray(encode_header(header))
    assert (_usual_header(bytes(encoded)) is None) == (len(header.extra_data) > 55)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(encoded) - 1))
        match data.draw(st.sampled_from(("change", "take", "add"))):
            case "change":
                encoded[place] = data.draw(st.integers(0, 255))
            case "take":
                del encoded[place]
            case "add":
                encoded.insert(place, data.draw(st.integers(0, 255)))
    if data.draw(st.booleans()):
        encoded[1:3] = (len(encoded) - 3).to_bytes(2, "big")
    found = _usual_header(bytes(encoded))
    if found is not None:
        assert found == _header(rlp.decode(bytes(encoded), depth_max=1))


@given(headers(), st.data())
def test_headers_show_the_same_natively(header: Header, data: st.DataObject) -> None:
    """What native code takes from a header is what its fields say, where it takes one at all: every
    one that is as it should be."""
    encoded = encode_header(header)
    assert header_environment(encoded) is not None
    changed = data.draw(mutations(encoded))
    found = header_environment(changed)
    try:
        decoded = _header(rlp.decode(changed, depth_max=1))
    except (InvalidEncoding, InvalidBlock):
        return
    if found is not None:
        native, gas_used = found
        assert gas_used == decoded.gas_used
        assert (native.number, native.timestamp) == (decoded.number, decoded.timestamp)
        assert (native.gas_limit, native.excess_blob_gas) == (
            decoded.gas_limit,
            decoded.excess_blob_gas,
        )
        assert int.from_bytes(ffi.buffer(native.base_fee), "big") == decoded.base_fee_per_gas
        for name in ("coinbase", "prev_randao", "parent_hash", "parent_beacon_block_root"):
            assert ffi.buffer(getattr(native, name))[:] == getattr(decoded, name)


@given(headers())
def test_headers_read_back(header: Header) -> None:
    encoded = encode_header(header)
    assert decode_header(encoded) == header
    assert header_hash(header) == keccak256(encoded)
    assert len(rlp.decode(encoded)) == (20 if header.requests_hash is None else 21)


@given(blocks(canonical), st.binary(max_size=5))
def test_blocks_read_back(block: Block, rest: bytes) -> None:
    """Also at the front of a file of blocks."""
    encoded = encode_block(block)
    assert decode_block(encoded) == block
    assert block_end(encoded + rest, 0) == len(encoded)
    assert block_end(rest + encoded, len(rest)) == len(rest + encoded)


@given(st.data())
def test_broken_blocks_are_refused_or_other_blocks(data) -> None:
    """Bytes that decode are the only encoding of what they decode to; others say why they do
    not."""
    encoded = data.draw(mutations(encode_block(data.draw(blocks(canonical)))))
    block = answer(decode_block, encoded)
    if isinstance(block, Block):
        assert encode_block(block) == encoded
    else:
        assert block in (
            BlockReason.RLP_STRUCTURES_ENCODING,
            BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS,
        )


def parts_of(block: Block) -> list:
    parts = rlp.decode(encode_block(block))
    assert isinstance(parts, list)
    return parts


@pytest.mark.parametrize(
    ("position", "part"),
    [
        (0, b""),
        (0, []),
        (1, b""),
        (1, [b""]),
        (1, [b"\xc0"]),
        (1, [b"\x80"]),
        (1, [b"\x03" + rlp.encode([[b""], [], [], []])]),
        (2, b""),
        (3, b""),
        (3, [[b"", b"", bytes(20)]]),
        (3, [[b"\x00", b"", bytes(20), b""]]),
        (3, [[b"", b"", bytes(19), b""]]),
    ],
)
def test_wrong_structure_is_refused(position: int, part: object) -> None:
    """Wrong kinds and lengths; a legacy transaction inside a string; a sidecar inside a block."""
    parts = parts_of(Block(HEADER))
    parts[position] = part
    with pytest.raises(InvalidBlock) as refusal:
        decode_block(rlp.encode(parts))
    assert refusal.value.reason is BlockReason.RLP_STRUCTURES_ENCODING


@given(st.data())
def test_transactions_of_a_block_are_found_as_the_python_codec_finds_them(data) -> None:
    """Natively split, and the same by hand, whole and broken."""
    parts = [raw if raw[0] >= 0xC0 else rlp.encode(raw) for raw in data.draw(st.lists(canonical))]
    body = data.draw(st.one_of(st.just(b"".join(parts)), mutations(b"".join(parts))))

    def by_hand(body: bytes) -> tuple[bytes, ...]:
        found = []
        for is_list, first, payload, end in rlp.spans(body, 0, len(body)):
            raw = body[first:end] if is_list else body[payload:end]
            has_type = is_list or (raw and raw[0] < 0x80)
            # A type byte alone is one item; that it is no transaction is found when it is decoded.
            is_bare = len(raw) == 1 and not is_list
            if not has_type or (
                not is_bare and len(unwrap(raw, size_max=len(body)).canonical) != len(raw)
            ):
                raise InvalidEncoding(EncodingReason.NOT_CANONICAL)
            found.append(raw)
        return tuple(found)

    found = answer(split_transactions, body)
    if found is EncodingReason.TOO_LONG:
        items = answer(lambda body: rlp.spans(body, 0, len(body)), body)
        assert isinstance(items, EncodingReason) or len(items) > len(body) // 10
    elif isinstance(found, EncodingReason):
        assert isinstance(answer(by_hand, body), EncodingReason)
    else:
        assert found == by_hand(body)


def test_items_that_can_be_no_transactions_are_bounded() -> None:
    """A megabyte of empty lists is refused before it becomes a million objects."""
    with pytest.raises(InvalidEncoding) as refusal:
        split_transactions(b"\xc0" * 1_000_000)
    assert refusal.value.reason is EncodingReason.TOO_LONG
    assert split_transactions(b"") == ()


def test_ommers_are_refused() -> None:
    parts = parts_of(Block(HEADER))
    parts[2] = [parts[0]]
    with pytest.raises(InvalidBlock) as refusal:
        decode_block(rlp.encode(parts))
    assert refusal.value.reason is BlockReason.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS


def test_block_size_is_bounded() -> None:
    encoded = encode_block(Block(HEADER))
    assert decode_block(encoded, size_max=len(encoded)) == Block(HEADER)
    with pytest.raises(InvalidBlock, match="at most"):
        decode_block(encoded, size_max=len(encoded) - 1)


# ---- receipts and logs ----


@given(receipts)
def test_receipts_read_back(receipt: Receipt) -> None:
    assert decode_receipt(encode_receipt(receipt)) == receipt


@given(st.data())
def test_broken_receipts_are_refused_or_other_receipts(data) -> None:
    encoded = data.draw(mutations(encode_receipt(data.draw(receipts))))
    receipt = answer(decode_receipt, encoded)
    if isinstance(receipt, Receipt):
        assert encode_receipt(receipt) == encoded
    else:
        assert isinstance(receipt, EncodingReason)


@given(st.lists(logs, max_size=4), addresses, hashes)
def test_bloom_holds_every_address_and_topic(emitted: list[Log], other: Address, topic: Hash32):
    """No false negative; and entries do not depend on their order."""
    bloom = logs_bloom(emitted)
    assert len(bloom) == 256
    assert bloom == logs_bloom(list(reversed(emitted)))
    for log in emitted:
        assert all(bloom_may_contain(bloom, entry) for entry in (log.address, *log.topics))
    assert not bloom_may_contain(EMPTY_BLOOM, other)
    assert not bloom_may_contain(EMPTY_BLOOM, topic)
    ones = sum(byte.bit_count() for byte in bloom)
    assert ones <= 3 * sum(1 + len(log.topics) for log in emitted)


def test_bloom_bits_stand_where_the_yellow_paper_puts_them() -> None:
    """Three bits out of the first three 16-bit words of the digest, bit 0 in the last byte."""
    entry = Address(b"\x0f" * 20)
    digest = keccak256(entry)
    wanted = bytearray(256)
    for start in (0, 2, 4):
        bit = ((digest[start] << 8) | digest[start + 1]) % 2048
        wanted[255 - bit // 8] |= 1 << bit % 8
    assert logs_bloom([Log(entry, (), b"")]) == bytes(wanted)


# ---- hashes ----


def test_hashes_of_empty_things() -> None:
    assert keccak256(b"") == EMPTY_CODE_HASH
    assert keccak256(rlp.encode(b"")) == EMPTY_ROOT
    assert keccak256(rlp.encode([])) == EMPTY_OMMERS_HASH == logs_hash([])
    assert requests_hash([]) == EMPTY_REQUESTS_HASH
    assert requests_hash([b"\x00", b"\x01"]) == EMPTY_REQUESTS_HASH
    assert requests_hash([b"\x00a"]) != EMPTY_REQUESTS_HASH


def test_contract_addresses() -> None:
    """The well-known addresses of one sender's first contracts, and the examples of EIP-1014."""
    sender = Address(bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"))
    assert [contract_address(sender, nonce).hex() for nonce in range(3)] == [
        "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d",
        "343c43a37d37dff08ae8c4a11544c718abb4fcf8",
        "f778b86fa74e846c4f0a1fbd1335fe81c00a0c91",
    ]
    zero = Address(bytes(20))
    assert contract_address_by_salt(zero, Hash32(bytes(32)), b"\x00").hex() == (
        "4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"
    )
    deployer = Address(bytes.fromhex("00000000000000000000000000000000deadbeef"))
    salt = Hash32(bytes.fromhex("cafebabe".rjust(64, "0")))
    init_code = bytes.fromhex("deadbeef")
    assert contract_address_by_salt(deployer, salt, init_code).hex() == (
        "60f3f640a8508fc6a86d45df051962668e1e8ac7"
    )


# ---- accounts ----


@given(uint64s, uint256s, hashes, hashes)
def test_accounts_read_back(nonce: int, balance: int, root: Hash32, code_hash: Hash32) -> None:
    account = Account(nonce, balance, root, code_hash)
    assert len(account.encode()) == 104
    assert Account.decode(account.encode()) == account
    with pytest.raises(ValueError):
        Account.decode(account.encode()[:-1])


def test_empty_account_is_empty() -> None:
    assert EMPTY.is_empty
    for changed in (
        replace(EMPTY, nonce=1),
        replace(EMPTY, balance=1),
        replace(EMPTY, code_hash=Hash32(bytes(32))),
    ):
        assert not changed.is_empty


# ---- JSON-RPC text ----


@given(uint256s)
def test_quantities_read_back(value: int) -> None:
    text = format_quantity(value)
    assert parse_quantity(text) == value
    assert parse_quantity(text.upper()) == value
    assert text == "0x0" or text[2] != "0"


@given(st.binary(max_size=100))
def test_data_reads_back(data: bytes) -> None:
    text = format_data(data)
    assert parse_data(text) == parse_data(text.upper()) == data
    assert parse_data(text, length=len(data), size_max=len(data)) == data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (5, EncodingReason.NOT_TEXT),
        (None, EncodingReason.NOT_TEXT),
        (b"0x1", EncodingReason.NOT_TEXT),
        ("", EncodingReason.EMPTY_TEXT),
        ("0", EncodingReason.NO_PREFIX),
        ("12", EncodingReason.NO_PREFIX),
        ("x1", EncodingReason.NO_PREFIX),
        (" 0x1", EncodingReason.NO_PREFIX),
        ("-0x1", EncodingReason.NO_PREFIX),
        ("0x", EncodingReason.EMPTY_NUMBER),
        ("0X", EncodingReason.EMPTY_NUMBER),
        ("0x00", EncodingReason.LEADING_ZERO_DIGIT),
        ("0x01", EncodingReason.LEADING_ZERO_DIGIT),
        ("0xg", EncodingReason.NOT_HEX),
        ("0x1_0", EncodingReason.NOT_HEX),
        ("0x 1", EncodingReason.NOT_HEX),
        ("0x1\n", EncodingReason.NOT_HEX),
        ("0x١", EncodingReason.NOT_HEX),
        ("0x-1", EncodingReason.NOT_HEX),
        ("0x1" + "0" * 64, EncodingReason.NUMBER_TOO_LARGE),
        ("0x1" + "0" * 100_000, EncodingReason.NUMBER_TOO_LARGE),
    ],
)
def test_wrong_quantities_are_refused(text: object, reason: EncodingReason) -> None:
    with pytest.raises(InvalidEncoding) as refusal:
        parse_quantity(text)
    assert refusal.value.reason is reason


def test_quantities_have_a_width() -> None:
    assert parse_quantity("0xffffffffffffffff", bits=64) == 2**64 - 1
    with pytest.raises(InvalidEncoding, match="hex number > 64 bits"):
        parse_quantity("0x10000000000000000", bits=64)
    with pytest.raises(ValueError):
        format_quantity(-1)


@pytest.mark.parametrize(
    ("text", "limits", "reason"),
    [
        (None, {}, EncodingReason.NOT_TEXT),
        ("", {}, EncodingReason.EMPTY_TEXT),
        ("00", {}, EncodingReason.NO_PREFIX),
        ("0x0", {}, EncodingReason.ODD_LENGTH),
        ("0xf", {}, EncodingReason.ODD_LENGTH),
        ("0xxx", {}, EncodingReason.NOT_HEX),
        ("0x 0", {}, EncodingReason.NOT_HEX),
        ("0x00\n", {}, EncodingReason.NOT_HEX),
        ("0x00", {"length": 2}, EncodingReason.WRONG_LENGTH),
        ("0x", {"length": 20}, EncodingReason.WRONG_LENGTH),
        ("0x" + "00" * 21, {"length": 20}, EncodingReason.WRONG_LENGTH),
        ("0x0000", {"size_max": 1}, EncodingReason.TOO_LONG),
    ],
)
def test_wrong_data_is_refused(text: object, limits: dict, reason: EncodingReason) -> None:
    with pytest.raises(InvalidEncoding) as refusal:
        parse_data(text, **limits)
    assert refusal.value.reason is reason


# ---- reasons ----


def test_every_reason_of_execution_has_a_name_in_the_suite() -> None:
    for reason in TransactionReason:
        names = reason.test_suite_names
        assert all(name.startswith("TransactionException.") for name in names)
        is_ours = reason in (TransactionReason.OK, TransactionReason.SIZE) or reason >= 48
        assert bool(names) != is_ours
    assert not any(reason.can_become_valid for reason in TransactionReason if reason < 16)
    assert TransactionReason.NONCE_TOO_HIGH.can_become_valid
    assert not TransactionReason.NONCE_TOO_LOW.can_become_valid
    names = BlockReason.INVALID_STATE_ROOT.test_suite_names
    assert names == ("BlockException.INVALID_STATE_ROOT",)
