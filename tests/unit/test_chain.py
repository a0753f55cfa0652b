"""Building, importing, reading and recovering a chain of real blocks."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ghostchain.chain.chain import Chain, SealedBlock
from ghostchain.chain.genesis import account_of, encode_account
from ghostchain.chain.logs import LogChoice, LogsBound
from ghostchain.chain.networks import TEST_KEYS, network
from ghostchain.chain.published import Published, Recent
from ghostchain.chain.transfer import export_file, import_file, read_blocks
from ghostchain.chain.validation import BLOCK_BYTES_MAX
from ghostchain.chain.verify import verify_state
from ghostchain.chain.writer import Proposal
from ghostchain.crypto.hashes import contract_address, logs_bloom
from ghostchain.crypto.keccak import keccak256
from ghostchain.crypto.secp256k1 import address_of
from ghostchain.crypto.signing import sign_transaction
from ghostchain.encoding.blocks import encode_block
from ghostchain.encoding.transactions import TransactionBatch, encode_transaction
from ghostchain.primitives.account import Account
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import (
    BlockReason,
    DirectoryLocked,
    ForeignDirectory,
    InvalidBlock,
    StateUnavailable,
    StorageCorrupt,
    TransactionReason,
    WrongGenesis,
)
from ghostchain.primitives.transaction import Transaction
from ghostchain.primitives.types import ZERO_ADDRESS, Address, Hash32
from ghostchain.state import proofs
from ghostchain.trie.merkle import verify_proof

DEV = network("dev")
SENDERS = [address_of(key) for key in TEST_KEYS]
COINBASE = Address(b"\xcb" * 20)
FEE = 10**10

# Stores calldata word 0 under the block number, logs it with topic = caller, returns nothing:
# PUSH0 CALLDATALOAD DUP1 NUMBER SSTORE PUSH0 MSTORE CALLER PUSH1 32 PUSH0 LOG1 STOP
RUNTIME = bytes.fromhex("5f358043555f52336020" + "5fa100")
# PUSH1 len DUP1 PUSH1 offset PUSH0 CODECOPY PUSH0 RETURN
INIT = bytes([0x60, len(RUNTIME), 0x80, 0x60, 0x09, 0x5F, 0x39, 0x5F, 0xF3]) + RUNTIME


def transaction(sender: int, nonce: int, **fields: object) -> bytes:
    """A signed type-2 transaction of a test account."""
    values: dict[str, object] = {
        "type": 2,
        "chain_id": 31337,
        "nonce": nonce,
        "max_fee_per_gas": FEE,
        "max_priority_fee_per_gas": 1,
        "gas_limit": 21000,
        "to": Address(b"\x11" * 20),
        "value": 1,
        "data": b"",
        **fields,
    }
    return encode_transaction(sign_transaction(Transaction(**values), TEST_KEYS[sender]))


def batch_of(raws: list[bytes]) -> TransactionBatch:
    batch = TransactionBatch.decode(raws)
    batch.recover()
    return batch


def build(chain: Chain, raws: list[bytes], **fields: object) -> SealedBlock:
    parent = chain.head
    options: dict[str, object] = {
        "timestamp": parent.timestamp + 2,
        "coinbase": COINBASE,
        "prev_randao": keccak256(parent.prev_randao),
        **fields,
    }
    return chain.build_block(batch_of(raws), **options)


def balance(chain: Chain, address: Address, number: int) -> int:
    record = chain.state_at(number).account(address, keccak256(address))
    return Account.decode(record).balance if record else 0


def storage(chain: Chain, address: Address, key: int, number: int) -> int:
    word = key.to_bytes(32, "big")
    value = chain.state_at(number).slot(address, keccak256(address), word, keccak256(word))
    return int.from_bytes(value or b"", "big")


def grow(chain: Chain, blocks: int = 6) -> Address:
    """A few blocks of transfers, a deployment, calls with logs. Returns the contract."""
    contract = contract_address(SENDERS[1], 0)
    for number in range(chain.head.number + 1, chain.head.number + 1 + blocks):
        nonce = number - 1
        second = (
            transaction(1, 0, to=None, data=INIT, gas_limit=200_000, value=0)
            if number == 1
            else transaction(
                1, nonce, to=contract, value=0, gas_limit=90_000, data=number.to_bytes(32, "big")
            )
        )
        to = Address(bytes(18) + bytes([1, number]))
        sealed = build(chain, [transaction(0, nonce, to=to, value=1000 + number), second])
        assert len(sealed.block.transactions) == 2
    return contract


def listing(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_blocks_are_built_read_and_survive_reopening(tmp_path: Path) -> None:
    chain = Chain.open(tmp_path, DEV)
    assert chain.head_hash == DEV.hash
    heads: list[int] = []
    chain.subscribe(lambda header: heads.append(header.number))
    contract = grow(chain)
    assert heads == [1, 2, 3, 4, 5, 6]
    head, head_hash = chain.head, chain.head_hash
    chain.close()
    chain = Chain.open(tmp_path, DEV)
    assert (chain.head, chain.head_hash) == (head, head_hash)
    for number in range(2, 7):
        assert balance(chain, Address(bytes(18) + bytes([1, number])), number) == 1000 + number
        assert balance(chain, Address(bytes(18) + bytes([1, number])), number - 1) == 0
        assert storage(chain, contract, number, number) == number
        assert storage(chain, contract, number, number - 1) == 0
        block = chain.block(number)
        assert block is not None
        assert chain.header(block.header.parent_hash) == chain.header(number - 1)
        assert chain.number_of(chain.hash_of(number) or b"") == number
        raw = block.transactions[1]
        assert chain.transaction_location(keccak256(raw)) == (number, 1)
        receipts = chain.receipts(number)
        assert receipts is not None
        assert receipts[1].cumulative_gas_used == block.header.gas_used
        assert receipts[1].logs[0].address == contract
        assert logs_bloom(receipts[1].logs) == block.header.bloom
        body = chain.body(number)
        assert body is not None
        assert body.sender(1) == SENDERS[1]
    found = list(chain.logs(0, 99, {contract}, [{Hash32(bytes(12) + SENDERS[1])}]))
    assert [log.block_number for log in found] == [2, 3, 4, 5, 6]
    assert found[0].transaction_index == 1
    assert found[0].log_index == 0
    assert chain.transaction_location(bytes(32)) is None
    assert chain.header(99) is None
    assert chain.block(bytes(32)) is None
    verification = verify_state(chain.storage.database)
    assert verification.agrees, verification.mismatches
    chain.close()


def test_logs_of_new_blocks_are_kept_as_they_are_read(tmp_path: Path) -> None:
    """What a commit keeps for readers is what they would find on disk."""

    def shown(chain: Chain) -> bytes:
        found = chain.shown_logs(range(100), LogChoice((), ()), LogsBound())
        return b",".join(item.text for item in found if item.text)

    chain = Chain.open(tmp_path, DEV)
    grow(chain)
    kept = chain._published.kept.logs
    assert all(kept.get(number) for number in range(2, 7))
    before = shown(chain)
    chain.close()
    for places in ("there", "cut", "damaged", "lost"):
        path = tmp_path / "places"
        match places:
            case "cut":
                os.truncate(path, path.stat().st_size // 2)
            case "damaged":
                path.write_bytes(path.read_bytes()[::-1])
            case "lost":
                path.unlink()
        chain = Chain.open(tmp_path, DEV)
        assert chain._published.kept.logs.get(3) is None
        assert shown(chain) == before != b""
        assert shown(chain) == before
        chain.close()


def test_logs_are_found_by_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No block is looked up in the database, not even where the column was lost."""
    chain = Chain.open(tmp_path, DEV)
    grow(chain)
    chain.close()
    (tmp_path / "places").unlink()
    chain = Chain.open(tmp_path, DEV)
    monkeypatch.setattr(Published, "page", None)
    assert chain.kept_logs(range(1, 100), LogChoice((), ()), LogsBound()) is None
    nobody = LogChoice([Address(bytes(20))], ())
    assert chain.kept_logs(range(1, 100), nobody, LogsBound()) == b"[]", "the blooms are learnt"
    found = list(chain.shown_logs(range(1, 100), LogChoice((), ()), LogsBound()))
    numbers = [item["blockNumber"] for piece in found for item in json.loads(b"[%b]" % piece.text)]
    assert [hex(number) for number in range(2, 7)] == sorted(set(numbers))
    assert sum(piece.count for piece in found) == len(numbers)
    assert found[-1].reached == 7
    texts = filter(None, (piece.text for piece in found))
    at_once = chain.kept_logs(range(1, 100), LogChoice((), ()), LogsBound())
    assert at_once == b"[%b]" % b",".join(texts)
    chain.close()


