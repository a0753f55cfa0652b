"""Names of the state in the database: one byte for the room, then fixed-width parts.

    a | account 32                          flat account: 24 or 104 bytes
    s | account 32 | slot 32                flat slot: value without leading zeros
    c | code hash 32                        code
    n | a | path                            node of the account trie, a nibble a byte
    n | s | account 32 | path               node of a storage trie (`trie.merkle.node_key`)
    h | a | account 32 | block 8            the account before that block, empty for absence
    h | s | account 32 | slot 32 | block 8  the slot before that block, empty for zero
    u | block 8                             undo record
    i | hash 32                             the address or key with that hash, on a chain without
                                            consensus
    m | trie, m | pruned                    see `state/store.py`

Accounts and slots stand under the keccak256 of address and key. Block numbers are big-endian.
"""

from __future__ import annotations

ACCOUNT = b"a"
SLOT = b"s"
CODE = b"c"
HISTORY = b"h"
HISTORY_ACCOUNT = b"ha"
HISTORY_SLOT = b"hs"
UNDO = b"u"
IMAGE = b"i"
TRIE = b"mtrie"
PRUNED = b"mpruned"


def number_bytes(number: int) -> bytes:
    return number.to_bytes(8, "big")
