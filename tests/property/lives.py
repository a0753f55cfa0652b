"""A development chain that lives at random, beside a model of plain dictionaries.

    python -m tests.property.lives DIRECTORY SEED MOVES

lives so and says after each move that it is made; whoever started it may kill it at any time.
"""

from __future__ import annotations

import copy
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ghostchain.chain.amendments import AccountAmendment, Amendments
from ghostchain.chain.chain import Chain
from ghostchain.chain.networks import network
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.encoding.unsigned import encode_unsigned
from ghostchain.primitives.account import Account
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32
from ghostchain.state.views import View

DEV = network("dev")
# Its storage is a map of what it is called with: slot calldata[0:32] becomes calldata[32:64].
WRITER = bytes.fromhex("6020355f355500")
PEOPLE = [Address(bytes([0xA0 + index]) * 20) for index in range(5)]
COINBASE = Address(b"\xcb" * 20)
PRICE = 7
GAS = 200_000


@dataclass(slots=True)
class Person:
    """An account of the model."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    slots: dict[int, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.nonce or self.balance or self.code)


State = dict[Address, Person]


def word(value: int) -> Hash32:
    return Hash32(value.to_bytes(32, "big"))


def amended(state: State, amendments: Amendments) -> State:
    """The state after changes by hand."""
    after = copy.deepcopy(state)
    for address, one in amendments.items():
        person = after.setdefault(address, Person())
        if one.nonce is not None:
            person.nonce = one.nonce
        if one.balance is not None:
            person.balance = one.balance
        if one.code is not None:
            person.code = one.code
        if one.clear_storage:
            person.slots.clear()
        for key, value in one.slots.items():
            person.slots[int.from_bytes(key, "big")] = int.from_bytes(value, "big")
        person.slots = {key: value for key, value in person.slots.items() if value}
    return after


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction of the model: value moves, and a writer's slot is set."""

    sender: Address
    to: Address
    value: int
    key: int
    number: int

    def encode(self, nonce: int) -> bytes:
        tx = Transaction(
            type=2,
            chain_id=31337,
            nonce=nonce,
            max_fee_per_gas=PRICE,
            max_priority_fee_per_gas=0,
            gas_limit=GAS,
            to=self.to,
            value=self.value,
            data=word(self.key) + word(self.number),
        )
        return encode_unsigned(tx, self.sender)

    def apply(self, state: State, gas_used: int) -> None:
        sender = state[self.sender]
        sender.nonce += 1
        sender.balance -= gas_used * PRICE + self.value
        to = state.setdefault(self.to, Person())
        to.balance += self.value
        if to.code == WRITER:
            to.slots[self.key] = self.number
            to.slots = {key: value for key, value in to.slots.items() if value}
        if to.is_empty:
            to.slots.clear()  # touched, so it goes (EIP-161), storage and all


@dataclass(frozen=True, slots=True)
class Step:
    """What made a block: changes by hand before it, and its transactions."""

    amendments: tuple[Amendments, ...]
    sent: tuple[Sent, ...]
    gap_s: int


def make(chain: Chain, step: Step) -> None:
    """The block of a step, on any chain with the same head."""
    for one in step.amendments:
        chain.amend(one)
    view, nonces, raws = chain.state_at(chain.head.number), {}, []
    for sent in step.sent:
        record = view.account(sent.sender, keccak256(sent.sender))
        found = Account.decode(record).nonce if record else 0
        nonce = nonces.get(sent.sender, found)
        nonces[sent.sender] = nonce + 1
        raws.append(sent.encode(nonce))
    batch = TransactionBatch.decode(raws, allows_unsigned=True)
    batch.recover()
    sealed = chain.build_block(
        batch,
        timestamp=chain.head.timestamp + step.gap_s,
        coinbase=COINBASE,
        prev_randao=word(step.gap_s),
        base_fee=PRICE,
        is_free=True,
    )
    assert len(sealed.block.transactions) == len(raws)


