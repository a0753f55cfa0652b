"""Validators that decide together about real blocks: one chain, and what staking hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain import seals
from ghostchain.chain.verify import verify_state
from ghostchain.consensus.certificates import check_commit
from ghostchain.consensus.effects import RoundFailed, RoundFailure
from ghostchain.consensus.messages import Vote
from ghostchain.consensus.ports import Offer
from ghostchain.contracts import registry
from ghostchain.contracts.addresses import GCC, SLASHING, STAKING
from ghostchain.contracts.slashing import Slashing
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Spirit
from ghostchain.crypto import ed25519, vrf
from ghostchain.crypto.ed25519 import public_key_of, verify_batch
from ghostchain.crypto.hashes import header_hash
from ghostchain.crypto.keccak import keccak256
from ghostchain.encoding.attachments import decode_attachment, encode_attachment
from ghostchain.encoding.blocks import decode_block, encode_block, encode_withdrawal
from ghostchain.encoding.votes import NO_ROUND, VoteKind, key_claim_bytes
from ghostchain.execution.executor import CallFlag, Executor, Message
from ghostchain.node.application import BlockApplication, decode_record, encode_record
from ghostchain.node.judging import open_block, whole_of
from ghostchain.node.syncing import Attachments, SyncPort
from ghostchain.p2p.compact import compact_body
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.types import Address, Hash32
from ghostchain.sync.messages import SyncBlock
from ghostchain.trie.merkle import ordered_root
from tests.node.bft_cluster import (
    EPOCH_BLOCKS,
    OPERATORS,
    SPIRIT,
    WAD,
    Cluster,
    Node,
    genesis_of,
    seed_of,
    transfer,
)
from tests.unit.test_txpool_driver import blob_parts, network_form

Make = Callable[..., Cluster]
FREE = CallFlag.NO_NONCE_CHECK | CallFlag.NO_BASE_FEE


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Cluster] = []

    def cluster(validators: int = 4, *, seed: int = 1, followers: int = 0, **rest: Any) -> Cluster:
        genesis = genesis_of(tmp_path, validators, **rest)
        made.append(Cluster(tmp_path, genesis, validators, seed=seed, followers=followers))
        return made[-1]

    yield cluster
    for one in made:
        one.close()


def agree(cluster: Cluster) -> None:
    """All that are up have the same blocks as far as each goes, and a state that is theirs."""
    nodes = [node for node in cluster.nodes if node.is_up]
    longest = max((node.roots() for node in nodes), key=len)
    for node in nodes:
        roots = node.roots()
        assert roots == longest[: len(roots)], node.index
        assert verify_state(node.chain.storage.database).agrees


def call(node: Node, to: Address, kind: type, name: str, *arguments: Any) -> Any:
    """What a view of a contract says at the head."""
    chain = node.chain
    executor = Executor(chain.state_at(chain.head.number), contracts=registry.RUN)
    method = kind.method(name)
    message = Message(
        sender=OPERATORS[0], to=to, gas_limit=10**7, data=method.encode_call(arguments)
    )
    result = executor.call(chain.next_environment(), message, flags=FREE)
    assert result.success, result
    return method.decode_result(result.output)


def test_transfers_become_final_and_all_agree(make: Make) -> None:
    """Sent to every pool or to one: the others complete the block from its proposer."""
    cluster = make()
    cluster.submit(*(transfer(0, nonce) for nonce in range(50)))
    cluster.submit(*(transfer(1, nonce) for nonce in range(20)), to=[2])
    cluster.run_to(1)
    cluster.run(lambda: all(node.chain.head.number > 8 for node in cluster.nodes))
    agree(cluster)
    first = cluster.nodes[0]
    counts = [len(first.chain.body(n) or ()) for n in range(1, first.chain.head.number + 1)]
    assert sum(counts) == 70
    assert sum(node.fetched for node in cluster.nodes) > 0
    assert not any(len(node.pool.pool) for node in cluster.nodes)
    assert not any(node.punished for node in cluster.nodes)


def test_blobs_travel_beside_blocks(make: Make) -> None:
    """Everybody has the sidecar in its pool; blocks are completed without it."""
    cluster = make()
    blob, commitment, proofs, versioned = blob_parts()
    bare = transfer(0, 0, type=3, max_fee_per_blob_gas=10**10, blob_versioned_hashes=(versioned,))
    cluster.submit(network_form(bare, blob, commitment, proofs))
    cluster.run(lambda: not any(len(node.pool.pool) for node in cluster.nodes))
    cluster.run_to(1)
    found = [node.chain.body(node.chain.head.number) for node in cluster.nodes]
    assert [body.raws() if body else () for body in found] == [(bare,)] * 4
    assert not any(node.fetched for node in cluster.nodes)
    agree(cluster)


@pytest.mark.parametrize("kept", [True, False])
def test_what_does_not_fit_waits_for_the_next_block(
    make: Make, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """More gas than a block has is more blocks, at once; also where a draft is not at hand any more
    and the decided block has to be run again."""
    if not kept:
        monkeypatch.setattr(BlockApplication, "_keep_draft", lambda self, draft: None)
    cluster = make()
    loop = bytes.fromhex("5b5f56")
    cluster.submit(
        *(transfer(0, n, to=None, value=0, data=loop, gas_limit=16_000_000) for n in range(10))
    )
    cluster.run(lambda: not any(len(node.pool.pool) for node in cluster.nodes), seconds=5)
    cluster.run_to(4)
    chain = cluster.nodes[0].chain
    assert [len(chain.body(number) or ()) for number in range(1, 5)] == [3, 3, 3, 1]
    agree(cluster)


SPOILT: dict[str, Callable[[Block], Block]] = {
    "state": lambda block: with_header(block, state_root=Hash32(bytes(32))),
    "gas": lambda block: with_header(block, gas_used=block.header.gas_used + 21_000),
    "coinbase": lambda block: with_header(block, coinbase=Address(b"\x66" * 20)),
    "seal": lambda block: with_header(block, parent_beacon_block_root=Hash32(bytes(32))),
    "future": lambda block: with_header(block, timestamp=block.header.timestamp + 60),
    "reward": lambda block: replace(
        block, withdrawals=(Withdrawal(block.header.number << 16, 0, STAKING, 10**9),)
    ),
}


def with_header(block: Block, **changes: Any) -> Block:
    return replace(block, header=replace(block.header, **changes))


@pytest.mark.parametrize("sin", SPOILT)
def test_a_proposal_that_does_not_hold_is_voted_down(
    make: Make, monkeypatch: pytest.MonkeyPatch, sin: str
) -> None:
    """One validator proposes what is wrong whenever it is its turn; the next one's turn decides."""
    cluster = make()
    liar = cluster.nodes[3]
    honest_build = liar.application.build
    spoilt: list[Hash32] = []

    def build(height: int, round: int, done: Callable[[Offer | None, str], None]) -> None:
        def spoil(offer: Offer | None, reason: str) -> None:
            assert offer is not None, reason
            opened = decode_record(offer.record)
            changed = SPOILT[sin](open_block(opened).block)
            paid = [encode_withdrawal(one) for one in changed.withdrawals]
            changed = with_header(changed, withdrawals_root=ordered_root(paid))
            whole = whole_of(changed, opened.attachment)
            spoilt.append(whole.block_id)
            liar.application._blocks[whole.block_id] = whole
            done(Offer(whole.block_id, compact_body(whole), encode_record(whole)), "")

        honest_build(height, round, spoil)

    monkeypatch.setattr(liar.application, "build", build)
    honest = cluster.nodes[:3]
    cluster.run(lambda: len(spoilt) >= 2 and honest[0].chain.head.number >= 4, seconds=200)
    cluster.run_to(honest[0].chain.head.number + 1, nodes=honest)
    agree(cluster)
    chain = honest[0].chain
    hashes = {chain.hash_of(number) for number in range(chain.head.number + 1)}
    assert not hashes & set(spoilt)
    reasons = {one.reason for one in honest[0].failures if isinstance(one, RoundFailed)}
    assert reasons <= {RoundFailure.BLOCK_INVALID, RoundFailure.BLOCK_MISSING, RoundFailure.SKIPPED}
    assert reasons


