"""Roots, forests and proofs beside a trie in plain Python and the TrieTests of ethereum/tests."""

from __future__ import annotations

import json
import random
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostchain.crypto import keccak
from ghostchain.crypto.keccak import keccak256
from ghostchain.primitives.errors import InvalidEncoding, StorageCorrupt
from ghostchain.primitives.types import EMPTY_CODE_HASH, EMPTY_ROOT
from ghostchain.trie.merkle import (
    ChangeSet,
    Forest,
    node_key,
    ordered_root,
    root_of,
    verify_proof,
)
from tests.oracle.reference_trie import hex_prefix, integer, rlp_of, state_of, trie_of

ARCHIVE = "ethereum_tests.tar.xz"
FILES = (
    "trietest",
    "trieanyorder",
    "trietest_secureTrie",
    "trieanyorder_secureTrie",
    "hex_encoded_securetrie_test",
)


@pytest.fixture(params=(0, 1, 2), ids=("portable", "avx2", "avx512"))
def level(request: pytest.FixtureRequest) -> Iterator[int]:
    before = keccak.level()
    if keccak.set_level(request.param) != request.param:
        keccak.set_level(before)
        pytest.skip("this CPU has no such level")
    yield request.param
    keccak.set_level(before)


@pytest.fixture(scope="module")
def trie_tests(fixture_archive: Callable[[str], Path]) -> dict[str, Any]:
    """The JSON files of TrieTests, by stem."""
    found = {}
    with tarfile.open(fixture_archive(ARCHIVE)) as archive:
        for member in archive:
            path = Path(member.name)
            if path.parent.name == "TrieTests" and path.suffix == ".json":
                stream = archive.extractfile(member)
                assert stream is not None
                found[path.stem] = json.load(stream)
    return found


def bytes_of(text: str | None) -> bytes:
    if text is None:
        return b""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


@pytest.mark.parametrize("stem", FILES)
def test_official_roots(level: int, trie_tests: dict[str, Any], stem: str) -> None:
    """Every set of insertions and deletions gives the official root; secure tries hash keys."""
    for name, case in trie_tests[stem].items():
        steps = case["in"].items() if isinstance(case["in"], dict) else case["in"]
        mapping: dict[bytes, bytes] = {}
        for key_text, value_text in steps:
            key = bytes_of(key_text)
            if "secure" in stem.lower():
                key = keccak256(key)
            mapping[key] = bytes_of(value_text)
        assert root_of(mapping) == bytes_of(case["root"]), name
        assert trie_of(mapping)[0] == bytes_of(case["root"]), name


def test_node_keys_have_the_order_of_trie_keys(trie_tests: dict[str, Any]) -> None:
    """The vectors name the neighbours of keys; the same order holds among keys of the store."""
    for case in trie_tests["trietestnextprev"].values():
        stored = sorted((node_key(None, nibbles(name.encode())), name) for name in case["in"])
        for name, previous, following in case["tests"]:
            wanted = node_key(None, nibbles(name.encode()))
            below = [text for key, text in stored if key < wanted]
            above = [text for key, text in stored if key > wanted]
            assert (below[-1] if below else "") == previous
            assert (above[0] if above else "") == following


def nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


@given(
    st.dictionaries(
        st.binary(max_size=3)
        | st.binary(max_size=40)
        | st.integers(0, 40).map(lambda n: b"\x11" * n),
        st.binary(max_size=40) | st.binary(min_size=300, max_size=300),
        max_size=40,
    )
)
def test_roots_of_any_mapping(mapping: dict[bytes, bytes]) -> None:
    """Keys that are prefixes of others, values that are embedded, hashed, empty or long."""
    assert root_of(mapping) == trie_of(mapping)[0]


@pytest.mark.parametrize("count", [0, 1, 2, 16, 127, 128, 129, 255, 256, 257, 1000])
def test_ordered_roots(level: int, count: int) -> None:
    """Indices as RLP keys: 0 is 0x80, one byte below 128, two from there, three from 256."""
    chance = random.Random(count)
    items = [chance.randbytes(chance.choice((1, 30, 110, 700))) for _ in range(count)]
    keyed = {rlp_of(integer(index)): item for index, item in enumerate(items)}
    assert ordered_root(items) == trie_of(keyed)[0] == root_of(keyed)


def test_empty_roots() -> None:
    """No items, and only empty values."""
    assert ordered_root([]) == root_of({}) == root_of({b"a": b""}) == EMPTY_ROOT


# ---- the forest ----


