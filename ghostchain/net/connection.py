"""A QUIC connection as this network uses it: everything that reaches into aioquic's connection.

What differs from aioquic 1.7.2, and why:

- TLS is `tls.PeerTls`: who the peer is, and the key exchange.
- Flow control follows what this node has taken, not what has arrived. aioquic doubles a window
  whenever half of it has come, whoever reads: a peer that leaves the first byte out could fill the
  memory. Here a stream may be at most its window ahead of `consume`, and the connection at most the
  sum of all windows, so that no channel can starve another.
- Streams are served by rank, not in turn; when nothing is due nothing is built. This loop stands in
  place of aioquic's as long as no rare frame waits to be sent: it is where most time went.
- Acknowledgements ride on data that leaves anyway, once they are of two packets or half a
  millisecond old: before, the next data may take more of them. Alone they leave after every fourth
  packet, at once when one is missing (RFC 9000, 13.2.1), or after fifteen milliseconds (aioquic:
  one), below the 25 that peers are told. That delay is taken off the round trips by which slow
  start ends, which aioquic forgets.
- A peer that does not answer is probed at least every two seconds, until it is given up. aioquic
  doubles the time without end (RFC 9002, 6.2.1), so that a line that was cut for twenty seconds
  could stay silent for as long after it was mended. A probe is one datagram.
- Stateless resets (RFC 9000, 10.3): tokens are derived from the node's key and the connection id,
  so that a node that lost its state by a crash can tell peers at once that they talk to nobody.
- How finely a peer may cut up a stream is limited, before the handshake and after it: aioquic keeps
  what came out of order in a list that it walks for each frame.
- What peers send is not logged; why a connection ended goes to whoever holds it.
- At most two connection ids at a time for each side.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.congestion.reno import RenoCongestionControl
from aioquic.quic.connection import (
    MAX_STREAM_DATA_FRAME_CAPACITY,
    Limit,
    NetworkAddress,
    QuicConnection,
    QuicConnectionAdapter,
    QuicConnectionError,
    QuicConnectionId,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicPacketType, QuicProtocolVersion
from aioquic.quic.packet_builder import QuicDeliveryState, QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketRecovery, QuicPacketSpace
from aioquic.quic.stream import QuicStream
from aioquic.tls import Epoch

from ghostchain.net.channels import CHANNELS, PRIORITY
from ghostchain.net.identity import Identity
from ghostchain.net.tls import PeerTls

CONNECTION_ID_BYTES = 8
RESET_TOKEN_BYTES = 16
FIRST_WINDOW_BYTES = 64 << 10
"""Of each stream, before its first byte has come."""
ACKNOWLEDGE_EVERY = 4
ACKNOWLEDGE_SECONDS = 0.015
RIDE_EVERY = 2
RIDE_SECONDS = 0.0145
"""An acknowledgement that has less time left rides on data."""
HANDSHAKE_GAPS_MAX = 16
GAPS_MAX = 512
PROBE_SECONDS_MAX = 2.0
STREAM_FRAMES_MAX = 32
"""In one datagram: this network's nodes send one of each channel."""
_APPLICATION = Epoch.ONE_RTT


class _Silence:
    """Stands where aioquic wants a logger."""

    def debug(self, *_: Any) -> None: ...

    info = warning = error = debug


_SILENCE = cast(QuicConnectionAdapter, _Silence())


def reset_token(reset_key: bytes, connection_id: bytes) -> bytes:
    """What ends the connection that is reached by this id, 16 bytes."""
    return hmac.digest(reset_key, connection_id, sha256)[:RESET_TOKEN_BYTES]


class Congestion(RenoCongestionControl):
    """NewReno that ends slow start by round trips without the peer's delay of acknowledgements."""

    def __init__(self, *, max_datagram_size: int, recovery: QuicPacketRecovery) -> None:
        super().__init__(max_datagram_size=max_datagram_size)
        self._recovery = recovery

    def on_rtt_measurement(self, *, now: float, rtt: float) -> None:
        super().on_rtt_measurement(now=now, rtt=self._recovery._rtt_latest)


