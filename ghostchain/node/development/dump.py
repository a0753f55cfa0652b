"""Anvil's state dump, written: JSON of all accounts, of blocks, transactions and receipts, and of
older states where they are asked for. Anvil takes it, and so does this node (`loading.py`).

Transactions of types that anvil does not know are left out of its view of a block, and stand as
records of ours beside it; traces are not written. A state is written as anvil has it: with what was
changed by hand after its block.

Addresses and keys stand in the database under their hashes; what they hash from is kept beside them
on a chain without consensus (`state/keys.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ghostchain.chain.amendments import Amendments
from ghostchain.chain.chain import Chain
from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.unsigned import decode_admitted, hash_elsewhere
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.node.development.states import older_states
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address, Hash32
from ghostchain.rpc.render import header_json, signed_json, withdrawal_json
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.storage.database import Snapshot, after

# How many of the last blocks a dump holds.
DUMP_BLOCKS_MAX = 10_000
STANDARD_TYPE_MAX = 4


@dataclass(frozen=True, slots=True)
class Moment:
    """What is dumped: taken on the writer's thread, unmoved by later blocks."""

    head: Header
    snapshot: Snapshot
    pending: Amendments
    environment: BlockEnvironment


def moment_of(chain: Chain, environment: BlockEnvironment) -> Moment:
    """On the writer's thread. environment: of the next block."""
    head, _, snapshot = chain.latest()
    return Moment(head, snapshot, chain.pending_amendments, environment)


def dump(chain: Chain, moment: Moment, *, with_history: bool = False) -> bytes:
    """The dump of that moment, as JSON. with_history: older states too. Cost: the whole state, the
    last DUMP_BLOCKS_MAX blocks; of older states each the whole state (`states.py`)."""
    blocks, transactions = [], []
    records: dict[str, Any] = {}
    first = max(chain.begin, moment.head.number - DUMP_BLOCKS_MAX + 1)
    for height in range(first, moment.head.number + 1):
        block, found = block_json(chain, height)
        if block is not None:
            blocks.append(block)
            transactions += found
            records |= own_records(chain, height)
    states = None
    if with_history:
        states = older_states(chain, moment.snapshot, moment.head.number, first)
    document = {
        "block": environment_json(moment),
        "accounts": accounts_of(moment),
        "best_block_number": moment.head.number,
        "blocks": blocks,
        "transactions": transactions,
        "historical_states": states,
    }
    if records:
        document["ghostchain"] = {"blocks": records}
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
    paid = None if body is None else [withdrawal_json(one) for one in body.paid()] or None
    for index in range(0 if body is None or receipts is None else len(body)):
        assert body is not None
        assert receipts is not None
        tx = decode_admitted(body.raw(index))
        if tx.type > STANDARD_TYPE_MAX:
            continue
        transaction_hash, sender = keccak256(body.raw(index)), body.sender(index)
        is_unsigned = tx.s == 0
        told = signed_json(replace(tx, r=0) if is_unsigned else tx)
        inside.append(
            {
                "transaction": {**told, "hash": format_data(transaction_hash)},
                "impersonated_sender": format_data(sender) if is_unsigned else None,
            }
        )
        used = int(receipts.cumulative[index])
        used -= int(receipts.cumulative[index - 1]) if index else 0
        # Anvil asks for what nobody signed by a hash of its own; ours is told besides.
        names = (
            [transaction_hash, hash_elsewhere(tx, sender)] if is_unsigned else [transaction_hash]
        )
        mined += [
            {
                "info": info_json(tx, name, index, sender, receipts.receipt(index), used),
                "receipt": receipt_json(receipts.receipt(index)),
                "block_hash": format_data(block_hash),
                "block_number": height,
            }
            for name in names
        ]
    block = {"header": shown, "transactions": inside, "ommers": [], "withdrawals": paid}
    return block, mined


def own_records(chain: Chain, height: int) -> dict[str, Any]:
    """The records of a block, by its hash, where anvil's words do not tell all of it."""
    body, receipts = chain.body(height), chain.receipts_record(height)
    block_hash = chain.hash_of(height)
    if body is None or receipts is None or block_hash is None:
        return {}
    if not (receipts.types > STANDARD_TYPE_MAX).any():
        return {}
    told = {"body": format_data(body.data), "receipts": format_data(receipts.data)}
    return {format_data(block_hash): told}


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
