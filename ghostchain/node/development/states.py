"""Older states of a chain as anvil's dumps hold them: each whole, by the hash of its block.

The head's state is held in memory and taken back block by block, so a state costs what its block
changed, and its bytes. Accounts and codes that stay the same are put into words once.
"""

from __future__ import annotations

from typing import Any

import orjson

from ghostchain.chain.chain import Chain
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.amendment import NO_AMENDMENTS, AccountAmendment
from ghostchain.primitives.errors import StateUnavailable
from ghostchain.primitives.types import EMPTY_CODE_HASH
from ghostchain.state import keys
from ghostchain.state.changes import expand
from ghostchain.state.store import read_undo
from ghostchain.state.undo import Undo
from ghostchain.storage.database import Snapshot, after

# Of the states together, and how many there are at most; the oldest are left out.
STATES_BYTES_MAX = 1 << 28
STATES_MAX = 1_000
JUMPDEST = 0x5B
PUSH_1, PUSH_32 = 0x60, 0x7F
# Room for what a last PUSH lacks, and a STOP.
PADDING = bytes(33)
BLOCK_HASHES = 256
ABSENT = bytes(72) + EMPTY_CODE_HASH


def older_states(chain: Chain, snapshot: Snapshot, head: int, first: int) -> list[Any]:
    """[hash, state] of the blocks from head - 1 down to `first`, as far as they are kept and there
    is room, the newest first."""
    state = _State(chain, snapshot)
    found: list[Any] = []
    size = 0
    for number in range(head - 1, max(first, head - STATES_MAX) - 1, -1):
        block_hash = chain.hash_of(number)
        if number < chain.oldest_state or block_hash is None:
            break
        try:
            state.take_back(read_undo(snapshot, number + 1))
        except StateUnavailable:
            break
        told = orjson.dumps(state.told(number))
        size += len(told)
        if size > STATES_BYTES_MAX:
            break
        found.append([format_data(block_hash), orjson.Fragment(told)])
    return found


