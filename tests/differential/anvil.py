"""ghostd beside anvil: two development nodes that begin with one genesis and are told the same.

Both get the same raw transactions, times and randomness. Hashes of blocks differ, since anvil's
genesis names no state and every header commits to its parent: in questions and answers they are
`hash of block N`. The contracts of EIP-2935 and EIP-4788 are left out of genesis, for they would
hold those hashes; all else of the state is the same on both.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_utils import function_signature_to_4byte_selector, keccak, to_checksum_address

import ghostchain.chain.genesis
from tests.node.anvil import Anvil
from tests.node.clients import compiled_token
from tests.node.process import Ghostd

CHAIN_ID = 31337
GENESIS_TIME = 1_800_000_000
BLOCK_SECONDS = 12
# What a call may have: anvil gives it the block's limit, ghostd at most geth's 50 million.
GAS_LIMIT = 50_000_000
COINBASE = "0x00000000000000000000000000000000c0ffee00"
MNEMONIC = "test test test test test test test test test test test junk"
GWEI = 10**9
SECONDS_MAX = 30.0
FORKS = (
    *(f"{name}Block" for name in ("homestead", "eip150", "eip155", "eip158", "byzantium")),
    *(f"{name}Block" for name in ("constantinople", "petersburg", "istanbul", "berlin", "london")),
    *(f"{name}Time" for name in ("shanghai", "cancun", "prague", "osaka")),
    "terminalTotalDifficulty",
)
HOLD_HASHES = (
    "0x0000f90827f1c53a10cb7a02335b175320002935",  # EIP-2935
    "0x000f3df6d732807ef1319fb7b8bb8522d0beac02",  # EIP-4788
)
ANVIL_FLAGS = (
    *("--hardfork", "osaka", "--order", "fifo", "--steps-tracing", "--enable-tx-gas-limit"),
    *("--slots-in-an-epoch", "0", "--disable-default-create2-deployer"),
    *("--gas-limit", str(GAS_LIMIT)),
)
NETWORK = Path(ghostchain.chain.genesis.__file__).parent / "genesis" / "dev.json"


def genesis() -> dict[str, Any]:
    """geth's form; ten accounts with 10,000 ether each."""
    return {
        "config": {
            "chainId": CHAIN_ID,
            **dict.fromkeys(FORKS, 0),
            "terminalTotalDifficultyPassed": True,
        },
        "nonce": "0x0",
        "timestamp": hex(GENESIS_TIME),
        "extraData": "0x",
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x0",
        "mixHash": "0x" + "00" * 32,
        "coinbase": "0x" + "00" * 20,
        "baseFeePerGas": hex(GWEI),
        "alloc": system_contracts()
        | {account.address: {"balance": hex(10_000 * 10**18)} for account in accounts()},
    }


def system_contracts() -> dict[str, Any]:
    """Those that blocks of Prague call, as our development chain has them."""
    alloc = json.loads(NETWORK.read_text())["alloc"]
    return {
        address: entry
        for address, entry in alloc.items()
        if address.startswith("0x0000") and address.lower() not in HOLD_HASHES
    }


def accounts() -> list[Any]:
    Account.enable_unaudited_hdwallet_features()
    return [
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
        for index in range(10)
    ]


