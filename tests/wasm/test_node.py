"""The example contracts on a running `ghostd --dev`, with web3.py: deployed, called, estimated,
looked at, and mixed with Solidity in both directions."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import decode
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.logs import DISCARD
from web3.types import TxReceipt

from ghostchain.crypto.keccak import keccak256
from tests.node.process import Ghostd, RpcFailure
from tests.wasm import build
from tests.wasm.test_examples import LANGUAGES, encoded, module, selector

CONTRACT_GAS = 30_000_000


def receipt_of(web3: Web3, sent: Any) -> TxReceipt:
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
    assert receipt["status"] == 1, receipt
    return receipt


def deployed(web3: Web3, code: bytes, abi: Any) -> Contract:
    """A contract whose creation's data is code, with what it is expected to answer to."""
    alice = web3.eth.accounts[0]
    receipt = receipt_of(web3, web3.eth.send_transaction({"from": alice, "data": code}))
    return web3.eth.contract(address=receipt["contractAddress"], abi=abi)


def solidity(web3: Web3, name: str) -> Contract:
    compiled = build.solidity()[name]
    return deployed(web3, bytes.fromhex(compiled["bytecode"][2:]), compiled["abi"])


def wasm(web3: Web3, language: str, name: str, interface: str) -> Contract:
    return deployed(web3, module(language, name), build.solidity()[interface]["abi"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_counter(web3: Web3, ghostd: Ghostd, language: str) -> None:
    """Deployed by an ordinary transaction; every method that clients use of a contract works."""
    alice = web3.eth.accounts[0]
    code = module(language, "counter")
    counter = wasm(web3, language, "counter", "Counter")
    assert bytes(web3.eth.get_code(counter.address)) == code
    assert web3.eth.get_transaction_count(counter.address) == 1
    receipt = receipt_of(web3, counter.functions.setNumber(41).transact({"from": alice}))
    receipt_of(web3, counter.functions.increment().transact({"from": alice}))
    assert counter.functions.number().call() == 42
    assert int.from_bytes(web3.eth.get_storage_at(counter.address, 0), "big") == 42
    assert counter.functions.number().call(block_identifier=receipt["blockNumber"]) == 41
    events = counter.events.Changed().get_logs(from_block=receipt["blockNumber"])
    assert [(event["args"]["by"], event["args"]["number"]) for event in events] == [
        (alice, 41),
        (alice, 42),
    ]
    with pytest.raises(ContractLogicError, match=r"(?i)panic|overflow"):
        counter.functions.add(2**256 - 1).call()
    proof = web3.eth.get_proof(counter.address, [0])
    assert int.from_bytes(proof["storageProof"][0]["value"], "big") == 42
    assert bytes(proof["codeHash"]) == keccak256(code)


@pytest.mark.parametrize("language", LANGUAGES)
def test_estimates_are_enough_and_tight(web3: Web3, ghostd: Ghostd, language: str) -> None:
    """A transaction with the estimate succeeds; with a tenth less, it would not have."""
    alice = web3.eth.accounts[0]
    counter = wasm(web3, language, "counter", "Counter")
    data = "0x" + selector("increment()").hex()
    call: dict[str, Any] = {"from": alice, "to": counter.address, "data": data}
    estimate = int(ghostd.call("eth_estimateGas", call), 16)
    with pytest.raises(RpcFailure):
        ghostd.call("eth_call", {**call, "gas": hex(estimate * 9 // 10)}, "latest")
    used = receipt_of(web3, web3.eth.send_transaction({**call, "gas": estimate}))["gasUsed"]
    assert used <= estimate
    listed = ghostd.call("eth_createAccessList", call)
    (entry,) = listed["accessList"]
    assert entry["address"] == counter.address.lower() or entry["address"] == counter.address
    assert entry["storageKeys"] == ["0x" + "00" * 32]


@pytest.mark.parametrize("language", LANGUAGES)
def test_token(web3: Web3, language: str) -> None:
    """A client that knows ERC-20 knows this one: balances, events, OpenZeppelin's errors."""
    alice, bob, carol = web3.eth.accounts[:3]
    token = wasm(web3, language, "erc20", "Token")
    receipt_of(web3, token.functions.initialize(alice, 1_000).transact({"from": alice}))
    assert token.functions.name().call() == "Wasm Token"
    assert token.functions.totalSupply().call() == 1_000
    receipt_of(web3, token.functions.transfer(bob, 10).transact({"from": alice}))
    receipt_of(web3, token.functions.approve(carol, 7).transact({"from": bob}))
    receipt = receipt_of(
        web3, token.functions.transferFrom(bob, carol, 4).transact({"from": carol})
    )
    (event,) = token.events.Transfer().process_receipt(receipt)
    assert event["args"] == {"from": bob, "to": carol, "value": 4}
    assert token.functions.allowance(bob, carol).call() == 3
    (found,) = token.events.Transfer().get_logs(
        from_block=0, argument_filters={"from": bob, "to": carol}
    )
    assert found["transactionHash"] == receipt["transactionHash"]
    with pytest.raises(ContractCustomError) as refused:
        token.functions.transfer(alice, 1_000).call({"from": bob})
    wanted = encoded("ERC20InsufficientBalance(address,uint256,uint256)", bytes.fromhex(bob[2:]), 6)
    assert refused.value.data is not None
    assert refused.value.data.startswith("0x" + wanted.hex())
    with pytest.raises(ContractCustomError):
        token.functions.initialize(bob, 1).estimate_gas({"from": bob})


def test_solidity_calls_wasm(web3: Web3) -> None:
    """Values, reverts and events through Solidity, whichever engine the counter runs in."""
    alice = web3.eth.accounts[0]
    caller = solidity(web3, "Caller")
    counters = [wasm(web3, language, "counter", "Counter") for language in ("wat", "c")]
    for counter in [*counters, solidity(web3, "Counter")]:
        assert caller.functions.bump(counter.address, 3).call() == 3
        receipt = receipt_of(
            web3, caller.functions.bump(counter.address, 3).transact({"from": alice})
        )
        events = counter.events.Changed().process_receipt(receipt)
        assert [event["args"]["by"] for event in events] == [caller.address] * 3
        sent = caller.functions.tryAdd(counter.address, 2**256 - 1).transact({"from": alice})
        (event,) = caller.events.Refused().process_receipt(receipt_of(web3, sent))
        assert event["args"]["reason"] == encoded("Panic(uint256)", 0x11)
        with pytest.raises(ContractLogicError, match="after all"):
            caller.functions.bumpAndFail(counter.address).call()
        failed = caller.functions.bumpAndFail(counter.address).transact(
            {"from": alice, "gas": 1_000_000}
        )
        assert web3.eth.wait_for_transaction_receipt(failed, poll_latency=0.01)["status"] == 0
        assert counter.functions.number().call() == 3
        assert caller.functions.incrementStatically(counter.address).call() is False
        assert caller.functions.incrementHere(counter.address).call() == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_wasm_calls_solidity(web3: Web3, ghostd: Ghostd, language: str) -> None:
    """The payer with a token of OpenZeppelin's in the EVM."""
    alice, bob = web3.eth.accounts[:2]
    token = solidity(web3, "Token")
    payer = deployed(web3, module(language, "payer"), [])
    receipt_of(web3, token.functions.initialize(alice, 100).transact({"from": alice}))
    receipt_of(web3, token.functions.approve(payer.address, 60).transact({"from": alice}))
    payment = encoded(
        "pay(address,address,uint256)",
        *(bytes.fromhex(address[2:]) for address in (token.address, bob)),
        40,
    )
    call: dict[str, Any] = {"from": alice, "to": payer.address, "data": payment}
    receipt = receipt_of(web3, web3.eth.send_transaction(call))
    assert [log["address"] for log in receipt["logs"]] == [token.address, payer.address]
    assert token.functions.balanceOf(bob).call() == 40
    with pytest.raises(RpcFailure) as refused:
        ghostd.call("eth_call", {**call, "data": "0x" + payment.hex()}, "latest")
    error, spender, allowance, needed = (
        bytes.fromhex(refused.value.data[2:10]),
        *decode(["address", "uint256", "uint256"], bytes.fromhex(refused.value.data[10:])),
    )
    assert error == selector("ERC20InsufficientAllowance(address,uint256,uint256)")
    assert (spender, allowance, needed) == (payer.address.lower(), 20, 40)


def test_deployer_initializes_at_once(web3: Web3) -> None:
    """A module that Solidity creates, called before anybody else can."""
    alice = web3.eth.accounts[0]
    deployer = solidity(web3, "Deployer")
    first = encoded("initialize(address,uint256)", bytes.fromhex(alice[2:]), 5)
    call = deployer.functions.deploy(module("wat", "erc20"), first)
    receipt = receipt_of(web3, call.transact({"from": alice}))
    (event,) = deployer.events.Deployed().process_receipt(receipt, errors=DISCARD)
    abi = build.solidity()["Token"]["abi"]
    token = web3.eth.contract(address=event["args"]["made"], abi=abi)
    assert token.functions.balanceOf(alice).call() == 5
    twice = first + first[4:]
    with pytest.raises(ContractLogicError):
        deployer.functions.deploy(module("wat", "erc20"), selector("nothing()")).call()
    assert deployer.functions.deploy(module("wat", "erc20"), twice).call() != event["args"]["made"]


def test_refused_module_says_why(web3: Web3, ghostd: Ghostd) -> None:
    """No memory: eth_call and eth_estimateGas name the reason, a transaction fails."""
    alice = web3.eth.accounts[0]
    bad = "0x" + build.assembled('(module (func (export "user_entrypoint")))').hex()
    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(RpcFailure, match="invalid wasm module"):
            ghostd.call(method, {"from": alice, "data": bad})
    with pytest.raises(Web3RPCError):
        web3.eth.estimate_gas({"from": alice, "data": bad})
    sent = web3.eth.send_transaction({"from": alice, "data": bad, "gas": 1_000_000})
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.01)
    assert (receipt["status"], receipt["gasUsed"]) == (0, 1_000_000)


def test_large_module(web3: Web3, ghostd: Ghostd) -> None:
    """Beyond what the EVM lets code and a transaction's gas be, within what modules may be; one
    that is too large by a byte is refused."""
    alice = web3.eth.accounts[0]

    def padded(length: int) -> bytes:
        """The echo with so much data that the module has this length."""
        body = build.assembled(
            '(module (import "vm_hooks" "write_result" (func (param i32 i32)))'
            '(memory (export "memory") 5)'
            '(func (export "user_entrypoint") (param i32) (result i32)'
            "(call 0 (i32.const 7) (i32.const 3)) (i32.const 0))"
            f'(data (i32.const 7) "{"x" * (length - 200)}"))'
        )
        # a custom section takes up the difference: id, length in three bytes, an empty name
        spare = length - len(body)
        size = spare - 4
        leb = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
        return body + b"\0" + leb + b"\0" + bytes(size - 1)

    code = padded(262_144)
    assert len(code) == 262_144
    sent = web3.eth.send_transaction({"from": alice, "data": code, "gas": 200_000_000})
    receipt = receipt_of(web3, sent)
    assert receipt["gasUsed"] > 2**24, "more than EIP-7825 lets other transactions use"
    assert bytes(web3.eth.get_code(receipt["contractAddress"])) == code
    answer = web3.eth.call({"to": receipt["contractAddress"]})
    assert bytes(answer) == b"xxx"
    request = {"from": alice, "data": "0x" + padded(262_145).hex(), "gas": hex(200_000_000)}
    with pytest.raises(RpcFailure):
        ghostd.call("eth_call", request, "latest")
