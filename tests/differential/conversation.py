"""What changes a development chain, told to ghostd and anvil alike: every answer is compared, and
after each part what can be seen of it."""

from __future__ import annotations

import json
from typing import Any

from tests.differential.anvil import (
    CHAIN_ID,
    COINBASE,
    GAS_LIMIT,
    GENESIS_TIME,
    GWEI,
    accounts,
    call_data,
    post,
    transfer_data,
)
from tests.differential.comparing import Comparison

ALICE, BOB, CAROL, DAVE = (account.address for account in accounts()[:4])
STRANGER = "0x00000000000000000000000000000000000000bb"
CONTRACT = "0x00000000000000000000000000000000000000c0"
SHOW_SLOT = "0x5f545f5260205ff3"  # returns slot 0
WORD = "0x" + f"{42:064x}"
TYPED = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "chainId", "type": "uint256"},
        ],
        "Mail": [{"name": "to", "type": "address"}, {"name": "words", "type": "string[]"}],
    },
    "primaryType": "Mail",
    "domain": {"name": "twins", "chainId": CHAIN_ID},
    "message": {"to": BOB, "words": ["one", "two"]},
}


def transaction(sender: str, **members: Any) -> dict[str, Any]:
    """One that leaves nothing to the node."""
    fees = {"maxFeePerGas": hex(20 * GWEI), "maxPriorityFeePerGas": hex(GWEI)}
    return {"from": sender, "to": STRANGER, "value": "0x7", "gas": "0x30000", **fees, **members}


def mine(talk: Comparison) -> None:
    talk.pair.mine()
    talk.learn_blocks()


def look_at(talk: Comparison, *addresses: str) -> None:
    """All that can be seen of these accounts."""
    for address in addresses:
        talk.ask("eth_getBalance", address, "latest")
        talk.ask("eth_getTransactionCount", address, "latest")
        talk.ask("eth_getTransactionCount", address, "pending")
        talk.ask("eth_getCode", address, "latest")
        talk.ask("eth_getStorageAt", address, "0x0", "latest")
        talk.ask("eth_getAccount", address, "latest")
        talk.ask("eth_getAccountInfo", address, "latest")


def ask_of_blocks(talk: Comparison, method: str, *parameters: Any) -> None:
    """What makes blocks and answers with them: their hashes have names when they are known."""
    pair = talk.pair
    answers = [post(url, method, list(parameters)) for url in (pair.ghost, pair.anvil)]
    talk.learn_blocks()
    talk.compare(method, parameters, *answers)


def look_at_head(talk: Comparison) -> None:
    talk.learn_blocks()
    talk.ask("eth_blockNumber")
    talk.ask("eth_getBlockByNumber", "latest", True)
    talk.ask("eth_getBlockReceipts", "latest")
    talk.ask("txpool_status")


def change_accounts(talk: Comparison) -> None:
    """By every name that sets something."""
    for prefix in ("anvil", "hardhat"):
        talk.ask(f"{prefix}_setBalance", STRANGER, "0xde0b6b3a7640000")
        talk.ask(f"{prefix}_addBalance", STRANGER, "0x1")
        talk.ask(f"{prefix}_setNonce", STRANGER, "0x5")
        talk.ask(f"{prefix}_setCode", CONTRACT, SHOW_SLOT)
        talk.ask(f"{prefix}_setStorageAt", CONTRACT, "0x0", WORD)
        look_at(talk, STRANGER, CONTRACT)
        talk.ask("eth_call", {"to": CONTRACT}, "latest")
        mine(talk)
        look_at(talk, STRANGER, CONTRACT)
        talk.ask(f"{prefix}_setBalance", CONTRACT, "0x1")
        talk.ask(f"{prefix}_setCode", CONTRACT, "0x")
        talk.ask(f"{prefix}_setStorageAt", CONTRACT, "0x0", "0x" + "00" * 32)
        talk.ask(f"{prefix}_setBalance", STRANGER, "0x0")
        mine(talk)
        look_at(talk, STRANGER, CONTRACT)
    talk.ask("tenderly_setBalance", STRANGER, "0x10")
    talk.ask("tenderly_addBalance", STRANGER, "0x10")
    talk.ask("evm_setAccountNonce", STRANGER, "0x8")
    look_at(talk, STRANGER)
    for wrong in (("0x12", "0x1"), (STRANGER,), (STRANGER, "ten")):
        talk.ask("anvil_setBalance", *wrong)
    talk.ask("anvil_setStorageAt", STRANGER, "0x0", "0xzz")
    mine(talk)


