"""What an executor is told of a block, and what it may run there besides transactions."""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.execution.forks import TRANSACTION_GAS_CAP, Fork
from ghostchain.primitives.leniency import STRICT, Leniency
from ghostchain.primitives.transaction import AccessEntry, Authorization, Call, SignatureScheme
from ghostchain.primitives.types import ZERO_ADDRESS, ZERO_HASH, Address, Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnvironment:
    """What a block shows to its transactions.

    Units: timestamp in seconds, base_fee in wei per gas. deposit_contract: whose logs are deposits
    (EIP-6110). hybrid: what GhostChain adds to Ethereum holds. blob_base_fee: in wei per blob gas,
    where it is not to follow from the excess. transaction_gas_max: of one transaction, 0: as much
    as the fork says (EIP-7825). leniency: of a development chain.
    """

    fork: Fork
    hybrid: bool = False
    chain_id: int
    number: int
    timestamp: int
    gas_limit: int
    base_fee: int
    coinbase: Address = ZERO_ADDRESS
    prev_randao: Hash32 = ZERO_HASH
    excess_blob_gas: int = 0
    blob_base_fee_update_fraction: int
    blobs_per_block_max: int
    parent_hash: Hash32 = ZERO_HASH
    parent_beacon_block_root: Hash32 = ZERO_HASH
    deposit_contract: Address = ZERO_ADDRESS
    blob_base_fee: int | None = None
    transaction_gas_max: int = 0
    leniency: Leniency = STRICT

    @property
    def transaction_gas_cap(self) -> int | None:
        """The gas that a transaction may bring at most, None for any."""
        return gas_cap_of(self.fork, self.transaction_gas_max)


def gas_cap_of(fork: Fork, transaction_gas_max: int) -> int | None:
    """The gas that a transaction may bring at most, None for any. transaction_gas_max: what the
    chain says; 0: what the fork does (EIP-7825)."""
    if transaction_gas_max:
        return transaction_gas_max
    return TRANSACTION_GAS_CAP if fork >= Fork.OSAKA else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A transaction that nobody signed. Fields as in `primitives.transaction.Transaction`.

    signature_scheme, payer_scheme: how a GhostTx would be signed, which is part of its price.
    """

    sender: Address
    to: Address | None
    gas_limit: int
    type: int = 2
    nonce: int = 0
    value: int = 0
    data: bytes = b""
    max_fee_per_gas: int = 0
    max_priority_fee_per_gas: int = 0
    access_list: tuple[AccessEntry, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_versioned_hashes: tuple[Hash32, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    fee_token: Address | None = None
    calls: tuple[Call, ...] = ()
    fee_payer: Address | None = None
    signature_scheme: SignatureScheme = SignatureScheme.SECP256K1
    payer_scheme: SignatureScheme = SignatureScheme.SECP256K1
