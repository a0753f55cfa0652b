"""Anvil's state dump, written and read: JSON of all accounts, and of blocks and transactions.

Anvil takes what is written here, and this node what anvil wrote (its older forms too). Reading, the
accounts are what counts: blocks of another chain do not follow ours, so of them times, coinbases,
base fees and randomness are taken, and no transactions. Transactions of types that anvil does not
know are left out of its view of a block, and traces and historical states are not written.

Addresses and keys stand in the database under their hashes; what they hash from is kept beside them
on a chain without consensus (`state/keys.py`).
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ghostchain.chain.amendments import Amendments
from ghostchain.chain.chain import Chain
from ghostchain.chain.fees import BASE_FEE_END
from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data, parse_data
from ghostchain.encoding.unsigned import decode_admitted
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address, Hash32
from ghostchain.rpc.development_parameters import number
from ghostchain.rpc.render import header_json, signed_json
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.storage.database import Snapshot, after

# What a dump may decompress to, and how many of the last blocks one holds.
DUMP_BYTES_MAX = 1 << 29
DUMP_BLOCKS_MAX = 10_000
STANDARD_TYPE_MAX = 4
MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Moment:
    """What is dumped: taken on the writer's thread, unmoved by later blocks."""

    head: Header
    snapshot: Snapshot
    pending: Amendments
    environment: BlockEnvironment


@dataclass(frozen=True, slots=True)
class OldBlock:
    """What a dump says of a block, and a block of ours can say too."""

    timestamp: int
    coinbase: Address
    prev_randao: Hash32
    base_fee: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is taken of a dump. number and timestamp: of its last block, None where it does not
    say. blocks: by number, those that it holds."""

    amendments: Amendments
    number: int | None
    timestamp: int | None
    blocks: Mapping[int, OldBlock]


# ---- writing ----


def moment_of(chain: Chain, environment: BlockEnvironment) -> Moment:
    """On the writer's thread. environment: of the next block."""
    head, _, snapshot = chain.latest()
    return Moment(head, snapshot, chain.pending_amendments, environment)


def dump(chain: Chain, moment: Moment) -> bytes:
    """The dump of that moment, as JSON. Cost: the whole state and the last DUMP_BLOCKS_MAX
    blocks."""
    blocks, transactions = [], []
    first = max(chain.begin, moment.head.number - DUMP_BLOCKS_MAX + 1)
    for height in range(first, moment.head.number + 1):
        block, found = block_json(chain, height)
        if block is not None:
            blocks.append(block)
            transactions += found
    document = {
        "block": environment_json(moment),
        "accounts": accounts_of(moment),
        "best_block_number": moment.head.number,
        "blocks": blocks,
        "transactions": transactions,
        "historical_states": None,
    }
    return orjson.dumps(document)


def environment_json(moment: Moment) -> dict[str, Any]:
    head, environment = moment.head, moment.environment
    return {
        "number": hex(head.number),
        "beneficiary": format_data(environment.coinbase),
        "timestamp": hex(head.timestamp),
        "gas_limit": environment.gas_limit,
        "basefee": min(environment.base_fee, (1 << 64) - 1),
        "difficulty": "0x0",
        "prevrandao": format_data(head.prev_randao),
        "blob_excess_gas_and_price": {
            "excess_blob_gas": environment.excess_blob_gas,
            "blob_gasprice": 1,
        },
        "slot_num": 0,
    }


def accounts_of(moment: Moment) -> dict[str, Any]:
    """All accounts whose addresses are known, what is pending laid over them."""
    accounts: dict[str, Any] = {}
    snapshot = moment.snapshot
    with snapshot.items(keys.ACCOUNT, after(keys.ACCOUNT)) as items:
        for key, stored in items:
            record, address = expand(stored), snapshot.get(keys.IMAGE + key[1:])
            if record is None or address is None:
                continue
            accounts[format_data(address)] = {
                "nonce": int.from_bytes(record[:8], "big"),
                "balance": hex(int.from_bytes(record[8:40], "big")),
                "code": format_data(code_of(snapshot, record[72:])),
                "storage": dict(slots_of(snapshot, key[1:])),
            }
    for address, amended in moment.pending.items():
        account = accounts.setdefault(
            format_data(address), {"nonce": 0, "balance": "0x0", "code": "0x", "storage": {}}
        )
        lay_over(account, amended)
    return accounts


def code_of(snapshot: Snapshot, code_hash: bytes) -> bytes:
    return b"" if code_hash == EMPTY_CODE_HASH else snapshot.get(keys.CODE + code_hash) or b""


def slots_of(snapshot: Snapshot, hashed: bytes) -> Iterator[tuple[str, str]]:
    prefix = keys.SLOT + hashed
    with snapshot.items(prefix, after(prefix)) as items:
        for key, value in items:
            slot = snapshot.get(keys.IMAGE + key[len(prefix) :])
            if slot is not None:
                yield format_data(slot), format_data(value.rjust(32, b"\0"))


