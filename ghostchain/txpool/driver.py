"""The pool's door to the world: bytes in, journal, clock, answers.

`submit` may be called from any number of threads. Decoding and sender recovery run natively and
outside the lock; placing and journalling run inside it, one batch at a time, so that what is
acknowledged is exactly what the journal holds.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostchain._native import ffi
from ghostchain.encoding.transactions import TransactionBatch
from ghostchain.primitives.errors import TransactionReason
from ghostchain.primitives.types import Address, Hash32
from ghostchain.txpool.blobs import SIDECAR_BYTES_MAX, SidecarError, check_sidecar
from ghostchain.txpool.core import BLOB_GAS, BLOB_TYPE, Pool, SenderState
from ghostchain.txpool.effects import (
    Accepted,
    Effect,
    Evicted,
    PoolReason,
    PoolTransaction,
    Purse,
    Refused,
)
from ghostchain.txpool.journal import Journal
from ghostchain.txpool.purses import NO_FEES, FeeState
from ghostchain.txpool.validation import GCC, Rules, Shape, signature_gas, stateless_refusal

# The journal is rewritten when it holds more than twice what waits, and at least this many records.
JOURNAL_SLACK_RECORDS = 10_000

AccountReader = Callable[[Collection[Address]], Mapping[Address, SenderState]]
FeeReader = Callable[[Collection[Purse]], FeeState]
Listener = Callable[[Sequence[Effect]], None]


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of one submitted transaction: waiting when refusal is None."""

    hash: Hash32
    refusal: Refused | None
    pending: bool = False