class Connection(QuicConnection):
    """One connection; `aioquic.quic.connection.QuicConnection` tells how it is driven.

    windows: bytes of each channel that the peer may be ahead of `consume`, by its number.
    expected_key: who must answer a dial, None for anybody.
    """

    def __init__(
        self,
        *,
        is_client: bool,
        identity: Identity,
        alpn: str,
        windows: tuple[int, ...],
        idle_seconds: float,
        reset_key: bytes,
        datagram_bytes: int,
        expected_key: bytes | None = None,
        original_destination_connection_id: bytes | None = None,
        retry_source_connection_id: bytes | None = None,
    ) -> None:
        self._identity = identity
        self._expected_key = expected_key
        self._reset_key = reset_key
        self._windows = windows
        self._consumed = [0] * CHANNELS
        self._consumed_total = 0
        self._window_total = sum(windows)
        self._packets_since_ack = 0
        self._channel_streams: list[QuicStream] = []
        self._pending: list[list[range]] = []
        self._are_limits_due = False
        self._are_ids_due = True
        self._stream_frames = 0
        super().__init__(
            configuration=QuicConfiguration(
                alpn_protocols=[alpn],
                connection_id_length=CONNECTION_ID_BYTES,
                idle_timeout=idle_seconds,
                is_client=is_client,
                max_data=self._window_total,
                max_datagram_size=datagram_bytes,
                max_stream_data=FIRST_WINDOW_BYTES,
                supported_versions=[QuicProtocolVersion.VERSION_1],
                certificate=identity.certificate,
                private_key=identity.private_key,
            ),
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
        )
        self._ack_delay = ACKNOWLEDGE_SECONDS
        self._logger = _SILENCE
        self._loss._logger = None
        self._loss._cc = Congestion(max_datagram_size=datagram_bytes, recovery=self._loss)
        self._local_active_connection_id_limit = 2
        self._fix_streams(self._local_max_streams_uni, CHANNELS)
        self._fix_streams(self._local_max_streams_bidi, 0)
        if not is_client:
            first = self._host_cids[0]
            first.stateless_reset_token = reset_token(reset_key, first.cid)

    @staticmethod
    def _fix_streams(limit: Limit, count: int) -> None:
        limit.value = limit.sent = count

    # ---- what the holder asks ----

    @property
    def peer_key(self) -> bytes:
        """Who the peer is, once the handshake is complete."""
        return self._peer_tls.peer_key

    @property
    def is_over(self) -> bool:
        """Whether it is closing or closed."""
        return self._close_event is not None

    @property
    def peer_reset_token(self) -> bytes:
        """What a stateless reset of the peer would end with; empty when it told none."""
        return self._peer_cid.stateless_reset_token or b""

    @property
    def round_trip_seconds(self) -> float:
        """Smoothed; 0 before the first measurement."""
        return self._loss._rtt_smoothed

    def open_channels(self) -> list[QuicStream]:
        """The streams on which this side sends, by channel. Once, after the handshake."""
        first = 2 if self._is_client else 3
        streams = [
            self._get_or_create_stream_for_send(first + 4 * index) for index in range(CHANNELS)
        ]
        self._channel_streams = [streams[channel] for channel in PRIORITY]
        # The lists inside: asking each for its length through aioquic takes longer than all else
        # that is done to find out that there is nothing to do.
        self._pending = [
            cast(Any, stream.sender._pending)._RangeSet__ranges for stream in self._channel_streams
        ]
        return streams

    def consume(self, channel: int, count: int) -> None:
        """So many bytes more were taken from a channel: the peer may send as many more."""
        self._consumed[channel] += count
        self._consumed_total += count
        stream = self._streams.get(4 * channel + (3 if self._is_client else 2))
        assert stream is not None
        window = self._windows[channel]
        if (
            self._consumed[channel] + window - stream.max_stream_data_local >= window >> 2
            or self._consumed_total + self._window_total - self._local_max_data.value
            >= self._window_total >> 2
        ):
            self._are_limits_due = True

    def use_datagrams_of(self, size: int) -> None:
        """From now on datagrams have up to so many bytes: for paths known to carry them."""
        self._max_datagram_size = size
        self._loss._pacer._max_datagram_size = size
        congestion = cast(Any, self._loss._cc)
        congestion._max_datagram_size = size
        congestion.congestion_window = max(congestion.congestion_window, 10 * size)

    def use_spare_connection_id(self) -> None:
        """Switches to an id of the peer for which it told a reset token, when it has one."""
        if not self._peer_cid.stateless_reset_token and self._peer_cid_available:
            self.change_connection_id()

    # ---- what aioquic asks ----

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        alpn_protocols = self._configuration.alpn_protocols
        assert alpn_protocols is not None
        context = PeerTls(
            is_client=self._is_client,
            alpn=alpn_protocols[0],
            identity=self._identity,
            expected_key=self._expected_key,
        )
        context.handshake_extensions = self.tls.handshake_extensions
        context.alpn_cb = self.tls.alpn_cb
        context.update_traffic_key_cb = self.tls.update_traffic_key_cb
        self.tls = self._peer_tls = context

    def _replenish_connection_ids(self) -> None:
        super()._replenish_connection_ids()
        self._are_ids_due = True
        for connection_id in self._host_cids:
            if not connection_id.was_sent:
                token = reset_token(self._reset_key, connection_id.cid)
                connection_id.stateless_reset_token = token

    def _on_new_connection_id_delivery(
        self, delivery: QuicDeliveryState, connection_id: QuicConnectionId
    ) -> None:
        super()._on_new_connection_id_delivery(delivery, connection_id)
        self._are_ids_due = True

    def _on_max_stream_data_delivery(self, delivery: QuicDeliveryState, stream: QuicStream) -> None:
        super()._on_max_stream_data_delivery(delivery, stream)
        self._are_limits_due |= delivery is QuicDeliveryState.LOST

    def _on_connection_limit_delivery(self, delivery: QuicDeliveryState, limit: Limit) -> None:
        super()._on_connection_limit_delivery(delivery, limit)
        self._are_limits_due |= delivery is QuicDeliveryState.LOST

    def handle_timer(self, now: float) -> None:
        super().handle_timer(now)
        loss = self._loss
        while loss._pto_count and loss.get_probe_timeout() * 2**loss._pto_count > PROBE_SECONDS_MAX:
            loss._pto_count -= 1

    def receive_datagram(self, data: bytes, addr: NetworkAddress, now: float) -> None:
        self._packets_since_ack += 1
        self._stream_frames = 0
        super().receive_datagram(data, addr, now)

    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        if len(self._crypto_streams[context.epoch].receiver._ranges) > HANDSHAKE_GAPS_MAX:
            raise QuicConnectionError(
                QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "the handshake is cut up too fine"
            )
        super()._handle_crypto_frame(context, frame_type, buf)

    def _handle_stream_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        start = buf.tell()
        stream = self._streams.get(buf.pull_uint_var())
        buf.seek(start)
        self._stream_frames += 1
        if self._stream_frames > STREAM_FRAMES_MAX or (
            stream is not None and len(stream.receiver._ranges) > GAPS_MAX
        ):
            raise QuicConnectionError(
                QuicErrorCode.PROTOCOL_VIOLATION, frame_type, "a stream is cut up too fine"
            )
        super()._handle_stream_frame(context, frame_type, buf)

    @property
    def _is_settled(self) -> bool:
        """Whether only data, acknowledgements, windows and pings can be due."""
        return not (
            self._are_ids_due
            or self._close_pending
            or self._handshake_done_pending
            or not self._handshake_confirmed
            or not self._channel_streams
            or self._retire_connection_ids
            or self._streams_blocked_pending
            or len(self._network_paths) > 1
            or not self._network_paths[0].is_validated
            or self._network_paths[0].remote_challenges
        )

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        if not self._is_settled:
            datagrams = super().datagrams_to_send(now)
            self._are_ids_due = any(not known.was_sent for known in self._host_cids)
            return datagrams
        space = self._spaces[_APPLICATION]
        has_data = any(self._pending)
        if space.ack_at is not None:
            if (
                self._packets_since_ack >= (RIDE_EVERY if has_data else ACKNOWLEDGE_EVERY)
                or (has_data and space.ack_at < now + RIDE_SECONDS)
                or len(space.ack_queue) > 1
            ):
                space.ack_at = now
            has_data = has_data or space.ack_at <= now
        if not (has_data or self._are_limits_due or self._ping_pending or self._probe_pending):
            self._pacing_at = None
            return []
        datagrams = super().datagrams_to_send(now)
        if space.ack_at is None:
            self._packets_since_ack = 0
        return datagrams

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        if not self._is_settled:
            super()._write_application(builder, network_path, now)
            return
        space = self._spaces[_APPLICATION]
        crypto = self._cryptos[_APPLICATION]
        pacer = self._loss._pacer
        while True:
            has_data = any(self._pending)
            acknowledges = space.ack_at is not None and space.ack_at <= now
            if not (
                has_data
                or acknowledges
                or self._are_limits_due
                or self._ping_pending
                or self._probe_pending
            ):
                return
            if not acknowledges:
                self._pacing_at = pacer.next_send_time(now=now)
                if self._pacing_at is not None:
                    return
            builder.start_packet(QuicPacketType.ONE_RTT, crypto)
            if acknowledges:
                self._write_ack_frame(builder=builder, space=space, now=now)
            self._write_small_frames(builder, space)
            for stream, pending in zip(self._channel_streams, self._pending, strict=True):
                if not pending:
                    continue
                end = stream.sender.highest_offset + self._remote_max_data
                self._remote_max_data_used += self._write_stream_frame(
                    builder=builder,
                    space=space,
                    stream=stream,
                    max_offset=min(end - self._remote_max_data_used, stream.max_stream_data_remote),
                )
            if builder.packet_is_empty:
                # The peer's windows are full.
                return
            pacer.update_after_send(now=now)

    def _write_small_frames(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        if self._are_limits_due:
            self._write_connection_limits(builder, space)
            for stream in self._streams.values():
                self._write_stream_limits(builder, space, stream)
            self._are_limits_due = False
        if self._ping_pending:
            self._write_ping_frame(builder, self._ping_pending)
            self._ping_pending.clear()
        if self._probe_pending:
            self._write_ping_frame(builder)
            self._probe_pending = False

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit = self._local_max_data
        wanted = self._consumed_total + self._window_total
        if wanted - limit.value >= self._window_total >> 2:
            limit.value = wanted
        if limit.sent != limit.value:
            self._write_limit(
                builder,
                QuicFrameType.MAX_DATA,
                (limit.value,),
                self._on_connection_limit_delivery,
                limit,
            )
            limit.sent = limit.value

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        # Streams of this side have no window here.
        if not stream.max_stream_data_local:
            return
        assert stream.stream_id is not None
        channel = stream.stream_id >> 2
        window = self._windows[channel]
        wanted = self._consumed[channel] + window
        if wanted - stream.max_stream_data_local >= window >> 2:
            stream.max_stream_data_local = wanted
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            self._write_limit(
                builder,
                QuicFrameType.MAX_STREAM_DATA,
                (stream.stream_id, stream.max_stream_data_local),
                self._on_max_stream_data_delivery,
                stream,
            )
            stream.max_stream_data_local_sent = stream.max_stream_data_local

    @staticmethod
    def _write_limit(
        builder: QuicPacketBuilder,
        frame_type: int,
        values: tuple[int, ...],
        on_delivery: Callable[..., None],
        subject: object,
    ) -> None:
        frame = builder.start_frame(
            frame_type,
            capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
            handler=on_delivery,
            handler_args=(subject,),
        )
        for value in values:
            frame.push_uint_var(value)
