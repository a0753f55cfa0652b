"""Transactions that the node makes for its own accounts: filling in what the caller left open,
and signing."""

from __future__ import annotations

from dataclasses import replace

from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.transactions import encode_transaction, payer_payload, signing_payload
from ghostchain.encoding.unsigned import encode_unsigned
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.transaction import (
    SchemeSignature,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import ZERO_ADDRESS, Address
from ghostchain.rpc.backend import UnknownAccount
from ghostchain.rpc.calls import (
    GAS_TRANSACTION,
    account_at,
    check_request,
    estimate_gas,
    fee_token_of,
    request_calls,
    transaction_type,
)
from ghostchain.rpc.errors import reason_message, server_error
from ghostchain.rpc.fees import suggest_fees
from ghostchain.rpc.parameters import CallRequest
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


def next_nonce(services: Services, address: Address) -> int:
    """The nonce of the sender's next transaction, what waits in the pool counted."""
    waiting = services.backend.pool_nonce(address)
    if waiting is not None:
        return waiting
    view = services.backend.state_at(services.backend.head().number)
    return account_at(view, address).nonce


def fill_transaction(services: Services, deadline: Deadline, request: CallRequest) -> Transaction:
    """The unsigned transaction a request means: nonce, fees, gas and type chosen as geth would.

    Raises RpcError, an estimate's revert included.
    """
    check_request(services, request)
    if request.to is None and not request.data and not request.calls:
        raise server_error("contract creation without any data provided")
    request = with_fees(services, request)
    sender = request.sender or ZERO_ADDRESS
    nonce = next_nonce(services, sender) if request.nonce is None else request.nonce
    gas = request.gas
    if gas is None:
        refuse_unpayable(services, request, sender)
        gas = estimate_gas(services, deadline, replace(request, nonce=nonce), "pending", {})
    kind = transaction_type(request)
    max_fee, priority_fee = request.max_fee_per_gas, request.max_priority_fee_per_gas
    if request.gas_price is not None:
        max_fee = priority_fee = request.gas_price
    assert max_fee is not None
    assert priority_fee is not None
    is_ghost = kind == TransactionType.GHOST
    return Transaction(
        type=kind,
        chain_id=services.backend.chain_id,
        nonce=nonce,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=priority_fee,
        gas_limit=gas,
        to=None if is_ghost else request.to,
        value=0 if is_ghost else request.value or 0,
        data=b"" if is_ghost else request.data or b"",
        access_list=request.access_list or (),
        max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
        blob_versioned_hashes=request.blob_versioned_hashes or (),
        authorizations=request.authorizations or (),
        calls=request_calls(request) if is_ghost else (),
        fee_token=fee_token_of(request),
        fee_payer=request.fee_payer,
    )


def refuse_unpayable(services: Services, request: CallRequest, sender: Address) -> None:
    """Raises: RpcError that the funds are insufficient, where the sender's coins do not pay for
    what every transaction takes. An estimate would say that more gas is required than they allow,
    which clients (viem, ethers) take for a revert."""
    price = request.gas_price if request.max_fee_per_gas is None else request.max_fee_per_gas
    if not price or fee_token_of(request) is not None or request.fee_payer is not None:
        return
    view = services.backend.state_at(services.backend.head().number)
    balance = account_at(view, sender).balance
    want = (request.value or 0) + GAS_TRANSACTION * price
    if balance < want:
        values: dict[str, int | bytes] = {"address": sender, "have": balance, "want": want}
        reason = TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS
        raise server_error(reason_message(reason, values))


def with_fees(services: Services, request: CallRequest) -> CallRequest:
    """Fees that hold for some blocks: twice the base fee, and the suggested tip; where the caller
    says what to pay at most and the nonce of a transaction that waits, the tip that replaces it."""
    if transaction_type(request) == TransactionType.BLOB and request.max_fee_per_blob_gas is None:
        number = services.backend.head().number + 1
        blob_fee = 2 * services.backend.fees(number).blob_base_fee
        request = replace(request, max_fee_per_blob_gas=blob_fee)
    if request.gas_price is not None:
        return request
    max_fee, priority_fee = request.max_fee_per_gas, request.max_priority_fee_per_gas
    base_fee, tip = suggest_fees(services, fee_token_of(request))
    if priority_fee is None:
        if max_fee is not None and request.sender is not None and request.nonce is not None:
            tip = max(tip, services.backend.replacing_tip(request.sender, request.nonce) or 0)
        priority_fee = tip if max_fee is None else min(tip, max_fee)
    if max_fee is None:
        max_fee = priority_fee + 2 * base_fee
    if max_fee < priority_fee:
        values: dict[str, int | bytes] = {
            "address": request.sender or ZERO_ADDRESS,
            "max_fee": max_fee,
            "priority_fee": priority_fee,
        }
        raise server_error(reason_message(TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE, values))
    return replace(request, max_fee_per_gas=max_fee, max_priority_fee_per_gas=priority_fee)


def sign_as(services: Services, address: Address, tx: Transaction) -> Transaction:
    """The signed transaction, by its fee payer too. Raises UnknownAccount."""
    r, s, y_parity = services.backend.sign(address, keccak256(signing_payload(tx)))
    if tx.type != TransactionType.GHOST:
        return replace(tx, r=r, s=s, y_parity=y_parity)
    signature, payer_signature = as_signature(r, s, y_parity), None
    if tx.fee_payer is not None:
        digest = keccak256(payer_payload(tx, address))
        payer_signature = as_signature(*services.backend.sign(tx.fee_payer, digest))
    return replace(tx, sender_signature=signature, payer_signature=payer_signature)


def with_empty_signatures(tx: Transaction) -> Transaction:
    """An unsigned transaction in a form that has bytes: zeros where signatures belong."""
    if tx.type != TransactionType.GHOST:
        return tx
    nothing = as_signature(0, 0, 0)
    payer_signature = None if tx.fee_payer is None else nothing
    return replace(tx, sender_signature=nothing, payer_signature=payer_signature)


def as_signature(r: int, s: int, y_parity: int) -> SchemeSignature:
    joined = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    return SchemeSignature(SignatureScheme.SECP256K1, b"", joined)


def signed_transaction(
    services: Services, deadline: Deadline, request: CallRequest
) -> tuple[Transaction, bytes]:
    """A filled and signed transaction and its bytes. Raises UnknownAccount, RpcError."""
    sender = request.sender
    if sender is None or sender not in services.backend.accounts():
        raise UnknownAccount
    schemes = {request.signature_scheme, request.payer_scheme}
    if not schemes <= {None, SignatureScheme.SECP256K1}:
        raise server_error("the node signs with secp256k1 alone")
    tx = sign_as(services, sender, fill_transaction(services, deadline, request))
    return tx, encode_transaction(tx)


def unsigned_transaction(services: Services, deadline: Deadline, request: CallRequest) -> bytes:
    """The bytes of a filled transaction sent for somebody whose key the node lacks; a fee payer of
    its own signs as ever. Raises UnknownAccount, RpcError."""
    sender = request.sender
    if sender is None:
        raise UnknownAccount
    tx = fill_transaction(services, deadline, request)
    if tx.fee_payer is not None:
        digest = keccak256(payer_payload(tx, sender))
        payer_signature = as_signature(*services.backend.sign(tx.fee_payer, digest))
        tx = replace(tx, payer_signature=payer_signature)
    return encode_unsigned(tx, sender)


def is_impersonated(services: Services, address: Address | None) -> bool:
    """Whether a development chain sends for this account without its key."""
    hand = services.backend.development
    return hand is not None and address is not None and hand.impersonates(address)


def made_transaction(
    services: Services, deadline: Deadline, request: CallRequest
) -> tuple[bytes, Address | None]:
    """The bytes of what a request means, signed (None) or sent for whoever is impersonated. A
    development chain sends for its first account unless told. Raises UnknownAccount, RpcError."""
    if request.sender is None and services.backend.development is not None:
        request = replace(request, sender=next(iter(services.backend.accounts()), None))
    if is_impersonated(services, request.sender):
        return unsigned_transaction(services, deadline, request), request.sender
    return signed_transaction(services, deadline, request)[1], None
