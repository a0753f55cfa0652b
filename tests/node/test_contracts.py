"""The protocol's contracts on a running `ghostd --dev`, through web3.py with the ABIs they
generate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError

from ghostchain.contracts.addresses import GCC, SPIRIT, address_of
from ghostchain.contracts.registry import NATIVE_CONTRACTS
from ghostchain.contracts.tokens import Gcc, Spirit, Token
from tests.node.process import Ghostd

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
UNIT = 10**18


@pytest.fixture(scope="module")
def web3(ghostd: Ghostd) -> Web3:
    return Web3(Web3.HTTPProvider(ghostd.url))


def contract(web3: Web3, address: bytes, abi: Sequence[dict[str, Any]]) -> Contract:
    return web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi)


def done(web3: Web3, sent: Any) -> Any:
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
    assert receipt["status"] == 1
    return receipt


@pytest.mark.parametrize("contract_id", sorted(NATIVE_CONTRACTS))
def test_every_contract_stands_at_its_address(web3: Web3, contract_id: int) -> None:
    address = Web3.to_checksum_address(address_of(contract_id))
    assert bytes(web3.eth.get_code(address)) == bytes((0xEF, 0x47, contract_id))
    assert web3.eth.get_transaction_count(address) == 1


def test_the_coin_moves_through_its_token(web3: Web3) -> None:
    coin = contract(web3, GCC, Gcc.abi())
    alice = web3.eth.accounts[0]
    target = Account.create().address
    receipt = done(web3, coin.functions.transfer(target, 5).transact({"from": alice}))
    (event,) = coin.events.Transfer().process_receipt(receipt)
    assert event["args"] == {"from": alice, "to": target, "value": 5}
    assert web3.eth.get_balance(target) == coin.functions.balanceOf(target).call() == 5
    assert coin.functions.name().call() == "GhostChain Coin"
    assert coin.functions.totalSupply().call() > 0


def test_a_custom_error_reaches_the_client(web3: Web3) -> None:
    spirit = contract(web3, SPIRIT, Spirit.abi())
    poor = Account.create().address
    with pytest.raises(ContractCustomError) as refusal:
        spirit.functions.transfer(poor, UNIT).call({"from": poor})
    assert (
        refusal.value.data
        == "0x" + Token.InsufficientBalance(bytes.fromhex(poor[2:]), 0, UNIT).data.hex()
    )


def test_a_wallet_signs_a_permit(web3: Web3) -> None:
    """EIP-2612 by EIP-5267's domain, as a wallet would make it; used by somebody else."""
    spirit = contract(web3, SPIRIT, Spirit.abi())
    owner, spender = Account.from_key(KEY), web3.eth.accounts[1]
    fields, name, version, chain_id, verifying, _, _ = spirit.functions.eip712Domain().call()
    assert (fields, chain_id) == (b"\x0f", 31337)
    permit = {
        "owner": owner.address,
        "spender": spender,
        "value": 9,
        "nonce": spirit.functions.nonces(owner.address).call(),
        "deadline": 2**63,
    }
    kinds = ("address", "address", "uint256", "uint256", "uint256")
    named = [{"name": name, "type": kind} for name, kind in zip(permit, kinds, strict=True)]
    signed = owner.sign_message(
        encode_typed_data(
            {
                "name": name,
                "version": version,
                "chainId": chain_id,
                "verifyingContract": verifying,
            },
            {"Permit": named},
            permit,
        )
    )
    call = spirit.functions.permit(
        owner.address,
        spender,
        9,
        2**63,
        signed.v,
        signed.r.to_bytes(32, "big"),
        signed.s.to_bytes(32, "big"),
    )
    receipt = done(web3, call.transact({"from": spender}))
    (event,) = spirit.events.Approval().process_receipt(receipt)
    assert event["args"] == {"owner": owner.address, "spender": spender, "value": 9}
    assert spirit.functions.allowance(owner.address, spender).call() == 9
    assert spirit.functions.nonces(owner.address).call() == permit["nonce"] + 1


def test_storage_lies_where_explorers_look(web3: Web3) -> None:
    spirit = contract(web3, SPIRIT, Spirit.abi())
    supply = int.from_bytes(web3.eth.get_storage_at(spirit.address, 2), "big")
    assert supply == spirit.functions.totalSupply().call() <= spirit.functions.cap().call()


def test_gas_is_estimated(web3: Web3) -> None:
    coin = contract(web3, GCC, Gcc.abi())
    alice = web3.eth.accounts[0]
    wanted = coin.functions.burn(1).estimate_gas({"from": alice})
    receipt = done(web3, coin.functions.burn(1).transact({"from": alice, "gas": wanted}))
    assert receipt["gasUsed"] <= wanted < 60_000
