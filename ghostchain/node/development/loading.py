"""A state dump read: anvil's, of its older forms too, and this node's own.

All of it is checked before anything is changed. What a dump holds at best: the accounts, the blocks
up to its head with transactions and receipts, states of older blocks. Of blocks those count that
are linked to the head by their hashes; of states those that go on from the head without a gap. A
dump whose head cannot be told as a block here (older ones lack it, or hold a header of another
shape) gives its accounts, and times, coinbases, base fees and randomness of its blocks.

Beside what anvil writes and reads, our own dumps hold `ghostchain`: records of the blocks with
transactions that anvil has no words for.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ghostchain.chain.fees import BASE_FEE_END
from ghostchain.chain.genesis import GenesisAccount
from ghostchain.chain.loading import LoadedBlock, LoadedChain, State
from ghostchain.chain.records import BodyRecord
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import parse_data
from ghostchain.encoding.unsigned import decode_admitted
from ghostchain.node.development import transcripts
from ghostchain.node.development.transcripts import Record
from ghostchain.primitives.amendment import AccountAmendment, Amendments
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address, Hash32
from ghostchain.rpc.development_parameters import number, number_64

# What a dump may decompress to.
DUMP_BYTES_MAX = 1 << 29
MAGIC = b"\x1f\x8b"
# What reading what is no dump ends with.
MALFORMED = (InvalidEncoding, AttributeError, TypeError, KeyError, IndexError)
NOTHING = GenesisAccount()


@dataclass(frozen=True, slots=True)
class OldBlock:
    """What a dump says of a block, and a block of ours can say too."""

    timestamp: int
    coinbase: Address
    prev_randao: Hash32
    base_fee: int


@dataclass(frozen=True, slots=True)
class NextBlock:
    """What blocks are made with from here on; None: as ever."""

    coinbase: Address | None = None
    gas_limit: int | None = None

    @classmethod
    def of(cls, block: Record) -> NextBlock:
        """As the dump says it."""
        coinbase = block.get("beneficiary") or block.get("coinbase")
        limit = number_64(block.get("gas_limit") or 0)
        return cls(
            None if coinbase is None else Address(parse_data(coinbase, length=20)),
            limit if 0 < limit < 1 << 63 else None,
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is taken of a dump. number and timestamp: of its last block, None where it does not
    say. blocks: by number, those that it holds. run: linked, up to the last one, empty where that
    is not among them. next_block: what blocks after it are made with. states: what is said of the
    older ones, by number, not looked at yet."""

    accounts: State
    number: int | None
    timestamp: int | None
    blocks: Mapping[int, OldBlock]
    run: tuple[LoadedBlock, ...] = ()
    next_block: NextBlock = field(default_factory=lambda: NextBlock())
    states: Mapping[int, Any] = field(default_factory=dict)

    @property
    def amendments(self) -> Amendments:
        """The accounts, as what is to be changed by hand."""
        return {
            address: AccountAmendment(
                nonce=one.nonce,
                balance=one.balance,
                code=one.code,
                slots={Hash32(key): Hash32(value) for key, value in (one.storage or {}).items()},
            )
            for address, one in self.accounts.items()
        }

    def chain(self, chain_id: int, genesis_id: int) -> LoadedChain:
        """The blocks, and from where on their states are known. chain_id: of blocks after the last;
        genesis_id: of a chain that nothing else is said of."""
        last = self.run[-1].header.number
        oldest = last
        while oldest - 1 in self.states and oldest > self.run[0].header.number:
            oldest -= 1
        return LoadedChain(self.run, oldest, chain_ids_of(self.run, chain_id, genesis_id))

    def older_states(self, oldest: int, beneath: State) -> Iterator[State]:
        """The states from there on to before the last block's. beneath: of accounts that they do
        not name. Raises: ValueError for what is none."""
        codes = {bytes(keccak256(one.code)): one.code for one in self.accounts.values()}
        for height in range(oldest, self.run[-1].header.number):
            try:
                yield {**beneath, **old_state(self.states[height], codes)}
            except MALFORMED as error:
                raise ValueError(f"no state of block {height}: {error}") from error


