"""The nouns of the chain: flat, frozen records and the errors that speak of them.

Nothing here computes, hashes or encodes; a record is what it holds. Bytes stay `bytes`
(`Address` and `Hash32` are names for 20 and 32 of them), amounts are `int` in wei unless the name
says otherwise. How records become bytes is the business of `encoding/`, what they hash to that of
`crypto/`.

- `types.py`: Address, Hash32, the hashes of empty things, how a WASM module begins.
- `transaction.py`, `header.py`, `block.py`, `receipt.py`, `account.py`: the records, with field
  names of the Yellow Paper and the EIPs.
- `units.py`: wei and its multiples.
- `errors.py`: every way in which input or a disk can be refused, each with its reason.

Invariant: this package imports nothing else of the project.
"""
