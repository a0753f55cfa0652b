"""What the node does in the name of the accounts whose keys it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from ghostchain.chain.fee_tokens import HYBRID_TYPES
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import (
    decode_transaction,
    encode_transaction,
    signing_payload,
)
from ghostchain.primitives.types import ZERO_ADDRESS, Address
from ghostchain.rpc.accounts import (
    fill_transaction,
    made_transaction,
    signed_transaction,
    with_empty_signatures,
)
from ghostchain.rpc.backend import Refusal
from ghostchain.rpc.errors import refusal_error, server_error
from ghostchain.rpc.method import Cost, Method
from ghostchain.rpc.methods.transactions import TIMEOUT, receipt_when_included
from ghostchain.rpc.parameters import (
    CallRequest,
    Parameter,
    address,
    call_request,
    data,
    quantity,
    quantity_64,
)
from ghostchain.rpc.render import pending_transaction_json, signed_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.typed_data import personal_message_digest, typed_data_digest
from ghostchain.rpc.workers import Deadline


def accounts(services: Services) -> list[str]:
    return [format_data(item) for item in services.backend.accounts()]


def coinbase(services: Services) -> str:
    return format_data(services.backend.coinbase())


def fill(services: Services, deadline: Deadline, request: CallRequest) -> Any:
    tx = with_empty_signatures(fill_transaction(services, deadline, request))
    raw = encode_transaction(tx)
    shown = signed_json(tx) | {"hash": format_data(keccak256(raw))}
    if tx.type in HYBRID_TYPES:
        # viem takes over what it is told, and its Celo serializer refuses a price beside fees.
        del shown["gasPrice"]
    return {"raw": format_data(raw), "tx": shown}


def sign_transaction(services: Services, deadline: Deadline, request: CallRequest) -> Any:
    tx, raw = signed_transaction(services, deadline, request)
    shown = signed_json(tx) | {"hash": format_data(keccak256(raw))}
    return {"raw": format_data(raw), "tx": shown}


async def send(services: Services, request: CallRequest) -> str:
    return format_data(await submit_signed(services, request))


async def send_sync(services: Services, request: CallRequest, timeout_ms: int | None) -> Any:
    """As eth_sendRawTransactionSync, for an account of the node."""
    transaction_hash = await submit_signed(services, request)
    return await receipt_when_included(services, transaction_hash, timeout_ms)


async def submit_signed(services: Services, request: CallRequest) -> Any:
    return await submit_made(
        services, request.sender, lambda deadline: made_transaction(services, deadline, request)
    )


async def submit_made(
    services: Services,
    sender: Address | None,
    make: Callable[[Deadline], tuple[bytes, Address | None]],
) -> Any:
    """The hash of the transaction that `make` gives on a worker's thread: its bytes, and who it is
    sent for where nobody signed it."""
    # One at a time, so that two requests of one sender do not take the same nonce.
    async with services.signing.turn_of(sender):
        raw, impersonated = await services.workers.run(make)
        if impersonated is None:
            (answer,) = await services.submission.admit([raw])
        else:
            hand = services.backend.development
            assert hand is not None, "only a development chain impersonates"
            answer = await hand.submit_unsigned(impersonated, raw)
    if not isinstance(answer, Refusal):
        (answer,) = await services.submission.settle([answer])
    if isinstance(answer, Refusal):
        raise refusal_error(answer)
    return answer


def pending(services: Services, deadline: Deadline) -> list[Any]:
    """What waits of the node's own accounts, as geth's eth_pendingTransactions."""
    found = services.backend.pool_content().pending
    return [
        pending_transaction_json(item, decode_transaction(item.raw))
        for who in services.backend.accounts()
        for item in found.get(who, ())
    ]


async def resend(
    services: Services, request: CallRequest, gas_price: int | None, gas_limit: int | None
) -> str:
    """Replaces what waits of an account of the node by the same with another price or gas."""
    if request.nonce is None:
        raise server_error("missing transaction nonce in transaction spec")

    def find(deadline: Deadline) -> None:
        content = services.backend.pool_content()
        sides = (content.pending, content.queued)
        waiting = [item for side in sides for item in side.get(request.sender or ZERO_ADDRESS, ())]
        digest = signing_payload(fill_transaction(services, deadline, request))
        if all(signing_payload(decode_transaction(item.raw)) != digest for item in waiting):
            raise server_error(f"transaction {format_data(keccak256(digest))} not found")

    await services.workers.run(find)
    changed = replace(request, gas=gas_limit or request.gas)
    if gas_price:
        changed = replace(
            changed, gas_price=gas_price, max_fee_per_gas=None, max_priority_fee_per_gas=None
        )
    return await send(services, changed)


def signature(services: Services, who: Address, digest: bytes) -> str:
    r, s, y_parity = services.backend.sign(who, digest)
    return format_data(r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((27 + y_parity,)))


def sign(services: Services, who: Address, message: bytes) -> str:
    return signature(services, who, personal_message_digest(message))


def personal_sign(services: Services, message: bytes, who: Address, password: Any) -> str:
    return signature(services, who, personal_message_digest(message))


def sign_typed_data(services: Services, who: Address, document: Any) -> str:
    return signature(services, who, typed_data_digest(document))


def typed_data(value: Any) -> Any:
    """The document, or its JSON as text, which some wallets send. Raises ValueError."""
    document = orjson.loads(value) if isinstance(value, str) else value
    typed_data_digest(document)
    return document


REQUEST = Parameter("transaction", call_request)
ADDRESS = Parameter("address", address)
MESSAGE = Parameter("message", data)
GAS_PRICE = Parameter("gas price", quantity, required=False)
GAS_LIMIT = Parameter("gas limit", quantity_64, required=False)
PASSWORD = Parameter("password", lambda value: value, required=False)

METHODS = (
    Method("eth_accounts", accounts),
    Method("eth_requestAccounts", accounts),
    Method("eth_coinbase", coinbase),
    Method("eth_fillTransaction", fill, (REQUEST,), Cost.SLOW),
    Method("eth_signTransaction", sign_transaction, (REQUEST,), Cost.SLOW),
    Method("eth_sendTransaction", send, (REQUEST,), Cost.AWAITED),
    Method("eth_sendTransactionSync", send_sync, (REQUEST, TIMEOUT), Cost.AWAITED),
    Method("eth_pendingTransactions", pending, (), Cost.SLOW),
    Method("eth_resend", resend, (REQUEST, GAS_PRICE, GAS_LIMIT), Cost.AWAITED),
    Method("eth_sign", sign, (ADDRESS, MESSAGE)),
    Method("personal_sign", personal_sign, (MESSAGE, ADDRESS, PASSWORD)),
    Method("eth_signTypedData_v4", sign_typed_data, (ADDRESS, Parameter("typed data", typed_data))),
    Method("eth_signTypedData_v3", sign_typed_data, (ADDRESS, Parameter("typed data", typed_data))),
    Method("eth_signTypedData", sign_typed_data, (ADDRESS, Parameter("typed data", typed_data))),
)
