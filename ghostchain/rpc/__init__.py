"""JSON-RPC: how wallets, libraries, explorers and our own services speak to a node.

One request through this package: `http.py`, `websocket.py` or, for the node's operator,
`operator.py` takes bytes from a client (`server.py` opens the doors, `reception.py` has all who are
connected, `access.py` says who may ask, `asking.py` how fast, and how much is made for whom at a
time); `protocol.py` (no I/O) turns them into calls or into JSON-RPC errors, within limits on size,
nesting and batch length; `dispatch.py` looks each call up
in the table made of `methods/`, if the door it came through offers it, checks its parameters
against the method's own list (`parameters.py`) and runs it: cheap reads and what is soon done on
the event loop, slow work (long calls, logs, proofs) in a bounded thread pool with a deadline, raw
transactions together in one admission per batch (`submission.py`). On a fork, what is older than it
goes to the remote (`routing.py`). The answer is rendered (`render.py`) from what a `Backend` gave.
The backend (`backend.py`) is the only thing here that knows a node: it is a `Protocol`, the node
gives one, tests give another.

What never changes:
- Every input has an answer: a result or a JSON-RPC error object. No input drops a connection or
  shows a traceback.
- Codes and wording are those that ethers, viem, web3.py and Foundry parse (`errors.py`, one
  table).
- Everything is bounded: bodies, batches, responses, filters, subscriptions, send queues, threads,
  gas of a call.
- Filters and subscriptions move forward: a poll reads the blocks since the last one, and no log is
  ever taken back, since a committed block is final. Only a development chain is moved back, by its
  owner's hand (`development.py`); both then go on from where it stands.

Blocks that nobody makes are run by `simulation/`, on what `phantoms.py` asks of a node; what a
tracer shows is in `tracers/`. The protocol's contracts are read by `views.py`. `client.py` is the
other end, what services use to reach a node; `sending.py` is how it builds and signs transactions
of types 0x7b and 0x47.
"""
