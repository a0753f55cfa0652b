"""A chain that begins where another one stands: `ghostd --dev --fork-url`.

    executor ─▶ ForkedView (state/remote.py) ─ written here? ─▶ the chain's own database
                    │ no
                    ▼
                RemoteState (state.py) ─▶ memory ─▶ disk (cache.py) ─▶ RemoteClient (client.py)
                                                            batches, retries ─▶ endpoints.py
                                                            (HTTP, WebSocket, local sockets)

The remote chain is read at one block, named by its hash where the remote allows it, so every answer
is for ever: it is kept on disk by chain and block, and the next run asks nothing that an earlier
one has asked (`cache.py`). Blocks, receipts and logs up to that block are the remote's too
(`history.py`), passed on as it gives them. What comes after is an ordinary chain of this program
(`chain/fork.py`), whose "state root" hashes its changes, since no trie of the remote's state is
here.

Nobody but who needs the remote waits for it. Whoever must not wait (the event loop, the pool, who
makes blocks, workers) gets RemoteNeeded with a future, and asks again when that is done. What is
executed runs first with what is here, the rest taken for absent and noted, so that all of it is
asked for together (`node/warming.py`). Everything the remote says is checked for form; a wrong
id, a truncated body, an unknown field of the wrong type is an error with the remote's host in it,
never a zero.
"""
