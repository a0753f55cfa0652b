"""The protocol's contracts as they stand in block zero: code, and the storage they begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from ghostchain.contracts.addresses import GCC, TOKENS, address_of, code_of
from ghostchain.contracts.framework import NativeContract
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.contracts.tokens import Capped, Token
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.contracts import ContractBlock, ContractHost, ContractMessage
from ghostchain.execution.views import Allocation
from ghostchain.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address

C = TypeVar("C", bound=NativeContract)


class _Draft:
    """As much of a host as declarations of storage need; nothing is charged."""

    def __init__(self, address: Address) -> None:
        self.message = ContractMessage(address, ZERO_ADDRESS, 0, b"", False, ZERO_ADDRESS)
        self.block = ContractBlock(0, 0, 0, 0, ZERO_ADDRESS, 0, ZERO_HASH)
        self.words: dict[int, int] = {}

    def charge(self, gas: int) -> None:
        pass

    def load(self, key: int) -> int:
        return self.words.get(key, 0)

    def hash(self, data: bytes, gas: int) -> int:
        return int.from_bytes(keccak256(data), "big")

    def store(self, key: int, value: int) -> None:
        self.words[key] = value

    def log(self, topics: Sequence[bytes], data: bytes) -> None:
        """Block zero has no receipts."""


def storage_after(contract: type[C], fill: Callable[[C], object]) -> dict[bytes, bytes]:
    """The storage of a contract once fill has assigned to its declarations:
    `storage_after(Staking, lambda staking: setattr(staking, "total", 5))`. 32-byte keys and values,
    none zero. fill may read, assign and emit, and nothing else; it is block 0, at time 0."""
    draft = _Draft(address_of(contract.ID))
    fill(contract(cast(ContractHost, draft)))
    return {
        key.to_bytes(32, "big"): value.to_bytes(32, "big")
        for key, value in sorted(draft.words.items())
        if value
    }


def token_storage(token: type[Token], balances: Mapping[Address, int]) -> dict[bytes, bytes]:
    """Of a token whose holders are given. Units: wei of the token.

    Raises: ValueError when an amount is negative or the sum exceeds the token's cap.
    """
    if any(amount < 0 for amount in balances.values()):
        raise ValueError(f"{token.SYMBOL}: a balance below zero")
    total = sum(balances.values())
    if issubclass(token, Capped) and total > token.CAP:
        raise ValueError(f"{token.SYMBOL}: {total} is more than the cap of {token.CAP}")

    def fill(contract: Token) -> None:
        for holder, amount in balances.items():
            contract.balances[holder] = amount
        contract.supply = total

    return storage_after(token, fill)


def system_alloc(
    native_supply: int,
    balances: Mapping[Address, Mapping[Address, int]],
    storage: Mapping[Address, Mapping[bytes, bytes]] | None = None,
) -> dict[Address, Allocation]:
    """The accounts of all contracts in the registry, for a genesis's alloc.

    native_supply: the sum of all native balances of that genesis, GCC's supply. balances: of
    SPIRIT, MANA and GHOST, by token and holder. storage: of other contracts, see `storage_after`.
    Units: wei.

    Raises: ValueError for an address that is no contract's, and as `token_storage`.
    """
    given = dict(storage or {})
    accounts = {}
    for contract_id, contract in NATIVE_CONTRACTS.items():
        address = address_of(contract_id)
        words: Mapping[bytes, bytes] = given.pop(address, {})
        if address == GCC:
            words = storage_after(contract, lambda gcc: _set_supply(gcc, native_supply))
        elif address in TOKENS:
            words = token_storage(cast("type[Token]", contract), balances.get(address, {}))
        accounts[address] = Allocation(nonce=1, code=code_of(contract_id), storage=words)
    unknown = [*given, *(set(balances) - set(TOKENS[1:]))]
    if unknown:
        raise ValueError(f"0x{unknown[0].hex()} is not the address of such a contract")
    return accounts


def _set_supply(gcc: Any, amount: int) -> None:
    gcc.supply = amount