def random_amendments(chance: random.Random) -> Amendments:
    found = {}
    for address in chance.sample(PEOPLE, chance.randint(1, 2)):
        found[address] = AccountAmendment(
            balance=chance.choice([None, 10**15 + chance.randrange(1000)]),
            code=chance.choice([None, None, WRITER, b""]),
            slots={
                word(chance.randrange(6)): word(chance.randrange(3))
                for _ in range(chance.randrange(3))
            },
            clear_storage=chance.random() < 0.2,
        )
    return found


class Life:
    """A chain and its model. states[n]: after block n; pending: by hand, for the next block."""

    def __init__(self, folder: Path, seed: int, *, prune: int | None) -> None:
        self.chance = random.Random(seed)
        self.prune = prune
        self.path = folder / "data"
        self.chain = self.open()
        self.steps: list[Step] = []
        self.pending: list[Amendments] = []
        self.states: list[State] = [{}]

    def open(self) -> Chain:
        return Chain.open(self.path, DEV, prune=self.prune, is_durable=False)

    @property
    def now(self) -> State:
        return self.shown(len(self.states) - 1)

    def shown(self, number: int) -> State:
        """After a block, with what was changed by hand while it was the head."""
        state = self.states[number]
        is_head = number == len(self.states) - 1
        for one in self.pending if is_head else self.steps[number].amendments:
            state = amended(state, one)
        return state

    def build(self) -> None:
        state = self.now
        able = [one for one in PEOPLE if state.get(one, Person()).balance > 10**10]
        sent = tuple(
            Sent(
                self.chance.choice(able),
                self.chance.choice(PEOPLE),
                self.chance.randrange(100),
                self.chance.randrange(6),
                self.chance.randrange(3),
            )
            for _ in range(self.chance.randrange(4) if able else 0)
        )
        gap_s = self.chance.choice([0, 1, 1000])
        # The pending ones are in the chain already.
        make(self.chain, Step((), sent, gap_s))
        self.steps.append(Step(tuple(self.pending), sent, gap_s))
        self.pending = []
        state = copy.deepcopy(state)
        receipts = self.chain.receipts(self.chain.head.number)
        assert receipts is not None
        used = 0
        for one, receipt in zip(sent, receipts, strict=True):
            one.apply(state, receipt.cumulative_gas_used - used)
            used = receipt.cumulative_gas_used
        self.states.append(state)

    def amend(self) -> None:
        found = random_amendments(self.chance)
        self.chain.amend(found)
        self.pending.append(found)

    def rewind(self) -> None:
        oldest = self.chain.oldest_rewind
        target = self.chance.randint(oldest, self.chain.head.number)
        kept = [random_amendments(self.chance) for _ in range(self.chance.randrange(2))]
        self.chain.rewind(target, amendments=kept[0] if kept else {})
        del self.steps[target:], self.states[target + 1 :]
        self.pending = kept

    def reopen(self) -> None:
        self.chain.close()
        self.chain = self.open()

    def kill(self) -> None:
        """The directory as a kill leaves it: what is only in memory is lost."""
        self.chain.storage.close()
        self.chain = self.open()

    def move(self) -> None:
        """One of those that change the chain."""
        self.chance.choice([self.build] * 4 + [self.amend] * 2 + [self.rewind])()

    def check(self) -> None:
        """What everybody can read is the model's."""
        heights = range(self.chain.oldest_state, len(self.states))
        for number in {*heights[-3:], self.chance.choice(heights)}:
            check_view(self.chain.state_at(number), self.shown(number))
            check_view(self.chain.start_of_child(number)[0], self.states[number])


def check_view(view: View, state: State) -> None:
    for address in PEOPLE:
        person = state.get(address, Person())
        record = view.account(address, keccak256(address))
        found = Account.decode(record) if record else None
        assert (found.nonce if found else 0) == person.nonce
        assert (found.balance if found else 0) == person.balance
        assert (view.code(found.code_hash) if found else b"") == person.code
        for key in range(6):
            value = view.slot(address, keccak256(address), word(key), keccak256(word(key)))
            assert int.from_bytes(value or b"", "big") == person.slots.get(key, 0)


def main() -> None:
    folder, seed, moves = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    life = Life(folder, seed, prune=None)
    print("open", flush=True)
    for made in range(moves):
        life.move()
        print(made + 1, flush=True)


if __name__ == "__main__":
    main()