def deal_tokens(talk: Comparison) -> None:
    token = talk.pair.addresses["token"]
    for prefix in ("anvil", "hardhat"):
        talk.ask(f"{prefix}_dealERC20", STRANGER, token, "0x3039")
        talk.ask("eth_call", {"to": token, "data": balance_of(STRANGER)}, "latest")
    talk.ask("anvil_setERC20Balance", DAVE, token, "0x7")
    talk.ask("eth_call", {"to": token, "data": balance_of(DAVE)}, "latest")
    talk.ask("anvil_setERC20Allowance", ALICE, BOB, token, "0x5")
    allowance = call_data("allowance(address,address)", ALICE, BOB)
    talk.ask("eth_call", {"to": token, "data": allowance}, "latest")
    talk.ask("anvil_dealERC20", STRANGER, CAROL, "0x1")
    mine(talk)
    talk.ask("eth_call", {"to": token, "data": balance_of(STRANGER)}, "latest")


def balance_of(who: str) -> str:
    return call_data("balanceOf(address)", who)


def impersonate(talk: Comparison) -> None:
    """Automine is off, so that both have what was sent when they answer."""
    talk.ask("evm_setAutomine", False)
    talk.ask("anvil_getAutomine")
    talk.ask("anvil_setBalance", STRANGER, hex(10**20))
    talk.ask("eth_sendTransaction", transaction(STRANGER, to=BOB))
    for prefix in ("anvil", "hardhat"):
        talk.ask(f"{prefix}_impersonateAccount", STRANGER)
        talk.ask("eth_accounts")
        sent = send_unsigned(talk, "eth_sendTransaction", transaction(STRANGER, to=BOB))
        mine(talk)
        look_at_head(talk)
        talk.ask("eth_getTransactionByHash", sent)
        talk.ask("eth_getTransactionReceipt", sent)
        talk.ask(f"{prefix}_stopImpersonatingAccount", STRANGER)
        talk.ask("eth_sendTransaction", transaction(STRANGER, to=BOB))
        talk.ask(f"{prefix}_autoImpersonateAccount", True)
        send_unsigned(talk, "eth_sendTransaction", transaction(STRANGER, to=DAVE))
        talk.ask(f"{prefix}_autoImpersonateAccount", False)
        mine(talk)
        look_at_head(talk)
    send_unsigned(talk, "eth_sendUnsignedTransaction", transaction(STRANGER, to=BOB))
    mine(talk)
    look_at_head(talk)
    look_at(talk, STRANGER, BOB)
    signature = "0x" + "12" * 65
    talk.ask("anvil_impersonateSignature", [signature, BOB])
    digest = "0x" + "34" * 32
    # ECRECOVER answers whom the signature is said to be of.
    asked = digest + f"{0x12:064x}" + signature[2:130]
    talk.ask("eth_call", {"to": f"0x{1:040x}", "data": asked}, "latest")
    talk.ask("evm_setAutomine", True)


def send_unsigned(talk: Comparison, method: str, members: dict[str, Any]) -> str:
    """The name of its hash, which each node makes in its own way for want of a signature."""
    pair = talk.pair
    ghost, anvil = (post(url, method, [members]) for url in (pair.ghost, pair.anvil))
    name = f"unsigned {len(talk.ghost_names)}"
    if "result" in ghost and "result" in anvil:
        talk.ghost_names[ghost["result"]] = talk.anvil_names[anvil["result"]] = name
    talk.compare(method, (members,), ghost, anvil)
    return name


