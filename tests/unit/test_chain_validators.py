"""Who votes when, as the staking contract has it, and what evidence waits against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain import seals
from ghostchain.chain.chain import Chain
from ghostchain.chain.validators import ValidatorReader, staking_at
from ghostchain.consensus.messages import Vote
from ghostchain.contracts.addresses import GCC, GOVERNANCE, STAKING
from ghostchain.contracts.staking import Staking
from ghostchain.crypto import ed25519
from ghostchain.crypto.ed25519 import public_key_of, verify_batch
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.attachments import Evidence
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.encoding.votes import NO_ROUND, VoteKind
from ghostchain.node import evidence as evidence_module
from ghostchain.node.evidence import EvidencePool, evidence_of
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.types import ZERO_ADDRESS, Address, Hash32
from ghostchain.storage.disk import RealDisk
from ghostchain.storage.wal import WriteAheadLog
from tests.node.bft_cluster import EPOCH_BLOCKS, OPERATORS, WAD, genesis_of, seed_of, transfer

Make = Callable[[int], Chain]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Chain] = []

    def chain(validators: int) -> Chain:
        opened.append(Chain.open(tmp_path / "chain", genesis_of(tmp_path, validators)))
        return opened[-1]

    yield chain
    for one in opened:
        one.close()


def extend(
    chain: Chain,
    *orders: Withdrawal,
    raws: tuple[bytes, ...] = (),
    coinbase: Address = ZERO_ADDRESS,
) -> None:
    batch = TransactionBatch.decode(raws)
    batch.recover()
    sealed = chain.build_block(
        batch,
        timestamp=chain.head.timestamp + 1,
        coinbase=coinbase,
        prev_randao=chain.head.prev_randao,
        withdrawals=orders,
    )
    assert len(sealed.block.transactions) == len(raws)


def guilty(operator: Address, height: int) -> Withdrawal:
    return Withdrawal(0, height, operator, 0)


def operators_at(reader: ValidatorReader, height: int) -> list[Address] | None:
    records = reader.at(height)
    return None if records is None else [record.operator for record in records]


def test_sets_are_those_of_epochs_that_begin_a_block_later(make: Make) -> None:
    """Epoch e votes from block e * length + 1 on, and is known from block e * length - 1 on."""
    chain = make(3)
    reader = ValidatorReader(chain)
    everybody = operators_at(reader, 1)
    assert everybody is not None
    assert set(everybody) == set(OPERATORS[:3])
    assert operators_at(reader, 0) is None
    assert operators_at(reader, EPOCH_BLOCKS) == everybody
    assert operators_at(reader, EPOCH_BLOCKS + 1) is None
    extend(chain, guilty(OPERATORS[1], 1))
    for number in range(2, EPOCH_BLOCKS):
        assert operators_at(reader, EPOCH_BLOCKS + 1) is None
        assert number == chain.head.number + 1
        extend(chain)
    rest = operators_at(reader, EPOCH_BLOCKS + 1)
    assert rest is not None
    assert set(rest) == {OPERATORS[0], OPERATORS[2]}
    assert operators_at(reader, EPOCH_BLOCKS) == everybody
    for _ in range(3 * EPOCH_BLOCKS):
        extend(chain)
    assert operators_at(ValidatorReader(chain), EPOCH_BLOCKS) == everybody, "read later"


def test_powers_and_order_are_the_contracts(make: Make) -> None:
    """The most powerful first, then by address; power in whole SPIRIT."""
    chain = make(3)
    approve_and_more = [
        transfer(
            2,
            0,
            to=Address(bytes(17) + b"\x47\x43\x02"),
            value=0,
            gas_limit=200_000,
            data=bytes.fromhex("095ea7b3")
            + STAKING.rjust(32, b"\0")
            + (10**24).to_bytes(32, "big"),
        ),
        transfer(
            2,
            1,
            to=STAKING,
            value=0,
            gas_limit=900_000,
            data=Staking.method("delegate").encode_call([OPERATORS[2], 7 * WAD + 5]),
        ),
    ]
    extend(chain, raws=tuple(approve_and_more))
    for _ in range(EPOCH_BLOCKS):
        extend(chain)
    records = ValidatorReader(chain).at(EPOCH_BLOCKS + 1)
    assert records is not None
    lower = sorted(OPERATORS[:2])
    assert [(one.operator, one.power) for one in records] == [
        (OPERATORS[2], 107),
        (lower[0], 100),
        (lower[1], 100),
    ]
    assert records[0].key == public_key_of(seed_of(2))


def test_when_nobody_is_left_the_last_ones_go_on(make: Make) -> None:
    """A chain without validators could never get any."""
    chain = make(1)
    reader = ValidatorReader(chain)
    extend(chain, guilty(OPERATORS[0], 1))
    for _ in range(3 * EPOCH_BLOCKS):
        extend(chain)
    assert (
        staking_at(chain.state_at(chain.head.number), chain.head.number)
        .records[OPERATORS[0]]
        .is_tombstoned
    )
    assert operators_at(reader, chain.head.number + 2) == [OPERATORS[0]]


def test_a_chain_without_validators_says_so(make: Make) -> None:
    assert operators_at(ValidatorReader(make(0)), 1) is None


def test_rewards_without_a_validator_are_the_treasurys(make: Make) -> None:
    """Nothing that is paid is lost, and the coin's supply knows of it."""
    chain = make(2)
    reward = seals.orders(1, 5, (), ())[0]
    assert reward == Withdrawal(1 << 16, 0, STAKING, 5)

    def balance(who: Address) -> int:
        record = chain.state_at(chain.head.number).account(who, keccak256(who))
        return int.from_bytes(record[8:40], "big") if record else 0

    def supply() -> int:
        key = (2).to_bytes(32, "big")
        view = chain.state_at(chain.head.number)
        return int.from_bytes(view.slot(GCC, keccak256(GCC), key, keccak256(key)) or b"", "big")

    before = supply()
    extend(chain, reward)
    assert (balance(GOVERNANCE), balance(STAKING)) == (5 * 10**9, 0)
    extend(chain, reward, coinbase=OPERATORS[0])
    assert (balance(GOVERNANCE), balance(STAKING)) == (5 * 10**9, 5 * 10**9)
    assert supply() == before + 10**10


