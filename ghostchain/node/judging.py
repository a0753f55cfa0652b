"""What a block of a chain with consensus must be, beside valid to the executor: who proposed it,
what it commits to, what it orders. `chain/seals.py` has the formulas, here blocks are held to them.

Two questions. Is this the block that the header stands for (`matches`)? Parts come from peers, and
a wrong part must not make a good block look bad: it is another part that is then wanted. And may
this block follow the head (`check`)? A no is for ever, but for what is asked of a new one only.
"""

from __future__ import annotations

from dataclasses import dataclass

from ghostchain.chain import seals
from ghostchain.chain.chain import Chain
from ghostchain.chain.validation import check_next
from ghostchain.chain.validators import ValidatorReader, ValidatorRecord
from ghostchain.consensus.certificates import Verify, check_commit
from ghostchain.consensus.messages import Certificate, InvalidMessage, decode_message
from ghostchain.consensus.validators import Validator, ValidatorSet
from ghostchain.crypto import vrf
from ghostchain.encoding.attachments import Attachment, decode_attachment
from ghostchain.encoding.blocks import (
    decode_header,
    decode_withdrawals,
    encode_header,
    encode_withdrawal,
    encode_withdrawals,
)
from ghostchain.node.evidence import Guilt, guilt_of
from ghostchain.p2p.compact import whole_block
from ghostchain.p2p.effects import WholeBlock
from ghostchain.primitives.block import Block, Withdrawal
from ghostchain.primitives.errors import BlockReason, InvalidBlock, InvalidEncoding
from ghostchain.primitives.header import Header
from ghostchain.primitives.types import Address, Hash32
from ghostchain.trie.merkle import ordered_root

SETS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Opened:
    """A whole block, decoded."""

    block: Block
    attachment: Attachment


def open_block(whole: WholeBlock) -> Opened:
    """Raises: InvalidBlock, InvalidEncoding."""
    header = decode_header(whole.header)
    withdrawals = decode_withdrawals(whole.withdrawals)
    return Opened(
        Block(header, whole.transactions, withdrawals), decode_attachment(whole.attachment)
    )


def whole_of(block: Block, attachment: bytes) -> WholeBlock:
    """A block as peers are given it."""
    return whole_block(
        encode_header(block.header),
        block.transactions,
        encode_withdrawals(block.withdrawals),
        attachment,
    )


