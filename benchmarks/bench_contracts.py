"""Token transfers in blocks: the native tokens beside OpenZeppelin's ERC-20 in EVM bytecode, in one
run, in turns; and native calls that Python answers, as gas a second.

State in the executor's cache, senders known, no account trie, no disk. The ERC-20 is compiled from
`tests/clients/` where its npm packages are (GHOSTCHAIN_NODE_MODULES); else the peer is the small
token of bench_executor, which checks nothing. Runs small unless GHOSTCHAIN_BENCH is "full".
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.contracts import registry
from ghostchain.contracts.addresses import GCC, SPIRIT
from ghostchain.contracts.genesis import system_alloc
from ghostchain.contracts.tokens import Token
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.contracts import plug
from ghostchain.execution.executor import BlockEnvironment, CallFlag, Executor, Message
from ghostchain.execution.forks import BLOB_SCHEDULES, Fork
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address

FULL = os.environ.get("GHOSTCHAIN_BENCH") == "full"
COUNT = 20_000 if FULL else 400
SENDERS = 2_000 if FULL else 40
ROUNDS = 10 if FULL else 1

ROOT = Path(__file__).resolve().parents[1]
ERC20 = Address(b"\xcc" * 20)
SMALL_TOKEN = bytes.fromhex(
    "602035803354033355602035805f3554015f35555f525f3533630badc0de60205fa360015f5260205ff3"
)
ENVIRONMENT = BlockEnvironment(
    fork=Fork.OSAKA,
    hybrid=True,
    chain_id=1,
    number=1,
    timestamp=1_000,
    gas_limit=10**10,
    base_fee=7,
    coinbase=Address(b"\xc0" * 20),
    blob_base_fee_update_fraction=BLOB_SCHEDULES["Osaka"].base_fee_update_fraction,
    blobs_per_block_max=BLOB_SCHEDULES["Osaka"].max,
)
AMOUNT = 10**6


def keys() -> list[bytes]:
    return [(number + 1).to_bytes(32, "big") for number in range(SENDERS)]


def openzeppelin() -> tuple[str, bytes]:
    """What the peer is, and its code."""
    packages = os.environ.get("GHOSTCHAIN_NODE_MODULES", str(ROOT / "tests/clients/node_modules"))
    compiler = ROOT / "tests" / "clients" / "compile.cjs"
    try:
        made = subprocess.run(
            ["node", str(compiler)],
            env={**os.environ, "NODE_PATH": packages},
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "a small token in EVM bytecode", SMALL_TOKEN
    init = bytes.fromhex(json.loads(made.stdout)["bytecode"][2:]) + bytes(32)
    # Run as a contract's code, it returns what a creation would place.
    view = MemoryView({ERC20: Allocation(nonce=1, code=init)})
    message = Message(sender=Address(b"\xdd" * 20), to=ERC20, gas_limit=10**7)
    flags = CallFlag.NO_BALANCE_CHECK | CallFlag.NO_BASE_FEE
    code = Executor(view).call(ENVIRONMENT, message, flags=flags).output
    assert code, "the constructor failed"
    return "OpenZeppelin's ERC-20", code


def state(code: bytes) -> MemoryView:
    """Every sender has coins and tokens; the peer's balances lie where ours do."""
    senders = [address_of(key) for key in keys()]
    alloc: dict[bytes, Allocation] = {address: Allocation(balance=10**20) for address in senders}
    alloc.update(system_alloc(0, {SPIRIT: dict.fromkeys(senders, AMOUNT)}))
    storage = {
        bytes(keccak256(address.rjust(32, b"\0") + bytes(32))): AMOUNT.to_bytes(32, "big")
        for address in senders
    }
    if code == SMALL_TOKEN:
        storage = {address.rjust(32, b"\0"): AMOUNT.to_bytes(32, "big") for address in senders}
    alloc[ERC20] = Allocation(nonce=1, code=code, storage=storage)
    return MemoryView(alloc)


