"""Governance: those who have bonded SPIRIT decide over parameters, rates and the treasury.

    contract.py     the functions
    storage.py      records, events, errors, parameters, limits

One proposal's way, in blocks:

    propose         takes the deposit and keeps the calls
    + votingDelay   voting begins; a vote weighs what its account had bonded one block before
    + votingPeriod  voting ends; it passed when
                      all votes      >= quorum * all that was bonded,
                      veto           <= vetoThreshold * all votes, and
                      yes            >  threshold * (yes + no + veto)
    + timelock      execute makes the calls, from this contract's address, all or none
    + grace         it can no longer be executed

Who delegated votes with what it bonded; nobody votes for others, and moving or unbonding stake
after the snapshot changes nothing, so no stake votes twice.

The deposit goes back when a proposal is executed, defeated, expired, or cancelled before voting
began. It is burnt when the proposal was vetoed, missed the quorum, or was cancelled during voting.

The treasury is what this contract's address holds, of every token, besides the deposits.
"""

from ghostchain.contracts.governance.contract import Governance

__all__ = ["Governance"]
