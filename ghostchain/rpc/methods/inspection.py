"""The state as a whole, or in the middle of a block: geth's debug_accountRange and relatives."""

from __future__ import annotations

import base64
from typing import Any

from ghostchain.crypto.keccak import keccak256, keccak256_batch
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT, Address, Hash32
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    BlockHash,
    BlockId,
    Parameter,
    address,
    block_id,
    block_number,
    boolean,
    data,
    hash32,
    quantity_64,
)
from ghostchain.rpc.phantoms import ChangedSlots
from ghostchain.rpc.render import Json
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline
from ghostchain.state.ranges import StateRanges

# As geth bounds them.
ACCOUNTS_MAX = 256
SLOTS_MAX = 1024
DUMP_SLOTS_MAX = 10_000
MODIFIED_BLOCKS_MAX = 64
# Slots with small numbers are what most contracts have; their keys are known by hash.
SMALL_KEYS = tuple(number.to_bytes(32, "big") for number in range(1024))


def count(value: Any) -> int:
    """A JSON number, as geth's clients send, or a quantity."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return quantity_64(value)


def numbered(value: Any) -> BlockId:
    """A block's number, as a JSON number too, or its tag."""
    return count(value) if isinstance(value, int) else block_number(value)


def known_keys() -> dict[bytes, bytes]:
    return dict(zip(keccak256_batch(SMALL_KEYS), SMALL_KEYS, strict=True))


def known_accounts(services: Services) -> dict[bytes, Address]:
    addresses = list(services.backend.known_addresses())
    return dict(zip(keccak256_batch(addresses), addresses, strict=True))


# ---- whole states ----


def account_range(
    services: Services,
    deadline: Deadline,
    block: BlockId,
    start: bytes,
    accounts_max: int,
    no_code: bool,
    no_storage: bool,
    incompletes: bool,
) -> Json:
    """geth's dump of a page of accounts. Addresses are not kept: those that the genesis does not
    name stand as `pre(hash)`."""
    if len(start) > 32:
        raise server_error("start is longer than a hash")
    number = services.number_needed(block)
    header = services.backend.header(number)
    if header is None:
        raise server_error("header not found")
    ranges, view = services.backend.ranges(number), services.backend.state_at(number)
    wanted = min(accounts_max, ACCOUNTS_MAX) or ACCOUNTS_MAX
    page = ranges.accounts(start.ljust(32, b"\0"), wanted)
    known, keys = known_accounts(services), {} if no_storage else known_keys()
    accounts: Json = {}
    slots_left = DUMP_SLOTS_MAX
    for hashed, record in page.entries:
        deadline.check()
        account, who = Account.decode(record), known.get(hashed)
        shown: Json = {
            "balance": str(account.balance),
            "nonce": account.nonce,
            "root": format_data(account.storage_root),
            "codeHash": format_data(account.code_hash),
            "key": format_data(hashed),
        }
        if who is not None:
            shown["address"] = format_data(who)
        if not no_code and account.code_hash != EMPTY_CODE_HASH:
            shown["code"] = format_data(view.code(account.code_hash))
        if not no_storage and account.storage_root != EMPTY_ROOT:
            slots = ranges.slots(hashed, bytes(32), slots_left)
            slots_left -= len(slots.entries)
            if slots.next is not None:
                raise server_error(
                    f"more than {DUMP_SLOTS_MAX} slots; ask without storage, or for fewer accounts"
                )
            shown["storage"] = {
                format_data(keys.get(key, key)): value.lstrip(b"\0").hex()
                for key, value in slots.entries
            }
        accounts[f"pre({format_data(hashed)})" if who is None else format_data(who)] = shown
    dump: Json = {"root": header.state_root.hex(), "accounts": accounts}
    if page.next is not None:
        dump["next"] = base64.b64encode(page.next).decode()
    return dump


def dump_block(services: Services, deadline: Deadline, block: BlockId) -> Json:
    """The first page of all that is there."""
    return account_range(services, deadline, block, b"", ACCOUNTS_MAX, False, False, True)


# ---- the middle of a block ----


def storage_range(
    services: Services,
    deadline: Deadline,
    block: BlockId,
    index: int,
    who: Address,
    start: bytes,
    slots_max: int,
) -> Json:
    """Slots of an account as the transaction at index finds them, a page of them."""
    if len(start) > 32:
        raise server_error("start is longer than a hash")
    number = services.number_needed(block)
    if number == 0:
        if index:
            raise server_error("transaction index out of range: genesis has none")
        changed, base = ChangedSlots(False, {}), services.backend.ranges(0)
    else:
        middle = services.backend.middle(number, index)
        if index > middle.count:
            raise server_error(f"transaction index {index} out of range for block {number}")
        changed, base = middle.slots(who), services.backend.ranges(number - 1)
    return slots_page(changed, base, keccak256(who), start.ljust(32, b"\0"), slots_max)