def lay_over(account: dict[str, Any], amended: AccountAmendment) -> None:
    if amended.nonce is not None:
        account["nonce"] = amended.nonce
    if amended.balance is not None:
        account["balance"] = hex(amended.balance)
    if amended.code is not None:
        account["code"] = format_data(amended.code)
    storage = {} if amended.clear_storage else account["storage"]
    for key, value in amended.slots.items():
        storage[format_data(key)] = format_data(value)
    account["storage"] = {key: value for key, value in storage.items() if int(value, 16)}


def block_json(chain: Chain, height: int) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """A block and its transactions, as anvil keeps them."""
    header, block_hash = chain.header(height), chain.hash_of(height)
    if header is None or block_hash is None:
        return None, []
    shown = header_json(header, block_hash)
    del shown["hash"]
    body, receipts = chain.body(height), chain.receipts_record(height)
    inside, mined = [], []
    for index in range(0 if body is None or receipts is None else len(body)):
        assert body is not None
        assert receipts is not None
        tx = decode_admitted(body.raw(index))
        if tx.type > STANDARD_TYPE_MAX:
            continue
        transaction_hash, sender = keccak256(body.raw(index)), body.sender(index)
        is_unsigned = tx.s == 0
        inside.append(
            {
                "transaction": {**signed_json(tx), "hash": format_data(transaction_hash)},
                "impersonated_sender": format_data(sender) if is_unsigned else None,
            }
        )
        used = int(receipts.cumulative[index])
        used -= int(receipts.cumulative[index - 1]) if index else 0
        info = info_json(tx, transaction_hash, index, sender, receipts.receipt(index), used)
        mined.append(
            {
                "info": info,
                "receipt": receipt_json(receipts.receipt(index)),
                "block_hash": format_data(block_hash),
                "block_number": height,
            }
        )
    block = {"header": shown, "transactions": inside, "ommers": [], "withdrawals": None}
    return block, mined


def info_json(
    tx: Transaction,
    transaction_hash: Hash32,
    index: int,
    sender: Address,
    receipt: Receipt,
    gas_used: int,
) -> dict[str, Any]:
    created = None if tx.to is not None else contract_address(sender, tx.nonce)
    return {
        "transaction_hash": format_data(transaction_hash),
        "transaction_index": index,
        "from": format_data(sender),
        "to": None if tx.to is None else format_data(tx.to),
        "contract_address": None if created is None else format_data(created),
        "traces": [],
        "exit": "Stop" if receipt.success else "Revert",
        "out": None,
        "nonce": tx.nonce,
        "gas_used": gas_used,
    }


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    return {
        "type": hex(receipt.type),
        "status": "0x1" if receipt.success else "0x0",
        "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
        "logs": [
            {
                "address": format_data(log.address),
                "topics": [format_data(topic) for topic in log.topics],
                "data": format_data(log.data),
            }
            for log in receipt.logs
        ],
        "logsBloom": format_data(receipt.bloom),
    }


# ---- reading ----


def parse(dumped: bytes) -> Loaded:
    """What a dump says. Raises: ValueError for bytes that are none."""
    try:
        document = orjson.loads(unpacked(dumped))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("accounts"), dict):
        raise ValueError("no accounts in it")
    try:
        amendments = {
            Address(parse_data(address, length=20)): amendment_of(record)
            for address, record in document["accounts"].items()
        }
        block, best = document.get("block") or {}, document.get("best_block_number")
        height = block.get("number") if best is None else best
        timestamp = block.get("timestamp")
        return Loaded(
            amendments,
            None if height is None else number(height),
            None if timestamp is None else number(timestamp),
            dict(map(old_block_of, document.get("blocks") or [])),
        )
    except (InvalidEncoding, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"no dump: {error}") from error


def old_block_of(record: Any) -> tuple[int, OldBlock]:
    """By its number. Raises: as `amendment_of`."""
    header = record["header"]
    old = OldBlock(
        timestamp=below(number(header["timestamp"]), 1 << 63),
        coinbase=Address(parse_data(header.get("miner") or header["beneficiary"], length=20)),
        prev_randao=word(header.get("mixHash") or 0),
        base_fee=below(number(header.get("baseFeePerGas") or 0), BASE_FEE_END),
    )
    return number(header["number"]), old


def below(value: int, end: int) -> int:
    if value >= end:
        raise ValueError(f"{value} is too much")
    return value


def unpacked(dumped: bytes) -> bytes:
    """Decompressed where it is compressed, and never more than DUMP_BYTES_MAX."""
    if not dumped.startswith(MAGIC):
        return dumped
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(dumped)) as opened:
            found = opened.read(DUMP_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"no gzip: {error}") from error
    if len(found) > DUMP_BYTES_MAX:
        raise ValueError(f"more than {DUMP_BYTES_MAX} bytes")
    return found


def amendment_of(record: Any) -> AccountAmendment:
    """Raises: ValueError, InvalidEncoding, KeyError, TypeError, AttributeError for no account."""
    nonce = number(record["nonce"])
    if nonce >= 1 << 64:
        raise ValueError("a nonce above 2^64")
    return AccountAmendment(
        nonce=nonce,
        balance=number(record["balance"]),
        code=parse_data(record["code"]),
        slots={word(key): word(value) for key, value in record["storage"].items()},
    )


def word(value: Any) -> Hash32:
    return Hash32(number(value).to_bytes(32, "big"))
