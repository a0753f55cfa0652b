"""The chain's clock: the wall's, moved by hand. Pure: the time comes in.

As anvil's time manager: an offset that stays, an exact time for one block from which the clock goes
on, or a fixed step from block to block. Left alone, each block is younger than its parent; only
what was set by hand makes one of the same age, or an older one.
"""

from __future__ import annotations

from dataclasses import replace

from ghostchain.node.development.settings import ChainSettings
from ghostchain.primitives.header import Header

TIMESTAMP_MAX = (1 << 64) - 1


def next_timestamp(
    settings: ChainSettings, parent_timestamp: int, *, now_s: int, step_min: int
) -> int:
    """Of the block after the one with parent_timestamp, if it were made now."""
    oldest = parent_timestamp if settings.next_oldest is None else settings.next_oldest
    if settings.next_timestamp is not None:
        wanted = settings.next_timestamp
    elif settings.timestamp_interval_s is not None:
        wanted = parent_timestamp + settings.timestamp_interval_s
    else:
        wanted = now_s + settings.offset_s
        if settings.next_oldest is None:
            oldest = parent_timestamp + step_min
    return min(max(wanted, oldest), TIMESTAMP_MAX)


def set_to(
    settings: ChainSettings, timestamp: int, head_timestamp: int, *, now_s: int
) -> ChainSettings:
    """The clock shows timestamp now; where that is before the head, the next block may be too."""
    return replace(
        settings,
        offset_s=timestamp - now_s,
        next_timestamp=None,
        next_oldest=timestamp if timestamp < head_timestamp else None,
    )


def spends(settings: ChainSettings) -> bool:
    """Whether something is set for one block alone."""
    once = (
        settings.next_timestamp,
        settings.next_oldest,
        settings.next_base_fee,
        settings.next_prev_randao,
    )
    return any(one is not None for one in once)


def after_block(settings: ChainSettings, header: Header, *, now_s: int) -> ChainSettings:
    """What stays set once this block is made: what was for one block is spent, and the clock goes
    on from a time that was set exactly. The same record where nothing changes."""
    if not spends(settings):
        return settings
    offset_s = settings.offset_s
    if settings.next_timestamp is not None:
        offset_s = header.timestamp - now_s
    return replace(
        settings,
        offset_s=offset_s,
        next_timestamp=None,
        next_oldest=None,
        next_base_fee=None,
        next_prev_randao=None,
    )
