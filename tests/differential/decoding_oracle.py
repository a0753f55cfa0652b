"""Runs inside the executable specification's own environment: transactions in, signers out.

One transaction in hexadecimal a line on standard input; on standard output the sender and every
authority ("-" where an authorization is skipped), or "refused". A transaction is taken at its own
word about the chain. It imports nothing of GhostChain.
"""

import sys

from ethereum.forks.osaka import transactions
from ethereum.forks.osaka.vm.eoa_delegation import recover_authority
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes
from ethereum_types.numeric import U64


def signers(raw: bytes) -> str:
    if raw[0] >= 0xC0:
        tx = rlp.decode_to(transactions.LegacyTransaction, raw)
        v = int(tx.v)
        chain_id = U64((v - 35) // 2 if v >= 35 else 1)
    else:
        tx = transactions.decode_transaction(Bytes(raw))
        chain_id = tx.chain_id
    found = [transactions.recover_sender(chain_id, tx).hex()]
    for authorization in getattr(tx, "authorizations", ()):
        try:
            found.append(recover_authority(authorization).hex())
        except Exception:
            found.append("-")
    return " ".join(found)


def serve() -> None:
    for line in sys.stdin:
        try:
            print(signers(bytes.fromhex(line)))
        except Exception:
            print("refused")


if __name__ == "__main__":
    serve()