def test_blocks_say_what_was_decided(make: Make) -> None:
    """Certificates hold, headers commit to them and to randomness that anybody can check."""
    cluster = make(followers=1)
    cluster.run_to(7)
    for node in (cluster.nodes[0], cluster.nodes[4]):
        chain, rules = node.chain, node.application.rules
        for number in range(1, chain.head.number + 1):
            header, parent = chain.header(number), chain.header(number - 1)
            block_hash, validators = chain.hash_of(number), rules.known(number)
            assert header is not None
            assert parent is not None
            assert block_hash is not None
            certificate = node.application.certificate(number)
            assert certificate is not None
            check_commit(
                certificate,
                validators,
                chain_id=31337,
                height=number,
                block_id=block_hash,
                verify=verify_batch,
            )
            attachment = decode_attachment(chain.attachment(number) or b"")
            root = seals.seal_root(attachment.certificate, rules.known(number + 1).hash)
            assert header.parent_beacon_block_root == root
            proposer = validators[validators.proposer(number, seals.round_of(header))]
            alpha = seals.random_input(31337, number, parent.prev_randao)
            output = vrf.verify(proposer.key, alpha, attachment.proof)
            assert output is not None
            assert header.prev_randao == keccak256(parent.prev_randao + output)
            assert header.coinbase == proposer.operator
    agree(cluster)


