"""An account of a development chain, changed by hand (`anvil_setBalance` and its like)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ghostchain.primitives.types import Address, Hash32

_NO_SLOTS: Mapping[Hash32, Hash32] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AccountAmendment:
    """How one account looks from the next block on; None leaves a field as it is.

    Units: balance in wei, below 2^256; nonce below 2^64. clear_storage: all slots go before
    `slots` are set; a zero removes a slot. An account that is empty afterwards is gone (EIP-161)
    unless it has storage.
    """

    nonce: int | None = None
    balance: int | None = None
    code: bytes | None = None
    slots: Mapping[Hash32, Hash32] = field(default_factory=lambda: _NO_SLOTS)
    clear_storage: bool = False

    def followed_by(self, later: AccountAmendment) -> AccountAmendment:
        """This amendment and then the later one, as one."""
        slots = later.slots if later.clear_storage else {**self.slots, **later.slots}
        return replace(
            self,
            nonce=self.nonce if later.nonce is None else later.nonce,
            balance=self.balance if later.balance is None else later.balance,
            code=self.code if later.code is None else later.code,
            slots=slots,
            clear_storage=self.clear_storage or later.clear_storage,
        )


Amendments = Mapping[Address, AccountAmendment]

NO_AMENDMENTS: Amendments = MappingProxyType({})
