"""Random stories for two development nodes: what each step tells them, and what is asked after it.

A story is a seed. Its steps are drawn one after another; both nodes are told the same, and what
they answer, refusals too, is compared at once, then what they show of the chain. Times are set
often, since the clocks run on between two requests; until the next time that is set, timestamps
may be as far apart as seconds have passed and blocks been made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from eth_utils.address import to_checksum_address

from tests.differential.anvil import (
    CHAIN_ID,
    COINBASE,
    GENESIS_TIME,
    GWEI,
    Pair,
    accounts,
    post,
)

STRANGER = "0x" + "5a" * 20
CONTRACT = "0x" + "c0" * 20
# Adds one to slot 0, logs its number, and answers it.
COUNTS = "0x60005460010180600055805f525f60205fa15f5260205ff3"
TAKEN_GAS = 200_000
AHEAD_S_MAX = 100_000


# anvil 1.7 sometimes stands still for good, whatever it is asked, after a change by hand.
ANVIL_SECONDS_MAX = 6.0


class AnvilHangs(Exception):
    """It answers nothing any more: its fault, and the end of the story."""


@dataclass(slots=True)
class Story:
    """What the nodes were told so far. exact: no block was made by the clock since a time was
    set. moments: snapshots that are still there. names: ghostd's of a transaction by anvil's."""

    pair: Pair
    chance: Random
    keys: list[Any] = field(default_factory=lambda: accounts()[:4])
    is_automining: bool = True
    slack: int = 0
    synced_s: float = field(default_factory=time.monotonic)
    moments: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    # ---- telling ----

    def ask(self, method: str, *parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        listed = list(parameters)
        return post(self.pair.ghost, method, listed), self.ask_anvil(method, listed)

    def ask_anvil(self, method: str, parameters: list[Any]) -> dict[str, Any]:
        try:
            return post(self.pair.anvil, method, parameters, timeout=ANVIL_SECONDS_MAX)
        except TimeoutError as error:
            raise AnvilHangs(f"{method} {parameters}") from error

    def tell(self, method: str, *parameters: Any, shows: bool = True) -> dict[str, Any]:
        """Both are told; ghostd's answer. shows: the answers are to be equal."""
        self.told.append(f"{method} {list(parameters)}")
        ghost, anvil = self.ask(method, *parameters)
        if shows:
            self.compare(method, seen(ghost), seen(anvil))
        return ghost

    def compare(self, what: str, ghost: Any, anvil: Any) -> None:
        if isinstance(anvil, list):
            anvil = [self.names.get(one, one) for one in anvil]
        if ghost != anvil:
            self.differences.append(f"{what}: ghostd {ghost}, anvil {anvil}")

    def head(self) -> tuple[dict[str, Any], dict[str, Any]]:
        ghost, anvil = self.ask("eth_getBlockByNumber", "latest", False)
        return ghost["result"], anvil["result"]

    def await_block(self, number: int) -> None:
        """anvil may answer before its block is there."""
        deadline = time.monotonic() + 20
        while int(self.ask_anvil("eth_blockNumber", [])["result"], 16) < number:
            assert time.monotonic() < deadline, f"anvil made no block {number}"
            time.sleep(0.002)

    # ---- time ----

    def set_time(self, ahead: int | None = None) -> None:
        """The next block's time, on both; their clocks go on from there."""
        later = self.chance.randrange(1, 1_000) if ahead is None else ahead
        times = [int(block["timestamp"], 16) for block in self.head()]
        wanted = max(times) + later
        self.tell("evm_setNextBlockTimestamp", shape(self.chance, wanted))

    def synchronise(self) -> None:
        """A block at one time on both, made by hand."""
        self.set_time()
        self.tell("evm_mine")
        self.slack, self.synced_s = 0, time.monotonic()

    def increase_time(self) -> None:
        self.tell("evm_increaseTime", shape(self.chance, self.chance.randrange(5_000)), shows=False)

    def refuse_time(self) -> None:
        self.tell("evm_setNextBlockTimestamp", self.chance.randrange(GENESIS_TIME))

    def step_time(self) -> None:
        """Blocks at a fixed pace for a while."""
        self.synchronise()
        self.tell("anvil_setBlockTimestampInterval", self.chance.choice([1, 12]))
        self.tell("anvil_mine", shape(self.chance, self.chance.randrange(1, 4)))
        self.look()
        self.tell("anvil_removeBlockTimestampInterval")
        self.tell("anvil_removeBlockTimestampInterval")
        self.synchronise()

    # ---- blocks ----

    def mine(self) -> None:
        before = int(self.head()[0]["number"], 16)
        count = self.chance.choice([0, 1, 1, 2, 5])
        form = self.chance.randrange(4)
        if form == 0:
            self.tell("evm_mine")
            count = 1
        elif form == 1:
            self.tell("anvil_mine", shape(self.chance, count))
        elif form == 2:
            self.tell("hardhat_mine", shape(self.chance, count), shape(self.chance, 60))
        else:
            later = max(int(block["timestamp"], 16) for block in self.head()) + 77
            self.tell("evm_mine", self.chance.choice([later, {"timestamp": later, "blocks": 1}]))
            count = 1
        self.slack += count
        self.await_block(before + count)

    def set_automine(self) -> None:
        on = not self.is_automining
        self.empty_pool()
        self.tell("evm_setAutomine", on)
        self.is_automining = on
        self.tell("anvil_getAutomine")

    def stop_interval(self) -> None:
        """No interval means no mining by itself at all, in anvil."""
        self.empty_pool()
        self.tell("evm_setIntervalMining", 0)
        self.is_automining = False
        self.tell("anvil_getAutomine")
        self.tell("anvil_getIntervalMining")

    def set_base_fee(self) -> None:
        self.tell(
            "anvil_setNextBlockBaseFeePerGas", shape(self.chance, self.chance.randrange(GWEI))
        )
        self.synchronise()

    def set_gas_limit(self) -> None:
        gas = self.chance.choice([10_000_000, 30_000_000, 45_000_000])
        self.tell("evm_setBlockGasLimit", shape(self.chance, gas))

    def set_coinbase(self) -> None:
        self.tell("hardhat_setCoinbase", self.chance.choice([COINBASE, STRANGER]))

    def set_randomness(self) -> None:
        """Of the next block alone."""
        wanted = f"0x{self.chance.randrange(1 << 256):064x}"
        self.tell("anvil_setNextBlockPrevRandao", wanted, shows=False)

    # ---- transactions ----

    def send(self) -> None:
        """Signed elsewhere; in a block at once, or waiting."""
        account = self.chance.choice(self.keys)
        counts = self.ask("eth_getTransactionCount", account.address, "pending")
        # Where a gap is filled, anvil mines an empty block behind.
        gap = 0 if self.is_automining else self.chance.choice([0, 0, 0, 1])
        nonce = int(counts[0]["result"], 16) + gap
        to = self.chance.choice([STRANGER, CONTRACT, self.keys[0].address])
        transaction = {
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "to": to_checksum_address(to),
            "value": 0 if to == CONTRACT else self.chance.randrange(10**18),
            "gas": TAKEN_GAS,
            "maxFeePerGas": self.chance.choice([20, 30]) * GWEI,
            "maxPriorityFeePerGas": self.chance.choice([1, 2]) * GWEI,
        }
        signed = account.sign_transaction(transaction).raw_transaction.hex().removeprefix("0x")
        before = int(self.head()[0]["number"], 16)
        answer = self.tell("eth_sendRawTransaction", "0x" + signed)
        self.note(answer, before)

    def note(self, answer: dict[str, Any], before: int) -> None:
        if "error" in answer:
            return
        self.sent.append(answer["result"])
        after = int(self.head()[0]["number"], 16)
        self.slack += after - before
        self.await_block(after)

    def impersonate(self) -> None:
        self.tell("anvil_setBalance", STRANGER, shape(self.chance, 10**18))
        self.tell("anvil_impersonateAccount", STRANGER)
        before = int(self.head()[0]["number"], 16)
        request = {"from": STRANGER, "to": self.keys[1].address, "value": "0x1", "gas": "0x30d40"}
        request |= {"maxFeePerGas": hex(20 * GWEI), "maxPriorityFeePerGas": hex(GWEI)}
        self.note(self.send_unsigned(request), before)
        self.tell("anvil_stopImpersonatingAccount", STRANGER)
        self.tell("eth_sendTransaction", request)

    def send_unsigned(self, request: dict[str, Any]) -> dict[str, Any]:
        """What nobody signed has another hash in each node."""
        self.told.append(f"eth_sendTransaction {request}")
        ghost, anvil = self.ask("eth_sendTransaction", request)
        if "error" in ghost or "error" in anvil:
            self.compare("eth_sendTransaction", ghost.get("error"), anvil.get("error"))
        else:
            self.names[anvil["result"]] = ghost["result"]
        return ghost

    def drop(self) -> None:
        if self.sent:
            self.tell("anvil_dropTransaction", self.chance.choice(self.sent))
        self.tell("anvil_removePoolTransactions", self.chance.choice(self.keys).address)

    def empty_pool(self) -> None:
        self.tell("anvil_dropAllTransactions")

    # ---- state ----

    def amend(self) -> None:
        who = self.chance.choice([STRANGER, CONTRACT, self.keys[2].address])
        amount = self.chance.randrange(1 << 80)
        form = self.chance.randrange(5)
        if form == 0:
            self.tell("anvil_setBalance", who, shape(self.chance, amount + 10**20))
        elif form == 1:
            self.tell("anvil_addBalance", who, shape(self.chance, amount))
        elif form == 2:
            self.tell("anvil_setCode", CONTRACT, COUNTS)
        elif form == 3:
            place = self.chance.choice(["0x0", "0x1", "0x" + "00" * 31 + "02"])
            self.tell("anvil_setStorageAt", CONTRACT, place, f"0x{amount:064x}")
        else:
            fresh = f"0x{self.chance.randrange(1 << 160):040x}"
            self.tell("anvil_setNonce", fresh, shape(self.chance, self.chance.randrange(99)))
            self.tell("eth_getTransactionCount", fresh, "latest")

    # ---- the past ----

    def snapshot(self) -> None:
        self.empty_pool()
        self.moments.append(self.tell("evm_snapshot")["result"])

    def revert(self) -> None:
        self.empty_pool()
        if not self.moments or self.chance.randrange(8) == 0:
            self.tell("evm_revert", "0xffff")
            return
        moment = self.chance.randrange(len(self.moments))
        self.tell("evm_revert", self.moments[moment])
        del self.moments[moment:]
        self.settle()

    def settle(self) -> None:
        """After a return: what the nodes keep of settings is their own, so it is set anew."""
        self.tell("hardhat_setCoinbase", COINBASE)
        self.tell("anvil_setBalance", COINBASE, 1)
        self.tell("evm_setBlockGasLimit", 30_000_000)
        self.tell("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        self.synchronise()

    def roll_back(self) -> None:
        self.empty_pool()
        height = int(self.head()[0]["number"], 16)
        depth = self.chance.choice([1, 2, 3, height + 1])
        given = [None] if depth == 1 else [depth]
        self.tell("anvil_rollback", *given)
        self.forget_moments()
        self.settle()

    def forget_moments(self) -> None:
        """Snapshots of blocks that are gone are gone here, and of no use there."""
        self.moments.clear()

    def reorganise(self) -> None:
        self.empty_pool()
        height = int(self.head()[0]["number"], 16)
        depth = self.chance.choice([1, 2, 3, height + 1])
        pairs = []
        for _ in range(self.chance.randrange(3)):
            request = {
                "from": self.chance.choice(self.keys).address,
                "to": STRANGER,
                "value": "0x7",
            }
            request |= {"gas": "0x30d40", "gasPrice": hex(50 * GWEI)}
            pairs.append([request, self.chance.choice([0, 0, depth - 1, depth])])
        # anvil takes the base fee of the block that goes for the first one, so tips differ.
        self.tell("hardhat_setCoinbase", COINBASE)
        self.tell("anvil_reorg", depth, pairs)
        self.forget_moments()
        self.settle()

    # ---- asking ----

    def look(self) -> None:
        """What both show of head, accounts, pool and transactions."""
        ghost, anvil = self.head()
        passed = self.slack + int(time.monotonic() - self.synced_s) + 2
        for name in ("number", "gasUsed", "gasLimit", "baseFeePerGas", "miner", "transactions"):
            self.compare(f"head's {name}", ghost[name], anvil[name])
        apart = abs(int(ghost["timestamp"], 16) - int(anvil["timestamp"], 16))
        if apart > passed:
            self.compare("head's timestamp", ghost["timestamp"], anvil["timestamp"])
        for who in (*(account.address for account in self.keys), STRANGER, CONTRACT, COINBASE):
            self.equal("eth_getBalance", who, "latest")
            self.equal("eth_getTransactionCount", who, "latest")
        self.equal("eth_getStorageAt", CONTRACT, "0x0", "latest")
        self.equal("txpool_status")
        for sent in self.sent[-3:]:
            there = {ghost: anvil for anvil, ghost in self.names.items()}.get(sent, sent)
            here = post(self.pair.ghost, "eth_getTransactionReceipt", [sent]).get("result")
            beside = self.ask_anvil("eth_getTransactionReceipt", [there]).get("result")
            self.compare(f"receipt of {sent}", receipt_of(here), receipt_of(beside))

    def equal(self, method: str, *parameters: Any) -> None:
        ghost, anvil = self.ask(method, *parameters)
        self.compare(f"{method} {list(parameters)}", seen(ghost), seen(anvil))


def shape(chance: Random, value: int) -> Any:
    """A number as clients send it."""
    return chance.choice([value, hex(value), str(value)]) if value < 1 << 53 else hex(value)


def seen(answer: dict[str, Any]) -> Any:
    """The result; of a refusal that it is one, since each node has its own words."""
    return "refused" if "error" in answer else answer["result"]


def receipt_of(receipt: dict[str, Any] | None) -> Any:
    names = ("status", "blockNumber", "transactionIndex", "gasUsed", "effectiveGasPrice", "from")
    if receipt is None:
        return None
    logs = [(one["address"], one["topics"], one["data"]) for one in receipt["logs"]]
    return {**{name: receipt[name] for name in names}, "logs": logs}


STEPS: tuple[tuple[int, Callable[[Story], None]], ...] = (
    (6, Story.send),
    (3, Story.mine),
    (2, Story.increase_time),
    (2, Story.set_time),
    (1, Story.refuse_time),
    (1, Story.step_time),
    (1, Story.set_automine),
    (1, Story.stop_interval),
    (1, Story.set_base_fee),
    (1, Story.set_gas_limit),
    (1, Story.set_coinbase),
    (1, Story.set_randomness),
    (2, Story.impersonate),
    (1, Story.drop),
    (3, Story.amend),
    (2, Story.snapshot),
    (3, Story.revert),
    (1, Story.roll_back),
    (1, Story.reorganise),
)


def begin(story: Story) -> None:
    """Both stand at one height with one time, nothing waiting and nothing set."""
    story.tell("anvil_reset", shows=False)
    story.tell("evm_setAutomine", True)
    story.tell("anvil_setCode", CONTRACT, COUNTS)
    story.settle()
    story.differences.clear()


def tell(story: Story, steps: int) -> None:
    """So many steps, until something differs."""
    begin(story)
    weights = [weight for weight, _ in STEPS]
    for _ in range(steps):
        (step,) = story.chance.choices([one for _, one in STEPS], weights)
        story.told.append(f"-- {step.__name__}")
        step(story)
        story.look()
        if story.differences:
            return
