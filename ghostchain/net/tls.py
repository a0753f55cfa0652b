"""TLS 1.3 as this network speaks it: everything that reaches into aioquic's TLS.

Both sides show exactly one self-signed Ed25519 certificate, and its key is who they are. The key
exchange is X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem, group 0x11EC) and nothing else: what is
recorded today stays closed to a quantum computer, and breaking either half alone gives nothing.

    client's share   ML-KEM-768 encapsulation key 1184 ‖ X25519 public key 32
    server's share   ML-KEM-768 ciphertext 1088 ‖ X25519 public key 32
    shared secret    ML-KEM-768 32 ‖ X25519 32

One cipher suite, AES-256-GCM with SHA-384; one signature algorithm, Ed25519; no resumption, no
early data, no HelloRetryRequest; ALPN names the network, so that nodes of different chains part
before they show certificates.

What a peer sees that cannot do so (CONNECTION_CLOSE with a TLS alert and these words):

- A client that offers no share for 0x11EC: alert 40 (handshake_failure), "this network requires key
  exchange X25519MLKEM768 (0x11ec)". One that lists the group but sends the share of another hoping
  to be asked again: the same alert, "send a key share for X25519MLKEM768 (0x11ec) at once". No
  certificate of this node is shown to either.
- A server that does not know the group refuses in its own words (stock aioquic: alert 40, "No
  supported key share"); the dial fails with them. One that answers with a HelloRetryRequest is sent
  alert 47 (illegal_parameter), "only X25519MLKEM768 (0x11ec) is offered". One that chooses another
  group: alert 47.
- No certificate: alert 116 (certificate_required). More than one, one that is not self-signed, or
  not Ed25519: alerts 42 and 43. Another network: alert 120 (no_application_protocol). This node's
  own key: alert 49 (access_denied), "a connection of the node to itself".

What is relied on inside aioquic 1.7 is checked by tests/unit/test_net_tls.py; pyproject.toml holds
the version below 1.8.

Cost of a handshake: about two milliseconds of both ends together, see benchmarks/bench_net.py.
"""

from __future__ import annotations

import os
import ssl
from typing import NoReturn

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.tls import AlertDescription, CipherSuite, Direction, Epoch, SignatureAlgorithm, State
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from ghostchain.net.identity import Identity

X25519MLKEM768 = 0x11EC
ENCAPSULATION_KEY_BYTES = 1184
CIPHERTEXT_BYTES = 1088
X25519_BYTES = 32
CERTIFICATE_BYTES_MAX = 1024
MESSAGE_BYTES_MAX = 8192
"""Of what is kept of the handshake until a message is whole; ours have at most two thousand."""
CIPHER_SUITE = CipherSuite.AES_256_GCM_SHA384

# RFC 8446, 4.1.3: the random value of a ServerHello that is a HelloRetryRequest.
RETRY_REQUEST_RANDOM = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)


class Refused(tls.Alert):
    """The handshake ends here, with an alert and words for the peer."""

    def __init__(self, description: AlertDescription, words: str) -> None:
        super().__init__(words)
        self.description = description


def refuse(description: AlertDescription, words: str) -> NoReturn:
    """Raises: Refused."""
    raise Refused(description, words)


