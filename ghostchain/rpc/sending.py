"""Building, signing and sending transactions of types 0x7b and 0x47 from the client's side.

What has to be asked of a node and in which order is the same on an event loop and without one, so
it is written once, as generators: each yields requests and is sent their results; what it returns
is the receipt. `RpcClient` and `AsyncRpcClient` drive them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ghostchain.crypto.signing import Secp256k1Signer, Signer, sign_ghost, sign_transaction
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import AccessEntry, Call, Transaction, TransactionType
from ghostchain.primitives.types import Address
from ghostchain.rpc.render import Json, access_list_json, call_json

INCLUSION_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a batch."""

    method: str
    params: tuple[Any, ...] = ()


Steps = Generator[Sequence[Request], Sequence[Any], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the node is asked for unless it is given.

    Units: fees in wei of the fee token per gas. max_fee_per_gas: else twice the base fee and the
    tip. inclusion_timeout_ms: how long to wait for the receipt.
    """

    nonce: int | None = None
    gas_limit: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    access_list: tuple[AccessEntry, ...] = ()
    inclusion_timeout_ms: int = INCLUSION_TIMEOUT_MS


DEFAULT_TERMS = Terms()


def fee_currency_steps(
    private_key: bytes, call: Call, fee_currency: Address | None, terms: Terms
) -> Steps:
    """A call, or a creation, by a secp256k1 key with type 0x7b, its fee paid in fee_currency."""
    sender = Secp256k1Signer(private_key).address
    request: Json = call_json(call)
    if fee_currency is not None:
        request["feeCurrency"] = format_data(fee_currency)
    draft = Transaction(
        type=TransactionType.FEE_CURRENCY,
        chain_id=None,
        nonce=0,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        gas_limit=0,
        to=call.to,
        value=call.value,
        data=call.data,
        fee_token=fee_currency,
    )
    tx = yield from filled(draft, sender, request, terms)
    return (yield from included(encode_transaction(sign_transaction(tx, private_key)), terms))


def ghost_steps(
    signer: Signer,
    calls: Sequence[Call],
    fee_token: Address | None,
    payer: Signer | None,
    terms: Terms,
) -> Steps:
    """An atomic list of calls by any key, its fee paid in fee_token by payer."""
    request: Json = {
        "calls": [call_json(call) for call in calls],
        "signatureScheme": hex(signer.scheme),
    }
    if fee_token is not None:
        request["feeToken"] = format_data(fee_token)
    if payer is not None:
        request["feePayer"] = format_data(payer.address)
        request["payerSignatureScheme"] = hex(payer.scheme)
    draft = Transaction(
        type=TransactionType.GHOST,
        chain_id=None,
        nonce=0,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        gas_limit=0,
        to=None,
        calls=tuple(calls),
        fee_token=fee_token,
        fee_payer=None if payer is None else payer.address,
    )
    tx = yield from filled(draft, signer.address, request, terms)
    return (yield from included(encode_transaction(sign_ghost(tx, signer, payer)), terms))


def filled(
    draft: Transaction, sender: Address, request: Json, terms: Terms
) -> Generator[Sequence[Request], Sequence[Any], Transaction]:
    """The draft with chain id, nonce, fees and gas. request: its calls and who pays, as an object
    of eth_estimateGas."""
    token = () if draft.fee_token is None else (format_data(draft.fee_token),)
    account = format_data(sender)
    answers = yield (
        Request("eth_chainId"),
        Request("eth_getTransactionCount", (account, "pending")),
        Request("eth_gasPrice", token),
        Request("eth_maxPriorityFeePerGas", token),
    )
    chain_id, nonce, price, tip = (int(answer, 16) for answer in answers)
    base_fee = price - tip
    if terms.max_priority_fee_per_gas is not None:
        tip = terms.max_priority_fee_per_gas
    elif terms.max_fee_per_gas is not None:
        tip = min(tip, terms.max_fee_per_gas)
    max_fee = 2 * base_fee + tip if terms.max_fee_per_gas is None else terms.max_fee_per_gas
    tx = replace(
        draft,
        chain_id=chain_id,
        nonce=nonce if terms.nonce is None else terms.nonce,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=tip,
        access_list=terms.access_list,
    )
    if terms.gas_limit is not None:
        return replace(tx, gas_limit=terms.gas_limit)
    asked = {
        **request,
        "from": account,
        "nonce": hex(tx.nonce),
        "maxFeePerGas": hex(max_fee),
        "maxPriorityFeePerGas": hex(tip),
        "accessList": access_list_json(tx.access_list),
    }
    (gas,) = yield (Request("eth_estimateGas", (asked, "pending")),)
    return replace(tx, gas_limit=int(gas, 16))


def included(raw: bytes, terms: Terms) -> Steps:
    """Sends it and waits for its receipt (EIP-7966)."""
    params = (format_data(raw), hex(terms.inclusion_timeout_ms))
    (receipt,) = yield (Request("eth_sendRawTransactionSync", params),)
    found: Json = receipt
    return found
