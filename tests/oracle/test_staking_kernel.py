"""The kernel of staking's onBlock, and of the minting that it asks for, against the classes that
define them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostchain._native import lib
from ghostchain.contracts import registry
from ghostchain.contracts.addresses import GCC, GOVERNANCE, MANA, STAKING, SYSTEM, code_of
from ghostchain.contracts.framework import gas
from ghostchain.contracts.framework.testing import World
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Mana
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.contracts import ContractHost, plug
from ghostchain.execution.executor import CallFlag, CallResult, Executor, Message
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.types import ZERO_ADDRESS, Address
from tests.hybrid import environment

COINBASE, OPERATOR, STRANGER = (World({}).person(name) for name in ("coinbase", "op", "stranger"))
KEEP = CallFlag.KEEP | CallFlag.RECORD_ACCESS | CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK
ENVIRONMENT = environment(0, COINBASE)
TOP = (1 << 256) - 1


def entry(key: bytes, slot: int) -> int:
    return int.from_bytes(keccak256(key.rjust(32, b"\0") + slot.to_bytes(32, "big")), "big")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the contracts know before a block. pays_to: whose coinbase the block's is; None: of no
    validator. index, earned: of both pools."""

    mana: int = WAD
    pays_to: Address | None = OPERATOR
    coinbase: Address = COINBASE
    tokens: int = 10_000 * WAD
    shares: int = 10_000 * WAD
    commission: int = WAD // 10
    is_tombstoned: bool = False
    jailed_until: int = 0
    index: int = 0
    earned: int = 0
    supply: int = 10**24
    balance: int = 5
    has_mana: bool = True

    def view(self) -> MemoryView:
        words = {0: self.mana << 128}
        if self.pays_to is not None:
            record = entry(self.pays_to, 7)
            words[record + 1] = self.shares << 128 | self.tokens
            words[record + 2] = self.commission
            where = int.from_bytes(self.coinbase, "big")
            words[record + 3] = self.is_tombstoned << 224 | 7 << 160 | where
            words[record + 4] = 3 << 64 | self.jailed_until
            if self.pays_to != COINBASE:
                words[entry(COINBASE, 9)] = int.from_bytes(self.pays_to, "big")
            for token in (GCC, MANA):
                pool = entry(token, entry(self.pays_to, 10))
                words[pool], words[pool + 1] = self.index, self.earned
        tokens = {2: self.supply, entry(STAKING, 0): self.balance}
        return MemoryView(
            {
                STAKING: Allocation(1, 1 << 140, code_of(STAKING[-1]), stored(words)),
                GCC: Allocation(1, 0, code_of(GCC[-1])),
                GOVERNANCE: Allocation(1, 0, code_of(GOVERNANCE[-1])),
                MANA: Allocation(1, 0, code_of(MANA[-1]) if self.has_mana else b"", stored(tokens)),
                STRANGER: Allocation(0, 10**20),
                SYSTEM: Allocation(0, 10**20),
            }
        )


def stored(words: dict[int, int]) -> dict[bytes, bytes]:
    return {
        key.to_bytes(32, "big"): word.to_bytes(32, "big") for key, word in words.items() if word
    }


def executors(view: MemoryView) -> list[Executor]:
    """With the kernel, and without."""
    both = []
    for with_kernel in (True, False):
        made = Executor(view, contracts=registry.RUN)
        plug(made._native, made._handle, with_kernel=with_kernel)
        both.append(made)
    return both


def call(on: Executor, to: Address, data: bytes, sender: Address, **fields: Any) -> CallResult:
    fields = {"gas_limit": 2_000_000, **fields}
    return on.call(ENVIRONMENT, Message(sender=sender, to=to, data=data, **fields), flags=KEEP)


def on_block(reward: int) -> bytes:
    return Staking.method("onBlock").encode_call([reward])


def minting(to: Address, amount: int) -> bytes:
    return Mana.method("mint").encode_call([to, amount])


def come_out_the_same(standing: Standing, *calls: tuple[Address, bytes, Address]) -> CallResult:
    """Exit, output, gas, refund, logs and accesses, call after call."""
    kernel, definition = executors(standing.view())
    for to, data, sender in calls:
        found = call(kernel, to, data, sender)
        assert found == call(definition, to, data, sender)
    return found


