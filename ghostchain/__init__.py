"""GhostChain: an EVM-compatible proof-of-stake blockchain in Python at native speed."""

__version__ = "0.1.0"
