"""The holder of the consensus key, in this process or in one of its own.

Consensus asks through `consensus.ports.Signer` for the signature of a vote; the maker of blocks
asks for the proof of randomness; the operator's commands for the claim to the key. `local.py` holds
the key here. `process.py` is the process that holds it instead, behind a Unix socket
(`protocol.py`), and `remote.py` the node's end of that socket. `keyfiles.py` keeps keys on disk.

Invariants: no vote is signed before `storage/highwater.py` remembers it durably, and that file is
kept by whoever holds the key; nothing is signed but votes and claims of one chain, of lengths for
which the nonces of signatures and of proofs can never meet (`crypto/vrf.py`).
"""