class Store(dict[tuple[bytes | None, bytes], bytes]):
    """A node store in memory."""

    def load(self, owner: bytes | None, path: bytes) -> bytes | None:
        return self.get((owner, path))

    def take(self, forest: Forest) -> None:
        for owner, path, node in forest.writes():
            if node:
                self[owner, path] = node
            else:
                del self[owner, path]


def account(balance: int, storage: dict[bytes, int] | None = None) -> Any:
    return (1, balance, bytes(EMPTY_CODE_HASH), storage or {})


def accounts_of(seed: int, count: int) -> dict[bytes, Any]:
    chance = random.Random(seed)
    return {chance.randbytes(20): account(chance.getrandbits(90)) for _ in range(count)}


def test_changes_are_hashed_and_sorted(level: int) -> None:
    """From addresses and keys, as genesis gives them."""
    slots = {bytes([i]) * 32: i for i in range(40)}
    accounts = {bytes([i]) * 20: account(i, slots if i % 7 == 0 else {}) for i in range(60)}
    hashes = {key: keccak256(key) for key in (*accounts, *slots)}
    store = Store()
    forest = Forest(store.load, EMPTY_ROOT, 1 << 20)
    root, nodes = state_of(accounts, hashes)
    assert forest.apply(ChangeSet.from_accounts(accounts)) == root
    store.take(forest)
    forest.commit()
    assert store == nodes


def test_only_one_apply_is_pending() -> None:
    """A second is refused and the first stays; a commit of nothing is nothing."""
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 20)
    forest.commit()
    root = forest.apply(ChangeSet.from_accounts(accounts_of(1, 3)))
    with pytest.raises(ValueError, match="pending"):
        forest.apply(ChangeSet.from_accounts(accounts_of(2, 3)))
    forest.commit()
    assert forest.apply(ChangeSet.from_accounts({})) == root


@pytest.mark.parametrize("fault", ["swapped", "twice", "slots swapped", "slots outside"])
def test_changes_out_of_order_are_refused(fault: str) -> None:
    """Sorted by hash, no key twice, slots within their array; nothing is pending after."""
    accounts = accounts_of(3, 4)
    accounts[bytes(20)] = account(5, {bytes(32): 1, b"\1" * 32: 2})
    changes = ChangeSet.from_accounts(accounts)
    first, second = changes.accounts[0], changes.accounts[1]
    if fault == "swapped":
        first.hashed, second.hashed = bytes(second.hashed), bytes(first.hashed)
    elif fault == "twice":
        second.hashed = bytes(first.hashed)
    elif fault == "slots swapped":
        low, high = changes.slots[0], changes.slots[1]
        low.hashed, high.hashed = bytes(high.hashed), bytes(low.hashed)
    else:
        first.slot_first, first.slot_count = 1, 2
    forest = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 20)
    with pytest.raises(ValueError, match="sorted"):
        forest.apply(changes)
    assert not list(forest.writes())
    assert forest.apply(ChangeSet.from_accounts({})) == EMPTY_ROOT


def test_what_the_loader_raises_comes_back() -> None:
    """The very exception; afterwards the forest works."""
    store = Store()
    forest = Forest(store.load, EMPTY_ROOT, 1 << 20)
    accounts = accounts_of(4, 50)
    root = forest.apply(ChangeSet.from_accounts(accounts))
    store.take(forest)
    forest.commit()
    failure = KeyboardInterrupt("stop")

    def load(owner: bytes | None, path: bytes) -> bytes | None:
        if len(path) == 1:
            raise failure
        return store.load(owner, path)

    again = Forest(load, root, 1 << 20)
    with pytest.raises(KeyboardInterrupt) as caught:
        again.apply(ChangeSet.from_accounts(accounts_of(5, 50)))
    assert caught.value is failure


def test_reset_starts_from_a_root() -> None:
    """Also while an apply is pending."""
    store = Store()
    forest = Forest(store.load, EMPTY_ROOT, 1 << 20)
    root = forest.apply(ChangeSet.from_accounts(accounts_of(6, 30)))
    store.take(forest)
    forest.commit()
    forest.apply(ChangeSet.from_accounts(accounts_of(7, 30)))
    forest.reset(root)
    assert forest.apply(ChangeSet.from_accounts({})) == root
    forest.discard()
    store.clear()
    forest.reset(EMPTY_ROOT)
    assert forest.apply(ChangeSet.from_accounts(accounts_of(6, 30))) == root


