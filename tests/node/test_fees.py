"""Fees in tokens and ghost transactions against a running node: signed by viem's Celo serializer
and by our own client, paid to the last wei, refused with the reason."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ghostchain.chain.fee_tokens import in_token
from ghostchain.contracts.addresses import GCC, GHOST, MANA, SPIRIT
from ghostchain.crypto.signing import (
    Ed25519Signer,
    MlDsa65Signer,
    Secp256k1Signer,
    sign_ghost,
)
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import Call, Transaction, TransactionType
from ghostchain.primitives.types import Address
from ghostchain.rpc.client import AsyncRpcClient, RpcClient, RpcFailure, Terms
from tests.hybrid import SUPPLY_SLOT, mapping_key
from tests.node.clients import require_modules, run_script, tool
from tests.node.economy import RATES, UNIT, write_genesis
from tests.node.process import Ghostd, invoke

ALICE_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ALICE = Secp256k1Signer(ALICE_KEY)
SPONSOR = Secp256k1Signer(b"\x51" * 32)
POOR = Secp256k1Signer(b"\x52" * 32)
QUANTUM = MlDsa65Signer(b"\x53" * 32)
EDWARDS = Ed25519Signer(b"\x54" * 32)
PROPOSER = Address(b"\xc0" * 20)
TARGET = Address(b"\x77" * 20)


def arguments(folder: Path) -> tuple[str, ...]:
    """Of a node on a genesis in which these keys hold coins and tokens."""
    holders = dict.fromkeys((ALICE.address, SPONSOR.address, QUANTUM.address), 1_000 * UNIT)
    path = write_genesis(
        folder / "genesis.json",
        dict.fromkeys((ALICE.address, SPONSOR.address, QUANTUM.address, EDWARDS.address), UNIT),
        {SPIRIT: holders, MANA: holders, GHOST: holders},
    )
    return "--dev", "--genesis", str(path), "--coinbase", "0x" + PROPOSER.hex()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ghostd]:
    with Ghostd(*arguments(tmp_path_factory.mktemp("economy"))) as running:
        yield running


@pytest.fixture
def client(node: Ghostd) -> RpcClient:
    return RpcClient(node.url)


@dataclass(frozen=True, slots=True)
class Purse:
    """What someone holds, and the supply, of one token, in wei."""

    held: int
    tips: int
    supply: int


def word(client: RpcClient, contract: Address, key: bytes) -> int:
    return int(client.call("eth_getStorageAt", "0x" + contract.hex(), "0x" + key.hex()), 16)


def balance(client: RpcClient, who: Address) -> int:
    return int(client.call("eth_getBalance", "0x" + who.hex()), 16)


def purse(client: RpcClient, token: Address, holder: Address) -> Purse:
    if token == GCC:
        held, tips = balance(client, holder), balance(client, PROPOSER)
    else:
        held = word(client, token, mapping_key(holder, 0))
        tips = word(client, token, mapping_key(PROPOSER, 0))
    return Purse(held, tips, word(client, token, SUPPLY_SLOT))


def assert_paid(
    client: RpcClient, receipt: dict[str, str], token: Address, before: Purse, after: Purse
) -> None:
    """Each wei of the fee came from the payer, and went to the proposer or out of the supply."""
    gas, price = int(receipt["gasUsed"], 16), int(receipt["effectiveGasPrice"], 16)
    block = client.call("eth_getBlockByHash", receipt["blockHash"], False)
    base_fee = int(block["baseFeePerGas"], 16)
    if token != GCC:
        base_fee = in_token(base_fee, RATES[token])
        assert int(receipt["baseFee"], 16) == base_fee
    assert before.held - after.held == gas * price
    assert after.tips - before.tips == gas * (price - base_fee)
    assert before.supply - after.supply == gas * base_fee > 0


def test_viem_pays_in_tokens(node: Ghostd, client: RpcClient) -> None:
    """A transaction that viem's Celo serializer signed, its fee estimated by viem in the token."""
    require_modules("viem")
    before = {token: purse(client, token, ALICE.address) for token in (SPIRIT, MANA)}
    coins, supply = balance(client, ALICE.address), word(client, GCC, SUPPLY_SLOT)
    finished = run_script("celo.cjs", node.url, *("0x" + token.hex() for token in before))
    assert finished.returncode == 0, finished.stderr
    sent = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [item["status"] for item in sent] == ["success"] * 2
    for token, item in zip(before, sent, strict=True):
        receipt = client.call("eth_getTransactionReceipt", item["hash"])
        assert (receipt["type"], receipt["feeCurrency"]) == ("0x7b", "0x" + token.hex())
        after = purse(client, token, ALICE.address)
        assert_paid(client, receipt, token, before[token], after)
        coins -= int(item["value"])
    assert balance(client, ALICE.address) == coins
    assert word(client, GCC, SUPPLY_SLOT) == supply