def test_an_idle_chain_beats_and_a_transaction_does_not_wait(make: Make) -> None:
    cluster = make()
    cluster.run_to(3)
    assert cluster.now_ns > 15 * 10**9
    before = cluster.now_ns
    height = cluster.nodes[0].chain.head.number
    cluster.submit(transfer(0, 0))
    cluster.run_to(height + 1)
    assert cluster.now_ns - before < 10**9
    body = cluster.nodes[0].chain.body(height + 1)
    assert body is not None
    assert len(body) == 1


def test_rewards_are_shared_out_and_supply_is_kept(make: Make) -> None:
    """Each proposer's validator has its blocks' reward; GCC in all is what the face says."""
    cluster = make()
    cluster.submit(*(transfer(0, nonce) for nonce in range(5)))
    cluster.run_to(9)
    node = cluster.nodes[1]
    chain = node.chain
    paid = 0
    for number in range(1, chain.head.number + 1):
        header, parent = chain.header(number), chain.header(number - 1)
        block = chain.block(number)
        assert header is not None
        assert parent is not None
        assert block is not None
        seconds = min(header.timestamp - parent.timestamp, 60)
        rewards = [one for one in block.withdrawals if one.address == STAKING]
        assert sum(one.amount_gwei for one in rewards) == seconds * 10**8
        paid += seconds * WAD // 10
    assert paid > 0
    staking = node.staking
    earned = 0
    for operator in OPERATORS[:4]:
        pool = staking.pools[operator][GCC]
        record = staking.records[operator]
        earned += pool.commission + (record.shares * pool.index >> 128)
    assert 0 <= paid - earned < 4 * chain.head.number
    total = sum(
        int.from_bytes(record[8:40], "big")
        for record in (
            chain.state_at(chain.head.number).account(who, keccak256(who))
            for who in [*OPERATORS, STAKING, Address(b"\x22" * 20), Address(b"\xc0" * 20)]
        )
        if record
    )
    supply = call(node, GCC, registry.NATIVE_CONTRACTS[1], "totalSupply")
    assert supply == total


def test_who_is_missing_is_counted_jailed_and_left_out(make: Make) -> None:
    """A validator that is down loses its place with the epoch, and the chain goes on."""
    limits = {"downtimeWindow": 20, "downtimeMissedMax": 4}
    cluster = make(slashing=limits)
    cluster.run_to(2)
    cluster.nodes[3].close()
    cluster.run_to(5)
    node = cluster.nodes[0]
    missed = call(node, SLASHING, Slashing, "liveness", OPERATORS[3])[0]
    assert missed > 0
    cluster.run_to(3 * EPOCH_BLOCKS + 2)
    assert node.staking.records[OPERATORS[3]].jailed_until > 0
    validators = node.application.rules.known(node.chain.head.number + 1)
    assert [one.operator for one in validators.validators].count(OPERATORS[3]) == 0
    assert len(validators) == 3
    assert call(node, SLASHING, Slashing, "liveness", OPERATORS[0])[0] <= 1
    agree(cluster)
    cluster.nodes[3].open()
    follow(cluster, cluster.nodes[3])
    agree(cluster)


