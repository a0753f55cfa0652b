"""On a fork: which calls are about the other chain, and passing them on.

Blocks, transactions and receipts up to the block of the fork are the remote's, state before it too.
A call is told by its parameters: a block's number or hash, a transaction's hash; tags are replaced,
since the remote's `latest` is not ours. What a remote says of blocks after the fork's, which are
its own and not ours, is not there for our clients.

Answers are JSON as the remote gives it, and so are its errors. Nothing here waits on an event loop:
`RemoteChain.ask` raises RemoteNeeded there, and the dispatcher runs the call again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import RemoteNeeded
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.method import Method
from ghostchain.rpc.parameters import BlockHash, BlockId, block_id, block_number
from ghostchain.rpc.remote import Check, RemoteChain
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

# A head may change while senders are asked for.
SENDER_ROUNDS = 4
Params = list[Any]


class About(Enum):
    """What a method's parameters say it is about."""

    BLOCK = "a block's contents, by number, tag or hash"
    STATE = "a state, by its block"
    BLOCK_HASH = "a block's contents, by hash"
    TRANSACTION = "a transaction, by hash"
    FEES = "the fees of some blocks up to one"
    LOGS = "logs, of a range or of one block"
    CONTEXT = "a place within a block, whose number stands in an object"
    PAST = "all of the past, or a range of it: methods/crossing.py"


@dataclass(frozen=True, slots=True)
class Route:
    """What a method is about, and which of its parameters says so."""

    about: About
    place: int


# Run or read here where the state is ours; the state at the block of the fork is.
STATE_METHODS = frozenset(
    {
        "eth_getBalance",
        "eth_getCode",
        "eth_getTransactionCount",
        "eth_getStorageAt",
        "eth_getStorageValues",
        "eth_getAccount",
        "eth_getAccountInfo",
        "eth_call",
        "eth_callMany",
        "eth_estimateGas",
        "eth_createAccessList",
        "eth_simulateV1",
        "debug_traceCall",
        "debug_traceCallMany",
        "trace_call",
        "trace_callMany",
        "trace_rawTransaction",
        "ots_hasCode",
    }
)
OTHER_ROUTES = {
    "eth_feeHistory": Route(About.FEES, 1),
    "eth_getLogs": Route(About.LOGS, 0),
    "eth_callMany": Route(About.CONTEXT, 1),
    "debug_traceCallMany": Route(About.CONTEXT, 1),
    "ots_getBlockDetails": Route(About.BLOCK, 0),
    "ots_getBlockTransactions": Route(About.BLOCK, 0),
}
# Otterscan's own are asked with plain numbers.
PLAINLY_NUMBERED = frozenset({"ots_getBlockDetails", "ots_getBlockTransactions"})
NAMED = {"block hash": About.BLOCK_HASH, "transaction hash": About.TRANSACTION}


def routes_of(methods: Mapping[str, Method]) -> dict[str, Route]:
    """Of the methods that may be about the other chain."""
    routes = dict(OTHER_ROUTES)
    for name, method in methods.items():
        if method.search is not None:
            routes[name] = Route(About.PAST, 0)
        if name in routes or name.startswith(("anvil_", "hardhat_", "evm_", "ghost_")):
            continue
        for place, parameter in enumerate(method.parameters):
            if parameter.parse in (block_id, block_number):
                about = About.STATE if name in STATE_METHODS else About.BLOCK
                routes[name] = Route(about, place)
                break
            if parameter.name in NAMED:
                routes[name] = Route(NAMED[parameter.name], place)
                break
    return routes


Run = Callable[[], Any]
# What a search answers that is about this chain alone.
OURS = object()


@dataclass(frozen=True, slots=True)
class PastCall:
    """On a fork: a call of a method that looks through the past. params: the arguments as they
    came."""

    services: Services
    remote: RemoteChain
    deadline: Deadline
    method: str
    arguments: Sequence[Any]
    params: Params


# What answers such a call, in a worker thread; OURS: the method itself does. Raises: RpcError,
# RemoteError, RemoteNeeded.
Search = Callable[[PastCall], Any]


def remote_run(
    route: Route, services: Services, method: str, arguments: Sequence[Any], params: Params
) -> Run | None:
    """What answers the call from the remote; None when it is about this chain.

    arguments: parsed; params: as they came. Raises: RemoteError, RemoteNeeded, RpcError.
    """
    remote = services.backend.remote
    assert remote is not None, "asked on forks only"
    router = Router(services, remote, method, arguments, params)
    match route.about:
        case About.TRANSACTION:
            return router.transaction(route.place)
        case About.BLOCK_HASH:
            return router.block_hash(route.place)
        case About.FEES:
            return router.fees()
        case About.LOGS:
            return router.logs()
        case About.CONTEXT:
            return router.context(route.place)
        case _:
            return router.block(route)


