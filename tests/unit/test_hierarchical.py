"""Keys out of phrases, against published vectors and eth-account."""

from __future__ import annotations

import pytest
from eth_account import Account

from ghostchain.chain.networks import TEST_KEYS, TEST_MNEMONIC
from ghostchain.crypto.hierarchical import keys_of

Account.enable_unaudited_hdwallet_features()

PHRASES = [
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount "
    "doctor acoustic avoid letter always",
    "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing "
    "screen patrol group space point ten exist slush involve unfold",
]


def test_the_phrase_of_all_tools_gives_their_keys() -> None:
    assert keys_of(TEST_MNEMONIC, 10) == TEST_KEYS


@pytest.mark.parametrize("phrase", PHRASES)
def test_keys_are_those_of_another_implementation(phrase: str) -> None:
    for index, key in enumerate(keys_of(phrase, 4)):
        path = f"m/44'/60'/0'/0/{index}"
        assert key == bytes(Account.from_mnemonic(phrase, account_path=path).key)


@pytest.mark.parametrize("phrase", ["", "test", "word " * 11, "word " * 25])
def test_a_phrase_of_another_length_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="words"):
        keys_of(phrase, 1)
