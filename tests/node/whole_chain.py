"""A chain on which everything happened that can happen in a block: all types of transactions,
creations, failures, logs, withdrawals. Made in a directory that a node then serves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ghostchain.chain.chain import Chain
from ghostchain.chain.genesis import load_genesis
from ghostchain.chain.networks import TEST_KEYS
from ghostchain.contracts.addresses import GHOST, MANA, SPIRIT
from ghostchain.crypto.hashes import contract_address
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.signing import (
    Ed25519Signer,
    Secp256k1Signer,
    sign_authorization,
    sign_ghost,
    sign_transaction,
)
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.transaction import AccessEntry, Call, Transaction
from ghostchain.primitives.types import Address, Hash32
from tests.node.economy import UNIT, write_genesis

CHAIN_ID = 31337
KEYS = TEST_KEYS[:4]
ALICE, BOB, CAROL, DAVE = (Secp256k1Signer(key).address for key in KEYS)
EDWARDS = Ed25519Signer(b"\x54" * 32)
TARGET = Address(b"\x77" * 20)
COINBASE = Address(b"\xc0" * 20)
FEE = 3_000_000_000


def runtime() -> bytes:
    """Stores the first word of its input in slot 0, logs it with topic 7, returns what slot 0 was;
    reverts with one byte of input, runs into INVALID with two."""
    body = bytes.fromhex("600054600035600055600035600052600760206000a160005260206000f3")
    reverting = 14 + len(body)
    revert_code = bytes.fromhex("5b60003560005260016000fd")
    prefix = bytes.fromhex("3660011460") + bytes([reverting]) + b"\x57"
    prefix += bytes.fromhex("3660021460") + bytes([reverting + len(revert_code)]) + b"\x57"
    return prefix + body + revert_code + bytes.fromhex("5bfe")


def init_code() -> bytes:
    code = runtime()
    return bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code


@dataclass(slots=True)
class WholeChain:
    """What is where. hashes: of transactions, by what they are; blocks: in which block."""

    directory: Path
    genesis: Path
    contract: Address = ALICE
    hashes: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    nonces: dict[Address, int] = field(default_factory=dict)


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def signed(world: WholeChain, key: int = 0, **fields: Any) -> bytes:
    sender = Secp256k1Signer(KEYS[key]).address
    nonce = world.nonces.get(sender, 0)
    world.nonces[sender] = nonce + 1
    base = Transaction(
        type=2,
        chain_id=CHAIN_ID,
        nonce=nonce,
        max_fee_per_gas=FEE,
        max_priority_fee_per_gas=1_000_000_000,
        gas_limit=200_000,
        to=TARGET,
    )
    legacy = {"max_fee_per_gas": FEE, "max_priority_fee_per_gas": FEE}
    if fields.get("type", 2) < 2:
        fields = legacy | fields
    return encode_transaction(sign_transaction(replace(base, **fields), KEYS[key]))


def ghost(world: WholeChain) -> bytes:
    """Two calls by an Ed25519 key, paid by Alice in MANA."""
    tx = Transaction(
        type=0x47,
        chain_id=CHAIN_ID,
        nonce=0,
        max_fee_per_gas=FEE * 10,
        max_priority_fee_per_gas=1,
        gas_limit=400_000,
        to=None,
        calls=(Call(TARGET, 5), Call(world.contract, 0, word(9))),
        fee_token=MANA,
        fee_payer=ALICE,
    )
    return encode_transaction(sign_ghost(tx, EDWARDS, Secp256k1Signer(KEYS[0])))


def make(folder: Path) -> WholeChain:
    """Ten blocks in a new directory under folder."""
    holders = dict.fromkeys((ALICE, BOB, CAROL, DAVE, EDWARDS.address), 1_000 * UNIT)
    path = write_genesis(
        folder / "genesis.json",
        dict.fromkeys(holders, 10_000 * UNIT),
        {SPIRIT: holders, MANA: holders, GHOST: holders},
    )
    world = WholeChain(folder / "data", path)
    chain = Chain.open(world.directory, load_genesis(path))
    try:
        fill(world, chain)
    finally:
        chain.close()
    return world


def seal(
    world: WholeChain,
    chain: Chain,
    *named: tuple[str, bytes],
    withdrawals: tuple[Withdrawal, ...] = (),
) -> None:
    raws = [raw for _, raw in named]
    batch = TransactionBatch.decode(raws)
    batch.recover(threads=1)
    sealed = chain.build_block(
        batch,
        timestamp=chain.head.timestamp + 2,
        coinbase=COINBASE,
        prev_randao=keccak256(word(chain.head.number)),
        withdrawals=withdrawals,
    )
    assert len(sealed.block.transactions) == len(raws), "every transaction holds"
    for name, raw in named:
        world.hashes[name] = "0x" + keccak256(raw).hex()
        world.blocks[name] = chain.head.number


def fill(world: WholeChain, chain: Chain) -> None:
    world.contract = contract_address(ALICE, 0)
    call = {"to": world.contract, "data": word(42)}
    entry = AccessEntry(world.contract, (Hash32(word(0)),))
    blob = {
        "type": 3,
        "blob_versioned_hashes": (Hash32(b"\1" + bytes(31)), Hash32(b"\1" * 32)),
        "max_fee_per_blob_gas": 10**10,
    }
    seal(world, chain, ("creation", signed(world, to=None, data=init_code(), gas_limit=500_000)))
    seal(world, chain, ("legacy", signed(world, type=0, value=7)), ("bare", bare(world)))
    seal(world, chain, ("access list", signed(world, type=1, access_list=(entry,), **call)))
    seal(world, chain, ("logs", signed(world, **call)), ("more logs", signed(world, 1, **call)))
    seal(
        world,
        chain,
        ("reverted", signed(world, to=world.contract, data=b"\xab")),
        ("halted", signed(world, to=world.contract, data=b"\xab\xcd")),
        ("failed creation", signed(world, to=None, data=b"\xfe", gas_limit=100_000)),
    )
    seal(world, chain, ("blob", signed(world, **blob)))
    authorization = sign_authorization(KEYS[3], chain_id=CHAIN_ID, address=world.contract, nonce=0)
    seal(
        world, chain, ("set code", signed(world, type=4, to=DAVE, authorizations=(authorization,)))
    )
    seal(
        world,
        chain,
        ("fee currency", signed(world, 2, type=0x7B, fee_token=SPIRIT, max_fee_per_gas=10 * FEE)),
        ("ghost", ghost(world)),
    )
    paid = (Withdrawal(3, 4, TARGET, 5), Withdrawal(4, 5, BOB, 6))
    seal(world, chain, ("with withdrawals", signed(world, 1, value=1)), withdrawals=paid)
    seal(world, chain)


def bare(world: WholeChain) -> bytes:
    """Legacy without replay protection."""
    return signed(world, 1, type=0, chain_id=None, value=1)
