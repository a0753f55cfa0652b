"""What an operator does with a validator through a node's JSON-RPC: register, edit, unjail, look.

Each change is one GhostTx, signed here with the operator's key and sent to the node, which never
sees the key. What a contract would refuse is refused when the gas is estimated, so nothing is paid
for it; the contract's own error is then the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ghostchain.contracts.addresses import SLASHING, SPIRIT, STAKING
from ghostchain.contracts.framework import NativeContract
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Spirit
from ghostchain.crypto.signing import Secp256k1Signer
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.errors import GhostError
from ghostchain.primitives.transaction import Call
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import RpcClient, RpcFailure, RpcUnreachable

WAD = 10**18
RPC_TIMEOUT_S = 90.0


class OperatorFailure(GhostError):
    """The node refused, or did not answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a validator begins with. Units: wei of SPIRIT; fractions in units of 1e-18."""

    key: bytes
    proof: bytes
    self_bond: int
    commission: int
    max_commission: int
    max_daily_change: int


class Operator:
    """An operator's account at a node."""

    def __init__(self, url: str, private_key: bytes) -> None:
        self._client = RpcClient(url, timeout_s=RPC_TIMEOUT_S)
        self._signer = Secp256k1Signer(private_key)

    @property
    def address(self) -> Address:
        return self._signer.address

    def register(self, registration: Registration) -> dict[str, Any]:
        """Staking may take the bond, and the validator is there: both or neither. Returns the
        receipt."""
        return self._send(
            (
                call(Spirit, SPIRIT, "approve", STAKING, registration.self_bond),
                call(
                    Staking,
                    STAKING,
                    "createValidator",
                    registration.key,
                    registration.proof,
                    registration.commission,
                    registration.max_commission,
                    registration.max_daily_change,
                    registration.self_bond,
                ),
            )
        )

    def bond(self, amount: int) -> dict[str, Any]:
        """More of the operator's SPIRIT stands behind its validator. Units: wei."""
        return self._send(
            (
                call(Spirit, SPIRIT, "approve", STAKING, amount),
                call(Staking, STAKING, "delegate", self.address, amount),
            )
        )

    def edit(self, commission: int | None, coinbase: Address | None) -> dict[str, Any]:
        """The validator takes another commission, or is known by another coinbase; what is None
        stays as it is."""
        now = validator_of(self._client, self.address)
        kept_commission = int(now["commission"], 16)
        kept_coinbase = Address(bytes.fromhex(now["coinbase"][2:]))
        return self._send(
            (
                call(
                    Staking,
                    STAKING,
                    "editValidator",
                    kept_commission if commission is None else commission,
                    kept_coinbase if coinbase is None else coinbase,
                ),
            )
        )

    def unjail(self) -> dict[str, Any]:
        """The validator is out of jail, and counts again from the next epoch on."""
        return self._send((call(Slashing, SLASHING, "unjail"),))

    def _send(self, calls: Sequence[Call]) -> dict[str, Any]:
        """The receipt of a transaction that went in and succeeded. Raises: OperatorFailure."""
        try:
            receipt: Any = self._client.send_ghost(self._signer, calls)
        except RpcFailure as failure:
            raise OperatorFailure(words_of(failure)) from failure
        except RpcUnreachable as failure:
            raise OperatorFailure(f"no node answers: {failure}") from failure
        if not isinstance(receipt, dict) or receipt.get("status") != "0x1":
            raise OperatorFailure(f"the transaction was included and failed: {receipt}")
        return receipt


def call(contract: type[NativeContract], address: Address, function: str, *values: Any) -> Call:
    """A call of a contract's function."""
    return Call(address, 0, contract.method(function).encode_call(values))


def words_of(failure: RpcFailure) -> str:
    """A node's error, with the name and values of a contract's own error where it has one."""
    if isinstance(failure.data, str) and failure.data.startswith("0x"):
        output = bytes.fromhex(failure.data[2:])
        for contract in (Staking, Slashing, Spirit):
            for error in contract.ERRORS.values():
                values = error.decode(output)
                if values is not None:
                    shown = ", ".join(
                        format_data(value) if isinstance(value, bytes) else str(value)
                        for value in values
                    )
                    return f"refused by {contract.__name__}: {error.signature.name}({shown})"
    return f"the node refused: {failure.message}"


