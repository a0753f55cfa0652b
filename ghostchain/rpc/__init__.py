"""JSON-RPC: how wallets, libraries, explorers and our own services speak to a node.

One request through this package: `server.py` takes bytes from HTTP or a WebSocket; `protocol.py`
(no I/O) turns them into calls or into JSON-RPC errors, within limits on size, nesting and batch
length; `dispatch.py` looks each call up in the table made of `methods/`, checks its parameters
against the method's own list (`parameters.py`) and runs it: cheap reads on the event loop, slow
work (calls, estimates, logs, proofs) in a bounded thread pool with a deadline, raw transactions
together in one admission per batch (`submission.py`). The answer is rendered (`render.py`) from
what a `Backend` gave. The backend (`backend.py`) is the only thing here that knows a node: it is a
`Protocol`, the node gives one, tests give another.

What never changes:
- Every input has an answer: a result or a JSON-RPC error object. No input drops a connection or
  shows a traceback.
- Codes and wording are those that ethers, viem, web3.py and Foundry parse (`errors.py`, one
  table).
- Everything is bounded: bodies, batches, responses, filters, subscriptions, send queues, threads,
  gas of a call.
- A committed block is final, so filters and subscriptions only ever move forward: a poll reads
  the blocks since the last one, and no log is ever taken back.

Blocks that nobody makes are run by `simulation/`, on what `phantoms.py` asks of a node; what a
tracer shows is in `tracers/`. The protocol's contracts are read by `views.py`. `client.py` is the
other end, what services use to reach a node; `sending.py` is how it builds and signs transactions
of types 0x7b and 0x47.
"""
