"""Random cases from a seed: accounts with bytecode, and signed transactions of every type.

Bytecode is mostly well-formed, so that it gets somewhere: operands that mean something to the
instruction (small offsets, known addresses, edge values), bounded loops, calls to the other
contracts and to precompiles, creations whose init code was itself generated. Now and then a piece
is pure noise.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_authorization, sign_transaction
from ghostchain.encoding.transactions import encode_transaction
from ghostchain.primitives.transaction import AccessEntry, Authorization, Transaction
from ghostchain.primitives.types import Address, Hash32

FORKS = ("Cancun", "Prague", "Osaka")
BASE_FEE = 7
GAS_LIMIT = 30_000_000
COINBASE = Address(b"\xc0" * 20)

KEYS = tuple((index + 1).to_bytes(32, "big") for index in range(5))
# Of accounts that hold nothing, some of which are touched.
EMPTY_KEYS = tuple((index + 51).to_bytes(32, "big") for index in range(3))
EMPTY = tuple(address_of(key) for key in EMPTY_KEYS)
SENDERS = tuple(address_of(key) for key in KEYS)
CONTRACTS = tuple(Address(bytes([0xC0, index]) + bytes(17) + b"\x01") for index in range(6))
PRECOMPILES = tuple(
    Address(number.to_bytes(20, "big")) for number in (*range(1, 10), 0x0B, 0x0C, 0x0F, 0x100)
)
EDGES = (
    0,
    1,
    2,
    31,
    32,
    33,
    255,
    256,
    2**63,
    2**64 - 1,
    2**64,
    2**128 - 1,
    2**255 - 1,
    2**255,
    2**256 - 2,
    2**256 - 1,
)

# Instructions by how many words they take, that leave at most one and have no large argument.
SIMPLE = {
    0: bytes.fromhex("303233343638 3a3d 4142434445464748 4a 58595a"),
    1: bytes.fromhex("1519 1e 35 40 49 54 5c"),
    2: bytes.fromhex("01020304050607 0a0b 1011121314 161718 1a1b1c1d"),
    3: bytes.fromhex("0809"),
}


def push(value: int) -> bytes:
    """The shortest PUSH of value (PUSH0 for zero)."""
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([0x5F + len(data)]) + data


@dataclass(slots=True)
class Writer:
    """Bytecode as it grows, with a rough idea of the stack's height."""

    chance: random.Random
    depth: int = 0
    code: bytearray = field(default_factory=bytearray)
    height: int = 0

    def word(self) -> int:
        chance = self.chance
        kind = chance.random()
        if kind < 0.45:
            return chance.randrange(0, 8)
        if kind < 0.75:
            return chance.choice(EDGES)
        return chance.getrandbits(chance.choice((8, 16, 64, 160, 256)))

    def address(self) -> int:
        chance = self.chance
        pool = chance.choice((CONTRACTS, CONTRACTS, SENDERS, PRECOMPILES))
        return int.from_bytes(chance.choice(pool), "big")

    def operands(self, count: int) -> None:
        """count words are on the stack, taken from there or pushed."""
        reuse = self.chance.random() < 0.5
        if not (reuse and self.height >= count):
            for _ in range(count):
                self.code += push(self.word())
        else:
            self.height -= count

    def result(self) -> None:
        """One word is left on the stack: kept, dropped or stored."""
        kind = self.chance.random()
        if kind < 0.5 and self.height < 900:
            self.height += 1
        elif kind < 0.7:
            self.code += push(self.chance.randrange(0, 6)) + b"\x55"
        else:
            self.code += b"\x50"

    def simple(self) -> None:
        count = self.chance.choice((0, 1, 1, 2, 2, 2, 2, 3))
        self.operands(count)
        self.code.append(self.chance.choice(SIMPLE[count]))
        self.result()

    def account(self) -> None:
        opcode = self.chance.choice((0x31, 0x3B, 0x3F))
        self.code += push(self.address()) + bytes([opcode])
        self.result()

    def storage(self) -> None:
        opcode = self.chance.choice((0x55, 0x55, 0x5D))
        value = self.chance.choice((0, 0, 1, self.word()))
        self.code += push(value) + push(self.chance.randrange(0, 5)) + bytes([opcode])

    def memory(self) -> None:
        chance = self.chance
        offset, length = chance.randrange(0, 200), chance.randrange(0, 150)
        kind = chance.randrange(8)
        if kind == 0:
            self.code += push(self.word()) + push(offset) + chance.choice((b"\x52", b"\x53"))
        elif kind == 1:
            self.code += push(offset) + b"\x51"
            self.result()
        elif kind == 2:
            self.code += push(length) + push(offset) + b"\x20"
            self.result()
        elif kind == 3:
            self.code += push(length) + push(chance.randrange(0, 200)) + push(offset) + b"\x5e"
        elif kind == 4:
            source = chance.choice((0, 1, chance.randrange(0, 300), 2**64))
            self.code += push(length) + push(source) + push(offset)
            self.code += chance.choice((b"\x37", b"\x39"))
        elif kind == 5:
            self.code += push(length) + push(0) + push(offset) + push(self.address()) + b"\x3c"
        elif kind == 6:
            bounds = chance.choice((0, 0, chance.randrange(0, 64)))
            self.code += b"\x3d" if bounds == 0 else push(bounds)
            self.code += push(0) + push(offset) + b"\x3e"
        else:
            count = chance.randrange(0, 5)
            for _ in range(count):
                self.code += push(self.word())
            self.code += push(length) + push(offset) + bytes([0xA0 + count])

    def call(self) -> None:
        chance = self.chance
        opcode = chance.choice((0xF1, 0xF1, 0xF2, 0xF4, 0xFA))
        for limit in (64, 100, 200, 100):
            self.code += push(chance.randrange(0, limit))
        if opcode in (0xF1, 0xF2):
            self.code += push(chance.choice((0, 0, 1, 10**9, 2**200)))
        self.code += push(self.address())
        self.code += b"\x5a" if chance.random() < 0.6 else push(chance.randrange(0, 90_000))
        self.code.append(opcode)
        self.result()

    def create(self) -> None:
        chance = self.chance
        init = initcode(chance, self.depth + 1)[:600]
        for start in range(0, len(init), 32):
            chunk = init[start : start + 32].ljust(32, b"\0")
            self.code += b"\x7f" + chunk + push(start) + b"\x52"
        two = chance.random() < 0.5
        if two:
            self.code += push(chance.randrange(0, 3))
        self.code += push(len(init)) + push(0) + push(chance.choice((0, 0, 1, 2**200)))
        self.code += b"\xf5" if two else b"\xf0"
        self.result()

    def loop(self) -> None:
        """A body that runs a bounded number of times; the counter lives in memory."""
        chance = self.chance
        self.code += push(chance.randrange(1, 6)) + push(0x400) + b"\x52"
        start = len(self.code)
        self.code += b"\x5b"
        for _ in range(chance.randrange(1, 4)):
            chance.choice((self.storage, self.account, self.memory))()
        self.code += push(1) + push(0x400) + b"\x51\x03" + b"\x80" + push(0x400) + b"\x52"
        self.code += b"\x61" + start.to_bytes(2, "big") + b"\x57"

    def shuffle(self) -> None:
        """DUP or SWAP within what is known to be there."""
        if self.height < 2:
            return
        place = self.chance.randrange(1, min(16, self.height))
        if self.chance.random() < 0.5:
            self.code.append(0x7F + place)
            self.height += 1
        else:
            self.code.append(0x8F + place)

    def ending(self) -> None:
        chance = self.chance
        kind = chance.random()
        if kind < 0.5:
            self.code += push(chance.randrange(0, 100)) + push(chance.randrange(0, 100)) + b"\xf3"
        elif kind < 0.65:
            self.code += push(chance.randrange(0, 100)) + push(0) + b"\xfd"
        elif kind < 0.75:
            self.code += push(self.address()) + b"\xff"
        elif kind < 0.8:
            self.code += b"\xfe"
        elif kind < 0.85:
            self.code += push(self.word()) + b"\x56"
        elif kind < 0.9:
            self.code += chance.randbytes(chance.randrange(1, 40))


