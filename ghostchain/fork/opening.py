"""Opening a fork: which block, its cache, and a data directory that begins there or goes on."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostchain.chain.config import TRANSACTION_GAS_MAX
from ghostchain.chain.fork import ForkStart, begin_fork, fork_description
from ghostchain.chain.genesis import Genesis
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_early_header, encode_header
from ghostchain.execution.forks import Fork
from ghostchain.fork import answers, origin
from ghostchain.fork.cache import BYTES_MAX, ForkCache, known_hashes, path_of, shrink
from ghostchain.fork.client import RemoteClient, RemoteSettings
from ghostchain.fork.origin import Origin
from ghostchain.fork.state import RemoteState
from ghostchain.primitives.errors import (
    ForeignDirectory,
    GhostError,
    RemoteFailed,
    RemoteRefused,
)
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address

logger = logging.getLogger(__name__)

HEADER = b"header"
HYBRID = b"hybrid"
# How long the start of a fork that goes on waits for its remote.
AWAITED_S = 5.0


@dataclass(frozen=True, slots=True)
class ForkSettings:
    """What to fork, and how.

    block: a number, or one relative to the remote's head when negative; None is its head.
    transaction: the fork begins with the state before this transaction. remote_chain_id: what
    eth_chainId is not asked for then. cache_dir None: nothing is kept between runs.
    """

    remote: RemoteSettings
    block: int | None = None
    transaction: bytes | None = None
    remote_chain_id: int | None = None
    cache_dir: Path | None = None
    cache_bytes_max: int = field(default=BYTES_MAX)


@dataclass(frozen=True, slots=True)
class ForkTerms:
    """What the fork's own blocks are made with. chain_id: None for the remote's. newest: no newer
    rules than these hold; None for what holds there. funded: these accounts begin with funds_wei.
    is_gas_capped: EIP-7825 binds transactions.
    """

    chain_id: int | None
    coinbase: Address
    funded: tuple[Address, ...]
    funds_wei: int
    newest: Fork | None = None
    is_gas_capped: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """The transactions before the one at which a fork begins, and the header of their block."""

    header: Header
    transactions: tuple[bytes, ...]


class OpenFork:
    """A fork that can be read: the remote's state at its block."""

    def __init__(
        self,
        settings: ForkSettings,
        client: RemoteClient,
        found: Origin,
        cache: ForkCache,
        *,
        is_known: bool,
    ) -> None:
        """is_known: the remote has shown the block, so it may be named by its number."""
        self.settings = settings
        self.client = client
        self.origin = found
        self.cache = cache
        self.replay: Replay | None = None
        by_hash = {"blockHash": "0x" + found.hash.hex()}
        block = _block_parameter(client, cache, found) if is_known else by_hash
        self.state = RemoteState(client, cache, block, number=found.number)

    def close(self) -> None:
        self.client.close()
        self.cache.close()
        if self.settings.cache_dir is None:
            shutil.rmtree(self.cache.path.parent, ignore_errors=True)


def open_fork(settings: ForkSettings, data_dir: Path | None) -> OpenFork:
    """The fork that the directory holds; where it holds none (or is none), that of the block in
    settings.

    Raises: RemoteError, when the block cannot be had; ForeignDirectory, when the directory holds
    another fork than settings demand; StorageError.
    """
    client = RemoteClient(settings.remote)
    client.start()
    try:
        kept = None if data_dir is None else fork_description(data_dir)
        replay: Replay | None = None
        is_known = True
        if kept is not None:
            found = Origin.decode(kept)
            assert data_dir is not None, "where it was kept"
            _refuse_other(settings, found, data_dir)
            is_known = _is_there(client, found)
        else:
            found, replay = _find(settings, client)
        cache = _open_cache(settings, found)
        try:
            fork = OpenFork(settings, client, found, cache, is_known=is_known)
        except BaseException:
            cache.close()
            raise
    except BaseException:
        client.close()
        raise
    fork.replay = replay
    return fork


def begin(
    fork: OpenFork,
    data_dir: Path,
    terms: ForkTerms,
) -> Genesis:
    """The directory holds the fork's chain, if it did not; its genesis, to open it with.

    Cost: one batch of requests at the beginning.
    Raises: RemoteError, StorageError.
    """
    if fork_description(data_dir) is None:
        genesis, start = learned(fork, terms)
        begin_fork(data_dir, genesis, start)
        return genesis
    return _genesis(fork.origin, terms)