def parse(dumped: bytes) -> Loaded:
    """What a dump says. Raises: ValueError for bytes that are none."""
    try:
        document = orjson.loads(unpacked(dumped))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("accounts"), dict):
        raise ValueError("no accounts in it")
    try:
        block, best = document.get("block") or {}, document.get("best_block_number")
        height = block.get("number") if best is None else best
        timestamp = block.get("timestamp")
        last = None if height is None else number_64(height)
        run = () if last is None else run_of(document, last)
        return Loaded(
            accounts_in(document["accounts"]),
            last,
            None if timestamp is None else number(timestamp),
            dict(map(old_block_of, document.get("blocks") or [])),
            run,
            NextBlock.of(block),
            dict(states_in(document, run)),
        )
    except MALFORMED as error:
        raise ValueError(f"no dump: {error}") from error


def unpacked(dumped: bytes) -> bytes:
    """Decompressed where it is compressed, and never more than DUMP_BYTES_MAX."""
    if not dumped.startswith(MAGIC):
        return dumped
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(dumped)) as opened:
            found = opened.read(DUMP_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"no gzip: {error}") from error
    if len(found) > DUMP_BYTES_MAX:
        raise ValueError(f"more than {DUMP_BYTES_MAX} bytes")
    return found


# ---- accounts ----


def accounts_in(records: Record) -> dict[Address, GenesisAccount]:
    return {
        Address(parse_data(address, length=20)): account_of(record)
        for address, record in records.items()
    }


def account_of(record: Record) -> GenesisAccount:
    """Raises: ValueError, and MALFORMED for no account, as all here do. Slots that are zero stay,
    since they may lie over others."""
    return GenesisAccount(
        balance=number(record["balance"]),
        nonce=nonce_of(record),
        code=parse_data(record["code"]),
        storage={word(key): word(value) for key, value in record["storage"].items()},
    )


def nonce_of(record: Record) -> int:
    nonce = number(record["nonce"])
    if nonce >= 1 << 64:
        raise ValueError("a nonce above 2^64")
    return nonce


def word(value: Any) -> Hash32:
    return Hash32(number(value).to_bytes(32, "big"))


def laid_over(beneath: State, accounts: State) -> dict[Address, GenesisAccount]:
    """What was there, and over it what is loaded, as anvil has it: slots that are not named stay,
    and a nonce never goes back."""
    found = dict(beneath)
    for address, one in accounts.items():
        before = beneath.get(address, NOTHING)
        slots = {**(before.storage or {}), **(one.storage or {})}
        account = GenesisAccount(
            one.balance, max(one.nonce, before.nonce), one.code, without_zeros(slots)
        )
        found[address] = account
    return {address: one for address, one in found.items() if is_something(one)}


def without_zeros(slots: Mapping[Any, bytes]) -> dict[bytes, bytes]:
    return {bytes(key): bytes(value) for key, value in slots.items() if any(value)}


def is_something(account: GenesisAccount) -> bool:
    """Not absent (EIP-161)."""
    return bool(account.nonce or account.balance or account.code or account.storage)


# ---- older states ----


def states_in(document: Record, run: tuple[LoadedBlock, ...]) -> Iterator[tuple[int, Any]]:
    """What is said of the states of older blocks of the run, by number."""
    numbers = {bytes(block.hash): block.header.number for block in run[:-1]}
    for block_hash, state in document.get("historical_states") or []:
        height = numbers.get(parse_data(block_hash, length=32))
        if height is not None:
            yield height, state


def old_state(record: Record, codes: Mapping[bytes, bytes]) -> dict[Address, GenesisAccount]:
    """The accounts of an older state. codes: known ones by hash."""
    storages = record["storage"]
    found = {}
    for shown, told in record["accounts"].items():
        code_hash = parse_data(told["code_hash"], length=32)
        code: bytes | None = b""
        if code_hash != EMPTY_CODE_HASH:
            code = transcripts.code_of(told.get("code"), code_hash, codes)
        if code is None:
            raise ValueError(f"the code of {shown} is missing")
        slots = {word(key): word(value) for key, value in storages.get(shown, {}).items()}
        account = GenesisAccount(
            number(told["balance"]), nonce_of(told), code, without_zeros(slots)
        )
        if is_something(account):
            found[Address(parse_data(shown, length=20))] = account
    return found


