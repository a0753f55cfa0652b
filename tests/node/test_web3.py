"""A running `ghostd --dev`, driven by web3.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from web3 import AsyncIPCProvider, AsyncWeb3, Web3, WebSocketProvider
from web3.contract import Contract
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.types import RPCEndpoint

from tests.node.clients import compiled_token
from tests.node.process import Ghostd

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
PATIENCE_S = 15.0


@pytest.fixture(scope="module")
def web3(ghostd: Ghostd) -> Web3:
    return Web3(Web3.HTTPProvider(ghostd.url))


@pytest.fixture(scope="module")
def token(web3: Web3) -> Contract:
    """OpenZeppelin's ERC-20, deployed by the first account."""
    compiled = compiled_token()
    factory = web3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    alice = web3.eth.accounts[0]
    receipt = web3.eth.wait_for_transaction_receipt(
        factory.constructor(1000).transact({"from": alice}), poll_latency=0.02
    )
    assert receipt["status"] == 1
    return web3.eth.contract(address=receipt["contractAddress"], abi=compiled["abi"])


def test_chain_is_known(web3: Web3) -> None:
    assert web3.is_connected()
    assert web3.eth.chain_id == 31337
    assert web3.client_version.startswith("anvil-compatible/ghostd/")
    assert len(web3.eth.accounts) == 10
    block = web3.eth.get_block("latest", full_transactions=True)
    assert web3.eth.get_block(block["hash"])["number"] == block["number"]
    assert web3.eth.fee_history(4, "latest", [10, 90])["oldestBlock"] >= 0


def test_transfer_and_its_event(web3: Web3, token: Contract) -> None:
    alice, bob = web3.eth.accounts[:2]
    sent = token.functions.transfer(bob, 7).transact({"from": alice})
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
    (event,) = token.events.Transfer().process_receipt(receipt)
    assert event["args"]["value"] == 7
    (found,) = token.events.Transfer().get_logs(
        from_block=receipt["blockNumber"], argument_filters={"to": bob}
    )
    assert found["transactionHash"] == receipt["transactionHash"]
    before = token.functions.balanceOf(bob).call(block_identifier=receipt["blockNumber"] - 1)
    assert token.functions.balanceOf(bob).call() == before + 7


def test_reverts_carry_their_reason(web3: Web3, token: Contract) -> None:
    with pytest.raises(ContractLogicError, match="no money"):
        token.functions.failWithReason("no money").call()
    with pytest.raises(ContractLogicError, match="no money"):
        token.functions.failWithReason("no money").estimate_gas()
    with pytest.raises(ContractCustomError):
        token.functions.failWithError(42).call()


def test_raw_transaction_and_nonce_error(web3: Web3) -> None:
    account = web3.eth.account.from_key(KEY)
    request: dict[str, Any] = {
        "to": web3.eth.accounts[1],
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": web3.to_wei(10, "gwei"),
        "maxPriorityFeePerGas": 1,
        "chainId": 31337,
        "nonce": web3.eth.get_transaction_count(account.address, "pending"),
    }
    signed = account.sign_transaction(request)
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    assert web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)["status"] == 1
    with pytest.raises(Web3RPCError, match=r"nonce too low|already known"):
        web3.eth.send_raw_transaction(signed.raw_transaction)
    stale = account.sign_transaction(request | {"nonce": 0, "value": 2})
    with pytest.raises(Web3RPCError, match="nonce too low"):
        web3.eth.send_raw_transaction(stale.raw_transaction)
    poor = account.sign_transaction(request | {"nonce": request["nonce"] + 1, "value": 10**30})
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        web3.eth.send_raw_transaction(poor.raw_transaction)


def test_filters_and_proofs(web3: Web3, token: Contract) -> None:
    alice, bob = web3.eth.accounts[:2]
    blocks = web3.eth.filter("latest")
    logs = web3.eth.filter({"address": token.address})
    sent = token.functions.transfer(bob, 1).transact({"from": alice})
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
    assert receipt["blockHash"] in blocks.get_new_entries()
    assert [log["transactionHash"] for log in logs.get_new_entries()] == [sent]
    proof = web3.eth.get_proof(token.address, [0, 2])
    assert len(proof["storageProof"]) == 2
    assert web3.eth.get_storage_at(token.address, 2)[-2:] == (1000).to_bytes(2, "big")


def test_subscription_over_websocket(ghostd: Ghostd, web3: Web3) -> None:
    async def main() -> int:
        provider = WebSocketProvider(ghostd.url.replace("http", "ws"))
        async with AsyncWeb3(provider) as client:
            await client.eth.subscribe("newHeads")
            await asyncio.to_thread(send_one, web3)
            async with asyncio.timeout(PATIENCE_S):
                async for message in client.socket.process_subscriptions():
                    return int(message["result"]["number"])
        raise AssertionError("the socket ended")

    assert asyncio.run(main()) > 0


def send_one(web3: Web3) -> None:
    alice, bob = web3.eth.accounts[:2]
    web3.eth.send_transaction({"from": alice, "to": bob, "value": web3.to_wei(1, "wei")})


def test_subscriptions_come_through_the_operators_socket(tmp_path: Path) -> None:
    """As through geth's IPC, beside requests and batches on the same connection."""

    async def play(path: Path) -> None:
        async with AsyncWeb3(AsyncIPCProvider(path)) as web3:
            heads = await web3.eth.subscribe("newHeads")
            before = await web3.eth.block_number
            await web3.provider.make_request(RPCEndpoint("evm_mine"), [])
            async for message in web3.socket.process_subscriptions():
                assert message["subscription"] == heads
                assert message["result"]["number"] == before + 1
                break
            assert await web3.eth.unsubscribe(heads)
            async with web3.batch_requests() as batch:
                batch.add(web3.eth.get_block(before))
                batch.add(web3.eth.get_block(before + 1))
                assert len(await batch.async_execute()) == 2

    with Ghostd("--dev", data_dir=tmp_path):
        asyncio.run(asyncio.wait_for(play(tmp_path / "ghostd.ipc"), PATIENCE_S))