def items_for(source: Node, late: Node) -> list[tuple[bytes, bytes, bytes]]:
    """What the late node lacks, as sync brings it."""
    start = late.chain.head.number
    items = []
    for number in range(start + 1, source.chain.head.number + 1):
        whole = source.application.find_block(source.chain.hash_of(number) or Hash32(b""))
        certificate = source.chain.certificate(number)
        assert whole is not None
        assert certificate is not None
        items.append((encode_block(open_block(whole).block), certificate, whole.attachment))
    return items


def follow(cluster: Cluster, late: Node) -> None:
    """The late node imports what the others decided, as sync does."""
    source = cluster.nodes[0]
    items = items_for(source, late)
    assert len(list(late.chain.import_certified(items))) == len(items)
    late.driver.on_synced(late.application.synced())
    cluster.run_to(source.chain.head.number + 2)


def test_who_signs_twice_is_tombstoned(make: Make) -> None:
    """The two votes travel in the next block, and stake burns on every node alike."""
    cluster = make()
    cluster.run_to(2)
    node = cluster.nodes[0]
    supply = call(node, SPIRIT, Spirit, "totalSupply")
    liar = cluster.nodes[3]
    liar.close()
    height = node.chain.head.number + 1
    validators = node.application.rules.known(height)
    index = [one.operator for one in validators.validators].index(OPERATORS[3])
    for block in (b"\x01" * 32, b"\x02" * 32):
        unsigned = Vote(VoteKind.PREVOTE, height, 0, Hash32(block), NO_ROUND, index)
        signature = ed25519.sign(seed_of(3), unsigned.sign_bytes(31337))
        vote = replace(unsigned, signature=signature)
        for honest in cluster.nodes[:3]:
            honest.driver.on_message(vote, liar.name)
    cluster.run_to(height + 3)
    record = node.staking.records[OPERATORS[3]]
    assert record.is_tombstoned
    assert record.tokens == 95 * WAD
    assert call(node, SPIRIT, Spirit, "totalSupply") == supply - 5 * WAD
    carried = [
        (number, decode_attachment(node.chain.attachment(number) or b"").evidence)
        for number in range(1, node.chain.head.number + 1)
    ]
    assert [len(evidence) for _, evidence in carried if evidence] == [1]
    assert not any(len(honest.application.evidence) for honest in cluster.nodes[:3])
    cluster.run_to(height + EPOCH_BLOCKS + 2)
    assert len(node.application.rules.known(node.chain.head.number + 1)) == 3
    agree(cluster)