def bytecode(chance: random.Random, depth: int = 0) -> bytes:
    """A contract's code."""
    writer = Writer(chance, depth)
    steps = [writer.simple] * 6 + [writer.storage] * 3 + [writer.memory] * 4
    steps += [writer.account, writer.call, writer.call, writer.loop, writer.shuffle, writer.shuffle]
    if depth < 2:
        steps.append(writer.create)
    for _ in range(chance.randrange(1, 40)):
        chance.choice(steps)()
    writer.ending()
    return bytes(writer.code)


def initcode(chance: random.Random, depth: int = 0) -> bytes:
    """Init code that returns generated code, or does whatever generated code does."""
    if chance.random() < 0.25:
        return bytecode(chance, depth)
    runtime = bytecode(chance, depth + 1)
    if chance.random() < 0.1:
        runtime = chance.choice((b"\xef\x00", b"\xef\x01\x00" + bytes(20), b"", runtime * 200))
    runtime = runtime[:25_000]
    # PUSH2 length, PUSH2 offset, PUSH0, CODECOPY, PUSH2 length, PUSH0, RETURN
    size = len(runtime).to_bytes(2, "big")
    return b"\x61" + size + b"\x61\x00\x0d\x5f\x39\x61" + size + b"\x5f\xf3" + runtime


