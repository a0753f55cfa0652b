"""A block of the chain made ready to run once more.

Traces of single transactions ask for many blocks, once each, so nothing is decoded here that a run
does not need: what the block shows to its transactions is filled natively from its header, and the
record of that for others is made when somebody asks.
"""

from __future__ import annotations

from typing import Any

from ghostchain._native import ffi
from ghostchain.chain.amendments import Amendments
from ghostchain.chain.columns import own_batch
from ghostchain.chain.config import ChainConfig
from ghostchain.chain.environments import environment_of
from ghostchain.chain.published import KnownBlock, Published
from ghostchain.chain.records import BodyRecord
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.execution.native_values import fill_environment, fill_rules, header_environment
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.types import Hash32
from ghostchain.state.views import View


class Replay:
    """What running a block once more takes: `Executor(view).run_block(environment, batch,
    withdrawals, amendments=amendments)`. changed: what `Executor.know` may be told before.

    native: the environment as a ghost_block_env. gas_used: by the whole block.
    """

    __slots__ = (
        "_body",
        "_config",
        "_environment",
        "_known",
        "amendments",
        "batch",
        "changed",
        "gas_used",
        "native",
        "view",
    )

    def __init__(
        self,
        config: ChainConfig,
        known: KnownBlock,
        body: BodyRecord,
        batch: TransactionBatch,
        *,
        view: View,
        changed: bytes,
        amendments: Amendments,
    ) -> None:
        self._config = config
        self._known = known
        self._body = body
        self._environment: BlockEnvironment | None = None
        self.view = view
        self.batch = batch
        self.amendments = amendments
        self.changed = changed
        found = header_environment(known.entry.header)
        self.native: Any
        self.gas_used: int
        if found is None:
            self.native, self.gas_used = ffi.new("ghost_block_env *"), known.header.gas_used
            fill_environment(self.native, self.environment)
            return
        self.native, self.gas_used = found
        time = self.native.timestamp
        schedule = config.blob_schedule_at(time)
        fill_rules(
            self.native,
            fork=config.fork_at(time),
            hybrid=config.hybrid_at(time),
            chain_id=config.chain_id_at(self.native.number),
            transaction_gas_max=config.transaction_gas_max,
            blob_base_fee_update_fraction=schedule.base_fee_update_fraction,
            blobs_per_block_max=schedule.max,
            deposit_contract=config.deposit_contract,
            leniency=config.leniency,
        )

    @property
    def environment(self) -> BlockEnvironment:
        if self._environment is None:
            self._environment = environment_of(self._config, self._known.header)
        return self._environment

    @property
    def withdrawals(self) -> tuple[Withdrawal, ...]:
        return self._body.paid()

    @property
    def hash(self) -> Hash32:
        """Of the block."""
        return self._known.entry.hash


def replay_of(
    published: Published,
    config: ChainConfig,
    number: int,
    count: int | None,
    amendments: Amendments,
) -> Replay:
    """As `Chain.replay`, of a block that was made by hand with these amendments."""
    known, body = published.known(number), published.body(number)
    if body is None or known is None:
        raise StateUnavailable(f"block {number} is not kept")
    view, changed = published.state_before(number)
    batch = own_batch(body, count)
    return Replay(config, known, body, batch, view=view, changed=changed, amendments=amendments)