@pytest.mark.parametrize("token", [SPIRIT, MANA, GHOST])
def test_python_pays_in_tokens(client: RpcClient, token: Address) -> None:
    before, coins = purse(client, token, ALICE.address), balance(client, ALICE.address)
    receipt = client.send_fee_currency(ALICE_KEY, Call(TARGET, 5), token)
    assert receipt["status"] == "0x1"
    assert_paid(client, receipt, token, before, purse(client, token, ALICE.address))
    assert balance(client, ALICE.address) == coins - 5


@pytest.mark.parametrize("signer", [QUANTUM, EDWARDS, ALICE], ids=["ml-dsa", "ed25519", "secp"])
@pytest.mark.parametrize("token", [None, MANA])
def test_a_sponsor_pays_for_any_key(client: RpcClient, signer, token: Address | None) -> None:
    """Two calls at once; the sender gives the values, its fee payer the fee."""
    paid_in = token or GCC
    before, coins = purse(client, paid_in, SPONSOR.address), balance(client, signer.address)
    target = balance(client, TARGET)
    calls = [Call(TARGET, 7), Call(TARGET, 4, b"\1\0\2")]
    receipt = client.send_ghost(signer, calls, fee_token=token, payer=SPONSOR)
    assert (receipt["type"], receipt["status"]) == ("0x47", "0x1")
    assert receipt["feePayer"] == "0x" + SPONSOR.address.hex()
    assert receipt["feeToken"] == (None if token is None else "0x" + token.hex())
    assert_paid(client, receipt, paid_in, before, purse(client, paid_in, SPONSOR.address))
    assert balance(client, signer.address) == coins - 11
    assert balance(client, TARGET) == target + 11
    shown = client.call("eth_getTransactionByHash", receipt["transactionHash"])
    assert shown["senderSignature"]["scheme"] == hex(signer.scheme)
    assert [call["value"] for call in shown["calls"]] == ["0x7", "0x4"]
    assert (shown["value"], shown["from"]) == ("0xb", "0x" + signer.address.hex())
    assert client.call("eth_getBlockReceipts", receipt["blockHash"]) == [receipt]


def test_a_quantum_safe_key_pays_for_itself(client: RpcClient) -> None:
    before = purse(client, SPIRIT, QUANTUM.address)
    receipt = client.send_ghost(QUANTUM, [Call(TARGET, 1)], fee_token=SPIRIT)
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) == 21_000 + 90_000 + 15_000
    assert_paid(client, receipt, SPIRIT, before, purse(client, SPIRIT, QUANTUM.address))


def init_code(runtime: bytes) -> bytes:
    """Deploys it."""
    head = bytes((0x60, len(runtime), 0x60, 10, 0x5F, 0x39, 0x60, len(runtime), 0x5F, 0xF3))
    return head + runtime