def test_import_gives_the_same_chain(tmp_path: Path) -> None:
    """Blocks built on one chain import into another; files carry them, known ones are skipped."""
    built = Chain.open(tmp_path / "a", DEV)
    grow(built, 5)
    for name in ("chain.rlp", "chain.rlp.gz"):
        path = tmp_path / name
        assert export_file(built, path) == 6
        assert len(list(read_blocks(path))) == 6
        copy = Chain.open(tmp_path / f"copy of {name}", DEV)
        assert import_file(copy, path) == 5
        assert import_file(copy, path) == 0
        assert copy.head_hash == built.head_hash
        assert copy.state_at(3).account(COINBASE, keccak256(COINBASE)) == built.state_at(3).account(
            COINBASE, keccak256(COINBASE)
        )
        copy.close()
    built.close()
    cut = tmp_path / "cut.rlp"
    cut.write_bytes((tmp_path / "chain.rlp").read_bytes()[:-10])
    copy = Chain.open(tmp_path / "cut", DEV)
    with pytest.raises(InvalidBlock, match="ends in the middle"):
        import_file(copy, cut)
    assert copy.head.number <= 4
    copy.close()


def test_candidates_that_cannot_go_in_are_named(tmp_path: Path) -> None:
    chain = Chain.open(tmp_path, DEV)
    raws = [
        transaction(0, 0),
        transaction(0, 5),
        transaction(1, 0, max_fee_per_gas=1),
        transaction(2, 0, value=10**30),
        transaction(0, 1),
    ]
    sealed = build(chain, raws)
    assert [outcome.included for outcome in sealed.outcomes] == [True, False, False, False, True]
    assert [outcome.reason for outcome in sealed.outcomes[1:4]] == [
        TransactionReason.NONCE_TOO_HIGH,
        TransactionReason.INSUFFICIENT_MAX_FEE_PER_GAS,
        TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
    ]
    assert sealed.block.transactions == (raws[0], raws[4])
    paid = build(chain, [], withdrawals=[Withdrawal(0, 0, Address(b"\x77" * 20), 5)])
    assert paid.block.withdrawals[0].amount_gwei == 5
    assert balance(chain, Address(b"\x77" * 20), 2) == 5 * 10**9
    chain.close()


