"""A block made of transactions and kept nowhere: what testing_buildBlockV1 answers, and the block
that is pending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ghostchain.crypto.hashes import logs_bloom
from ghostchain.encoding.blocks import encode_receipt, encode_withdrawal
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.execution.executor import CallResult
from ghostchain.execution.forks import Fork
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import InvalidBlock, TransactionReason
from ghostchain.primitives.header import Header
from ghostchain.primitives.receipt import Receipt
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.errors import RpcError, reason_message, server_error
from ghostchain.rpc.phantoms import Phantoms
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline
from ghostchain.trie.merkle import ordered_root

TRANSACTIONS_MAX = 10_000
BLOB_GAS = 131_072
TRANSACTION_GAS_MIN = 21_000


@dataclass(frozen=True, slots=True)
class Included:
    tx: Transaction
    raw: bytes
    hash: Hash32
    sender: Address
    result: CallResult


@dataclass(frozen=True, slots=True)
class Built:
    """A block that could stand there: its header is whole."""

    header: Header
    included: list[Included]
    requests: tuple[bytes, ...]


def waiting(services: Services) -> TransactionBatch:
    """What the pool would give a block, sender after sender, with the senders that it knows."""
    content = services.backend.pool_content().pending
    items = [item for found in content.values() for item in found][:TRANSACTIONS_MAX]
    batch = TransactionBatch.decode([item.raw for item in items], allows_unsigned=True)
    batch.recover(senders=[item.sender for item in items])
    return batch


def build(
    deadline: Deadline,
    phantoms: Phantoms,
    header: Header,
    batch: TransactionBatch,
    withdrawals: Sequence[Withdrawal],
    *,
    skips: bool,
) -> Built:
    """The block with that header, of which only what is known before it runs is read. batch: has
    its senders. skips: transactions that do not hold are left out.

    Raises: RpcError where one does not hold and is not skipped, or the block cannot end.
    """
    environment = phantoms.environment(header)
    phantoms.begin(environment, {}, {})
    included = run_all(deadline, phantoms, header, batch, skips=skips)
    try:
        end = phantoms.end(withdrawals)
    except InvalidBlock as error:
        raise server_error(f"the block cannot end: {error}") from error
    receipts, gas_used = receipts_of(included)
    sealed = replace(
        header,
        state_root=phantoms.state_root(),
        transactions_root=ordered_root([item.raw for item in included]),
        receipts_root=ordered_root(list(map(encode_receipt, receipts))),
        bloom=logs_bloom(log for receipt in receipts for log in receipt.logs),
        gas_used=gas_used,
        blob_gas_used=BLOB_GAS * sum(len(item.tx.blob_versioned_hashes) for item in included),
        withdrawals_root=ordered_root(list(map(encode_withdrawal, withdrawals))),
        requests_hash=end.requests_hash if environment.fork >= Fork.PRAGUE else None,
    )
    return Built(sealed, included, end.requests)


def run_all(
    deadline: Deadline,
    phantoms: Phantoms,
    header: Header,
    batch: TransactionBatch,
    *,
    skips: bool,
) -> list[Included]:
    """The transactions that hold, in order. Without skips each must: raises RpcError."""
    included: list[Included] = []
    gas_used = 0
    cap = phantoms.environment(header).transaction_gas_cap
    for index in range(len(batch)):
        deadline.check()
        left = header.gas_limit - gas_used
        if skips and left < TRANSACTION_GAS_MIN:
            break
        try:
            if batch.reason(index) is not TransactionReason.OK:
                raise refused(batch.reason(index), {})
            tx = batch.transaction(index)
            if cap is not None and tx.gas_limit > cap:
                values: dict[str, int | bytes] = {"limit": cap, "gas": tx.gas_limit}
                raise refused(TransactionReason.GAS_LIMIT_ABOVE_CAP, values)
            if tx.gas_limit > left:
                raise server_error("gas limit reached: the block has no room for the transaction")
            result = phantoms.transaction(batch, index)
            if result.reason is not TransactionReason.OK:
                raise refused(
                    result.reason, values_of(phantoms, batch.sender(index), tx, header, result)
                )
        except RpcError:
            if skips:
                continue
            raise
        gas_used += result.gas_used
        raw, sender = batch.raw(index), batch.sender(index)
        included.append(Included(tx, raw, batch.hash(index), sender, result))
    return included


def values_of(
    phantoms: Phantoms, sender: Address, tx: Transaction, header: Header, result: CallResult
) -> dict[str, int | bytes]:
    account = phantoms.account(sender)
    return {
        "address": sender,
        "tx_nonce": tx.nonce,
        "state_nonce": 0 if account is None else account.nonce,
        "have": 0 if account is None else account.balance,
        "want": tx.value + tx.gas_limit * tx.max_fee_per_gas,
        "max_fee": tx.max_fee_per_gas,
        "base_fee": header.base_fee_per_gas,
        "gas": tx.gas_limit,
        "floor": result.gas_intrinsic,
    }


def refused(reason: TransactionReason, values: dict[str, int | bytes]) -> RpcError:
    return server_error(reason_message(reason, values))


def receipts_of(included: list[Included]) -> tuple[list[Receipt], int]:
    receipts, cumulative = [], 0
    for item in included:
        cumulative += item.result.gas_used
        logs = item.result.logs
        receipts.append(
            Receipt(item.tx.type, item.result.success, cumulative, logs_bloom(logs), logs)
        )
    return receipts, cumulative
