"""Catching up with the chain: by its blocks, or from a snapshot of its state.

A node that learns of a peer two or more blocks ahead asks for the blocks in between. One block's
way through:

1. `core.SyncCore` cuts what is missing into ranges and asks several peers at once, each for as much
   as it has shown that it delivers. An answer comes in parts (`messages.py`, `requests.py`).
2. Its blocks must follow one another. They are held, within a bound of bytes, until all below them
   are there.
3. A run of blocks that follows the last proven one is given to `Verify`: is this certificate of a
   quorum of that height's validators, and is this body the one that the header names?
4. Proven blocks go to `Import`, which recovers, executes and commits them while the next ones are
   fetched and proven. What fails there was changed outside of what is signed, and its sender pays.

Consensus goes on until two proven blocks above the head are at hand (`Started`), so that a peer
which only claims to be ahead costs nothing but a request. `Done` gives the chain back to it.

A new node that is told a checkpoint, the height and hash of a recent block, begins from a snapshot
of the state instead (`snapshots.py`): headers downwards from the checkpoint, chunks from several
peers, the state root computed from them; then by blocks as above.

    messages.py    requests and answers, their bytes and limits
    requests.py    what was asked of whom, how fast peers are, who does not deliver
    effects.py     what the cores want done
    core.py        by blocks
    snapshots.py   from a snapshot
    serving.py     answers to others, in slices, within limits for each peer
    ports.py       the doors: network, chain, threads, clock
    driver.py      the shell of a running chain; beginning.py that of one that begins

Invariants: no block is executed before its certificate was verified; bytes held never exceed their
limit by more than one answer; whoever sends what no honest peer sends is named, with the reason;
each peer's silence costs seconds, never the sync.
"""
