"""Staking: SPIRIT bonded with validators, who earn GCC and MANA and answer with it.

    contract.py     the functions
    storage.py      records, events, errors, parameters, limits
    pool.py         tokens and shares of a validator; its power
    exits.py        unbonding, moves between validators, slashes
    rewards.py      indices by share, commission, MANA for proposers
    validators.py   creation, commission, the list, the set of an epoch
    traces.py       values with a history

Invariants, checked after every step of tests/property/test_economy.py:
- The SPIRIT of this contract is `bonded + unbonding` (and what somebody sent it by mistake):
  bonded is the sum of all validators' tokens, unbonding of all exits'.
- A validator's shares are the sum of its delegations' shares; an exit's, of its entries'.
- What was paid, is credited or pending never exceeds what came in, for each reward token; the
  difference is less than one wei for each reward and each crediting.
- Every effect on storage comes before the call that moves a token, and token contracts call nobody:
  nothing can come back in.
"""

from ghostchain.contracts.staking.contract import Staking

__all__ = ["Staking"]
