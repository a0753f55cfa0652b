"""Blocks, transactions and receipts as anvil's dumps tell them, turned into ours.

Anvil has written them in several ways: members of a header by their names in JSON-RPC or by those
of its own (`sha3Uncles` and `ommersHash`, `miner` and `beneficiary`), a transaction flat or inside
its type's name, a receipt flat or nested. What cannot be said here (a header of another shape, a
type of transaction that is unknown, a block whose receipts are missing) is no error: the block is
told without its body, or not at all. What is malformed is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ghostchain.chain.loading import LoadedBlock, LoadedBody
from ghostchain.chain.records import BodyRecord, ReceiptsRecord, body_parts, receipts_parts
from ghostchain.crypto.hashes import header_hash, logs_bloom
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_header, encode_receipt
from ghostchain.encoding.codec import encode_transaction
from ghostchain.encoding.hexadecimal import parse_data
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.encoding.unsigned import encode_unsigned, hash_elsewhere
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import StorageCorrupt, TransactionReason
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.transaction import (
    AccessEntry,
    Authorization,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import EMPTY_ROOT, ZERO_HASH, Address, Hash32
from ghostchain.rpc.development_parameters import number, number_64

Record = Mapping[str, Any]

# By both of their names.
OMMERS = ("sha3Uncles", "ommersHash")
COINBASE = ("miner", "beneficiary")
# What later forks added to a header, each with what came before it.
LATER_MEMBERS = (
    ("baseFeePerGas",),
    ("withdrawalsRoot",),
    ("blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"),
    ("requestsHash",),
)
EARLY_FIELD_COUNTS = (15, 16, 17)
SAID_BESIDES = (
    *("hash", "parentHash", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash"),
    *("nonce", "size", "totalDifficulty"),
)
HEADER_MEMBERS = frozenset(
    [*OMMERS, *COINBASE, *(name for names in LATER_MEMBERS for name in names), *SAID_BESIDES]
)
TYPES = {
    "Legacy": 0,
    "EIP2930": 1,
    "Eip2930": 1,
    "EIP1559": 2,
    "Eip1559": 2,
    "EIP4844": 3,
    "Eip4844": 3,
    "EIP7702": 4,
    "Eip7702": 4,
}
STANDARD_TYPE_MAX = 4
LOGS_TOPICS_MAX = 4


# ---- headers ----


def header_of(record: Record) -> Header | None:
    """The header; None where it has a shape, or members, that are none of ours.

    Raises: ValueError, InvalidEncoding, KeyError, TypeError, AttributeError for what is malformed,
    as all functions here do.
    """
    given = {name for name, value in record.items() if value is not None}
    stages = [[name in given for name in names] for names in LATER_MEMBERS]
    is_whole = all(any(stage) == all(stage) for stage in stages)
    reached = sum(all(stage) for stage in stages)
    if not given <= HEADER_MEMBERS or not is_whole or any(map(any, stages[reached:])):
        return None

    def data(*names: str, length: int) -> bytes:
        return parse_data(first(record, names), length=length)

    has = [index < reached for index in range(len(LATER_MEMBERS))]
    return Header(
        parent_hash=Hash32(data("parentHash", length=32)),
        ommers_hash=Hash32(data(*OMMERS, length=32)),
        coinbase=Address(data(*COINBASE, length=20)),
        state_root=Hash32(data("stateRoot", length=32)),
        transactions_root=Hash32(data("transactionsRoot", length=32)),
        receipts_root=Hash32(data("receiptsRoot", length=32)),
        bloom=data("logsBloom", length=256),
        difficulty=number(record["difficulty"]),
        number=number_64(record["number"]),
        gas_limit=number_64(record["gasLimit"]),
        gas_used=number_64(record["gasUsed"]),
        timestamp=number_64(record["timestamp"]),
        extra_data=parse_data(record["extraData"]),
        prev_randao=Hash32(data("mixHash", length=32)),
        nonce=data("nonce", length=8),
        base_fee_per_gas=number(record["baseFeePerGas"]) if has[0] else 0,
        withdrawals_root=Hash32(data("withdrawalsRoot", length=32)) if has[1] else ZERO_HASH,
        blob_gas_used=number_64(record["blobGasUsed"]) if has[2] else 0,
        excess_blob_gas=number_64(record["excessBlobGas"]) if has[2] else 0,
        parent_beacon_block_root=(
            Hash32(data("parentBeaconBlockRoot", length=32)) if has[2] else ZERO_HASH
        ),
        requests_hash=Hash32(data("requestsHash", length=32)) if has[3] else None,
        field_count=None if has[2] else EARLY_FIELD_COUNTS[reached],
    )


def first(record: Record, names: Sequence[str]) -> Any:
    """The member by one of its names. Raises: KeyError."""
    for name in names:
        if record.get(name) is not None:
            return record[name]
    raise KeyError(names[0])


# ---- blocks ----


def block_of(
    record: Record, header: Header, mined: Mapping[tuple[bytes, int], Record]
) -> LoadedBlock:
    """The block. mined: what the dump says of transactions that ran, by block hash and place."""
    block_hash = header_hash(header)
    body = body_of(record, header, block_hash, mined)
    if header.number == 0 and body is not None and body.hashes:
        raise ValueError("block 0 has transactions")
    return LoadedBlock(header, block_hash, body)


def body_of(
    record: Record, header: Header, block_hash: Hash32, mined: Mapping[tuple[bytes, int], Record]
) -> LoadedBody | None:
    """None where not all of it is told, or can be."""
    given = record["transactions"]
    if bool(given) != (header.transactions_root != EMPTY_ROOT):
        return None
    told = [mined.get((block_hash, index)) for index in range(len(given))]
    raws: list[bytes] = []
    receipts: list[Receipt] = []
    names: list[bytes] = []
    for item, entry in zip(given, told, strict=True):
        found = None if entry is None else transaction_of(item)
        if found is None or entry is None:
            return None
        tx, sender = found
        raws.append(encode_transaction(tx) if sender is None else encode_unsigned(tx, sender))
        receipts.append(receipt_of(entry["receipt"], tx.type))
        name = parse_data(entry["info"]["transaction_hash"], length=32)
        names.append(name if sender is None else hash_elsewhere(tx, sender))
    used = [receipt.cumulative_gas_used for receipt in receipts]
    if used != sorted(used) or (used and used[-1] != header.gas_used):
        return None
    withdrawals = [withdrawal_of(item) for item in record.get("withdrawals") or []]
    return assembled(header, withdrawals, raws, receipts, names)


def assembled(
    header: Header,
    withdrawals: Sequence[Withdrawal],
    raws: Sequence[bytes],
    receipts: Sequence[Receipt],
    names: Sequence[bytes],
) -> LoadedBody:
    """The records of these. names: their hashes elsewhere, which are the same for transactions that
    somebody signed."""
    batch = checked(raws)
    hashes = batch.hashes()
    for place, name in enumerate(names):
        if name != hashes[place] and not batch.is_unsigned(place):
            raise ValueError(f"transaction 0x{name.hex()} hashes to 0x{hashes[place].hex()}")
    senders = b"".join(batch.senders())
    body = body_parts(encode_header(header), withdrawals, raws, senders)
    columns = receipts_parts(
        np.array([receipt.type for receipt in receipts], np.uint8),
        np.array([receipt.success for receipt in receipts], np.uint8),
        np.array([receipt.cumulative_gas_used for receipt in receipts], np.uint64),
        np.array([len(receipt.logs) for receipt in receipts], np.uint32),
        [encode_receipt(receipt) for receipt in receipts if receipt.logs],
    )
    others = [(name, place) for place, name in enumerate(names) if name != hashes[place]]
    return LoadedBody(b"".join(body), b"".join(columns), hashes, others)


def checked(raws: Sequence[bytes]) -> TransactionBatch:
    """Decoded, with their senders. Raises: ValueError."""
    batch = TransactionBatch.decode(raws, allows_unsigned=True)
    batch.recover()
    for index in range(len(batch)):
        if batch.reason(index) != TransactionReason.OK:
            reason = batch.reason(index).name.lower().replace("_", " ")
            raise ValueError(f"transaction 0x{batch.hash(index).hex()}: {reason}")
    return batch


def recorded(body: bytes, receipts: bytes, header: Header) -> LoadedBody:
    """Of records as this node keeps them, which the dumps of other programs have no place for."""
    try:
        stored, outcomes = BodyRecord.parse(body), ReceiptsRecord.parse(receipts)
    except StorageCorrupt as error:
        raise ValueError(str(error)) from error
    batch = checked(stored.raws())
    if stored.header != encode_header(header) or stored.senders() != batch.senders():
        raise ValueError(f"the record of block {header.number} is another one's")
    if len(outcomes) != len(stored):
        raise ValueError(f"block {header.number} has receipts of other transactions")
    for receipt, count in zip(outcomes.receipts(), outcomes.log_counts.tolist(), strict=True):
        if len(receipt.logs) != count:
            raise ValueError(f"block {header.number} has a receipt of other logs")
    stored.paid()
    return LoadedBody(body, receipts, batch.hashes())


def withdrawal_of(item: Record) -> Withdrawal:
    return Withdrawal(
        number_64(item["index"]),
        number_64(item["validatorIndex"]),
        Address(parse_data(item["address"], length=20)),
        number_64(item["amount"]),
    )


def mined_in(document: Record) -> Iterator[tuple[tuple[bytes, int], Record]]:
    """What a dump says of transactions that ran, by block hash and place."""
    for entry in document.get("transactions") or []:
        block_hash = parse_data(entry["block_hash"], length=32)
        yield (block_hash, number_64(entry["info"]["transaction_index"])), entry


# ---- transactions ----


def transaction_of(item: Record) -> tuple[Transaction, Address | None] | None:
    """The transaction, and for whom it was sent where nobody signed it; None for a type that is
    none of ours."""
    sender = item.get("impersonated_sender")
    fields: Any = item.get("transaction", item)
    kind: Any = fields.get("type")
    if len(fields) == 1:
        ((name, fields),) = fields.items()
        kind = TYPES.get(name)
    kind = None if kind is None else number(kind)
    if kind is None or kind > STANDARD_TYPE_MAX:
        return None
    tx = fields_of(fields, kind)
    return tx, None if sender is None else Address(parse_data(sender, length=20))


def fields_of(fields: Record, kind: int) -> Transaction:
    has_price = kind in (TransactionType.LEGACY, TransactionType.ACCESS_LIST)
    fee = number(fields["gasPrice"] if has_price else fields["maxFeePerGas"])
    to = fields.get("to")
    chain_id, y_parity = replay_of(fields, kind)
    return Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=number_64(fields["nonce"]),
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=fee if has_price else number(fields["maxPriorityFeePerGas"]),
        gas_limit=number_64(first(fields, ("gas", "gasLimit"))),
        to=None if to is None else Address(parse_data(to, length=20)),
        value=number(fields["value"]),
        data=parse_data(first(fields, ("input", "data"))),
        access_list=tuple(map(access_entry, fields.get("accessList") or ())),
        max_fee_per_blob_gas=number(fields.get("maxFeePerBlobGas") or 0),
        blob_versioned_hashes=tuple(
            Hash32(parse_data(one, length=32)) for one in fields.get("blobVersionedHashes") or ()
        ),
        authorizations=tuple(map(authorization, fields.get("authorizationList") or ())),
        y_parity=y_parity,
        r=number(fields["r"]),
        s=number(fields["s"]),
    )


def replay_of(fields: Record, kind: int) -> tuple[int | None, int]:
    """Chain id and y parity; of a legacy transaction out of v (EIP-155)."""
    if kind != TransactionType.LEGACY:
        parity = fields.get("yParity")
        return number_64(fields["chainId"]), number(fields["v"] if parity is None else parity)
    v = number(fields["v"])
    if v >= 35:
        return (v - 35) // 2, (v - 35) % 2
    given = fields.get("chainId")
    if v < 2 and given is not None:
        return number_64(given), v
    return None, v - 27 if v >= 27 else v


def access_entry(item: Record) -> AccessEntry:
    keys = (Hash32(parse_data(key, length=32)) for key in item["storageKeys"])
    return AccessEntry(Address(parse_data(item["address"], length=20)), tuple(keys))


def authorization(item: Record) -> Authorization:
    return Authorization(
        chain_id=number(item["chainId"]),
        address=Address(parse_data(item["address"], length=20)),
        nonce=number_64(item["nonce"]),
        y_parity=number(first(item, ("yParity", "v"))),
        r=number(item["r"]),
        s=number(item["s"]),
    )


# ---- receipts ----


def receipt_of(record: Record, kind: int) -> Receipt:
    """The receipt; its bloom is that of its logs, whatever it says."""
    if len(record) == 1:
        (record,) = record.values()
    record = record.get("receipt", record)
    status = record["status"]
    logs = tuple(map(log_of, record["logs"]))
    return Receipt(
        kind,
        status if isinstance(status, bool) else number(status) != 0,
        number_64(first(record, ("cumulativeGasUsed", "cumulative_gas_used"))),
        logs_bloom(logs),
        logs,
    )


def log_of(item: Record) -> Log:
    topics = tuple(Hash32(parse_data(topic, length=32)) for topic in item["topics"])
    if len(topics) > LOGS_TOPICS_MAX:
        raise ValueError("a log with more than four topics")
    return Log(Address(parse_data(item["address"], length=20)), topics, parse_data(item["data"]))


# ---- codes ----


def code_of(record: Any, code_hash: bytes, known: Mapping[bytes, bytes]) -> bytes | None:
    """The code of an account of a historical state, as revm writes it; None where it is nowhere.

    known: codes by hash. Raises: ValueError for another code than that of the hash.
    """
    if record is None:
        return known.get(code_hash)
    (kind, inside), *others = record.items()
    if others:
        raise ValueError("a code of several kinds")
    if kind == "LegacyAnalyzed":
        found = parse_data(inside["bytecode"])[: number_64(inside["original_len"])]
    elif kind == "Eip7702":
        found = parse_data(inside["raw"])
    else:
        found = parse_data(inside)
    if keccak256(found) != code_hash:
        raise ValueError(f"a code that does not hash to 0x{code_hash.hex()}")
    return found