# ---- blocks ----


def run_of(document: Record, last: int) -> tuple[LoadedBlock, ...]:
    """The blocks that end with the last one, each linked to its parent; only the first of them may
    lack its body. Where several stand at the last height, that with the longest way to it, or else
    the last of the list, is the one."""
    by_hash: dict[bytes, tuple[Any, Record]] = {}
    heads: list[bytes] = []
    for record in document.get("blocks") or []:
        header = transcripts.header_of(record["header"])
        if header is None:
            continue
        block_hash = bytes(header_hash(header))
        by_hash[block_hash] = header, record
        if header.number == last:
            heads.append(block_hash)
    if not heads:
        return ()
    ways: dict[bytes, int] = {}
    for head in heads:
        way, place = [], head
        while place in by_hash and place not in ways:
            way.append(place)
            place = bytes(by_hash[place][0].parent_hash)
        for steps, passed in enumerate(reversed(way), ways.get(place, 0) + 1):
            ways[passed] = steps
    best = max(reversed(heads), key=lambda head: ways[head])
    return run_to(best, by_hash, dict(transcripts.mined_in(document)), own_records(document))


def run_to(
    head: bytes,
    by_hash: Mapping[bytes, tuple[Any, Record]],
    mined: Mapping[tuple[bytes, int], Record],
    own: Mapping[bytes, tuple[bytes, bytes]],
) -> tuple[LoadedBlock, ...]:
    found: list[LoadedBlock] = []
    place: bytes = head
    while place in by_hash:
        header, record = by_hash[place]
        if found and header.number + 1 != found[-1].header.number:
            break
        records = own.get(place)
        if records is None:
            block = transcripts.block_of(record, header, mined)
        else:
            block = LoadedBlock(header, Hash32(place), transcripts.recorded(*records, header))
        found.append(block)
        if block.body is None or header.number == 0:
            break
        place = bytes(header.parent_hash)
    return tuple(reversed(found))


def own_records(document: Record) -> dict[bytes, tuple[bytes, bytes]]:
    """Body and receipts of blocks as this node keeps them, by hash."""
    told = document.get("ghostchain") or {}
    return {
        parse_data(block_hash, length=32): (parse_data(one["body"]), parse_data(one["receipts"]))
        for block_hash, one in (told.get("blocks") or {}).items()
    }


def chain_ids_of(
    run: tuple[LoadedBlock, ...], chain_id: int, genesis_id: int
) -> tuple[tuple[int, int], ...]:
    """As of `ChainConfig`: what the blocks' transactions say, then chain_id."""
    found: list[tuple[int, int]] = []
    for block in run:
        if block.body is None or not block.body.hashes:
            continue
        for raw in BodyRecord.parse(block.body.body).raws():
            said = decode_admitted(raw).chain_id
            if said and said != (found[-1][1] if found else genesis_id):
                found.append((block.header.number, said))
            if said is not None:
                break
    if (found[-1][1] if found else genesis_id) != chain_id:
        found.append((run[-1].header.number + 1, chain_id))
    return tuple(found)


def old_block_of(record: Any) -> tuple[int, OldBlock]:
    """By its number."""
    header = record["header"]
    old = OldBlock(
        timestamp=below(number(header["timestamp"]), 1 << 63),
        coinbase=Address(parse_data(transcripts.first(header, transcripts.COINBASE), length=20)),
        prev_randao=word(header.get("mixHash") or 0),
        base_fee=below(number(header.get("baseFeePerGas") or 0), BASE_FEE_END),
    )
    return number(header["number"]), old


def below(value: int, end: int) -> int:
    if value >= end:
        raise ValueError(f"{value} is too much")
    return value
