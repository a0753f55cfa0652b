"""The past of a development chain, and accounts that nobody has the key of: snapshots, reverts,
other pasts, impersonation. Names and answers are those of anvil, Hardhat and Ganache."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.types import Address
from ghostchain.rpc.accounts import made_transaction, unsigned_transaction
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.development import Fork, Replayed
from ghostchain.rpc.development_parameters import (
    Reorganisation,
    believed_signature,
    fork_options,
    number_64,
    reorg_pairs,
    reorganisation,
)
from ghostchain.rpc.errors import invalid_params, server_error
from ghostchain.rpc.method import Method
from ghostchain.rpc.methods.accounts import submit_made
from ghostchain.rpc.methods.development import hand_of, method
from ghostchain.rpc.parameters import (
    CallRequest,
    Parameter,
    address,
    boolean,
    call_request,
    data,
)
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline


async def snapshot(services: Services) -> str:
    return hex(await hand_of(services).snapshot())


async def revert(services: Services, identity: int) -> bool:
    return await hand_of(services).revert(identity)


async def rollback(services: Services, depth: int) -> None:
    await hand_of(services).rollback(depth)


async def set_head(services: Services, number: int) -> None:
    """geth's: how Ape goes back to a snapshot, which to it is a height."""
    depth = services.backend.head().number - number
    if depth < 0:
        raise server_error(f"block {number} is not known: the head is {number + depth}")
    if depth > 0:
        await hand_of(services).rollback(depth)


async def reset(services: Services, fork: Fork | None) -> None:
    await hand_of(services).reset(fork)


async def reorganise(services: Services, wanted: Reorganisation, pairs: Any) -> None:
    pairs = pairs or wanted.pairs
    beyond = [place for _, place in pairs if place >= wanted.depth]
    if beyond:
        raise invalid_params(
            "Block number for reorg tx will exceed the reorged chain height. "
            f"Block number {beyond[0]} must not exceed (depth-1) {wanted.depth - 1}"
        )
    ancestor = max(services.backend.head().number - wanted.depth, 0)

    def job(deadline: Deadline) -> list[Replayed]:
        nonces: dict[Address, int] = {}
        return [
            Replayed(content, None, place)
            if isinstance(content, bytes)
            else replayed(services, deadline, content, place, nonces, ancestor)
            for content, place in sorted(pairs, key=lambda pair: pair[1])
        ]

    await hand_of(services).reorganise(wanted.depth, await services.workers.run(job))


def replayed(
    services: Services,
    deadline: Deadline,
    request: CallRequest,
    place: int,
    nonces: dict[Address, int],
    ancestor: int,
) -> Replayed:
    """A request as a transaction, its nonce counted from the common ancestor on."""
    sender = request.sender or next(iter(services.backend.accounts()), None)
    if sender is not None and request.nonce is None:
        if sender not in nonces:
            nonces[sender] = account_at(services.backend.state_at(ancestor), sender).nonce
        request = replace(request, nonce=nonces[sender])
        nonces[sender] += 1
    raw, unsigned = made_transaction(services, deadline, replace(request, sender=sender))
    return Replayed(raw, unsigned, place)


# ---- the whole state ----


async def dump_state(services: Services, history: bool) -> str:
    """history: with the states of older blocks."""
    dumped = await hand_of(services).dump(with_history=history)
    packed = await asyncio.get_running_loop().run_in_executor(None, gzip.compress, dumped, 5)
    return format_data(packed)


async def load_state(services: Services, dumped: bytes) -> bool:
    await hand_of(services).load(dumped)
    return True


# ---- accounts that nobody has the key of ----


async def impersonate(services: Services, who: Address) -> None:
    await hand_of(services).impersonate(who)


async def stop_impersonating(services: Services, who: Address) -> None:
    await hand_of(services).stop_impersonating(who)


async def impersonate_signature(
    services: Services, what: bytes | tuple[bytes, Address], who: Address | None
) -> None:
    """A signature and an address; anvil 1.7 takes them as one parameter, a pair."""
    if isinstance(what, bytes):
        if who is None:
            raise invalid_params("missing value for required argument 1 (address)")
        what = what, who
    await hand_of(services).impersonate_signature(*what)


async def impersonate_all(services: Services, on: bool) -> None:
    await hand_of(services).impersonate_all(on)


async def send_unsigned(services: Services, request: CallRequest) -> str:
    def make(deadline: Deadline) -> tuple[bytes, Address | None]:
        return unsigned_transaction(services, deadline, request), request.sender

    return format_data(await submit_made(services, request.sender, make))


ADDRESS = Parameter("address", address)

PAST = (
    method("evm_snapshot anvil_snapshot", snapshot),
    method("evm_revert anvil_revert", revert, (Parameter("snapshot", number_64),)),
    method("anvil_rollback", rollback, (Parameter("depth", number_64, required=False, default=1),)),
    method("debug_setHead", set_head, (Parameter("number", number_64),)),
    method(
        "anvil_reorg",
        reorganise,
        (
            Parameter("depth", reorganisation),
            Parameter("transactions", reorg_pairs, required=False),
        ),
    ),
    method(
        "anvil_reset hardhat_reset",
        reset,
        (Parameter("options", fork_options, required=False),),
    ),
)

ACCOUNTS = (
    method(
        "anvil_impersonateSignature",
        impersonate_signature,
        (
            Parameter("signature", believed_signature),
            Parameter("address", address, required=False),
        ),
    ),
    method("anvil_impersonateAccount hardhat_impersonateAccount", impersonate, (ADDRESS,)),
    method(
        "anvil_stopImpersonatingAccount hardhat_stopImpersonatingAccount",
        stop_impersonating,
        (ADDRESS,),
    ),
    method(
        "anvil_autoImpersonateAccount hardhat_autoImpersonateAccount",
        impersonate_all,
        (Parameter("on", boolean),),
    ),
    method("eth_sendUnsignedTransaction", send_unsigned, (Parameter("transaction", call_request),)),
)

STATE = (
    method(
        "anvil_dumpState hardhat_dumpState",
        dump_state,
        (Parameter("history", boolean, required=False, default=False),),
    ),
    method("anvil_loadState hardhat_loadState", load_state, (Parameter("dump", data),)),
)

METHODS: tuple[Method, ...] = tuple(
    row for table in (PAST, ACCOUNTS, STATE) for rows in table for row in rows
)