def _genesis(found: Origin, terms: ForkTerms) -> Genesis:
    return origin.genesis_at(
        found,
        terms.chain_id or found.chain_id,
        terms.newest,
        transaction_gas_max=0 if terms.is_gas_capped else TRANSACTION_GAS_MAX,
    )


def learned(fork: OpenFork, terms: ForkTerms) -> tuple[Genesis, ForkStart]:
    """What the fork begins with, and whether the remote is a GhostChain. Raises: RemoteError."""
    fork.state.prefetch(
        origin.accounts_at_start(terms.coinbase, terms.funded), origin.slots_at_start()
    )
    found = fork.origin
    fork.origin = Origin(found.chain_id, found.header, found.hash, origin.is_hybrid(fork.state))
    start = origin.start_of(fork.origin, fork.state, terms.funded, terms.funds_wei)
    return _genesis(fork.origin, terms), start


def _refuse_other(settings: ForkSettings, found: Origin, data_dir: Path) -> None:
    wanted = settings.block
    differs = wanted is not None and wanted >= 0 and wanted != found.number
    other_chain = settings.remote_chain_id not in (None, found.chain_id)
    if differs or other_chain:
        raise ForeignDirectory(
            f"{data_dir} holds a fork of chain {found.chain_id} at block {found.number}; choose "
            "another --data-dir, or ask for that one"
        )


def _is_there(client: RemoteClient, found: Origin) -> bool:
    """Whether the remote still has the block of a fork that goes on; said in the log where it does
    not answer, for what is kept here can be read without it.

    Raises: RemoteFailed, when it serves another chain.
    """
    answer = client.ask("eth_getBlockByNumber", [hex(found.number), False])
    try:
        block = answer.result(min(AWAITED_S, client.settings.timeout_s))
    except (RemoteFailed, RemoteRefused, FutureTimeout) as failure:
        words = str(failure) or f"fork: {client.host} does not answer"
        logger.warning(
            "%s. The fork goes on with what is kept here; all else fails until it answers, or "
            "--fork-url names another endpoint of chain %d",
            words,
            found.chain_id,
        )
        return False
    known = block.get("hash") if isinstance(block, dict) else None
    if known != "0x" + found.hash.hex():
        raise RemoteFailed(
            f"fork: {client.host} has no block {found.number} with hash 0x{found.hash.hex()}, "
            "where this fork began: it serves another chain, or a reorganised one; --fork-url "
            f"names another endpoint of chain {found.chain_id}"
        )
    return True


