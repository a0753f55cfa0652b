"""The block that is pending: the head's successor, made of what waits in the pool."""

from __future__ import annotations

from typing import Any

from ghostchain.chain.environments import SOLO_EXTRA_DATA, unexecuted_header
from ghostchain.chain.fee_tokens import is_coin
from ghostchain.crypto.hashes import header_hash
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.block import Block
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Hash32
from ghostchain.rpc.building import Built, Included, build, waiting
from ghostchain.rpc.render import Json, effective_gas_price, header_json, signed_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def pending_block(services: Services, deadline: Deadline, *, hydrated: bool) -> Any:
    """The head's successor as it would be now, made of what waits in the pool: a whole block, whose
    hash is that of the header shown, though the one that comes will have another."""
    built = build_pending(services, deadline)
    header = built.header
    block_hash = header_hash(header)
    fields = header_json(header, block_hash)
    block = Block(header, tuple(item.raw for item in built.included), ())
    fields["size"] = hex(len(encode_block(block)))
    fields["uncles"], fields["withdrawals"] = [], []
    if hydrated:
        fields["transactions"] = [
            transaction_json(item, index, header, block_hash)
            for index, item in enumerate(built.included)
        ]
    else:
        fields["transactions"] = [format_data(item.hash) for item in built.included]
    return fields


def transaction_json(item: Included, index: int, header: Header, block_hash: Hash32) -> Json:
    """A transaction of the pending block, with its place there."""
    fields = signed_json(item.tx)
    if is_coin(item.tx.fee_token):
        fields["gasPrice"] = hex(effective_gas_price(item.tx, header.base_fee_per_gas))
    fields["hash"], fields["from"] = format_data(item.hash), format_data(item.sender)
    fields["blockHash"], fields["blockNumber"] = format_data(block_hash), hex(header.number)
    fields["blockTimestamp"], fields["transactionIndex"] = hex(header.timestamp), hex(index)
    return fields


def build_pending(services: Services, deadline: Deadline) -> Built:
    """Raises: StateUnavailable."""
    backend = services.backend
    head = backend.head()
    environment = backend.environment(head.number + 1)
    is_solo = backend.development is not None
    header = unexecuted_header(
        parent_hash=environment.parent_hash,
        number=environment.number,
        coinbase=environment.coinbase,
        gas_limit=environment.gas_limit,
        timestamp=environment.timestamp,
        extra_data=SOLO_EXTRA_DATA if is_solo else head.extra_data,
        prev_randao=environment.prev_randao,
        base_fee=environment.base_fee,
        excess_blob_gas=environment.excess_blob_gas,
        parent_beacon_block_root=environment.parent_beacon_block_root,
    )
    phantoms = backend.phantoms(head.number)
    return build(deadline, phantoms, header, waiting(services), (), skips=True)


def pending_transaction(services: Services, deadline: Deadline, index: int) -> Json | None:
    """One of its transactions, or None."""
    built = build_pending(services, deadline)
    if index >= len(built.included):
        return None
    header = built.header
    return transaction_json(built.included[index], index, header, header_hash(header))


def raw_pending_transaction(services: Services, deadline: Deadline, index: int) -> str | None:
    included = build_pending(services, deadline).included
    return format_data(included[index].raw) if index < len(included) else None
