"""What running Python costs: the one table of prices for native contracts.

Everything that touches the world (storage, logs, calls, balances, code) has the EVM's price and is
charged by the host. What is here pays for the interpreter's time between those.

The measure: a native contract must not run slower per gas than the slowest thing an attacker can
buy elsewhere, and a block must stay executable in about its own block time. Thirty million gas a
second is that floor, so a microsecond of Python is worth 30 gas. Entering a contract (the callback,
the message, dispatch) was measured at 10 to 15 microseconds, decoding or encoding a word at half of
one, a storage key's hash at 1.2. `benchmarks/bench_contracts.py` measures gas a second of calls
that Python answers; the worst is to stay above the floor.

A loop in a contract whose length a caller chooses pays `STEP` for each round, by
`NativeContract.charge`, unless each round touches storage (100 gas at least, which pays for it).
"""

from __future__ import annotations

DISPATCH = 1_500
"""Entering a contract: building its message, finding the function, leaving again."""

COPY_WORD = 3
"""Taking over 32 bytes of call data, as CALLDATACOPY; known to `execution/contracts.py` too."""

WORD = 18
"""Decoding or encoding 32 bytes of arguments, results, event data or call data."""

HASH = 42
"""The key of a mapping's entry or of an array's data: KECCAK256 of two words, as the EVM has it."""

STEP = 30
"""About a microsecond of Python: a round of a loop with some arithmetic."""

# The hosts' prices are the EVM's; these are for the in-memory host and for reading.
WARM_ACCESS = 100
COLD_SLOT = 2_100
COLD_ACCOUNT = 2_600
STORE_SET = 20_000
STORE_CHANGE = 2_900
LOG = 375
LOG_TOPIC = 375
LOG_BYTE = 8
CALL_VALUE = 9_000
CALL_STIPEND = 2_300
NEW_ACCOUNT = 25_000
STORE_SENTRY = 2_300

# The calls of the four tokens that blocks are full of run in C (native/contracts/tokens.c): a flat
# price each, about what the same steps cost in EVM bytecode. The kernel's tests compare the tables.
TOKEN_TRANSFER = 300
TOKEN_TRANSFER_FROM = 450
TOKEN_APPROVE = 250
TOKEN_BALANCE_OF = 100
TOKEN_ALLOWANCE = 150
TOKEN_CONSTANT = 60

RECOVER = 3_000
"""Recovering the signer of a digest: as ECRECOVER."""
