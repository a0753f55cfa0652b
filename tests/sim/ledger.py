"""What consensus decides about here: blocks of transfers, and validator sets that they change.

A block names its height, its parent and the state after its parent, commits to its transfers as any
block does, and carries what the plan of the run says of validators at its height, which acts at
H+2. Blocks are made to be invalid by one bit, or by a transfer out of turn. Everything a machine
has decided stands in its `Chain`, which a crash does not lose: the chain of the node is durable
before it answers, and has tests of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from ghostchain.consensus.messages import Certificate
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.blocks import decode_block as decode_parts
from ghostchain.encoding.blocks import encode_header, join_block
from ghostchain.primitives.errors import InvalidBlock, InvalidEncoding
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.trie.merkle import ordered_root
from ghostchain.txpool.core import SenderState
from tests.sim.transfers import Transfer, genesis_accounts, open_transfer

GENESIS_ID = Hash32(b"\0" * 31 + b"\1")
GENESIS_STATE = Hash32(b"\2" * 32)
_NONE = Hash32(bytes(32))
_EXTRA_BYTES = 4 + 1 + 16
NO_WITHDRAWALS = b"\xc0"
BLOCK_TRANSFERS_MAX = 4

UNSOUND = "unsound"
Change = tuple[int, int]
"""Which key, by its number, has which power from then on; power 0: none."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as its header says it."""

    block_id: Hash32
    height: int
    round: int
    parent_id: bytes
    state: bytes
    is_sound: bool
    header: bytes
    transfers: tuple[bytes, ...]


def encode_block(
    height: int,
    round: int,
    parent_id: bytes,
    state: bytes,
    is_sound: bool,
    salt: bytes,
    transfers: Sequence[bytes],
) -> bytes:
    """The body of a block: its header, in which it says everything else, and transfers."""
    raws = tuple(transfers)
    header = Header(
        parent_hash=Hash32(parent_id),
        ommers_hash=_NONE,
        coinbase=Address(bytes(20)),
        state_root=Hash32(state),
        transactions_root=_root(raws),
        receipts_root=_NONE,
        bloom=bytes(256),
        difficulty=0,
        number=height,
        gas_limit=0,
        gas_used=0,
        timestamp=0,
        extra_data=round.to_bytes(4, "big") + bytes((is_sound,)) + salt,
        prev_randao=_NONE,
        nonce=bytes(8),
        base_fee_per_gas=0,
        withdrawals_root=_NONE,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=_NONE,
    )
    return join_block(encode_header(header), raws, NO_WITHDRAWALS)


@lru_cache(maxsize=256)
def _root(raws: tuple[bytes, ...]) -> Hash32:
    return ordered_root(raws)


@lru_cache(maxsize=4_096)
def decode_block(body: bytes) -> Block | None:
    """The block of a body; None when it is not one, or not the one that its header stands for."""
    try:
        parts = decode_parts(body)
    except (InvalidEncoding, InvalidBlock):
        return None
    header = parts.header
    extra = header.extra_data
    if len(extra) != _EXTRA_BYTES or extra[4] > 1 or parts.withdrawals:
        return None
    if header.transactions_root != _root(parts.transactions):
        return None
    encoded = encode_header(header)
    return Block(
        keccak256(encoded),
        header.number,
        int.from_bytes(extra[:4], "big"),
        header.parent_hash,
        header.state_root,
        extra[4] == 1,
        encoded,
        parts.transactions,
    )


def block_id_of(body: bytes) -> Hash32:
    """The hash of its header; of what is no block, nothing that anybody votes for."""
    block = decode_block(body)
    return _NONE if block is None else block.block_id


class Sets:
    """The validator sets of a run, by height: genesis, and what the plan changes.

    What block H changes acts from H+2 on; so the set of a height is known two blocks before it.
    """

    def __init__(
        self, keys: tuple[bytes, ...], powers: Mapping[int, int], plan: Mapping[int, Change]
    ) -> None:
        """powers: of the numbers of keys at genesis. plan: what the block of a height changes."""
        self._keys = keys
        self._plan = plan
        self._sets = [self._make(powers)]
        self._powers = [dict(powers)]

    def _make(self, powers: Mapping[int, int]) -> ValidatorSet:
        return ValidatorSet(
            Validator(Address(number.to_bytes(20, "big")), self._keys[number], power)
            for number, power in sorted(powers.items())
        )

    def after(self, height: int) -> ValidatorSet:
        """The set that the blocks up to the height (at least 0) amount to."""
        while len(self._sets) <= height:
            change = self._plan.get(len(self._sets))
            powers, validators = self._powers[-1], self._sets[-1]
            if change is not None:
                powers = {**powers, change[0]: change[1]}
                powers = {number: power for number, power in powers.items() if power}
                validators = self._make(powers)
            self._powers.append(powers)
            self._sets.append(validators)
        return self._sets[height]

    def of(self, height: int) -> ValidatorSet:
        """Who votes at the height (1 or above)."""
        return self.after(max(height - 2, 0))