def post(url: str, method: str, parameters: list[Any], *, timeout: float = 60) -> dict[str, Any]:
    """{"result": ...} or {"error": ...}."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        answer: dict[str, Any] = json.loads(response.read())
    answer.pop("jsonrpc")
    answer.pop("id")
    return answer


@dataclass(slots=True)
class Pair:
    """Both nodes, and what happened on them: blocks by number are the same for both."""

    ghost: str
    anvil: str
    now: int = GENESIS_TIME
    nonces: dict[str, int] = field(default_factory=dict)
    transactions: dict[str, str] = field(default_factory=dict)  # by name
    addresses: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, *parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        listed = list(parameters)
        return post(self.ghost, method, listed), post(self.anvil, method, listed)

    def tell(self, method: str, *parameters: Any) -> Any:
        """What both must take; ghostd's result."""
        ghost, anvil = self.ask(method, *parameters)
        assert "error" not in ghost, (method, ghost)
        assert "error" not in anvil, (method, anvil)
        return ghost["result"]

    def prepare_block(self, seconds: int = BLOCK_SECONDS) -> None:
        """The next block has the same time and randomness on both."""
        head = post(self.anvil, "eth_getBlockByNumber", ["latest", False])["result"]
        number = int(head["number"], 16)
        if number == 0:
            # anvil lets its first block have the base fee of genesis.
            self.tell("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        self.now += seconds
        self.tell("evm_setNextBlockTimestamp", hex(self.now))
        # anvil's randomness is made of the parent's hash, so it is told to ghostd.
        randomness = keccak(bytes.fromhex(head["hash"][2:]) + (number + 1).to_bytes(8, "little"))
        told = post(self.ghost, "anvil_setNextBlockPrevRandao", ["0x" + randomness.hex()])
        assert "error" not in told, told

    def mine(self) -> None:
        """A block of what waits; anvil has its fees on record then."""
        self.prepare_block()
        self.tell("evm_mine")
        self.await_fees()

    def await_fees(self) -> None:
        """anvil answers eth_feeHistory from a record that a task of its own writes, some time
        after a block is made."""
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            history = post(self.anvil, "eth_feeHistory", ["0x400", "latest", []])["result"]
            head = int(post(self.anvil, "eth_blockNumber", [])["result"], 16)
            if len(history["gasUsedRatio"]) == min(head + 1, 1024):
                return
            assert time.monotonic() < deadline, "anvil keeps no record of its fees"
            time.sleep(0.005)

    def rest(self) -> None:
        """No clock runs on between two answers: the next block's time is set."""
        self.prepare_block()
        self.await_fees()

    def send(self, name: str, account: Any, transaction: Mapping[str, Any]) -> str:
        """Signs and sends to both; with automine it is in the next block."""
        nonce = self.nonces.get(account.address, 0)
        self.nonces[account.address] = nonce + 1
        whole = {"chainId": CHAIN_ID, "nonce": nonce, "value": 0, **transaction}
        if "gasPrice" not in whole:
            whole = {"maxFeePerGas": 20 * GWEI, "maxPriorityFeePerGas": GWEI, **whole}
        raw = "0x" + account.sign_transaction(whole).raw_transaction.hex().removeprefix("0x")
        sent: str = self.tell("eth_sendRawTransaction", raw)
        self.transactions[name] = sent
        return sent

    def include(self, name: str, account: Any, transaction: Mapping[str, Any]) -> dict[str, Any]:
        """A block with this transaction alone; its receipt."""
        self.prepare_block()
        sent = self.send(name, account, transaction)
        receipt: dict[str, Any] = self.tell("eth_getTransactionReceipt", sent)
        assert receipt is not None, name
        self.await_anvil(sent)
        if receipt.get("contractAddress"):
            self.addresses[name] = to_checksum_address(receipt["contractAddress"])
        return receipt

    def await_anvil(self, sent: str) -> None:
        """anvil answers a transaction before it has made its block."""
        deadline = time.monotonic() + SECONDS_MAX
        while post(self.anvil, "eth_getTransactionReceipt", [sent])["result"] is None:
            assert time.monotonic() < deadline, f"anvil made no block of {sent}"
            time.sleep(0.005)

    def block_hashes(self, known: Container[str] = ()) -> tuple[dict[str, str], dict[str, str]]:
        """hash or randomness -> its block's number, of each node; from the head
        down to the first that is known."""
        found: tuple[dict[str, str], dict[str, str]] = {}, {}
        head = min(int(answer["result"], 16) for answer in self.ask("eth_blockNumber"))
        for number in range(head, -1, -1):
            answers = self.ask("eth_getBlockByNumber", hex(number), False)
            if all(answer["result"]["hash"] in known for answer in answers):
                break
            for names, answer in zip(found, answers, strict=True):
                names[answer["result"]["hash"]] = f"hash of block {number}"
                if number:
                    names[answer["result"]["mixHash"]] = f"randomness of block {number}"
        return found


@contextlib.contextmanager
def running_anvil(folder: Path) -> Iterator[str]:
    """An anvil from the genesis; its URL."""
    path = folder / "genesis.json"
    path.write_text(json.dumps(genesis()))
    with Anvil("--init", str(path), *ANVIL_FLAGS) as anvil:
        yield anvil.url


@contextlib.contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    """Both nodes, told to agree on what a header may say freely."""
    with contextlib.ExitStack() as stack:
        anvil = stack.enter_context(running_anvil(folder))
        node = stack.enter_context(
            Ghostd("--dev", "--genesis", str(folder / "genesis.json"), "--order", "fifo")
        )
        pair = Pair(node.url, anvil)
        pair.tell("anvil_setCoinbase", COINBASE)
        yield pair


def call_data(signature: str, *words: int | str) -> str:
    """A call's data: the selector, and words that are numbers or addresses."""
    numbers = (int(word, 16) if isinstance(word, str) else word for word in words)
    selector: bytes = function_signature_to_4byte_selector(signature)
    return "0x" + selector.hex() + "".join(f"{number:064x}" for number in numbers)


def transfer_data(to: str, amount: int) -> str:
    return call_data("transfer(address,uint256)", to, amount)


def live(pair: Pair) -> None:
    """A chain with what clients ask about: every type that anvil has without sidecars, creations,
    failures of each kind, logs, delegation, blocks with none and with many transactions."""
    alice, bob, carol = accounts()[:3]
    supply = f"{10**24:064x}"
    pair.include("token", alice, {"data": compiled_token()["bytecode"] + supply, "gas": 2_000_000})
    token = pair.addresses["token"]
    transfer = {"to": token, "data": transfer_data(bob.address, 1000), "gas": 100_000}
    plain = {"to": bob.address, "value": 12345, "gas": 21_000}
    listed = {"accessList": [{"address": token, "storageKeys": ["0x" + "00" * 32]}]}
    delegation = carol.sign_authorization({"chainId": CHAIN_ID, "address": token, "nonce": 0})
    delegating = {"authorizationList": [delegation], "data": call_data("totalSupply()")}
    nested = {"to": token, "data": call_data("nested(uint256)", 3), "gas": 500_000}
    story = (
        ("transfer", alice, transfer),
        ("plain", alice, plain),
        ("legacy", alice, plain | {"gasPrice": 3 * GWEI}),
        ("access list", alice, transfer | listed | {"gasPrice": 3 * GWEI}),
        ("reverted", bob, transfer | {"data": transfer_data(alice.address, 10**30)}),
        ("out of gas", bob, transfer | {"gas": 24_000}),
        ("nested", bob, nested),
        ("failed creation", bob, {"data": "0xfe", "gas": 60_000}),
        ("delegation", bob, {"to": carol.address, "gas": 200_000} | delegating),
    )
    for name, sender, transaction in story:
        pair.include(name, sender, transaction)
    pair.mine()
    pair.tell("evm_setAutomine", False)
    for index, sender in enumerate((alice, bob, alice, bob)):
        pair.send(f"many {index}", sender, plain | {"to": carol.address, "gas": 60_000})
    pair.send("last", alice, transfer)
    pair.mine()
    pair.tell("evm_setAutomine", True)
    pair.rest()
