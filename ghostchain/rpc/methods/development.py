"""What only a development chain does: anvil_*, hardhat_*, evm_* and tenderly_*, under all the names
that anvil, Hardhat and viem's test client call them by. Answers are anvil's.

Not here: `anvil_setMinGasPrice` is refused as anvil and Hardhat do where EIP-1559 holds; methods of
other chains that anvil knows (`anvil_dealTIP20`, `anvil_setFeeToken` and their like, Tempo's) are
none of this one.
"""

from __future__ import annotations

from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.amendment import AccountAmendment
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.deals import slot_of_allowance, slot_of_balance
from ghostchain.rpc.development import Development
from ghostchain.rpc.development_parameters import (
    Mining,
    base_fee,
    code,
    gas,
    interval_seconds,
    mine_options,
    moment,
    number,
    number_64,
    seconds,
    url_text,
    word,
)
from ghostchain.rpc.errors import invalid_params, server_error
from ghostchain.rpc.fees import next_base_fee, suggest_tip
from ghostchain.rpc.method import Cost, Door, Method
from ghostchain.rpc.parameters import Parameter, address, boolean, hash32
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

DETAILED_BLOCKS_MAX = 1_000


def hand_of(services: Services) -> Development:
    """The dispatcher lets nobody in here on other chains."""
    found = services.backend.development
    assert found is not None, "the door of these methods"
    return found


# ---- sealing ----


def get_automine(services: Services) -> bool:
    return hand_of(services).is_automining


async def set_automine(services: Services, on: bool) -> None:
    await hand_of(services).set_automine(on)


async def start_mining(services: Services, threads: int | None = None) -> None:
    await set_automine(services, True)


async def stop_mining(services: Services) -> None:
    await set_automine(services, False)


def get_interval(services: Services) -> int | None:
    """In seconds, as it is set."""
    found = hand_of(services).interval_ms
    return None if found is None else found[0] // 1000


async def set_interval(services: Services, interval: tuple[int, int] | None) -> None:
    """As anvil: an interval takes automine's place, and none leaves mining to be asked for."""
    await hand_of(services).set_interval(interval, automine=False)


async def mine(services: Services, count: int, interval: int | None) -> None:
    await hand_of(services).mine(count, interval=interval)


async def mine_as_said(services: Services, mining: Mining) -> str:
    await hand_of(services).mine(mining.blocks, timestamp=mining.timestamp)
    return "0x0"


async def mine_detailed(services: Services, mining: Mining) -> Any:
    if mining.blocks > DETAILED_BLOCKS_MAX:
        raise invalid_params(f"at most {DETAILED_BLOCKS_MAX} blocks can be shown at once")
    before = services.backend.head().number
    await hand_of(services).mine(mining.blocks, timestamp=mining.timestamp)

    def shown(deadline: Deadline) -> list[Any]:
        found = []
        for height in range(before + 1, before + mining.blocks + 1):
            deadline.check()
            record = services.blocks.record(height)
            found.append(None if record is None else record.block_json(hydrated=True))
        return found

    return await services.workers.run(shown)


# ---- the clock ----


async def increase_time(services: Services, seconds: int) -> int:
    return await hand_of(services).increase_time(seconds)


async def set_time(services: Services, timestamp: int) -> int:
    hand = hand_of(services)
    before = hand.next_timestamp()
    await hand.set_time(timestamp)
    return max(timestamp - before, 0)


async def set_next_timestamp(services: Services, timestamp: int) -> None:
    await hand_of(services).set_next_timestamp(timestamp)


async def set_timestamp_interval(services: Services, seconds: int) -> None:
    await hand_of(services).set_timestamp_interval(seconds)


async def remove_timestamp_interval(services: Services) -> bool:
    return await hand_of(services).set_timestamp_interval(None)


def genesis_time(services: Services) -> int:
    header = services.backend.header(services.backend.earliest())
    return 0 if header is None else header.timestamp


def head_wall_time(services: Services) -> int:
    return hand_of(services).head_time_ms


# ---- state ----


async def set_balance(services: Services, who: Address, balance: int) -> None:
    await hand_of(services).amend({who: AccountAmendment(balance=balance)})


async def add_balance(services: Services, who: Address, amount: int) -> None:
    await hand_of(services).add_balance(who, amount)


async def set_code(services: Services, who: Address, code: bytes) -> None:
    await hand_of(services).amend({who: AccountAmendment(code=code)})


async def set_nonce(services: Services, who: Address, nonce: int) -> None:
    await hand_of(services).amend({who: AccountAmendment(nonce=nonce)})


async def set_storage(services: Services, who: Address, key: Hash32, value: Hash32) -> bool:
    await hand_of(services).amend({who: AccountAmendment(slots={key: value})})
    return True


async def deal(services: Services, who: Address, token: Address, balance: int) -> None:
    found = await services.workers.run(
        lambda deadline: slot_of_balance(services, deadline, token, who)
    )
    await set_slot(services, found, balance, "Unable to set ERC20 balance, no slot found")


