"""eth_subscribe and eth_unsubscribe, on WebSocket connections."""

from __future__ import annotations

from typing import Any

from ghostchain.rpc.dispatch import Cost, Method
from ghostchain.rpc.errors import METHOD_NOT_FOUND, RpcError, server_error
from ghostchain.rpc.parameters import Parameter, bind, boolean, log_filter, text
from ghostchain.rpc.subscriptions import Topic
from ghostchain.rpc.websocket import Turn


def subscribe(turn: Turn, name: str, detail: Any) -> str:
    """detail: the filter of `logs`, or true for whole pending transactions."""
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
        case _:
            return turn.subscribe(topic)


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
