"""geth's prestateTracer (eth/tracers/native/prestate.go): the accounts and slots that a transaction
reached, as they were before it; in diff mode those that it changed, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.execution.traces import AccountState, FrameKind, TouchedAccount, TouchedSlot
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address
from ghostchain.rpc.tracers.calls import undone_frames
from ghostchain.rpc.tracers.failures import is_precompile
from ghostchain.rpc.tracers.runs import Run

ZERO = bytes(32)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PrestateSettings:
    """prestateTracer's tracerConfig."""

    diff: bool = False
    code: bool = True
    storage: bool = True
    include_empty: bool = False


def prestate_trace(run: Run, settings: PrestateSettings) -> Json:
    accounts = {account.address: account for account in run.trace.accounts}
    slots: dict[Address, list[TouchedSlot]] = {address: [] for address in accounts}
    if settings.storage:
        for slot in run.trace.slots:
            slots[slot.address].append(slot)
    if settings.diff:
        return difference(run, accounts, slots, settings)
    return {
        format_data(address): state_json(account.before, slots[address], settings)
        for address, account in accounts.items()
        if settings.include_empty or not is_empty(account.before)
    }


def is_empty(state: AccountState) -> bool:
    return state.nonce == 0 and state.balance == 0 and state.code_hash == EMPTY_CODE_HASH


def state_json(state: AccountState, slots: list[TouchedSlot], settings: PrestateSettings) -> Json:
    shown: Json = {"balance": hex(state.balance)}
    if state.code_hash != EMPTY_CODE_HASH:
        if settings.code:
            shown["code"] = None if state.code is None else format_data(state.code)
        shown["codeHash"] = format_data(state.code_hash)
    if state.nonce:
        shown["nonce"] = state.nonce
    if slots:
        shown["storage"] = {format_data(slot.key): format_data(slot.before) for slot in slots}
    return shown


def difference(
    run: Run,
    accounts: dict[Address, TouchedAccount],
    slots: dict[Address, list[TouchedSlot]],
    settings: PrestateSettings,
) -> Json:
    """What was destroyed is before, and not after; what was empty is after, and not before."""
    before: Json = {}
    after: Json = {}
    there = set() if run.around.is_settled else materialised(run)
    for address, account in accounts.items():
        own = slots[address]
        if not account.is_destroyed:
            changes = account_changes(account, settings)
            was_nothing = is_empty(account.before) and not account.was_there
            if was_nothing and address not in there and is_empty(account.after):
                # geth then finds another code hash than that of no code.
                changes["codeHash"] = format_data(ZERO)
            own = [slot for slot in own if slot.before != slot.after]
            stored = {
                format_data(slot.key): format_data(slot.after) for slot in own if slot.after != ZERO
            }
            if stored:
                changes["storage"] = stored
            if not changes and not own:
                continue
            after[format_data(address)] = changes
            own = [slot for slot in own if slot.before != ZERO]
        if not is_empty(account.before):
            before[format_data(address)] = state_json(account.before, own, settings)
    return {"post": after, "pre": before}


def materialised(run: Run) -> set[Address]:
    """Accounts that geth has as objects at the end, be they empty: what a tip of zero, a static
    call, a call of a precompile or a destruction touched, and no failure undid."""
    frames = run.trace.frames
    undone = undone_frames(frames)
    found = {run.around.sender, run.around.coinbase}
    for index, frame in enumerate(frames):
        is_touch = frame.kind in (FrameKind.STATICCALL, FrameKind.SELFDESTRUCT) or (
            frame.kind is FrameKind.CALL and is_precompile(frame)
        )
        if is_touch and index not in undone:
            found.add(frame.to)
    return found


def account_changes(account: TouchedAccount, settings: PrestateSettings) -> Json:
    was, now = account.before, account.after
    changes: Json = {}
    if now.balance != was.balance:
        changes["balance"] = hex(now.balance)
    if now.nonce != was.nonce and now.nonce:
        changes["nonce"] = now.nonce
    if now.code_hash != was.code_hash:
        changes["codeHash"] = format_data(now.code_hash)
        if settings.code:
            changes["code"] = None if now.code is None else format_data(now.code)
    return changes
