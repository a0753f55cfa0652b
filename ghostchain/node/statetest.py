"""The engine of `ghostd evm statetest`: official state tests, one file at a time.

A state test gives accounts before, a block around one transaction, and for each fork and each
choice of data, gas and value the state root and logs afterwards, or the reason for a refusal.

Spec: execution-spec-tests, "State Tests" fixture format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ghostchain.crypto.hashes import logs_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.signing import sign_authorization, sign_transaction
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.execution.executor import BlockEnvironment, Executor, ExecutorFailed
from ghostchain.execution.forks import BLOB_SCHEDULES, RULES, BlobSchedule
from ghostchain.execution.views import Allocation, MemoryView
from ghostchain.node.cases import CaseResult
from ghostchain.primitives.errors import InvalidBlock
from ghostchain.primitives.transaction import (
    AccessEntry,
    Authorization,
    Transaction,
    TransactionType,
)
from ghostchain.primitives.types import Address, Hash32

CACHE_BYTES_MAX = 16 << 20

MALFORMED = (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError)
"""What reading a test that is not in its format raises."""


def run_state_test_file(name: str, content: bytes, *, hybrid: bool = False) -> list[CaseResult]:
    """Every case of a file, in its order. name: of the file, for the line of a broken one.

    hybrid: under the rules of a hybrid chain, which change nothing of what Ethereum has.
    """
    tests = read_tests(content)
    if isinstance(tests, str):
        return [CaseResult(name, "", False, tests)]
    executor = Executor(MemoryView(), cache_bytes_max=CACHE_BYTES_MAX)
    results = []
    for test_name, test in tests.items():
        if not isinstance(test, dict) or not isinstance(test.get("post"), dict):
            results.append(CaseResult(test_name, "", False, "not a state test"))
            continue
        for fork_name, posts in test["post"].items():
            if not isinstance(posts, list):
                results.append(CaseResult(test_name, fork_name, False, "no list of cases"))
                continue
            for index, post in enumerate(posts):
                case_name = test_name if len(posts) == 1 else f"{test_name}#{index}"
                reason = _difference(executor, test, fork_name, post, hybrid)
                results.append(CaseResult(case_name, fork_name, not reason, reason))
    return results


def read_tests(content: bytes) -> dict[str, Any] | str:
    """The tests of a file by name, or why there are none. An index of other files has none."""
    try:
        tests = orjson.loads(content)
    except ValueError as failure:
        return f"not JSON: {failure}"
    if not isinstance(tests, dict):
        return "not an object of tests by name"
    return {} if "test_cases" in tests else tests


def _difference(executor: Executor, test: Any, fork_name: str, post: Any, hybrid: bool) -> str:
    """What differs from the expected, "" when nothing does."""
    if fork_name not in RULES:
        return f"fork {fork_name} is not supported"
    try:
        view = StateTestView(read_allocation(test["pre"]))
        environment = replace(_environment(test, fork_name), hybrid=hybrid)
        raw = _raw_transaction(test["transaction"], post, environment.chain_id)
        wanted = Expected(
            data(post["hash"]),
            data(post["logs"]),
            post.get("expectException"),
            read_allocation(post["state"]) if "state" in post else None,
        )
    except MALFORMED as failure:
        return f"the case cannot be read: {failure!r}"
    return _run(executor, view, environment, raw, wanted)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a case asks for. exception: alternatives, A|B."""

    root: bytes
    logs_hash: bytes
    exception: str | None
    accounts: Mapping[bytes, Allocation] | None


def _run(
    executor: Executor,
    view: MemoryView,
    environment: BlockEnvironment,
    raw: bytes,
    wanted: Expected,
) -> str:
    executor.reset(view)
    batch = TransactionBatch.decode([raw])
    batch.recover(threads=1)
    logs = logs_hash(())
    try:
        result = executor.run_block(environment, batch, system_calls=False)
    except ExecutorFailed as failure:
        return str(failure)
    except InvalidBlock as refusal:
        difference = compare_refusal(refusal, wanted.exception)
    else:
        difference = f"valid, expected {wanted.exception}" if wanted.exception else ""
        logs = logs_hash(result.logs)
        view.apply(result)
        executor.discard()
    root = view.state_root()
    if not difference and root != wanted.root:
        difference = f"state root 0x{root.hex()}, expected 0x{wanted.root.hex()}"
        if wanted.accounts is not None:
            difference += "; " + describe_difference(view, wanted.accounts)
    if not difference and logs != wanted.logs_hash:
        difference = f"logs hash 0x{logs.hex()}, expected 0x{wanted.logs_hash.hex()}"
    return difference


class StateTestView(MemoryView):
    """The state of a test, where the hash of a block is that of its number in decimal digits."""

    __slots__ = ()

    def block_hash(self, number: int) -> bytes | None:
        return keccak256(str(number).encode())


def compare_refusal(refusal: InvalidBlock, wanted: str | None) -> str:
    """ "" when the refusal is one of the alternatives (A|B) of wanted."""
    names = refusal.reason.test_suite_names
    if refusal.transaction is not None:
        names = refusal.transaction.reason.test_suite_names
    if wanted is None:
        return f"refused: {refusal} {names}"
    if not set(names) & {name.strip() for name in wanted.split("|")}:
        return f"refused as {names}, expected {wanted}"
    return ""


# ---- reading ----


def number(text: Any) -> int:
    """An integer given as a number or as hex digits ("0x" is zero)."""
    if isinstance(text, int):
        return text
    return int(text, 16) if text not in ("0x", "") else 0