def test_creations_logs_and_undoing(client: RpcClient) -> None:
    """A key that no Ethereum wallet has deploys a contract and calls it; logs of all calls are
    found; what one call refuses undoes them all, and still costs its gas."""
    # Logs 42 when it is called without data, reverts with 7 otherwise.
    runtime = bytes.fromhex("36601057602a5f5260205fa0600160015500" + "5b60075f5260205ffd")
    runtime = runtime.replace(b"\x60\x10\x57", bytes((0x60, runtime.index(0x5B, 17), 0x57)))
    made = client.send_ghost(QUANTUM, [Call(None, 0, init_code(runtime))], payer=SPONSOR)
    assert made["status"] == "0x1"
    name = made["contractAddress"]
    assert client.call("eth_getCode", name, "latest") == "0x" + runtime.hex()
    contract = Address(bytes.fromhex(name[2:]))
    twice = client.send_ghost(QUANTUM, [Call(contract), Call(contract)], fee_token=MANA)
    logs = client.call("eth_getLogs", {"address": name, "fromBlock": "0x0"})
    assert logs == twice["logs"]
    assert [(log["logIndex"], int(log["data"], 16)) for log in logs] == [("0x0", 42), ("0x1", 42)]
    calls = [Call(TARGET, 1), Call(contract), Call(contract, 0, b"\1"), Call(TARGET, 1)]
    with pytest.raises(RpcFailure, match="execution reverted") as failure:
        client.send_ghost(QUANTUM, calls, fee_token=MANA)
    assert int(failure.value.data, 16) == 7
    before, coins = purse(client, MANA, QUANTUM.address), balance(client, QUANTUM.address)
    undone = client.send_ghost(QUANTUM, calls, fee_token=MANA, terms=Terms(gas_limit=300_000))
    assert (undone["status"], undone["logs"]) == ("0x0", [])
    assert balance(client, QUANTUM.address) == coins
    assert_paid(client, undone, MANA, before, purse(client, MANA, QUANTUM.address))


def test_a_token_pays_for_its_own_transfer(client: RpcClient) -> None:
    """Fee and transfer take from the same balance: neither sees less or more than there is, and the
    transfer costs what it costs with a fee in GCC."""
    recipient = Address(b"\x78" * 20)
    data = bytes.fromhex("a9059cbb") + recipient.rjust(32, b"\0") + (9).to_bytes(32, "big")
    gas = []
    for token in (GCC, SPIRIT, SPIRIT, GCC):
        before = purse(client, SPIRIT, ALICE.address)
        receipt = client.send_fee_currency(ALICE_KEY, Call(SPIRIT, 0, data), token)
        after = purse(client, SPIRIT, ALICE.address)
        assert receipt["status"] == "0x1"
        moved = replace(after, held=after.held + 9)
        if token == SPIRIT:
            assert_paid(client, receipt, SPIRIT, before, moved)
        else:
            assert moved == before
        gas.append(int(receipt["gasUsed"], 16))
    assert word(client, SPIRIT, mapping_key(recipient, 0)) == 4 * 9
    first, *others, last = gas
    assert others == [last + 15_000] * 2
    assert first == last + 17_100  # the recipient's slot was zero
    transfer_all = bytes.fromhex("a9059cbb") + recipient.rjust(32, b"\0")
    transfer_all += purse(client, SPIRIT, ALICE.address).held.to_bytes(32, "big")
    call = Call(SPIRIT, 0, transfer_all)
    terms = Terms(gas_limit=100_000)
    assert client.send_fee_currency(ALICE_KEY, call, SPIRIT, terms=terms)["status"] == "0x0"


def ghost(client: RpcClient, **fields: object) -> Transaction:
    who = "0x" + EDWARDS.address.hex()
    tx = Transaction(
        type=TransactionType.GHOST,
        chain_id=31337,
        nonce=int(client.call("eth_getTransactionCount", who), 16),
        max_fee_per_gas=10**12,
        max_priority_fee_per_gas=10**9,
        gas_limit=100_000,
        to=None,
        calls=(Call(TARGET, 1),),
    )
    return replace(tx, **fields)  # type: ignore[arg-type]


