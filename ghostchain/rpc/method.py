"""What a method is: a row of the table that `methods/` makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ghostchain.rpc.parameters import Parameter


class Cost(Enum):
    """Where a method runs, and what its handler is called with before its parameters."""

    CHEAP = "on the event loop: handler(services, ...)"
    SLOW = "in a worker thread: handler(services, deadline, ...)"
    AWAITED = "a coroutine: handler(services, ...)"
    SUBMISSION = "no handler: the one parameter is a raw transaction for the pool"
    CONNECTION = "on the event loop: handler(turn, ...), not over HTTP"


class Door(Enum):
    """Who may call a method."""

    PUBLIC = "whoever reaches the node"
    DEVELOPMENT = "the same, on a development chain only"
    ADMIN = "the operator, through a door of its own"


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the table.

    quick: of a SLOW method: quick(services, ...) gives the result on the event loop where that
    takes next to nothing, or None; what it raises is left to the thread to find again. search: of a
    SLOW method that looks through the past, what looks on a fork (`routing.Search`)."""

    name: str
    run: Callable[..., Any]
    parameters: tuple[Parameter, ...] = ()
    cost: Cost = Cost.CHEAP
    door: Door = Door.PUBLIC
    quick: Callable[..., Any] | None = None
    search: Callable[..., Any] | None = None
