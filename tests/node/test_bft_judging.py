"""What makes a proposed block invalid for ever, and what only says that a part of it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ghostchain.chain import seals
from ghostchain.consensus.messages import Certificate, Vote, decode_message, encode_message
from ghostchain.consensus.ports import Offer
from ghostchain.crypto import ed25519, vrf
from ghostchain.encoding.attachments import Evidence, encode_attachment
from ghostchain.encoding.votes import NO_ROUND, VoteKind
from ghostchain.node.application import decode_record, encode_record
from ghostchain.node.evidence import evidence_of
from ghostchain.node.judging import Opened, open_block, whole_of
from ghostchain.p2p.effects import WholeBlock
from ghostchain.primitives.block import Withdrawal
from ghostchain.primitives.errors import BlockReason, InvalidBlock
from ghostchain.primitives.types import Address, Hash32
from tests.node.bft_cluster import OPERATORS, SECOND, Cluster, Node, genesis_of, seed_of, transfer

STRANGER = Address(b"\x99" * 20)


@dataclass
class Case:
    """A cluster at height 3, and the block that its next proposer would propose."""

    cluster: Cluster
    node: Node
    whole: WholeBlock

    @property
    def opened(self) -> Opened:
        return open_block(self.whole)

    def changed(self, *, attachment: dict[str, Any] | None = None, **header: Any) -> Opened:
        """The block with other fields; whatever it commits to follows its attachment."""
        opened = self.opened
        brought = replace(opened.attachment, **(attachment or {}))
        if attachment and "parent_beacon_block_root" not in header:
            root = self.node.application.rules.seal_root(brought.certificate)
            header["parent_beacon_block_root"] = root
        withdrawals = header.pop("withdrawals", opened.block.withdrawals)
        changed = replace(opened.block.header, **header)
        return Opened(
            replace(opened.block, header=changed, withdrawals=tuple(withdrawals)), brought
        )

    def refusal(self, opened: Opened, *, round: int | None = None) -> BlockReason | None:
        """Of the rules; None when there is none."""
        now_s = self.cluster.start_s + self.cluster.now_ns / SECOND
        try:
            self.node.application.rules.check(opened, round=round, now_s=now_s)
        except InvalidBlock as refusal:
            return refusal.reason
        return None


def built(node: Node, height: int, round: int) -> Offer:
    offers: list[Offer] = []

    def done(offer: Offer | None, reason: str) -> None:
        assert offer is not None, reason
        offers.append(offer)

    node.application.build(height, round, done)
    node.cluster.run(lambda: bool(offers), seconds=1)
    return offers[0]


def proposer_of(cluster: Cluster, height: int, round: int) -> Node:
    operator = cluster.nodes[0].application.rules.proposer(height, round).operator
    return cluster.nodes[OPERATORS.index(operator)]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    cluster = Cluster(tmp_path, genesis_of(tmp_path, 4), 4)
    cluster.run_to(3)
    height = cluster.nodes[0].chain.head.number + 1
    cluster.run(lambda: all(n.chain.head.number == height - 1 for n in cluster.nodes), seconds=5)
    for node in cluster.nodes:
        node.pool.submit([transfer(0, nonce) for nonce in range(3)])
    cluster.now_ns += 3 * SECOND
    offer = built(proposer_of(cluster, height, 0), height, 0)
    other = next(node for node in cluster.nodes if node is not proposer_of(cluster, height, 0))
    yield Case(cluster, other, decode_record(offer.record))
    cluster.close()


def test_what_was_built_is_good(case: Case) -> None:
    assert case.refusal(case.opened, round=0) is None
    assert case.node.application.rules.matches(case.whole)
    assert len(case.whole.transactions) == 3
    assert case.node.chain.check(case.opened.block).hash == case.whole.block_id
    assert decode_record(encode_record(case.whole)) == case.whole


def test_headers_are_held_to_the_rules(case: Case) -> None:
    """Each field that consensus decides, wrong in each way."""
    header, now = (
        case.opened.block.header,
        int(case.cluster.start_s + case.cluster.now_ns // SECOND),
    )
    wrong: list[tuple[BlockReason, dict[str, Any]]] = [
        (BlockReason.INVALID_ROUND, {"extra_data": b""}),
        (BlockReason.INVALID_ROUND, {"extra_data": b"\x02" + bytes(4)}),
        (BlockReason.INVALID_ROUND, {"extra_data": b"\x01" + bytes(5)}),
        (BlockReason.INVALID_PROPOSER, {"coinbase": STRANGER}),
        (
            BlockReason.INVALID_PROPOSER,
            {"coinbase": next(o for o in OPERATORS if o != header.coinbase)},
        ),
        (BlockReason.INVALID_SEAL, {"parent_beacon_block_root": Hash32(bytes(32))}),
        (BlockReason.INVALID_RANDOMNESS, {"prev_randao": Hash32(bytes(32))}),
        (BlockReason.INVALID_BASEFEE_PER_GAS, {"base_fee_per_gas": 7}),
        (BlockReason.UNKNOWN_PARENT, {"parent_hash": Hash32(bytes(32))}),
        (BlockReason.INVALID_ORDERS, {"timestamp": now - 1}),
    ]
    for reason, fields in wrong:
        assert case.refusal(case.changed(**fields)) is reason, fields


def test_time_is_asked_of_new_blocks_alone(case: Case) -> None:
    """15 s back, 2 s ahead, and the round that is being decided; of a block that a quorum vouches
    for, neither."""
    rules, header = case.node.application.rules, case.opened.block.header
    late = case.cluster.start_s + case.cluster.now_ns / SECOND
    for shift, reason in ((0, None), (14, None), (16, BlockReason.INVALID_PROPOSAL_TIME)):
        for round, expected in ((0, reason), (None, None)):
            try:
                rules.check(case.opened, round=round, now_s=header.timestamp + shift)
                found = None
            except InvalidBlock as refusal:
                found = refusal.reason
            assert found is expected, (shift, round)
    with pytest.raises(InvalidBlock) as failure:
        rules.check(case.opened, round=0, now_s=header.timestamp - 3)
    assert failure.value.reason is BlockReason.INVALID_PROPOSAL_TIME
    with pytest.raises(InvalidBlock) as failure:
        rules.check(case.opened, round=1, now_s=late)
    assert failure.value.reason is BlockReason.INVALID_ROUND


def test_another_round_is_another_proposers(case: Case) -> None:
    """The round in the header names whose key and coinbase it must be."""
    height = case.opened.block.header.number
    rules = case.node.application.rules
    turns = [rules.proposer(height, round).operator for round in range(8)]
    round = next(round for round in range(8) if turns[round] != turns[0])
    found = case.refusal(case.changed(extra_data=seals.extra_data_of(round)))
    assert found is BlockReason.INVALID_PROPOSER
    moved = case.changed(extra_data=seals.extra_data_of(round), coinbase=turns[round])
    assert case.refusal(moved) is BlockReason.INVALID_RANDOMNESS


def certificates(case: Case) -> Iterator[tuple[str, bytes]]:
    """Certificates of the parent that do not hold."""
    data = case.opened.attachment.certificate
    good = decode_message(data)
    assert isinstance(good, Certificate)
    yield "nothing", b""
    yield "noise", b"\x04" + bytes(100)
    yield "a vote", encode_message(good.votes()[0])
    yield "a polka", encode_message(replace(good, kind=VoteKind.PREVOTE))
    yield "another height", encode_message(replace(good, height=good.height - 1))
    yield "another round", encode_message(replace(good, round=good.round + 1))
    yield "another block", encode_message(replace(good, block_id=Hash32(b"\x07" * 32)))
    forged = (bytes(64), *good.signatures[1:])
    yield "a forged signature", encode_message(replace(good, signatures=forged))
    few = replace(good, signers=good.signers[:2], signatures=good.signatures[:2])
    yield "no quorum", encode_message(few)


def test_certificates_that_do_not_hold_make_blocks_invalid(case: Case) -> None:
    """Though the header commits to them."""
    for name, data in certificates(case):
        opened = case.changed(attachment={"certificate": data})
        assert case.refusal(opened) is BlockReason.INVALID_CERTIFICATE, name


def test_orders_follow_from_certificate_and_time(case: Case) -> None:
    """Neither more nor less, in their order, at their index."""
    good = list(case.opened.block.withdrawals)
    assert good
    assert good[0].amount_gwei > 0
    more = Withdrawal(good[-1].index + 1, 0, STRANGER, 1)
    accused = replace(more, address=OPERATORS[0], amount_gwei=0)
    guilty = replace(accused, validator_index=2)
    richer = replace(good[0], amount_gwei=good[0].amount_gwei + 1)
    shifted = replace(good[0], index=good[0].index + 1)
    for orders in (
        [],
        [*good, more],
        [*good, accused],
        [*good, guilty],
        [richer, *good[1:]],
        [shifted, *good[1:]],
        [*good, good[0]],
    ):
        opened = case.changed(withdrawals=orders)
        assert case.refusal(opened) is BlockReason.INVALID_ORDERS, orders


def pieces(height: int) -> Iterator[tuple[str, Evidence]]:
    """Evidence that convicts nobody."""
    key = ed25519.public_key_of(seed_of(1))

    def vote(kind: VoteKind, round: int, block: int, **other: Any) -> Vote:
        fields = {"height": height, "valid_round": NO_ROUND, **other}
        made = Vote(
            kind, fields["height"], round, Hash32(bytes([block]) * 32), fields["valid_round"], 1
        )
        return replace(made, signature=ed25519.sign(seed_of(1), made.sign_bytes(31337)))

    polka, commit = VoteKind.PREVOTE, VoteKind.PRECOMMIT
    yield "the same vote", evidence_of(key, vote(polka, 0, 1), vote(polka, 0, 1))
    yield "two rounds", evidence_of(key, vote(polka, 0, 1), vote(polka, 1, 2))
    yield "two kinds", evidence_of(key, vote(polka, 0, 1), vote(commit, 0, 2))
    heights = vote(polka, 0, 1), vote(polka, 0, 2, height=height - 1)
    yield "two heights", evidence_of(key, *heights)
    yield "a lock let go", evidence_of(key, vote(commit, 1, 1), vote(polka, 3, 2, valid_round=1))
    future = [vote(polka, 0, block, height=height + 1) for block in (1, 2)]
    yield "a future height", evidence_of(key, *future)
    forged = replace(vote(polka, 0, 2), signature=bytes(64))
    yield "a forged signature", evidence_of(key, vote(polka, 0, 1), forged)
    stranger = ed25519.public_key_of(bytes(32))
    yield "no validator", evidence_of(stranger, vote(polka, 0, 1), vote(polka, 0, 2))
    yield "no votes", Evidence(key, bytes(115), bytes(115))


def test_evidence_that_proves_nothing_is_no_part_of_the_block(case: Case) -> None:
    rules, height = case.node.application.rules, case.opened.block.header.number
    for name, piece in pieces(height):
        attachment = replace(case.opened.attachment, evidence=(piece,))
        assert case.refusal(Opened(case.opened.block, attachment)) is BlockReason.INVALID_ORDERS
        whole = whole_of(case.opened.block, encode_attachment(attachment))
        assert not rules.matches(whole), name
        assert not case.node.application.on_evidence(piece), name


def test_a_wrong_part_is_no_reason_against_the_block(case: Case) -> None:
    """Whoever gives it is to blame, not who proposed."""
    rules, whole = case.node.application.rules, case.whole
    opened = case.opened
    brought = opened.attachment
    proof = vrf.prove(seed_of(0), b"something else")
    wrong = [
        replace(whole, transactions=whole.transactions[:-1]),
        replace(whole, transactions=(*whole.transactions[:-1], transfer(3, 9))),
        replace(whole, withdrawals=b"\xc0"),
        replace(whole, withdrawals=b"\x80"),
        replace(whole, attachment=b""),
        replace(whole, attachment=encode_attachment(replace(brought, proof=proof))),
        replace(whole, attachment=encode_attachment(replace(brought, proof=bytes(80)))),
        replace(whole, attachment=encode_attachment(replace(brought, certificate=b""))),
        replace(whole, header=b"\xc0"),
    ]
    assert not any(map(rules.matches, wrong))
    assert rules.matches(whole)


def test_what_comes_late_is_nobodys_fault(case: Case) -> None:
    height = case.opened.block.header.number
    late = replace(case.whole, attachment=b"")
    case.cluster.submit(transfer(1, 0))
    case.cluster.run(lambda: case.node.chain.head.number >= height)
    assert case.node.application.rules.matches(case.whole)
    assert not case.node.application.rules.matches(late), "no block at all"


def validated(case: Case, round: int | None, body: bytes | None, limit_s: float = 1) -> list[Any]:
    answers: list[Any] = []
    case.node.application.validate(
        case.opened.block.header.number,
        round,
        case.whole.block_id,
        body,
        b"",
        lambda record, reason: answers.append((record, reason)),
    )
    stop_ns = case.cluster.now_ns + int(limit_s * SECOND)
    case.cluster.at(int(limit_s * SECOND), lambda: None)
    case.cluster.run(lambda: bool(answers) or case.cluster.now_ns >= stop_ns, seconds=limit_s + 1)
    return answers


def test_a_block_is_fetched_judged_and_kept(case: Case) -> None:
    """Without a body it comes from whoever has it."""
    (answer,) = validated(case, 0, None)
    assert answer == (encode_record(case.whole), "")
    found = case.node.application.find_block(case.whole.block_id)
    assert found == case.whole
    case.cluster.now_ns += 20 * SECOND
    (answer,) = validated(case, 0, None)
    assert answer[0] is None
    assert "too early or too late" in answer[1]
    (answer,) = validated(case, None, None)
    assert answer[0] is not None


def test_a_record_gives_the_block_back(case: Case) -> None:
    """As after a restart, with nobody to ask."""
    height, block_id = case.opened.block.header.number, case.whole.block_id
    for other in case.cluster.nodes:
        other.application._blocks.clear()
    case.node.application.restore(height, block_id, encode_record(case.whole))
    (answer,) = validated(case, None, None)
    assert answer[0] == encode_record(case.whole)
