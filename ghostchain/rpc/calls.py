"""Running messages on a past or present state: eth_call, eth_estimateGas, eth_createAccessList.

The rules and the wording follow geth's internal/ethapi and eth/gasestimator.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

from ghostchain.chain.fee_tokens import (
    HYBRID_TYPES,
    RATE_UNIT,
    balance_in,
    in_token,
    is_coin,
    rate_in,
)
from ghostchain.contracts.addresses import GCC, TOKENS
from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.keccak import keccak256
from ghostchain.execution.executor import (
    BlockEnvironment,
    CallFlag,
    CallResult,
    Exit,
    Message,
    StateView,
)
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import AccessEntry, Call, SignatureScheme, TransactionType
from ghostchain.primitives.types import EMPTY_CODE_HASH, ZERO_ADDRESS, Address, Hash32
from ghostchain.rpc.backend import AccountOverride, Simulation
from ghostchain.rpc.errors import (
    RpcError,
    reason_message,
    revert_error,
    server_error,
)
from ghostchain.rpc.overrides import precompile_moves
from ghostchain.rpc.parameters import BlockId, BlockOverride, CallRequest
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline
from ghostchain.state.views import OverlaidView, Override

GAS_TRANSACTION = 21_000
CALL_STIPEND = 2_300
BLOB_GAS = 131_072
WORD_MAX = 2**256 - 1
MODULE_MAGIC = b"\0asm\1\0\0\0"
MODULE_BYTES_MAX = 256 * 1024
# A search ends when the answer is known this closely (geth's estimateGasErrorRatio).
ESTIMATE_ERROR_RATIO = 0.015
ACCESS_LIST_ROUNDS_MAX = 16
# Of a call that runs on the event loop: a few milliseconds of the dearest instructions.
PEEK_GAS = 300_000

PRECOMPILES = frozenset(
    Address(number.to_bytes(20, "big")) for number in (*range(0x01, 0x12), 0x100)
)

# What geth says of a halt at the top of a call.
HALTS: Mapping[Exit, str] = {
    Exit.OUT_OF_GAS: "out of gas",
    Exit.UNDEFINED_OPCODE: "invalid opcode",
    Exit.INVALID_OPCODE: "invalid opcode: INVALID",
    Exit.STACK_UNDERFLOW: "stack underflow",
    Exit.STACK_OVERFLOW: "stack limit reached 1024 (1023)",
    Exit.BAD_JUMP: "invalid jump destination",
    Exit.STATIC_VIOLATION: "write protection",
    Exit.RETURN_DATA_BOUNDS: "return data out of bounds",
    Exit.CODE_SIZE: "max code size exceeded",
    Exit.CODE_PREFIX: "invalid code: must not begin with 0xef",
    Exit.CODE_STORE_OUT_OF_GAS: "contract creation code storage out of gas",
    Exit.ADDRESS_COLLISION: "contract address collision",
    Exit.PRECOMPILE_FAILED: "precompiled contract failed",
    Exit.CALL_DEPTH: "max call depth exceeded",
    Exit.INSUFFICIENT_BALANCE: "insufficient balance for transfer",
    Exit.NONCE_OVERFLOW: "nonce uint64 overflow",
    Exit.WASM_INVALID: "invalid wasm module",
    Exit.WASM_TRAP: "wasm trap",
}

SIMULATION_FLAGS = CallFlag.NO_NONCE_CHECK | CallFlag.NO_EOA_CHECK | CallFlag.NO_GAS_CAP


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a message runs: the state after block state_number, and the block around it."""

    state_number: int
    environment: BlockEnvironment
    blob_base_fee: int


def setting_of(
    services: Services, block: BlockId, override: BlockOverride | None = None
) -> Setting:
    """The state and environment that a block parameter means; `pending` runs in the next block
    on the state of the head."""
    state_number = services.number_needed(block)
    number = state_number + 1 if block == "pending" else state_number
    environment = services.backend.environment(number)
    fees = services.backend.fees(number)
    if override is not None:
        environment = overridden(environment, override)
    blob_base_fee = environment.blob_base_fee
    return Setting(
        state_number,
        environment,
        fees.blob_base_fee if blob_base_fee is None else blob_base_fee,
    )


