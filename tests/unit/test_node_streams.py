"""The transport is given the limits of the peers' channels, each by its number."""

from __future__ import annotations

from ghostchain.consensus.messages import MESSAGE_BYTES_MAX as VOTE_FRAME_MAX
from ghostchain.net.channels import Channel as Stream
from ghostchain.node.networking import stream_limits
from ghostchain.p2p.messages import CHANNEL_LIMITS, Channel
from ghostchain.sync.messages import MESSAGE_BYTES_MAX as SYNC_FRAME_MAX


def test_streams_are_the_channels() -> None:
    assert [(stream.name, stream.value) for stream in Stream] == [
        (channel.name, channel.value) for channel in Channel
    ]
    for channel, limits in zip(Channel, stream_limits(), strict=True):
        assert limits.frame_bytes_max == CHANNEL_LIMITS[channel].frame_bytes_max
        assert limits.receive_bytes == CHANNEL_LIMITS[channel].bytes_per_second
        assert limits.queue_bytes_max >= limits.frame_bytes_max


def test_the_largest_message_of_each_package_fits_its_channel() -> None:
    limits = stream_limits()
    assert limits[Channel.VOTES].frame_bytes_max >= VOTE_FRAME_MAX
    assert limits[Channel.SYNC].frame_bytes_max >= SYNC_FRAME_MAX
