"""Consensus: validators agree on one block at each height, and say why when they do not.

Accountable Tendermint (arXiv 1807.04938, with the valid round in prevotes, so that every violation
of agreement leaves two signatures of a third of the power). It orders opaque 32-byte values; what
they are, and whether they are valid, the application knows.

    validators.py   who votes, with what power; whose turn it is
    messages.py     votes, certificates, status; their bytes
    effects.py      inputs and effects of the core
    certificates.py certificates made of votes, and judged
    votes.py        the vote keeper: who said what at a height, verified in batches
    timers.py       timeouts and their growth
    laggards.py     who is behind, what came too early or too late
    core.py         the rules R1 to R10: inputs and the time in, effects out
    guard.py        watch for one's own key before signing
    records.py      the records of the write-ahead log
    ports.py        the doors of the driver: clock, log, signer, application, network, watcher
    driver.py       log, apply, flush, act; and the restart

A proposal's way: Driver.on_message logs it, Consensus verifies and asks for the block (Validate),
the application judges it, the core wants a prevote signed (Sign), the log is made durable, the
signer answers, the vote is said to all (Broadcast). A quorum of prevotes locks and precommits, a
quorum of precommits is Decide: the application commits, and says what height comes next.
"""