def test_memory_is_bounded() -> None:
    """Whatever the blocks touch, little or far more than the cache, accounts or many small storage
    tries: after commit the forest is below twice its bound and 2 MiB."""
    bound = 1 << 20
    store = Store()
    forest = Forest(store.load, EMPTY_ROOT, bound)
    chance = random.Random(8)
    reference = Forest(lambda owner, path: None, EMPTY_ROOT, 1 << 30)
    for size in (20_000, 300, 3000, 300, 300, 12_000):
        accounts = accounts_of(chance.getrandbits(32), size)
        for address in list(accounts)[::3]:
            slots = {chance.randbytes(32): 7 for _ in range(chance.choice((1, 3)))}
            accounts[address] = account(9, slots)
        changes = ChangeSet.from_accounts(accounts)
        root = forest.apply(changes)
        store.take(forest)
        forest.commit()
        assert forest.memory <= 2 * bound + (2 << 20)
        assert reference.apply(changes) == root
        reference.commit()
    assert reference.memory > 4 * bound


def leaf_at(path: bytes, value: bytes) -> bytes:
    return rlp_of([hex_prefix(path, True), value])


def branch(**children: bytes) -> list[bytes]:
    parts = [b""] * 17
    for name, child in children.items():
        parts[int(name[1:])] = child
    return parts