class PoolDriver:
    """Admission in batches, durable before it is acknowledged.

    rules: what the next block allows, asked once a batch. accounts: the state at the head of these
    senders. fees: the rates at the head, and what is in these purses; asked only when something
    waits, or wants to, whose fee is not of the sender's GCC. listener: told of accepted, promoted
    and evicted transactions after they are durable, on the submitting thread. is_development:
    takes what the development chain's accounts sign without keys, and blobs with the proofs of
    before Osaka, since no other node has to.
    """

    def __init__(
        self,
        pool: Pool,
        journal: Journal,
        *,
        rules: Callable[[], Rules],
        accounts: AccountReader,
        fees: FeeReader = lambda purses: NO_FEES,
        listener: Listener = lambda effects: None,
        now_ns: Callable[[], int] = time.time_ns,
        is_development: bool = False,
    ) -> None:
        self.pool = pool
        self._journal = journal
        self._rules = rules
        self._accounts = accounts
        self._fees = fees
        self._listener = listener
        self._now_ns = now_ns
        self._is_development = is_development
        self._order = itertools.count()
        self.lock = threading.RLock()

    @property
    def path(self) -> Path:
        """Where the journal lies."""
        return self._journal.path

    @property
    def bytes_lost(self) -> int:
        """What `restore` could not read of the journal: the last write before a kill, or damage."""
        return self._journal.bytes_lost

    def restore(self) -> int:
        """What the journal acknowledged before the last stop waits again. Returns how many do."""
        raws = self._journal.load()
        for start in range(0, len(raws), 4_096):
            self._admit(raws[start : start + 4_096], journalled=True, unsigned=self._is_development)
        with self.lock:
            self._journal.rewrite(self._live_raws())
            return len(self.pool)

    def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """Each transaction waits, or is refused with its reason; in the order given.

        Raises: OSError when the journal cannot be written (nothing of the batch waits then).
        Cost: a few microseconds a transaction beside recovery, one disk flush a batch.
        """
        return self._admit(raws, journalled=False)

    def submit_unsigned(self, sender: Address, raw: bytes) -> Submission:
        """A transaction that nobody signed waits, or is refused with its reason. raw: as
        `encode_unsigned` of `encoding/unsigned.py` gives it for this sender.

        Raises: ValueError where the pool takes only what is signed, or for other bytes; OSError as
        `submit`.
        """
        if not self._is_development:
            raise ValueError("this pool takes only what is signed")
        batch = TransactionBatch.decode([raw], allows_unsigned=True)
        batch.recover()
        if batch.reason(0) == TransactionReason.OK:
            if not batch.is_unsigned(0):
                raise ValueError("a signed transaction is for `submit`")
            if batch.sender(0) != sender:
                raise ValueError(f"the transaction is sent for 0x{batch.sender(0).hex()}")
        return self._admit([raw], journalled=False, unsigned=True)[0]

    def on_head(self, included: Iterable[Hash32], accounts: Mapping[Address, SenderState]) -> None:
        """The pool follows a new head; the journal is shortened when most of it is history."""
        included = list(included)
        with self.lock:
            fees = self._fees_after(included)
            effects = self.pool.on_head(included, accounts, now_ns=self._now_ns(), fees=fees)
            slack = self._journal.records - len(self.pool)
            if slack > max(JOURNAL_SLACK_RECORDS, len(self.pool)):
                self._journal.rewrite(self._live_raws())
        if effects:
            self._listener(effects)

    def drop(
        self,
        hashes: Iterable[Hash32],
        reason: TransactionReason | PoolReason,
        *,
        durably: bool = False,
    ) -> None:
        """These no longer wait; durably: nor does after a restart what was included before,
        whatever the head's state would allow then. Raises: OSError when the journal cannot be
        written."""
        with self.lock:
            effects = self.pool.drop(hashes, reason)
            if durably:
                self._journal.rewrite(self._live_raws())
        if effects:
            self._listener(effects)

    def close(self) -> None:
        """The journal is as short as it can be. Where the disk has no room for that, it stays as it
        is: what is stale in it is left behind when it is restored."""
        with self.lock:
            with contextlib.suppress(OSError):
                self._journal.rewrite(self._live_raws())
            self._journal.close()

    def _fees_after(self, included: Sequence[Hash32]) -> FeeState | None:
        """The rates after a block, and what it left in the purses that it paid from."""
        if not len(self.pool.purses):
            return None
        gone = (self.pool.by_hash.get(transaction_hash) for transaction_hash in included)
        return self._fees({one.fee_purse for one in gone if one and one.fee_purse})

    # ---- admission ----

    def _admit(
        self, raws: Sequence[bytes], *, journalled: bool, unsigned: bool = False
    ) -> list[Submission]:
        rules = self._rules()
        batch = TransactionBatch.decode(raws, size_max=SIDECAR_BYTES_MAX, allows_unsigned=unsigned)
        batch.recover()
        arrived_ns = self._now_ns()
        candidates: list[PoolTransaction] = []
        answers: dict[int, Submission] = {}
        positions: list[int] = []
        for index, raw in enumerate(raws):
            refusal = self._stateless(batch, index, raw, rules, sidecar_known=journalled)
            if refusal is not None:
                answers[index] = Submission(refusal.hash, refusal)
            else:
                item = batch.pointer[index]
                candidates.append(candidate_of(item, arrived_ns, next(self._order)))
                positions.append(index)
        effects = self._place(candidates, journalled=journalled)
        for index, submission in zip(positions, submissions(effects), strict=True):
            answers[index] = submission
        told = tuple(effect for effect in effects if not isinstance(effect, Refused))
        if told:
            self._listener(told)
        return [answers[index] for index in range(len(raws))]

    def _place(self, candidates: list[PoolTransaction], *, journalled: bool) -> tuple[Effect, ...]:
        if not candidates:
            return ()
        with self.lock:
            accounts = self._accounts({candidate.sender for candidate in candidates})
            effects = self.pool.on_transactions(candidates, accounts, self._fees_for(candidates))
            accepted = [effect.transaction for effect in effects if isinstance(effect, Accepted)]
            if accepted and not journalled:
                try:
                    self._journal.append([transaction.raw for transaction in accepted])
                except OSError:
                    self._take_back(accepted, effects, accounts)
                    raise
        return effects

    def _take_back(
        self,
        accepted: Sequence[PoolTransaction],
        effects: Sequence[Effect],
        accounts: Mapping[Address, SenderState],
    ) -> None:
        """What was accepted does not wait; what it replaced or crowded out, acknowledged before,
        waits again."""
        self.pool.drop([transaction.hash for transaction in accepted], PoolReason.DROPPED)
        new = {transaction.hash for transaction in accepted}
        gone = [
            effect.transaction
            for effect in effects
            if isinstance(effect, Evicted) and effect.transaction.hash not in new
        ]
        others = {transaction.sender for transaction in gone} - accounts.keys()
        accounts = {**accounts, **self._accounts(others)}
        self.pool.on_transactions(gone, accounts, self._fees_for(gone))

    def _fees_for(self, candidates: Iterable[PoolTransaction]) -> FeeState | None:
        """What the pool needs to know of these candidates' purses."""
        purses = {candidate.fee_purse for candidate in candidates if candidate.fee_purse}
        return self._fees(purses) if purses else None

    def _stateless(
        self, batch: TransactionBatch, index: int, raw: bytes, rules: Rules, *, sidecar_known: bool
    ) -> Refused | None:
        reason = batch.reason(index)
        if reason != TransactionReason.OK:
            return Refused(batch.hash(index), reason, decode_message(reason))
        item = batch.pointer[index]
        refusal = stateless_refusal(shape_of(item), rules)
        is_open = item.type == BLOB_TYPE and not (sidecar_known or item.is_unsigned)
        if refusal is None and is_open:
            refusal = sidecar_refusal(item, raw, rules, older_too=self._is_development)
        if refusal is None:
            return None
        return Refused(batch.hash(index), *refusal)

    def _live_raws(self) -> list[bytes]:
        ordered = sorted(self.pool.by_hash.values(), key=lambda transaction: transaction.order)
        return [transaction.raw for transaction in ordered]


