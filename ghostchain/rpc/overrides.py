"""Overrides of the state as geth applies them: what they change in accounts, and where they put
precompiles."""

from __future__ import annotations

from collections.abc import Mapping

from ghostchain.crypto.hashes import checksummed
from ghostchain.execution.forks import Fork
from ghostchain.primitives.amendment import AccountAmendment, Amendments
from ghostchain.primitives.types import Address
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.errors import server_error

LAST_PRECOMPILE = {Fork.CANCUN: 0x0A, Fork.PRAGUE: 0x11, Fork.OSAKA: 0x11}
P256VERIFY = Address(bytes(18) + b"\x01\x00")


def is_precompile(address: Address, fork: Fork) -> bool:
    number = int.from_bytes(address, "big")
    return 1 <= number <= LAST_PRECOMPILE[fork] or (fork >= Fork.OSAKA and address == P256VERIFY)


def precompile_moves(
    overrides: Mapping[Address, AccountOverride], fork: Fork
) -> dict[Address, Address | None]:
    """Which precompile runs where: what is overridden is none any more, and may be elsewhere.

    Raises: RpcError where something that is none is moved, or a place is taken.
    """
    moves: dict[Address, Address | None] = {}
    targets: set[Address] = set()
    for address in sorted(overrides):
        if address in targets:
            raise server_error(
                f"account {checksummed(address)} has already been overridden by a precompile"
            )
        target = overrides[address].move_precompile_to
        if target is not None:
            if not is_precompile(address, fork):
                raise server_error(f"account {checksummed(address)} is not a precompile")
            if target in overrides:
                raise server_error(f"account {checksummed(target)} is already overridden")
            moves[target] = address
            targets.add(target)
        if is_precompile(address, fork):
            moves.setdefault(address, None)
    return moves


def amendments_of(overrides: Mapping[Address, AccountOverride]) -> Amendments:
    """The same as changes of accounts. Precompiles that only move are no change."""
    amendments = {}
    for address, item in sorted(overrides.items()):
        replaced = item.state is not None
        slots = item.state if replaced else item.state_diff
        untouched = (item.nonce, item.balance, item.code, slots) == (None,) * 4
        if not untouched:
            amendments[address] = AccountAmendment(
                nonce=item.nonce,
                balance=item.balance,
                code=item.code,
                slots=slots or {},
                clear_storage=replaced,
            )
    return amendments
