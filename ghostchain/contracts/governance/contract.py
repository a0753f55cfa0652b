"""The governance contract: its functions."""

from __future__ import annotations

from ghostchain.contracts.addresses import GOVERNANCE, SPIRIT, STAKING
from ghostchain.contracts.framework import (
    Address,
    Bytes32,
    UInt8,
    UInt256,
    external,
    receive,
    view,
)
from ghostchain.contracts.governance.storage import (
    CALL_BYTES_MAX,
    CALLS_MAX,
    PAGE_MAX,
    CallView,
    Choice,
    GovernanceStorage,
    Proposal,
    ProposalView,
    State,
)
from ghostchain.contracts.governed import WAD
from ghostchain.contracts.staking import Staking
from ghostchain.contracts.tokens import Spirit

_TALLIES = {Choice.NO: "no", Choice.YES: "yes", Choice.ABSTAIN: "abstain", Choice.VETO: "veto"}
_RETURNED = (State.DEFEATED, State.EXPIRED)
_BURNT = (State.WITHOUT_QUORUM, State.VETOED)


class Governance(GovernanceStorage):
    """See the package. Ids of proposals begin with 1."""

    # -- what users do --

    @external
    def propose(
        self,
        targets: list[Address],
        values: list[UInt256],
        datas: list[bytes],
        description: Bytes32,
    ) -> UInt256:
        """A proposal to make these calls: its id. Takes `minDeposit` of SPIRIT, which needs the
        sender's allowance for this contract. description: keccak256 of its text.

        Raises: CallCount (1 to 16), CallLengths, CallTooLarge; the token's errors.
        """
        if not 1 <= len(targets) <= CALLS_MAX:
            raise self.CallCount(len(targets), CALLS_MAX)
        if not len(targets) == len(values) == len(datas):
            raise self.CallLengths(len(targets), len(values), len(datas))
        sender, limits, id = self.msg.sender, self.limits, self.count + 1
        self.count = id
        proposal = self.records[id]
        proposal.proposer, proposal.description = sender, description
        starts = self.block.number + limits.voting_delay
        ends = starts + limits.voting_period - 1
        ready = ends + 1 + limits.timelock
        proposal.starts, proposal.ends, proposal.ready = starts, ends, ready
        proposal.expires = ready + limits.grace - 1
        proposal.quorum, proposal.threshold = limits.quorum, limits.threshold
        proposal.veto_threshold = limits.veto_threshold
        for index, (target, value, data) in enumerate(zip(targets, values, datas, strict=True)):
            if len(data) > CALL_BYTES_MAX:
                raise self.CallTooLarge(index, CALL_BYTES_MAX)
            call = proposal.calls.add()
            call.target, call.value, call.data = target, value, data
        deposit = limits.min_deposit
        proposal.deposit = deposit
        self.deposits += deposit
        self.at(Spirit, SPIRIT).transfer_from(sender, GOVERNANCE, deposit)
        self.emit(self.Proposed, id, sender, starts, ends, description)
        return id

    @external
    def vote(self, id: UInt256, choice: UInt8) -> UInt256:
        """The sender votes with what it had bonded, one block before voting began, with those
        validators with whom it has stake now: the weight, in wei.

        Raises: UnknownProposal, WrongState, UnknownChoice, AlreadyVoted, NoVotes.
        """
        validators = self.at(Staking, STAKING).validatorsOf(self.msg.sender)
        return self._vote(id, choice, validators)

    @external
    def voteWith(self, id: UInt256, choice: UInt8, validators: list[Address]) -> UInt256:
        """As vote, with the validators named, rising by address: for who has left one since."""
        return self._vote(id, choice, validators)

    def _vote(self, id: int, choice: int, validators: list[Address]) -> int:
        proposal, voter = self.known(id), self.msg.sender
        self._require(id, proposal, State.ACTIVE)
        if choice not in _TALLIES:
            raise self.UnknownChoice(choice)
        ballot = proposal.ballots[voter]
        if ballot.weight:
            raise self.AlreadyVoted(id, voter)
        staking = self.at(Staking, STAKING)
        weight = staking.votesAt(voter, validators, proposal.starts - 1)
        if weight == 0:
            raise self.NoVotes(voter)
        ballot.weight, ballot.choice = weight, choice
        name = _TALLIES[Choice(choice)]
        setattr(proposal, name, getattr(proposal, name) + weight)
        self.emit(self.Voted, id, voter, choice, weight)
        return weight

    @external(locked=True)
    def execute(self, id: UInt256) -> None:
        """The calls are made, in order, all or none; the deposit goes back. For anybody.

        Raises: UnknownProposal, WrongState, CallFailed with what the call reverted with, NoCode for
        call data to an account without code, DepositsSpent when others' deposits would be gone.
        """
        proposal = self.known(id)
        self._require(id, proposal, State.READY)
        proposal.is_executed = True
        self._return_deposit(id, proposal)
        for index, call in enumerate(proposal.calls):
            target, data = call.target, call.data
            if data and not self.code_of(target):
                raise self.NoCode(index, target)
            success, output = self.try_call(target, data, value=call.value)
            if not success:
                raise self.CallFailed(index, output)
        held = self.at(Spirit, SPIRIT).balanceOf(GOVERNANCE)
        if held < self.deposits:
            raise self.DepositsSpent(held, self.deposits)
        self.emit(self.Executed, id)

    @external
    def cancel(self, id: UInt256) -> None:
        """The sender takes its proposal back, until voting ends. Once voting has begun the deposit
        is burnt. Raises: UnknownProposal, OnlyProposer, WrongState."""
        proposal = self.known(id)
        if self.msg.sender != proposal.proposer:
            raise self.OnlyProposer(self.msg.sender)
        state = self._require(id, proposal, State.PENDING, State.ACTIVE)
        proposal.is_cancelled = True
        if state == State.PENDING:
            self._return_deposit(id, proposal)
        else:
            self._burn_deposit(id, proposal)
        self.emit(self.Cancelled, id)

    @external
    def close(self, id: UInt256) -> None:
        """The deposit of a proposal that failed goes back, or is burnt. For anybody.

        Raises: UnknownProposal, WrongState, NothingHeld when that was done.
        """
        proposal = self.known(id)
        state = self._require(id, proposal, *_RETURNED, *_BURNT)
        if proposal.deposit == 0:
            raise self.NothingHeld(id)
        if state in _RETURNED:
            self._return_deposit(id, proposal)
        else:
            self._burn_deposit(id, proposal)

    @receive
    def fund(self) -> None:
        """GCC for the treasury."""

    # -- how it is done --

    def _require(self, id: int, proposal: Proposal, *states: State) -> State:
        state = self._state(proposal)
        if state not in states:
            raise self.WrongState(id, state)
        return state

    def _state(self, proposal: Proposal) -> State:
        number = self.block.number
        if proposal.is_executed:
            return State.EXECUTED
        if proposal.is_cancelled:
            return State.CANCELLED
        if number < proposal.starts:
            return State.PENDING
        if number <= proposal.ends:
            return State.ACTIVE
        outcome = self._outcome(proposal)
        if outcome is not None:
            return outcome
        if number < proposal.ready:
            return State.QUEUED
        return State.READY if number <= proposal.expires else State.EXPIRED

    def _outcome(self, proposal: Proposal) -> State | None:
        """Why the proposal failed; None when it passed."""
        no, yes, veto = proposal.no, proposal.yes, proposal.veto
        turnout = no + yes + veto + proposal.abstain
        bonded = self.at(Staking, STAKING).bondedAt(proposal.starts - 1)
        if turnout == 0 or turnout * WAD < proposal.quorum * bonded:
            return State.WITHOUT_QUORUM
        if veto * WAD > proposal.veto_threshold * turnout:
            return State.VETOED
        if yes * WAD > proposal.threshold * (yes + no + veto):
            return None
        return State.DEFEATED

    def _return_deposit(self, id: int, proposal: Proposal) -> None:
        amount = self._release(proposal)
        self.at(Spirit, SPIRIT).transfer(proposal.proposer, amount)
        self.emit(self.DepositReturned, id, proposal.proposer, amount)

    def _burn_deposit(self, id: int, proposal: Proposal) -> None:
        amount = self._release(proposal)
        self.at(Spirit, SPIRIT).burn(amount)
        self.emit(self.DepositBurnt, id, amount)

    def _release(self, proposal: Proposal) -> int:
        amount = proposal.deposit
        proposal.deposit = 0
        self.deposits -= amount
        return amount

    # -- views --

    @view
    def state(self, id: UInt256) -> UInt8:
        """Where the proposal stands, as `State`. Raises: UnknownProposal."""
        return self._state(self.known(id))

    @view
    def proposal(self, id: UInt256) -> ProposalView:
        """Raises: UnknownProposal."""
        record = self.known(id)
        bonded = 0
        if self.block.number >= record.starts:
            bonded = self.at(Staking, STAKING).bondedAt(record.starts - 1)
        return ProposalView(
            id=id,
            proposer=record.proposer,
            state=self._state(record),
            starts=record.starts,
            ends=record.ends,
            ready=record.ready,
            expires=record.expires,
            deposit=record.deposit,
            description=record.description,
            no=record.no,
            yes=record.yes,
            abstain=record.abstain,
            veto=record.veto,
            bonded=bonded,
            calls=[CallView(call.target, call.value, call.data) for call in record.calls],
        )

    @view(returns=("page", "total"))
    def proposals(self, offset: UInt256, limit: UInt256) -> tuple[list[ProposalView], UInt256]:
        """A page, oldest first, and how many there are."""
        total = self.count
        stop = min(total, offset + min(limit, PAGE_MAX))
        return [self.proposal(place + 1) for place in range(offset, stop)], total

    @view(returns=("choice", "weight"))
    def ballot(self, id: UInt256, voter: Address) -> tuple[UInt8, UInt256]:
        """How an account voted; weight 0: it has not. Raises: UnknownProposal."""
        ballot = self.known(id).ballots[voter]
        return ballot.choice, ballot.weight

    @view
    def heldDeposits(self) -> UInt256:
        """SPIRIT of this contract that is not the treasury's, in wei."""
        return self.deposits
