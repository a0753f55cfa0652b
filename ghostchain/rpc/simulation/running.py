"""Running a simulation: block after block, call after call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ghostchain.chain.environments import unexecuted_header
from ghostchain.crypto.hashes import header_hash, logs_bloom
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import encode_block, encode_receipt, encode_withdrawal
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    CallResult,
    Exit,
    Message,
)
from ghostchain.execution.forks import Fork
from ghostchain.primitives.block import Block
from ghostchain.primitives.errors import InvalidBlock, TransactionReason
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Log, Receipt
from ghostchain.primitives.transaction import SignatureScheme, Transaction, TransactionType
from ghostchain.primitives.types import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Address,
    Hash32,
)
from ghostchain.rpc.calls import check_request, fee_token_of, halt_error, request_calls
from ghostchain.rpc.errors import (
    BLOCK_GAS_LIMIT_REACHED,
    VM_ERROR,
    RpcError,
    invalid_params,
    reason_message,
    revert_error,
    server_error,
)
from ghostchain.rpc.overrides import amendments_of, precompile_moves
from ghostchain.rpc.parameters import BlockId, CallRequest
from ghostchain.rpc.phantoms import Phantoms
from ghostchain.rpc.render import (
    Json,
    effective_gas_price,
    header_json,
    log_json,
    signed_json,
    withdrawal_json,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.simulation.planning import PlannedBlock, planned
from ghostchain.rpc.simulation.request import SimulationRequest
from ghostchain.rpc.simulation.transactions import code_of, phantom_transaction, sender_of
from ghostchain.rpc.workers import Deadline, too_large
from ghostchain.trie.merkle import ordered_root

BLOB_GAS = 131_072
CAPPED = " (gas limit was capped by the RPC server's global gas cap)"


@dataclass(frozen=True, slots=True)
class PhantomCall:
    """A call that ran: its place in the block, and what it did."""

    tx: Transaction
    raw: bytes
    hash: Hash32
    sender: Address
    result: CallResult
    capped: bool

    @property
    def real_logs(self) -> tuple[Log, ...]:
        """Without those of transfers, which are in no receipt."""
        logs, transfers = self.result.logs, self.result.transfers
        return tuple(log for place, log in enumerate(logs) if place not in transfers)


@dataclass(slots=True)
class OpenBlock:
    """A block while its calls run. Units: gas."""

    header: Header
    environment: BlockEnvironment
    gas_used: int = 0
    blob_gas_used: int = 0
    calls: list[PhantomCall] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """One simulation. gas_left: of all its calls together. shown_bytes: of what the calls of the
    block under way gave."""

    services: Services
    request: SimulationRequest
    phantoms: Phantoms
    deadline: Deadline
    gas_left: int
    shown_bytes: int = 0

    # ---- blocks ----

    def block(self, plan: PlannedBlock, parent: Header, parent_hash: Hash32) -> tuple[Header, Json]:
        header = self.preliminary(plan, parent, parent_hash)
        override = plan.asked.block
        environment = self.phantoms.environment(header)
        if override.blob_base_fee is not None:
            environment = replace(environment, blob_base_fee=override.blob_base_fee)
        moves = precompile_moves(plan.asked.state, environment.fork)
        self.phantoms.begin(environment, amendments_of(plan.asked.state), moves)
        opened = OpenBlock(header, environment)
        self.shown_bytes = 0
        for request in plan.asked.calls:
            self.deadline.check()
            opened.calls.append(self.call(opened, request))
        withdrawals = override.withdrawals or ()
        try:
            end = self.phantoms.end(withdrawals)
        except InvalidBlock as error:
            raise server_error(f"the block cannot end: {error}") from error
        self.deadline.check()
        receipts = receipts_of(opened.calls)
        sealed = replace(
            header,
            state_root=self.phantoms.state_root(),
            transactions_root=ordered_root([call.raw for call in opened.calls]),
            receipts_root=ordered_root(list(map(encode_receipt, receipts))),
            bloom=logs_bloom(log for receipt in receipts for log in receipt.logs),
            gas_used=opened.gas_used,
            blob_gas_used=opened.blob_gas_used,
            withdrawals_root=ordered_root(list(map(encode_withdrawal, withdrawals))),
            requests_hash=end.requests_hash if environment.fork >= Fork.PRAGUE else None,
        )
        block_hash = header_hash(sealed)
        self.phantoms.learn_hash(sealed.number, block_hash)
        block = Block(sealed, tuple(call.raw for call in opened.calls), tuple(withdrawals))
        return sealed, self.block_json(block, block_hash, opened.calls)

    def preliminary(self, plan: PlannedBlock, parent: Header, parent_hash: Hash32) -> Header:
        """What is known of a header before its block runs."""
        override = plan.asked.block
        fees = self.phantoms.fees(parent, plan.timestamp)
        base_fee = override.base_fee
        if base_fee is None:
            # Without validation calls need not pay, and none could pay less than nothing.
            base_fee = fees.base_fee if self.request.validation else 0
        coinbase = override.fee_recipient
        return unexecuted_header(
            parent_hash=parent_hash,
            number=plan.number,
            coinbase=parent.coinbase if coinbase is None else coinbase,
            gas_limit=parent.gas_limit if override.gas_limit is None else override.gas_limit,
            timestamp=plan.timestamp,
            extra_data=b"",
            prev_randao=Hash32(override.prev_randao or ZERO_HASH),
            base_fee=base_fee,
            excess_blob_gas=fees.excess_blob_gas,
            parent_beacon_block_root=override.beacon_root or ZERO_HASH,
        )

    # ---- calls ----

    def call(self, opened: OpenBlock, request: CallRequest) -> PhantomCall:
        """Runs a call as the block's next transaction. Raises RpcError when it cannot begin."""
        check_request(self.services, request)
        sender = Address(sender_of(request))
        account = self.phantoms.account(sender)
        nonce = request.nonce
        if nonce is None:
            nonce = 0 if account is None else account.nonce
        remaining = opened.environment.gas_limit - opened.gas_used
        wanted = remaining if request.gas is None else request.gas
        if remaining < wanted:
            raise RpcError(
                BLOCK_GAS_LIMIT_REACHED,
                f"block gas limit reached: remaining: {remaining}, required: {wanted}",
            )
        gas = min(wanted, self.gas_left)
        if (request.authorizations or request.blob_versioned_hashes) and request.to is None:
            raise invalid_params('missing "to" in a transaction of a type that creates nothing')
        chain_id = self.services.backend.chain_id
        tx, raw = phantom_transaction(request, chain_id=chain_id, nonce=nonce, gas=gas)
        message = message_of(request, tx, sender)
        flags = CallFlag.NO_EOA_CHECK | CallFlag.NO_GAS_CAP | CallFlag.SHOW_BASE_FEE
        if not self.request.validation:
            flags |= CallFlag.NO_NONCE_CHECK | CallFlag.NO_BASE_FEE
        if self.request.trace_transfers:
            flags |= CallFlag.LOG_TRANSFERS
        result = self.phantoms.call(opened.environment, message, flags=flags)
        if result.reason is not TransactionReason.OK:
            have = 0 if account is None else account.balance
            state_nonce = 0 if account is None else account.nonce
            raise refusal(result, message, opened.environment, have, state_nonce)
        if result.gas_used > self.gas_left:
            raise server_error(
                f"RPC gas cap exhausted: need {result.gas_used}, remaining {self.gas_left}"
            )
        self.gas_left -= result.gas_used
        self.shown_bytes += 2 * (len(result.output) + sum(len(log.data) for log in result.logs))
        if self.shown_bytes > self.deadline.room.left:
            raise too_large()
        opened.gas_used += result.gas_used
        opened.blob_gas_used += len(tx.blob_versioned_hashes) * BLOB_GAS
        return PhantomCall(tx, raw, keccak256(raw), sender, result, gas < wanted)

    # ---- JSON ----

    def block_json(self, block: Block, block_hash: Hash32, calls: Sequence[PhantomCall]) -> Json:
        header = block.header
        fields = header_json(header, block_hash)
        fields["size"] = hex(len(encode_block(block)))
        fields["uncles"] = []
        fields["withdrawals"] = [withdrawal_json(item) for item in block.withdrawals]
        if self.request.full_transactions:
            fields["transactions"] = [
                transaction_json(call, index, header, block_hash)
                for index, call in enumerate(calls)
            ]
        else:
            fields["transactions"] = [format_data(call.hash) for call in calls]
        fields["calls"] = [
            call_json(call, index, header, block_hash) for index, call in enumerate(calls)
        ]
        return fields