class Chain:
    """The decided blocks of one machine, with the certificates that it saw."""

    def __init__(self, sets: Sets) -> None:
        self._sets = sets
        self.bodies: list[bytes] = []
        self.ids: list[Hash32] = [GENESIS_ID]
        self.states: list[bytes] = [GENESIS_STATE]
        self.certificates: list[Certificate | None] = [None]
        self.accounts: dict[Address, SenderState] = genesis_accounts()
        self.transfers = 0
        """How many are in the blocks."""
        self._heights: dict[Hash32, int] = {}

    @property
    def height(self) -> int:
        return len(self.bodies)

    def validators(self, height: int) -> ValidatorSet:
        """The set of a height that may start: the one after the head."""
        return self._sets.of(height)

    def body_of(self, block_id: Hash32) -> bytes | None:
        """The decided block of that id."""
        height = self._heights.get(block_id)
        return None if height is None else self.bodies[height - 1]

    def extend(self, body: bytes, certificate: Certificate) -> None:
        """The block of the body is the head."""
        self.bodies.append(body)
        self.ids.append(block_id_of(body))
        self.states.append(blake2b(self.states[-1] + body, digest_size=32).digest())
        self.certificates.append(certificate)
        block = decode_block(body)
        assert block is not None
        if block.transfers:
            transfers, refusal = self._opened(block)
            assert not refusal, refusal
            self.accounts, refusal = executed(self.accounts, transfers)
            assert not refusal, refusal
            self.transfers += len(transfers)
        self._heights[self.ids[-1]] = self.height

    def draft(
        self, round: int, is_sound: bool, salt: bytes, transfers: Sequence[bytes] = ()
    ) -> bytes:
        """The body of a block on top of the head."""
        height = self.height + 1
        parent_id, state = self.ids[-1], self.states[-1]
        return encode_block(height, round, parent_id, state, is_sound, salt, transfers)

    def refusal(self, body: bytes, round: int | None) -> str:
        """Why the body is no block on top of the head; empty when it is one.

        round: in which it was first proposed; None when that is not known.
        """
        block = decode_block(body)
        if block is None:
            return "not a block"
        if (block.height, block.parent_id) != (self.height + 1, self.ids[-1]):
            return f"a block of height {block.height} on another head"
        if round is not None and block.round != round:
            return f"says round {block.round}, was proposed in {round}"
        if block.state != self.states[-1]:
            return "another state"
        if not block.is_sound:
            return UNSOUND
        transfers, refusal = self._opened(block)
        return refusal or executed(self.accounts, transfers)[1]

    def _opened(self, block: Block) -> tuple[list[Transfer], str]:
        """The block's transfers, or why they cannot be."""
        if len(block.transfers) > BLOCK_TRANSFERS_MAX:
            return [], f"of {len(block.transfers)} transfers"
        opened = [open_transfer(raw) for raw in block.transfers]
        transfers = [one for one in opened if one is not None]
        return transfers, "" if len(transfers) == len(opened) else "with a transfer of nobody"


def executed(
    accounts: Mapping[Address, SenderState], transfers: Sequence[Transfer]
) -> tuple[dict[Address, SenderState], str]:
    """The accounts after the transfers, or why these cannot be."""
    after = dict(accounts)
    for transfer in transfers:
        state = after[transfer.sender]
        if transfer.nonce != state.nonce:
            return after, f"with nonce {transfer.nonce} where {state.nonce} is due"
        if transfer.value > state.balance:
            return after, f"with {transfer.value} out of {state.balance}"
        after[transfer.sender] = SenderState(state.nonce + 1, state.balance - transfer.value)
        other = after[transfer.recipient]
        after[transfer.recipient] = SenderState(other.nonce, other.balance + transfer.value)
    return after, ""
