"""Where a token keeps a balance or an allowance: found by trying, so that any layout will do.

As anvil's dealERC20: the slots that the token's own answer reads are changed one by one, for one
call each, until the answer is what was put there.
"""

from __future__ import annotations

from ghostchain.primitives.types import Address, Hash32
from ghostchain.rpc.backend import AccountOverride
from ghostchain.rpc.calls import create_access_list, run_call
from ghostchain.rpc.errors import TIMEOUT, RpcError
from ghostchain.rpc.parameters import LATEST, CallRequest
from ghostchain.rpc.services import Services
from ghostchain.rpc.workers import Deadline

BALANCE_OF = bytes.fromhex("70a08231")  # balanceOf(address)
ALLOWANCE = bytes.fromhex("dd62ed3e")  # allowance(address,address)
# Small enough for tokens that pack a balance with flags, and nobody's balance by chance.
PROBE = 0x5EED_0F_A_DEA1
SLOTS_MAX = 256


def slot_of_balance(
    services: Services, deadline: Deadline, token: Address, holder: Address
) -> tuple[Address, Hash32] | None:
    """(contract, slot) of what balanceOf(holder) answers; None where no slot alone decides it."""
    return deciding_slot(services, deadline, token, BALANCE_OF + holder.rjust(32, b"\0"))


def slot_of_allowance(
    services: Services, deadline: Deadline, token: Address, owner: Address, spender: Address
) -> tuple[Address, Hash32] | None:
    """The same of allowance(owner, spender)."""
    question = ALLOWANCE + owner.rjust(32, b"\0") + spender.rjust(32, b"\0")
    return deciding_slot(services, deadline, token, question)


def deciding_slot(
    services: Services, deadline: Deadline, token: Address, question: bytes
) -> tuple[Address, Hash32] | None:
    """The slot that is the answer to the question, the token's own first."""
    request = CallRequest(to=token, data=question)
    entries = create_access_list(services, deadline, request, LATEST, {}).entries
    places = [(entry.address, key) for entry in entries for key in entry.keys]
    places.sort(key=lambda place: place[0] != token)
    probe = Hash32(PROBE.to_bytes(32, "big"))
    for place, key in places[:SLOTS_MAX]:
        deadline.check()
        changed = {place: AccountOverride(state_diff={key: probe})}
        try:
            answer = run_call(services, request, LATEST, changed, None)
        except RpcError as failure:
            if failure.code == TIMEOUT:
                raise
            continue
        if answer[:32] == probe:
            return place, key
    return None
