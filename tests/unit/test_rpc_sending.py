"""Transactions of types 0x7b and 0x47 as requests and as JSON, and the client's side of sending
them, without a node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ghostchain.contracts.addresses import MANA, SPIRIT
from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    Signer,
    check_payer,
    sender_of,
    sign_ghost,
)
from ghostchain.encoding.transactions import decode_transaction
from ghostchain.primitives.transaction import (
    AccessEntry,
    Call,
    SignatureScheme,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.calls import check_request, transaction_type
from ghostchain.rpc.errors import RpcError
from ghostchain.rpc.parameters import call_request
from ghostchain.rpc.render import signed_json
from ghostchain.rpc.sending import Steps, Terms, fee_currency_steps, ghost_steps

KEY = b"\x11" * 32
TARGET = Address(b"\x77" * 20)
SIGNERS = (Secp256k1Signer(KEY), Ed25519Signer(KEY), MlDsa65Signer(KEY))
PAYER = Secp256k1Signer(b"\x22" * 32)


def driven(steps: Steps, *, gas: str = "0xea60") -> tuple[list[Any], Transaction]:
    """The requests after the first answers, and the transaction that was sent."""
    asked: list[Any] = []
    answers = {
        "eth_chainId": "0x7a69",
        "eth_getTransactionCount": "0x5",
        "eth_gasPrice": "0x64",
        "eth_maxPriorityFeePerGas": "0xa",
        "eth_estimateGas": gas,
        "eth_sendRawTransactionSync": {"status": "0x1"},
    }
    try:
        requests = next(steps)
        while True:
            asked += requests
            requests = steps.send([answers[item.method] for item in requests])
    except StopIteration as end:
        receipt = end.value
    assert receipt == {"status": "0x1"}
    raw = bytes.fromhex(asked[-1].params[0][2:])
    return asked, decode_transaction(raw)


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda signer: signer.scheme.name)
@pytest.mark.parametrize("payer", [None, PAYER], ids=["alone", "sponsored"])
def test_a_ghost_transaction_is_filled_and_signed(signer: Signer, payer: Signer | None) -> None:
    """Nonce, fees in the token and gas are the node's; the signatures hold."""
    calls = (Call(TARGET, 3, b"\1"), Call(TARGET))
    asked, tx = driven(ghost_steps(signer, calls, SPIRIT, payer, Terms()))
    assert [item.params for item in asked[2:4]] == [("0x" + SPIRIT.hex(),)] * 2
    estimate = asked[4].params[0]
    assert estimate["signatureScheme"] == hex(signer.scheme)
    assert ("feePayer" in estimate) == (payer is not None)
    request = call_request(estimate)
    assert transaction_type(request) == TransactionType.GHOST
    assert (request.calls, request.sender) == (calls, signer.address)
    assert (tx.chain_id, tx.nonce, tx.gas_limit, tx.calls) == (31337, 5, 60_000, calls)
    assert (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) == (2 * 90 + 10, 10)
    assert sender_of(tx) == signer.address
    check_payer(tx, signer.address)
    assert tx.fee_payer == (payer.address if payer else None)


def test_given_terms_are_kept() -> None:
    entry = AccessEntry(TARGET, (Hash32(b"\1" * 32),))
    terms = Terms(nonce=9, gas_limit=77_000, max_fee_per_gas=5, access_list=(entry,))
    asked, tx = driven(fee_currency_steps(KEY, Call(TARGET, 1), MANA, terms))
    assert "eth_estimateGas" not in [item.method for item in asked]
    assert (tx.type, tx.fee_token) == (TransactionType.FEE_CURRENCY, MANA)
    assert (tx.nonce, tx.gas_limit, tx.max_fee_per_gas) == (9, 77_000, 5)
    assert (tx.max_priority_fee_per_gas, tx.access_list) == (5, (entry,))
    assert sender_of(tx) == SIGNERS[0].address


def test_fee_currency_in_coins_asks_for_no_token() -> None:
    asked, tx = driven(fee_currency_steps(KEY, Call(None, data=b"\0"), None, Terms()))
    assert asked[2].params == ()
    assert "feeCurrency" not in asked[4].params[0]
    assert (tx.to, tx.fee_token) == (None, None)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"calls": [{}], "to": "0x" + TARGET.hex()}, "both calls and to"),
        ({"calls": [{"value": hex(2**255)}] * 2}, "exceed 256 bits"),
        ({"calls": [{}], "feeCurrency": "0x" + SPIRIT.hex()}, "feeCurrency"),
        ({"feeCurrency": "0x" + SPIRIT.hex(), "authorizationList": []}, "of a type that has none"),
        ({"feeToken": "0x" + SPIRIT.hex(), "blobVersionedHashes": []}, "of a type that has none"),
    ],
)
def test_contradictions_are_refused(members: dict[str, Any], words: str) -> None:
    with pytest.raises(RpcError, match=words):
        check_request(None, call_request(members))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "members",
    [
        {"calls": []},
        {"calls": [{}] * 257},
        {"calls": {}},
        {"calls": [{"to": "0x00"}]},
        {"signatureScheme": "0x3"},
        {"signatureScheme": 0},
        {"feePayer": "0x"},
        {"feeCurrency": 1},
    ],
)
def test_malformed_members_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(members)) if members else ""):
        call_request(members)


def test_what_is_shown_of_a_ghost_transaction() -> None:
    """Clients find to, value and input where they look; r and s are zero without secp256k1."""
    tx = Transaction(
        type=TransactionType.GHOST,
        chain_id=1,
        nonce=2,
        max_fee_per_gas=3,
        max_priority_fee_per_gas=1,
        gas_limit=50_000,
        to=None,
        calls=(Call(TARGET, 5, b"\7"), Call(TARGET, 6)),
        fee_token=MANA,
    )
    for signer in SIGNERS:
        signed = sign_ghost(tx, signer, PAYER)
        shown = signed_json(signed)
        assert (shown["to"], shown["value"], shown["input"]) == ("0x" + TARGET.hex(), "0xb", "0x07")
        assert shown["feePayer"] == "0x" + PAYER.address.hex()
        assert shown["payerSignature"]["scheme"] == "0x0"
        is_elliptic = signer.scheme == SignatureScheme.SECP256K1
        assert (int(shown["r"], 16) != 0) == is_elliptic
        key = shown["senderSignature"]["publicKey"]
        assert len(key) == 2 + 2 * len(signed.sender_signature.key)  # type: ignore[union-attr]
    alone = signed_json(replace(tx, sender_signature=None))
    assert (alone["senderSignature"], alone["feePayer"]) == (None, None)