def refusal(client: RpcClient, tx: Transaction) -> str:
    with pytest.raises(RpcFailure) as failure:
        client.call("eth_sendRawTransaction", "0x" + encode_transaction(tx).hex())
    return failure.value.message


def test_what_is_refused_says_why(client: RpcClient) -> None:
    """Replayed, of another chain, of another sender's sponsor, or paid by nobody."""
    signed = sign_ghost(ghost(client), EDWARDS)
    raw = "0x" + encode_transaction(signed).hex()
    client.call("eth_sendRawTransactionSync", raw)
    assert "nonce too low" in refusal(client, signed)
    assert "chain id" in refusal(client, sign_ghost(ghost(client, chain_id=1), EDWARDS))
    unfunded = refusal(client, sign_ghost(ghost(client), EDWARDS, POOR))
    assert "insufficient funds" in unfunded
    assert POOR.address.hex() in unfunded
    sponsored = sign_ghost(ghost(client), EDWARDS, SPONSOR)
    stolen = replace(sponsored, sender_signature=sign_ghost(sponsored, QUANTUM).sender_signature)
    assert "fee payer" in refusal(client, stolen)
    poor = sign_ghost(ghost(client, fee_token=MANA), EDWARDS)
    assert "insufficient funds" in refusal(client, poor)
    unknown = sign_ghost(ghost(client, fee_token=TARGET), EDWARDS)
    assert "fee token" in refusal(client, unknown)


def test_estimates_say_why_too(client: RpcClient) -> None:
    """The same words before anything is signed."""
    call = [Call(TARGET, 1)]
    for token, words in ((TARGET, "unknown fee token"), (SPIRIT, "allowance")):
        with pytest.raises(RpcFailure, match=words):
            client.send_ghost(EDWARDS, call, fee_token=token)
    with pytest.raises(RpcFailure, match="allowance"):
        client.send_ghost(EDWARDS, call, payer=POOR)
    short = Terms(gas_limit=21_000)
    with pytest.raises(RpcFailure, match="intrinsic gas too low"):
        client.send_fee_currency(ALICE_KEY, call[0], SPIRIT, terms=short)


def test_both_types_outlive_the_node(tmp_path: Path) -> None:
    """After a restart receipts read the same, rates included; the chain can be exported, imported
    and checked elsewhere, signatures of every scheme verified again."""
    first, second, file = (str(tmp_path / name) for name in ("first", "second", "chain.rlp"))
    options = arguments(tmp_path)
    with Ghostd(*options, data_dir=Path(first)) as running:
        client = RpcClient(running.url)
        receipts = [
            client.send_ghost(signer, [Call(TARGET, 1)], fee_token=token, payer=SPONSOR)
            for signer, token in ((QUANTUM, SPIRIT), (EDWARDS, None), (ALICE, MANA))
        ]
        receipts.append(client.send_fee_currency(ALICE_KEY, Call(TARGET, 1), GHOST))
    chain = options[1:3]
    for command in (
        ("export", file, *chain, "--data-dir", first),
        ("import", file, *chain, "--data-dir", second),
        ("db", "verify", *chain, "--data-dir", second),
    ):
        finished = invoke(*command)
        assert finished.returncode == 0, finished.stderr
    for directory in (first, second):
        with Ghostd(*options, data_dir=Path(directory)) as running:
            hashes = [(receipt["transactionHash"],) for receipt in receipts]
            client = RpcClient(running.url)
            found = [client.call("eth_getTransactionReceipt", *item) for item in hashes]
            assert found == receipts


@pytest.fixture
def both_types(client: RpcClient) -> list[dict[str, str]]:
    """The receipts of one transaction of each type."""
    return [
        client.send_fee_currency(ALICE_KEY, Call(TARGET, 3), SPIRIT),
        client.send_ghost(QUANTUM, [Call(TARGET, 1), Call(TARGET, 2)], payer=SPONSOR),
    ]


