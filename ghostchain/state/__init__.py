"""The state of the chain on disk: accounts, storage, code; now and at every past block.

Latest state is flat: one record an account, one value a slot, read with a single lookup and no
trie. Beside it stand the trie nodes by path (for roots and proofs), and the past:

- each change of an account or slot at block N leaves, under key | N, the value before N. A read
  at height H takes the first such entry above H, or the latest value when there is none.
- each block leaves an undo record: all keys it changed with the values before. It is what
  recovery, proofs of recent blocks and pruning walk along.

One block goes through here like this: the executor's net changes arrive as two columns
(`changes.py`), `store.py` puts them with the history and the undo record into the block's one
batch; after the batch is durable, a new snapshot is what readers see (`views.py`).

Trie nodes are not written with every block. They gather in memory, the newest of each path, and
go to disk together when they fill their bound or 1024 blocks have passed; `m | trie` names the
block that the trie on disk belongs to. After a kill the changes since are applied to the trie
again, from the undo records and the flat state, and the root must come out as the head's header
says. A node is thus written once for many blocks, and the trie on disk always is the trie of one
block exactly.

Proofs of a recent block take the trie of the head and rewind it in memory with the undo records
(`proofs.py`); the resulting root is compared with the header before anything is proven.

`snapshot.py` cuts the flat state into chunks, and makes state and trie out of such.

Invariants: flat state, history and undo record of a block are one batch; the undo records after
the trie's block exist; what a reader sees belongs to one block.
"""