def test_a_new_validator_votes_from_the_next_epoch(make: Make) -> None:
    """Bonded in one epoch, it votes two blocks after that epoch's last change could be made."""
    cluster = make(followers=1)
    cluster.run_to(1)
    operator, index = OPERATORS[4], 4
    proof = ed25519.sign(seed_of(index), key_claim_bytes(31337, operator))
    approve = Spirit.method("approve").encode_call([STAKING, 10**24])
    create = Staking.method("createValidator").encode_call(
        [public_key_of(seed_of(index)), proof, WAD // 10, WAD // 2, WAD // 100, 90 * WAD]
    )
    cluster.submit(
        transfer(4, 0, to=SPIRIT, value=0, data=approve, gas_limit=200_000),
        transfer(4, 1, to=STAKING, value=0, data=create, gas_limit=2_000_000),
    )
    cluster.run_to(3)
    newcomer = cluster.nodes[4]
    rules = newcomer.application.rules
    assert newcomer.staking.records[operator].tokens == 90 * WAD
    cluster.run_to(2 * EPOCH_BLOCKS + 5)
    sets = {height: len(rules.known(height)) for height in range(1, 2 * EPOCH_BLOCKS + 5)}
    assert sets[EPOCH_BLOCKS] == 4
    assert sets[EPOCH_BLOCKS + 1] == 5
    certificates = [
        newcomer.application.certificate(height)
        for height in range(EPOCH_BLOCKS + 1, 2 * EPOCH_BLOCKS + 5)
    ]
    place = [one.operator for one in rules.known(2 * EPOCH_BLOCKS).validators].index(operator)
    assert any(one is not None and place in one.signers for one in certificates)
    proposers = {
        header.coinbase
        for number in range(EPOCH_BLOCKS + 1, newcomer.chain.head.number + 1)
        if (header := newcomer.chain.header(number)) is not None
    }
    assert operator in proposers
    agree(cluster)


@pytest.mark.parametrize("seed", range(6))
def test_restarts_in_the_middle_of_anything(make: Make, seed: int) -> None:
    """One node after the other is stopped at some moment and started again; one chain goes on, and
    nobody is accused of anything."""
    cluster = make(seed=seed)
    chance = cluster.chance
    for turn in range(8):
        nonces = [
            int.from_bytes((node_account(cluster.nodes[0], OPERATORS[sender]) or b"")[:8], "big")
            for sender in range(4)
        ]
        cluster.submit(
            *(transfer(sender, nonces[sender]) for sender in range(4) if chance.random() < 0.7)
        )
        stop_ns = cluster.now_ns + chance.randrange(1, 400) * 10**6
        cluster.run(lambda stop_ns=stop_ns: cluster.now_ns >= stop_ns)
        node = cluster.nodes[turn % 4]
        node.close()
        if chance.random() < 0.5:
            wait_ns = cluster.now_ns + chance.randrange(1, 300) * 10**6
            cluster.run(lambda wait_ns=wait_ns: cluster.now_ns >= wait_ns)
        node.open()
    height = max(node.chain.head.number for node in cluster.nodes)
    cluster.run_to(height + 2)
    agree(cluster)
    assert not any(len(node.application.evidence) for node in cluster.nodes)
    staking = cluster.nodes[0].staking
    assert not any(staking.records[operator].is_tombstoned for operator in OPERATORS[:4])


def node_account(node: Node, address: Address) -> bytes | None:
    chain = node.chain
    return chain.state_at(chain.head.number).account(address, keccak256(address))


def test_sync_may_be_faster_than_a_commit(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decided block that waits for its turn while sync imports it, and more: nothing is wrong."""
    cluster = make()
    late = cluster.nodes[3]
    late.close()
    cluster.run_to(5)
    late.open()
    source = cluster.nodes[0]
    whole = source.application.find_block(source.chain.hash_of(1) or Hash32(b""))
    certificate = source.application.certificate(1)
    assert whole is not None
    assert certificate is not None
    late.application.restore(1, whole.block_id, encode_record(whole))
    check = late.chain.check

    def check_too_late(block: Block) -> object:
        list(late.chain.import_certified(items_for(source, late)))
        return check(block)

    monkeypatch.setattr(late.chain, "check", check_too_late)
    started: list[int] = []
    late.application.commit(
        1, whole.block_id, certificate, lambda start: started.append(start.height)
    )
    cluster.run(lambda: bool(started))
    assert started[0] > 5
    assert late.chain.hash_of(started[0] - 1) == source.chain.hash_of(started[0] - 1)


def test_a_synced_block_brings_the_certificate_that_its_header_names(make: Make) -> None:
    """Another one would be kept, and given to others."""
    cluster = make(followers=1)
    cluster.run_to(EPOCH_BLOCKS + 2)
    source = cluster.nodes[0]
    items = {}
    for number in range(1, EPOCH_BLOCKS + 2):
        whole = source.application.find_block(source.chain.hash_of(number) or Hash32(b""))
        certificate = source.chain.certificate(number)
        assert whole is not None
        assert certificate is not None
        block = encode_block(open_block(whole).block)
        items[number] = (block, certificate, whole.attachment)
    beside = Attachments(source.application.rules)
    port = SyncPort(source.chain, source.application.validators, verify_batch, beside)
    good = [sync_block(items[number]) for number in items]
    assert port.verify(good) == [True] * len(good)
    attachment = decode_attachment(items[3][2])
    for other in (b"", items[1][1], items[3][1]):
        wrong = encode_attachment(replace(attachment, certificate=other))
        bad = sync_block((*items[3][:2], wrong))
        assert port.verify([good[1], bad, good[3]]) == [True, False, None]
    unknown = SyncPort(
        source.chain,
        lambda height: source.application.validators(height) if height <= EPOCH_BLOCKS else None,
        verify_batch,
        beside,
    )
    assert unknown.verify(good[EPOCH_BLOCKS - 2 : EPOCH_BLOCKS + 1]) == [True, True, None]
    # What consensus decided while they were on their way is no fault of who sent them.
    everything = [(each.height, each.hash, 0) for each in good]
    assert list(port.import_blocks(iter(good))) == everything


def sync_block(item: tuple[bytes, bytes, bytes]) -> SyncBlock:
    header = decode_block(item[0]).header
    return SyncBlock(header, header_hash(header), *item)
