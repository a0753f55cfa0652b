"""What waits to enter a block.

One transaction's way through the pool:

1. `driver.submit(raws)` decodes and recovers a whole batch natively, in a worker thread, then
   checks each item against the rules that need no state (`validation.py`) and, for blobs, against
   its sidecar (`blobs.py`).
2. `core.Pool.on_transactions` places it: into its sender's queue by nonce, in place of another of
   the same nonce when it pays at least 10 % more, or nowhere, with the reason. What it decides
   comes back as effects, in the order in which they hold. A fee in a token, or of a fee payer,
   becomes a claim on that purse (`purses.py`).
3. The driver writes accepted bytes to the journal and flushes it before it answers, so an
   acknowledged transaction is known again after a crash.
4. `Pool.best` lists what a block should try, by effective tip in GCC, each sender in nonce order.
5. `Pool.on_head` forgets what a block included, moves the senders on, and learns the rates of fee
   tokens.

Invariants: a (sender, nonce) holds one transaction; the pending run of a sender begins at its state
nonce and has no gap; count, bytes and the share of one sender never exceed their limits; whatever
leaves without being included leaves with a reason; no purse has more claims on it than it held when
it was last looked at. `core.py` is a value: time comes in as an
argument, nothing goes out but effects.
"""
