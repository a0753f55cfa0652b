"""Doors to the cryptographic kernels: what the chain hashes and signs with.

`keccak` hashes one message or many at once; `secp256k1` recovers senders in batches and signs;
each is the door to the kernel of the same name under `native/`: it turns bytes into pointers and
status codes into errors, and holds no arithmetic of its own. `ed25519` verifies what validators and
accounts with such keys sign, one by libsodium, many by its kernel; `mldsa` does likewise by
OpenSSL, and `schemes` is the table of both; `signing` signs transactions with a key of any scheme.
`vrf` makes and checks the randomness of proposers.

Invariants: every SIMD path gives the same bytes as the portable one, and each has an oracle among
the libraries of PyPI. A batch call releases the interpreter lock while it works, so other threads
run meanwhile.
"""
