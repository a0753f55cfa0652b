"""The world of an economy on the native executor: each transaction is a block of one message, with
the gas it costs and the frames it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ghostchain.contracts.addresses import STAKING, code_of
from ghostchain.contracts.economy import Economy
from ghostchain.contracts.framework import runner
from ghostchain.contracts.framework.testing import Halted
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.execution.executor import BlockEnvironment, CallFlag, Executor, Exit, Message
from ghostchain.execution.forks import Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.types import ZERO_ADDRESS, Address
from tests.economy_world import BATCH, CHAIN_ID, Batch, EconomyWorld
from tests.hybrid import MessageBatch, balance, environment

GAS_LIMIT = 16_000_000
FREE = CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK | CallFlag.NO_BASE_FEE


class NativeEconomyWorld(EconomyWorld):
    """As its base, and: what a call says is what the block does, to the unit of gas.

    `storage` and `balances` are not used; what is there is read from the executor's view. BATCH
    has code and signs nothing, so others make its calls.
    """

    def __init__(self, people: Sequence[Address], economy: Economy | None = None) -> None:
        self.view = MemoryView()
        self.nonces: dict[Address, int] = {}
        kinds = {**NATIVE_CONTRACTS, Batch.ID: Batch}
        self.executor = Executor(self.view, contracts=runner(kinds))
        super().__init__(people, economy)

    def begin(self, native: dict[Address, int], alloc: dict[Address, Allocation]) -> None:
        for who, amount in native.items():
            self.view.put(who, Allocation(balance=amount))
        coins = native.get(BATCH, 0)
        self.view.put(BATCH, Allocation(nonce=1, balance=coins, code=code_of(Batch.ID)))
        for address, allocation in alloc.items():
            self.view.put(address, allocation)

    def environment(self, coinbase: Address = ZERO_ADDRESS) -> BlockEnvironment:
        return replace(
            environment(0, coinbase),
            fork=Fork.CANCUN,  # later forks want contracts of their own at the end of a block
            chain_id=CHAIN_ID,
            number=self.block.number,
            timestamp=self.block.timestamp,
        )

    def transact(
        self,
        sender: Address,
        to: Address,
        data: bytes,
        *,
        value: int = 0,
        gas: int = GAS_LIMIT,
        is_static: bool = False,
    ) -> bytes:
        gas = min(gas, GAS_LIMIT)
        is_batch = sender == BATCH
        if is_batch:
            data = Batch.method("forward").encode_call([to, value, data])
            sender, to, value = Address(b"\x01" * 20), BATCH, 0
        message = Message(
            sender=sender, to=to, gas_limit=gas, data=data, value=value, nonce=self._nonce(sender)
        )
        env = self.environment()
        said = self.executor.call(env, message, flags=FREE)
        assert said.reason == 0, said.reason
        self.gas_used = said.gas_used
        if not is_static:
            self._seal(message, said.gas_used, said.success)
        if said.exit == Exit.REVERT:
            raise self._reverted(said.output)
        if not said.success:
            raise Halted(said.exit)
        return said.output if not is_batch else b""

    def send(
        self, sender: Address, to: Address, function: Any, *arguments: Any, **rest: Any
    ) -> Any:
        """As World.send; of what BATCH calls, the answer is that of asking without its sending."""
        if sender != BATCH:
            return super().send(sender, to, function, *arguments, **rest)
        method = self._method(to, function)
        data, value = method.encode_call(arguments), rest.get("value", 0)
        env, flags = self.environment(), FREE
        message = Message(sender=BATCH, to=to, gas_limit=GAS_LIMIT, data=data, value=value)
        said = self.executor.call(env, message, flags=flags)
        self.transact(BATCH, to, data, **rest)
        return method.decode_result(said.output)

    def _nonce(self, sender: Address) -> int:
        record = self.view.accounts.get(sender)
        return int.from_bytes(record[:8], "big") if record else 0

    def _seal(self, message: Message, gas_used: int, is_success: bool) -> None:
        batch: Any = MessageBatch([message])
        result = self.executor.run_block(self.environment(), batch)
        (outcome,) = result.outcomes
        assert (outcome.success, outcome.gas_used) == (is_success, gas_used)
        self.raw_logs = [(log.address, log.topics, log.data) for log in result.logs]
        self.view.apply(result)
        self.executor.commit()

    def end_block(self, coinbase: Address, reward_gwei: int = 0) -> None:
        """A block without transactions: the executor itself calls staking."""
        batch: Any = MessageBatch([])
        orders = [Withdrawal(0, 0, STAKING, reward_gwei)] if reward_gwei else []
        result = self.executor.run_block(self.environment(coinbase), batch, orders)
        self.view.apply(result)
        self.executor.commit()

    def word(self, address: Address, key: int) -> int:
        stored = self.view.storage.get(address, {}).get(key.to_bytes(32, "big"), b"")
        return int.from_bytes(stored, "big")

    def dump(self) -> Any:
        storage = {address: dict(words) for address, words in self.view.storage.items() if words}
        return storage, {who: balance(self.view, who) for who in self.view.accounts}