def message_of(request: CallRequest, tx: Transaction, sender: Address) -> Message:
    return Message(
        type=tx.type if request.access_list is None or tx.type else TransactionType.ACCESS_LIST,
        sender=sender,
        to=request.to,
        nonce=tx.nonce,
        gas_limit=tx.gas_limit,
        max_fee_per_gas=tx.max_fee_per_gas,
        max_priority_fee_per_gas=tx.max_priority_fee_per_gas,
        max_fee_per_blob_gas=tx.max_fee_per_blob_gas,
        value=request.value or 0,
        data=request.data or b"",
        access_list=request.access_list or (),
        blob_versioned_hashes=tx.blob_versioned_hashes,
        authorizations=tx.authorizations,
        fee_token=fee_token_of(request),
        calls=request_calls(request) if tx.type == TransactionType.GHOST else (),
        fee_payer=request.fee_payer,
        signature_scheme=request.signature_scheme or SignatureScheme.SECP256K1,
        payer_scheme=request.payer_scheme or SignatureScheme.SECP256K1,
    )


def refusal(
    result: CallResult,
    message: Message,
    environment: BlockEnvironment,
    have: int,
    state_nonce: int,
) -> RpcError:
    """The answer when a call cannot begin, which ends the simulation."""
    value = sum(call.value for call in message.calls) if message.calls else message.value
    blob_gas = BLOB_GAS * len(message.blob_versioned_hashes)
    cost = message.gas_limit * message.max_fee_per_gas + blob_gas * message.max_fee_per_blob_gas
    values: dict[str, int | bytes] = {
        "address": message.sender,
        "have": have,
        "want": value + cost,
        "tx_nonce": message.nonce,
        "state_nonce": state_nonce,
        "max_fee": message.max_fee_per_gas,
        "priority_fee": message.max_priority_fee_per_gas,
        "base_fee": environment.base_fee,
        "blob_fee": message.max_fee_per_blob_gas,
        "gas": message.gas_limit,
        "limit": environment.gas_limit,
        "size": len(message.data),
        "size_max": 49_152,
        "token": message.fee_token or ZERO_ADDRESS,
        "payer": message.fee_payer or message.sender,
    }
    if result.reason is TransactionReason.INTRINSIC_GAS_TOO_LOW:
        values |= {"have": message.gas_limit, "want": result.gas_intrinsic}
    if result.reason is TransactionReason.INTRINSIC_GAS_BELOW_FLOOR:
        values["floor"] = result.gas_intrinsic
    text = reason_message(result.reason, values)
    return RpcError(code_of(result.reason), f"err: {text} (supplied gas {message.gas_limit})")


