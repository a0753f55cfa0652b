"""What blocks look like from inside, and their headers before they run: those of the chain, and the
one after the head."""

from __future__ import annotations

from ghostchain.chain.config import ChainConfig
from ghostchain.chain.fees import GAS_PER_BLOB, BlockFees, blob_base_fee
from ghostchain.chain.validation import NO_NONCE, child_fees
from ghostchain.execution.executor import BlockEnvironment
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import EMPTY_BLOOM, EMPTY_OMMERS_HASH, ZERO_HASH, Address, Hash32

# Of blocks that one node seals alone.
SOLO_EXTRA_DATA = b"ghostchain"


def unexecuted_header(
    *,
    parent_hash: Hash32,
    number: int,
    coinbase: Address,
    gas_limit: int,
    timestamp: int,
    extra_data: bytes,
    prev_randao: Hash32,
    base_fee: int,
    excess_blob_gas: int,
    parent_beacon_block_root: Hash32,
) -> Header:
    """A block's header before its execution: what that yields (roots, bloom, gas used) is zero, and
    there is no requests hash. Units: base_fee in wei per gas, timestamp in seconds."""
    return Header(
        parent_hash=parent_hash,
        ommers_hash=EMPTY_OMMERS_HASH,
        coinbase=coinbase,
        state_root=ZERO_HASH,
        transactions_root=ZERO_HASH,
        receipts_root=ZERO_HASH,
        bloom=EMPTY_BLOOM,
        difficulty=0,
        number=number,
        gas_limit=gas_limit,
        gas_used=0,
        timestamp=timestamp,
        extra_data=extra_data,
        prev_randao=prev_randao,
        nonce=NO_NONCE,
        base_fee_per_gas=base_fee,
        withdrawals_root=ZERO_HASH,
        blob_gas_used=0,
        excess_blob_gas=excess_blob_gas,
        parent_beacon_block_root=parent_beacon_block_root,
    )


def environment_of(config: ChainConfig, header: Header) -> BlockEnvironment:
    """What the block with this header shows to its transactions."""
    schedule = config.blob_schedule_at(header.timestamp)
    return BlockEnvironment(
        fork=config.fork_at(header.timestamp),
        hybrid=config.hybrid_at(header.timestamp),
        chain_id=config.chain_id_at(header.number),
        number=header.number,
        timestamp=header.timestamp,
        gas_limit=header.gas_limit,
        base_fee=header.base_fee_per_gas,
        coinbase=header.coinbase,
        prev_randao=header.prev_randao,
        excess_blob_gas=header.excess_blob_gas,
        blob_base_fee_update_fraction=schedule.base_fee_update_fraction,
        blobs_per_block_max=schedule.max,
        parent_hash=header.parent_hash,
        parent_beacon_block_root=header.parent_beacon_block_root,
        deposit_contract=config.deposit_contract,
        transaction_gas_max=config.transaction_gas_max,
        leniency=config.leniency,
    )


def child_environment(
    config: ChainConfig, parent: Header, parent_hash: Hash32, timestamp: int | None
) -> BlockEnvironment:
    """What the block after parent would show; its time is the earliest possible, unless given."""
    time = parent.timestamp + config.timestamp_step_min
    time = time if timestamp is None else max(timestamp, time)
    demanded = child_fees(config, parent, time)
    schedule = config.blob_schedule_at(time)
    return BlockEnvironment(
        fork=config.fork_at(time),
        hybrid=config.hybrid_at(time),
        chain_id=config.chain_id_at(parent.number + 1),
        number=parent.number + 1,
        timestamp=time,
        gas_limit=parent.gas_limit,
        base_fee=demanded.base_fee,
        coinbase=parent.coinbase,
        prev_randao=parent.prev_randao,
        excess_blob_gas=demanded.excess_blob_gas,
        blob_base_fee_update_fraction=schedule.base_fee_update_fraction,
        blobs_per_block_max=schedule.max,
        parent_hash=parent_hash,
        parent_beacon_block_root=ZERO_HASH,
        deposit_contract=config.deposit_contract,
        transaction_gas_max=config.transaction_gas_max,
        leniency=config.leniency,
    )


def child_block_fees(config: ChainConfig, parent: Header) -> BlockFees:
    """`fees_in` the earliest block after parent, without the rest of what that would show."""
    timestamp = parent.timestamp + config.timestamp_step_min
    demanded, schedule = child_fees(config, parent, timestamp), config.blob_schedule_at(timestamp)
    return BlockFees(
        base_fee=demanded.base_fee,
        blob_base_fee=blob_base_fee(demanded.excess_blob_gas, schedule),
        gas_limit=parent.gas_limit,
        blob_gas_max=schedule.max * GAS_PER_BLOB,
    )


def fees_in(config: ChainConfig, environment: BlockEnvironment) -> BlockFees:
    """The fees of the block with this environment."""
    schedule = config.blob_schedule_at(environment.timestamp)
    return BlockFees(
        base_fee=environment.base_fee,
        blob_base_fee=blob_base_fee(environment.excess_blob_gas, schedule),
        gas_limit=environment.gas_limit,
        blob_gas_max=schedule.max * GAS_PER_BLOB,
    )