def overridden(environment: BlockEnvironment, override: BlockOverride) -> BlockEnvironment:
    for name, value in (
        ("beaconRoot", override.beacon_root),
        ("withdrawals", override.withdrawals),
    ):
        if value is not None:
            raise server_error(f'block override "{name}" is not supported for this RPC method')
    if override.number is not None and override.number >= 1 << 64:
        raise server_error("block override number: hex number > 64 bits")
    changes: dict[str, Any] = {
        "number": override.number,
        "timestamp": override.time,
        "gas_limit": override.gas_limit,
        "coinbase": override.fee_recipient,
        "prev_randao": override.prev_randao,
        "base_fee": override.base_fee,
        "blob_base_fee": override.blob_base_fee,
    }
    return replace(
        environment, **{name: value for name, value in changes.items() if value is not None}
    )


def simulation_of(
    services: Services, setting: Setting, overrides: Mapping[Address, AccountOverride]
) -> AbstractContextManager[Simulation]:
    """An executor for messages in that setting. Raises RpcError for overrides of precompiles that
    contradict each other."""
    moves = precompile_moves(overrides, setting.environment.fork)
    return services.backend.simulation(setting.state_number, overrides, moves)


def account_at(view: StateView, address: Address) -> Account:
    """The account, EMPTY where there is none."""
    encoded = view.account(address, keccak256(address))
    return EMPTY if encoded is None else Account.decode(encoded)


# ---- requests into messages ----


def is_ghost(request: CallRequest) -> bool:
    """Whether something was said that only a GhostTx has."""
    said = (
        request.calls,
        request.fee_token,
        request.fee_payer,
        request.signature_scheme,
        request.payer_scheme,
    )
    return any(item is not None for item in said)


def check_hybrid(request: CallRequest) -> None:
    """Refuses what contradicts itself in a request for type 0x7b or 0x47."""
    if request.authorizations is not None or request.blob_versioned_hashes is not None:
        raise server_error("a fee token or calls in a transaction of a type that has none")
    if request.fee_currency is not None and is_ghost(request):
        raise server_error("feeCurrency in a ghost transaction, which says feeToken")
    alone = (request.to, request.value, request.data)
    if request.calls is not None and any(item is not None for item in alone):
        raise server_error("both calls and to, value or data specified")
    if sum(call.value for call in request.calls or ()) > WORD_MAX:
        raise server_error("the values of all calls together exceed 256 bits")


