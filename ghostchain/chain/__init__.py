"""The chain: from a genesis to a head, one final block at a time.

`chain.py` is the door. `Chain.open` claims a data directory and recovers it (`opening.py`);
`build_block` makes the next block out of candidates, `import_block` takes one that somebody else
made. Both end in the same commit (`writer.py`):

    decode, recover → execute → state root → header checked or made
        → records appended → one synchronous batch → new head is published

Blocks that come in a row overlap (`importing.py`) and are written several at once.

Where many validators decide (`config.ghost.consensus`) the commit comes later: `draft` makes a
block, `check` judges one, and `commit` makes the one that was decided the head, with its commit
certificate and attachment beside it. A block that was being committed when the process was killed
is then cut off, not finished: whoever decided it has it in a log.

What a block must satisfy stands in `validation.py`, what its fees must be in `fees.py` (integers
only), which rules hold when in `config.py`, block zero in `genesis.py`, and what it says of the
protocol's contracts in `economy.py`; what fees in tokens cost reads `fee_tokens.py`, who votes at a
height `validators.py`; what consensus makes a block say is in `seals.py`. The networks with a name
(`networks.py`) are geth genesis files in `genesis/`. How blocks lie on disk: `records.py` (bodies
and receipts), `journal.py` (one sync for a small block), `index.py` (headers, hashes,
transactions), `logs.py` (blooms and log search), `places.py` (where records are, for that search).
`columns.py` takes what is kept of a block out of the native core without a Python object for each
transaction, `replaying.py` makes a block ready to run once more. `transfer.py` reads and writes
chain files, `proving.py` proves the states of recent blocks, `verify.py` recomputes the state root
from the flat state, `snapshot.py` writes the state in chunks for nodes that begin from it, and
begins there.

A chain without consensus is one node's own and can be moved by hand: `amend` changes accounts of
the head (`amendments.py`), blocks may begin with such changes and have headers and senders as said,
`rewind` takes blocks back (`rewinding.py`), and many empty ones are made at once (`growing.py`).

Invariants: a committed block never changes and, but for a rewind, is never undone; the head that
readers see is durable; a reader's answers belong to one block; a block that fails any check leaves
nothing behind.
"""