def sign(talk: Comparison) -> None:
    for method, parameters in (
        ("eth_sign", (ALICE, "0x68656c6c6f")),
        ("personal_sign", ("0x68656c6c6f", ALICE)),
        ("eth_signTypedData", (ALICE, TYPED)),
        ("eth_signTypedData_v3", (ALICE, TYPED)),
        ("eth_signTypedData_v4", (ALICE, TYPED)),
        ("eth_signTypedData_v4", (ALICE, json.dumps(TYPED))),
        ("eth_sign", (STRANGER, "0x68656c6c6f")),
        ("eth_signTypedData_v4", (STRANGER, TYPED)),
        ("eth_requestAccounts", ()),
        ("eth_signTransaction", (transaction(ALICE, nonce="0x60"),)),
        ("eth_fillTransaction", (transaction(ALICE, nonce="0x60", chainId=hex(CHAIN_ID)),)),
        ("eth_fillTransaction", ({"from": ALICE, "to": STRANGER},)),
    ):
        talk.ask(method, *parameters)


def send(talk: Comparison) -> None:
    """Every way of sending, with automine; and what is refused."""
    account = accounts()[4]
    sender = account.address
    raw = [signed(account, nonce) for nonce in range(5)]
    talk.pair.prepare_block()
    sent, _ = talk.ask("eth_sendTransaction", transaction(sender))
    talk.pair.await_anvil(sent["result"])
    talk.pair.prepare_block()
    talk.learn_blocks()
    first, _ = talk.ask("eth_sendRawTransaction", raw[1])
    talk.pair.await_anvil(first["result"])
    talk.pair.prepare_block()
    ask_of_blocks(talk, "eth_sendRawTransactionSync", raw[2])
    talk.pair.prepare_block()
    ask_of_blocks(talk, "eth_sendTransactionSync", transaction(sender))
    talk.pair.rest()
    look_at_head(talk)
    talk.ask("evm_setAutomine", False)
    talk.ask("eth_sendRawTransaction", raw[4])
    talk.ask("eth_sendRawTransaction", raw[4])
    talk.ask("eth_sendRawTransaction", raw[0])
    talk.ask("eth_sendRawTransaction", signed(account, 6))
    talk.ask("eth_sendRawTransaction", signed(account, 4, maxFeePerGas=20 * GWEI - 1))
    talk.ask("eth_sendRawTransaction", signed(account, 4, maxFeePerGas=40 * GWEI, tip=2 * GWEI))
    for wrong in (
        {"gas": 20_000},
        {"value": 10**30},
        {"chainId": 7},
        {"gas": GAS_LIMIT + 1},
        {"maxFeePerGas": GWEI, "tip": 2 * GWEI},
    ):
        talk.ask("eth_sendRawTransaction", signed(account, 5, **wrong))
    look_at_pool(talk, sender)
    mine(talk)
    look_at_head(talk)
    look_at_pool(talk, sender)
    talk.ask("anvil_dropAllTransactions")
    talk.ask("evm_setAutomine", True)


def signed(account: Any, nonce: int, *, tip: int = GWEI, **members: Any) -> str:
    whole = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "to": STRANGER,
        "value": 7,
        "gas": 30_000,
        "maxFeePerGas": 20 * GWEI,
        "maxPriorityFeePerGas": tip,
        **members,
    }
    raw: str = account.sign_transaction(whole).raw_transaction.hex()
    return "0x" + raw.removeprefix("0x")


def look_at_pool(talk: Comparison, sender: str) -> None:
    talk.pair.rest()
    for method in ("txpool_status", "txpool_content", "txpool_inspect"):
        talk.ask(method)
    talk.ask("eth_getTransactionCount", sender, "pending")
    talk.ask("eth_getBlockByNumber", "pending", True)
    talk.ask("eth_getBlockTransactionCountByNumber", "pending")
    for index in ("0x0", "0x3"):
        talk.ask("eth_getTransactionByBlockNumberAndIndex", "pending", index)
        talk.ask("eth_getRawTransactionByBlockNumberAndIndex", "pending", index)


