"""What a genesis file says of GhostChain's own contracts, in people's terms, as accounts.

The object `ghost` beside `alloc`; all of it may be left out:

    "ghost": {
      "tokens": {"SPIRIT": {"0x…": "0x…"}, "MANA": {…}, "GHOST": {…}},
      "feeRates": {"SPIRIT": "100000000000000000", …},
      "validators": [{"operator": "0x…", "consensusKey": "0x…", "selfBond": "…",
                      "commission": "…", "maxCommission": "…", "maxDailyChange": "…"}],
      "parameters": {"staking": {"unbondingEpochs": 5, …}, "feeMarket": {…}, …},
      "epochBlocks": 7200
    }

tokens: what each holder begins with, in wei of the token. feeRates: token wei for one GCC wei,
times 1e18; a token without a rate pays no fees. validators: stake beyond `tokens`, in wei of
SPIRIT; fractions in units of 1e-18, with defaults. parameters: of the contracts by name, as
`parameters()` of each tells them.

Where the rules of `config.ghost.hybridTime` ever begin, every contract of the protocol stands in
block zero, and so do those that tools expect (`contracts/customary`). An alloc that has one of the
latter's addresses keeps its own entry; an entry for one of the protocol's contracts is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostchain.chain.config import data_bytes, integer
from ghostchain.contracts.addresses import (
    FEE_MARKET,
    GHOST,
    GOVERNANCE,
    MANA,
    SLASHING,
    SPIRIT,
    STAKING,
)
from ghostchain.contracts.customary import customary_codes
from ghostchain.contracts.economy import Economy, economy_alloc
from ghostchain.contracts.staking.genesis import EPOCH_BLOCKS, GenesisValidator
from ghostchain.execution.views import Allocation
from ghostchain.primitives.errors import InvalidGenesis
from ghostchain.primitives.types import Address

TOKENS = {"SPIRIT": SPIRIT, "MANA": MANA, "GHOST": GHOST}
GOVERNED = {
    "staking": STAKING,
    "slashing": SLASHING,
    "governance": GOVERNANCE,
    "feeMarket": FEE_MARKET,
}
KNOWN = ("tokens", "feeRates", "validators", "parameters", "epochBlocks")
VALIDATOR_FRACTIONS = {
    "commission": "commission",
    "maxCommission": "max_commission",
    "maxDailyChange": "max_daily_change",
}


def hybrid_alloc(
    section: object, native_supply: int, taken: Mapping[Address, object]
) -> dict[Address, Allocation]:
    """The accounts to add to an alloc.

    section: the file's `ghost`, or None. native_supply: the sum of the alloc's balances, in wei.
    taken: what the alloc has.
    Raises: InvalidGenesis saying what is wrong where.
    """
    economy = parse_economy({} if section is None else section)
    try:
        accounts = economy_alloc(native_supply, economy)
    except ValueError as error:
        raise InvalidGenesis(f"ghost: {error}") from error
    clash = sorted(accounts.keys() & taken.keys())
    if clash:
        raise InvalidGenesis(
            f"alloc[0x{clash[0].hex()}] is where a contract of the protocol stands"
        )
    for address, code in customary_codes().items():
        if address not in taken:
            accounts[address] = Allocation(nonce=1, code=code)
    return accounts


def parse_economy(section: object) -> Economy:
    """The section `ghost` of a genesis file.

    Raises: InvalidGenesis saying what is wrong where.
    """
    fields = _object(section, "ghost")
    unknown = sorted(fields.keys() - set(KNOWN))
    if unknown:
        raise InvalidGenesis(f"ghost.{unknown[0]} is not known; known: {', '.join(KNOWN)}")
    return Economy(
        balances={
            token: {
                Address(_fixed(holder, 20, where)): integer(amount, f"{where}[{holder}]")
                for holder, amount in _object(holders, where).items()
            }
            for token, holders, where in _named(fields, "tokens", TOKENS)
        },
        rates={
            token: integer(rate, where) for token, rate, where in _named(fields, "feeRates", TOKENS)
        },
        parameters={
            contract: {
                name: integer(value, f"{where}.{name}")
                for name, value in _object(values, where).items()
            }
            for contract, values, where in _named(fields, "parameters", GOVERNED)
        },
        validators=tuple(_validators(fields.get("validators", []))),
        epoch_blocks=integer(fields.get("epochBlocks", EPOCH_BLOCKS), "ghost.epochBlocks"),
    )


def _validators(value: object) -> list[GenesisValidator]:
    if not isinstance(value, list):
        raise InvalidGenesis("ghost.validators must be a list")
    return [_validator(entry, f"ghost.validators[{index}]") for index, entry in enumerate(value)]


def _validator(value: object, where: str) -> GenesisValidator:
    fields = _object(value, where)
    unknown = fields.keys() - {"operator", "consensusKey", "selfBond"} - set(VALIDATOR_FRACTIONS)
    if unknown:
        raise InvalidGenesis(f"{where}.{min(unknown)} is not known")
    fractions: dict[str, Any] = {
        field: integer(fields[name], f"{where}.{name}")
        for name, field in VALIDATOR_FRACTIONS.items()
        if name in fields
    }
    return GenesisValidator(
        operator=Address(_fixed(fields.get("operator"), 20, f"{where}.operator")),
        consensus_key=_fixed(fields.get("consensusKey"), 32, f"{where}.consensusKey"),
        self_bond=integer(fields.get("selfBond"), f"{where}.selfBond"),
        **fractions,
    )


def _named(
    fields: Mapping[str, object], name: str, known: Mapping[str, Address]
) -> list[tuple[Address, object, str]]:
    """(the address that a key names, what is said of it, where it is said)."""
    rows = []
    for key, value in _object(fields.get(name) or {}, f"ghost.{name}").items():
        where = f"ghost.{name}.{key}"
        if key not in known:
            raise InvalidGenesis(f"{where} is not one of {', '.join(known)}")
        rows.append((known[key], value, where))
    return rows


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise InvalidGenesis(f"{where} must be an object")
    return value


def _fixed(value: object, size: int, where: str) -> bytes:
    data = data_bytes(value, where)
    if len(data) != size:
        raise InvalidGenesis(f"{where}: {value} has {len(data)} bytes, not {size}")
    return data
