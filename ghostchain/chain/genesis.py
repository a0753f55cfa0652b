"""Block zero: geth's genesis format, read strictly, and the state and header it stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ghostchain.chain.config import ChainConfig, data_bytes, integer, parse_config
from ghostchain.chain.economy import hybrid_alloc
from ghostchain.chain.fees import INITIAL_BASE_FEE
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.encoding.rlp import encode, integer_bytes
from ghostchain.execution.forks import Fork
from ghostchain.primitives.account import Account
from ghostchain.primitives.errors import InvalidGenesis
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import (
    EMPTY_BLOOM,
    EMPTY_CODE_HASH,
    EMPTY_OMMERS_HASH,
    EMPTY_REQUESTS_HASH,
    EMPTY_ROOT,
    ZERO_ADDRESS,
    ZERO_HASH,
    Address,
    Hash32,
)
from ghostchain.state.changes import Changes, compact
from ghostchain.state.undo import changes_between
from ghostchain.trie.merkle import root_of

GENESIS_BYTES_MAX = 1 << 30
DEFAULT_GAS_LIMIT = 4_712_388


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """One entry of the alloc. storage maps 32-byte keys to 32-byte values, zero ones left out."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[bytes, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Genesis:
    """Rules, header and state of a chain before its first block. `name` is for people."""

    config: ChainConfig
    header: Header
    alloc: Mapping[Address, GenesisAccount]
    name: str = "custom"

    @property
    def hash(self) -> Hash32:
        """The hash of block zero, which identifies the chain."""
        return header_hash(self.header)


