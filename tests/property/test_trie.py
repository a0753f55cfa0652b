"""Random histories of a forest: whatever happened, its roots are those of a trie built from
nothing, and the store holds exactly the nodes that the root reaches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto import keccak
from ghostchain.primitives.errors import InvalidEncoding, StorageCorrupt
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT
from ghostchain.trie.merkle import ChangeSet, Forest, node_key, verify_proof
from tests.oracle.reference_trie import integer, rlp_of, state_of, trie_of

Account = tuple[int, int, bytes, dict[bytes, int]]

# Places in the trie are chosen, not hashed, so that keys part at the first nibble, in the middle
# and at the very end: extensions of all lengths, and leaves short enough to be embedded.
PARTING_NIBBLES = (0, 1, 2, 31, 32, 61, 62, 63)


def place(choices: tuple[int, ...]) -> bytes:
    nibbles = [0] * 64
    for position, choice in zip(PARTING_NIBBLES, choices, strict=True):
        nibbles[position] = choice
    return bytes(16 * high + low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))


CHOICES = st.tuples(*[st.sampled_from((0, 0, 0, 1, 15))] * len(PARTING_NIBBLES))
KEYS = CHOICES.map(place)
ADDRESSES = CHOICES.map(lambda choices: bytes(choices) + bytes(12))


class Hashes(dict[bytes, bytes]):
    """Where a key or an address goes: a key is its own place, an address names its choices, or
    else is hashed."""

    def __missing__(self, key: bytes) -> bytes:
        if len(key) == 32:
            return key
        return keccak.keccak256(key) if any(key[8:]) else place(tuple(key[:8]))


HASHES = Hashes()
VALUES = st.sampled_from((0, 0, 1, 2, 127, 128, 2**64, 2**256 - 1))
CODES = st.sampled_from((bytes(EMPTY_CODE_HASH), b"\x11" * 32))
STATES = st.none() | st.tuples(
    st.sampled_from((0, 1, 2**64 - 1)),
    VALUES,
    CODES,
    st.dictionaries(KEYS, VALUES, max_size=12),
)


@dataclass(frozen=True)
class Block:
    changes: dict[bytes, Account | None]
    wiped: frozenset[bytes]
    kept: bool
    reopened: bool
    saved: bool = True


BLOCKS = st.builds(
    Block,
    changes=st.dictionaries(ADDRESSES, STATES, max_size=12),
    wiped=st.frozensets(ADDRESSES, max_size=4),
    kept=st.sampled_from((True, True, True, False)),
    reopened=st.sampled_from((True, False, False)),
    saved=st.sampled_from((True, False, False)),
)
CACHES = st.sampled_from((0, 600, 4000, 1 << 20))


def change_set(block: Block) -> ChangeSet:
    return ChangeSet.from_hashed(block.changes, HASHES, wiped=block.wiped)


@dataclass
class History:
    """A forest, its store, and the same state as a plain mapping.

    A deferred forest's store is brought up to date at blocks that say saved, and reopened there.
    """

    cache_bytes_max: int
    deferred: bool = False
    accounts: dict[bytes, Account] = field(default_factory=dict)
    store: dict[tuple[bytes | None, bytes], bytes] = field(default_factory=dict)
    root: bytes = EMPTY_ROOT

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        self.forest = Forest(
            lambda owner, path: self.store.get((owner, path)),
            self.root,
            self.cache_bytes_max,
            deferred=self.deferred,
        )

    def after(self, block: Block) -> dict[bytes, Account]:
        accounts = dict(self.accounts)
        for address, state in block.changes.items():
            if state is None:
                accounts.pop(address, None)
                continue
            nonce, balance, code_hash, storage = state
            before: dict[bytes, int] = {}
            if address in accounts and address not in block.wiped:
                before = accounts[address][3]
            merged = {key: value for key, value in (before | storage).items() if value}
            accounts[address] = (nonce, balance, code_hash, merged)
        return accounts

    def run(self, block: Block) -> None:
        accounts = self.after(block)
        root, store = state_of(accounts, HASHES)
        changes = change_set(block)
        assert self.forest.apply(changes) == root
        self.check_storage_roots(changes, accounts)
        if self.deferred:
            self.end_deferred(block, store)
        else:
            self.end_at_once(block, store)
        if block.kept:
            self.accounts, self.root = accounts, root
        if block.reopened and (block.saved or not self.deferred):
            self.reopen()

    def end_at_once(self, block: Block, store: dict[tuple[bytes | None, bytes], bytes]) -> None:
        writes = list(self.forest.writes())
        assert len({(owner, path) for owner, path, _ in writes}) == len(writes)
        self.check_encoded(writes)
        if not block.kept:
            self.forest.discard()
            assert not list(self.forest.writes())
            return
        for owner, path, node in writes:
            if node:
                self.store[owner, path] = node
            else:
                # A deletion names something that is there.
                del self.store[owner, path]
        self.forest.commit()
        assert self.store == store

    def end_deferred(self, block: Block, store: dict[tuple[bytes | None, bytes], bytes]) -> None:
        """Asks for the writes while the apply is pending, or after it is no more."""
        early = len(block.changes) % 2 == 0
        if early:
            puts, deletes = self.forest.encoded_writes()
        if block.kept:
            self.forest.commit()
        else:
            self.forest.discard()
            _, store = state_of(self.accounts, HASHES)
        if not block.saved:
            return
        if not (early and block.kept):
            puts, deletes = self.forest.encoded_writes()
        size = sum(len(key) + len(node) for key, node in puts) + sum(map(len, deletes))
        assert self.forest.unsaved(0) >= size
        for key, node in puts:
            self.store[place_of(key)] = node
        for key in deletes:
            # A deletion names something that is there.
            del self.store[place_of(key)]
        self.forest.saved()
        assert self.forest.encoded_writes() == ([], [])
        assert self.forest.unsaved(0) == 0
        assert self.store == store

    def check_storage_roots(self, changes: ChangeSet, accounts: dict[bytes, Account]) -> None:
        for i in range(changes.account_count):
            change = changes.accounts[i]
            if change.exists:
                storage = accounts[bytes(change.address)][3]
                slots = {key: rlp_of(integer(value)) for key, value in storage.items()}
                assert bytes(change.after.storage_root) == trie_of(slots)[0]

    def check_encoded(self, writes: list[tuple[bytes | None, bytes, bytes]]) -> None:
        puts, deletes = self.forest.encoded_writes()
        assert len(puts) + len(deletes) == len(writes)
        assert dict(puts) == {node_key(o, p): node for o, p, node in writes if node}
        assert set(deletes) == {node_key(o, p) for o, p, node in writes if not node}


def place_of(key: bytes) -> tuple[bytes | None, bytes]:
    """The owner and path that `node_key` made this of."""
    return (None, key[2:]) if key[:2] == b"na" else (key[2:34], key[34:])


@pytest.fixture(params=(0, 1, 2), ids=("portable", "avx2", "avx512"))
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    before = keccak.level()
    if keccak.set_level(request.param) != request.param:
        keccak.set_level(before)
        pytest.skip("this CPU has no such level")
    yield request.param
    keccak.set_level(before)


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "deferred"])
@given(blocks=st.lists(BLOCKS, max_size=8), cache_bytes_max=CACHES)
def test_a_forest_is_the_trie_of_its_state(
    deferred: bool, blocks: list[Block], cache_bytes_max: int
) -> None:
    """After every block: root, storage roots and store are those of the state from scratch. Of a
    deferred forest the store is so whenever it is saved."""
    history = History(cache_bytes_max, deferred)
    for block in blocks:
        history.run(block)


@given(blocks=st.lists(BLOCKS, min_size=1, max_size=4))
def test_undoing_a_history_leaves_nothing(blocks: list[Block]) -> None:
    """When every account is removed, the root is the empty one and the store is empty."""
    history = History(2000)
    for block in blocks:
        history.run(block)
    removal = dict.fromkeys(history.accounts)
    history.run(Block(changes=removal, wiped=frozenset(), kept=True, reopened=False))
    assert history.root == EMPTY_ROOT
    assert history.store == {}


@given(
    blocks=st.lists(BLOCKS, min_size=1, max_size=3),
    last=BLOCKS,
    missing=st.integers(min_value=0),
    damage=st.sampled_from(("absent", "other", "failed")),
)
def test_a_damaged_store_is_noticed(
    blocks: list[Block], last: Block, missing: int, damage: str
) -> None:
    """With one node absent, changed or unreadable an apply either fails, with the forest as before,
    or did not need that node and gives the right root. Healed, the same apply succeeds."""
    history = History(0)
    for block in blocks:
        history.run(Block(block.changes, block.wiped, True, True))
    if not history.store:
        return
    victim = sorted(history.store, key=lambda key: (key[0] or b"", key[1]))[
        missing % len(history.store)
    ]
    whole = dict(history.store)
    if damage == "absent":
        del history.store[victim]
    elif damage == "other":
        history.store[victim] = history.store[victim][:-1] + b"\xff"

    def load(owner: bytes | None, path: bytes) -> bytes | None:
        if damage == "failed" and (owner, path) == victim:
            raise OSError("the disk is gone")
        return history.store.get((owner, path))

    history.forest = Forest(load, history.root, 1 << 20)
    expected, _ = state_of(history.after(last), HASHES)
    refusal: type[Exception] | None = None
    try:
        root = history.forest.apply(change_set(last))
    except (StorageCorrupt, OSError) as failure:
        refusal = OSError if isinstance(failure, OSError) else StorageCorrupt
    else:
        assert root == expected
        history.forest.discard()
    assert refusal in (None, OSError if damage == "failed" else StorageCorrupt)
    history.store, damage = whole, ""
    assert history.forest.apply(change_set(last)) == expected


@given(
    blocks=st.lists(BLOCKS, min_size=1, max_size=3),
    keys=st.lists(KEYS, max_size=4),
    cache_bytes_max=CACHES,
    cut=st.integers(min_value=0),
    flip=st.integers(min_value=1, max_value=255),
)
def test_proofs_prove_and_altered_proofs_do_not(
    blocks: list[Block], keys: list[bytes], cache_bytes_max: int, cut: int, flip: int
) -> None:
    """Present and absent accounts and slots are proven; a proof with a byte changed, a node left
    out or a node added is refused."""
    history = History(cache_bytes_max)
    for block in blocks:
        history.run(block)
    tries: list[tuple[bytes | None, bytes, dict[bytes, bytes]]] = []
    leaves = {}
    for address, (nonce, balance, code_hash, storage) in history.accounts.items():
        slots = {key: rlp_of(integer(value)) for key, value in storage.items()}
        storage_root, _ = trie_of(slots)
        tries.append((HASHES[address], storage_root, slots))
        leaves[HASHES[address]] = rlp_of(
            [integer(nonce), integer(balance), storage_root, code_hash]
        )
    tries.append((None, history.root, leaves))
    for owner, root, mapping in tries:
        for key in {*keys, *mapping}:
            nodes = history.forest.prove(owner, root, key)
            assert verify_proof(root, key, nodes) == mapping.get(key)
            check_altered_proofs(root, key, nodes, cut, flip)


def check_altered_proofs(root: bytes, key: bytes, nodes: list[bytes], cut: int, flip: int) -> None:
    with pytest.raises(InvalidEncoding):
        verify_proof(root, key, [*nodes, b"\xc0"])
    if not nodes:
        return
    with pytest.raises(InvalidEncoding):
        verify_proof(root, key, nodes[:-1])
    index = cut % len(nodes)
    node = bytearray(nodes[index])
    node[cut % len(node)] ^= flip
    with pytest.raises(InvalidEncoding):
        verify_proof(root, key, [*nodes[:index], bytes(node), *nodes[index + 1 :]])


ACCOUNT_LEAF = rlp_of([b"\x01", b"\x02" * 9, b"\x33" * 32, b"\x44" * 32])
NODES = [
    *trie_of({keccak.keccak256(bytes([i])): ACCOUNT_LEAF for i in range(40)})[1].values(),
    *trie_of({place((0,) * 7 + (i,)): rlp_of(integer(i + 1)) for i in range(3)})[1].values(),
    *trie_of({place((i,) + (0,) * 7): rlp_of(b"\x99" * 32) for i in (0, 15)})[1].values(),
]


@given(
    node=st.sampled_from(NODES),
    other=st.sampled_from(NODES),
    cuts=st.tuples(*[st.integers(0, 600)] * 3),
    flips=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 255)), max_size=3),
    owner=st.none() | st.just(bytes(32)),
)
def test_what_is_read_as_a_node_is_one(
    node: bytes,
    other: bytes,
    cuts: tuple[int, int, int],
    flips: list[tuple[int, int]],
    owner: bytes | None,
) -> None:
    """Nodes cut, joined and altered: each is refused, or encodes back to the very same bytes."""
    data = bytearray(node)
    if cuts[0] % 3 == 0:
        data = data[: cuts[0] % (len(data) + 1)] + other[cuts[1] % (len(other) + 1) :]
    for position, flip in flips:
        if data:
            data[position % len(data)] ^= flip
    encoded = bytes(data)
    root = keccak.keccak256(encoded)
    forest = Forest(lambda _, path: None if path else encoded, EMPTY_ROOT, 1 << 20)
    # Its path, where it is a leaf, is all of the key; a branch or extension leads nowhere.
    for key in (bytes(32), b"\xff" * 32):
        try:
            nodes = forest.prove(owner, root, key)
        except StorageCorrupt:
            continue
        assert nodes == [encoded]


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "deferred"])
def test_large_blocks_on_every_level(level: int, deferred: bool) -> None:
    """Blocks large enough that subtrees are hashed early, drawn from a fixed seed, on each SIMD
    path; keys part anywhere, and many go again."""
    chance = random.Random(447)

    def draw(length: int) -> bytes:
        choices = bytes(chance.choice((0, 0, 1, 15)) for _ in range(len(PARTING_NIBBLES)))
        near = choices + bytes(12) if length == 20 else place(tuple(choices))
        return chance.choice((near, chance.randbytes(length)))

    for cache_bytes_max in (0, 20_000):
        history = History(cache_bytes_max, deferred)
        for number in range(6):
            changes: dict[bytes, Account | None] = {}
            for _ in range(chance.choice((3, 30, 300))):
                key = draw(20)
                if history.accounts and chance.random() < 0.5:
                    key = chance.choice(list(history.accounts))
                storage = {
                    draw(32): chance.choice((0, 1, chance.getrandbits(256)))
                    for _ in range(chance.choice((0,) * 20 + (1, 30, 300)))
                }
                state = (number, chance.getrandbits(96), bytes(EMPTY_CODE_HASH), storage)
                changes[key] = None if chance.random() < 0.3 else state
            wiped = frozenset(key for key in changes if chance.random() < 0.1)
            kept, reopened, saved = (chance.random() < share for share in (0.8, 0.3, 0.5))
            history.run(Block(changes, wiped, kept, reopened, saved))
