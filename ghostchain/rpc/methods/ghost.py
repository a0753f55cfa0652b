"""What GhostChain has and Ethereum has not: tokens, fee rates, engines, stake, votes.

Every row knows the schema of its parameters and of its answer; `openrpc` makes the document of them
that `rpc.discover` gives and docs/openrpc.json holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ghostchain.contracts.addresses import TOKENS, address_of
from ghostchain.contracts.customary import DEPLOYMENT_PROXY, MULTICALL3, multicall3_abi
from ghostchain.contracts.feemarket import FeeMarket
from ghostchain.contracts.framework import NativeContract
from ghostchain.contracts.governance import Governance
from ghostchain.contracts.governed import Governed
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Capped, Gcc, Ghost, Mana, Spirit, Token
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.engines import engine_of
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.methods import consensus
from ghostchain.rpc.methods.state import view_at
from ghostchain.rpc.openrpc import Argument, Row, document, row
from ghostchain.rpc.parameters import BlockId, Parameter, address, block_id, quantity
from ghostchain.rpc.services import Services
from ghostchain.rpc.views import (
    ADDRESS,
    HASH,
    QUANTITY,
    TEXT,
    object_schema,
    reading,
    result_json,
    result_schema,
)
from ghostchain.rpc.workers import Deadline

TOKEN_CLASSES: tuple[type[Token], ...] = (Gcc, Spirit, Mana, Ghost)
SYMBOLS = tuple(token.SYMBOL for token in TOKEN_CLASSES)
PAGE_DEFAULT = 100

BLOCK_SCHEMA = {
    "description": "a number, a tag, a hash, or an object of EIP-1898; latest when left out",
    "anyOf": [{"type": "string"}, {"type": "object"}],
}


# ---- views of one contract ----

ACCOUNT: Argument = (Parameter("address", address), ADDRESS)
BLOCK: Argument = (Parameter("block", block_id, required=False, default="latest"), BLOCK_SCHEMA)
PAGE: tuple[Argument, ...] = (
    (Parameter("offset", quantity, required=False, default=0), QUANTITY),
    (Parameter("limit", quantity, required=False, default=PAGE_DEFAULT), QUANTITY),
)


def _view(
    name: str,
    contract: type[NativeContract],
    function: str,
    summary: str,
    *arguments: Argument,
) -> Row:
    """A method that gives what a view function answers."""
    method = contract.method(function)

    def run(services: Services, deadline: Deadline, *values: Any) -> Any:
        *given, block = values
        with reading(services, block) as read:
            return result_json(method, read(contract, function, *given))

    return row(name, run, summary, (*arguments, BLOCK), function, result_schema(method))


# ---- tokens ----


def tokens(services: Services, deadline: Deadline, block: BlockId) -> Any:
    with reading(services, block) as read:
        return [_token_json(read, token) for token in TOKEN_CLASSES]


def _token_json(read: Callable[..., Any], token: type[Token]) -> dict[str, Any]:
    return {
        "symbol": token.SYMBOL,
        "name": token.NAME,
        "address": format_data(address_of(token.ID)),
        "decimals": hex(read(token, "decimals")),
        "cap": hex(token.CAP) if issubclass(token, Capped) else None,
        "totalSupply": hex(read(token, "totalSupply")),
        "feeRate": hex(read(FeeMarket, "rate", address_of(token.ID))),
    }


def supplies(services: Services, deadline: Deadline, block: BlockId) -> Any:
    with reading(services, block) as read:
        return {token.SYMBOL: hex(read(token, "totalSupply")) for token in TOKEN_CLASSES}


def balances(services: Services, deadline: Deadline, who: Address, block: BlockId) -> Any:
    with reading(services, block) as read:
        return {token.SYMBOL: hex(read(token, "balanceOf", who)) for token in TOKEN_CLASSES}


def fee_rates(services: Services, deadline: Deadline, block: BlockId) -> Any:
    with reading(services, block) as read:
        return {
            token.SYMBOL: hex(read(FeeMarket, "rate", address_of(token.ID)))
            for token in TOKEN_CLASSES
        }


def fee_token(value: Any) -> Address:
    """A token by its symbol or its address."""
    if isinstance(value, str) and value in SYMBOLS:
        return TOKENS[SYMBOLS.index(value)]
    found = address(value)
    if found not in TOKENS:
        raise ValueError(f"no token that pays fees; they are {', '.join(SYMBOLS)}")
    return found


# ---- engines and contracts ----


def engine(services: Services, who: Address, block: BlockId) -> Any:
    view = view_at(services, block)
    code_hash = account_at(view, who).code_hash
    code = b"" if code_hash == EMPTY_CODE_HASH else view.code(code_hash)
    found = engine_of(code)
    contract = NATIVE_CONTRACTS.get(code[2]) if found == "native" else None
    return {
        "engine": found,
        "codeHash": format_data(code_hash),
        "codeSize": hex(len(code)),
        "contract": contract.__name__ if contract is not None else None,
    }


def contracts(services: Services) -> Any:
    native = [
        {
            "name": contract.__name__,
            "address": format_data(address_of(contract_id)),
            "engine": "native",
            "abi": contract.abi(),
        }
        for contract_id, contract in sorted(NATIVE_CONTRACTS.items())
    ]
    customary = [
        {"name": name, "address": format_data(where), "engine": "evm", "abi": abi}
        for name, where, abi in (
            ("Multicall3", MULTICALL3, multicall3_abi()),
            ("DeploymentProxy", DEPLOYMENT_PROXY, []),
        )
    ]
    return native + customary


# ---- stake and votes ----


def validator_set(services: Services, deadline: Deadline, epoch: int | None, block: BlockId) -> Any:
    with reading(services, block) as read:
        if epoch is None:
            return result_json(ACTIVE_SET, read(Staking, "activeSet"))
        return result_json(ACTIVE_SET, read(Staking, "validatorSet", epoch))


def rewards(
    services: Services, deadline: Deadline, delegator: Address, validator: Address, block: BlockId
) -> Any:
    with reading(services, block) as read:
        pending = read(Staking, "pendingRewards", delegator, validator)
        credited = read(Staking, "credited", delegator)
    return {
        "pending": result_json(PENDING_REWARDS, pending),
        "credited": result_json(CREDITED, credited),
    }


def parameters(services: Services, deadline: Deadline, block: BlockId) -> Any:
    with reading(services, block) as read:
        return {
            contract.__name__: {
                entry.name: {
                    "value": hex(entry.value),
                    "low": hex(entry.low),
                    "high": hex(entry.high),
                }
                for entry in read(contract, "parameters")
            }
            for contract in GOVERNED
        }


GOVERNED: tuple[type[Governed], ...] = tuple(
    contract for contract in NATIVE_CONTRACTS.values() if issubclass(contract, Governed)
)
ACTIVE_SET = Staking.method("activeSet")
PENDING_REWARDS = Staking.method("pendingRewards")
CREDITED = Staking.method("credited")

BY_TOKEN = object_schema(dict.fromkeys(SYMBOLS, QUANTITY))
OR_NULL = {"type": "null"}
TOKEN_SCHEMA = object_schema(
    {
        "symbol": {"enum": list(SYMBOLS)},
        "name": TEXT,
        "address": ADDRESS,
        "decimals": QUANTITY,
        "cap": {"anyOf": [QUANTITY, OR_NULL]},
        "totalSupply": QUANTITY,
        "feeRate": QUANTITY,
    }
)
ENGINE_SCHEMA = object_schema(
    {
        "engine": {"enum": ["none", "evm", "wasm", "native", "delegation"]},
        "codeHash": HASH,
        "codeSize": QUANTITY,
        "contract": {"anyOf": [TEXT, OR_NULL]},
    }
)
CONTRACT_SCHEMA = object_schema(
    {
        "name": TEXT,
        "address": ADDRESS,
        "engine": {"enum": ["native", "evm"]},
        "abi": {"type": "array", "items": {"type": "object"}},
    }
)
PARAMETERS_SCHEMA = object_schema(
    {
        contract.__name__: object_schema(
            {
                name: object_schema({"value": QUANTITY, "low": QUANTITY, "high": QUANTITY})
                for name in contract.PARAMETERS
            }
        )
        for contract in GOVERNED
    }
)
REWARDS_SCHEMA = object_schema(
    {"pending": result_schema(PENDING_REWARDS), "credited": result_schema(CREDITED)}
)
TOKEN_ARGUMENT: Argument = (
    Parameter("token", fee_token),
    {"description": "symbol or address", "anyOf": [{"enum": list(SYMBOLS)}, ADDRESS]},
)
EPOCH: Argument = (Parameter("epoch", quantity, required=False), QUANTITY)
VALIDATOR: Argument = (Parameter("validator", address), ADDRESS)

ROWS = (
    row(
        "ghost_tokens",
        tokens,
        "The four tokens: where they are, how much there is, and what a fee costs in each "
        "(token wei for a GCC wei, times 1e18; 0: pays no fees).",
        (BLOCK,),
        "tokens",
        {"type": "array", "items": TOKEN_SCHEMA},
    ),
    row(
        "ghost_supplies",
        supplies,
        "The supply of each token, in wei.",
        (BLOCK,),
        "supplies",
        BY_TOKEN,
    ),
    row(
        "ghost_balances",
        balances,
        "What an account has of each token, in wei.",
        (ACCOUNT, BLOCK),
        "balances",
        BY_TOKEN,
    ),
    row(
        "ghost_feeRates",
        fee_rates,
        "Token wei for a GCC wei of fee, times 1e18; 0: the token pays no fees.",
        (BLOCK,),
        "rates",
        BY_TOKEN,
    ),
    _view(
        "ghost_quoteFee",
        FeeMarket,
        "quote",
        "The least that an amount of gas costs in a token: the base fee per gas, and the whole.",
        (Parameter("gas", quantity), QUANTITY),
        TOKEN_ARGUMENT,
    ),
    row(
        "ghost_engine",
        engine,
        "Which engine runs the code of an account, and for a contract of the protocol its name.",
        (ACCOUNT, BLOCK),
        "engine",
        ENGINE_SCHEMA,
        Cost.CHEAP,
    ),
    row(
        "ghost_contracts",
        contracts,
        "The contracts that every hybrid chain has, with their ABIs.",
        (),
        "contracts",
        {"type": "array", "items": CONTRACT_SCHEMA},
        Cost.CHEAP,
    ),
    _view(
        "ghost_validators",
        Staking,
        "validators",
        "A page of the validators, and how many there are.",
        *PAGE,
    ),
    _view("ghost_validator", Staking, "validator", "One validator, by its operator.", ACCOUNT),
    row(
        "ghost_validatorSet",
        validator_set,
        "Who votes in an epoch, the most powerful first; without an epoch, in the current one.",
        (EPOCH, BLOCK),
        "validators",
        result_schema(ACTIVE_SET),
    ),
    _view("ghost_stake", Staking, "totalStake", "SPIRIT that is bonded, and that unbonds, in wei."),
    _view("ghost_delegations", Staking, "delegations", "All that an account has bonded.", ACCOUNT),
    _view(
        "ghost_unbondings",
        Staking,
        "unbondings",
        "All stake of an account on its way out.",
        ACCOUNT,
    ),
    row(
        "ghost_rewards",
        rewards,
        "What an account has earned with a validator, and what is credited to it from all.",
        (ACCOUNT, VALIDATOR, BLOCK),
        "rewards",
        REWARDS_SCHEMA,
    ),
    _view(
        "ghost_proposals",
        Governance,
        "proposals",
        "A page of the proposals, oldest first, and how many there are.",
        *PAGE,
    ),
    _view(
        "ghost_proposal",
        Governance,
        "proposal",
        "One proposal, with its calls and its votes.",
        (Parameter("id", quantity), QUANTITY),
    ),
    row(
        "ghost_parameters",
        parameters,
        "Every number that governance sets, with its bounds, by contract.",
        (BLOCK,),
        "parameters",
        PARAMETERS_SCHEMA,
    ),
)


DOCUMENTED = (*ROWS, *consensus.ROWS)


def openrpc() -> dict[str, Any]:
    """The OpenRPC document of the methods here and in `consensus.py`."""
    return document(DOCUMENTED)


def discover(services: Services) -> Any:
    return openrpc()


METHODS = (*(entry.method for entry in DOCUMENTED), Method("rpc.discover", discover))

assert tuple(address_of(token.ID) for token in TOKEN_CLASSES) == TOKENS