def drop(talk: Comparison) -> None:
    talk.ask("evm_setAutomine", False)
    for prefix in ("anvil", "hardhat"):
        sent = [talk.ask("eth_sendTransaction", transaction(ALICE)) for _ in range(3)]
        talk.ask("eth_sendTransaction", transaction(BOB))
        last = sent[-1][0]["result"]
        talk.ask("eth_getTransactionByHash", last)
        talk.ask("eth_getRawTransactionByHash", last)
        talk.ask("eth_getTransactionReceipt", last)
        talk.ask(f"{prefix}_dropTransaction", last)
        talk.ask(f"{prefix}_dropTransaction", "0x" + "77" * 32)
        look_at_pool(talk, ALICE)
        talk.ask("anvil_removePoolTransactions", ALICE)
        look_at_pool(talk, ALICE)
        talk.ask(f"{prefix}_dropAllTransactions")
        look_at_pool(talk, BOB)
    talk.ask("evm_setAutomine", True)


def move_blocks(talk: Comparison) -> None:
    """Blocks at set times, which step on from each other."""
    pair = talk.pair
    talk.ask("anvil_setBlockTimestampInterval", 3)
    for method, parameters in (
        ("evm_mine", ()),
        ("evm_mine", ({"timestamp": hex(GENESIS_TIME + 10**6), "blocks": 2},)),
        ("evm_mine_detailed", ()),
        ("anvil_mine_detailed", (hex(GENESIS_TIME + 10**6 + 100),)),
        ("anvil_mine", ()),
        ("anvil_mine", (2,)),
        ("anvil_mine", ("0x2",)),
        ("hardhat_mine", ("0x3",)),
        ("anvil_mine", (0,)),
    ):
        ask_of_blocks(talk, method, *parameters)
        look_at_head(talk)
    talk.ask("anvil_removeBlockTimestampInterval")
    talk.ask("anvil_removeBlockTimestampInterval")
    head = post(pair.ghost, "eth_getBlockByNumber", ["latest", False])["result"]
    pair.now = int(head["timestamp"], 16)
    for name in ("anvil", "evm"):
        talk.ask(f"{name}_setNextBlockTimestamp", pair.now - 5)
        talk.ask(f"{name}_setNextBlockTimestamp", hex(pair.now + 20))
        pair.now += 20
        talk.ask("evm_mine")
        look_at_head(talk)
    for moment in (pair.now + 7, hex(pair.now + 9), {"timestamp": pair.now + 11}):
        talk.ask("evm_mine", moment)
        look_at_head(talk)
    pair.now += 11
    for name, amount in (("evm", 3600), ("anvil", "0x10")):
        talk.ask(f"{name}_increaseTime", amount)
    for name in ("evm", "anvil"):
        talk.ask(f"{name}_setTime", pair.now + 100)
    pair.now += 200
    pair.await_fees()


def set_the_chain(talk: Comparison) -> None:
    for method, parameters in (
        ("anvil_setCoinbase", (DAVE,)),
        ("hardhat_setCoinbase", (COINBASE,)),
        ("eth_coinbase", ()),
        ("anvil_setLoggingEnabled", (True,)),
        ("hardhat_setLoggingEnabled", (True,)),
        ("anvil_setMinGasPrice", ("0x1",)),
        ("hardhat_setMinGasPrice", ("0x1",)),
        ("anvil_setNextBlockBaseFeePerGas", ("0x77359400",)),
        ("hardhat_setNextBlockBaseFeePerGas", ("0x77359401",)),
        ("eth_gasPrice", ()),
        ("eth_feeHistory", ("0x2", "latest", [])),
        ("anvil_setAutomine", (False,)),
        ("hardhat_getAutomine", ()),
        ("evm_setAutomine", (True,)),
        ("anvil_setIntervalMining", (3600,)),
        ("anvil_getIntervalMining", ()),
        ("anvil_getAutomine", ()),
        ("evm_setIntervalMining", (0,)),
        ("anvil_getIntervalMining", ()),
        ("evm_setAutomine", (True,)),
        ("anvil_setBlockGasLimit", (hex(GAS_LIMIT - 1),)),
        ("evm_setBlockGasLimit", (hex(GAS_LIMIT),)),
        ("anvil_getGenesisTime", ()),
        ("anvil_getBlobByHash", ("0x01" + "00" * 31,)),
        ("anvil_getBlobsByTransactionHash", ("0x" + "00" * 32,)),
        ("anvil_setRpcUrl", ("http://127.0.0.1:1",)),
        ("anvil_nodeInfo", ()),
        ("anvil_metadata", ()),
        ("hardhat_metadata", ()),
        ("web3_clientVersion", ()),
        ("eth_config", ()),
    ):
        talk.ask(method, *parameters)
    mine(talk)
    look_at_head(talk)
    talk.ask("anvil_setChainId", 1234)
    talk.ask("eth_chainId")
    talk.ask("net_version")
    talk.ask("anvil_setChainId", CHAIN_ID)
    talk.ask("eth_chainId")