def chain_id_of(url: str) -> int:
    """Raises: OperatorFailure."""
    return int(asked(RpcClient(url, timeout_s=RPC_TIMEOUT_S), "eth_chainId"), 16)


def validator_of(client: RpcClient, operator: Address) -> dict[str, Any]:
    """What staking says of a validator. Raises: OperatorFailure."""
    found: dict[str, Any] = asked(client, "ghost_validator", format_data(operator))
    return found


def standing_of(url: str, operator: Address) -> dict[str, Any]:
    """A validator as the chain has it, and whether it votes at the height being decided.

    Raises: OperatorFailure.
    """
    client = RpcClient(url, timeout_s=RPC_TIMEOUT_S)
    head = int(asked(client, "eth_blockNumber"), 16)
    voters = asked(client, "ghost_voters")
    address = format_data(operator)
    votes = [voter for voter in (voters or {"validators": []})["validators"]
             if voter["operator"] == address]  # fmt: skip
    return {
        "head": head,
        "validator": validator_of(client, operator),
        "voter": votes[0] if votes else None,
    }


def asked(client: RpcClient, method: str, *params: Any) -> Any:
    """Raises: OperatorFailure."""
    try:
        return client.call(method, *params)
    except RpcFailure as failure:
        raise OperatorFailure(words_of(failure)) from failure
    except RpcUnreachable as failure:
        raise OperatorFailure(f"no node answers: {failure}") from failure


def fraction(text: str) -> int:
    """`0.05` or `5%` in units of 1e-18, exactly. Raises: ValueError."""
    from decimal import Decimal, InvalidOperation

    digits, divisor = (text[:-1], 100) if text.endswith("%") else (text, 1)
    try:
        value = Decimal(digits) * WAD / divisor
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite() or value != value.to_integral_value() or not 0 <= value <= WAD:
        raise ValueError(f"{text!r} is not between 0 and 1 with 18 digits at most")
    return int(value)


def amount(text: str) -> int:
    """Whole tokens, perhaps with a fraction, in wei. Raises: ValueError."""
    from decimal import Decimal, InvalidOperation

    try:
        value = Decimal(text.replace("_", "").replace(",", "")) * WAD
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite() or value != value.to_integral_value() or not 0 < value < 1 << 128:
        raise ValueError(f"{text!r} is no positive amount with 18 digits at most")
    return int(value)


def validator_lines(standing: dict[str, Any]) -> list[str]:
    """For people."""
    validator, voter = standing["validator"], standing["voter"]
    jailed, head = int(validator["jailedUntil"], 16), standing["head"]
    if validator["isTombstoned"]:
        state = "removed for signing twice; it never validates again"
    elif jailed and head < jailed:
        state = f"in jail for {jailed - head} more blocks (until block {jailed})"
    elif jailed:
        state = "in jail; it may leave now (ghostd validator unjail)"
    elif voter is not None:
        state = f"votes, as number {voter['index']} of the set"
    elif int(validator["power"], 16):
        state = "bonded; votes from the next epoch on"
    else:
        state = "without power: too little stake"
    return [
        f"operator    {validator['operator']}",
        f"key         {validator['consensusKey']}",
        f"state       {state}",
        f"stake       {tokens(validator['tokens'])} SPIRIT, own {tokens(validator['selfBond'])}",
        f"power       {int(validator['power'], 16):,}",
        f"commission  {int(validator['commission'], 16) / WAD:.2%}, "
        f"at most {int(validator['maxCommission'], 16) / WAD:.2%}",
        f"coinbase    {validator['coinbase']}",
    ]


def tokens(quantity: str) -> str:
    """Wei as whole tokens."""
    return f"{int(quantity, 16) / WAD:,.2f}"
