"""eth_simulateV1: blocks that nobody makes, one after another on the state of a block.

A request (`request.py`) names blocks by what is different in them: overrides of the header and of
accounts, and calls. `planning.py` gives each its number and time and fills the gaps between them;
`transactions.py` makes the calls transactions, unsigned; `running.py` runs block after block on
`Phantoms` of the backend (`phantoms.py`), whose roots, blooms and hashes are real ones, and gives
them as blocks of JSON with what each call did.

Rules, defaults, wording and codes are those of execution-apis and of geth's internal/ethapi.
What never changes: nothing of it stays, and gas, blocks, calls and time are bounded.
"""