def test_block_stays_within_its_size(tmp_path: Path) -> None:
    """EIP-7934: what would make the block too large waits, and every candidate has its outcome."""
    chain = Chain.open(tmp_path / "chain", DEV)
    data = bytes(120_000)
    raws = [
        transaction(nonce % 10, nonce // 10, data=data, gas_limit=5_000_000) for nonce in range(80)
    ]
    sealed = build(chain, raws)
    assert len(sealed.outcomes) == 80
    count = len(sealed.block.transactions)
    assert [outcome.included for outcome in sealed.outcomes] == [True] * count + [False] * (
        80 - count
    )
    assert sealed.outcomes[79].reason == TransactionReason.OK
    encoded = encode_block(sealed.block)
    assert BLOCK_BYTES_MAX - 130_000 < len(encoded) <= BLOCK_BYTES_MAX
    larger = replace(sealed.block, transactions=(*sealed.block.transactions, raws[count]))
    with pytest.raises(InvalidBlock) as caught:
        chain.import_block(larger)
    assert caught.value.reason == BlockReason.RLP_BLOCK_LIMIT_EXCEEDED
    chain.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state_root": Hash32(bytes(32))}, BlockReason.INVALID_STATE_ROOT),
        ({"gas_used": 1}, BlockReason.INVALID_GAS_USED),
        ({"receipts_root": Hash32(bytes(32))}, BlockReason.INVALID_RECEIPTS_ROOT),
        ({"transactions_root": Hash32(bytes(32))}, BlockReason.INVALID_TRANSACTIONS_ROOT),
        ({"withdrawals_root": Hash32(bytes(32))}, BlockReason.INVALID_WITHDRAWALS_ROOT),
        ({"bloom": b"\x01" * 256}, BlockReason.INVALID_LOG_BLOOM),
        ({"requests_hash": Hash32(bytes(32))}, BlockReason.INVALID_REQUESTS),
        ({"requests_hash": None}, BlockReason.INCORRECT_BLOCK_FORMAT),
        ({"blob_gas_used": 1 << 17}, BlockReason.INCORRECT_BLOB_GAS_USED),
        ({"blob_gas_used": 10 << 17}, BlockReason.BLOB_GAS_USED_ABOVE_LIMIT),
        ({"excess_blob_gas": 1}, BlockReason.INCORRECT_EXCESS_BLOB_GAS),
        ({"base_fee_per_gas": 3}, BlockReason.INVALID_BASEFEE_PER_GAS),
        ({"gas_limit": 10**9 * 2}, BlockReason.INVALID_GASLIMIT),
        ({"gas_used": 10**9 + 1}, BlockReason.GAS_USED_OVERFLOW),
        ({"timestamp": 0}, BlockReason.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT),
        ({"number": 7}, BlockReason.INVALID_BLOCK_NUMBER),
        ({"parent_hash": Hash32(bytes(32))}, BlockReason.UNKNOWN_PARENT),
        ({"extra_data": bytes(33)}, BlockReason.EXTRA_DATA_TOO_BIG),
        ({"difficulty": 1}, BlockReason.IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS),
        ({"nonce": bytes(7) + b"\x01"}, BlockReason.INCORRECT_BLOCK_FORMAT),
    ],
)
def test_wrong_headers_are_refused_for_their_reason(
    tmp_path: Path, change: dict[str, object], reason: BlockReason
) -> None:
    """Nothing has changed afterwards: the right block still imports."""
    source = Chain.open(tmp_path / "source", DEV)
    sealed = build(source, [transaction(0, 0)])
    source.close()
    chain = Chain.open(tmp_path / "chain", DEV)
    wrong = replace(sealed.block, header=replace(sealed.block.header, **change))
    with pytest.raises(InvalidBlock) as caught:
        chain.import_block(wrong)
    assert caught.value.reason == reason
    assert chain.head.number == 0
    assert chain.import_block(encode_block(sealed.block)).hash == sealed.hash
    with pytest.raises(InvalidBlock) as caught:
        chain.import_block(sealed.block)
    assert caught.value.reason == BlockReason.NOT_THE_NEXT_HEIGHT
    chain.close()


