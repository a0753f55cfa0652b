"""EIP-191 and EIP-712 digests against eth-account."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils import keccak

from ghostchain.rpc.typed_data import personal_message_digest, typed_data_digest

DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
DOMAIN = {
    "name": "Ether Mail",
    "version": "1",
    "chainId": 1,
    "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
}
PERSON = [{"name": "name", "type": "string"}, {"name": "wallets", "type": "address[]"}]
MAIL: dict[str, Any] = {
    "types": {
        "EIP712Domain": DOMAIN_TYPE,
        "Person": PERSON,
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person[]"},
            {"name": "contents", "type": "string"},
        ],
    },
    "primaryType": "Mail",
    "domain": DOMAIN,
    "message": {
        "from": {"name": "Cow", "wallets": ["0x" + "cd" * 20, "0x" + "de" * 20]},
        "to": [{"name": "Bob", "wallets": ["0x" + "bb" * 20]}],
        "contents": "Hello, Bob!",
    },
}
ATOMS: dict[str, Any] = {
    "types": {
        "EIP712Domain": [{"name": "chainId", "type": "uint256"}],
        "Atoms": [
            {"name": "a", "type": "int8"},
            {"name": "b", "type": "uint256"},
            {"name": "c", "type": "bool"},
            {"name": "d", "type": "bytes4"},
            {"name": "e", "type": "bytes"},
            {"name": "f", "type": "uint8[2]"},
            {"name": "g", "type": "bytes32[][1]"},
        ],
    },
    "primaryType": "Atoms",
    "domain": {"chainId": 31337},
    "message": {
        "a": -5,
        "b": 2**255,
        "c": True,
        "d": "0x01020304",
        "e": "0xdeadbeef",
        "f": [1, 2],
        "g": [["0x" + "11" * 32]],
    },
}


@pytest.mark.parametrize("document", [MAIL, ATOMS], ids=["mail", "atoms"])
def test_digest_is_that_of_eth_account(document: dict[str, Any]) -> None:
    oracle = encode_typed_data(full_message=document)
    expected = keccak(b"\x19" + oracle.version + oracle.header + oracle.body)
    assert typed_data_digest(document) == expected


@pytest.mark.parametrize("message", [b"", b"hello", b"\x00" * 200])
def test_personal_digest_is_that_of_eth_account(message: bytes) -> None:
    oracle = encode_defunct(message)
    expected = keccak(b"\x19" + oracle.version + oracle.header + oracle.body)
    assert personal_message_digest(message) == expected


def changed(**members: Any) -> dict[str, Any]:
    return ATOMS | members


NESTED: Any = None
for _ in range(100):
    NESTED = {"x": NESTED}

BAD: list[Any] = [
    7,
    {},
    changed(types=7),
    changed(types={"Atoms": [{}]}),
    changed(primaryType="Other"),
    changed(primaryType=7),
    changed(domain=None),
    changed(message={}),
    changed(message=ATOMS["message"] | {"a": 128}),
    changed(message=ATOMS["message"] | {"a": "x"}),
    changed(message=ATOMS["message"] | {"a": "1" * 10_000}),
    changed(message=ATOMS["message"] | {"c": 1}),
    changed(message=ATOMS["message"] | {"f": [1]}),
    changed(message=ATOMS["message"] | {"f": 1}),
    changed(types={"Atoms": [{"name": "a", "type": "uint7"}]}),
    changed(types={"Atoms": [{"name": "a", "type": "[][][]"}]}),
    changed(types={"Atoms": [{"name": "x", "type": "Atoms"}]}, message=NESTED),
]


@pytest.mark.parametrize("document", BAD, ids=range(len(BAD)))
def test_bad_document_is_a_value_error(document: Any) -> None:
    with pytest.raises(ValueError):
        typed_data_digest(document)
