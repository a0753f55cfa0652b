"""Parameters of methods: from JSON values to ours, or the error that names the argument.

Strict as geth: quantities and data are 0x-hex strings, no leading zeros, no odd lengths. A parser
raises ValueError or InvalidEncoding with the bare cause; `bind` adds which argument it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ghostchain.crypto.hashes import checksummed
from ghostchain.encoding.hexadecimal import parse_data
from ghostchain.encoding.quantities import parse_quantity
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import InvalidEncoding
from ghostchain.primitives.transaction import AccessEntry, Authorization, Call, SignatureScheme
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.errors import invalid_params, server_error

# Characters of a value that is quoted in its refusal.
SHOWN_MAX: Final = 200
TOO_MANY_CHOICES = "exceed max addresses or topics per search position"
HEXADECIMAL = re.compile(r"(?:[0-9a-fA-F]{2})*", re.ASCII)
TAGS: Final = frozenset({"latest", "pending", "safe", "finalized", "earliest"})
ADDRESSES_MAX: Final = 1000
TOPICS_MAX: Final = 4
TOPIC_CHOICES_MAX: Final = 1000
ACCESS_ENTRIES_MAX: Final = 10_000
CALLS_MAX: Final = 256
WITHDRAWALS_MAX: Final = 1024

Parser = Callable[[Any], Any]
BAD_VALUE = (ValueError, InvalidEncoding)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One positional parameter; default is used when it is absent or null."""

    name: str
    parse: Parser
    required: bool = True
    default: Any = None


@dataclass(frozen=True, slots=True)
class BlockHash:
    """A block by hash (EIP-1898)."""

    hash: Hash32


# A number, one of TAGS, or a hash.
BlockId = int | str | BlockHash
LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A transaction as callers describe it; None where they said nothing.

    Units: wei; fees in wei of the fee token. fee_currency is type 0x7b's word for the fee token,
    and asks for that type; the members after it ask for a GhostTx, and fee_token with it.
    """

    sender: Address | None = None
    to: Address | None = None
    gas: int | None = None
    gas_price: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    max_fee_per_blob_gas: int | None = None
    value: int | None = None
    nonce: int | None = None
    data: bytes | None = None
    access_list: tuple[AccessEntry, ...] | None = None
    chain_id: int | None = None
    blob_versioned_hashes: tuple[Hash32, ...] | None = None
    authorizations: tuple[Authorization, ...] | None = None
    fee_currency: Address | None = None
    fee_token: Address | None = None
    calls: tuple[Call, ...] | None = None
    fee_payer: Address | None = None
    signature_scheme: SignatureScheme | None = None
    payer_scheme: SignatureScheme | None = None


@dataclass(frozen=True, slots=True)
class PlainRequest(CallRequest):
    """One that names at most a sender, a recipient, data and gas."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What eth_getLogs asks for. block_hash excludes the range; empty collections match all."""

    first: BlockId | None
    last: BlockId | None
    block_hash: Hash32 | None
    addresses: frozenset[Address]
    topics: tuple[frozenset[Hash32], ...]


@dataclass(frozen=True, slots=True)
class BlockOverride:
    """Fields of the block that a call should see instead."""

    number: int | None = None
    time: int | None = None
    gas_limit: int | None = None
    fee_recipient: Address | None = None
    prev_randao: bytes | None = None
    base_fee: int | None = None
    blob_base_fee: int | None = None
    beacon_root: Hash32 | None = None
    withdrawals: tuple[Withdrawal, ...] | None = None


def bind(parameters: Sequence[Parameter], values: Sequence[Any]) -> list[Any]:
    """The arguments of a handler. Raises RpcError INVALID_PARAMS naming the argument."""
    if len(values) > len(parameters):
        raise invalid_params(f"too many arguments, want at most {len(parameters)}")
    arguments = []
    for index, parameter in enumerate(parameters):
        value = values[index] if index < len(values) else None
        if value is None:
            if parameter.required:
                raise invalid_params(f"missing value for required argument {index}")
            arguments.append(parameter.default)
            continue
        try:
            arguments.append(parameter.parse(value))
        except BAD_VALUE as error:
            raise invalid_params(f"invalid argument {index}: {error}") from None
    return arguments