async def senders_here(services: Services, raws: Sequence[bytes]) -> None:
    """Whoever signed these is known here, so that the pool, which admits one batch after another,
    waits for no remote node. Event loop. Raises: RemoteError, RpcError."""

    def recovered(deadline: Deadline) -> set[bytes]:
        batch = TransactionBatch.decode(raws)
        batch.recover()
        return {bytes(sender) for sender in batch.senders() if any(sender)}

    for _ in range(SENDER_ROUNDS):
        view = services.backend.state_at(services.backend.head().number)
        coming = []
        for sender in await services.workers.run(recovered):
            try:
                view.account(sender, keccak256(sender))
            except RemoteNeeded as need:
                coming.append(asyncio.wrap_future(need.answer))
        if not coming:
            return
        await asyncio.gather(*coming)


def is_included(remote: RemoteChain) -> Check:
    """Whether a transaction or receipt of the remote is of a block up to the fork's."""

    def holds(result: Any) -> bool:
        number = result.get("blockNumber") if isinstance(result, dict) else None
        return isinstance(number, str) and int(number, 16) <= remote.number

    return holds


@dataclass(frozen=True, slots=True)
class Router:
    """One call being looked at."""

    services: Services
    remote: RemoteChain
    method: str
    arguments: Sequence[Any]
    params: Params

    def passed_on(self, place: int, value: Any, holds: Check | None = None) -> Run:
        """The same call with one parameter replaced."""
        params = [*self.params, *[None] * (place + 1 - len(self.params))]
        params[place] = value
        return lambda: self.remote.ask(self.method, params, holds)

    def block(self, route: Route) -> Run | None:
        block: BlockId = self.arguments[route.place]
        if block == "pending":
            return None
        number = self._number(block)
        last = self.remote.number - (1 if route.about is About.STATE else 0)
        if number is None or number > last:
            return None
        is_plain = self.method in PLAINLY_NUMBERED
        return self.passed_on(route.place, number if is_plain else hex(number))

    def context(self, place: int) -> Run | None:
        """After a block the state is ours from the fork's on; among its transactions it is not."""
        where = self.arguments[place]
        number = None if where.block == "pending" else self._number(where.block)
        last = self.remote.number - (1 if where.index is None else 0)
        if number is None or number > last:
            return None
        given = self.params[place] if len(self.params) > place else None
        return self.passed_on(place, {**(given or {}), "blockNumber": hex(number)})

    def _number(self, block: BlockId) -> int | None:
        if isinstance(block, BlockHash):
            known = self.services.backend.number_of(block.hash)
            return self.remote.number_of(block.hash) if known is None else known
        return self.services.number_of(block)

    def block_hash(self, place: int) -> Run | None:
        known = self.services.backend.number_of(self.arguments[place])
        if known is not None and known > self.remote.number:
            return None
        if known is None and self.remote.number_of(self.arguments[place]) is None:
            return None
        return self.passed_on(place, format_data(self.arguments[place]))

    def transaction(self, place: int) -> Run | None:
        backend, wanted = self.services.backend, self.arguments[place]
        is_ours = backend.transaction_location(wanted) is not None
        if is_ours or backend.pool_transaction(wanted) is not None:
            return None
        shown = format_data(wanted)
        if self.method in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
            return self.passed_on(place, shown, is_included(self.remote))
        if self.remote.ask("eth_getTransactionByHash", [shown], is_included(self.remote)) is None:
            return None
        return self.passed_on(place, shown)

    def logs(self) -> Run | None:
        """A range is split where the chain's logs are read; of one block, they are of one chain."""
        wanted = self.arguments[0]
        if wanted.block_hash is None:
            return None
        known = self.services.backend.number_of(wanted.block_hash)
        if known is not None and known > self.remote.number:
            return None
        if known is None and self.remote.number_of(wanted.block_hash) is None:
            return None
        return self.passed_on(0, self.params[0])

    def fees(self) -> Run | None:
        count, newest = self.arguments[0], self.arguments[1]
        last = None if newest == "pending" else self.services.number_of(newest)
        if last is None:
            return None
        count = min(count, self.services.options.fee_history_blocks_max, last + 1)
        if count < 1 or last - count >= self.remote.number:
            return None
        if last <= self.remote.number:
            return self.passed_on(1, hex(last))
        return lambda: self._joined_fees(count, last)

    def _joined_fees(self, count: int, last: int) -> Any:
        """Both chains' fees: the remote's up to the fork, ours after it. The array of base fees has
        one more entry than blocks, the next block's."""
        from ghostchain.rpc.fees import fee_history

        own_count = last - self.remote.number
        percentiles = self.arguments[2] or []
        deadline = self.services.workers.deadline()
        own = fee_history(self.services, deadline, own_count, last, percentiles)
        params = [hex(count - own_count), hex(self.remote.number), percentiles]
        theirs = self.remote.forwarded(self.method, params)
        if not isinstance(theirs, dict) or not isinstance(theirs.get("baseFeePerGas"), list):
            raise server_error("the fork's remote answered eth_feeHistory with nonsense")
        blocks = len(theirs["baseFeePerGas"]) - 1
        for name, values in own.items():
            if isinstance(values, list):
                before = theirs.get(name)
                if not isinstance(before, list):
                    before = ["0x0" if name.startswith("base") else 0] * blocks
                own[name] = [*before[:blocks], *values]
        own["oldestBlock"] = hex(self.remote.number - blocks + 1)
        return own