def submissions(effects: Sequence[Effect]) -> list[Submission]:
    """The answer to each candidate, in order: the pool gives exactly one Accepted or Refused for
    each. Accepted and at once evicted by a limit is a refusal to whoever submitted it."""
    crowded_out = {
        effect.transaction.hash
        for effect in effects
        if isinstance(effect, Evicted) and effect.reason is PoolReason.POOL_FULL
    }
    answers: list[Submission] = []
    for effect in effects:
        if isinstance(effect, Refused):
            answers.append(Submission(effect.hash, effect))
        elif isinstance(effect, Accepted):
            transaction_hash = effect.transaction.hash
            refusal = None
            if transaction_hash in crowded_out:
                refusal = Refused(transaction_hash, PoolReason.POOL_FULL, "txpool is full")
            answers.append(Submission(transaction_hash, refusal, effect.pending))
    return answers


def shape_of(item: Any) -> Shape:
    """What the stateless rules look at, out of a native `ghost_tx`."""
    return Shape(
        type=item.type,
        chain_id=item.chain_id if item.has_chain_id else None,
        gas_limit=item.gas_limit,
        is_create=bool(item.is_create),
        data=_data_of(item),
        max_fee_per_gas=integer(item.max_fee_per_gas),
        max_priority_fee_per_gas=integer(item.max_priority_fee_per_gas),
        access_addresses=item.access_count,
        access_keys=sum(item.access_list[i].key_count for i in range(item.access_count)),
        authorizations=item.authorization_count,
        blob_count=item.blob_count,
        size=item.raw_length,
        further_calls=max(item.call_count, 1) - 1,
        signature_gas=_signature_gas_of(item),
        pays_in_token=_fee_token_of(item) is not None,
    )


def _data_of(item: Any) -> bytes:
    """The bytes that every node keeps: of a GhostTx, those of all calls."""
    if item.call_count > 1:
        calls = (item.calls[number] for number in range(item.call_count))
        return b"".join(
            ffi.buffer(one.data, one.data_length)[:] for one in calls if one.data_length
        )
    return ffi.buffer(item.data, item.data_length)[:] if item.data_length else b""


def _signature_gas_of(item: Any) -> int:
    if not item.call_count:
        return 0
    payer = item.payer_signature.scheme if item.has_fee_payer else None
    return signature_gas(item.signature.scheme, payer)


def _fee_token_of(item: Any) -> Address | None:
    """What fees are paid in; None for GCC, also where it is named."""
    token = Address(ffi.buffer(item.fee_token)[:]) if item.has_fee_token else None
    return None if token == GCC else token