# ---- scalars ----


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, not {kind(value)}")
    return value


def kind(value: Any) -> str:
    """What JSON calls the type of a value."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected a boolean, not {kind(value)}")
    return value


def quantity(value: Any) -> int:
    return parse_quantity(value)


def quantity_64(value: Any) -> int:
    return parse_quantity(value, bits=64)


def data(value: Any) -> bytes:
    return parse_data(value)


def address(value: Any) -> Address:
    return Address(fixed_data(value, 20))


def hash32(value: Any) -> Hash32:
    return Hash32(fixed_data(value, 32))


def fixed_data(value: Any, length: int) -> bytes:
    """As parse_data; what is well formed, as nearly all of it is, takes the short way."""
    if type(value) is str and len(value) == 2 + 2 * length and value[:2] == "0x":
        try:
            found = bytes.fromhex(value[2:])
        except ValueError:
            found = b""
        # Spaces, which fromhex passes over, leave fewer bytes.
        if len(found) == length:
            return found
    return parse_data(value, length=length)


def storage_key(value: Any) -> Hash32:
    """Up to 32 bytes of hex, odd lengths and short ones included, as geth's storage keys."""
    digits = text(value)
    if digits[:2] in ("0x", "0X"):
        digits = digits[2:]
    if len(digits) > 64:
        shown = json.dumps(value[:SHOWN_MAX])
        raise invalid_params(f"storage key too long (want at most 32 bytes): {shown}")
    if len(digits) % 2:
        digits = "0" + digits
    if not HEXADECIMAL.fullmatch(digits):
        raise invalid_params(f"invalid hex in storage key: {json.dumps(value)}")
    return Hash32(bytes.fromhex(digits).rjust(32, b"\0"))


# ---- blocks ----


def block_number(value: Any) -> BlockId:
    """A number or a tag."""
    if isinstance(value, str) and value in TAGS:
        return value
    return quantity_64(value)


def block_id(value: Any) -> BlockId:
    """A number, a tag, a bare hash, or an EIP-1898 object."""
    if isinstance(value, dict):
        by_hash, by_number = value.get("blockHash"), value.get("blockNumber")
        if by_hash is not None and by_number is not None:
            raise ValueError(
                "cannot specify both BlockHash and BlockNumber, choose one or the other"
            )
        if by_hash is not None:
            return BlockHash(hash32(by_hash))
        if by_number is not None:
            return block_number(by_number)
        raise ValueError("neither blockHash nor blockNumber is given")
    if isinstance(value, str) and len(value) == 66:
        return BlockHash(hash32(value))
    return block_number(value)