def test_invalid_transactions_make_invalid_blocks(tmp_path: Path) -> None:
    source = Chain.open(tmp_path / "source", DEV)
    sealed = build(source, [transaction(0, 0)])
    source.close()
    chain = Chain.open(tmp_path / "chain", DEV)
    for raws, reason in (
        ((transaction(0, 1),), TransactionReason.NONCE_TOO_HIGH),
        ((b"\x05\xc0",), TransactionReason.TYPE_UNKNOWN),
    ):
        with pytest.raises(InvalidBlock) as caught:
            chain.import_block(replace(sealed.block, transactions=raws))
        assert caught.value.reason == BlockReason.INVALID_TRANSACTION
        assert caught.value.transaction_index == 0
        assert caught.value.transaction is not None
        assert caught.value.transaction.reason == reason
    with pytest.raises(InvalidBlock):
        build(chain, [], timestamp=0)
    chain.close()


def test_proofs_of_the_head_and_of_recent_blocks(tmp_path: Path) -> None:
    """Each proof leads from the header's state root to what state_at reads, absent or present,
    whether the trie is still in memory or was flushed and reopened."""
    chain = Chain.open(tmp_path, DEV)
    contract = grow(chain, 6)
    for _ in range(2):
        for number in range(7):
            header = chain.header(number)
            assert header is not None
            slots = [Hash32(n.to_bytes(32, "big")) for n in (2, 5, 99)]
            for address in (contract, SENDERS[0], Address(b"\x99" * 20)):
                proof = chain.prove(address, slots, number)
                leaf = verify_proof(header.state_root, keccak256(address), proof.nodes)
                record = chain.state_at(number).account(address, keccak256(address))
                assert (leaf is None) == (record is None)
                if record is not None:
                    assert proof.account == Account.decode(record)
                    assert leaf == encode_account(proof.account)
                for slot in proof.slots:
                    expected = storage(chain, address, int.from_bytes(slot.key, "big"), number)
                    assert slot.value == expected
                    if proof.account.storage_root != Account().storage_root:
                        value = verify_proof(
                            proof.account.storage_root, keccak256(slot.key), slot.nodes
                        )
                        assert (value is None) == (expected == 0)
        chain.close()
        chain = Chain.open(tmp_path, DEV)
    with pytest.raises(StateUnavailable):
        chain.prove(contract, [], 99)
    chain.close()