async def allow(
    services: Services, owner: Address, spender: Address, token: Address, amount: int
) -> None:
    found = await services.workers.run(
        lambda deadline: slot_of_allowance(services, deadline, token, owner, spender)
    )
    await set_slot(services, found, amount, "Unable to set ERC20 allowance, no slot found")


async def set_slot(
    services: Services, found: tuple[Address, Hash32] | None, value: int, otherwise: str
) -> None:
    if found is None:
        raise server_error(otherwise)
    slots = {found[1]: Hash32(value.to_bytes(32, "big"))}
    await hand_of(services).amend({found[0]: AccountAmendment(slots=slots)})


# ---- what blocks are made with ----


async def set_coinbase(services: Services, who: Address) -> None:
    await hand_of(services).set_coinbase(who)


async def set_next_base_fee(services: Services, fee: int) -> None:
    await hand_of(services).set_next_base_fee(fee)


async def set_next_prev_randao(services: Services, value: Hash32) -> None:
    await hand_of(services).set_next_prev_randao(value)


async def set_gas_limit(services: Services, gas: int) -> bool:
    await hand_of(services).set_gas_limit(gas)
    return True


async def set_chain_id(services: Services, chain_id: int) -> None:
    await hand_of(services).set_chain_id(chain_id)


def refuse_min_gas_price(services: Services, fee: int) -> None:
    raise invalid_params("anvil_setMinGasPrice is not supported when EIP-1559 is active")


# ---- the pool ----


async def drop(services: Services, transaction_hash: Hash32) -> str | None:
    found = await hand_of(services).drop([transaction_hash])
    return format_data(found[0]) if found else None


async def drop_all(services: Services) -> None:
    await hand_of(services).drop_all()


async def drop_sender(services: Services, who: Address) -> None:
    await hand_of(services).drop_sender(who)


# ---- the node ----


async def set_logging(services: Services, on: bool) -> None:
    await hand_of(services).set_logging(on)


async def set_fork_url(services: Services, url: str) -> None:
    await hand_of(services).set_fork_url(url)


def no_blobs(services: Services, asked: Hash32) -> None:
    """Blobs travel beside transactions and are not kept."""


def node_info(services: Services, deadline: Deadline) -> Any:
    """anvil's, field by field."""
    backend, hand = services.backend, hand_of(services)
    head, fork = backend.head(), hand.fork
    fee = next_base_fee(services)
    environment = backend.environment(head.number + 1)
    return {
        "currentBlockNumber": hex(head.number),
        "currentBlockTimestamp": head.timestamp,
        "currentBlockHash": format_data(backend.hash_of(head.number) or b""),
        "hardFork": environment.fork.name.capitalize(),
        "transactionOrder": hand.order,
        "environment": {
            "baseFee": hex(fee),
            "chainId": backend.chain_id,
            "gasLimit": hex(environment.gas_limit),
            "gasPrice": hex(fee + suggest_tip(services)),
        },
        "forkConfig": {
            "forkUrl": None if fork is None else fork.url,
            "forkBlockNumber": None if fork is None else fork.block,
            "forkRetryBackoff": None,
        },
    }


def metadata(services: Services) -> Any:
    backend, hand = services.backend, hand_of(services)
    head, fork = backend.head(), hand.fork
    forked = None
    if fork is not None:
        forked = {
            "chainId": fork.chain_id,
            "forkBlockNumber": fork.block,
            "forkBlockHash": format_data(fork.block_hash),
        }
    return {
        "clientVersion": backend.client_version,
        "clientSemver": backend.client_version.split("/")[1].removeprefix("v"),
        "clientCommitSha": None,
        "chainId": backend.chain_id,
        "instanceId": format_data(hand.instance),
        "latestBlockNumber": head.number,
        "latestBlockHash": format_data(backend.hash_of(head.number) or b""),
        "forkedNetwork": forked,
        "snapshots": {
            hex(identity): [height, format_data(block_hash)]
            for identity, (height, block_hash) in hand.snapshots().items()
        },
    }


ADDRESS = Parameter("address", address)
SLOT = Parameter("slot", word)
ON = Parameter("on", boolean)
THREADS = Parameter("threads", number, required=False)
TIMESTAMP = Parameter("timestamp", number_64)
TOKEN = Parameter("token", address)
AMOUNT = Parameter("amount", number)
MINING = Parameter("options", mine_options, required=False, default=Mining())


def method(
    names: str, run: Any, parameters: tuple[Parameter, ...] = (), cost: Cost = Cost.AWAITED
) -> tuple[Method, ...]:
    """The rows of a method under all its names."""
    return tuple(Method(name, run, parameters, cost, Door.DEVELOPMENT) for name in names.split())


