"""A node in memory for the tests of JSON-RPC. Transfers are executed here in a few lines, contracts
are Python functions, blocks are sealed on demand. Implements `ghostchain.rpc.backend.Backend`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ghostchain.chain.records import BodyRecord, ReceiptsRecord, body_parts, receipts_parts
from ghostchain.crypto.hashes import contract_address, header_hash, logs_bloom
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of, sign
from ghostchain.crypto.signing import sender_of, sign_transaction
from ghostchain.encoding.blocks import encode_header, encode_receipt
from ghostchain.encoding.transactions import decode_transaction, encode_transaction
from ghostchain.execution.executor import BlockEnvironment, CallFlag, CallResult, Exit, Message
from ghostchain.execution.forks import BlobSchedule, Fork
from ghostchain.execution.reads import Reading
from ghostchain.execution.traces import FRAMES, Trace, Watch
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.amendment import Amendments
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import InvalidTransaction, StateUnavailable, TransactionReason
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import (
    EMPTY_OMMERS_HASH,
    EMPTY_REQUESTS_HASH,
    EMPTY_ROOT,
    ZERO_ADDRESS,
    ZERO_HASH,
    Address,
    Hash32,
)
from ghostchain.rpc.backend import (
    NOTHING_MOVED,
    AccountOverride,
    BlockFees,
    Event,
    ForkSettings,
    LocatedLog,
    LogsBound,
    Made,
    NewHead,
    NewPending,
    PoolContent,
    PooledTransaction,
    Refusal,
    ShownLogs,
    SyncProgress,
    UnknownAccount,
)
from ghostchain.rpc.development import Development
from ghostchain.rpc.remote import RemoteChain
from ghostchain.rpc.render import shown_one_by_one
from ghostchain.rpc.standing import (
    CommitCertificate,
    ConsensusStanding,
    NodeStanding,
    PeerStanding,
    ValidatorStanding,
)
from ghostchain.state.proofs import AccountProof, SlotProof

CHAIN_ID = 31337
GAS_LIMIT = 30_000_000
BASE_FEE = 1_000_000_000
ETHER = 10**18
KEYS = tuple(bytes([number]) * 32 for number in (1, 2, 3))
ACCOUNTS = tuple(address_of(key) for key in KEYS)
COINBASE = Address(b"\xc0" * 20)
BLOBS = BlobSchedule(6, 9, 5_007_716)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a contract in Python did."""

    exit: Exit = Exit.SUCCESS
    output: bytes = b""
    gas: int = 21_000
    logs: tuple[Log, ...] = ()
    gas_needed: int = 0
    accessed: tuple[tuple[Address, Hash32], ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction of the pool."""

    hash: Hash32
    sender: Address
    nonce: int
    raw: bytes


Contract = Callable[[Message, BlockEnvironment], Ran]


@dataclass(frozen=True, slots=True)
class State:
    """All accounts after some block, and the slots of contracts."""

    accounts: Mapping[bytes, Account]
    slots: Mapping[tuple[bytes, bytes], bytes]
    codes: Mapping[bytes, bytes]

    def account(self, address: bytes, hashed: bytes) -> bytes | None:
        found = self.accounts.get(address)
        return None if found is None else found.encode()

    def slot(
        self, address: bytes, hashed_address: bytes, key: bytes, hashed_key: bytes
    ) -> bytes | None:
        return self.slots.get((address, key))

    def code(self, code_hash: bytes) -> bytes:
        return self.codes[code_hash]

    def block_hash(self, number: int) -> bytes | None:
        return None


class MemorySimulation:
    """Runs messages: value moves, contracts are asked, nothing is kept."""

    def __init__(self, state: State, contracts: Mapping[bytes, Contract]) -> None:
        self.state = state
        self.contracts = contracts
        self.calls = 0

    def call(self, environment: BlockEnvironment, message: Message, *, flags: int) -> CallResult:
        self.calls += 1
        reason = self.refusal(environment, message, flags)
        if reason is not TransactionReason.OK:
            return result_of(reason, Ran(), message)
        contract = self.contracts.get(message.to or b"")
        if contract is None:
            return result_of(reason, Ran(), message)
        ran = contract(message, environment)
        if message.gas_limit < max(ran.gas, ran.gas_needed):
            ran = Ran(Exit.OUT_OF_GAS, gas=message.gas_limit)
        return result_of(reason, ran, message)

    def trace(
        self,
        environment: BlockEnvironment,
        message: Message,
        *,
        flags: int,
        watch: Watch = FRAMES,
    ) -> tuple[CallResult, Trace]:
        """Without frames: nothing here runs code."""
        return self.call(environment, message, flags=flags), Trace((), False)

    def refusal(
        self, environment: BlockEnvironment, message: Message, flags: int
    ) -> TransactionReason:
        account = self.state.accounts.get(message.sender, EMPTY)
        if message.max_priority_fee_per_gas > message.max_fee_per_gas:
            return TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE
        is_priced = not flags & CallFlag.NO_BASE_FEE
        if is_priced and message.max_fee_per_gas < environment.base_fee:
            return TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS
        if message.gas_limit < 21_000:
            return TransactionReason.INTRINSIC_GAS_TOO_LOW
        if account.balance < message.value + message.gas_limit * message.max_fee_per_gas:
            return TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
        return TransactionReason.OK


def result_of(reason: TransactionReason, ran: Ran, message: Message) -> CallResult:
    return CallResult(
        reason=reason,
        exit=ran.exit,
        success=ran.exit is Exit.SUCCESS,
        output=ran.output,
        gas_used=ran.gas,
        gas_refunded=0,
        gas_intrinsic=21_000,
        contract_address=None,
        logs=ran.logs,
        accessed_accounts=(message.sender, *((message.to,) if message.to else ())),
        accessed_slots=ran.accessed,
    )


class MemoryBackend:
    """See the module. automine seals a block after every admission."""

    def __init__(self, *, automine: bool = True) -> None:
        self.automine = automine
        self.begins = 0
        self.contracts: dict[bytes, Contract] = {}
        self.headers: list[Header] = []
        self.hashes: list[Hash32] = []
        self.blocks: list[Block] = []
        self.block_receipts: list[tuple[Receipt, ...]] = []
        self.states: list[State] = []
        self.locations: dict[bytes, tuple[int, int]] = {}
        self.pool: dict[bytes, Waiting] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self.submissions: list[int] = []
        self.progress: SyncProgress | None = None
        self.deciding: ConsensusStanding | None = None
        self.validator: ValidatorStanding | None = None
        self.connected: list[PeerStanding] = []
        self.certificates: dict[int, CommitCertificate] = {}
        self.pruned_below = 0
        self.development: Development | None = None
        self.remote: RemoteChain | None = None
        accounts = {address: Account(balance=10_000 * ETHER) for address in ACCOUNTS}
        self.append(State(accounts, {}, {}), (), ())

    # ---- building ----

    def install(self, address: Address, contract: Contract, code: bytes = b"\x00") -> None:
        """A contract that exists from the head on."""
        state = self.states[-1]
        code_hash = keccak256(code)
        account = replace(state.accounts.get(address, EMPTY), code_hash=code_hash)
        self.states[-1] = State(
            {**state.accounts, address: account}, state.slots, {**state.codes, code_hash: code}
        )
        self.contracts[address] = contract

    def store(self, address: Address, key: Hash32, value: bytes) -> None:
        state = self.states[-1]
        self.states[-1] = replace(state, slots={**state.slots, (address, key): value})

    def append(self, state: State, raws: tuple[bytes, ...], receipts: tuple[Receipt, ...]) -> None:
        number = len(self.headers)
        logs = [log for receipt in receipts for log in receipt.logs]
        header = Header(
            parent_hash=self.hashes[-1] if self.hashes else ZERO_HASH,
            ommers_hash=EMPTY_OMMERS_HASH,
            coinbase=COINBASE,
            state_root=EMPTY_ROOT,
            transactions_root=EMPTY_ROOT,
            receipts_root=EMPTY_ROOT,
            bloom=logs_bloom(logs),
            difficulty=0,
            number=number,
            gas_limit=GAS_LIMIT,
            gas_used=receipts[-1].cumulative_gas_used if receipts else 0,
            timestamp=1_700_000_000 + number,
            extra_data=b"",
            prev_randao=ZERO_HASH,
            nonce=bytes(8),
            base_fee_per_gas=BASE_FEE,
            withdrawals_root=EMPTY_ROOT,
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_block_root=ZERO_HASH,
            requests_hash=EMPTY_REQUESTS_HASH,
        )
        self.headers.append(header)
        self.hashes.append(header_hash(header))
        self.blocks.append(Block(header, raws, ()))
        self.block_receipts.append(receipts)
        self.states.append(state)
        for index, raw in enumerate(raws):
            self.locations[keccak256(raw)] = (number, index)
            self.pool.pop(keccak256(raw), None)
        self.tell(NewHead(number))

    def seal(self) -> None:
        """All that waits becomes a block."""
        accounts = dict(self.states[-1].accounts)
        receipts: list[Receipt] = []
        included: list[bytes] = []
        gas_used = 0
        for item in sorted(self.pool.values(), key=lambda item: item.nonce):
            tx = decode_transaction(item.raw)
            sender = accounts.get(item.sender, EMPTY)
            if sender.nonce != tx.nonce:
                continue
            ran = self.execute(tx, item.sender)
            spent = ran.gas * tx.max_fee_per_gas
            value = tx.value if ran.exit is Exit.SUCCESS else 0
            balance = sender.balance - spent - value
            accounts[item.sender] = replace(sender, nonce=tx.nonce + 1, balance=balance)
            to = tx.to or contract_address(item.sender, tx.nonce)
            target = accounts.get(to, EMPTY)
            accounts[to] = replace(target, balance=target.balance + value)
            gas_used += ran.gas
            success = ran.exit is Exit.SUCCESS
            logs = ran.logs if success else ()
            receipts.append(Receipt(tx.type, success, gas_used, logs_bloom(logs), logs))
            included.append(item.raw)
        state = self.states[-1]
        self.append(State(accounts, state.slots, state.codes), tuple(included), tuple(receipts))

    def execute(self, tx: Transaction, sender: Address) -> Ran:
        contract = self.contracts.get(tx.to or b"")
        if contract is None:
            return Ran()
        message = Message(
            sender=sender, to=tx.to, gas_limit=tx.gas_limit, value=tx.value, data=tx.data
        )
        return contract(message, self.environment(len(self.headers)))

    def signed(self, key_index: int = 0, **members: Any) -> bytes:
        """A raw transaction of one of KEYS; members as in Transaction."""
        nonce = self.states[-1].accounts[ACCOUNTS[key_index]].nonce
        defaults: dict[str, Any] = {
            "type": 2,
            "chain_id": CHAIN_ID,
            "nonce": nonce,
            "max_fee_per_gas": 2 * BASE_FEE,
            "max_priority_fee_per_gas": 1,
            "gas_limit": 21_000,
            "to": ACCOUNTS[1],
        }
        tx = Transaction(**(defaults | members))
        return encode_transaction(sign_transaction(tx, KEYS[key_index]))

    def tell(self, event: Event) -> None:
        for listener in list(self.listeners):
            listener(event)

    # ---- Backend ----

    @property
    def chain_id(self) -> int:
        return CHAIN_ID

    @property
    def client_version(self) -> str:
        return "memory/v1"

    def head(self) -> Header:
        return self.headers[-1]

    def earliest(self) -> int:
        return self.begins

    def oldest_state(self) -> int:
        return self.pruned_below

    def oldest_proof(self) -> int:
        return self.pruned_below

    def number_of(self, block_hash: bytes) -> int | None:
        return self.hashes.index(Hash32(block_hash)) if block_hash in self.hashes else None

    def hash_of(self, number: int) -> Hash32 | None:
        return self.hashes[number] if number < len(self.hashes) else None

    def header(self, number: int) -> Header | None:
        return self.headers[number] if number < len(self.headers) else None

    def body(self, number: int) -> BodyRecord | None:
        if not 0 < number < len(self.blocks):
            return None
        raws = self.blocks[number].transactions
        senders = b"".join(sender_of(decode_transaction(raw)) for raw in raws)
        header = encode_header(self.headers[number])
        return BodyRecord.parse(b"".join(body_parts(header, (), raws, senders)))

    def receipts(self, number: int) -> ReceiptsRecord | None:
        if not 0 < number < len(self.blocks):
            return None
        receipts = self.block_receipts[number]
        parts = receipts_parts(
            np.array([item.type for item in receipts], np.uint8),
            np.array([item.success for item in receipts], np.uint8),
            np.array([item.cumulative_gas_used for item in receipts], np.uint64),
            np.array([len(item.logs) for item in receipts], np.uint32),
            [encode_receipt(item) for item in receipts if item.logs],
        )
        return ReceiptsRecord.parse(b"".join(parts))

    def transaction_location(self, transaction_hash: bytes) -> tuple[int, int] | None:
        return self.locations.get(transaction_hash)

    def logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
    ) -> Iterable[LocatedLog]:
        for number in range(first, last + 1):
            log_index = 0
            for index, receipt in enumerate(self.block_receipts[number]):
                for log in receipt.logs:
                    if log_matches(log, addresses, topics):
                        yield LocatedLog(
                            log=log,
                            block_number=number,
                            block_hash=self.hashes[number],
                            block_timestamp=self.headers[number].timestamp,
                            transaction_hash=keccak256(self.blocks[number].transactions[index]),
                            transaction_index=index,
                            log_index=log_index,
                        )
                    log_index += 1

    def shown_logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
        bound: LogsBound,
    ) -> Iterable[ShownLogs]:
        return shown_one_by_one(self.logs(first, last, addresses, topics))

    def kept_logs(
        self,
        first: int,
        last: int,
        addresses: Collection[Address],
        topics: Sequence[Collection[Hash32]],
        bound: LogsBound,
    ) -> bytes | None:
        return None

    def head_account(self, address: Address) -> Account:
        return self.state_at(self.head().number).accounts.get(address, EMPTY)

    def state_at(self, number: int) -> State:
        if number < self.pruned_below:
            raise StateUnavailable(f"state of block {number} was pruned")
        return self.states[number]

    def fork_at(self, timestamp: int) -> Fork:
        return Fork.OSAKA

    def environment(self, number: int) -> BlockEnvironment:
        return BlockEnvironment(
            fork=Fork.OSAKA,
            chain_id=CHAIN_ID,
            number=number,
            timestamp=1_700_000_000 + number,
            gas_limit=GAS_LIMIT,
            base_fee=BASE_FEE,
            coinbase=COINBASE,
            blob_base_fee_update_fraction=BLOBS.base_fee_update_fraction,
            blobs_per_block_max=BLOBS.max,
        )

    def peek(self, sender: Address, to: Address, data: bytes, *, gas_limit: int) -> bytes | None:
        return None

    def run_reads(self, reading: Reading) -> bytes | None:
        reading.stop()
        return None

    @contextmanager
    def simulation(
        self,
        number: int,
        overrides: Mapping[Address, AccountOverride],
        precompiles: Mapping[Address, Address | None] = NOTHING_MOVED,
    ) -> Iterator[MemorySimulation]:
        state = self.state_at(number)
        accounts = dict(state.accounts)
        for address, override in overrides.items():
            account = accounts.get(address, EMPTY)
            if override.balance is not None:
                account = replace(account, balance=override.balance)
            accounts[address] = account
        yield MemorySimulation(replace(state, accounts=accounts), self.contracts)

    def trace_block(self, number: int, watch: Watch = FRAMES) -> Trace:
        return Trace((), False)

    def phantoms(self, number: int) -> Any:
        raise StateUnavailable("no blocks are simulated here")

    def middle(self, number: int, index: int | None) -> Any:
        raise StateUnavailable("no block is run again here")

    def ranges(self, number: int) -> Any:
        raise StateUnavailable("no state is listed here")

    def changed_addresses(self, number: int) -> set[Address]:
        raise StateUnavailable("no block is run again here")

    def known_addresses(self) -> Sequence[Address]:
        return ACCOUNTS

    def trace_at_once(self, number: int, watch: Watch) -> Trace | None:
        return None

    def trace_made(self, block: Block, watch: Watch) -> Made:
        raise StateUnavailable("nothing here runs code")

    @contextmanager
    def within(
        self, number: int, count: int | None, amendments: Amendments
    ) -> Iterator[MemorySimulation]:
        with self.simulation(number, {}) as simulation:
            yield simulation

    def prove(self, address: Address, keys: Sequence[Hash32], number: int) -> AccountProof:
        state = self.state_at(number)
        slots = (
            SlotProof(key, int.from_bytes(state.slots.get((address, key), b""), "big"), ())
            for key in keys
        )
        return AccountProof(state.accounts.get(address, EMPTY), (b"\xc0",), tuple(slots))

    def fees(self, number: int) -> BlockFees:
        return BlockFees(BASE_FEE, 1, BLOBS.max * 131_072)

    def fork_schedule(self) -> Sequence[ForkSettings]:
        return (ForkSettings(Fork.OSAKA, 0, bytes(4), BLOBS, {"ECREC": ZERO_ADDRESS}, {}),)

    async def submit(self, raws: Sequence[bytes]) -> Sequence[Hash32 | Refusal]:
        self.submissions.append(len(raws))
        answers = [self.admit(raw) for raw in raws]
        if self.automine and self.pool:
            self.seal()
        return answers

    def admit(self, raw: bytes) -> Hash32 | Refusal:
        try:
            tx = decode_transaction(raw)
            sender = sender_of(tx)
        except InvalidTransaction as failure:
            return Refusal(failure.reason)
        transaction_hash = keccak256(raw)
        if transaction_hash in self.pool or transaction_hash in self.locations:
            return Refusal(TransactionReason.OK, "already known")
        account = self.states[-1].accounts.get(sender, EMPTY)
        cost = tx.value + tx.gas_limit * tx.max_fee_per_gas
        if tx.nonce < account.nonce:
            values = {"address": sender, "tx_nonce": tx.nonce, "state_nonce": account.nonce}
            return Refusal(TransactionReason.NONCE_TOO_LOW, values=values)
        if cost > account.balance:
            values = {"address": sender, "have": account.balance, "want": cost}
            return Refusal(TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS, values=values)
        self.pool[transaction_hash] = Waiting(transaction_hash, sender, tx.nonce, raw)
        self.tell(NewPending((self.pool[transaction_hash],)))
        return transaction_hash

    def pool_transaction(self, transaction_hash: bytes) -> PooledTransaction | None:
        return self.pool.get(transaction_hash)

    def pool_nonce(self, address: Address) -> int | None:
        nonces = [item.nonce for item in self.pool.values() if item.sender == address]
        return max(nonces) + 1 if nonces else None

    def replacing_tip(self, address: Address, nonce: int) -> int | None:
        return None

    def pool_counts(self) -> tuple[int, int]:
        return len(self.pool), 0

    def pool_content(self) -> PoolContent:
        pending: dict[Address, list[PooledTransaction]] = {}
        for item in sorted(self.pool.values(), key=lambda item: item.nonce):
            pending.setdefault(item.sender, []).append(item)
        return PoolContent(pending, {})

    def accounts(self) -> Sequence[Address]:
        return ACCOUNTS

    def sign(self, address: Address, digest: bytes) -> tuple[int, int, int]:
        if address not in ACCOUNTS:
            raise UnknownAccount
        return sign(digest, KEYS[ACCOUNTS.index(address)])

    def coinbase(self) -> Address:
        return COINBASE

    def peer_count(self) -> int:
        return len(self.connected)

    def standing(self) -> NodeStanding:
        seals = "solo" if self.deciding is None else "consensus"
        return NodeStanding(b"", "", 0, len(self.connected), seals, 0, self.validator, 0)

    def peers(self) -> Sequence[PeerStanding]:
        return self.connected

    def add_peer(self, key: bytes, host: str, port: int) -> bool:
        return False

    async def export_chain(self, path: Any, first: int, last: int | None) -> int:
        path.write_bytes(b"blocks")
        return 1

    def remove_peer(self, key: bytes) -> bool:
        return False

    def consensus(self) -> ConsensusStanding | None:
        return self.deciding

    def voters(self, height: int | None) -> ConsensusStanding | None:
        return self.deciding

    def certificate(self, number: int) -> CommitCertificate | None:
        return self.certificates.get(number)

    def syncing(self) -> SyncProgress | None:
        return self.progress

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)


def log_matches(
    log: Log, addresses: Collection[Address], topics: Sequence[Collection[Hash32]]
) -> bool:
    if addresses and log.address not in addresses:
        return False
    if len(topics) > len(log.topics):
        return False
    return all(
        not choices or topic in choices for choices, topic in zip(topics, log.topics, strict=False)
    )
