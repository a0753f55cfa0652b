"""Blocks imported from a chain file: decode, recover, execute, root, durable commit.

The import runs in a process of its own, as `ghostd import` would, so that its memory can be told.

Two loads: plain transfers between many accounts, and transfers of an ERC-20-like token written by
hand in bytecode (balances in a mapping, a Transfer event; neither allowances nor metadata). Peers
exist for parts only: `peer_execution_per_second` is a loop over revm (pyrevm) that executes the
same messages and does nothing else; `ratio` is our whole import against that. `result` is the last
state root. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coincurve
import pytest

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import Genesis, GenesisAccount, state_root
from ghostchain.chain.networks import network
from ghostchain.chain.transfer import export_file, import_file
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.rlp import encode_bytes, encode_integer, list_of
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.types import Address, Hash32

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
BLOCKS = int(os.environ.get("GHOSTCHAIN_BENCH_BLOCKS", "10" if FULL else "2"))
BLOCK_TRANSACTIONS = 20_000 if FULL else 100
SENDERS = 20_000 if FULL else 50
RECIPIENTS = 100_000 if FULL else 200
PEER_MESSAGES = 20_000 if FULL else 100
MEGABYTE = 1 << 20

CHAIN_ID = 31337
COINBASE = Address(b"\xcb" * 20)
TOKEN = Address(b"\x70" * 20)
TOKENS_EACH = 10**18
# The state of a block that carries 20,000 transfers is charged 420 Mgas.
GAS_LIMIT = 3_000_000_000
MAX_FEE = 10**15
TRANSFER_GAS = 21_000
TOKEN_GAS = 80_000
SELECTOR = keccak256(b"transfer(address,uint256)")[:4]

# transfer(address to, uint256 amount), whatever the selector: balances at
# keccak256(holder | 0) as Solidity lays out slot 0, revert when short, log Transfer, return true.
TOKEN_CODE = bytes.fromhex(
    "335f5260405f2080546024358181116059"  # slot and balance of the caller, amount, is it more?
    "57809103909155"  # then to the revert; else balance - amount is stored
    "600435805f5260405f20805483019055"  # the recipient; balance + amount is stored
    "905f5233"  # the amount into memory; topics: recipient, caller, event
    f"7f{keccak256(b'Transfer(address,address,uint256)').hex()}"
    "60205fa360015f5260205ff3"  # LOG3, return true
    "5b5f5ffd"
)
assert TOKEN_CODE[0x59] == 0x5B


@dataclass(frozen=True, slots=True)
class Load:
    """What the blocks of a benchmark hold."""

    name: str
    is_token: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A transaction before it is signed."""

    key: bytes
    nonce: int
    recipient: bytes


def address_of(key: bytes) -> Address:
    public = coincurve.PublicKey.from_secret(key).format(compressed=False)[1:]
    return Address(keccak256(public)[12:])


def call_data(recipient: bytes) -> bytes:
    return bytes(SELECTOR) + recipient.rjust(32, b"\0") + (1).to_bytes(32)


def sign(plan: Plan, signer: coincurve.PrivateKey, load: Load) -> bytes:
    """A signed type-2 transaction, without the detours of the general encoder."""
    fields = [
        encode_integer(CHAIN_ID),
        encode_integer(plan.nonce),
        encode_integer(1),
        encode_integer(MAX_FEE),
        encode_integer(TOKEN_GAS if load.is_token else TRANSFER_GAS),
        encode_bytes(bytes(TOKEN) if load.is_token else plan.recipient),
        encode_integer(0 if load.is_token else 1),
        encode_bytes(call_data(plan.recipient) if load.is_token else b""),
        b"\xc0",
    ]
    digest = keccak256(b"\x02" + list_of(fields))
    signature = signer.sign_recoverable(bytes(digest), hasher=None)
    fields += [encode_integer(signature[64])]
    fields += [encode_bytes(signature[i : i + 32].lstrip(b"\0")) for i in (0, 32)]
    return b"\x02" + list_of(fields)


def sign_all(work: tuple[list[Plan], Load]) -> list[bytes]:
    plans, load = work
    signers = {plan.key: coincurve.PrivateKey(plan.key) for plan in plans}
    return [sign(plan, signers[plan.key], load) for plan in plans]


def plans_of(chance: random.Random, keys: list[bytes]) -> list[list[Plan]]:
    """The transactions of each block: senders take turns, recipients are drawn."""
    recipients = [chance.randbytes(20) for _ in range(RECIPIENTS)]
    nonces = dict.fromkeys(keys, 0)
    blocks = []
    for number in range(BLOCKS):
        plans = []
        for i in range(BLOCK_TRANSACTIONS):
            key = keys[(number * BLOCK_TRANSACTIONS + i) % len(keys)]
            plans.append(Plan(key, nonces[key], chance.choice(recipients)))
            nonces[key] += 1
        blocks.append(plans)
    return blocks


