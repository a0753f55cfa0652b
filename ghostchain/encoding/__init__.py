"""From records to bytes and back: RLP, JSON-RPC's hexadecimal, transactions, blocks, receipts.

One transaction through this package: raw bytes from a peer or from JSON-RPC enter
`TransactionBatch.decode` (`transactions.py`) together with many others, are decoded, hashed and
recovered natively, and leave as a pointer for the executor or as a `Transaction` record for a
reader (`codec.py`, one at a time). A block's bytes are split by `blocks.py`, which leaves its
transactions as they are for that same batch. `rlp.py` is the one RLP codec in Python: small,
strict, and the oracle of the native one; `hexadecimal.py` and `quantities.py` hold the strict text
forms of JSON-RPC, `votes.py` the bytes that validators sign, `attachments.py` what travels and is
kept beside a block that they decided, `manifests.py` what a snapshot of the state is made of.

What never changes:
- Every decoder is strict (one byte string for one value: shortest lengths, no leading zeros, no
  trailing bytes) and bounded (size, depth), so decode and encode are inverse to each other.
- Whatever is refused says why: `InvalidEncoding`, `InvalidTransaction` or `InvalidBlock` with a
  reason.
- Nothing here hashes or signs; `crypto/hashes.py` and `crypto/signing.py` do. (The batch hashes and
  recovers because its native kernel does, and has signatures of other schemes verified by
  `crypto/schemes.py`.)
"""