def test_javascript_libraries_read_both(node: Ghostd, both_types: list[dict[str, str]]) -> None:
    """ethers and plain viem do not know the types, and still show them."""
    require_modules("ethers", "viem")
    hashes = [receipt["transactionHash"] for receipt in both_types]
    finished = run_script("readers.cjs", node.url, *hashes)
    assert finished.returncode == 0, finished.stderr
    seen = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [item["library"] for item in seen] == ["ethers", "viem"] * 2
    for index, item in enumerate(seen):
        receipt = both_types[index // 2]
        assert item["hash"] == receipt["transactionHash"]
        assert item["type"] == item["receiptType"] == int(receipt["type"], 16)
        assert item["value"] == "3"
        assert item["price"] == str(int(receipt["effectiveGasPrice"], 16))


def test_web3_reads_both(node: Ghostd, both_types: list[dict[str, str]]) -> None:
    web3 = pytest.importorskip("web3")
    eth = web3.Web3(web3.Web3.HTTPProvider(node.url)).eth
    for receipt in both_types:
        name = receipt["transactionHash"]
        assert eth.get_transaction(name).type == int(receipt["type"], 16)
        assert eth.get_transaction_receipt(name).status == 1
        shown = eth.get_block(receipt["blockHash"], True).transactions
        assert [item.hash.to_0x_hex() for item in shown] == [name]


def test_cast_reads_both(node: Ghostd, both_types: list[dict[str, str]]) -> None:
    cast = tool("cast")
    for receipt in both_types:
        name = receipt["transactionHash"]
        asked = (("tx", name), ("receipt", name), ("block", receipt["blockHash"], "--full"))
        for command, *rest in asked:
            finished = subprocess.run(
                [cast, command, "--rpc-url", node.url, *rest, "--json"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert finished.returncode == 0, finished.stderr
            assert name in finished.stdout


def test_prices_in_tokens(client: RpcClient) -> None:
    """As Celo's nodes answer: the same price in the token."""
    price, tip = (
        [int(client.call(method, *token), 16) for token in ((), ("0x" + SPIRIT.hex(),))]
        for method in ("eth_gasPrice", "eth_maxPriorityFeePerGas")
    )
    assert price[1] == 2 * price[0]
    assert tip[1] == 2 * tip[0]
    with pytest.raises(RpcFailure, match="unknown fee token"):
        client.call("eth_gasPrice", "0x" + TARGET.hex())


def test_calls_and_access_lists_take_both(client: RpcClient) -> None:
    """eth_call gives what the last call returns; an access list leaves out who is warm anyway."""
    supply = {"to": "0x" + SPIRIT.hex(), "input": "0x18160ddd"}  # totalSupply()
    request = {
        "from": "0x" + EDWARDS.address.hex(),
        "calls": [{"to": "0x" + TARGET.hex(), "value": "0x1"}, supply],
        "feePayer": "0x" + SPONSOR.address.hex(),
        "feeToken": "0x" + MANA.hex(),
        "signatureScheme": "0x1",
    }
    assert int(client.call("eth_call", request, "latest"), 16) == word(client, SPIRIT, SUPPLY_SLOT)
    found = client.call("eth_createAccessList", request, "latest")
    assert [entry["address"] for entry in found["accessList"]] == ["0x" + SPIRIT.hex()]
    assert found["accessList"][0]["storageKeys"] == ["0x" + SUPPLY_SLOT.hex()]
    one = supply | {"from": request["from"], "feeCurrency": "0x" + MANA.hex()}
    assert int(client.call("eth_call", one, "latest"), 16) == word(client, SPIRIT, SUPPLY_SLOT)
    with pytest.raises(RpcFailure, match="insufficient funds"):
        client.call("eth_call", {**one, "gas": "0x186a0", "maxFeePerGas": hex(10**12)}, "latest")
    huge = {"gas": "0x186a0", "maxPriorityFeePerGas": hex(2**256 - 1)}
    with pytest.raises(RpcFailure, match="insufficient funds"):
        client.call("eth_call", {**one, **huge}, "latest")
    plain = client.call("eth_estimateGas", {**supply, "from": request["from"]})
    paid = client.call("eth_estimateGas", one)
    assert int(paid, 16) - int(plain, 16) in range(14_000, 16_000)


def test_the_pool_shows_both(client: RpcClient) -> None:
    """A transaction that waits for a lower nonce, as each method of the pool says it."""
    nonce = int(client.call("eth_getTransactionCount", "0x" + EDWARDS.address.hex()), 16) + 3
    tx = sign_ghost(ghost(client, nonce=nonce), EDWARDS, SPONSOR)
    name = client.call("eth_sendRawTransaction", "0x" + encode_transaction(tx).hex())
    who = "0x" + EDWARDS.address.hex()
    waiting = client.call("txpool_content")["queued"][who][str(nonce)]
    assert waiting == client.call("txpool_contentFrom", who)["queued"][str(nonce)]
    assert waiting == client.call("eth_getTransactionByHash", name)
    assert waiting["payerSignature"]["scheme"] == "0x0"
    line = client.call("txpool_inspect")["queued"][who][str(nonce)]
    assert line == f"0x{TARGET.hex()}: 1 wei + 100000 gas × {10**12} wei"
    raw = client.call("eth_getRawTransactionByHash", name)
    assert raw == "0x" + encode_transaction(tx).hex()
    # Others of this key come to that nonce.
    client.call("anvil_removePoolTransactions", who)


def test_rewards_are_told_in_coins(client: RpcClient) -> None:
    """A tip in a token counts in eth_feeHistory as what it is worth."""
    terms = Terms(max_priority_fee_per_gas=4_000, max_fee_per_gas=10**13)
    receipt = client.send_fee_currency(ALICE_KEY, Call(TARGET), SPIRIT, terms=terms)
    history = client.call("eth_feeHistory", "0x1", receipt["blockNumber"], [50])
    assert history["reward"] == [[hex(2_000)]]


def test_the_client_on_an_event_loop(node: Ghostd) -> None:
    async def send() -> list[dict[str, str]]:
        async with AsyncRpcClient(node.url) as client:
            return [
                await client.send_fee_currency(ALICE_KEY, Call(TARGET), MANA),
                await client.send_ghost(QUANTUM, [Call(TARGET)] * 2, payer=SPONSOR),
            ]

    assert [receipt["status"] for receipt in asyncio.run(send())] == ["0x1"] * 2


def test_the_node_signs_both(client: RpcClient) -> None:
    """eth_sendTransaction with feeCurrency or calls, for accounts whose keys the node holds."""
    sender = "0x" + ALICE.address.hex()
    one = client.call(
        "eth_sendTransactionSync",
        {"from": sender, "to": "0x" + TARGET.hex(), "feeCurrency": "0x" + MANA.hex()},
    )
    assert (one["type"], one["status"]) == ("0x7b", "0x1")
    calls = [{"to": "0x" + TARGET.hex(), "value": "0x1"}] * 3
    other = client.call(
        "eth_sendTransactionSync",
        {"from": sender, "calls": calls, "feeToken": "0x" + SPIRIT.hex(), "feePayer": sender},
    )
    assert (other["type"], other["status"]) == ("0x47", "0x1")
    with pytest.raises(RpcFailure, match="secp256k1 alone"):
        client.call(
            "eth_sendTransaction", {"from": sender, "calls": calls, "signatureScheme": "0x2"}
        )
    filled = client.call("eth_fillTransaction", {"from": sender, "calls": calls})
    assert filled["tx"]["type"] == "0x47"
