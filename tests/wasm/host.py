"""The host of WASM contracts in plain Python: a second implementation of `vm_hooks`, over accounts
in dictionaries, with wasmtime running the module as its author built it.

It is written from the description of the interface, not from native/wasm, so that the two can be
held against each other: the same contract and the same calls must leave the same storage, logs,
results and balances. It meters nothing: gas and ink left are what the call was given, and only
`evm_gas_left` and `evm_ink_left` can tell.

    world = World()
    world.deploy(COUNTER, wasm)
    outcome = world.call(Call(sender=ALICE, to=COUNTER, data=b"..."))

Contracts of other engines are Python functions `(world, frame) -> bytes` in an account's `code`;
they end with `Reverted` or return what they return.

Spec: Arbitrum Stylus' host functions (the documentation of stylus-sdk's hostio module) with what
GhostChain decides where that leaves room: unflushed storage is lost, EXTCODEHASH of an empty
account is 0, and a write in a static call takes all gas.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import wasmtime

from ghostchain.crypto.hashes import contract_address, contract_address_by_salt
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.receipt import Log
from ghostchain.primitives.types import Address, Hash32

MAGIC = bytes.fromhex("0061736d01000000")
DEPTH_MAX = 1024
GAS = 30_000_000
INK_PER_GAS = 10_000
WORD_MAX = 2**256
ZERO = bytes(32)


class Reverted(Exception):
    """The contract undid what it did. Its first argument is the revert data."""


class Halted(Exception):
    """The contract did what ends it with all its gas. Its first argument says what."""


class Exited(Exception):
    """exit_early: the module asked to end with this status."""


Python = Callable[["World", "Frame"], bytes]


@dataclass(slots=True)
class Account:
    """storage: 32-byte words, by slot, none zero."""

    nonce: int = 0
    balance: int = 0
    code: bytes | Python = b""
    storage: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.nonce or self.balance or self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message. code_of: whose code runs, when it is not to's own (a delegate call)."""

    sender: bytes
    to: bytes
    data: bytes = b""
    value: int = 0
    static: bool = False
    code_of: bytes | None = None
    moves_value: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message ended. halted: with all its gas, for the reason in words."""

    success: bool
    output: bytes
    halted: str = ""


@dataclass(slots=True)
class Block:
    """What contracts may see of the block and the transaction."""

    chain_id: int = 31337
    number: int = 1
    timestamp: int = 1_000
    gas_limit: int = 30_000_000
    base_fee: int = 7
    coinbase: bytes = b"\xc0" * 20
    origin: bytes = b"\x01" * 20
    gas_price: int = 10


class World:
    """Accounts, logs, and the calls under way. One transaction's transient storage."""

    def __init__(self, block: Block | None = None) -> None:
        self.block = block or Block()
        self.accounts: dict[bytes, Account] = {}
        self.transient: dict[tuple[bytes, bytes], bytes] = {}
        self.logs: list[Log] = []
        self.stack: list[Call] = []
        self.engine = _engine()
        self._modules: dict[bytes, wasmtime.Module] = {}

    def account(self, address: bytes) -> Account:
        return self.accounts.setdefault(bytes(address), Account())

    def deploy(self, address: bytes, code: bytes | Python, **fields: Any) -> None:
        """Places code at an address, as a genesis does."""
        self.accounts[bytes(address)] = Account(nonce=1, code=code, **fields)

    def module(self, code: bytes) -> wasmtime.Module:
        if code not in self._modules:
            self._modules[code] = wasmtime.Module(self.engine, code)
        return self._modules[code]

    def transaction(self, call: Call) -> Outcome:
        """A call that keeps its logs only when it succeeds, with fresh transient storage."""
        self.transient, self.logs = {}, []
        return self.call(call)

    def call(self, call: Call) -> Outcome:
        """Runs a message; what it changed is undone unless it succeeds."""
        if len(self.stack) > DEPTH_MAX:
            return Outcome(False, b"", "call depth")
        if call.value and self.account(call.sender).balance < call.value and call.moves_value:
            return Outcome(False, b"", "balance")
        before = self._snapshot()
        if call.moves_value:
            self.account(call.sender).balance -= call.value
            self.account(call.to).balance += call.value
        self.stack.append(call)
        try:
            outcome = Outcome(True, self._run(call))
        except Reverted as reverted:
            outcome = Outcome(False, reverted.args[0])
        except Halted as halted:
            outcome = Outcome(False, b"", halted.args[0])
        finally:
            self.stack.pop()
        if not outcome.success:
            self.accounts, self.transient, self.logs = before
        return outcome

    def _snapshot(self) -> tuple[dict[bytes, Account], dict[tuple[bytes, bytes], bytes], list[Log]]:
        accounts = {
            address: replace(account, storage=dict(account.storage))
            for address, account in self.accounts.items()
        }
        return accounts, dict(self.transient), copy.copy(self.logs)

    def _run(self, call: Call) -> bytes:
        code = self.account(call.code_of or call.to).code
        frame = Frame(self, call)
        if callable(code):
            return code(self, frame)
        if not code:
            return b""
        if not code.startswith(MAGIC):
            raise Halted("EVM code does not run here")
        return frame.run(self.module(code))

    def create(
        self, creator: bytes, code: bytes, value: int, salt: bytes | None
    ) -> tuple[bytes, Outcome]:
        """CREATE or CREATE2 of a module. The address is 0 unless it succeeded."""
        account = self.account(creator)
        if account.balance < value or len(self.stack) > DEPTH_MAX:
            return bytes(20), Outcome(False, b"", "balance or depth")
        nonce, account.nonce = account.nonce, account.nonce + 1
        made = (
            contract_address(Address(creator), nonce)
            if salt is None
            else contract_address_by_salt(Address(creator), Hash32(salt), code)
        )
        if code and not code.startswith(MAGIC):
            return bytes(20), Outcome(False, b"", "EVM code does not run here")
        if self.account(made).code or self.account(made).nonce:
            return bytes(20), Outcome(False, b"", "collision")
        try:
            if code:
                self.module(code)
        except wasmtime.WasmtimeError as error:
            return bytes(20), Outcome(False, b"", f"invalid module: {error}")
        account.balance -= value
        balance = self.account(made).balance + value
        self.accounts[made] = Account(nonce=1, balance=balance, code=code)
        return made, Outcome(True, b"")