def load_genesis(path: Path) -> Genesis:
    """The genesis in a JSON file.

    Raises: InvalidGenesis saying what is wrong where.
    """
    try:
        if path.stat().st_size > GENESIS_BYTES_MAX:
            raise InvalidGenesis(f"{path} is larger than {GENESIS_BYTES_MAX} bytes")
        fields = json.loads(path.read_text())
    except OSError as error:
        raise InvalidGenesis(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidGenesis(f"{path} is not JSON: {error}") from error
    try:
        return parse_genesis(fields, name=path.stem)
    except InvalidGenesis as failure:
        raise InvalidGenesis(f"{path}: {failure}") from failure


def parse_genesis(fields: object, *, name: str = "custom") -> Genesis:
    """The genesis that a JSON object in geth's format stands for.

    Raises: InvalidGenesis saying what is wrong where.
    """
    if not isinstance(fields, Mapping):
        raise InvalidGenesis("a genesis is a JSON object")
    timestamp = integer(fields.get("timestamp", 0), "timestamp")
    config_fields = fields.get("config")
    if not isinstance(config_fields, Mapping):
        raise InvalidGenesis("config is missing")
    config = parse_config(config_fields, timestamp)
    alloc_fields = fields.get("alloc", {})
    if not isinstance(alloc_fields, Mapping):
        raise InvalidGenesis("alloc must be an object")
    alloc = dict(_alloc_entry(key, value) for key, value in alloc_fields.items())
    alloc |= _economy(fields.get("ghost"), config, alloc)
    header = _header(fields, config, timestamp, alloc)
    return Genesis(config, header, alloc, name)


def _economy(
    section: object, config: ChainConfig, alloc: Mapping[Address, GenesisAccount]
) -> dict[Address, GenesisAccount]:
    """The contracts of the protocol, where its rules ever begin."""
    if config.hybrid_time is None:
        if section is not None:
            raise InvalidGenesis("ghost is given, but config.ghost.hybridTime is not")
        return {}
    native_supply = sum(entry.balance for entry in alloc.values())
    return {
        address: GenesisAccount(entry.balance, entry.nonce, entry.code, entry.storage)
        for address, entry in hybrid_alloc(section, native_supply, alloc).items()
    }


def _header(
    fields: Mapping[str, object],
    config: ChainConfig,
    timestamp: int,
    alloc: Mapping[Address, GenesisAccount],
) -> Header:
    extra_data = data_bytes(fields.get("extraData") or "0x", "extraData")
    # Since Prague the header also commits to the requests, of which genesis has none.
    has_requests = config.fork_at(timestamp) >= Fork.PRAGUE
    return Header(
        parent_hash=Hash32(_fixed(fields, "parentHash", ZERO_HASH)),
        ommers_hash=EMPTY_OMMERS_HASH,
        coinbase=Address(_fixed(fields, "coinbase", ZERO_ADDRESS)),
        state_root=state_root(alloc),
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        bloom=EMPTY_BLOOM,
        difficulty=_number(fields, "difficulty", 0),
        number=_genesis_number(fields),
        gas_limit=_number(fields, "gasLimit", DEFAULT_GAS_LIMIT) or DEFAULT_GAS_LIMIT,
        gas_used=_number(fields, "gasUsed", 0),
        timestamp=timestamp,
        extra_data=extra_data,
        prev_randao=Hash32(_fixed(fields, "mixHash", ZERO_HASH)),
        nonce=_number(fields, "nonce", 0).to_bytes(8, "big"),
        base_fee_per_gas=_number(fields, "baseFeePerGas", INITIAL_BASE_FEE),
        withdrawals_root=EMPTY_ROOT,
        blob_gas_used=_number(fields, "blobGasUsed", 0),
        excess_blob_gas=_number(fields, "excessBlobGas", 0),
        parent_beacon_block_root=Hash32(_fixed(fields, "parentBeaconBlockRoot", ZERO_HASH)),
        requests_hash=EMPTY_REQUESTS_HASH if has_requests else None,
    )


def _genesis_number(fields: Mapping[str, object]) -> int:
    number = _number(fields, "number", 0)
    if number != 0:
        raise InvalidGenesis(f"number is {number}; a chain starts at block 0")
    return 0


def _number(fields: Mapping[str, object], name: str, default: int) -> int:
    value = fields.get(name)
    number = default if value is None or value == "" else integer(value, name)
    if number >= 1 << (256 if name in ("difficulty", "baseFeePerGas") else 64):
        raise InvalidGenesis(f"{name} is too large")
    return number


def _fixed(fields: Mapping[str, object], name: str, default: bytes) -> bytes:
    value = fields.get(name)
    data = default if value is None else data_bytes(value, name)
    if len(data) != len(default):
        raise InvalidGenesis(f"{name} has {len(data)} bytes, not {len(default)}")
    return data


def _alloc_entry(key: object, value: object) -> tuple[Address, GenesisAccount]:
    address = data_bytes(key, "an address of alloc")
    where = f"alloc[{key}]"
    if len(address) != 20:
        raise InvalidGenesis(f"{where}: the address has {len(address)} bytes, not 20")
    if not isinstance(value, Mapping):
        raise InvalidGenesis(f"{where} must be an object")
    storage_fields = value.get("storage") or {}
    if not isinstance(storage_fields, Mapping):
        raise InvalidGenesis(f"{where}.storage must be an object")
    storage = {
        _word(slot, f"{where}.storage"): _word(word, f"{where}.storage")
        for slot, word in storage_fields.items()
    }
    account = GenesisAccount(
        balance=integer(value.get("balance", 0), f"{where}.balance"),
        nonce=integer(value.get("nonce", 0), f"{where}.nonce"),
        code=data_bytes(value.get("code") or "0x", f"{where}.code"),
        storage={slot: word for slot, word in storage.items() if word.strip(b"\0")},
    )
    if account.balance >= 1 << 256 or account.nonce >= 1 << 64:
        raise InvalidGenesis(f"{where}: the balance or nonce is too large")
    return Address(address), account


def _word(value: object, where: str) -> bytes:
    """A storage key or value; short ones are numbers, as in geth's files."""
    digits = value.removeprefix("0x") if isinstance(value, str) else value
    if isinstance(digits, str) and len(digits) % 2:
        digits = "0" + digits
    data = data_bytes(digits, where)
    if len(data) > 32:
        raise InvalidGenesis(f"{where}: {value} has more than 32 bytes")
    return data.rjust(32, b"\0")


def account_of(entry: GenesisAccount) -> Account:
    """The account as the trie holds it, its storage root computed."""
    storage = entry.storage or {}
    root = EMPTY_ROOT
    if storage:
        hashes = keccak256_batch(list(storage))
        values = [encode(value.lstrip(b"\0")) for value in storage.values()]
        root = root_of(dict(zip(hashes, values, strict=True)))
    code_hash = keccak256(entry.code) if entry.code else EMPTY_CODE_HASH
    return Account(entry.nonce, entry.balance, root, code_hash)


def state_root(alloc: Mapping[Address, GenesisAccount]) -> Hash32:
    """The root of the state that an alloc describes."""
    hashes = keccak256_batch(list(alloc))
    leaves: dict[bytes, bytes] = {}
    for hashed, entry in zip(hashes, alloc.values(), strict=True):
        leaves[hashed] = encode_account(account_of(entry))
    return root_of(leaves) if leaves else EMPTY_ROOT


def encode_account(account: Account) -> bytes:
    """The leaf of the account trie (Yellow Paper, section 4.1)."""
    return encode(
        (
            integer_bytes(account.nonce),
            integer_bytes(account.balance),
            account.storage_root,
            account.code_hash,
        )
    )


def genesis_changes(
    alloc: Mapping[Address, GenesisAccount],
) -> tuple[Changes, list[tuple[bytes, bytes]]]:
    """The alloc as the changes of a block on the empty state, and its codes by hash."""
    accounts, slots, codes = {}, {}, {}
    for address, entry in alloc.items():
        hashed = keccak256(address)
        account = account_of(entry)
        # The trie fills in storage roots itself; the stored record must carry the same.
        accounts[bytes(hashed)] = (b"", compact(account.encode()))
        for slot, value in (entry.storage or {}).items():
            slots[bytes(hashed), bytes(keccak256(slot))] = (bytes(32), value)
        if entry.code:
            codes[bytes(account.code_hash)] = entry.code
    return changes_between(accounts, slots), sorted(codes.items())
