"""Wording: what clients parse out of error messages."""

from __future__ import annotations

import re

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.primitives.errors import TransactionReason
from ghostchain.rpc.backend import Refusal
from ghostchain.rpc.errors import (
    REASONS,
    reason_message,
    refusal_error,
    revert_error,
    revert_reason,
)

# What viem (errors/node.ts) and ethers (provider-jsonrpc.ts) look for.
PARSED_BY_CLIENTS = {
    TransactionReason.NONCE_TOO_LOW: r"nonce too low",
    TransactionReason.NONCE_TOO_HIGH: r"nonce too high",
    TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS: r"insufficient funds",
    TransactionReason.INTRINSIC_GAS_TOO_LOW: r"intrinsic gas too low",
    TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS: (
        r"max fee per gas less than block base fee|fee cap less than block base fee"
    ),
    TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE: (
        r"max priority fee per gas higher than max fee per gas|tip higher than fee cap"
    ),
    TransactionReason.GAS_ALLOWANCE_EXCEEDED: r"exceeds block gas limit",
    TransactionReason.CHAIN_ID: r"invalid chain id for signer",
    TransactionReason.TYPE_UNKNOWN: r"transaction type not supported",
    TransactionReason.INITCODE_SIZE_EXCEEDED: r"max initcode size exceeded",
}


@pytest.mark.parametrize("reason", PARSED_BY_CLIENTS, ids=lambda reason: reason.name)
def test_reason_has_the_words_clients_look_for(reason: TransactionReason) -> None:
    """With its values or without, the parsed words are there and no brace is left."""
    values = dict.fromkeys(re.findall(r"\{(\w+)\}", REASONS[reason]), 7)
    for some in ({}, values):
        message = reason_message(reason, some)
        assert re.search(PARSED_BY_CLIENTS[reason], message)
        assert "{" not in message


def test_every_reason_is_worded() -> None:
    assert set(REASONS) == set(TransactionReason) - {TransactionReason.OK}


def test_nonce_message_is_geths() -> None:
    values = {"address": b"\x11" * 20, "tx_nonce": 0, "state_nonce": 1}
    assert reason_message(TransactionReason.NONCE_TOO_LOW, values) == (
        "nonce too low: address 0x1111111111111111111111111111111111111111, tx: 0 state: 1"
    )


def test_words_of_the_pool_come_first() -> None:
    refusal = Refusal(TransactionReason.NONCE_TOO_LOW, "nonce too low: next nonce 3, tx nonce 1")
    assert refusal_error(refusal).message == "nonce too low: next nonce 3, tx nonce 1"
    assert refusal_error(refusal).code == -32000


REVERTS = [
    (b"", "execution reverted"),
    (b"\x01\x02\x03\x04", "execution reverted"),
    (b"\x08\xc3\x79\xa0", "execution reverted"),
    (b"\x08\xc3\x79\xa0" + b"\xff" * 64, "execution reverted"),
    (b"\x08\xc3\x79\xa0" + encode(["string"], ["no money"]), "execution reverted: no money"),
    (b"\x08\xc3\x79\xa0" + encode(["bytes"], [b"\xff"]), "execution reverted: \ufffd"),
    (b"\x4e\x48\x7b\x71" + encode(["uint256"], [1]), "execution reverted: assert(false)"),
    (
        b"\x4e\x48\x7b\x71" + encode(["uint256"], [0x11]),
        "execution reverted: arithmetic underflow or overflow",
    ),
    (
        b"\x4e\x48\x7b\x71" + encode(["uint256"], [0x99]),
        "execution reverted: unknown panic code: 0x99",
    ),
]


@pytest.mark.parametrize(("output", "message"), REVERTS, ids=range(len(REVERTS)))
def test_revert_is_code_3_with_reason_and_data(output: bytes, message: str) -> None:
    error = revert_error(output)
    assert (error.code, error.message, error.data) == (3, message, "0x" + output.hex())


@given(st.text(max_size=100), st.binary(max_size=40))
def test_reason_is_what_eth_abi_decodes(text: str, rest: bytes) -> None:
    """Whole revert data gives the reason; cut anywhere, or followed by anything, it never fails."""
    output = b"\x08\xc3\x79\xa0" + encode(["string"], [text])
    assert revert_reason(output) == revert_reason(output + rest) == text
    for length in range(0, len(output), 7):
        revert_reason(output[:length] + rest)