def slots_page(
    changed: ChangedSlots, base: StateRanges, owner: bytes, start: bytes, slots_max: int
) -> Json:
    wanted = min(slots_max, SLOTS_MAX)
    found: dict[bytes, bytes] = {}
    end = None
    if not changed.is_wiped:
        # As many more as could have gone meanwhile, and one that tells whether there is a rest.
        page = base.slots(owner, start, wanted + len(changed.values) + 1)
        found, end = dict(page.entries), page.next
    for key, value in changed.values.items():
        if key >= start and (end is None or key < end):
            found[key] = value
    there = sorted((key, value) for key, value in found.items() if any(value))
    keys = known_keys()
    following = there[wanted][0] if len(there) > wanted else end
    return {
        "storage": {
            format_data(key): {
                "key": format_data(keys[key]) if key in keys else None,
                "value": format_data(value),
            }
            for key, value in there[:wanted]
        },
        "nextKey": None if following is None else format_data(following),
    }


def intermediate_roots(services: Services, deadline: Deadline, block_hash: Hash32) -> list[str]:
    """The state root after each transaction of a recent block."""
    number = services.backend.number_of(block_hash)
    if number is None:
        raise server_error(f"block {format_data(block_hash)} not found")
    if number == 0:
        raise server_error("genesis is not traceable")
    middle = services.backend.middle(number, 0)
    roots = []
    for _ in range(middle.count):
        deadline.check()
        middle.advance()
        roots.append(format_data(middle.state_root()))
    return roots


def accessible_state(services: Services, first: BlockId, last: BlockId) -> int:
    """The first block on the way from first to last, last left out, whose state can be read."""
    start, end = services.number_needed(first), services.number_needed(last)
    if start == end:
        raise server_error("from and to needs to be different")
    oldest = services.backend.oldest_state()
    found = start if start > end else max(start, oldest)
    if found < oldest or (start < end <= found):
        raise server_error("no state found")
    return found


# ---- what blocks changed ----


def modified_by_number(
    services: Services, deadline: Deadline, first: BlockId, last: BlockId | None
) -> list[str]:
    return modified(services, deadline, first, last)


def modified_by_hash(
    services: Services, deadline: Deadline, first: Hash32, last: Hash32 | None
) -> list[str]:
    return modified(services, deadline, BlockHash(first), None if last is None else BlockHash(last))


def modified(
    services: Services, deadline: Deadline, first: BlockId, last: BlockId | None
) -> list[str]:
    """Accounts that differ after block last from what they were after block first, in the order of
    their hashes; with one block, that it changed itself. Cost: the blocks run once more."""
    start = number_named(services, first, "start")
    if last is None:
        if start == 0:
            raise server_error("block 0 has no parent")
        start, end = start - 1, start
    else:
        end = number_named(services, last, "end")
    if start >= end:
        raise server_error(
            f"start block height ({start}) must be less than end block height ({end})"
        )
    if end - start > MODIFIED_BLOCKS_MAX:
        raise server_error(f"more than {MODIFIED_BLOCKS_MAX} blocks: {end - start}")
    changed: set[Address] = set()
    for number in range(start + 1, end + 1):
        deadline.check()
        changed |= services.backend.changed_addresses(number)
    before, after = services.backend.state_at(start), services.backend.state_at(end)
    listed = sorted((keccak256(who), who) for who in changed)
    differing = []
    for hashed, who in listed:
        now = after.account(who, hashed)
        if now is not None and now != before.account(who, hashed):
            differing.append(format_data(who))
    return differing


def number_named(services: Services, block: BlockId, which: str) -> int:
    number = services.number_of(block)
    if number is None:
        raise server_error(f"{which} block not found")
    return number


BLOCK = Parameter("block", block_id)
START = Parameter("start", data, required=False, default=b"")

METHODS = (
    Method(
        "debug_accountRange",
        account_range,
        (
            BLOCK,
            START,
            Parameter("maximum", count, required=False, default=ACCOUNTS_MAX),
            Parameter("no code", boolean, required=False, default=False),
            Parameter("no storage", boolean, required=False, default=False),
            Parameter("incompletes", boolean, required=False, default=True),
        ),
        Cost.SLOW,
    ),
    Method("debug_dumpBlock", dump_block, (Parameter("block", block_number),), Cost.SLOW),
    Method(
        "debug_storageRangeAt",
        storage_range,
        (
            BLOCK,
            Parameter("transaction index", count),
            Parameter("address", address),
            START,
            Parameter("maximum", count, required=False, default=SLOTS_MAX),
        ),
        Cost.SLOW,
    ),
    Method(
        "debug_intermediateRoots",
        intermediate_roots,
        (Parameter("block hash", hash32),),
        Cost.SLOW,
    ),
    Method(
        "debug_getAccessibleState",
        accessible_state,
        (Parameter("from", numbered), Parameter("to", numbered)),
    ),
    Method(
        "debug_getModifiedAccountsByNumber",
        modified_by_number,
        (Parameter("start", numbered), Parameter("end", numbered, required=False)),
        Cost.SLOW,
    ),
    Method(
        "debug_getModifiedAccountsByHash",
        modified_by_hash,
        (Parameter("start", hash32), Parameter("end", hash32, required=False)),
        Cost.SLOW,
    ),
)