class _State:
    """One state, moved back from block to block. By hashes; what is in no state is absent."""

    def __init__(self, chain: Chain, snapshot: Snapshot) -> None:
        self._chain = chain
        self._snapshot = snapshot
        self._slots: dict[bytes, dict[bytes, bytes]] = {}
        self._codes: dict[bytes, Any] = {}
        self._names: dict[bytes, str] = {}
        with snapshot.items(keys.ACCOUNT, after(keys.ACCOUNT)) as items:
            self._accounts = {key[1:]: stored for key, stored in items}
        with snapshot.items(keys.SLOT, after(keys.SLOT)) as items:
            for key, value in items:
                self._slots.setdefault(key[1:33], {})[key[33:]] = value
        # What is said of an account and of its slots, until it changes.
        self._said: dict[bytes, tuple[Any, Any]] = {}

    def take_back(self, undo: Undo) -> None:
        for hashed, stored in undo.accounts.items():
            self._accounts[hashed] = stored
            self._said.pop(hashed, None)
        for (owner, key), value in undo.slots.items():
            self._slots.setdefault(owner, {})[key] = value
            self._said.pop(owner, None)

    def told(self, number: int) -> dict[str, Any]:
        """As anvil keeps it, with what was changed by hand after the block."""
        by_hand = self._chain.amendments_of(number + 1) or NO_AMENDMENTS
        accounts: dict[str, Any] = {}
        storages: dict[str, Any] = {}
        for hashed, stored in self._accounts.items():
            name = self._name(hashed)
            if not stored or name is None:
                continue
            said = self._said.get(hashed)
            if said is None:
                said = self._said[hashed] = self._say(hashed, stored)
            accounts[name], storages[name] = said
        for address, amended in by_hand.items():
            name, hashed = format_data(address), bytes(keccak256(address))
            self._names[hashed] = name
            accounts[name], storages[name] = self._amended(hashed, amended)
        hashes = {
            hex(one): format_data(self._chain.hash_of(one) or b"")
            for one in range(max(number - BLOCK_HASHES + 1, self._chain.begin), number + 1)
        }
        return {"accounts": accounts, "storage": storages, "block_hashes": hashes}

    def _name(self, hashed: bytes) -> str | None:
        """What hashes to it, as it is shown."""
        found = self._names.get(hashed)
        if found is None:
            image = self._snapshot.get(keys.IMAGE + hashed)
            if image is None:
                return None
            found = self._names[hashed] = format_data(image)
        return found

    def _say(self, hashed: bytes, stored: bytes) -> tuple[Any, Any]:
        record = expand(stored) or ABSENT
        account = self._account(record[:8], record[8:40], record[72:])
        return _fragment(account), _fragment(self._storage(hashed))

    def _account(self, nonce: bytes, balance: bytes, code_hash: bytes) -> dict[str, Any]:
        return {
            "balance": hex(int.from_bytes(balance, "big")),
            "nonce": int.from_bytes(nonce, "big"),
            "code_hash": format_data(code_hash),
            "code": self._code(code_hash),
        }

    def _storage(self, hashed: bytes) -> dict[str, str]:
        found = {}
        for key, value in self._slots.get(hashed, {}).items():
            name = self._name(key)
            if name is not None and any(value):
                found[hex(int(name, 16))] = hex(int.from_bytes(value, "big"))
        return found

    def _amended(self, hashed: bytes, one: AccountAmendment) -> tuple[Any, Any]:
        record = expand(self._accounts.get(hashed, b"")) or ABSENT
        nonce, balance, code_hash = record[:8], record[8:40], record[72:]
        if one.nonce is not None:
            nonce = one.nonce.to_bytes(8, "big")
        if one.balance is not None:
            balance = one.balance.to_bytes(32, "big")
        if one.code is not None:
            code_hash = bytes(keccak256(one.code))
            self._codes.setdefault(code_hash, _fragment(code_json(one.code)))
        storage = {} if one.clear_storage else self._storage(hashed)
        for key, value in one.slots.items():
            storage[hex(int.from_bytes(key, "big"))] = hex(int.from_bytes(value, "big"))
        storage = {key: value for key, value in storage.items() if value != "0x0"}
        return self._account(nonce, balance, code_hash), storage

    def _code(self, code_hash: bytes) -> Any:
        found = self._codes.get(code_hash)
        if found is None:
            is_empty = code_hash == EMPTY_CODE_HASH
            code = b"" if is_empty else self._snapshot.get(keys.CODE + code_hash) or b""
            found = self._codes[code_hash] = _fragment(code_json(code))
        return found


def _fragment(value: Any) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))


def code_json(code: bytes) -> dict[str, Any]:
    """A code as revm writes it: with its jump destinations, or who is delegated to (EIP-7702)."""
    if len(code) == 23 and code.startswith(b"\xef\x01\x00"):
        return {
            "Eip7702": {
                "delegated_address": format_data(code[3:]),
                "version": 0,
                "raw": format_data(code),
            }
        }
    return {
        "LegacyAnalyzed": {
            "bytecode": format_data(code + PADDING),
            "original_len": len(code),
            "jump_table": {
                "order": "bitvec::order::Lsb0",
                "head": {"width": 8, "index": 0},
                "bits": len(code),
                "data": list(jump_destinations(code)),
            },
        }
    }


def jump_destinations(code: bytes) -> bytes:
    """A bit for each byte of code, the first the lowest, set where a jump may go."""
    found = bytearray((len(code) + 7) // 8)
    place = 0
    while place < len(code):
        opcode = code[place]
        if opcode == JUMPDEST:
            found[place // 8] |= 1 << place % 8
        elif PUSH_1 <= opcode <= PUSH_32:
            place += opcode - PUSH_1 + 1
        place += 1
    return bytes(found)