AMOUNT = st.one_of(
    st.sampled_from([0, 1, WAD, (1 << 128) - 1, 1 << 128, TOP]), st.integers(0, 1 << 130)
)
WORD = st.one_of(st.sampled_from([0, 1, TOP, TOP - WAD]), st.integers(0, TOP))
HALF = st.one_of(
    st.sampled_from([0, 1, WAD - 1, WAD, (1 << 128) - 1]), st.integers(0, (1 << 128) - 1)
)
STANDINGS = st.builds(
    Standing,
    mana=st.one_of(st.just(WAD), HALF),
    pays_to=st.sampled_from([OPERATOR] * 4 + [COINBASE, None]),
    coinbase=st.sampled_from([COINBASE] * 8 + [ZERO_ADDRESS]),
    tokens=st.one_of(st.just(10_000 * WAD), HALF),
    shares=st.one_of(st.just(10_000 * WAD), HALF),
    commission=st.one_of(st.sampled_from([0, WAD]), st.integers(0, WAD)),
    is_tombstoned=st.sampled_from([False] * 9 + [True]),
    jailed_until=st.sampled_from([0] * 9 + [1]),
    index=st.one_of(st.just(0), WORD),
    earned=st.one_of(st.just(0), WORD),
    supply=st.one_of(st.just(10**24), WORD),
    balance=st.one_of(st.just(5), WORD),
    has_mana=st.sampled_from([True] * 9 + [False]),
)


@settings(max_examples=300, deadline=None)
@given(STANDINGS, st.lists(AMOUNT, min_size=1, max_size=3))
def test_the_end_of_a_block_comes_out_the_same(standing: Standing, rewards: list[int]) -> None:
    come_out_the_same(standing, *((STAKING, on_block(reward), SYSTEM) for reward in rewards))


def test_a_usual_block_pays_its_proposer() -> None:
    """The plain case is one that the tests here reach: both pools grow, and MANA is minted."""
    found = come_out_the_same(Standing(), (STAKING, on_block(3 * WAD), SYSTEM))
    assert found.success
    assert [len(log.topics) for log in found.logs] == [3, 3, 3]


def test_a_usual_block_needs_no_python() -> None:
    def answer(contract_id: int, host: ContractHost) -> tuple[int, bytes]:
        raise AssertionError(f"contract 0x{contract_id:02x} was asked of Python")

    on = Executor(Standing().view(), contracts=answer)
    assert call(on, STAKING, on_block(WAD), SYSTEM).success


@pytest.mark.parametrize("reward", [0, WAD])
def test_each_amount_of_gas_ends_the_same(reward: int) -> None:
    kernel, definition = executors(Standing(earned=1, index=1).view())
    for limit in (*range(22_000, 150_000, 173), 400_000):
        results = []
        for on in (kernel, definition):
            results.append(call(on, STAKING, on_block(reward), SYSTEM, gas_limit=limit))
            on.discard()
        assert results[0] == results[1], limit
    assert results[0].success


@pytest.mark.parametrize("sender", [STRANGER, SYSTEM, STAKING])
@pytest.mark.parametrize(
    "data",
    [
        on_block(1),
        on_block(1)[:-1],
        on_block(1) + b"\0",
        minting(STRANGER, 7),
        minting(ZERO_ADDRESS, 7),
        minting(STRANGER, TOP),
        minting(STRANGER, 7)[:-1],
        minting(STRANGER, 7) + b"\0",
    ],
)
def test_calls_of_others_come_out_the_same(sender: Address, data: bytes) -> None:
    for to in (STAKING, MANA, GCC):
        come_out_the_same(Standing(), (to, data, sender), (to, data, sender))


def test_the_tables_of_prices_agree() -> None:
    assert lib.GHOST_CONTRACT_DISPATCH_GAS == gas.DISPATCH
    assert lib.GHOST_CONTRACT_COPY_WORD_GAS == gas.COPY_WORD
    assert lib.GHOST_CONTRACT_WORD_GAS == gas.WORD
    assert lib.GHOST_CONTRACT_HASH_GAS == gas.HASH