@dataclass(slots=True)
class Cached:
    """A slot as the contract sees it, and as the chain has it when that is known."""

    value: bytes
    known: bytes | None


class Frame:
    """One running contract."""

    def __init__(self, world: World, call: Call) -> None:
        self.world = world
        self.call = call
        self.cache: dict[bytes, Cached] = {}
        self.result = b""
        self.returned = b""
        self.failure: Exception | None = None
        self.store: wasmtime.Store | None = None
        self.memory: wasmtime.Memory | None = None

    def run(self, module: wasmtime.Module) -> bytes:
        """The result of the module's entry point."""
        self.store = wasmtime.Store(self.world.engine)
        imports = [self._import(wanted) for wanted in module.imports]
        instance = wasmtime.Instance(self.store, module, imports)
        exports = instance.exports(self.store)
        memory, entry = exports["memory"], exports["user_entrypoint"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(entry, wasmtime.Func)
        self.memory = memory
        try:
            status = entry(self.store, len(self.call.data))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
            raise Halted(str(trap)) from None
        except Exited as exited:
            status = exited.args[0]
        if status:
            raise Reverted(self.result)
        return self.result

    def _import(self, wanted: wasmtime.ImportType) -> wasmtime.Func:
        assert self.store is not None
        if wanted.module != "vm_hooks" or wanted.name not in HOOKS:
            raise Halted(f"the host has no {wanted.module}.{wanted.name}")
        kind, hook = wanted.type, HOOKS[str(wanted.name)]
        assert isinstance(kind, wasmtime.FuncType)
        return wasmtime.Func(self.store, kind, lambda *arguments: hook(self, *arguments))

    # ---- memory ----

    def read(self, pointer: int, length: int) -> bytes:
        assert self.memory is not None
        assert self.store is not None
        pointer, length = pointer & 0xFFFFFFFF, length & 0xFFFFFFFF
        if pointer + length > self.memory.data_len(self.store):
            raise Halted("a pointer out of bounds")
        return bytes(self.memory.read(self.store, pointer, pointer + length)) if length else b""

    def write(self, pointer: int, written: bytes) -> None:
        assert self.memory is not None
        assert self.store is not None
        pointer &= 0xFFFFFFFF
        if pointer + len(written) > self.memory.data_len(self.store):
            raise Halted("a pointer out of bounds")
        if written:
            self.memory.write(self.store, written, pointer)

    def number(self, pointer: int) -> int:
        return int.from_bytes(self.read(pointer, 32), "big")

    def write_number(self, pointer: int, number: int) -> None:
        self.write(pointer, (number % WORD_MAX).to_bytes(32, "big"))

    # ---- what several hooks share ----

    def guard(self) -> None:
        """Raises in a static call."""
        if self.call.static:
            raise Halted("a write in a static call")

    def flush(self, clear: bool) -> None:
        storage = self.world.account(self.call.to).storage
        for key, slot in self.cache.items():
            if slot.value == slot.known:
                continue
            self.guard()
            slot.known = slot.value
            if slot.value == ZERO:
                storage.pop(key, None)
            else:
                storage[key] = slot.value
        if clear:
            self.cache.clear()

    def nested(self, call: Call, length_pointer: int) -> int:
        outcome = self.world.call(call)
        self.returned = outcome.output
        self.write(length_pointer, len(self.returned).to_bytes(4, "little"))
        return 0 if outcome.success else 2 if outcome.halted else 1

    def create(
        self, code: bytes, value: int, salt: bytes | None, address: int, length: int
    ) -> None:
        self.guard()
        made, outcome = self.world.create(self.call.to, code, value, salt)
        self.returned = outcome.output
        self.write(length, len(self.returned).to_bytes(4, "little"))
        self.write(address, made)


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_simd = False
    config.wasm_relaxed_simd = False
    config.wasm_threads = False
    return wasmtime.Engine(config)


# ---- the hooks ----

HOOKS: dict[str, Callable[..., Any]] = {}


def hook(function: Callable[..., Any]) -> Callable[..., Any]:
    HOOKS[function.__name__] = function
    return function


@hook
def read_args(frame: Frame, to: int) -> None:
    frame.write(to, frame.call.data)


@hook
def write_result(frame: Frame, pointer: int, length: int) -> None:
    frame.result = frame.read(pointer, length)


@hook
def exit_early(frame: Frame, status: int) -> None:
    raise Exited(status)


@hook
def storage_load_bytes32(frame: Frame, key: int, to: int) -> None:
    slot = frame.read(key, 32)
    if slot not in frame.cache:
        present = frame.world.account(frame.call.to).storage.get(slot, ZERO)
        frame.cache[slot] = Cached(present, present)
    frame.write(to, frame.cache[slot].value)


@hook
def storage_cache_bytes32(frame: Frame, key: int, value: int) -> None:
    slot, written = frame.read(key, 32), frame.read(value, 32)
    if slot in frame.cache:
        frame.cache[slot].value = written
    else:
        frame.cache[slot] = Cached(written, None)


@hook
def storage_flush_cache(frame: Frame, clear: int) -> None:
    frame.flush(bool(clear))


@hook
def transient_load_bytes32(frame: Frame, key: int, to: int) -> None:
    frame.write(to, frame.world.transient.get((frame.call.to, frame.read(key, 32)), ZERO))


@hook
def transient_store_bytes32(frame: Frame, key: int, value: int) -> None:
    frame.guard()
    frame.world.transient[frame.call.to, frame.read(key, 32)] = frame.read(value, 32)


@hook
def call_contract(
    frame: Frame, to: int, data: int, length: int, value: int, gas: int, out: int
) -> int:
    sent = frame.number(value)
    if sent:
        frame.guard()
    call = Call(
        sender=frame.call.to,
        to=frame.read(to, 20),
        data=frame.read(data, length),
        value=sent,
        static=frame.call.static,
    )
    return frame.nested(call, out)


@hook
def delegate_call_contract(
    frame: Frame, to: int, data: int, length: int, gas: int, out: int
) -> int:
    call = replace(
        frame.call, data=frame.read(data, length), code_of=frame.read(to, 20), moves_value=False
    )
    return frame.nested(call, out)


@hook
def static_call_contract(frame: Frame, to: int, data: int, length: int, gas: int, out: int) -> int:
    call = Call(
        sender=frame.call.to, to=frame.read(to, 20), data=frame.read(data, length), static=True
    )
    return frame.nested(call, out)


@hook
def create1(frame: Frame, code: int, length: int, value: int, address: int, out: int) -> None:
    frame.create(frame.read(code, length), frame.number(value), None, address, out)


@hook
def create2(
    frame: Frame, code: int, length: int, value: int, salt: int, address: int, out: int
) -> None:
    frame.create(frame.read(code, length), frame.number(value), frame.read(salt, 32), address, out)


@hook
def read_return_data(frame: Frame, to: int, offset: int, length: int) -> int:
    offset, length = offset & 0xFFFFFFFF, length & 0xFFFFFFFF
    part = frame.returned[offset : offset + length]
    frame.write(to, part)
    return len(part)


@hook
def return_data_size(frame: Frame) -> int:
    return len(frame.returned)


@hook
def emit_log(frame: Frame, pointer: int, length: int, topics: int) -> None:
    topics, length = topics & 0xFFFFFFFF, length & 0xFFFFFFFF
    if topics > 4 or length < 32 * topics:
        raise Halted("topics of a log")
    frame.guard()
    read = frame.read(pointer, length)
    frame.world.logs.append(
        Log(
            Address(frame.call.to),
            tuple(Hash32(read[32 * i : 32 * i + 32]) for i in range(topics)),
            read[32 * topics :],
        )
    )


@hook
def account_balance(frame: Frame, address: int, to: int) -> None:
    frame.write_number(to, frame.world.account(frame.read(address, 20)).balance)


def _code(frame: Frame, address: int) -> bytes:
    code = frame.world.account(frame.read(address, 20)).code
    return b"\xfe" if callable(code) else code


@hook
def account_code(frame: Frame, address: int, offset: int, length: int, to: int) -> int:
    offset, length = offset & 0xFFFFFFFF, length & 0xFFFFFFFF
    part = _code(frame, address)[offset : offset + length]
    frame.write(to, part)
    return len(part)


@hook
def account_code_size(frame: Frame, address: int) -> int:
    return len(_code(frame, address))


@hook
def account_codehash(frame: Frame, address: int, to: int) -> None:
    empty = frame.world.account(frame.read(address, 20)).empty
    frame.write(to, ZERO if empty else keccak256(_code(frame, address)))


@hook
def block_basefee(frame: Frame, to: int) -> None:
    frame.write_number(to, frame.world.block.base_fee)


@hook
def block_coinbase(frame: Frame, to: int) -> None:
    frame.write(to, frame.world.block.coinbase)


@hook
def block_gas_limit(frame: Frame) -> int:
    return frame.world.block.gas_limit


@hook
def block_number(frame: Frame) -> int:
    return frame.world.block.number


@hook
def block_timestamp(frame: Frame) -> int:
    return frame.world.block.timestamp


@hook
def chainid(frame: Frame) -> int:
    return frame.world.block.chain_id


@hook
def contract_address_(frame: Frame, to: int) -> None:
    frame.write(to, frame.call.to)


# the name is taken by the function that computes one
HOOKS["contract_address"] = HOOKS.pop("contract_address_")


@hook
def evm_gas_left(frame: Frame) -> int:
    return GAS


@hook
def evm_ink_left(frame: Frame) -> int:
    return GAS * INK_PER_GAS


@hook
def math_div(frame: Frame, value: int, divisor: int) -> None:
    by = frame.number(divisor)
    frame.write_number(value, frame.number(value) // by if by else 0)


@hook
def math_mod(frame: Frame, value: int, modulus: int) -> None:
    by = frame.number(modulus)
    frame.write_number(value, frame.number(value) % by if by else 0)


@hook
def math_pow(frame: Frame, value: int, exponent: int) -> None:
    frame.write_number(value, pow(frame.number(value), frame.number(exponent), WORD_MAX))


@hook
def math_add_mod(frame: Frame, value: int, addend: int, modulus: int) -> None:
    by = frame.number(modulus)
    frame.write_number(value, (frame.number(value) + frame.number(addend)) % by if by else 0)


@hook
def math_mul_mod(frame: Frame, value: int, factor: int, modulus: int) -> None:
    by = frame.number(modulus)
    frame.write_number(value, frame.number(value) * frame.number(factor) % by if by else 0)


@hook
def msg_reentrant(frame: Frame) -> int:
    opened = sum(call.to == frame.call.to and call.code_of is None for call in frame.world.stack)
    return int(opened > 1)


@hook
def msg_sender(frame: Frame, to: int) -> None:
    frame.write(to, frame.call.sender)


@hook
def msg_value(frame: Frame, to: int) -> None:
    frame.write_number(to, frame.call.value)


@hook
def native_keccak256(frame: Frame, pointer: int, length: int, to: int) -> None:
    frame.write(to, keccak256(frame.read(pointer, length)))


@hook
def tx_gas_price(frame: Frame, to: int) -> None:
    frame.write_number(to, frame.world.block.gas_price)


@hook
def tx_ink_price(frame: Frame) -> int:
    return INK_PER_GAS


@hook
def tx_origin(frame: Frame, to: int) -> None:
    frame.write(to, frame.world.block.origin)


@hook
def pay_for_memory_grow(frame: Frame, pages: int) -> None:
    """Nothing is metered here."""