def check_request(services: Services, request: CallRequest) -> None:
    """Refuses what contradicts itself or this chain."""
    if request.fee_currency is not None or is_ghost(request):
        check_hybrid(request)
    if request.gas_price is not None and (
        request.max_fee_per_gas is not None or request.max_priority_fee_per_gas is not None
    ):
        raise server_error("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    chain_id = services.backend.chain_id
    if request.chain_id is not None and request.chain_id != chain_id:
        raise server_error(
            f"chainId does not match node's (have={request.chain_id}, want={chain_id})"
        )
    if request.blob_versioned_hashes is not None and request.to is None:
        raise server_error('missing "to" in blob transaction')


def transaction_type(request: CallRequest) -> int:
    if request.authorizations is not None:
        return TransactionType.SET_CODE
    if request.blob_versioned_hashes is not None or request.max_fee_per_blob_gas is not None:
        return TransactionType.BLOB
    if is_ghost(request):
        return TransactionType.GHOST
    if request.fee_currency is not None:
        return TransactionType.FEE_CURRENCY
    if request.gas_price is None:
        return TransactionType.DYNAMIC_FEE
    return TransactionType.LEGACY if request.access_list is None else TransactionType.ACCESS_LIST


def fee_token_of(request: CallRequest) -> Address | None:
    return request.fee_token or request.fee_currency


def fee_rate(services: Services, token: Address | None, number: int) -> int:
    """At which rate the token pays fees after block number. Raises RpcError."""
    if is_coin(token):
        return RATE_UNIT
    rate = rate_in(services.backend.state_at(number), token)
    if rate:
        return rate
    unknown, closed = TransactionReason.FEE_TOKEN_UNKNOWN, TransactionReason.FEE_TOKEN_CLOSED
    raise server_error(reason_message(unknown if rate is None else closed, {"token": token or b""}))


def request_calls(request: CallRequest) -> tuple[Call, ...]:
    """The calls of a request for a GhostTx."""
    return request.calls or (Call(request.to, request.value or 0, request.data or b""),)


def message_of(services: Services, request: CallRequest, setting: Setting, *, gas: int) -> Message:
    """The message a request means; fees that were not given are zero."""
    check_request(services, request)
    token = fee_token_of(request)
    rate = fee_rate(services, token, setting.state_number)
    if request.gas_price is not None:
        max_fee = priority_fee = request.gas_price
    else:
        max_fee = request.max_fee_per_gas or 0
        priority_fee = request.max_priority_fee_per_gas or 0
        if request.max_fee_per_gas is None and priority_fee:
            base_fee = in_token(setting.environment.base_fee, rate)
            max_fee = min(priority_fee + base_fee, WORD_MAX)
    kind = transaction_type(request)
    return Message(
        type=kind,
        sender=request.sender or ZERO_ADDRESS,
        to=request.to,
        nonce=request.nonce or 0,
        gas_limit=gas,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=priority_fee,
        max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
        value=request.value or 0,
        data=request.data or b"",
        access_list=request.access_list or (),
        blob_versioned_hashes=request.blob_versioned_hashes or (),
        authorizations=request.authorizations or (),
        fee_token=token,
        calls=request_calls(request) if kind == TransactionType.GHOST else (),
        fee_payer=request.fee_payer,
        signature_scheme=request.signature_scheme or SignatureScheme.SECP256K1,
        payer_scheme=request.payer_scheme or SignatureScheme.SECP256K1,
    )


def capped_message(services: Services, request: CallRequest, setting: Setting) -> Message:
    """As `message_of`. Its gas is what a call may have here, or less where less is asked for."""
    cap = services.options.gas_cap or setting.environment.gas_limit
    gas = cap if request.gas is None else min(request.gas, cap)
    return message_of(services, request, setting, gas=gas)


def value_of(message: Message) -> int:
    """What all calls of a message send."""
    return sum(call.value for call in message.calls) if message.calls else message.value


def init_code_of(message: Message) -> bytes | None:
    """None when the message creates nothing."""
    call = message.calls[0] if message.calls else Call(message.to, 0, message.data)
    return call.data if call.to is None else None


def deploys_module(environment: BlockEnvironment, message: Message) -> bool:
    """Whether it makes a WASM contract, for which other limits hold."""
    return environment.hybrid and (init_code_of(message) or b"").startswith(MODULE_MAGIC)


def recipients_of(message: Message) -> tuple[Address | None, ...]:
    """None for a creation."""
    return tuple(call.to for call in message.calls) if message.calls else (message.to,)


def flags_of(message: Message, *, record: bool = False) -> int:
    flags = SIMULATION_FLAGS
    free_blobs = message.blob_versioned_hashes and message.max_fee_per_blob_gas == 0
    if message.max_fee_per_gas == 0 or free_blobs:
        flags |= CallFlag.NO_BASE_FEE
    return flags | CallFlag.RECORD_ACCESS if record else flags


# ---- outcomes into answers ----


def unable_to_begin(
    result: CallResult, message: Message, setting: Setting, view: StateView
) -> RpcError:
    """The answer when the message could not begin at all."""
    text = why_not_begun(result, message, setting, view)
    return server_error(f"err: {text} (supplied gas {message.gas_limit})")


def why_not_begun(result: CallResult, message: Message, setting: Setting, view: StateView) -> str:
    """Why the message could not begin, in the clients' words."""
    environment = setting.environment
    token, payer = message.fee_token or GCC, message.fee_payer or message.sender
    fee = message.gas_limit * message.max_fee_per_gas
    own = value_of(message)
    if token == GCC and payer == message.sender:
        blob_gas = BLOB_GAS * len(message.blob_versioned_hashes)
        own += fee + blob_gas * message.max_fee_per_blob_gas
    values: dict[str, int | bytes] = {
        "address": message.sender,
        "have": account_at(view, message.sender).balance,
        "want": own,
        "token": token,
        "payer": payer,
        "payer_have": purse_of(view, token, payer),
        "payer_want": fee,
        "max_fee": message.max_fee_per_gas,
        "priority_fee": message.max_priority_fee_per_gas,
        "base_fee": environment.base_fee,
        "blob_fee": message.max_fee_per_blob_gas,
        "blob_base_fee": setting.blob_base_fee,
        "gas": message.gas_limit,
        "limit": environment.gas_limit,
        "size": len(init_code_of(message) or b""),
        "size_max": MODULE_BYTES_MAX if deploys_module(environment, message) else 49_152,
    }
    if result.reason in (
        TransactionReason.INTRINSIC_GAS_TOO_LOW,
        TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
    ):
        values["want"] = values["floor"] = result.gas_intrinsic
    return reason_message(result.reason, values)


def purse_of(view: StateView, token: Address, holder: Address) -> int:
    """What an account can pay fees from."""
    if token == GCC:
        return account_at(view, holder).balance
    return balance_in(view, token, holder) if token in TOKENS else 0


def halt_error(result: CallResult) -> RpcError:
    """The answer when the top frame failed."""
    if result.exit is Exit.REVERT:
        return revert_error(result.output)
    text = HALTS.get(result.exit, "execution failed")
    return server_error(f"{text}: {result.exit_reason}" if result.exit_reason else text)


# ---- the three methods ----


def peek(services: Services, request: CallRequest) -> bytes | None:
    """The output of a plain message on the state of the head, where it takes little: at most
    PEEK_GAS, which bounds the time too. None: run it as any other."""
    if request.to is None:
        return None
    gas = PEEK_GAS if request.gas is None else min(request.gas, PEEK_GAS)
    return services.backend.peek(
        request.sender or ZERO_ADDRESS, request.to, request.data or b"", gas_limit=gas
    )


def run_call(
    services: Services,
    request: CallRequest,
    block: BlockId,
    overrides: Mapping[Address, AccountOverride],
    block_override: BlockOverride | None,
) -> bytes:
    """The output of a message. Raises RpcError: a revert is code 3 with the revert's data."""
    setting = setting_of(services, block, block_override)
    message = capped_message(services, request, setting)
    with simulation_of(services, setting, overrides) as simulation:
        result = simulation.call(setting.environment, message, flags=flags_of(message))
    if result.reason is not TransactionReason.OK:
        view = services.backend.state_at(setting.state_number)
        raise unable_to_begin(result, message, setting, view)
    if not result.success:
        raise halt_error(result)
    return result.output


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of an estimate. None as result: the gas did not even cover the intrinsic cost."""

    has_failed: bool
    result: CallResult | None


class Estimator:
    """Searches the least gas with which a message succeeds."""

    def __init__(
        self,
        simulation: Simulation,
        setting: Setting,
        view: StateView,
        message: Message,
        deadline: Deadline,
    ) -> None:
        self.simulation = simulation
        self.setting = setting
        self.view = view
        self.message = message
        self.deadline = deadline

    def run(self, gas: int) -> Trial:
        self.deadline.check()
        message = replace(self.message, gas_limit=gas)
        result = self.simulation.call(self.setting.environment, message, flags=flags_of(message))
        if result.reason in (
            TransactionReason.INTRINSIC_GAS_TOO_LOW,
            TransactionReason.INTRINSIC_GAS_BELOW_FLOOR,
        ):
            return Trial(True, None)
        if result.reason is not TransactionReason.OK:
            raise unable_to_begin(result, message, self.setting, self.view)
        return Trial(not result.success, result)

    def search(self, highest: int, *, is_plain_transfer: bool) -> int:
        """At most ESTIMATE_ERROR_RATIO above the least gas, never below it. Raises RpcError."""
        can_be_plain = is_plain_transfer and highest >= GAS_TRANSACTION
        if can_be_plain and not self.run(GAS_TRANSACTION).has_failed:
            return GAS_TRANSACTION
        trial = self.run(highest)
        if trial.has_failed or trial.result is None:
            if trial.result is not None and trial.result.exit is not Exit.OUT_OF_GAS:
                raise halt_error(trial.result)
            raise server_error(f"gas required exceeds allowance ({highest})")
        low, high = trial.result.gas_used - 1, highest
        # A callee gets 63/64 of what its caller has left, so the peak is a good first guess.
        peak = trial.result.gas_used + trial.result.gas_refunded
        guess = (peak + CALL_STIPEND) * 64 // 63
        if guess < high:
            if self.run(guess).has_failed:
                low = guess
            else:
                high = guess
        while low + 1 < high:
            if (high - low) / high < ESTIMATE_ERROR_RATIO:
                break
            # Most need little more than they use, so the search is bent towards the low end.
            middle = min((high + low) // 2, low * 2)
            if self.run(middle).has_failed:
                low = middle
            else:
                high = middle
        return high


def estimate_gas(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    overrides: Mapping[Address, AccountOverride],
    block_override: BlockOverride | None = None,
) -> int:
    """The gas to send a transaction with. Raises RpcError, revert data included.

    On the state of the head (no block, or a tag that means it) the message runs in the block after
    it, where it will be: a contract that looks at the time may spend more there than it would have
    in the head, and blocks may follow one another within a second.
    """
    if isinstance(block, str) and (block != "earliest" or services.backend.head().number == 0):
        block = "pending"
    setting = setting_of(services, block, block_override)
    environment = setting.environment
    message = message_of(services, request, setting, gas=0)
    with simulation_of(services, setting, overrides) as simulation:
        view = services.backend.state_at(setting.state_number)
        highest = environment.gas_limit
        if request.gas is not None and request.gas >= GAS_TRANSACTION:
            highest = request.gas
        cap = environment.transaction_gas_cap
        if cap is not None and not deploys_module(environment, message):
            highest = min(highest, cap)
        if message.max_fee_per_gas:
            # Address and Hash32 are bytes to whoever only reads, which mappings cannot express.
            changed = cast(Mapping[bytes, Override], overrides)
            highest = min(highest, affordable_gas(message, OverlaidView(view, changed)))
        if services.options.gas_cap:
            highest = min(highest, services.options.gas_cap)
        is_plain_transfer = (
            message.type not in HYBRID_TYPES
            and not message.data
            and not message.authorizations
            and message.to is not None
            and message.to not in overrides
            and account_at(view, message.to).code_hash == EMPTY_CODE_HASH
        )
        estimator = Estimator(simulation, setting, view, message, deadline)
        return estimator.search(highest, is_plain_transfer=is_plain_transfer)


def affordable_gas(message: Message, view: StateView) -> int:
    """How much gas whoever pays can pay for, in what it is paid; from the sender's own coins the
    value is set aside."""
    token, payer = message.fee_token or GCC, message.fee_payer or message.sender
    balance, value = account_at(view, message.sender).balance, value_of(message)
    if token != GCC or payer != message.sender:
        if value > balance:
            raise server_error("insufficient funds for transfer")
        return purse_of(view, token, payer) // message.max_fee_per_gas
    blob_cost = BLOB_GAS * len(message.blob_versioned_hashes) * message.max_fee_per_blob_gas
    if value and value >= balance:
        raise server_error("insufficient funds for transfer")
    available = balance - value - blob_cost
    if available < 0:
        raise server_error("insufficient funds for gas * price + value")
    return available // message.max_fee_per_gas


@dataclass(frozen=True, slots=True)
class AccessListOutcome:
    entries: tuple[AccessEntry, ...]
    gas_used: int
    error: str | None


def create_access_list(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    block: BlockId,
    overrides: Mapping[Address, AccountOverride],
) -> AccessListOutcome:
    """The access list under which the message touches nothing cold, found by running it until
    the list no longer changes."""
    setting = setting_of(services, block)
    view = services.backend.state_at(setting.state_number)
    sender = request.sender or ZERO_ADDRESS
    nonce = account_at(view, sender).nonce if request.nonce is None else request.nonce
    message = replace(capped_message(services, request, setting), nonce=nonce)
    recipients = {to or contract_address(sender, nonce) for to in recipients_of(message)}
    excluded = {sender, *recipients, setting.environment.coinbase, *PRECOMPILES}
    with simulation_of(services, setting, overrides) as simulation:
        for _ in range(ACCESS_LIST_ROUNDS_MAX):
            deadline.check()
            flags = flags_of(message, record=True)
            result = simulation.call(setting.environment, message, flags=flags)
            if result.reason is not TransactionReason.OK:
                raise unable_to_begin(result, message, setting, view)
            entries = access_entries(result, excluded)
            if entries == message.access_list:
                break
            message = replace(message, access_list=entries)
    error = None
    if not result.success:
        # As geth: how it ended, without the reason that a revert gives.
        reverted = result.exit is Exit.REVERT
        error = "execution reverted" if reverted else halt_error(result).message
    return AccessListOutcome(entries, result.gas_used, error)


def access_entries(result: CallResult, excluded: set[Address]) -> tuple[AccessEntry, ...]:
    """What was touched, first use first. An account that is warm anyway stands in the list only
    for its slots."""
    keys: dict[Address, list[Hash32]] = {}
    for address in result.accessed_accounts:
        if address not in excluded:
            keys.setdefault(address, [])
    for address, key in result.accessed_slots:
        keys.setdefault(address, []).append(key)
    return tuple(AccessEntry(address=address, keys=tuple(found)) for address, found in keys.items())
