"""Two ways to run calls, one interface: the executor over a state in memory, and the host in plain
Python. What a step gives is everything that two engines must agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.executor import BlockEnvironment, CallResult, Executor, Exit, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address
from tests.wasm.host import Block, Call, World

KEYS = [bytes(31) + bytes([number]) for number in range(1, 5)]
SENDERS = [address_of(key) for key in KEYS]
ALICE, BOB, CAROL, DAVE = SENDERS
CONTRACT = Address(b"\xcc" * 20)
OTHER = Address(b"\xdd" * 20)
ETHER = 10**18
GAS = 16_000_000
PRICE = 10

ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    hybrid=True,
    chain_id=31337,
    number=10,
    timestamp=1_000,
    gas_limit=1_000_000_000,
    base_fee=7,
    coinbase=Address(b"\xc0" * 20),
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A call by a sender. sender: an index into SENDERS."""

    sender: int
    data: bytes
    value: int = 0
    to: Address = CONTRACT


@dataclass(frozen=True, slots=True)
class Seen:
    """What a call did, as every engine must have it."""

    success: bool
    output: bytes
    logs: tuple[Log, ...]
    storage: Mapping[bytes, bytes]


class OnExecutor:
    """Each step is first called, then sent as a block of one transaction."""

    def __init__(self, codes: Mapping[Address, bytes]) -> None:
        accounts = {sender: Allocation(balance=1_000 * ETHER) for sender in SENDERS}
        self.view = MemoryView(
            accounts | {at: Allocation(nonce=1, code=code) for at, code in codes.items()}
        )
        self.executor = Executor(self.view)
        self.nonces = [0] * len(SENDERS)

    def call(self, step: Step, *, flags: int = 0, gas: int = GAS) -> CallResult:
        """The step as eth_call has it: nothing lasts."""
        message = Message(
            sender=SENDERS[step.sender],
            nonce=self.nonces[step.sender],
            to=step.to,
            value=step.value,
            data=step.data,
            gas_limit=gas,
            max_fee_per_gas=PRICE,
            max_priority_fee_per_gas=PRICE - ENVIRONMENT.base_fee,
        )
        return self.executor.call(ENVIRONMENT, message, flags=flags)

    def send(self, key: int, **fields: object) -> tuple[Exit, int, Address | None]:
        """A block of one transaction: how it ended, the gas it used, what it created."""
        base = Transaction(
            type=2,
            to=None,
            chain_id=ENVIRONMENT.chain_id,
            nonce=self.nonces[key],
            max_fee_per_gas=PRICE,
            max_priority_fee_per_gas=PRICE - ENVIRONMENT.base_fee,
            gas_limit=GAS,
        )
        signed = sign_transaction(replace(base, **fields), KEYS[key])  # type: ignore[arg-type]
        batch = TransactionBatch.decode([encode_transaction(signed)])
        batch.recover(threads=1)
        block = self.executor.run_block(ENVIRONMENT, batch, system_calls=False)
        (outcome,) = block.outcomes
        assert outcome.included, outcome.reason
        self.nonces[key] += 1
        ended = outcome.exit, outcome.gas_used, outcome.contract_address
        self.view.apply(block)
        self.executor.commit()
        return ended

    def run(self, step: Step) -> Seen:
        result = self.call(step)
        ended, gas_used, _ = self.send(step.sender, to=step.to, value=step.value, data=step.data)
        assert (ended, gas_used) == (result.exit, result.gas_used), "a call and a block differ"
        return Seen(result.success, result.output, result.logs, self.storage(step.to))

    def storage(self, address: bytes) -> dict[bytes, bytes]:
        return dict(self.view.storage.get(address, {}))


class OnHost:
    """The same on the host in Python, for WASM modules."""

    def __init__(self, codes: Mapping[Address, bytes]) -> None:
        self.world = World(
            Block(
                chain_id=ENVIRONMENT.chain_id,
                number=ENVIRONMENT.number,
                timestamp=ENVIRONMENT.timestamp,
                gas_limit=ENVIRONMENT.gas_limit,
                base_fee=ENVIRONMENT.base_fee,
                coinbase=ENVIRONMENT.coinbase,
                gas_price=PRICE,
            )
        )
        for sender in SENDERS:
            self.world.account(sender).balance = 1_000 * ETHER
        for at, code in codes.items():
            self.world.deploy(at, code)

    def run(self, step: Step) -> Seen:
        self.world.block.origin = SENDERS[step.sender]
        outcome = self.world.transaction(
            Call(sender=SENDERS[step.sender], to=step.to, data=step.data, value=step.value)
        )
        return Seen(outcome.success, outcome.output, tuple(self.world.logs), self.storage(step.to))

    def storage(self, address: bytes) -> dict[bytes, bytes]:
        return dict(self.world.account(address).storage)