def _purse_of(item: Any, sender: Address, token: Address | None) -> Purse | None:
    """Where the fee comes from; None when it is the sender's GCC."""
    payer = Address(ffi.buffer(item.fee_payer)[:]) if item.has_fee_payer else sender
    return None if token is None and payer == sender else Purse(token, payer)


def candidate_of(item: Any, arrived_ns: int, order: int) -> PoolTransaction:
    """The record that waits, out of a decoded and recovered native `ghost_tx`."""
    max_fee = integer(item.max_fee_per_gas)
    blob_fee = integer(item.max_fee_per_blob_gas) if item.blob_count else 0
    fee_cost = item.gas_limit * max_fee
    cost = integer(item.value) + item.blob_count * BLOB_GAS * blob_fee
    sender = Address(ffi.buffer(item.sender)[:])
    token = _fee_token_of(item)
    purse = _purse_of(item, sender, token)
    return PoolTransaction(
        hash=Hash32(ffi.buffer(item.hash)[:]),
        sender=sender,
        nonce=item.nonce,
        type=item.type,
        gas_limit=item.gas_limit,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=integer(item.max_priority_fee_per_gas),
        max_fee_per_blob_gas=blob_fee,
        blob_count=item.blob_count,
        cost=cost if purse is not None else cost + fee_cost,
        raw=ffi.buffer(item.raw, item.raw_length)[:],
        arrived_ns=arrived_ns,
        order=order,
        fee_token=token,
        fee_purse=purse,
        fee_cost=fee_cost if purse is not None else 0,
    )


def integer(field: Any) -> int:
    """A 32-byte big-endian field of a native struct."""
    return int.from_bytes(ffi.buffer(field), "big")


def sidecar_refusal(
    item: Any, raw: bytes, rules: Rules, *, older_too: bool
) -> tuple[PoolReason, str] | None:
    """Why a blob transaction's sidecar does not do, or None."""
    if item.sidecar_length == 0:
        return PoolReason.SIDECAR_MISSING, PoolReason.SIDECAR_MISSING.value
    hashes = [
        ffi.buffer(item.blob_hashes + 32 * number, 32)[:] for number in range(item.blob_count)
    ]
    try:
        check_sidecar(raw, hashes, cell_proofs=rules.cell_proofs, older_too=older_too)
    except SidecarError as failure:
        return PoolReason.SIDECAR_INVALID, str(failure)
    return None


DECODE_MESSAGES = {
    TransactionReason.RLP_MALFORMED: "rlp: malformed transaction",
    TransactionReason.TYPE_UNKNOWN: "transaction type not supported",
    TransactionReason.TRAILING_BYTES: "rlp: input contains more than one value",
    TransactionReason.FIELD_COUNT: "rlp: wrong number of transaction fields",
    TransactionReason.FIELD_WIDTH: "rlp: a transaction field is too long or too short",
    TransactionReason.LEADING_ZERO: "rlp: non-canonical integer (leading zero bytes)",
    TransactionReason.SIGNATURE_RANGE: "invalid transaction v, r, s values",
    TransactionReason.HIGH_S: "invalid transaction v, r, s values: s is in the upper half",
    TransactionReason.Y_PARITY: "invalid transaction v, r, s values: bad v",
    TransactionReason.SIGNATURE_INVALID: "invalid sender: the signature recovers to no key",
    TransactionReason.CALL_COUNT: "a ghost transaction has 1 to 256 calls",
    TransactionReason.CALL_CREATES: "a contract creation must be the only call",
    TransactionReason.SIGNATURE_SCHEME: "unknown signature scheme",
    TransactionReason.SIGNATURE_LENGTH: "key or signature of a length that its scheme has not",
    TransactionReason.PAYER_FORM: "a fee payer needs its signature, and the signature a fee payer",
    TransactionReason.PAYER_SIGNATURE: "invalid fee payer: it did not sign for this transaction",
    TransactionReason.SIZE: "oversized data: transaction exceeds the pool's size limit",
}


def decode_message(reason: TransactionReason) -> str:
    """The wording for bytes that are no transaction."""
    return DECODE_MESSAGES.get(reason, reason.name.lower().replace("_", " "))