def test_proofs_reach_so_far_and_pin_nothing_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the window a proof is refused; what was kept for one goes when the head moves on."""
    monkeypatch.setattr(proofs, "PROOF_BLOCKS", 6)
    monkeypatch.setattr(proofs, "BLOCKS_KEPT", 2)
    chain = Chain.open(tmp_path, DEV)
    grow(chain, 8)
    for number in (8, 5, 2, 5):
        assert chain.prove(SENDERS[0], [], number).account.nonce == number
    assert len(chain._proofs._forests) == proofs.FORESTS_KEPT
    with pytest.raises(StateUnavailable, match="block 1 is 7 behind the head"):
        chain.prove(SENDERS[0], [], 1)
    grow(chain, 3)
    assert not chain._proofs._forests
    chain.close()


def test_pruned_chain_forgets_old_states(tmp_path: Path) -> None:
    chain = Chain.open(tmp_path, DEV, prune=3)
    grow(chain, 8)
    assert chain.oldest_state == 5
    assert balance(chain, Address(bytes(18) + bytes([1, 5])), 5) == 1005
    with pytest.raises(StateUnavailable, match="state of block 4 was pruned; the oldest is 5"):
        chain.state_at(4)
    assert chain.block(2) is not None
    chain.close()


def test_scratch_chain_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but speed differs, and after a clean end the directory opens again."""
    waits: list[int] = []
    chain = Chain.open(tmp_path, DEV, is_durable=False)
    monkeypatch.setattr(os, "fdatasync", waits.append)
    contract = grow(chain, 5)
    chain.close()
    assert not waits
    chain = Chain.open(tmp_path, DEV)
    assert chain.head.number == 5
    assert storage(chain, contract, 5, 5) == 5
    assert verify_state(chain.storage.database).agrees
    chain.close()


def test_views_do_not_move(tmp_path: Path) -> None:
    """A view taken at the head still answers for that block after the chain has gone on."""
    chain = Chain.open(tmp_path, DEV)
    grow(chain, 2)
    view = chain.state_at(2)
    before = view.account(SENDERS[0], keccak256(SENDERS[0]))
    grow(chain, 2)
    assert view.account(SENDERS[0], keccak256(SENDERS[0])) == before
    assert view.block_hash(1) == chain.hash_of(1)
    assert chain.state_at(4).account(SENDERS[0], keccak256(SENDERS[0])) != before
    chain.close()


def test_environments_and_fees(tmp_path: Path) -> None:
    chain = Chain.open(tmp_path, DEV)
    grow(chain, 1)
    fees = chain.next_fees()
    environment = chain.next_environment(timestamp=10**9)
    assert environment.number == 2
    assert environment.timestamp == 10**9
    assert environment.parent_hash == chain.head_hash
    sealed = build(chain, [])
    assert sealed.block.header.base_fee_per_gas == fees.base_fee == environment.base_fee
    assert chain.environment_for(sealed.block.header).base_fee == fees.base_fee
    assert chain.fees_of(sealed.block.header).blob_base_fee == 1
    assert fees.blob_gas_max == 9 << 17
    raised = build(chain, [], gas_limit=2 * 10**9).block.header.gas_limit
    assert raised == 10**9 + 10**9 // 1024 - 1
    assert Proposal(timestamp=1, coinbase=ZERO_ADDRESS, prev_randao=Hash32(bytes(32)))
    chain.close()