def data(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def word(text: str) -> bytes:
    return number(text).to_bytes(32, "big")


def read_allocation(accounts: Mapping[str, Any]) -> dict[bytes, Allocation]:
    """The accounts of a `pre` or `post` object, by address."""
    return {
        data(address).rjust(20, b"\0"): Allocation(
            nonce=number(account["nonce"]),
            balance=number(account["balance"]),
            code=data(account["code"]),
            storage={
                word(key): word(value) for key, value in account["storage"].items() if number(value)
            },
        )
        for address, account in accounts.items()
    }


def read_schedules(config: Mapping[str, Any]) -> dict[str, BlobSchedule]:
    """The blob figures of a `config` object, by fork name."""
    return {
        name: BlobSchedule(
            target=number(figures["target"]),
            max=number(figures["max"]),
            base_fee_update_fraction=number(figures["baseFeeUpdateFraction"]),
        )
        for name, figures in config.get("blobSchedule", {}).items()
    }


def _environment(test: Mapping[str, Any], fork_name: str) -> BlockEnvironment:
    env, config = test["env"], test.get("config", {})
    schedules = read_schedules(config)
    blobs = schedules.get(fork_name) or BLOB_SCHEDULES[fork_name]
    return BlockEnvironment(
        fork=RULES[fork_name],
        chain_id=number(config.get("chainid", "0x1")),
        number=number(env["currentNumber"]),
        timestamp=number(env["currentTimestamp"]),
        gas_limit=number(env["currentGasLimit"]),
        base_fee=number(env.get("currentBaseFee", "0x0")),
        coinbase=Address(data(env["currentCoinbase"])),
        prev_randao=Hash32(word(env.get("currentRandom", "0x0"))),
        excess_blob_gas=number(env.get("currentExcessBlobGas", "0x0")),
        blob_base_fee_update_fraction=blobs.base_fee_update_fraction,
        blobs_per_block_max=blobs.max,
    )


# ---- transactions ----


def _raw_transaction(fields: Mapping[str, Any], post: Any, chain_id: int) -> bytes:
    """The bytes that the case gives, or those that its fields and secret key make."""
    if "txbytes" in post:
        return data(post["txbytes"])
    indexes = post["indexes"]
    access_lists: Sequence[Any] = fields.get("accessLists") or [None]
    access_list = access_lists[min(indexes["data"], len(access_lists) - 1)]
    to = fields.get("to") or ""
    kind = _type_of(fields, access_list)
    fee = number(fields.get("gasPrice", fields.get("maxFeePerGas", "0x0")))
    unsigned = Transaction(
        type=kind,
        chain_id=chain_id,
        nonce=number(fields["nonce"]),
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=number(fields.get("maxPriorityFeePerGas", hex(fee))),
        gas_limit=number(fields["gasLimit"][indexes["gas"]]),
        to=Address(data(to)) if to not in ("", "0x") else None,
        value=number(fields["value"][indexes["value"]]),
        data=data(fields["data"][indexes["data"]]),
        access_list=tuple(
            AccessEntry(
                Address(data(entry["address"])),
                tuple(Hash32(word(key)) for key in entry["storageKeys"]),
            )
            for entry in access_list or ()
        ),
        max_fee_per_blob_gas=number(fields.get("maxFeePerBlobGas", "0x0")),
        blob_versioned_hashes=tuple(
            Hash32(data(versioned)) for versioned in fields.get("blobVersionedHashes", ())
        ),
        authorizations=tuple(_authorization(item) for item in fields.get("authorizationList", ())),
    )
    return encode_transaction(sign_transaction(unsigned, word(fields["secretKey"])))


def _type_of(fields: Mapping[str, Any], access_list: Any) -> TransactionType:
    if "authorizationList" in fields:
        return TransactionType.SET_CODE
    if "maxFeePerBlobGas" in fields or "blobVersionedHashes" in fields:
        return TransactionType.BLOB
    if "maxFeePerGas" in fields:
        return TransactionType.DYNAMIC_FEE
    return TransactionType.LEGACY if access_list is None else TransactionType.ACCESS_LIST


def _authorization(item: Mapping[str, Any]) -> Authorization:
    chain_id, address = number(item["chainId"]), Address(data(item["address"]))
    if "r" not in item:
        return sign_authorization(
            word(item["secretKey"]),
            chain_id=chain_id,
            address=address,
            nonce=number(item["nonce"]),
        )
    return Authorization(
        chain_id=chain_id,
        address=address,
        nonce=number(item["nonce"]),
        y_parity=number(item.get("yParity", item.get("v"))),
        r=number(item["r"]),
        s=number(item["s"]),
    )


# ---- telling what differs ----


def describe_difference(view: MemoryView, wanted: Mapping[bytes, Allocation]) -> str:
    """The first account that is not as wanted, and how."""
    expected = MemoryView(wanted)
    for address in sorted(set(view.accounts) | set(expected.accounts)):
        have, want = view.accounts.get(address), expected.accounts.get(address)
        if have == want:
            continue
        if have is None or want is None:
            return f"account 0x{address.hex()} {'is absent' if have is None else 'is there'}"
        for title, start, end in (("nonce", 0, 8), ("balance", 8, 40), ("code hash", 72, 104)):
            if have[start:end] != want[start:end]:
                values = (int.from_bytes(part[start:end], "big") for part in (have, want))
                return "account 0x{}: {} {:#x}, expected {:#x}".format(
                    address.hex(), title, *values
                )
        slots = view.storage.get(address, {}), expected.storage.get(address, {})
        for key in sorted(set(slots[0]) | set(slots[1])):
            if slots[0].get(key) != slots[1].get(key):
                have_slot, want_slot = (found.get(key, b"").hex() or "0" for found in slots)
                return (
                    f"account 0x{address.hex()} slot 0x{key.hex()}: "
                    f"{have_slot}, expected {want_slot}"
                )
    return "accounts are equal"
