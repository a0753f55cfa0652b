"""Merkle-Patricia tries: the roots by which blocks commit to transactions, receipts and state.

One module, `merkle`, is the door to `native/merkle`. It offers two things. From scratch: the root
of a list (`ordered_root`) or of a mapping (`root_of`). Kept: a `Forest`, which is the account trie
together with one storage trie for each account that has storage, its nodes in memory as far as a
stated bound allows and otherwise asked of the database by path.

The flow of one block: the executor gives a `ChangeSet` (sorted accounts and slots);
`Forest.apply` changes the storage tries, then the account trie, hashes what changed level by level
and returns the state root; the chain compares it with the header, puts `encoded_writes` into the
same database batch as the flat state, and calls `commit`, or else calls `discard`.

A forest may defer: it then keeps what many blocks change until the chain asks for all of it at
once, and after a crash the chain applies the changes since again.

Invariants: with all writes made, the database holds exactly the nodes reachable from the committed
root, each under its path; a node read back is believed only if it has the hash that its parent
holds; `discard` leaves the forest as it was before `apply`.
"""
