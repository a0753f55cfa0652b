"""What the node does in the name of the accounts whose keys it holds."""

from __future__ import annotations

from typing import Any

import orjson

from ghostchain.chain.fee_tokens import HYBRID_TYPES
from ghostchain.encoding.hexadecimal import format_data
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.types import Address
from ghostchain.rpc.accounts import fill_transaction, signed_transaction, with_empty_signatures
from ghostchain.rpc.backend import Refusal
from ghostchain.rpc.dispatch import Cost, Method
from ghostchain.rpc.errors import refusal_error
from ghostchain.rpc.methods.transactions import receipt_when_included
from ghostchain.rpc.parameters import (
    CallRequest,
    Parameter,
    address,
    call_request,
    data,
    quantity_64,
)
from ghostchain.rpc.render import signed_json
from ghostchain.rpc.services import Services
from ghostchain.rpc.typed_data import personal_message_digest, typed_data_digest
from ghostchain.rpc.workers import Deadline


def accounts(services: Services) -> list[str]:
    return [format_data(item) for item in services.backend.accounts()]


def coinbase(services: Services) -> str:
    return format_data(services.backend.coinbase())


def fill(services: Services, deadline: Deadline, request: CallRequest) -> Any:
    tx = with_empty_signatures(fill_transaction(services, deadline, request))
    shown = signed_json(tx)
    if tx.type in HYBRID_TYPES:
        # viem takes over what it is told, and its Celo serializer refuses a price beside fees.
        del shown["gasPrice"]
    return {"raw": format_data(encode_transaction(tx)), "tx": shown}


def sign_transaction(services: Services, deadline: Deadline, request: CallRequest) -> Any:
    tx, raw = signed_transaction(services, deadline, request)
    return {"raw": format_data(raw), "tx": signed_json(tx)}


async def send(services: Services, request: CallRequest) -> str:
    return format_data(await submit_signed(services, request))


async def send_sync(services: Services, request: CallRequest, timeout_ms: int | None) -> Any:
    """As eth_sendRawTransactionSync, for an account of the node."""
    transaction_hash = await submit_signed(services, request)
    return await receipt_when_included(services, transaction_hash, timeout_ms)


async def submit_signed(services: Services, request: CallRequest) -> Any:
    def job(deadline: Deadline) -> bytes:
        return signed_transaction(services, deadline, request)[1]

    # One at a time, so that two requests of one sender do not take the same nonce.
    async with services.signing:
        raw = await services.workers.run(job)
        (answer,) = await services.submission.submit([raw])
    if isinstance(answer, Refusal):
        raise refusal_error(answer)
    return answer


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
TIMEOUT = Parameter("timeout in milliseconds", quantity_64, required=False)
PASSWORD = Parameter("password", lambda value: value, required=False)

METHODS = (
    Method("eth_accounts", accounts),
    Method("eth_requestAccounts", accounts),
    Method("eth_coinbase", coinbase),
    Method("eth_fillTransaction", fill, (REQUEST,), Cost.SLOW),
    Method("eth_signTransaction", sign_transaction, (REQUEST,), Cost.SLOW),
    Method("eth_sendTransaction", send, (REQUEST,), Cost.AWAITED),
    Method("eth_sendTransactionSync", send_sync, (REQUEST, TIMEOUT), Cost.AWAITED),
    Method("eth_sign", sign, (ADDRESS, MESSAGE)),
    Method("personal_sign", personal_sign, (MESSAGE, ADDRESS, PASSWORD)),
    Method("eth_signTypedData_v4", sign_typed_data, (ADDRESS, Parameter("typed data", typed_data))),
    Method("eth_signTypedData", sign_typed_data, (ADDRESS, Parameter("typed data", typed_data))),
)
