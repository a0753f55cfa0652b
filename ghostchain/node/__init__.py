"""`ghostd`: the node as a process, made of rooms that do not know each other.

Start: `cli.py` reads options into a `configuration.py` record; `running.py` opens the chain (which
recovers by itself after a kill), restores the pool from its journal, starts whoever brings blocks
(`producing.py`), metrics (`monitoring.py`) and JSON-RPC, and says what runs where. Stop: the same
in the opposite order, on SIGTERM or SIGINT. What one part cannot go on after stops the whole node.

A transaction's way: JSON-RPC hands raw bytes to `backend.py`, which gives whole batches to the pool
on an admission thread; what is accepted wakes the `sealer.py`, which asks `sealing.py` when to
begin, takes the best of the pool and builds the next block on the writer thread; the chain commits
it and tells its listeners: first `following.py`, through which the pool forgets what was included,
then whoever tells subscribers of the head.

Where validators decide about blocks, `validating.py` joins consensus with its ports: the log, the
signer (`signing/`), the peers (`networking.py`: QUIC endpoint, gossip, discovery), whoever watches
(`watching.py`, `observing.py`, `presence.py`), and sync (`catching_up.py`, `beginning.py`), to
which consensus gives way while others are ahead. What peers bring for the pool goes through
`admission.py`. `application.py` makes blocks out of the same candidates (`candidates.py`), judges
those of others by `judging.py`, and commits what consensus decided; `evidence.py` keeps what proves
a validator guilty until a block carries it.

A development chain is moved by hand through `development/`, and may begin where another node's
chain stands (`forking.py`). What JSON-RPC runs without making it leaves nothing behind: blocks of
`phantoms.py`, and blocks run once more for their traces (`tracing.py`).

Beside the node: `devnet.py` (a network on one machine), `operator.py` and `keystore.py` (what a
validator's operator does through JSON-RPC), `status.py` (a node for people), `maintenance.py`
(init, import, export, verify, version), and the checking tools `statetest.py` and `blocktest.py`
(the official suites, reported by `conformance.py`), `evmbench.py` and `wasm.py` (a module judged
before it is sent). `engines.py` opens wasmtime with its cache in the data directory.

`syncing.py` has the doors of sync on the chain, `clock.py` the time that all of these are given.

Invariants: one thread at a time writes the chain, the writer's or sync's; nothing is acknowledged
before it is durable; whatever stops the sealer stops the node.
"""
