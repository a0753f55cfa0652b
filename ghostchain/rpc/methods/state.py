"""Accounts, storage, code and proofs, at any block whose state is kept."""

from __future__ import annotations

from typing import Any

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import StateView
from ghostchain.primitives.account import Account
from ghostchain.primitives.types import EMPTY_CODE_HASH, UNSETTLED_ROOT, Address, Hash32
from ghostchain.rpc.accounts import next_nonce
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.errors import invalid_params
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.parameters import (
    BlockId,
    Parameter,
    address,
    block_id,
    fields,
    items,
    storage_key,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

PROOF_KEYS_MAX = 1024
VALUES_MAX = 1024


def view_at(services: Services, block: BlockId) -> StateView:
    return services.backend.state_at(services.number_needed(block))


def balance(services: Services, who: Address, block: BlockId) -> str:
    if block == "latest":
        return hex(services.backend.head_account(who).balance)
    return hex(account_at(view_at(services, block), who).balance)


def code(services: Services, who: Address, block: BlockId) -> str:
    view = view_at(services, block)
    code_hash = account_at(view, who).code_hash
    return "0x" if code_hash == EMPTY_CODE_HASH else format_data(view.code(code_hash))


def account(services: Services, deadline: Deadline, who: Address, block: BlockId) -> Any:
    """As reth's eth_getAccount: `null` where there is none. Of a storage that was changed by hand
    the root is the last block's."""
    encoded = view_at(services, block).account(who, keccak256(who))
    if encoded is None:
        return None
    found = Account.decode(encoded)
    root = found.storage_root
    if root == UNSETTLED_ROOT:
        root = services.backend.prove(who, [], services.number_needed(block)).account.storage_root
    return {
        "balance": hex(found.balance),
        "nonce": hex(found.nonce),
        "codeHash": format_data(found.code_hash),
        "storageRoot": format_data(root),
    }


def account_info(services: Services, who: Address, block: BlockId) -> Any:
    """As reth's eth_getAccountInfo: what three calls would say, at one block."""
    view = view_at(services, block)
    found = account_at(view, who)
    has_code = found.code_hash != EMPTY_CODE_HASH
    return {
        "balance": hex(found.balance),
        "nonce": hex(found.nonce),
        "code": format_data(view.code(found.code_hash)) if has_code else "0x",
    }


def transaction_count(services: Services, who: Address, block: BlockId) -> str:
    if block == "pending":
        return hex(next_nonce(services, who))
    if block == "latest":
        return hex(services.backend.head_account(who).nonce)
    return hex(account_at(view_at(services, block), who).nonce)


def storage_at(services: Services, who: Address, key: Hash32, block: BlockId) -> str:
    return slot(view_at(services, block), who, key)


def slot(view: StateView, who: Address, key: Hash32) -> str:
    """The word of a slot, 32 bytes, zero where nothing was stored."""
    value = view.slot(who, keccak256(who), key, keccak256(key))
    return format_data(bytes(32) if value is None else value)


def storage_values(
    services: Services, deadline: Deadline, wanted: dict[Address, list[Hash32]], block: BlockId
) -> Any:
    view = view_at(services, block)
    return {
        format_data(who): [slot(view, who, key) for key in keys] for who, keys in wanted.items()
    }


def storage_requests(value: Any) -> dict[Address, list[Hash32]]:
    requests = {
        address(who): [storage_key(key) for key in items(keys, VALUES_MAX, "storage keys")]
        for who, keys in fields(value).items()
    }
    count = sum(map(len, requests.values()))
    if count == 0:
        raise invalid_params("empty request")
    if count > VALUES_MAX:
        raise invalid_params(f"too many slots (max {VALUES_MAX})")
    return requests


def proof(
    services: Services,
    deadline: Deadline,
    who: Address,
    keys: list[tuple[str, Hash32]],
    block: BlockId,
) -> Any:
    """EIP-1186. Keys are echoed as geth does: 32-byte data, or the quantity that was given."""
    number = services.number_needed(block)
    proved = services.backend.prove(who, [key for _, key in keys], number)
    return {
        "address": format_data(who),
        "accountProof": [format_data(node) for node in proved.nodes],
        "balance": hex(proved.account.balance),
        "codeHash": format_data(proved.account.code_hash),
        "nonce": hex(proved.account.nonce),
        "storageHash": format_data(proved.account.storage_root),
        "storageProof": [
            {
                "key": shown,
                "value": hex(found.value),
                "proof": [format_data(node) for node in found.nodes],
            }
            for (shown, _), found in zip(keys, proved.slots, strict=True)
        ],
    }


def proof_keys(value: Any) -> list[tuple[str, Hash32]]:
    """(how to echo it, the key)."""
    keys = []
    for item in items(value, PROOF_KEYS_MAX, "storage keys"):
        key = storage_key(item)
        is_whole = len(item) >= 66
        keys.append((format_data(key) if is_whole else hex(int.from_bytes(key, "big")), key))
    return keys


ADDRESS = Parameter("address", address)
BLOCK = Parameter("block", block_id, required=False, default="latest")

METHODS = (
    Method("eth_getBalance", balance, (ADDRESS, BLOCK)),
    Method("eth_getCode", code, (ADDRESS, BLOCK)),
    Method("eth_getAccount", account, (ADDRESS, BLOCK), Cost.SLOW),
    Method("eth_getAccountInfo", account_info, (ADDRESS, BLOCK)),
    Method("eth_getTransactionCount", transaction_count, (ADDRESS, BLOCK)),
    Method("eth_getStorageAt", storage_at, (ADDRESS, Parameter("key", storage_key), BLOCK)),
    Method(
        "eth_getStorageValues",
        storage_values,
        (Parameter("requests", storage_requests), BLOCK),
        Cost.SLOW,
    ),
    Method("eth_getProof", proof, (ADDRESS, Parameter("keys", proof_keys), BLOCK), Cost.SLOW),
)