def receipts_of(calls: Sequence[PhantomCall]) -> list[Receipt]:
    receipts, cumulative = [], 0
    for call in calls:
        cumulative += call.result.gas_used
        logs = call.real_logs
        receipts.append(
            Receipt(call.tx.type, call.result.success, cumulative, logs_bloom(logs), logs)
        )
    return receipts


def transaction_json(call: PhantomCall, index: int, header: Header, block_hash: Hash32) -> Json:
    fields = signed_json(call.tx)
    if call.tx.type == TransactionType.LEGACY:
        fields["v"] = "0x0"
    if call.tx.fee_token is None:
        fields["gasPrice"] = hex(effective_gas_price(call.tx, header.base_fee_per_gas))
    fields["hash"], fields["from"] = format_data(call.hash), format_data(call.sender)
    fields["blockHash"], fields["blockNumber"] = format_data(block_hash), hex(header.number)
    fields["blockTimestamp"] = hex(header.timestamp)
    fields["transactionIndex"] = hex(index)
    return fields


def call_json(call: PhantomCall, index: int, header: Header, block_hash: Hash32) -> Json:
    """As geth, logs are counted with those that were undone, and a revert's data is its error's."""
    result = call.result
    fields: Json = {
        "returnData": format_data(result.output if result.success else b""),
        "logs": [
            log_json(
                log,
                block_hash=block_hash,
                block_number=header.number,
                block_timestamp=header.timestamp,
                transaction_hash=call.hash,
                transaction_index=index,
                log_index=ordinal,
            )
            for log, ordinal in zip(result.logs, result.ordinals, strict=True)
        ],
        "gasUsed": hex(result.gas_used),
        "maxUsedGas": hex(result.gas_peak),
        "status": "0x1" if result.success else "0x0",
    }
    if not result.success:
        fields["error"] = failure_json(call)
    return fields


def failure_json(call: PhantomCall) -> Json:
    """Why a call that began failed: code 3 and its data, or what the machine halted for."""
    if call.result.exit is Exit.REVERT:
        return revert_error(call.result.output).as_json()
    halt = f"vm execution error: {halt_error(call.result).message}"
    return {"message": halt + CAPPED if call.capped else halt, "code": VM_ERROR}


def simulate(
    services: Services, deadline: Deadline, request: SimulationRequest, block: BlockId
) -> list[Any]:
    """The blocks, in order. Raises RpcError."""
    backend = services.backend
    number = services.number_needed(block)
    base, base_hash = backend.header(number), backend.hash_of(number)
    if base is None or base_hash is None:
        raise server_error("header not found")
    plan = planned(request.blocks, base)
    cap = services.options.gas_cap or 2**64 - 1
    answers = []
    run = Run(services, request, backend.phantoms(number), deadline, cap)
    parent, parent_hash = base, base_hash
    for item in plan:
        deadline.check()
        parent, shown = run.block(item, parent, parent_hash)
        parent_hash = header_hash(parent)
        answers.append(deadline.kept(shown))
    return answers