class BlockRules:
    """The rules at the head of one chain. Any thread; the chain must not get on meanwhile."""

    def __init__(self, chain: Chain, verify: Verify) -> None:
        self.chain = chain
        self.reader = ValidatorReader(chain)
        self.verify = verify
        self._sets: dict[tuple[ValidatorRecord, ...], ValidatorSet] = {}
        # The last certificate that held: rounds of a height bring the same one again and again.
        self._held: tuple[bytes, Hash32, Certificate] | None = None

    # ---- what holds at a height ----

    def validators(self, height: int) -> ValidatorSet | None:
        """Who votes at that height; None when it is not known yet, or not any more."""
        records = self.reader.at(height)
        if records is None:
            return None
        found = self._sets.get(records)
        if found is None:
            found = ValidatorSet(Validator(one.operator, one.key, one.power) for one in records)
            if len(self._sets) >= SETS_KEPT:
                self._sets = {}
            self._sets[records] = found
        return found

    def known(self, height: int) -> ValidatorSet:
        """The same where it must be known: up to two heights after the head."""
        found = self.validators(height)
        assert found is not None, f"nobody votes at height {height}"
        return found

    def proposer(self, height: int, round: int) -> Validator:
        validators = self.known(height)
        return validators[validators.proposer(height, round)]

    def random_input(self) -> bytes:
        """Of the VRF for the block after the head."""
        head = self.chain.head
        return seals.random_input(self.chain.config.chain_id, head.number + 1, head.prev_randao)

    def seal_root(self, certificate: bytes) -> Hash32:
        """Of the block after the head. certificate: of the head."""
        return seals.seal_root(certificate, self.known(self.chain.head.number + 2).hash)

    def certificate(self, data: bytes) -> Certificate | None:
        """The head's commit certificate out of its bytes; None for none, where the head is genesis.

        Raises: InvalidBlock INVALID_CERTIFICATE.
        """
        head, head_hash, _ = self.chain.latest()
        held = self._held
        if head.number == 0 and not data:
            return None
        if held is not None and held[:2] == (data, head_hash):
            return held[2]
        try:
            found = decode_message(data)
            if head.number == 0 or not isinstance(found, Certificate):
                raise InvalidBlock(BlockReason.INVALID_CERTIFICATE, "no certificate of the parent")
            check_commit(
                found,
                self.known(head.number),
                chain_id=self.chain.config.chain_id,
                height=head.number,
                block_id=head_hash,
                verify=self.verify,
            )
        except InvalidMessage as refusal:
            raise InvalidBlock(BlockReason.INVALID_CERTIFICATE, str(refusal)) from refusal
        self._held = data, head_hash, found
        return found

    def missing(self, certificate: Certificate | None) -> list[Address]:
        """The operators of the validators that the head's certificate lacks, in the set's order."""
        if certificate is None:
            return []
        signers = set(certificate.signers)
        validators = self.known(certificate.height).validators
        return [one.operator for index, one in enumerate(validators) if index not in signers]

    def orders(
        self, timestamp: int, certificate: Certificate | None, guilty: list[Guilt]
    ) -> tuple[Withdrawal, ...]:
        """The withdrawals of the block after the head."""
        head = self.chain.head
        rate = self.reader.reward_per_second()
        return seals.orders(
            head.number + 1,
            seals.reward_gwei(rate, timestamp, head.timestamp),
            self.missing(certificate),
            [(one.height, one.operator) for one in guilty],
        )

    def guilty(self, attachment: Attachment) -> list[Guilt]:
        """Whom the evidence convicts. Raises: InvalidBlock INVALID_ORDERS when a piece convicts
        nobody, or two the same."""
        found: list[Guilt] = []
        for evidence in attachment.evidence:
            guilt = guilt_of(evidence, self.chain.config.chain_id, self.reader, self.verify)
            if guilt is None or any(guilt.operator == one.operator for one in found):
                raise InvalidBlock(BlockReason.INVALID_ORDERS, "evidence that convicts nobody")
            found.append(guilt)
        return found

    # ---- judging ----

    def matches(self, whole: WholeBlock) -> bool:
        """Whether the transactions, withdrawals and attachment are what the header commits to, for
        a block at the height after the head. Of another height, which nobody wants any more: True,
        so that nobody is blamed for being late.

        Cost: hashing the transactions, and one VRF proof; a slot or two.
        """
        head = self.chain.head
        try:
            belongs = self._belongs(whole, open_block(whole))
        except (InvalidBlock, InvalidEncoding):
            belongs = False
        return belongs or self.chain.head is not head

    def _belongs(self, whole: WholeBlock, opened: Opened) -> bool:
        header, attachment = opened.block.header, opened.attachment
        if header.number != self.chain.head.number + 1:
            return header.number <= self.chain.head.number
        paid = [encode_withdrawal(one) for one in opened.block.withdrawals]
        if header.withdrawals_root != ordered_root(paid):
            return False
        if header.transactions_root != ordered_root(whole.transactions):
            return False
        if header.parent_beacon_block_root != self.seal_root(attachment.certificate):
            return False
        told = [(one.validator_index, one.address) for one in opened.block.withdrawals]
        accused = [one for one in told if one[0]]
        if accused != [(one.height, one.operator) for one in self.guilty(attachment)]:
            return False
        return self._output(header, attachment) is not None

    def _output(self, header: Header, attachment: Attachment) -> bytes | None:
        key = self.proposer(header.number, seals.round_of(header)).key
        return vrf.verify(key, self.random_input(), attachment.proof)

    def check(self, opened: Opened, *, round: int | None, now_s: float) -> None:
        """The block may follow the head, as far as consensus asks. round: in which it is proposed
        for the first time; None: when it was proposed is not asked.

        Raises: InvalidBlock.
        """
        head, header, attachment = self.chain.head, opened.block.header, opened.attachment
        check_next(self.chain.config, header, head, self.chain.head_hash)
        seals.check_time(header, head)
        proposer = self.proposer(header.number, seals.round_of(header))
        if round is not None:
            seals.check_proposed_now(header, round, now_s)
        if header.coinbase != self.reader.coinbase(proposer.operator):
            raise InvalidBlock(BlockReason.INVALID_PROPOSER, f"0x{header.coinbase.hex()}")
        if header.parent_beacon_block_root != self.seal_root(attachment.certificate):
            raise InvalidBlock(BlockReason.INVALID_SEAL)
        output = self._output(header, attachment)
        if output is None or header.prev_randao != seals.mixed(head.prev_randao, output):
            raise InvalidBlock(BlockReason.INVALID_RANDOMNESS)
        certificate = self.certificate(attachment.certificate)
        guilty = self.guilty(attachment)
        if opened.block.withdrawals != self.orders(header.timestamp, certificate, guilty):
            raise InvalidBlock(BlockReason.INVALID_ORDERS)