def watch(talk: Comparison) -> None:
    """Filters of each kind, over blocks with logs and without."""
    token = talk.pair.addresses["token"]
    filters = []
    for method, parameters in (
        ("eth_newFilter", ({"address": token},)),
        ("eth_newFilter", ({"fromBlock": "0x0", "topics": [None, None]},)),
        ("eth_newFilter", ({"fromBlock": "0x3", "toBlock": "0x2"},)),
        ("eth_newBlockFilter", ()),
        ("eth_newPendingTransactionFilter", ()),
    ):
        pair = talk.pair
        made = [post(url, method, list(parameters)) for url in (pair.ghost, pair.anvil)]
        talk.asked.add(method)
        if "result" in made[0] and "result" in made[1]:
            filters.append(tuple(answer["result"] for answer in made))
            talk.ghost_names[made[0]["result"]] = f"filter {len(filters)}"
            talk.anvil_names[made[1]["result"]] = f"filter {len(filters)}"
        else:
            talk.compare(method, parameters, *made)
    names = [f"filter {index + 1}" for index in range(len(filters))]
    talk.ask("evm_setAutomine", False)
    for _ in range(2):
        data = transfer_data(BOB, 5)
        for value in ("0x0", "0x0"):
            talk.ask("eth_sendTransaction", transaction(ALICE, to=token, data=data, value=value))
        mine(talk)
        for name in names:
            talk.ask("eth_getFilterChanges", name)
            talk.ask("eth_getFilterLogs", name)
    for name in names:
        talk.ask("eth_uninstallFilter", name)
        talk.ask("eth_uninstallFilter", name)
        talk.ask("eth_getFilterChanges", name)
    talk.ask("evm_setAutomine", True)


def go_back(talk: Comparison) -> None:
    """Snapshots, rollbacks, reorganisations; at last, the beginning."""
    for prefix in ("evm", "anvil"):
        first, _ = talk.ask(f"{prefix}_snapshot")
        talk.ask("anvil_setBalance", STRANGER, "0x1234")
        mine(talk)
        second, _ = talk.ask(f"{prefix}_snapshot")
        mine(talk)
        talk.ask(f"{prefix}_revert", second["result"])
        # anvil forgets what its next block was to cost.
        talk.pair.tell("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        look_at_head(talk)
        look_at(talk, STRANGER)
        talk.ask(f"{prefix}_revert", second["result"])
        talk.ask(f"{prefix}_revert", first["result"])
        talk.pair.tell("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        look_at_head(talk)
        look_at(talk, STRANGER)
        talk.ask(f"{prefix}_revert", "0x7777")
    for method, parameters in (
        ("anvil_rollback", (None,)),
        ("anvil_rollback", (2,)),
        ("anvil_rollback", (7777,)),
        ("anvil_reorg", (2, [])),
        ("anvil_reorg", (7777, [])),
    ):
        talk.ask(method, *parameters)
        talk.ask("eth_blockNumber")
    talk.pair.tell("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    mine(talk)
    look_at(talk, ALICE, BOB, STRANGER)


def begin_anew(talk: Comparison) -> None:
    for prefix in ("anvil", "hardhat"):
        talk.ask(f"{prefix}_reset")
        talk.ask("eth_blockNumber")
        talk.ask("eth_getBlockByNumber", "0x0", False)
        look_at(talk, ALICE, STRANGER)


PARTS = (
    *(change_accounts, deal_tokens, impersonate, sign, send, drop, watch, set_the_chain),
    *(move_blocks, go_back),
)
