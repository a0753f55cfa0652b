"""The contracts that come with the protocol: tokens, staking, governance and what they share.

Each is a Python class (`framework/`) at a fixed address (`addresses.py`); the account there has the
three bytes `ef 47 id` as its code, and the executor runs the class with that id when it is called,
from any engine. Storage is ordinary storage: proofs, explorers and `eth_getStorageAt` see it.

    framework/      what a contract is made of; begin there
    addresses.py    ids and addresses
    registry.py     which class has which id
    genesis.py      how the contracts stand in block zero
    tokens.py       GCC, SPIRIT, MANA, GHOST
    staking/        stake, validators and their sets, rewards
    slashing.py     double signing and downtime
    governance/     proposals, votes, the treasury
    feemarket.py    what a fee costs in each token
    governed.py     parameters that governance sets
    economy.py      who begins with what
    customary/      Multicall3 and the deployment proxy, which tools expect; EVM code

Invariants:
- A contract runs as itself alone: not by DELEGATECALL or CALLCODE, not behind a delegation.
- What a contract decides depends on the message, the block and the storage, and on nothing else.
"""