class PeerTls(tls.Context):
    """One side of one handshake. `peer_key` is there once it is complete."""

    def __init__(
        self, *, is_client: bool, alpn: str, identity: Identity, expected_key: bytes | None
    ) -> None:
        super().__init__(
            is_client=is_client,
            alpn_protocols=[alpn],
            cipher_suites=[CIPHER_SUITE],
            # The peer's certificate is judged by `_set_peer_certificate` alone.
            verify_mode=ssl.CERT_NONE,
        )
        self.certificate = identity.certificate
        self.certificate_private_key = identity.private_key
        self._request_client_certificate = True
        self._signature_algorithms = [SignatureAlgorithm.ED25519]
        self._identity = identity
        self._expected_key = expected_key
        self._mlkem_private_key: MLKEM768PrivateKey | None = None
        self.peer_key = b""

    def handle_message(self, input_data: bytes, output_buf: dict[Epoch, Buffer]) -> None:
        if len(self._receive_buffer) + len(input_data) > MESSAGE_BYTES_MAX:
            refuse(AlertDescription.decode_error, "a handshake message that is too long")
        super().handle_message(input_data, output_buf)

    # ---- the client ----

    def _client_send_hello(self, output_buf: Buffer) -> None:
        self._mlkem_private_key = MLKEM768PrivateKey.generate()
        self._x25519_private_key = X25519PrivateKey.generate()
        share = (
            self._mlkem_private_key.public_key().public_bytes_raw()
            + self._x25519_private_key.public_key().public_bytes_raw()
        )
        hello = tls.ClientHello(
            random=self.client_random,
            legacy_session_id=self.legacy_session_id,
            cipher_suites=[int(CIPHER_SUITE)],
            legacy_compression_methods=self._legacy_compression_methods,
            alpn_protocols=self._alpn_protocols,
            key_share=[(X25519MLKEM768, share)],
            signature_algorithms=self._signature_algorithms,
            supported_groups=[X25519MLKEM768],
            supported_versions=self._supported_versions,
            other_extensions=self.handshake_extensions,
        )
        self._key_schedule_proxy = tls.KeyScheduleProxy([CIPHER_SUITE])
        self._key_schedule_proxy.extract(None)
        with tls.push_message(self._key_schedule_proxy, output_buf):
            tls.push_client_hello(output_buf, hello)
        self._set_state(State.CLIENT_EXPECT_SERVER_HELLO)

    def _client_handle_hello(self, input_buf: Buffer, output_buf: Buffer) -> None:
        hello = tls.pull_server_hello(input_buf)
        if hello.random == RETRY_REQUEST_RANDOM:
            refuse(AlertDescription.illegal_parameter, "only X25519MLKEM768 (0x11ec) is offered")
        if hello.cipher_suite != CIPHER_SUITE or hello.compression_method != 0:
            refuse(AlertDescription.illegal_parameter, "a cipher suite that was not offered")
        if hello.supported_version != tls.TLS_VERSION_1_3:
            refuse(AlertDescription.illegal_parameter, "a version that was not offered")
        if hello.pre_shared_key is not None:
            refuse(AlertDescription.illegal_parameter, "a resumption that was not offered")
        if hello.key_share is None:
            refuse(AlertDescription.missing_extension, "no key share")
        group, share = hello.key_share
        if group != X25519MLKEM768 or len(share) != CIPHERTEXT_BYTES + X25519_BYTES:
            refuse(AlertDescription.illegal_parameter, "only X25519MLKEM768 (0x11ec) is offered")
        assert self._mlkem_private_key is not None
        assert self._x25519_private_key is not None
        assert self._key_schedule_proxy is not None
        try:
            secret = self._mlkem_private_key.decapsulate(share[:CIPHERTEXT_BYTES])
            secret += self._x25519_private_key.exchange(
                X25519PublicKey.from_public_bytes(share[CIPHERTEXT_BYTES:])
            )
        except ValueError:
            refuse(AlertDescription.illegal_parameter, "an invalid key share")
        self.key_schedule = self._key_schedule_proxy.select(CIPHER_SUITE)
        self._key_schedule_proxy = None
        self._mlkem_private_key = None
        self.key_schedule.update_hash(input_buf.data)
        self.key_schedule.extract(secret)
        self._setup_traffic_protection(Direction.DECRYPT, Epoch.HANDSHAKE, b"s hs traffic")
        self._setup_traffic_protection(Direction.ENCRYPT, Epoch.HANDSHAKE, b"c hs traffic")
        self._set_state(State.CLIENT_EXPECT_ENCRYPTED_EXTENSIONS)

    def _client_handle_certificate(self, input_buf: Buffer) -> None:
        if self._certificate_request is None:
            refuse(AlertDescription.unexpected_message, "peers must ask for a certificate")
        super()._client_handle_certificate(input_buf)

    # ---- the server ----

    def _server_handle_hello(
        self, input_buf: Buffer, initial_buf: Buffer, handshake_buf: Buffer
    ) -> None:
        hello = tls.pull_client_hello(input_buf)
        share = self._acceptable_share(hello)
        assert self._alpn_protocols is not None
        self.alpn_negotiated = self._alpn_protocols[0]
        self.client_random = hello.random
        self.server_random = os.urandom(32)
        self.legacy_session_id = hello.legacy_session_id
        self.received_extensions = hello.other_extensions
        if self.alpn_cb:
            self.alpn_cb(self.alpn_negotiated)

        self._x25519_private_key = X25519PrivateKey.generate()
        try:
            peer_x25519 = X25519PublicKey.from_public_bytes(share[ENCAPSULATION_KEY_BYTES:])
            peer_mlkem = MLKEM768PublicKey.from_public_bytes(share[:ENCAPSULATION_KEY_BYTES])
            secret, ciphertext = peer_mlkem.encapsulate()
            secret += self._x25519_private_key.exchange(peer_x25519)
        except ValueError:
            refuse(AlertDescription.illegal_parameter, "an invalid key share")

        self.key_schedule = tls.KeySchedule(CIPHER_SUITE)
        self.key_schedule.extract(None)
        self.key_schedule.update_hash(input_buf.data)
        answer = tls.ServerHello(
            random=self.server_random,
            legacy_session_id=hello.legacy_session_id,
            cipher_suite=CIPHER_SUITE,
            compression_method=0,
            key_share=(
                X25519MLKEM768,
                ciphertext + self._x25519_private_key.public_key().public_bytes_raw(),
            ),
            supported_version=tls.TLS_VERSION_1_3,
        )
        with tls.push_message(self.key_schedule, initial_buf):
            tls.push_server_hello(initial_buf, answer)
        self.key_schedule.extract(secret)
        self._setup_traffic_protection(Direction.ENCRYPT, Epoch.HANDSHAKE, b"s hs traffic")
        self._setup_traffic_protection(Direction.DECRYPT, Epoch.HANDSHAKE, b"c hs traffic")
        self._push_server_flight(handshake_buf)

        self.key_schedule.extract(None)
        self._setup_traffic_protection(Direction.ENCRYPT, Epoch.ONE_RTT, b"s ap traffic")
        self._next_dec_key = self.key_schedule.derive_secret(b"c ap traffic")
        self._set_state(State.SERVER_EXPECT_CERTIFICATE)

    def _acceptable_share(self, hello: tls.ClientHello) -> bytes:
        """The client's share for X25519MLKEM768. Raises: Refused."""
        assert self._alpn_protocols is not None
        if tls.TLS_VERSION_1_3 not in (hello.supported_versions or ()):
            refuse(AlertDescription.protocol_version, "TLS 1.3 is required")
        if not set(self._alpn_protocols) & set(hello.alpn_protocols or ()):
            words = f"this is {self._alpn_protocols[0]}"
            refuse(AlertDescription.no_application_protocol, words)
        shares = dict(hello.key_share or ())
        if X25519MLKEM768 not in shares:
            words = "this network requires key exchange X25519MLKEM768 (0x11ec)"
            if X25519MLKEM768 in (hello.supported_groups or ()):
                words = "send a key share for X25519MLKEM768 (0x11ec) at once"
            refuse(AlertDescription.handshake_failure, words)
        if CIPHER_SUITE not in hello.cipher_suites:
            refuse(AlertDescription.handshake_failure, "TLS_AES_256_GCM_SHA384 is required")
        if SignatureAlgorithm.ED25519 not in (hello.signature_algorithms or ()):
            refuse(AlertDescription.handshake_failure, "signatures with Ed25519 are required")
        share = shares[X25519MLKEM768]
        if len(share) != ENCAPSULATION_KEY_BYTES + X25519_BYTES:
            refuse(AlertDescription.illegal_parameter, "a key share of the wrong length")
        return share

    def _push_server_flight(self, output_buf: Buffer) -> None:
        """Everything from EncryptedExtensions to Finished."""
        assert self.key_schedule is not None
        assert self._enc_key is not None
        with tls.push_message(self.key_schedule, output_buf):
            tls.push_encrypted_extensions(
                output_buf,
                tls.EncryptedExtensions(
                    alpn_protocol=self.alpn_negotiated, other_extensions=self.handshake_extensions
                ),
            )
        with tls.push_message(self.key_schedule, output_buf):
            tls.push_certificate_request(
                output_buf,
                tls.CertificateRequest(signature_algorithms=self._signature_algorithms),
            )
        with tls.push_message(self.key_schedule, output_buf):
            der = self._identity.certificate.public_bytes(Encoding.DER)
            tls.push_certificate(output_buf, tls.Certificate(certificates=[(der, b"")]))
        signature = self._identity.private_key.sign(
            self.key_schedule.certificate_verify_data(tls.SERVER_CONTEXT_STRING)
        )
        with tls.push_message(self.key_schedule, output_buf):
            tls.push_certificate_verify(
                output_buf, tls.CertificateVerify(SignatureAlgorithm.ED25519, signature)
            )
        verify_data = self.key_schedule.finished_verify_data(self._enc_key)
        with tls.push_message(self.key_schedule, output_buf):
            tls.push_finished(output_buf, tls.Finished(verify_data))

    def _server_handle_certificate(self, input_buf: Buffer) -> None:
        super()._server_handle_certificate(input_buf)
        if self.state is not State.SERVER_EXPECT_CERTIFICATE_VERIFY:
            refuse(AlertDescription.certificate_required, "a certificate is required")

    # ---- both ----

    def _set_peer_certificate(self, certificate: tls.Certificate) -> None:
        if len(certificate.certificates) != 1:
            words = f"exactly one certificate is required, not {len(certificate.certificates)}"
            refuse(AlertDescription.bad_certificate, words)
        if len(certificate.certificates[0][0]) > CERTIFICATE_BYTES_MAX:
            refuse(AlertDescription.bad_certificate, "the certificate is too long")
        super()._set_peer_certificate(certificate)
        shown = self._peer_certificate
        assert shown is not None
        try:
            public_key = shown.public_key()
        except (UnsupportedAlgorithm, ValueError):
            public_key = None
        if not isinstance(public_key, Ed25519PublicKey):
            refuse(AlertDescription.unsupported_certificate, "the key must be Ed25519")
        try:
            shown.verify_directly_issued_by(shown)
        except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
            refuse(AlertDescription.bad_certificate, "the certificate is not self-signed")
        key = public_key.public_bytes_raw()
        if key == self._identity.key:
            refuse(AlertDescription.access_denied, "a connection of the node to itself")
        if self._expected_key is not None and key != self._expected_key:
            words = f"the peer is {key.hex()}, not {self._expected_key.hex()}"
            refuse(AlertDescription.access_denied, words)
        self.peer_key = key
