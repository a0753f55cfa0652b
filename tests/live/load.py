"""Transfers at a steady rate from the funded accounts of a devnet, to whichever node answers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.codec import encode_transaction
from ghostchain.node.genesis import dev_accounts
from ghostchain.primitives.transaction import Transaction, TransactionType
from ghostchain.primitives.types import Address
from tests.live.cluster import Member

GWEI = 10**9


class Load(threading.Thread):
    """Sends until stopped. sent: accepted by a node; refused: everything else."""

    def __init__(
        self,
        members: Callable[[], list[Member]],
        chain_id: int,
        rate: float,
        seed: int,
    ) -> None:
        super().__init__(daemon=True)
        self._members, self._chain_id, self._pause = members, chain_id, 1 / rate
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self.sent = 0
        self.refused = 0

    def run(self) -> None:
        accounts = dev_accounts()
        while not self._stopped.wait(self._pause):
            members = self._members()
            if not members:
                continue
            account = self._random.choice(accounts)
            try:
                self._send(self._random.choice(members), account.address, account.key)
                self.sent += 1
            except (OSError, ValueError):
                self.refused += 1

    def _send(self, member: Member, sender: Address, key: bytes) -> None:
        nonce = int(
            member.call("eth_getTransactionCount", "0x" + sender.hex(), "pending", timeout=1.0), 16
        )
        recipient = Address(self._random.randbytes(20))
        transaction = sign_transaction(
            Transaction(
                type=TransactionType.DYNAMIC_FEE,
                chain_id=self._chain_id,
                nonce=nonce,
                max_fee_per_gas=100 * GWEI,
                max_priority_fee_per_gas=GWEI,
                gas_limit=21_000,
                to=recipient,
                value=self._random.randrange(1, 1_000),
            ),
            key,
        )
        raw = "0x" + encode_transaction(transaction).hex()
        member.call("eth_sendRawTransaction", raw, timeout=1.0)

    def stop(self) -> None:
        self._stopped.set()
        self.join(10)
