"""Where a fork begins: the block of the remote chain, its rules, and what is put over its state.

The header is taken as the remote gives it and must hash to the block's hash. Rules are those of the
chain at the block's time where its schedule is known, else what the header's fields show. Accounts
whose keys everybody knows are funded; where another's code steers such an account (EIP-7702, as
thieves install it on public chains), it steers no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ghostchain.chain.config import DEFAULT_SCHEDULES, ChainConfig
from ghostchain.chain.fork import ForkStart
from ghostchain.chain.genesis import Genesis
from ghostchain.chain.networks import NETWORKS, network
from ghostchain.contracts.addresses import FEE_MARKET
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_early_header, encode_header
from ghostchain.execution.forks import BlobSchedule, Fork
from ghostchain.fork.answers import Malformed, data, hash32, quantity
from ghostchain.primitives.account import EMPTY, Account
from ghostchain.primitives.errors import InvalidEncoding, RemoteFailed
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import (
    EMPTY_CODE_HASH,
    ZERO_HASH,
    Address,
    Hash32,
)
from ghostchain.state.remote import RemoteView

DELEGATION_PREFIX = b"\xef\x01\x00"
# Without these a block since Prague is invalid (EIP-7002, EIP-7251).
REQUEST_CONTRACTS = (
    Address(bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002")),
    Address(bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251")),
)
SYSTEM_CONTRACTS = (
    Address(bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")),
    Address(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")),
)

# (Prague, Osaka) of the public networks, and what their blobs became after Osaka (EIP-7892).
SCHEDULES = {
    1: (1_746_612_311, 1_764_798_551, (1_765_290_071, 1_767_747_671)),
    11_155_111: (1_741_159_776, 1_760_427_360, (1_761_017_184, 1_761_607_008)),
    17_000: (1_740_434_112, 1_759_308_480, (1_759_800_000, 1_760_389_824)),
    560_048: (1_742_999_832, 1_761_677_592, (1_762_365_720, 1_762_955_544)),
}
LATER_BLOBS = (BlobSchedule(10, 15, 8_346_193), BlobSchedule(14, 21, 11_684_671))


@dataclass(frozen=True, slots=True)
class Origin:
    """The block of the remote chain where a fork begins. is_hybrid: whether GhostChain's own rules
    hold there."""

    chain_id: int
    header: Header
    hash: Hash32
    is_hybrid: bool = False

    @property
    def number(self) -> int:
        return self.header.number

    def encode(self) -> bytes:
        """As it is kept beside the chain."""
        fields = {
            "chainId": self.chain_id,
            "header": encode_header(self.header).hex(),
            "isHybrid": self.is_hybrid,
        }
        return orjson.dumps(fields)

    @classmethod
    def decode(cls, encoded: bytes) -> Origin:
        fields = orjson.loads(encoded)
        header = decode_early_header(bytes.fromhex(fields["header"]))
        return cls(fields["chainId"], header, header_hash(header), fields["isHybrid"])


def header_of(block: object, host: str) -> tuple[Header, Hash32]:
    """The header and hash of a block as eth_getBlockByNumber gives it.

    Raises: RemoteFailed when it is no block, or not the one whose hash it claims.
    """
    try:
        if not isinstance(block, Mapping):
            raise Malformed("no block")
        header, claimed = _header(block), hash32(block.get("hash"), "a block's hash")
    except (Malformed, InvalidEncoding) as failure:
        raise RemoteFailed(f"fork: {host} answered with a block that is none: {failure}") from None
    found = header_hash(header)
    if found != claimed:
        raise RemoteFailed(
            f"fork: {host} says that block {header.number} has hash 0x{claimed.hex()}, but its "
            f"header hashes to 0x{found.hex()}; its state cannot be trusted"
        )
    return header, claimed


def _header(block: Mapping[str, Any]) -> Header:
    def fixed(name: str, length: int) -> bytes:
        return data(block.get(name), name, length=length)

    def number(name: str, bits: int = 64) -> int:
        return quantity(block.get(name), name, bits=bits)

    has_fee = block.get("baseFeePerGas") is not None
    has_withdrawals = block.get("withdrawalsRoot") is not None
    has_blobs = block.get("excessBlobGas") is not None
    has_requests = block.get("requestsHash") is not None
    early = 17 if has_withdrawals else 16 if has_fee else 15
    return Header(
        parent_hash=Hash32(fixed("parentHash", 32)),
        ommers_hash=Hash32(fixed("sha3Uncles", 32)),
        coinbase=Address(fixed("miner", 20)),
        state_root=Hash32(fixed("stateRoot", 32)),
        transactions_root=Hash32(fixed("transactionsRoot", 32)),
        receipts_root=Hash32(fixed("receiptsRoot", 32)),
        bloom=fixed("logsBloom", 256),
        difficulty=number("difficulty", 256),
        number=number("number"),
        gas_limit=number("gasLimit"),
        gas_used=number("gasUsed"),
        timestamp=number("timestamp"),
        extra_data=data(block.get("extraData"), "extraData"),
        prev_randao=Hash32(fixed("mixHash", 32)),
        nonce=fixed("nonce", 8),
        base_fee_per_gas=number("baseFeePerGas", 256) if has_fee else 0,
        withdrawals_root=Hash32(fixed("withdrawalsRoot", 32)) if has_withdrawals else ZERO_HASH,
        blob_gas_used=number("blobGasUsed") if has_blobs else 0,
        excess_blob_gas=number("excessBlobGas") if has_blobs else 0,
        parent_beacon_block_root=(
            Hash32(fixed("parentBeaconBlockRoot", 32)) if has_blobs else ZERO_HASH
        ),
        requests_hash=Hash32(fixed("requestsHash", 32)) if has_requests else None,
        field_count=None if has_blobs else early,
    )


# ---- rules ----


def config_of(origin: Origin, chain_id: int) -> ChainConfig:
    """The rules of the fork's own blocks. chain_id: the fork's."""
    if origin.is_hybrid:
        named = [name for name, known in NETWORKS.items() if known == origin.chain_id]
        rules = network(named[0] if named else "dev").config
        return replace(rules, chain_id=chain_id, consensus=None, hybrid_time=0)
    schedule = SCHEDULES.get(origin.chain_id)
    if schedule is not None:
        prague, osaka, later = schedule
        blobs = zip((0, prague, osaka), DEFAULT_SCHEDULES.values(), strict=True)
        return ChainConfig(
            chain_id,
            ((0, Fork.CANCUN), (prague, Fork.PRAGUE), (osaka, Fork.OSAKA)),
            (*blobs, *zip(later, LATER_BLOBS, strict=True)),
        )
    newest = Fork.OSAKA if origin.header.requests_hash is not None else Fork.CANCUN
    blobs_then = DEFAULT_SCHEDULES[newest.name.lower()]
    return ChainConfig(chain_id, ((0, newest),), ((0, blobs_then),))


def genesis_at(
    origin: Origin, chain_id: int, newest: Fork | None = None, *, transaction_gas_max: int = 0
) -> Genesis:
    """What the fork's directory belongs to: the block stands where a genesis does. newest: no newer
    rules than these hold. transaction_gas_max: as in ChainConfig."""
    config = replace(config_of(origin, chain_id), transaction_gas_max=transaction_gas_max)
    if newest is not None:
        forks = tuple((time, min(fork, newest)) for time, fork in config.forks)
        config = replace(config, forks=forks)
    return Genesis(config, origin.header, {}, "fork")


# ---- what lies over the state ----


def accounts_at_start(coinbase: Address, funded: tuple[Address, ...]) -> list[Address]:
    """What the beginning of a fork asks for, and its first block, together."""
    return [*funded, *SYSTEM_CONTRACTS, *REQUEST_CONTRACTS, FEE_MARKET, coinbase]


def slots_at_start() -> list[tuple[bytes, bytes]]:
    """What every block since Prague reads: excess, count, head and tail of both queues."""
    return [
        (bytes(address), number.to_bytes(32, "big"))
        for address in REQUEST_CONTRACTS
        for number in range(4)
    ]


def is_hybrid(state: RemoteView) -> bool:
    """Whether the state has the protocol's contracts. Raises: RemoteError."""
    record = state.account(FEE_MARKET, keccak256(FEE_MARKET))
    known = network("dev").alloc.get(FEE_MARKET)
    if record is None or known is None:
        return False
    return Account.decode(record).code_hash == keccak256(known.code)


