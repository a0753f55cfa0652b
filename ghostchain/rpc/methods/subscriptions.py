"""eth_subscribe and eth_unsubscribe, on WebSocket connections."""

from __future__ import annotations

from typing import Any

from ghostchain.primitives.types import Hash32
from ghostchain.rpc.errors import METHOD_NOT_FOUND, RpcError, invalid_params, server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    Parameter,
    bind,
    boolean,
    fields,
    hash32,
    items,
    log_filter,
    optional,
    text,
)
from ghostchain.rpc.subscriptions import Topic, Turn

RECEIPT_HASHES_MAX = 200


def subscribe(turn: Turn, name: str, detail: Any) -> str:
    """detail: the filter of `logs`, true for whole pending transactions, or which receipts."""
    try:
        topic = Topic(name)
    except ValueError:
        message = f'no "{name[:100]}" subscription in eth namespace'
        raise RpcError(METHOD_NOT_FOUND, message) from None
    match topic:
        case Topic.LOGS:
            (wanted,) = bind((Parameter("filter", log_filter, required=False),), [detail])
            return turn.subscribe(topic, wanted)
        case Topic.NEW_PENDING_TRANSACTIONS:
            wants_full = Parameter("full transactions", boolean, required=False, default=False)
            (full,) = bind((wants_full,), [detail])
            return turn.subscribe(topic, full=full)
        case Topic.TRANSACTION_RECEIPTS:
            hashes = Parameter("filter", receipts_filter, required=False, default=frozenset())
            (chosen,) = bind((hashes,), [detail])
            return turn.subscribe(topic, hashes=chosen)
        case _:
            return turn.subscribe(topic)


def receipts_filter(value: Any) -> frozenset[Hash32]:
    """geth's filter of receipts: the hashes of `transactionHashes`; none of them means all."""
    hashes = optional(fields(value), "transactionHashes", lambda found: found)
    if hashes is None:
        return frozenset()
    if isinstance(hashes, list) and len(hashes) > RECEIPT_HASHES_MAX:
        raise invalid_params(
            "exceed max number of transaction hashes allowed per transactionReceipts subscription"
        )
    return frozenset(map(hash32, items(hashes, RECEIPT_HASHES_MAX, "transaction hashes")))


def unsubscribe(turn: Turn, identity: str) -> bool:
    if not turn.unsubscribe(identity):
        raise server_error("subscription not found")
    return True


METHODS = (
    Method(
        "eth_subscribe",
        subscribe,
        (Parameter("subscription", text), Parameter("detail", lambda value: value, required=False)),
        Cost.CONNECTION,
    ),
    Method("eth_unsubscribe", unsubscribe, (Parameter("id", text),), Cost.CONNECTION),
)
