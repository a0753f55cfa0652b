"""A node whose chain is a fork: the remote opened before the chain, closed after it; on a
development chain also exchanged for another one meanwhile (`anvil_reset`, `anvil_setRpcUrl`), as
the chain itself may be (`anvil_loadState`)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from ghostchain.chain.chain import Chain
from ghostchain.chain.fork import fork_description
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.opening import OpenedStorage, open_storage
from ghostchain.chain.replacing import (
    NEXT_NAME,
    begin_replacing,
    end_replacing,
    finish_replacing,
    prepare_loaded,
    prepare_next,
    put_in_place,
)
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.forks import Fork as Rules
from ghostchain.fork.client import RemoteClient, RemoteSettings
from ghostchain.fork.endpoints import check_url
from ghostchain.fork.history import RemoteHistory
from ghostchain.fork.opening import ForkSettings, ForkTerms, OpenFork, begin, learned, open_fork
from ghostchain.fork.origin import Origin
from ghostchain.fork.record import RemoteRecord, read_record, write_record
from ghostchain.fork.state import RemoteState
from ghostchain.node.configuration import DEV_GAS_LIMIT, NodeConfiguration
from ghostchain.node.genesis import bootstrap_validator, dev_accounts, genesis_of, kept_header
from ghostchain.node.logs import event
from ghostchain.primitives.errors import ForeignDirectory, GhostError, RemoteError
from ghostchain.primitives.header import Header
from ghostchain.rpc.development import Fork, ForkStanding
from ghostchain.storage.directory import read_identity

logger = logging.getLogger("ghostd")


# Of pool and diary, whose names running.py and development/diary.py know.
KEPT_BESIDE = ("pool.journal*", "development", "development.next")


class NoSuchFork(GhostError):
    """What was asked for cannot be forked."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fork that could begin now: all that is needed of the remote is here, and its directory
    beside the present one. fork None: the chain without any fork."""

    fork: OpenFork | None
    genesis: Genesis


class Forking:
    """What the node's parts know of the fork, if there is one."""

    def __init__(self, configuration: NodeConfiguration, data_dir: Path) -> None:
        self.configuration = configuration
        self._data_dir = data_dir
        self._fork: OpenFork | None = None
        self._history: RemoteHistory | None = None
        self.genesis = genesis_of(configuration, data_dir if configuration.fork is None else None)

    # ---- what there is ----

    @property
    def history(self) -> RemoteHistory | None:
        return self._history

    @property
    def state(self) -> RemoteState | None:
        return None if self._fork is None else self._fork.state

    @property
    def standing(self) -> ForkStanding | None:
        fork = self._fork
        if fork is None:
            return None
        scheme = urlsplit(fork.client.settings.url).scheme or "ipc"
        where = f"{scheme}://{fork.client.host}"
        return ForkStanding(where, fork.origin.chain_id, fork.origin.number, fork.origin.hash)

    # ---- beginning and end ----

    @property
    def _terms(self) -> ForkTerms:
        configuration = self.configuration
        wanted = configuration.development
        return ForkTerms(
            configuration.chain_id,
            configuration.coinbase or bootstrap_validator(),
            tuple(account.address for account in dev_accounts(wanted)),
            wanted.balance_wei,
            None if wanted.hardfork is None else Rules[wanted.hardfork.upper()],
            wanted.caps_transaction_gas,
        )

    def open(self, settings: ForkSettings) -> None:
        """Raises: RemoteError, StorageError."""
        fork = open_fork(settings, self._data_dir)
        try:
            terms = self._terms
            identity = read_identity(self._data_dir)
            if terms.chain_id is None and identity is not None:
                terms = replace(terms, chain_id=identity.chain_id)
            self.genesis = begin(fork, self._data_dir, terms)
            self._record(fork.client.settings, self._data_dir)
        except BaseException:
            fork.close()
            raise
        self._adopt(fork)

    def _record(self, settings: RemoteSettings, directory: Path) -> None:
        """The directory opens by itself from now on. A scratch one is never opened again, and holds
        no keys. Raises: StorageError."""
        if self.configuration.data_dir is not None:
            write_record(directory, RemoteRecord.of(settings, self.configuration.gas_limit))

    def _adopt(self, fork: OpenFork) -> None:
        before, self._fork = self._fork, fork
        self._history = RemoteHistory(fork.client, fork.cache, fork.origin.number, fork.state)
        event(
            logger,
            logging.INFO,
            "fork opened",
            remote=fork.client.host,
            chain_id=fork.origin.chain_id,
            block=fork.origin.number,
            hash=fork.origin.hash[:6],
            requests=fork.client.counters.sent,
        )
        if before is not None:
            before.close()

    def replay(self, chain: Chain) -> None:
        """Where the fork begins before a transaction: what came before it in its block is run.

        Raises: NoSuchFork when that cannot be; RemoteError.
        """
        replay = None if self._fork is None else self._fork.replay
        if replay is None or not replay.transactions:
            return
        batch = TransactionBatch.decode(replay.transactions)
        batch.recover()
        header = replay.header
        sealed = chain.build_block(
            batch,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            prev_randao=header.prev_randao,
            extra_data=header.extra_data[:32],
            parent_beacon_block_root=header.parent_beacon_block_root,
            gas_limit=header.gas_limit,
            base_fee=header.base_fee_per_gas,
            excess_blob_gas=header.excess_blob_gas,
            is_free=True,
        )
        for index, outcome in enumerate(sealed.outcomes):
            if not outcome.included:
                raise NoSuchFork(
                    f"--fork-transaction-hash: 0x{batch.hash(index).hex()}, which comes before it, "
                    f"cannot be run here: {outcome.reason.name}"
                )

    def fall_silent(self) -> None:
        """Whoever waits for the remote fails at once: the node stops."""
        if self._fork is not None:
            self._fork.client.close()

    def close(self) -> None:
        if self._fork is not None:
            self._fork.close()

    # ---- another one ----

    def prepared(self, wanted: Fork) -> Prepared:
        """Another fork, the same endpoint unless wanted says. Waits; nothing has changed here yet.

        Raises: NoSuchFork, RemoteError, StorageError.
        """
        fork = open_fork(self._settings(wanted), None)
        try:
            genesis, start = learned(fork, self._terms)
            prepare_next(self._data_dir, genesis, start)
            self._record(fork.client.settings, self._data_dir / NEXT_NAME)
        except BaseException:
            fork.close()
            raise
        return Prepared(fork, genesis)

    def unforked(self) -> Prepared:
        """The chain without a fork. As anvil has it, with the fork's chain id, but in a directory
        that is kept, which must open without the fork. Waits. Raises: StorageError."""
        genesis = genesis_of(replace(self.configuration, fork=None))
        if self.configuration.data_dir is None:
            config = replace(genesis.config, chain_id=self.genesis.config.chain_id)
            genesis = replace(genesis, config=config)
        prepare_next(self._data_dir, genesis, None)
        return Prepared(None, genesis)

    def loaded(self, header: Header, build: Callable[[Path, Genesis], None]) -> Prepared:
        """A chain that begins with that header, put together by build in the directory that it is
        given. Waits. Raises: StorageError, and as build does."""
        genesis = replace(self.genesis, header=header)
        prepare_loaded(self._data_dir, lambda beside: build(beside, genesis))
        return Prepared(None, genesis)

    @property
    def is_loaded(self) -> bool:
        """Whether the chain's first block came with a dump. Raises: StorageError."""
        known = read_identity(self._data_dir)
        return known is not None and known.is_loaded

    def _settings(self, wanted: Fork) -> ForkSettings:
        configuration, fork = self.configuration, self._fork
        url = wanted.url
        if url is None:
            if fork is None:
                raise NoSuchFork("there is no fork whose endpoint could be asked: give jsonRpcUrl")
            url = fork.client.settings.url
        checked = self._checked(url)
        given = configuration.fork or configuration.fork_manner
        remote = given.remote.moved_to(checked)
        if fork is not None and fork.client.settings.host == remote.host:
            remote = fork.client.settings.moved_to(checked)
        return replace(
            given, remote=remote, block=wanted.block, transaction=None, remote_chain_id=None
        )

    @staticmethod
    def _checked(url: str) -> str:
        try:
            return check_url(url)
        except ValueError as failure:
            raise NoSuchFork(
                "expected a URL: http://..., https://..., ws://... or wss://..."
            ) from failure

    def enter(self, chain: Chain, prepared: Prepared, forget: Callable[[], None]) -> None:
        """The chain is the prepared one. On the thread that writes the chain. forget: leaves
        nothing of the old chain in pool and diary.

        Raises: StorageError; the chain is closed then, and the next start finishes this.
        """
        leniency = chain.config.leniency
        begin_replacing(self._data_dir)
        forget()
        chain.begin_again(prepared.genesis, lambda: self._reopened(prepared))
        if chain.config.leniency != leniency:
            chain.relax(leniency)
        end_replacing(self._data_dir)
        self.genesis = prepared.genesis
        if prepared.fork is not None:
            self._adopt(prepared.fork)
        elif self._fork is not None:
            before, self._fork, self._history = self._fork, None, None
            before.close()

    def _reopened(self, prepared: Prepared) -> OpenedStorage:
        put_in_place(self._data_dir)
        return open_storage(
            self._data_dir,
            prepared.genesis,
            prune=self.configuration.prune,
            is_durable=self.configuration.data_dir is not None,
            remote=None if prepared.fork is None else prepared.fork.state,
            cache_bytes=self.configuration.state_cache_bytes,
        )

    def ask_elsewhere(self, url: str) -> None:
        """The same fork, read from another endpoint of its chain from here on. Waits.

        Raises: NoSuchFork.
        """
        fork = self._fork
        if fork is None:
            raise NoSuchFork("this chain is no fork: start the node with --fork-url")
        checked = self._checked(url)
        if checked == fork.client.settings.url:
            return
        other = RemoteClient(fork.client.settings.moved_to(checked))
        other.start()
        try:
            found = other.call("eth_getBlockByNumber", [hex(fork.origin.number), False])
        except RemoteError as failure:
            raise NoSuchFork(f"the other endpoint does not answer: {failure}") from failure
        finally:
            other.close()
        known = found.get("hash") if isinstance(found, dict) else None
        if known != "0x" + fork.origin.hash.hex():
            raise NoSuchFork(
                "the other endpoint serves another chain: it lacks the block forked from"
            )
        self._record(fork.client.settings.moved_to(checked), self._data_dir)
        fork.client.move(checked)


