"""`ghostd`: the node as a process, made of rooms that do not know each other.

Start: `cli.py` reads options into a `configuration.py` record; `running.py` opens the chain (which
recovers by itself after a kill), restores the pool from its journal, starts JSON-RPC and the
sealer, and says what runs where. Stop: the same in the opposite order, on SIGTERM or SIGINT.

A transaction's way: JSON-RPC hands raw bytes to `backend.py`, which gives whole batches to the pool
on an admission thread; what is accepted wakes the `sealer.py`, which asks `sealing.py` when to
begin, takes the best of the pool and builds the next block on the writer thread; the chain commits
it and tells its listeners: first `following.py`, through which the pool forgets what was included,
then whoever tells subscribers of the head.

Where validators decide about blocks, `application.py` makes them out of the same candidates
(`candidates.py`), judges those of others by `judging.py`, and commits what consensus decided;
`evidence.py` keeps what proves a validator guilty until a block carries it.

Beside the node: `maintenance.py` (init, import, export, verify, version), and the checking tools
`statetest.py` and `blocktest.py` (the official suites, reported by `conformance.py`), `evmbench.py`
and `wasm.py` (a module judged before it is sent). `engines.py` opens wasmtime with its cache in the
data directory.

Invariants: one thread writes the chain; nothing is acknowledged before it is durable; whatever
stops the sealer stops the node.
"""