def pre_state(chance: random.Random, fork: str) -> dict[str, dict]:
    """Accounts in geth's alloc form: funded senders, contracts, an empty one, a delegated one."""
    alloc: dict[str, dict] = {}
    for address in SENDERS:
        alloc["0x" + address.hex()] = {"balance": hex(10**20), "nonce": "0x0"}
    for address in CONTRACTS:
        storage = {
            f"0x{key:064x}": f"0x{chance.choice((1, 2, 2**256 - 1)):064x}"
            for key in range(5)
            if chance.random() < 0.4
        }
        code = bytecode(chance)
        if fork != "Cancun" and chance.random() < 0.1:
            code = b"\xef\x01\x00" + chance.choice((*CONTRACTS, *PRECOMPILES))
        alloc["0x" + address.hex()] = {
            "balance": hex(chance.choice((0, 1, 10**18))),
            "nonce": "0x1",
            "code": "0x" + code.hex(),
            "storage": storage,
        }
    return alloc


def access_list(chance: random.Random) -> tuple[AccessEntry, ...]:
    return tuple(
        AccessEntry(
            chance.choice((*CONTRACTS, *SENDERS)),
            tuple(
                Hash32(chance.randrange(0, 6).to_bytes(32, "big"))
                for _ in range(chance.randrange(0, 3))
            ),
        )
        for _ in range(chance.randrange(0, 3))
    )


def authorizations(chance: random.Random, nonces: dict[Address, int]) -> tuple[Authorization, ...]:
    """Some valid, some with a wrong chain, nonce or signature, some of accounts that are empty."""
    signed = []
    for _ in range(chance.randrange(1, 4)):
        index = chance.randrange(len(KEYS))
        nonce = nonces[SENDERS[index]] + chance.choice((0, 0, 0, 1, 1))
        key = KEYS[index]
        if chance.random() < 0.3:
            key, nonce = chance.choice(EMPTY_KEYS), chance.choice((0, 0, 1))
        good = sign_authorization(
            key,
            chain_id=chance.choice((0, 1, 1, 1, 2)),
            address=chance.choice((*CONTRACTS, *PRECOMPILES, Address(bytes(20)))),
            nonce=nonce,
        )
        signed.append(replace(good, r=0) if chance.random() < 0.1 else good)
    return tuple(signed)


def transaction(chance: random.Random, fork: str, nonces: dict[Address, int]) -> bytes:
    """One signed transaction in canonical bytes; about one in ten is not valid."""
    index = chance.randrange(len(KEYS))
    sender = SENDERS[index]
    kinds = (0, 1, 2) if fork == "Cancun" else (0, 1, 2, 4)
    kind = chance.choice(kinds)
    create = kind != 4 and chance.random() < 0.25
    tip = chance.choice((0, 1, 5))
    fee = chance.choice((BASE_FEE, BASE_FEE + tip, 100))
    if chance.random() < 0.03:
        fee = BASE_FEE - 1
    nonce = nonces[sender]
    if chance.random() < 0.04:
        nonce += chance.choice((-1, 1)) if nonce else 1
    data = initcode(chance) if create else chance.randbytes(chance.choice((0, 4, 36, 200)))
    unsigned = Transaction(
        type=kind,
        chain_id=1,
        nonce=nonce,
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=fee if kind < 2 else min(tip, fee),
        gas_limit=chance.choice((21_000, 60_000, 200_000, 1_000_000, 3_000_000)),
        to=None if create else chance.choice((*CONTRACTS * 4, *SENDERS, *EMPTY, *PRECOMPILES)),
        value=chance.choice((0, 0, 1, 10**15, 10**21)),
        data=data,
        access_list=access_list(chance) if kind else (),
        max_fee_per_blob_gas=0,
        blob_versioned_hashes=(),
        authorizations=authorizations(chance, nonces) if kind == 4 else (),
        y_parity=0,
        r=0,
        s=0,
    )
    if nonce == nonces[sender]:
        nonces[sender] += 1
    return encode_transaction(sign_transaction(unsigned, KEYS[index]))


@dataclass(frozen=True, slots=True)
class Case:
    """One block: state before, transactions in canonical bytes, withdrawals."""

    seed: int
    fork: str
    alloc: dict[str, dict]
    transactions: tuple[bytes, ...]
    withdrawals: tuple[tuple[int, int, bytes, int], ...]
    timestamp: int
    prev_randao: int


def case_of(seed: int, system_contracts: dict[str, dict]) -> Case:
    """The case of this seed, the same on every machine."""
    chance = random.Random(seed)
    fork = chance.choice(FORKS)
    alloc = {**system_contracts, **pre_state(chance, fork)}
    nonces = dict.fromkeys(SENDERS, 0)
    count = chance.randrange(1, 7)
    transactions = tuple(transaction(chance, fork, nonces) for _ in range(count))
    withdrawals = tuple(
        (index, index, chance.choice((*CONTRACTS, *SENDERS)), chance.choice((0, 1, 10**9)))
        for index in range(chance.randrange(0, 3))
    )
    return Case(
        seed=seed,
        fork=fork,
        alloc=alloc,
        transactions=transactions,
        withdrawals=withdrawals,
        timestamp=1_000 + seed % 1_000,
        prev_randao=chance.getrandbits(256),
    )