# ---- evidence that waits ----


def equivocation(index: int, height: int) -> Evidence:
    votes = []
    for block in (1, 2):
        vote = Vote(VoteKind.PREVOTE, height, 0, Hash32(bytes([block]) * 32), NO_ROUND, index)
        signature = ed25519.sign(seed_of(index), vote.sign_bytes(31337))
        votes.append(replace(vote, signature=signature))
    return evidence_of(public_key_of(seed_of(index)), *votes)


def pool_of(chain: Chain, folder: Path) -> tuple[EvidencePool, WriteAheadLog]:
    log = WriteAheadLog(RealDisk(folder), "evidence")
    return EvidencePool(log, 31337, ValidatorReader(chain), verify_batch), log


def test_evidence_waits_through_restarts_until_it_is_on_chain(make: Make, tmp_path: Path) -> None:
    chain = make(3)
    extend(chain)
    pool, log = pool_of(chain, tmp_path / "evidence")
    assert pool.add(equivocation(0, 1))
    assert not pool.add(equivocation(0, 2)), "one piece is enough"
    assert pool.add(equivocation(1, 2))
    log.close()
    pool, log = pool_of(chain, tmp_path / "evidence")
    assert [guilt.operator for _, guilt in pool.choose()] == OPERATORS[:2]
    assert [guilt.height for _, guilt in pool.choose()] == [1, 2]
    extend(chain, guilty(OPERATORS[0], 1))
    assert [guilt.operator for _, guilt in pool.choose()] == [OPERATORS[1]]
    pool.prune()
    assert len(pool) == 1
    assert not pool.add(equivocation(0, 2)), "punished already"
    log.close()
    pool, log = pool_of(chain, tmp_path / "evidence")
    assert len(pool) == 1
    log.close()


def test_evidence_is_bounded(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make(3)
    extend(chain)
    monkeypatch.setattr(evidence_module, "PIECES_MAX", 2)
    monkeypatch.setattr(evidence_module, "EVIDENCE_MAX", 1)
    pool, log = pool_of(chain, tmp_path / "evidence")
    assert [pool.add(equivocation(index, 1)) for index in range(3)] == [True, True, False]
    assert len(pool.choose()) == 1
    log.close()