def block_count(value: Any) -> int:
    """Feehistory's count, which older clients send as a JSON number."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value[:20])
    return quantity_64(value)


def percentiles(value: Any) -> list[float]:
    numbers = items(value, 100, "reward percentiles")
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise ValueError("expected numbers")
    return [float(n) for n in numbers]


# ---- objects ----


def fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, not {kind(value)}")
    return value


def items(value: Any, count_max: int, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected an array, not {kind(value)}")
    if len(value) > count_max:
        raise ValueError(f"too many {name}: {len(value)}, at most {count_max}")
    return value


def optional(members: Mapping[str, Any], name: str, parse: Parser) -> Any:
    """The parsed member, None when absent or null; the cause names the member."""
    value = members.get(name)
    if value is None:
        return None
    try:
        return parse(value)
    except BAD_VALUE as error:
        raise ValueError(f"{name}: {error}") from None


def needed(members: Mapping[str, Any], name: str, parse: Parser) -> Any:
    if members.get(name) is None:
        raise ValueError(f"missing field {name}")
    return optional(members, name, parse)


def access_list(value: Any) -> tuple[AccessEntry, ...]:
    entries = []
    for item in items(value, ACCESS_ENTRIES_MAX, "access list entries"):
        members = fields(item)
        keys = items(members.get("storageKeys") or [], ACCESS_ENTRIES_MAX, "storage keys")
        entries.append(AccessEntry(needed(members, "address", address), tuple(map(hash32, keys))))
    return tuple(entries)


def authorization(value: Any) -> Authorization:
    members = fields(value)
    return Authorization(
        chain_id=needed(members, "chainId", quantity),
        address=needed(members, "address", address),
        nonce=needed(members, "nonce", quantity_64),
        y_parity=needed(members, "yParity", quantity),
        r=needed(members, "r", quantity),
        s=needed(members, "s", quantity),
    )


def authorization_list(value: Any) -> tuple[Authorization, ...]:
    return tuple(map(authorization, items(value, ACCESS_ENTRIES_MAX, "authorizations")))


def hashes(value: Any) -> tuple[Hash32, ...]:
    return tuple(map(hash32, items(value, ACCESS_ENTRIES_MAX, "hashes")))


def call_data(members: Mapping[str, Any]) -> bytes | None:
    """Under either of its two names."""
    by_data: bytes | None = optional(members, "data", data)
    by_input: bytes | None = optional(members, "input", data)
    if by_data is not None and by_input is not None and by_data != by_input:
        raise ValueError(
            'both "data" and "input" are set and not equal. '
            'Please use "input" to pass transaction call data'
        )
    return by_data if by_input is None else by_input


def call(value: Any) -> Call:
    """One call of a GhostTx."""
    members = fields(value)
    return Call(
        to=optional(members, "to", address),
        value=optional(members, "value", quantity) or 0,
        data=call_data(members) or b"",
    )


def calls(value: Any) -> tuple[Call, ...]:
    found = tuple(map(call, items(value, CALLS_MAX, "calls")))
    if not found:
        raise ValueError("no calls")
    return found


def signature_scheme(value: Any) -> SignatureScheme:
    """0: secp256k1, 1: Ed25519, 2: ML-DSA-65."""
    return SignatureScheme(parse_quantity(value, bits=8))


PLAIN_MEMBERS = frozenset({"from", "to", "data", "input", "gas"})


def is_plain(request: CallRequest) -> bool:
    """Whether it is a message without value or fee, as most calls are."""
    return type(request) is PlainRequest


def call_request(value: Any) -> CallRequest:
    """A transaction object; unknown members are ignored, as geth does."""
    members = fields(value)
    if members.keys() <= PLAIN_MEMBERS:
        return PlainRequest(
            sender=optional(members, "from", address),
            to=optional(members, "to", address),
            gas=optional(members, "gas", quantity_64),
            data=call_data(members),
        )
    return CallRequest(
        sender=optional(members, "from", address),
        to=optional(members, "to", address),
        gas=optional(members, "gas", quantity_64),
        gas_price=optional(members, "gasPrice", quantity),
        max_fee_per_gas=optional(members, "maxFeePerGas", quantity),
        max_priority_fee_per_gas=optional(members, "maxPriorityFeePerGas", quantity),
        max_fee_per_blob_gas=optional(members, "maxFeePerBlobGas", quantity),
        value=optional(members, "value", quantity),
        nonce=optional(members, "nonce", quantity_64),
        data=call_data(members),
        access_list=optional(members, "accessList", access_list),
        chain_id=optional(members, "chainId", quantity_64),
        blob_versioned_hashes=optional(members, "blobVersionedHashes", hashes),
        authorizations=optional(members, "authorizationList", authorization_list),
        fee_currency=optional(members, "feeCurrency", address),
        fee_token=optional(members, "feeToken", address),
        calls=optional(members, "calls", calls),
        fee_payer=optional(members, "feePayer", address),
        signature_scheme=optional(members, "signatureScheme", signature_scheme),
        payer_scheme=optional(members, "payerSignatureScheme", signature_scheme),
    )


def slots(value: Any) -> dict[Hash32, Hash32]:
    return {hash32(key): hash32(item) for key, item in fields(value).items()}


def state_overrides(value: Any) -> dict[Address, AccountOverride]:
    """geth's third parameter of eth_call."""
    overrides = {}
    for key, item in fields(value).items():
        members = fields(item)
        if members.get("state") is not None and members.get("stateDiff") is not None:
            who = checksummed(address(key))
            raise server_error(f"account {who} has both 'state' and 'stateDiff'")
        overrides[address(key)] = AccountOverride(
            nonce=optional(members, "nonce", quantity_64),
            balance=optional(members, "balance", quantity),
            code=optional(members, "code", data),
            state=optional(members, "state", slots),
            state_diff=optional(members, "stateDiff", slots),
            move_precompile_to=optional(members, "movePrecompileToAddress", address),
        )
    return overrides


