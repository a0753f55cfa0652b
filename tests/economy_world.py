"""The four tokens and the contracts around them in a world in memory, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from ghostchain.contracts.addresses import (
    GCC,
    GHOST,
    GOVERNANCE,
    MANA,
    SLASHING,
    SPIRIT,
    STAKING,
    SYSTEM,
    address_of,
)
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.contracts.framework import Error, NativeContract, UInt256, external, receive
from ghostchain.contracts.framework.testing import World
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.staking.genesis import GenesisValidator
from ghostchain.contracts.tokens import Gcc, Ghost, Mana, Spirit
from ghostchain.crypto import ed25519
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.votes import key_claim_bytes, vote_bytes
from ghostchain.execution.contracts import ContractBlock, ContractHost, ContractMessage
from ghostchain.execution.views import Allocation
from ghostchain.primitives.types import ZERO_ADDRESS, Address

C = TypeVar("C", bound=NativeContract)

CHAIN_ID = 31337
EPOCH_BLOCKS = 10
UNBONDING_EPOCHS = 3

TOKEN_CLASSES = {GCC: Gcc, SPIRIT: Spirit, MANA: Mana, GHOST: Ghost}

STAKING_PARAMETERS = {
    "minSelfBond": 10 * WAD,
    "manaPerBlock": 3 * WAD + 1,
    "minPower": 10,
    "unbondingEpochs": UNBONDING_EPOCHS,
    "activeMax": 4,
    "listedMax": 6,
}


SLASHING_PARAMETERS = {
    "doubleSignFraction": WAD // 10,
    "downtimeFraction": WAD // 100,
    "jailBlocks": 7,
    "downtimeWindow": 20,
    "downtimeMissedMax": 4,
}
GOVERNANCE_PARAMETERS = {
    "minDeposit": 50 * WAD,
    "votingDelay": 2,
    "votingPeriod": 10,
    "timelock": 5,
    "grace": 8,
}


def account(name: str) -> Address:
    """The address of a name, in every world."""
    return Address(keccak256(name.encode())[12:])


def seed_of(operator: Address) -> bytes:
    """The secret of an operator's consensus key."""
    return keccak256(b"consensus" + operator)


def key_of(operator: Address) -> bytes:
    """An operator's consensus key."""
    return ed25519.public_key_of(seed_of(operator))


def proof_of(operator: Address, chain_id: int = CHAIN_ID) -> bytes:
    """That an operator holds its consensus key."""
    return ed25519.sign(seed_of(operator), key_claim_bytes(chain_id, operator))


def evidence_of(
    operator: Address,
    height: int,
    *,
    kind: int = 3,
    round: int = 0,
    chain_id: int = CHAIN_ID,
    blocks: tuple[bytes, bytes] = (b"\x01" * 32, b"\x02" * 32),
    valid: tuple[int, int] = (0, 0),
) -> tuple[Any, ...]:
    """The arguments of `submitEvidence` for an operator that signed two votes. valid: the valid
    rounds plus one."""
    arguments: list[Any] = [key_of(operator), kind, height, round]
    for block_id, valid_round in zip(blocks, valid, strict=True):
        message = vote_bytes(chain_id, kind, height, round, block_id, valid_round - 1)
        arguments += [block_id, valid_round, ed25519.sign(seed_of(operator), message)]
    return tuple(arguments)


def amnesia_of(
    operator: Address,
    height: int,
    *,
    rounds: tuple[int, int] = (2, 5),
    blocks: tuple[bytes, bytes] = (b"\x01" * 32, b"\x02" * 32),
    valid: int = 0,
) -> tuple[Any, ...]:
    """The arguments of `submitAmnesia`: a precommit, and a prevote whose valid round plus one is
    `valid`."""
    lock = vote_bytes(CHAIN_ID, 3, height, rounds[0], blocks[0])
    vote = vote_bytes(CHAIN_ID, 2, height, rounds[1], blocks[1], valid - 1)
    first, second = (ed25519.sign(seed_of(operator), message) for message in (lock, vote))
    key = key_of(operator)
    return key, height, rounds[0], blocks[0], first, rounds[1], blocks[1], valid, second