def start_of(
    origin: Origin, state: RemoteView, funded: tuple[Address, ...], funds_wei: int
) -> ForkStart:
    """The accounts that begin otherwise than the remote has them. Raises: RemoteError."""
    accounts: dict[Address, bytes] = {}
    codes: dict[bytes, bytes] = {}
    for address in funded:
        account = _account(state, address)
        code_hash = account.code_hash
        if code_hash != EMPTY_CODE_HASH and state.code(code_hash).startswith(DELEGATION_PREFIX):
            code_hash = EMPTY_CODE_HASH
        elif code_hash != EMPTY_CODE_HASH:
            codes[code_hash] = state.code(code_hash)
        accounts[address] = replace(account, balance=funds_wei, code_hash=code_hash).encode()
    standard = network("dev").alloc
    for address in REQUEST_CONTRACTS:
        account = _account(state, address)
        if account.code_hash == EMPTY_CODE_HASH:
            code = standard[address].code
            codes[keccak256(code)] = code
            accounts[address] = replace(account, nonce=1, code_hash=keccak256(code)).encode()
    return ForkStart(accounts, codes, origin.encode())


def _account(state: RemoteView, address: Address) -> Account:
    record = state.account(address, keccak256(address))
    return EMPTY if record is None else Account.decode(record)
