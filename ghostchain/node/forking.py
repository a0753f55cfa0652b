"""A node whose chain is a fork: the remote opened before the chain, closed after it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from ghostchain.chain.genesis import Genesis
from ghostchain.fork.history import RemoteHistory
from ghostchain.fork.opening import OpenFork, begin, open_fork
from ghostchain.fork.state import RemoteState
from ghostchain.node.configuration import NodeConfiguration
from ghostchain.node.genesis import bootstrap_validator, dev_accounts
from ghostchain.node.logs import event

logger = logging.getLogger("ghostd")


class Forking:
    """What the node's parts know of the fork."""

    def __init__(self, fork: OpenFork, genesis: Genesis) -> None:
        self.fork = fork
        self.genesis = genesis
        self._history = RemoteHistory(fork.client, fork.cache, fork.origin.number)

    @property
    def history(self) -> RemoteHistory:
        return self._history

    @property
    def state(self) -> RemoteState:
        return self.fork.state


@contextlib.contextmanager
def forking(configuration: NodeConfiguration, data_dir: Path) -> Iterator[Forking | None]:
    """The fork that the configuration asks for, the directory begun with it; None without one.

    Raises: RemoteError, StorageError.
    """
    settings = configuration.fork
    if settings is None:
        yield None
        return
    fork = open_fork(settings, data_dir)
    try:
        coinbase = configuration.coinbase or bootstrap_validator()
        accounts = dev_accounts(configuration.development)
        funded = tuple(account.address for account in accounts)
        genesis = begin(
            fork, data_dir, chain_id=configuration.chain_id, coinbase=coinbase, funded=funded
        )
        event(
            logger,
            logging.INFO,
            "fork opened",
            remote=settings.remote.host,
            chain_id=fork.origin.chain_id,
            block=fork.origin.number,
            hash=fork.origin.hash[:6],
            requests=fork.client.counters.sent,
        )
        yield Forking(fork, genesis)
    finally:
        fork.close()
