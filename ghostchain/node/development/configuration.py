"""What a development chain is started with: anvil's flags, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostchain.chain.networks import TEST_MNEMONIC
from ghostchain.crypto.hierarchical import ETHEREUM_PATH, keys_of, path_of
from ghostchain.node.development.settings import FEES
from ghostchain.primitives.leniency import CODE_BYTES_UNBOUND, STRICT, Leniency
from ghostchain.primitives.units import ETHER

GAS_LIMIT_MAX = (1 << 63) - 1
STATE_NAME = "state.json"
# Each says something of a development chain alone, and has this value unless it is given.
DEFAULTS: Mapping[str, Any] = {
    "accounts": 10,
    "balance": 10_000,
    "mnemonic": TEST_MNEMONIC,
    "no_mining": False,
    "mixed_mining": False,
    "order": FEES,
    "base_fee": None,
    "timestamp": None,
    "hardfork": None,
    "auto_impersonate": False,
    "disable_block_gas_limit": False,
    "state": None,
    "load_state": None,
    "dump_state": None,
    "derivation_path": None,
    "config_out": None,
    "code_size_limit": None,
    "disable_code_size_limit": False,
    "enable_tx_gas_limit": False,
    "max_transactions": None,
    "state_interval": None,
    "preserve_historical_states": False,
}
# Those of them that a genesis of one's own says.
OF_GENESIS = ("balance", "base_fee", "timestamp", "hardfork")


@dataclass(frozen=True, slots=True)
class DevelopmentConfiguration:
    """accounts: so many of the mnemonic's hold balance_wei at the beginning. base_fee, timestamp:
    of genesis; None: its own. hardfork: whose rules hold, None for the newest.
    caps_transaction_gas: EIP-7825 binds transactions. load_state: a dump that a chain without
    blocks begins with; is_optional: it need not be there. dump_state: where
    the state is written at the end. is_driven: mining, order or impersonation were asked for, so
    what was set by hand before a restart is set anew. path: of the accounts' keys, up to their
    numbers. transactions_max: of a block. state_interval_s: the state is written so often too.
    dumps_history: older states are written too.
    config_out: where accounts and keys are written as JSON. leniency: without signatures.
    """

    accounts: int = 10
    balance_wei: int = 10_000 * ETHER
    mnemonic: str = TEST_MNEMONIC
    order: str = FEES
    base_fee: int | None = None
    timestamp: int | None = None
    hardfork: str | None = None
    caps_transaction_gas: bool = False
    auto_impersonate: bool = False
    load_state: Path | None = None
    is_optional: bool = False
    dump_state: Path | None = None
    is_driven: bool = False
    path: tuple[int, ...] = ETHEREUM_PATH
    transactions_max: int | None = None
    state_interval_s: int | None = None
    config_out: Path | None = None
    dumps_history: bool = False
    leniency: Leniency = STRICT

    @property
    def is_usual(self) -> bool:
        """Whether the ten accounts of every tool hold the usual balance."""
        usual = (10, 10_000 * ETHER, TEST_MNEMONIC, ETHEREUM_PATH)
        return (self.accounts, self.balance_wei, self.mnemonic, self.path) == usual

    def private_keys(self) -> tuple[bytes, ...]:
        """The private keys of the accounts."""
        return keys_of(self.mnemonic, self.accounts, self.path)


def development_of(
    options: Mapping[str, Any], *, is_dev: bool, has_genesis: bool = False
) -> DevelopmentConfiguration:
    """has_genesis: of its own (--genesis). Raises: ValueError, in words for whoever typed it."""
    given = {name: options.get(name) for name in DEFAULTS if options.get(name) is not None}
    said = [name for name, value in given.items() if value != DEFAULTS[name]]
    if said and not is_dev:
        raise ValueError(f"--{said[0].replace('_', '-')} says something of --dev alone")
    of_genesis = [name for name in said if name in OF_GENESIS]
    if of_genesis and has_genesis:
        raise ValueError(f"--{of_genesis[0].replace('_', '-')}: that stands in the --genesis given")
    chosen = {**DEFAULTS, **given}
    if chosen["state"] is not None and (chosen["load_state"] or chosen["dump_state"]):
        raise ValueError("--state is --load-state and --dump-state together; give it or them")
    if chosen["no_mining"] and options.get("block_time") is not None:
        raise ValueError("--no-mining and --block-time: one of them says when blocks are made")
    if chosen["mixed_mining"] and options.get("block_time") is None:
        raise ValueError("--mixed-mining needs --block-time")
    if chosen["disable_block_gas_limit"] and options.get("gas_limit") is not None:
        raise ValueError("--disable-block-gas-limit and --gas-limit: there is a limit or none")
    if chosen["disable_code_size_limit"] and chosen["code_size_limit"] is not None:
        raise ValueError("--disable-code-size-limit and --code-size-limit: a limit or none")
    try:
        keys_of(chosen["mnemonic"], 0)
    except ValueError as refusal:
        raise ValueError(f"--mnemonic: {refusal}") from refusal
    path = chosen["derivation_path"]
    state = state_path(chosen["state"])
    driving = ("no_mining", "mixed_mining", "order", "auto_impersonate")
    return DevelopmentConfiguration(
        accounts=chosen["accounts"],
        balance_wei=chosen["balance"] * ETHER,
        mnemonic=chosen["mnemonic"],
        order=chosen["order"],
        base_fee=chosen["base_fee"],
        timestamp=chosen["timestamp"],
        hardfork=chosen["hardfork"],
        caps_transaction_gas=chosen["enable_tx_gas_limit"],
        auto_impersonate=chosen["auto_impersonate"],
        load_state=state_path(chosen["load_state"]) or state,
        is_optional=state is not None,
        dump_state=state_path(chosen["dump_state"]) or state,
        path=ETHEREUM_PATH if path is None else path_of(path),
        transactions_max=chosen["max_transactions"],
        state_interval_s=chosen["state_interval"],
        config_out=chosen["config_out"],
        dumps_history=chosen["preserve_historical_states"],
        leniency=Leniency(
            CODE_BYTES_UNBOUND if chosen["disable_code_size_limit"] else chosen["code_size_limit"],
        ),
        is_driven=any(name in said for name in driving) or options.get("block_time") is not None,
    )


def state_path(given: Path | None) -> Path | None:
    """The file; of a directory the one of anvil's name in it."""
    return given / STATE_NAME if given is not None and given.is_dir() else given