def economy_of(
    people: Sequence[Address],
    initial: Sequence[GenesisValidator] = (),
    parameters: dict[Address, dict[str, int]] | None = None,
) -> Economy:
    """Each of the people has 1,000,000 of each token; epochs are short."""
    holders = dict.fromkeys(people, 1_000_000 * WAD)
    chosen = {
        STAKING: STAKING_PARAMETERS,
        SLASHING: SLASHING_PARAMETERS,
        GOVERNANCE: GOVERNANCE_PARAMETERS,
        **(parameters or {}),
    }
    return Economy(
        balances={SPIRIT: holders, MANA: holders, GHOST: dict.fromkeys(people, 10_000 * WAD)},
        validators=initial,
        rates={SPIRIT: WAD // 2, MANA: 3 * WAD},
        parameters=chosen,
        epoch_blocks=EPOCH_BLOCKS,
    )


class EconomyWorld(World):
    """The world of an economy, at block 1. Each of the people has 1,000,000 GCC too, and lets
    staking and governance take SPIRIT."""

    def __init__(self, people: Sequence[Address], economy: Economy | None = None) -> None:
        kinds = {**NATIVE_CONTRACTS, Batch.ID: Batch}
        super().__init__({address_of(id): kind for id, kind in kinds.items()})
        native = dict.fromkeys(people, 1_000_000 * WAD)
        self.begin(native, economy_alloc(sum(native.values()), economy or economy_of(people)))
        for person in people:
            for spender in (STAKING, GOVERNANCE):
                self.send(person, SPIRIT, Spirit.approve, spender, 2**256 - 1)

    def begin(self, native: dict[Address, int], alloc: dict[Address, Allocation]) -> None:
        """The state before the first transaction: native balances, and contracts."""
        self.balances.update(native)
        for address, allocation in alloc.items():
            for key, value in allocation.storage.items():
                self.storage[address, int.from_bytes(key, "big")] = int.from_bytes(value, "big")

    def word(self, address: Address, key: int) -> int:
        """What stands in a contract's storage."""
        return self.storage.get((address, key), 0)

    def look(self, kind: type[C]) -> C:
        """A contract whose storage can be read as its own code reads it."""
        address = address_of(kind.ID)
        host = StorageHost(address, self.block, lambda key: self.word(address, key))
        return kind(cast(ContractHost, host))

    def dump(self) -> Any:
        """All that a transaction may change, to be compared: storage and balances."""
        storage = {place: value for place, value in self.storage.items() if value}
        return storage, {who: amount for who, amount in self.balances.items() if amount}

    def staking(self, sender: Address, function: Any, *arguments: Any, value: int = 0) -> Any:
        """A transaction to staking."""
        return self.send(sender, STAKING, function, *arguments, value=value)

    def create_validator(
        self, operator: Address, bond: int = 100 * WAD, fee: int = WAD // 10
    ) -> None:
        """The operator's validator, with a commission that may change by 0.01 up to 0.5."""
        terms = (key_of(operator), proof_of(operator), fee, WAD // 2, WAD // 100, bond)
        self.staking(operator, Staking.createValidator, *terms)

    def skip(self, blocks: int = 0, *, epochs: int = 0, seconds: int | None = None) -> None:
        """Time passes; each block is two seconds unless told otherwise."""
        blocks += epochs * EPOCH_BLOCKS
        passed = 2 * blocks if seconds is None else seconds
        self.block = replace(
            self.block, number=self.block.number + blocks, timestamp=self.block.timestamp + passed
        )

    def end_block(self, coinbase: Address, reward_gwei: int = 0) -> None:
        """What the executor does at the end of a block that pays staking so much."""
        self.block = replace(self.block, coinbase=coinbase)
        reward = reward_gwei * 10**9
        self.balances[STAKING] = self.balances.get(STAKING, 0) + reward
        self.staking(SYSTEM, Staking.onBlock, reward)

    def slash(self, validator: Address, fraction: int, epoch: int) -> int:
        """As the slashing contract."""
        return int(self.staking(SLASHING, Staking.slash, validator, fraction, epoch))

    def balance(self, token: Address, holder: Address) -> int:
        """In wei."""
        return int(self.read(token, TOKEN_CLASSES[token].balanceOf, holder))

    def supply(self, token: Address) -> int:
        """In wei."""
        return int(self.read(token, TOKEN_CLASSES[token].totalSupply))


class StorageHost:
    """A host that only reads storage, by a function of the key, and charges nothing."""

    def __init__(self, address: Address, block: ContractBlock, load: Callable[[int], int]) -> None:
        self.message = ContractMessage(address, ZERO_ADDRESS, 0, b"", True, ZERO_ADDRESS)
        self.block = block
        self.load = load

    def charge(self, gas: int) -> None:
        """Nobody pays for a look."""

    def hash(self, data: bytes, gas: int) -> int:
        return int.from_bytes(keccak256(data), "big")


class Batch(NativeContract):
    """Makes calls: all or none, or each for itself."""

    ID = 0x7E
    Failed = Error("Failed(uint256 index)")
    Wanted = Error("Wanted()")

    @external
    def run(self, targets: list[Address], datas: list[bytes], isUndone: bool) -> None:
        """Every call, or none. isUndone: none, after all have been made."""
        for target, data in zip(targets, datas, strict=True):
            self.call(target, data)
        if isUndone:
            raise self.Wanted()

    @external
    def forward(self, target: Address, value: UInt256, data: bytes) -> None:
        """One call, with native value of this contract's."""
        self.call(target, data, value=value)

    @receive
    def fund(self) -> None:
        """Native value is welcome."""

    @external
    def attempt(self, targets: list[Address], datas: list[bytes]) -> list[bool]:
        """Which calls succeeded; those that did stand."""
        rows = zip(targets, datas, strict=True)
        return [self.try_call(target, data)[0] for target, data in rows]


BATCH = address_of(Batch.ID)
