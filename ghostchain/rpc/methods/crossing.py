"""On a fork: what is searched for in a past that is partly the other chain's.

Traces, an account's transactions, who created a contract: the other chain is asked about its blocks
up to the fork's, the blocks after it are searched here, and the answers are joined. What the other
chain knows of its later blocks, which are not ours, is left out.

Each function answers OURS where all of it is about this chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ghostchain.encoding.hexadecimal import format_data
from ghostchain.primitives.types import EMPTY_CODE_HASH, Address, Hash32
from ghostchain.rpc.calls import account_at
from ghostchain.rpc.errors import server_error
from ghostchain.rpc.methods import otterscan, parity
from ghostchain.rpc.parameters import BlockHash, BlockId
from ghostchain.rpc.remote import RemoteChain
from ghostchain.rpc.routing import OURS, PastCall, Search, is_included

Json = dict[str, Any]


def nonsense(method: str) -> Exception:
    return server_error(f"the fork's remote answered {method} with nonsense")


# ---- traces ----


def traces_found(call: PastCall) -> Any:
    """trace_filter. after and count are of both chains' traces together."""
    services, remote = call.services, call.remote
    wanted: parity.TraceFilter = call.arguments[0]
    first, last = parity.filtered_range(services, wanted)
    if first > remote.number:
        return OURS
    theirs = dict(call.params[0]) | {
        "fromBlock": hex(first),
        "toBlock": hex(min(last, remote.number)),
    }
    if last <= remote.number:
        return remote.ask(call.method, [theirs])
    theirs.pop("after", None)
    theirs.pop("count", None)
    if wanted.count is not None:
        theirs["count"] = wanted.after + wanted.count
    found = remote.forwarded(call.method, [theirs])
    if not isinstance(found, list):
        raise nonsense(call.method)
    before = found[wanted.after :][: wanted.count]
    left = None if wanted.count is None else wanted.count - len(before)
    skipped = max(wanted.after - len(found), 0)
    rest = replace(wanted, first=remote.number + 1, last=last, after=skipped, count=left)
    own: list[Any] = [] if left == 0 else parity.trace_filter(services, call.deadline, rest)
    return [*before, *own]


# ---- an account's transactions ----


def page_of(remote: RemoteChain, method: str, params: list[Any]) -> Json:
    """What the remote answers to a search, without what is after the fork's block."""
    found = remote.forwarded(method, params)
    listed = found.get("txs") if isinstance(found, dict) else None
    receipts = found.get("receipts") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not isinstance(receipts, list):
        raise nonsense(method)
    holds = is_included(remote)
    kept = [place for place, item in enumerate(listed) if holds(item)]
    return {
        "txs": [listed[place] for place in kept],
        "receipts": [receipts[place] for place in kept if place < len(receipts)],
        "firstPage": bool(found.get("firstPage")) or len(kept) < len(listed),
        "lastPage": bool(found.get("lastPage")),
    }


def found_before(call: PastCall) -> Any:
    """ots_searchTransactionsBefore: newest first, so this chain's own come first."""
    services, remote = call.services, call.remote
    account, block, size = call.arguments
    head = services.backend.head().number
    start = head if block == 0 else min(block - 1, head)
    own: Json = {"txs": [], "receipts": []}
    if start > remote.number:
        blocks = otterscan.going_back(services, call.deadline, account, start, remote.number)
        places, _ = otterscan.page_of(blocks, otterscan.checked_size(size))
        own = otterscan.shown_page(places, first=start == head, last=False)
        size -= len(places)
        if size <= 0:
            return own
    asked = [format_data(account), min(start, remote.number) + 1, size]
    theirs = page_of(remote, call.method, asked)
    return {
        "txs": [*own["txs"], *theirs["txs"]],
        "receipts": [*own["receipts"], *theirs["receipts"]],
        "firstPage": start == head,
        "lastPage": theirs["lastPage"],
    }


def found_after(call: PastCall) -> Any:
    """ots_searchTransactionsAfter: shown newest first too, but searched from the oldest on."""
    services, remote = call.services, call.remote
    account, block, size = call.arguments
    if block >= remote.number:
        return OURS
    otterscan.checked_size(size)
    theirs = page_of(remote, call.method, [format_data(account), block, size])
    # A page that is full, or after which the remote has more of its own, ends before ours begin.
    if len(theirs["txs"]) >= size or not theirs["firstPage"]:
        return theirs | {"firstPage": False, "lastPage": block == 0}
    head = services.backend.head().number
    blocks = otterscan.going_on(services, call.deadline, account, remote.number + 1, head)
    places, has_more = otterscan.page_of(blocks, size - len(theirs["txs"]))
    own = otterscan.shown_page(places[::-1], first=not has_more, last=block == 0)
    return own | {
        "txs": [*own["txs"], *theirs["txs"]],
        "receipts": [*own["receipts"], *theirs["receipts"]],
    }


def sent_with_nonce(call: PastCall) -> Any:
    """eth_getTransactionBySenderAndNonce, and Otterscan's, which tells a hash alone."""
    services, remote = call.services, call.remote
    sender, nonce = call.arguments
    if account_at(services.backend.state_at(remote.number), sender).nonce <= nonce:
        return OURS
    if call.method == "eth_getTransactionBySenderAndNonce":
        return remote.ask(call.method, call.params, is_included(remote))
    found = remote.forwarded(call.method, call.params)
    return found if is_of_the_past(remote, found) else None


def created_by(call: PastCall) -> Any:
    """ots_getContractCreator."""
    services, remote = call.services, call.remote
    account: Address = call.arguments[0]
    known = account_at(services.backend.state_at(remote.number), account)
    if known.code_hash == EMPTY_CODE_HASH:
        return OURS
    found = remote.forwarded(call.method, call.params)
    created = found.get("hash") if isinstance(found, dict) else None
    return found if is_of_the_past(remote, created) else None


def is_of_the_past(remote: RemoteChain, transaction_hash: Any) -> bool:
    """Whether it is included in a block up to the fork's."""
    if not isinstance(transaction_hash, str):
        return False
    asked = [transaction_hash]
    return remote.ask("eth_getTransactionByHash", asked, is_included(remote)) is not None


# ---- accounts that blocks changed ----


def modified(call: PastCall) -> Any:
    """debug_getModifiedAccountsByNumber and ...ByHash, where the last block is the remote's."""
    services, remote = call.services, call.remote
    last: Any = call.arguments[0] if call.arguments[1] is None else call.arguments[1]
    block: BlockId = BlockHash(Hash32(last)) if isinstance(last, bytes) else last
    if isinstance(block, BlockHash):
        known = services.backend.number_of(block.hash)
        number = remote.number_of(block.hash) if known is None else known
    else:
        number = services.number_of(block)
    if number is None or number > remote.number:
        return OURS
    return remote.ask(call.method, call.params)


SEARCHES: Mapping[str, Search] = {
    "trace_filter": traces_found,
    "ots_searchTransactionsBefore": found_before,
    "ots_searchTransactionsAfter": found_after,
    "ots_getTransactionBySenderAndNonce": sent_with_nonce,
    "ots_getContractCreator": created_by,
    "eth_getTransactionBySenderAndNonce": sent_with_nonce,
    "debug_getModifiedAccountsByNumber": modified,
    "debug_getModifiedAccountsByHash": modified,
}