def transfers(token: Address, code: bytes) -> TransactionBatch:
    signing = keys()
    transfer = Token.method("transfer")
    plain = Transaction(
        type=2,
        chain_id=1,
        nonce=0,
        max_fee_per_gas=100,
        max_priority_fee_per_gas=3,
        gas_limit=100_000,
        to=token,
    )
    signed = []
    for index in range(COUNT):
        to = Address((0xABCDEF0000 + index * 7919 % SENDERS).to_bytes(20, "big"))
        data = transfer.encode_call([to, 1])
        if token == ERC20 and code == SMALL_TOKEN:
            data = data[4:]
        made = replace(plain, nonce=index // SENDERS, data=data)
        signed.append(encode_transaction(sign_transaction(made, signing[index % SENDERS])))
    batch = TransactionBatch.decode(signed)
    batch.recover()
    return batch


def run(executor: Executor, batch: TransactionBatch) -> tuple[bytes, int]:
    result = executor.run_block(ENVIRONMENT, batch, system_calls=False)
    assert all(result.outcomes[i].success for i in (0, COUNT // 2, COUNT - 1))
    made = bytes(result.receipts_root), result.gas_used
    executor.discard()
    return made


@pytest.mark.parametrize("token", [SPIRIT, GCC], ids=["spirit", "gcc"])
def test_token_transfers(benchmark, token) -> None:
    """One block of transfers, run and discarded in turns with the peer's."""
    name, code = openzeppelin()
    view = state(code)
    executor = Executor(view, contracts=registry.RUN)
    ours, theirs = transfers(token, code), transfers(ERC20, code)
    (root, gas_used), (_, peer_gas_used) = run(executor, ours), run(executor, theirs)
    assert peer_gas_used > COUNT * 24_000, "the peer did nothing"
    best = peer_best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        assert run(executor, ours)[0] == root
        middle = time.perf_counter()
        run(executor, theirs)
        best = min(best, middle - start)
        peer_best = min(peer_best, time.perf_counter() - middle)
    benchmark.pedantic(run, args=(executor, ours), rounds=ROUNDS)
    benchmark.extra_info.update(
        transactions=COUNT,
        per_second=round(COUNT / best),
        gas_each=gas_used // COUNT,
        peer=name,
        peer_per_second=round(COUNT / peer_best),
        peer_gas_each=peer_gas_used // COUNT,
        ratio=round(peer_best / best, 2),
        result_hash=root.hex(),
    )
    assert not FULL or COUNT / best >= 20_000, "the native tokens are to run 20,000 transfers/s"


def test_calls_that_python_answers(benchmark) -> None:
    """The same transfers with the kernel off: what a contract in Python costs, against the gas it
    pays for it. Here the gas is the kernel's, so a contract of its own pays more."""
    view = state(SMALL_TOKEN)
    executor = Executor(view, contracts=registry.RUN)
    plug(executor._native, executor._handle, with_kernel=False)
    batch = transfers(SPIRIT, SMALL_TOKEN)
    root, _ = run(executor, batch)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        assert run(executor, batch)[0] == root
        best = min(best, time.perf_counter() - start)
    benchmark.pedantic(run, args=(executor, batch), rounds=ROUNDS)
    benchmark.extra_info.update(
        transactions=COUNT, per_second=round(COUNT / best), result_hash=root.hex()
    )


def calls() -> list[tuple[str, Address, bytes]]:
    """Calls of every price level that Python answers at the least gas for the most work."""
    spirit = Token.method("permit")
    owner = address_of(keys()[0])
    words = [owner, owner, 1, 2**63, 27, b"\1" * 32, b"\1" * 32]
    return [
        ("an unknown function", SPIRIT, b"\xff\xff\xff\xff"),
        ("name()", SPIRIT, Token.method("name").selector),
        ("nonces(address)", SPIRIT, Token.method("nonces").encode_call([owner])),
        ("eip712Domain()", SPIRIT, Token.method("eip712Domain").selector),
        ("permit(...)", SPIRIT, spirit.encode_call(words)),
        ("burn(0)", SPIRIT, Token.method("burn").encode_call([0])),
    ]


@pytest.mark.parametrize("what", range(6))
def test_gas_a_second_in_python(benchmark, what) -> None:
    """A contract in EVM code calls one function again and again with a million gas: the time, by
    what was used. It must stay above 30 million gas a second."""
    name, target, data = calls()[what]
    size = len(data)
    # CALLDATACOPY(0, 0, size); loop: CALL(gas, target, 0, 0, size, 0, 0); POP; JUMP to loop
    copy = bytes([0x61]) + size.to_bytes(2, "big") + bytes.fromhex("5f5f37")
    body = bytes.fromhex("5b5f5f61") + size.to_bytes(2, "big") + bytes.fromhex("5f5f73")
    loop = copy + body + target + bytes.fromhex("620186a0f15060") + bytes([len(copy), 0x56])
    caller = Address(b"\xca" * 20)
    view = state(SMALL_TOKEN)
    view.put(caller, Allocation(nonce=1, code=loop))
    executor = Executor(view, contracts=registry.RUN)
    message = Message(
        sender=address_of(keys()[0]), to=caller, data=data, gas_limit=16_000_000 if FULL else 10**6
    )
    prepared = executor.prepare(ENVIRONMENT, message, flags=CallFlag.NO_BASE_FEE)
    best_ns = min(prepared.time_ns() for _ in range(ROUNDS + 1))
    used = prepared.run().gas_used
    benchmark.pedantic(prepared.run, rounds=ROUNDS)
    benchmark.extra_info.update(call=name, mgas_per_second=round(used * 1_000 / best_ns, 1))