def test_directories_that_are_not_this_chains(tmp_path: Path) -> None:
    """Locked, foreign, of another genesis: a reason each, and nothing written."""
    path = tmp_path / "data"
    chain = Chain.open(path, DEV)
    with pytest.raises(DirectoryLocked):
        Chain.open(path, DEV)
    chain.close()
    before = listing(path)
    with pytest.raises(WrongGenesis):
        Chain.open(path, network("devnet"))
    assert listing(path) == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ForeignDirectory):
        Chain.open(foreign, DEV)
    assert listing(foreign) == {"photo.jpg": b"x"}


def test_damage_is_told_from_a_kill(tmp_path: Path) -> None:
    """What no kill leaves behind is corruption: lost files, lost database, a damaged body."""
    chain = Chain.open(tmp_path / "data", DEV)
    grow(chain, 4)
    chain.close()

    def damaged(change: Callable[[Path], object], message: str) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(tmp_path / "data", copy)
        change(copy)
        with pytest.raises(StorageCorrupt, match=message):
            Chain.open(copy, DEV)
        with pytest.raises(StorageCorrupt, match=message):
            Chain.open(copy, DEV)

    segment = "blocks/blocks-000000.seg"
    damaged(lambda copy: (copy / segment).unlink(), "ends at byte 0")
    damaged(lambda copy: shutil.rmtree(copy / "state"), "missing or incomplete")
    damaged(
        lambda copy: [p.unlink() for p in (copy / "state").glob("*.log")], "lost blocks that it had"
    )
    body = bytearray((tmp_path / "data" / segment).read_bytes())
    body[100] ^= 1
    (tmp_path / "data" / segment).write_bytes(body)
    chain = Chain.open(tmp_path / "data", DEV)
    with pytest.raises(StorageCorrupt, match="fails its checksum"):
        chain.block(1)
    chain.close()


def test_account_of_genesis_alloc() -> None:
    """The storage root in a genesis record is the trie's."""
    deposit = DEV.alloc[DEV.config.deposit_contract]
    assert account_of(deposit).storage_root != Account().storage_root


def test_recent_entries_are_bounded() -> None:
    """Neither count nor the sum of sizes passes its bound; the oldest entries go first."""
    recent: Recent[str] = Recent(count_max=4, size_max=10)
    for number in range(5):
        recent.put(number, f"block {number}", 3)
    assert [recent.get(number) for number in range(5)] == [
        None,
        None,
        "block 2",
        "block 3",
        "block 4",
    ]
    recent.put(9, "too large", 11)
    assert recent.get(9) is None
    recent.put(7, "fills all", 10)
    assert [recent.get(number) for number in (2, 3, 4, 7)] == [None, None, None, "fills all"]
    for number in range(10, 16):
        recent.put(number, "small", 1)
    assert [number for number in range(16) if recent.get(number)] == [12, 13, 14, 15]


def test_files_that_are_no_chain_files(tmp_path: Path) -> None:
    """Garbage, another chain, a damaged archive: named, and nothing is imported."""
    chain = Chain.open(tmp_path / "chain", DEV)
    other = Chain.open(tmp_path / "other", network("devnet"))
    export_file(other, tmp_path / "other.rlp")
    other.close()
    (tmp_path / "text.rlp").write_bytes(b"hello")
    (tmp_path / "list.rlp").write_bytes(b"\xc3\x80\x80\x80")
    (tmp_path / "bad.rlp.gz").write_bytes(b"\x1f\x8bnonsense")
    for name, message in (
        ("other.rlp", "not the one of this chain"),
        ("text.rlp", "list"),
        ("list.rlp", "header"),
        ("bad.rlp.gz", "bad.rlp.gz"),
    ):
        with pytest.raises(InvalidBlock, match=message):
            import_file(chain, tmp_path / name)
    assert chain.head.number == 0
    chain.close()