def as_recorded(configuration: NodeConfiguration, data_dir: Path) -> NodeConfiguration:
    """With the fork that the directory holds, where the command line names none.

    Raises: StorageError; ForeignDirectory, when nobody has written where its remote is.
    """
    is_plain = configuration.dev and configuration.genesis_path is None
    if configuration.fork is not None or configuration.data_dir is None or not is_plain:
        return configuration
    record = read_record(data_dir)
    if record is None and begins_at_genesis(data_dir):
        # Perhaps another network's, of which nothing must be touched before it is refused.
        return configuration
    kept = fork_description(data_dir)
    if kept is None:
        return configuration
    if record is None:
        found = Origin.decode(kept)
        raise ForeignDirectory(
            f"{data_dir} holds a fork of chain {found.chain_id} at block {found.number}, and not "
            "where that chain is: start it with --fork-url"
        )
    manner = configuration.fork_manner
    remote = replace(manner.remote, url=record.url, headers=manner.remote.headers or record.headers)
    is_usual = configuration.gas_limit == DEV_GAS_LIMIT
    return replace(
        configuration,
        fork=replace(manner, remote=remote),
        gas_limit=record.gas_limit if is_usual else configuration.gas_limit,
    )


def begins_at_genesis(data_dir: Path) -> bool:
    """Whether the directory says that its chain begins with block 0. Raises: StorageError."""
    identity = read_identity(data_dir)
    if identity is None or not identity.header:
        return False
    return kept_header(identity).number == 0


@contextlib.contextmanager
def forking(configuration: NodeConfiguration, data_dir: Path) -> Iterator[Forking]:
    """What a node reads elsewhere: the fork that the configuration asks for, the directory begun
    with it, or the one that the directory holds; without one nothing, until a development chain is
    reset to one.

    Raises: RemoteError, StorageError.
    """
    finish_replacing(data_dir, KEPT_BESIDE)
    configuration = as_recorded(configuration, data_dir)
    found = Forking(configuration, data_dir)
    try:
        if configuration.fork is not None:
            found.open(configuration.fork)
        yield found
    finally:
        found.close()
