"""What waits in the pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.unsigned import decode_admitted
from ghostchain.primitives.types import Address
from ghostchain.rpc.backend import PooledTransaction
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import Parameter, address
from ghostchain.rpc.render import Json, calls_of, pending_transaction_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

Side = Mapping[Address, Sequence[PooledTransaction]]


def status(services: Services, deadline: Deadline) -> Json:
    pending, queued = services.backend.pool_counts()
    return {"pending": hex(pending), "queued": hex(queued)}


def content(services: Services, deadline: Deadline) -> Json:
    return both_sides(services, lambda item: deadline.kept(whole(item)))


def inspect(services: Services, deadline: Deadline) -> Json:
    return both_sides(services, lambda item: deadline.kept(summary(item)))


def both_sides(services: Services, show: Callable[[PooledTransaction], Any]) -> Json:
    found = services.backend.pool_content()
    return {"pending": by_sender(found.pending, show), "queued": by_sender(found.queued, show)}


def by_sender(side: Side, show: Callable[[PooledTransaction], Any]) -> Json:
    return {
        format_data(sender): by_nonce(transactions, show) for sender, transactions in side.items()
    }


def by_nonce(
    transactions: Sequence[PooledTransaction], show: Callable[[PooledTransaction], Any]
) -> Json:
    return {str(item.nonce): show(item) for item in transactions}


def whole(item: PooledTransaction) -> Json:
    return pending_transaction_json(item, decode_admitted(item.raw))


def summary(item: PooledTransaction) -> str:
    """geth's one line for people."""
    tx = decode_admitted(item.raw)
    calls = calls_of(tx)
    to = "contract creation" if calls[0].to is None else format_data(calls[0].to)
    value = sum(call.value for call in calls)
    return f"{to}: {value} wei + {tx.gas_limit} gas × {tx.max_fee_per_gas} wei"


def content_from(services: Services, deadline: Deadline, sender: Address) -> Json:
    found = services.backend.pool_content()
    return {
        "pending": by_nonce(found.pending.get(sender, ()), whole),
        "queued": by_nonce(found.queued.get(sender, ()), whole),
    }


METHODS = (
    Method("txpool_status", status, (), Cost.SLOW),
    Method("txpool_content", content, (), Cost.SLOW),
    Method("txpool_inspect", inspect, (), Cost.SLOW),
    Method("txpool_contentFrom", content_from, (Parameter("address", address),), Cost.SLOW),
)
