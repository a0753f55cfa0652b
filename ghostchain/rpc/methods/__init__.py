"""The methods, a table for each kind. To add one: a handler and a row in the table it belongs to.

A handler gets the services (and a deadline where it is slow) and its parsed parameters, and
returns JSON: str, bool, None, float, list or dict. It raises RpcError for what the caller did
wrong; anything else it raises is a fault of ours and shows as `internal error`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from ghostchain.rpc.methods import (
    accounts,
    admin,
    blocks,
    bundles,
    crossing,
    customary,
    debug,
    development,
    execution,
    fees,
    ghost,
    inspection,
    logs,
    network,
    otterscan,
    parity,
    past,
    pool,
    raw,
    simulation,
    state,
    subscriptions,
    testing,
    transactions,
)

TABLES = (
    accounts.METHODS,
    admin.METHODS,
    blocks.METHODS,
    bundles.METHODS,
    customary.METHODS,
    debug.METHODS,
    development.METHODS,
    execution.METHODS,
    fees.METHODS,
    ghost.METHODS,
    inspection.METHODS,
    logs.METHODS,
    network.METHODS,
    otterscan.METHODS,
    parity.METHODS,
    past.METHODS,
    pool.METHODS,
    raw.METHODS,
    simulation.METHODS,
    state.METHODS,
    subscriptions.METHODS,
    testing.METHODS,
    transactions.METHODS,
)

METHODS = {
    method.name: replace(method, search=crossing.SEARCHES.get(method.name))
    for method in chain.from_iterable(TABLES)
}
assert len(METHODS) == sum(map(len, TABLES)), "a method stands in two tables"