SEALING = (
    method("anvil_getAutomine hardhat_getAutomine", get_automine, (), Cost.CHEAP),
    method("evm_setAutomine anvil_setAutomine", set_automine, (ON,)),
    method("miner_start", start_mining, (THREADS,)),
    method("miner_stop", stop_mining),
    method("anvil_getIntervalMining", get_interval, (), Cost.CHEAP),
    method(
        "evm_setIntervalMining anvil_setIntervalMining",
        set_interval,
        (Parameter("interval", interval_seconds),),
    ),
    method(
        "anvil_mine hardhat_mine",
        mine,
        (
            Parameter("blocks", number_64, required=False, default=1),
            Parameter("interval", number_64, required=False),
        ),
    ),
    method("evm_mine", mine_as_said, (MINING,)),
    method("anvil_mine_detailed evm_mine_detailed", mine_detailed, (MINING,)),
)

CLOCK = (
    method("evm_increaseTime anvil_increaseTime", increase_time, (Parameter("seconds", seconds),)),
    method("evm_setTime anvil_setTime", set_time, (Parameter("timestamp", moment),)),
    method(
        "evm_setNextBlockTimestamp anvil_setNextBlockTimestamp", set_next_timestamp, (TIMESTAMP,)
    ),
    method(
        "anvil_setBlockTimestampInterval hardhat_setBlockTimestampInterval",
        set_timestamp_interval,
        (Parameter("seconds", number_64),),
    ),
    method(
        "anvil_removeBlockTimestampInterval hardhat_removeBlockTimestampInterval",
        remove_timestamp_interval,
    ),
    method("anvil_getGenesisTime", genesis_time, (), Cost.CHEAP),
    method("anvil_getLastBlockWallTime", head_wall_time, (), Cost.CHEAP),
)

ACCOUNTS = (
    method(
        "anvil_setBalance hardhat_setBalance tenderly_setBalance evm_setAccountBalance",
        set_balance,
        (ADDRESS, Parameter("balance", number)),
    ),
    method(
        "anvil_addBalance hardhat_addBalance tenderly_addBalance", add_balance, (ADDRESS, AMOUNT)
    ),
    method(
        "anvil_setCode hardhat_setCode evm_setAccountCode",
        set_code,
        (ADDRESS, Parameter("code", code)),
    ),
    method(
        "anvil_setNonce hardhat_setNonce evm_setAccountNonce",
        set_nonce,
        (ADDRESS, Parameter("nonce", number_64)),
    ),
    method(
        "anvil_setStorageAt hardhat_setStorageAt evm_setAccountStorageAt",
        set_storage,
        (ADDRESS, SLOT, Parameter("value", word)),
    ),
    method(
        "anvil_dealERC20 hardhat_dealERC20 anvil_setERC20Balance",
        deal,
        (ADDRESS, TOKEN, AMOUNT),
    ),
    method(
        "anvil_setERC20Allowance",
        allow,
        (Parameter("owner", address), Parameter("spender", address), TOKEN, AMOUNT),
    ),
)

BLOCKS = (
    method("anvil_setCoinbase hardhat_setCoinbase", set_coinbase, (ADDRESS,)),
    method(
        "anvil_setNextBlockBaseFeePerGas hardhat_setNextBlockBaseFeePerGas",
        set_next_base_fee,
        (Parameter("fee", base_fee),),
    ),
    method(
        "anvil_setNextBlockPrevRandao hardhat_setPrevRandao anvil_setPrevRandao",
        set_next_prev_randao,
        (Parameter("value", word),),
    ),
    method("evm_setBlockGasLimit anvil_setBlockGasLimit", set_gas_limit, (Parameter("gas", gas),)),
    method("anvil_setChainId", set_chain_id, (Parameter("chain id", number_64),)),
    method(
        "anvil_setMinGasPrice hardhat_setMinGasPrice",
        refuse_min_gas_price,
        (Parameter("fee", number),),
        Cost.CHEAP,
    ),
)

POOL = (
    method(
        "anvil_dropTransaction hardhat_dropTransaction",
        drop,
        (Parameter("transaction hash", hash32),),
    ),
    method("anvil_dropAllTransactions hardhat_dropAllTransactions debug_clearTxpool", drop_all),
    method("anvil_removePoolTransactions", drop_sender, (ADDRESS,)),
)

NODE = (
    method("anvil_setLoggingEnabled hardhat_setLoggingEnabled", set_logging, (ON,)),
    method("anvil_setRpcUrl hardhat_setRpcUrl", set_fork_url, (Parameter("url", url_text),)),
    method(
        "anvil_getBlobByHash anvil_getBlobsByTransactionHash",
        no_blobs,
        (Parameter("hash", hash32),),
        Cost.CHEAP,
    ),
    method("anvil_nodeInfo", node_info, (), Cost.SLOW),
    method("anvil_metadata hardhat_metadata", metadata, (), Cost.CHEAP),
)

TABLES = (SEALING, CLOCK, ACCOUNTS, BLOCKS, POOL, NODE)
METHODS = tuple(row for table in TABLES for rows in table for row in rows)
