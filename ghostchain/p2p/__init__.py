"""Whom to know, whom to trust with what, and what of transactions and blocks to pass on.

One transaction's way: a peer pushes it, or announces its hash and is asked for it (`gossip.py`);
whatever was not seen before goes to the pool, and what the pool accepts goes to the square root of
the peers as it is and to the others as a hash.

One block's way: its proposal comes with a body, the header and the hashes of its transactions;
`compact.py` takes them from the pool, asks for what is missing, and has the block when its header
commits to all of it.

One peer's way: its signed address comes from a bootnode or from others (`book.py`, `records.py`);
it is dialled when there are too few, or it is a validator (`discovery.py`, within the limits of
`connections.py`); hellos are exchanged (`core.py`); what
it does wrong costs points, and enough of them a ban (`scoring.py`).

`messages.py` has every format and every limit, `core.py` decides, `driver.py` acts.

Invariants: nothing but a hello is looked at before the hello; a frame's rate, size and shape are
looked at, in this order, before anything that it says; every table is bounded, by peer where a
peer fills it; nobody is banned for what an honest peer does; no record is used or passed on
before its signature was verified; a block is handed on only when its header commits to all of it.
"""