def genesis_of(addresses: list[Address]) -> Genesis:
    """The development chain with many funded accounts, all of them token holders."""
    dev = network("dev")
    alloc = dict(dev.alloc)
    for address in addresses:
        alloc[address] = GenesisAccount(balance=10**30)
    balances = {
        bytes(keccak256(address.rjust(32, b"\0") + bytes(32))): TOKENS_EACH.to_bytes(32)
        for address in addresses
    }
    alloc[TOKEN] = GenesisAccount(nonce=1, code=TOKEN_CODE, storage=balances)
    header = replace(dev.header, gas_limit=GAS_LIMIT, state_root=state_root(alloc))
    return replace(dev, header=header, alloc=alloc)


def write_chain_file(path: Path, genesis: Genesis, blocks: list[list[bytes]]) -> Path:
    """A chain file of blocks that hold these transactions, all of them included."""
    chain = Chain.open(path, genesis)
    for raws in blocks:
        batch = TransactionBatch.decode(raws)
        batch.recover()
        sealed = chain.build_block(
            batch,
            timestamp=chain.head.timestamp + 12,
            coinbase=COINBASE,
            prev_randao=Hash32(bytes(32)),
        )
        assert len(sealed.block.transactions) == len(raws)
        receipts = chain.receipts_record(sealed.block.header.number)
        assert receipts is not None
        assert receipts.statuses.all()
    file = path.with_suffix(".rlp")
    export_file(chain, file, 1)
    chain.close()
    return file


@dataclass(frozen=True, slots=True)
class Imported:
    """What the importing process says of itself."""

    seconds: float
    state_root: bytes
    native_megabytes: dict[str, int]
    resident_megabytes: int


def import_chain_file(path: Path, genesis: Genesis, file: Path) -> Imported:
    chain = Chain.open(path, genesis)
    start = time.perf_counter()
    assert import_file(chain, file) == BLOCKS
    seconds = time.perf_counter() - start
    memory = {name: size // MEGABYTE for name, size in chain.memory().items()}
    root = bytes(chain.head.state_root)
    chain.close()
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    return Imported(seconds, root, memory, int(peak) // 1024)


def peer_per_second(addresses: list[Address], plans: list[Plan], load: Load) -> float | None:
    """Messages a second of revm executing the same calls in a loop; None where it is absent."""
    try:
        import pyrevm
    except ImportError:
        return None
    evm: Any = pyrevm.EVM()
    senders = {plan.key: "0x" + address_of(plan.key).hex() for plan in plans}
    for sender in senders.values():
        evm.set_balance(sender, 10**30)
    token = "0x" + TOKEN.hex()
    evm.insert_account_info(token, pyrevm.AccountInfo(nonce=1, code=TOKEN_CODE))
    for address in addresses:
        slot = keccak256(address.rjust(32, b"\0") + bytes(32))
        evm.insert_account_storage(token, int.from_bytes(slot), TOKENS_EACH)
    calls = [
        (senders[plan.key], token, call_data(plan.recipient), 0)
        if load.is_token
        else (senders[plan.key], "0x" + plan.recipient.hex(), b"", 1)
        for plan in plans
    ]
    start = time.perf_counter()
    for sender, to, data, value in calls:
        evm.message_call(caller=sender, to=to, calldata=data, value=value)
    return len(calls) / (time.perf_counter() - start)


@pytest.mark.parametrize(
    "load", [Load("transfers", False), Load("token", True)], ids=lambda load: load.name
)
def test_import(benchmark: Any, tmp_path: Path, load: Load) -> None:
    """Transactions a second from block bytes to durable head, and the memory it takes."""
    chance = random.Random(1)
    keys = [chance.randbytes(32) for _ in range(SENDERS)]
    addresses = [address_of(key) for key in keys]
    planned = plans_of(chance, keys)
    with ProcessPoolExecutor() as workers:
        signed = list(workers.map(sign_all, [(plans, load) for plans in planned]))
    genesis = genesis_of(addresses)
    file = write_chain_file(tmp_path / "source", genesis, signed)
    del signed
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as importer:
        # The process starts, and imports its modules, before the clock does.
        importer.submit(os.getpid).result()

        def run() -> Imported:
            return importer.submit(import_chain_file, tmp_path / "new", genesis, file).result()

        imported = benchmark.pedantic(run, rounds=1)
    count = BLOCKS * BLOCK_TRANSACTIONS
    per_second = count / imported.seconds
    peer = peer_per_second(addresses, planned[0][:PEER_MESSAGES], load)
    benchmark.extra_info.update(
        transactions=count,
        transactions_per_second=round(per_second),
        peer_execution_per_second=None if peer is None else round(peer),
        ratio=None if peer is None else round(per_second / peer, 2),
        native_megabytes=imported.native_megabytes,
        resident_megabytes=imported.resident_megabytes,
        result=imported.state_root.hex()[:16],
    )