def withdrawal(value: Any) -> Withdrawal:
    members = fields(value)
    return Withdrawal(
        needed(members, "index", quantity_64),
        needed(members, "validatorIndex", quantity_64),
        needed(members, "address", address),
        needed(members, "amount", quantity_64),
    )


def withdrawals(value: Any) -> tuple[Withdrawal, ...]:
    return tuple(map(withdrawal, items(value, WITHDRAWALS_MAX, "withdrawals")))


def block_override(value: Any) -> BlockOverride:
    members = fields(value)
    randao = optional(members, "prevRandao", hash32)
    return BlockOverride(
        number=optional(members, "number", quantity),
        time=optional(members, "time", quantity_64),
        gas_limit=optional(members, "gasLimit", quantity_64),
        fee_recipient=optional(members, "feeRecipient", address)
        or optional(members, "coinbase", address),
        prev_randao=optional(members, "random", hash32) if randao is None else randao,
        base_fee=optional(members, "baseFeePerGas", quantity),
        blob_base_fee=optional(members, "blobBaseFee", quantity),
        beacon_root=optional(members, "beaconRoot", hash32),
        withdrawals=optional(members, "withdrawals", withdrawals),
    )


def log_filter(value: Any) -> LogFilter:
    """eth_getLogs' object. Raises RpcError for combinations geth words by itself."""
    members = fields(value)
    by_hash = optional(members, "blockHash", hash32)
    first = optional(members, "fromBlock", block_number)
    last = optional(members, "toBlock", block_number)
    if by_hash is not None and (first is not None or last is not None):
        raise ValueError(
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
        )
    return LogFilter(first, last, by_hash, log_addresses(members), log_topics(members))


def log_addresses(members: Mapping[str, Any]) -> frozenset[Address]:
    value = members.get("address")
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset((optional(members, "address", address),))
    if isinstance(value, list) and len(value) > ADDRESSES_MAX:
        raise server_error(TOO_MANY_CHOICES)
    return frozenset(map(address, items(value, ADDRESSES_MAX, "addresses")))


def log_topics(members: Mapping[str, Any]) -> tuple[frozenset[Hash32], ...]:
    value = members.get("topics")
    if value is None:
        return ()
    if isinstance(value, list) and len(value) > TOPICS_MAX:
        raise server_error("exceed max topics")
    return tuple(topic_choices(item) for item in items(value, TOPICS_MAX, "topics"))


def topic_choices(value: Any) -> frozenset[Hash32]:
    """null matches anything, so does an array that holds null."""
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset((hash32(value),))
    if isinstance(value, list) and len(value) > TOPIC_CHOICES_MAX:
        raise server_error(TOO_MANY_CHOICES)
    choices = items(value, TOPIC_CHOICES_MAX, "topics")
    if None in choices:
        return frozenset()
    return frozenset(map(hash32, choices))
