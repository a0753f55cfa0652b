"""Bytes between nodes that know each other by key, over QUIC.

One message's way from node to node:

1. `endpoint.Endpoint.send` puts it into the queue of its channel (`link.py`), or says False when
   the queue is full.
2. Once in a turn of the loop, what waits is handed to QUIC, first channel first (`channels.py`),
   and leaves in datagrams over the node's one UDP socket.
3. The other node finds the connection by the connection id in the datagram (`packets.py` answers
   what belongs to none), `connection.py` decrypts it, `frames.py` takes the stream apart, and the
   channel's limits decide whether the message is handed on now or later.
4. `Handler.on_message` has it. What it means is not known here.

A connection begins at `limits.Gate`, which decides before anything costly, then shows who is who in
a handshake of TLS 1.3 with two certificates and a key exchange that quantum computers do not break
(`tls.py`, where it is also written what peers see that cannot do so). A peer is its Ed25519 key
(`identity.py`).

Invariants: one connection to a peer; nobody without the key of a certificate gets past the
handshake; every queue, window and table has a limit; what is refused is refused with a reason, and
counted; a message is handed on whole, in order within its channel, at most once.
"""