HASH = b"\x22" * 32
FIELDS = [b"\x01", b"\x02", HASH, HASH]
ZEROS = bytes(64)
MALFORMED = {
    "no list": rlp_of(b"\x11" * 40),
    "trailing byte": rlp_of(branch(_0=HASH, _1=HASH)) + b"\x00",
    "truncated": rlp_of(branch(_0=HASH, _1=HASH))[:-1],
    "long form of a short length": b"\xf8\x03" + rlp_of([b"a", b"b", b"c"])[1:] + bytes(40),
    "branch of one child": rlp_of(branch(_3=HASH)),
    "branch with a value": rlp_of([*branch(_3=HASH, _4=HASH)[:16], b"v"]),
    "child of 31 bytes": rlp_of(branch(_3=HASH, _4=HASH[:31])),
    "child of 33 bytes": rlp_of(branch(_3=HASH, _4=HASH + b"\0")),
    "eighteen items": rlp_of([*branch(_3=HASH, _4=HASH), b""]),
    "three items": rlp_of([hex_prefix(ZEROS, True), HASH, HASH]),
    "extension over nothing": rlp_of([b"\x00", HASH]),
    "extension to the end": rlp_of([hex_prefix(ZEROS, False), HASH]),
    "extension beyond the end": rlp_of([hex_prefix(ZEROS + b"\0\0", False), HASH]),
    "flag 4": rlp_of([b"\x41", HASH]),
    "padding nibble": rlp_of([b"\x01" + bytes(32), HASH]),
    "no path": rlp_of([b"", HASH]),
    "leaf too short": leaf_at(ZEROS[1:], rlp_of(FIELDS)),
    "leaf too long": leaf_at(ZEROS + b"\0", rlp_of(FIELDS)),
    "account of three fields": leaf_at(ZEROS, rlp_of(FIELDS[:3])),
    "account of five fields": leaf_at(ZEROS, rlp_of([*FIELDS, b""])),
    "account is a string": leaf_at(ZEROS, b"\x99" * 80),
    "nonce with a zero": leaf_at(ZEROS, rlp_of([b"\0\1", *FIELDS[1:]])),
    "nonce of nine bytes": leaf_at(ZEROS, rlp_of([b"\1" * 9, *FIELDS[1:]])),
    "balance with a zero": leaf_at(ZEROS, rlp_of([b"\1", b"\0", HASH, HASH])),
    "balance of 33 bytes": leaf_at(ZEROS, rlp_of([b"\1", b"\1" * 33, HASH, HASH])),
    "short storage root": leaf_at(ZEROS, rlp_of([b"\1", b"\1", HASH[:31], HASH])),
    "bytes after the account": leaf_at(ZEROS, rlp_of(FIELDS) + b"\0"),
    "too large": b"\xf9\x10\x00" + bytes(4096),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_stored_nodes_are_read_strictly(fault: str) -> None:
    """A node that has the hash wanted and still is none is refused, in updates and in proofs."""
    node = MALFORMED[fault]
    root = keccak256(node)
    forest = Forest(lambda owner, path: node if not path else None, root, 1 << 20)
    changes = ChangeSet.from_hashed({bytes(20): account(1)}, {bytes(20): bytes(32)})
    with pytest.raises(StorageCorrupt):
        forest.apply(changes)
    with pytest.raises(StorageCorrupt):
        forest.prove(None, root, bytes(32))


@pytest.mark.parametrize("value", [b"\x00", b"", b"\x01" * 33, b"\x81\x05", b"\x83\x01\x02"])
def test_stored_slots_are_read_strictly(value: bytes) -> None:
    """A slot's value is the RLP of a positive integer of at most 32 bytes."""
    node = leaf_at(ZEROS, value if value[:1] in (b"\x81", b"\x83") else rlp_of(value))
    forest = Forest(lambda owner, path: node, EMPTY_ROOT, 1 << 20)
    with pytest.raises(StorageCorrupt):
        forest.prove(bytes(32), keccak256(node), bytes(32))


def test_an_extension_leads_to_a_branch() -> None:
    """Anything else below it is not canonical, although hashes agree."""
    below = leaf_at(ZEROS[3:], rlp_of(FIELDS))
    top = rlp_of([hex_prefix(ZEROS[:3], False), keccak256(below)])
    nodes = {b"": top, ZEROS[:3]: below}
    forest = Forest(lambda owner, path: nodes.get(path), keccak256(top), 1 << 20)
    changes = ChangeSet.from_hashed({bytes(20): account(1)}, {bytes(20): bytes(32)})
    with pytest.raises(StorageCorrupt):
        forest.apply(changes)


# ---- proofs ----


def test_proofs_are_of_the_committed_state() -> None:
    """Also while an apply is pending, and for a root that is not of this state there is none."""
    store = Store()
    forest = Forest(store.load, EMPTY_ROOT, 1 << 20)
    accounts = accounts_of(9, 200)
    root = forest.apply(ChangeSet.from_accounts(accounts))
    store.take(forest)
    forest.commit()
    key = keccak256(next(iter(accounts)))
    before = forest.prove(None, root, key)
    changed = forest.apply(ChangeSet.from_accounts(dict.fromkeys(accounts)))
    assert changed == EMPTY_ROOT
    assert forest.prove(None, root, key) == before
    assert verify_proof(root, key, before) is not None
    with pytest.raises(StorageCorrupt):
        forest.prove(None, keccak256(b"another"), key)
    assert forest.prove(None, EMPTY_ROOT, key) == []


def test_proofs_of_keys_of_any_length() -> None:
    """verify_proof reads any trie: keys that end at a branch, keys that are prefixes."""
    mapping = {b"": b"root", b"a": b"1" * 40, b"ab": b"2", b"abcd": b"3" * 40, b"b": b"4"}
    root, nodes = trie_of(mapping)
    for key in (*mapping, b"abc", b"abcde", b"c", b"ac"):
        path = nibbles(key)
        on_path = [nodes[path[:n]] for n in range(len(path) + 1) if path[:n] in nodes]
        for length in range(len(on_path) + 1):
            if length == proof_length(root, key, on_path):
                assert verify_proof(root, key, on_path[:length]) == mapping.get(key)
            else:
                with pytest.raises(InvalidEncoding):
                    verify_proof(root, key, on_path[:length])


def proof_length(root: bytes, key: bytes, on_path: list[bytes]) -> int:
    """The one length at which the nodes on the way are a proof."""
    accepted = []
    for length in range(len(on_path) + 1):
        try:
            verify_proof(root, key, on_path[:length])
        except InvalidEncoding:
            continue
        accepted.append(length)
    assert len(accepted) == 1
    return accepted[0]


@pytest.mark.parametrize(
    "node",
    [
        rlp_of([hex_prefix(ZEROS, True), b"v"]) + b"\0",
        rlp_of([b"\x41", b"v" * 40]),
        rlp_of([b"\x00", b"\x22" * 32]),
        rlp_of([hex_prefix(ZEROS[1:], False), b"\x22" * 31]),
        rlp_of([b"v"] * 3 + [HASH]),
        rlp_of([HASH] * 18),
    ],
)
def test_malformed_nodes_prove_nothing(node: bytes) -> None:
    with pytest.raises(InvalidEncoding):
        verify_proof(keccak256(node), bytes(32), [node, b"\xc0"])


def test_threads_take_turns() -> None:
    """Proofs from other threads while blocks are applied: all are of a committed state."""
    store = Store()
    forest = Forest(store.load, EMPTY_ROOT, 0)
    accounts = accounts_of(10, 300)
    root = forest.apply(ChangeSet.from_accounts(accounts))
    store.take(forest)
    forest.commit()
    keys = [keccak256(address) for address in accounts]
    failures: list[BaseException] = []

    def prove() -> None:
        try:
            for key in keys:
                assert verify_proof(root, key, forest.prove(None, root, key)) is not None
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=prove) for _ in range(2)]
    for thread in threads:
        thread.start()
    for seed in range(20):
        forest.apply(ChangeSet.from_accounts(accounts_of(seed, 50)))
        forest.discard()
    for thread in threads:
        thread.join()
    assert not failures