def _open_cache(settings: ForkSettings, found: Origin) -> ForkCache:
    folder = settings.cache_dir
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="ghostd-fork-"))
        path = folder / "state.sqlite"
    else:
        path = path_of(folder, found.chain_id, found.number, found.hash)
    try:
        for deleted in shrink(folder, bytes_max=settings.cache_bytes_max):
            logger.info("fork cache: deleted %s to make room", deleted)
        cache = ForkCache(path, bytes_max=settings.cache_bytes_max // 2)
    except OSError as failure:
        raise CacheFailed(
            f"the fork cache {path} cannot be used: {failure}; --cache-dir names another folder, "
            "--no-storage-caching does without"
        ) from failure
    cache.put("answers", HEADER, encode_header(found.header))
    return cache


class CacheFailed(GhostError):
    """The folder of the cache cannot be used."""


# ---- which block ----


def _find(settings: ForkSettings, client: RemoteClient) -> tuple[Origin, Replay | None]:
    """The block, and the transactions that are to be run on it."""
    if settings.transaction is not None:
        return _before_transaction(settings, client, settings.transaction)
    cached = _cached(settings)
    if cached is not None:
        return cached, None
    asked = None
    if settings.remote_chain_id is None:
        asked = client.ask("eth_chainId", [])
    number = settings.block
    if number is not None and number < 0:
        head = client.call("eth_blockNumber", [])
        number = max(_number(head, "eth_blockNumber", client) + number, 0)
    tag = "latest" if number is None else hex(number)
    block = client.call("eth_getBlockByNumber", [tag, False])
    if block is None:
        raise RemoteFailed(f"fork: {client.host} has no block {tag}")
    chain_id = settings.remote_chain_id
    if asked is not None:
        chain_id = _number(client.wait(asked, "eth_chainId"), "eth_chainId", client)
    assert chain_id is not None, "given, or asked for"
    header, block_hash = origin.header_of(block, client.host)
    if number is not None and header.number != number:
        raise RemoteFailed(f"fork: {client.host} gave block {header.number} for {number}")
    return Origin(chain_id, header, block_hash), None


def _cached(settings: ForkSettings) -> Origin | None:
    """The block out of the cache, where chain and number are given and leave no doubt: so a fork
    starts without its remote."""
    number, chain_id, folder = settings.block, settings.remote_chain_id, settings.cache_dir
    if number is None or number < 0 or chain_id is None or folder is None:
        return None
    hashes = known_hashes(folder, chain_id, number)
    if len(hashes) != 1:
        return None
    try:
        cache = ForkCache(path_of(folder, chain_id, number, hashes[0]))
    except OSError:
        return None  # which is told where it is opened to be used
    try:
        encoded = cache.get("answers", HEADER)
    finally:
        cache.close()
    if encoded is None:
        return None
    with contextlib.suppress(GhostError):
        header = decode_early_header(encoded)
        if encode_header(header) == encoded and header.number == number:
            found = Origin(chain_id, header, header_hash(header))
            return found if found.hash == hashes[0] else None
    return None


def _before_transaction(
    settings: ForkSettings, client: RemoteClient, transaction_hash: bytes
) -> tuple[Origin, Replay]:
    """The parent of the transaction's block, and the transactions before it in the block."""
    shown = "0x" + transaction_hash.hex()
    found = client.call("eth_getTransactionByHash", [shown])
    if not isinstance(found, dict) or found.get("blockNumber") is None:
        raise RemoteFailed(f"fork: {client.host} has no block with transaction {shown}")
    number = _number(found["blockNumber"], "a transaction's block", client)
    block = client.call("eth_getBlockByNumber", [hex(number), True])
    header, _ = origin.header_of(block, client.host)
    transactions = block.get("transactions")
    hashes = [one.get("hash") for one in transactions] if isinstance(transactions, list) else []
    if shown not in hashes:
        raise RemoteFailed(f"fork: {client.host} has transaction {shown} in no place of its block")
    before = _raw_transactions(client, hashes[: hashes.index(shown)])
    chain_id = settings.remote_chain_id
    if chain_id is None:
        chain_id = _number(client.call("eth_chainId", []), "eth_chainId", client)
    parent, parent_hash = origin.header_of(
        client.call("eth_getBlockByNumber", [hex(number - 1), False]), client.host
    )
    if parent_hash != header.parent_hash:
        raise RemoteFailed(f"fork: {client.host} gave blocks that do not follow one another")
    return Origin(chain_id, parent, parent_hash), Replay(header, before)


def _raw_transactions(client: RemoteClient, hashes: list[Any]) -> tuple[bytes, ...]:
    """What has these hashes. Raises: RemoteError."""
    asked = [client.ask("eth_getRawTransactionByHash", [one]) for one in hashes]
    found = []
    for wanted, answer in zip(hashes, asked, strict=True):
        try:
            raw = answers.data(client.wait(answer, "eth_getRawTransactionByHash"), "a transaction")
        except answers.Malformed as failure:
            raise RemoteFailed(f"fork: {client.host} answered with nonsense: {failure}") from None
        if "0x" + keccak256(raw).hex() != wanted:
            raise RemoteFailed(f"fork: {client.host} gave another transaction than {wanted}")
        found.append(raw)
    return tuple(found)


def _number(value: object, what: str, client: RemoteClient) -> int:
    try:
        return answers.quantity(value, what, bits=64)
    except answers.Malformed as failure:
        raise RemoteFailed(f"fork: {client.host} answered with nonsense: {failure}") from None


# ---- how the block is named ----


def _block_parameter(client: RemoteClient, cache: ForkCache, found: Origin) -> Any:
    """The block by hash where the remote takes that (EIP-1898), so that a reorganisation there
    cannot give us another block's state; else by number. Asked once for each cache and host."""
    by_hash = {"blockHash": "0x" + found.hash.hex()}
    name = b"by hash at " + client.host.encode()
    known = cache.get("answers", name)
    if known is None:
        known = b"1"
        try:
            client.call("eth_getTransactionCount", ["0x" + "00" * 20, by_hash])
        except RemoteRefused:
            known = b"0"
        except RemoteFailed as failure:
            # What is cached may be all that is needed.
            logger.warning("%s", failure)
            return by_hash
        cache.put("answers", name, known)
    return by_hash if known == b"1" else hex(found.number)
