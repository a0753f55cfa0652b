"""What must hold in every run, whatever breaks: looked at when it could first be seen to fail.

They share nothing with the code under test but the formats: quorums are counted again here, blocks
judged again, certificates taken apart vote by vote.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from ghostchain.consensus.messages import Certificate, Vote
from ghostchain.consensus.validators import ValidatorSet
from ghostchain.encoding.votes import NIL_BLOCK, NO_ROUND, VoteKind
from ghostchain.primitives.types import Hash32
from tests.sim.keys import Verify
from tests.sim.ledger import Chain, Sets

AGREEMENT = "agreement (I4)"
VALIDITY = "validity"
CERTIFIED = "a certificate for each block (I5)"
SIGNED_ONCE = "one signature for each height, round and kind (I1)"
POLKA_FIRST = "a polka before a precommit (I2)"
LOCK_KEPT = "the lock is kept (I3)"
DURABLE_FIRST = "durable before said (I2)"
NOT_REFUSED = "nothing is asked that the signer refuses"
REPLAYED = "the log gives the same state again"
NO_HONEST_PUNISHED = "no honest node is punished"
GUILTY_ONLY = "evidence names only the guilty"
POOLED = "the pool stands on the head"
WHOLE = "a block that was completed is the one of its header"
LIVENESS = "liveness after faults stop"
BOUNDED = "bounded buffers"
NO_DOPPELGANGER = "no honest node takes itself for another"
NO_CRASH = "the code itself does not fail"


class Violation(Exception):
    """Something that must hold does not."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class Judge:
    """Sees what honest nodes sign, decide, punish and report."""

    def __init__(self, chain_id: int, sets: Sets, faulty: frozenset[bytes], verify: Verify) -> None:
        """faulty: the keys of whoever does not follow the protocol."""
        self._chain_id = chain_id
        self._sets = sets
        self._faulty = faulty
        self._verify = verify
        self.chain = Chain(sets)
        self.bodies: dict[Hash32, bytes] = {}
        self._signed: dict[tuple[bytes, int, int, int], tuple[bytes, int]] = {}
        self._precommits: dict[tuple[bytes, int], list[tuple[int, bytes]]] = defaultdict(list)
        self._prevotes: dict[tuple[int, int, bytes], dict[int, int]] = defaultdict(dict)
        self._judged: set[tuple[int, bytes]] = set()
        self.votes = 0
        self.evidence = 0
        self.punishments = 0

    def built(self, block_id: Hash32, body: bytes) -> None:
        """Somebody, honest or not, made a block."""
        self.bodies[block_id] = body

    def signed(self, vote: Vote, key: bytes) -> None:
        """The holder of a key that is honest signed."""
        self.votes += 1
        what = (key, vote.height, vote.round, vote.kind)
        said = (vote.block_id, vote.valid_round)
        before = self._signed.setdefault(what, said)
        if before != said:
            raise Violation(SIGNED_ONCE, f"{_say(vote)} after {before[0].hex()[:8]} {before[1]}")
        validators = self._sets.of(vote.height)
        index = validators.index_of(key)
        if index is None:
            raise Violation(SIGNED_ONCE, f"{_say(vote)} by a key that is not of the set")
        if vote.kind == VoteKind.PREVOTE:
            self._check_prevote(vote, key, validators, validators[index].power)
        elif vote.kind == VoteKind.PRECOMMIT and not vote.is_nil:
            self._precommits[key, vote.height].append((vote.round, vote.block_id))
            power = self._polka_power(vote.height, vote.round, vote.block_id)
            if not self._could_be_quorum(power, validators):
                raise Violation(POLKA_FIRST, f"{_say(vote)}: honest prevotes of power {power}")

    def _check_prevote(self, vote: Vote, key: bytes, validators: ValidatorSet, power: int) -> None:
        for round, block_id in self._precommits.get((key, vote.height), ()):
            if vote.is_nil or block_id == vote.block_id or round >= vote.round:
                continue
            if vote.valid_round < round:
                raise Violation(LOCK_KEPT, f"{_say(vote)} after a precommit in round {round}")
        if vote.is_nil:
            return
        self._check_block(vote.height, vote.block_id)
        if vote.valid_round != NO_ROUND:
            seen = self._polka_power(vote.height, vote.valid_round, vote.block_id)
            if not self._could_be_quorum(seen, validators):
                raise Violation(POLKA_FIRST, f"{_say(vote)}: its polka has honest power {seen}")
        powers = self._prevotes[vote.height, vote.round, vote.block_id]
        powers[vote.valid_round] = powers.get(vote.valid_round, 0) + power

    def _polka_power(self, height: int, round: int, block_id: bytes) -> int:
        """The greatest honest power that prevoted for the block with one valid round."""
        return max(self._prevotes.get((height, round, block_id), {}).values(), default=0)

    def _could_be_quorum(self, power: int, validators: ValidatorSet) -> bool:
        """Whether honest votes of a power and all the faulty ones are more than two thirds."""
        faulty = sum(one.power for one in validators.validators if one.key in self._faulty)
        total = sum(one.power for one in validators.validators)
        return 3 * (power + faulty) > 2 * total

    def _check_block(self, height: int, block_id: Hash32) -> None:
        """An honest node takes the block for a valid one of the height."""
        if (height, block_id) in self._judged:
            return
        body = self.bodies.get(block_id)
        if body is None:
            raise Violation(VALIDITY, f"a vote for {block_id.hex()[:8]}, which nobody made")
        if height != self.chain.height + 1:
            return  # of a height that others have decided: agreement is looked at there
        refusal = self.chain.refusal(body, None)
        if refusal:
            raise Violation(VALIDITY, f"height {height}: a vote for a block that is {refusal}")
        self._judged.add((height, block_id))

    def committed(self, height: int, block_id: Hash32, certificate: Certificate) -> None:
        """An honest node holds the block for final."""
        if height <= self.chain.height:
            if self.chain.ids[height] != block_id:
                other = self.chain.ids[height].hex()[:8]
                raise Violation(AGREEMENT, f"height {height}: {other} and {block_id.hex()[:8]}")
        else:
            self._check_block(height, block_id)
        self._check_certificate(height, block_id, certificate)
        if height == self.chain.height + 1:
            self.chain.extend(self.bodies[block_id], certificate)

    def _check_certificate(self, height: int, block_id: Hash32, certificate: Certificate) -> None:
        validators = self._sets.of(height)
        signers = certificate.signers
        said = (certificate.kind, certificate.height, certificate.block_id, certificate.size)
        if said != (VoteKind.PRECOMMIT, height, block_id, len(validators)):
            raise Violation(CERTIFIED, f"height {height}: it says {said}")
        if list(signers) != sorted(set(signers)) or len(signers) != len(certificate.signatures):
            raise Violation(CERTIFIED, f"height {height}: signers {signers}")
        power = sum(validators[signer].power for signer in signers)
        if 3 * power <= 2 * sum(one.power for one in validators.validators):
            raise Violation(CERTIFIED, f"height {height}: power {power} of {validators.total}")
        bare = Vote(VoteKind.PRECOMMIT, height, certificate.round, block_id, NO_ROUND, 0)
        message = bare.sign_bytes(self._chain_id)
        items = [
            (validators[signer].key, message, signature)
            for signer, signature in zip(signers, certificate.signatures, strict=True)
        ]
        if not all(self._verify(items)):
            raise Violation(CERTIFIED, f"height {height}: a signature that is not its signer's")

    def punished(self, who: str, is_honest: bool, reason: str) -> None:
        """An honest node punished a peer."""
        self.punishments += 1
        if is_honest:
            raise Violation(NO_HONEST_PUNISHED, f"{who}: {reason}")

    def reported(self, key: bytes, first: Vote, second: Vote) -> None:
        """An honest node has evidence against the holder of a key."""
        self.evidence += 1
        if key not in self._faulty:
            raise Violation(GUILTY_ONLY, f"{_say(first)} and {_say(second)}")
        items = [(key, vote.sign_bytes(self._chain_id), vote.signature) for vote in (first, second)]
        if not all(self._verify(items)):
            raise Violation(GUILTY_ONLY, "evidence with a signature that is not its signer's")
        if not _contradict(first, second):
            raise Violation(GUILTY_ONLY, f"no contradiction: {_say(first)} and {_say(second)}")


def _contradict(first: Vote, second: Vote) -> bool:
    """Whether no honest validator signs both."""
    if first.height != second.height:
        return False
    if (first.kind, first.round) == (second.kind, second.round):
        bare = replace(first, signature=b"", validator=0)
        return bare != replace(second, signature=b"", validator=0)
    return (
        (first.kind, second.kind) == (VoteKind.PRECOMMIT, VoteKind.PREVOTE)
        and NIL_BLOCK not in (first.block_id, second.block_id)
        and first.block_id != second.block_id
        and second.valid_round < first.round < second.round
    )


def _say(vote: Vote) -> str:
    name = "nil" if vote.is_nil else vote.block_id.hex()[:8]
    kind = vote.kind.name.lower()
    return f"{kind} {name} at {vote.height}/{vote.round} (valid {vote.valid_round})"
