"""Consensus: validators agree on one block at each height, and say why when they do not.

Accountable Tendermint (arXiv 1807.04938, with the valid round in prevotes, so that every violation
of agreement leaves two signatures of a third of the power). It orders opaque 32-byte values; what
they are, and whether they are valid, the application knows.

    validators.py   who votes, with what power; whose turn it is
    messages.py     votes, certificates, status; their bytes
    effects.py      inputs and effects of the core
    ports.py        the doors of the driver: clock, log, signer, application, network, watcher
"""
