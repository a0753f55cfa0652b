"""Execution: what a block or a message does to the state, bit for bit as Ethereum says, and on a
hybrid chain what WASM and native contracts and two more types of transactions do besides.

The work is done in native code (`native/executor`, `native/evm`, `native/precompiles`,
`native/wasm`, `native/contracts`); this package is its door. A block goes through one call:

    TransactionBatch ──┐
    BlockEnvironment ──┼─> Executor.run_block ──> BlockResult: roots, receipts, logs, requests,
    withdrawals ───────┘         │   ▲                         and the net ChangeSet
                                 ▼   │ once per miss
                               StateView: account, slot, code, block hash

    Executor.commit()   the result is the state from now on
    Executor.discard()  nothing happened

`executor.py` holds the door, `forks.py` the forks and what differs between them, `views.py` a
state in memory, `precompiles.py` a way to call one precompiled contract alone. Which engine runs a
code says `engines.py`; `wasm.py` checks modules, `wasm_engine.py` opens wasmtime for all executors
of the process, `contracts.py` is what a native contract in Python sees of the world. `traces.py`
gives the call frames of all engines.

Invariants:
- The executor never invents state: what it does not hold it asks of the view, once per miss; what
  a view raises reaches the caller of `run_block` or `call` unchanged, and the block is discarded.
- A result is exact and net: an account or slot that ends as it began is not in the ChangeSet.
- Nothing per transaction, per opcode or per log happens in Python, but for calls of native
  contracts other than the tokens' busiest.
- What a result points to lives in native memory until commit or discard, and says so afterwards
  instead of reading what is no longer there.

Adding a fork: a row in `forks.py`, its number in `native/evm/evm.h`, its rows in the native tables.
"""
