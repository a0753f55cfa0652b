"""Any mix of peers: with one honest peer among them a node reaches its head, in order, blames only
the dishonest, and gives the chain back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sync_world import MILLISECOND_NS, SECOND_NS, Peer, World, blocks_of
from tests.unit.test_sync_core import (
    Forger,
    Garbler,
    Liar,
    Mixer,
    Oversizer,
    Shifter,
    Shuffler,
    SilentLiar,
    Spammer,
    Staller,
)

CHAIN = blocks_of(500, body_bytes=300)
SINS = (
    Forger,
    Garbler,
    Liar,
    Mixer,
    Oversizer,
    Shifter,
    Shuffler,
    SilentLiar,
    Spammer,
    Staller,
)


@settings(max_examples=40)
@given(
    sins=st.lists(st.sampled_from(SINS), max_size=6),
    leavers=st.lists(st.integers(0, 2_000), max_size=4),
    delay_ms=st.integers(1, 500),
    epoch=st.integers(2, 64),
    seed=st.integers(0, 2**32),
)
def test_one_honest_peer_is_enough(
    sins: list[type[Peer]], leavers: list[int], delay_ms: int, epoch: int, seed: int
) -> None:
    """leavers: when, in milliseconds, another honest peer leaves. epoch: blocks whose validators
    the last block of the epoch before tells."""
    honest = Peer("honest", CHAIN)
    honest.delay_ns = delay_ms * MILLISECOND_NS
    bad = [sin(f"{sin.__name__} {number}", CHAIN) for number, sin in enumerate(sins)]
    leaving = [Peer(f"leaving {number}", CHAIN) for number in range(len(leavers))]
    world = World(
        [*bad, honest, *leaving],
        seed=seed,
        unknown_above=lambda head: (head // epoch + 1) * epoch + 1,
    )
    for peer, moment in zip(leaving, leavers, strict=True):
        world.at(moment * MILLISECOND_NS, lambda peer=peer: world.close(peer))
    for second in range(1, 200):
        world.at(second * SECOND_NS, lambda: world.say_height(honest))
    world.run(seconds=200)
    assert [block.height for block in world.imported] == list(range(1, 501))
    assert set(world.reasons) <= {peer.key for peer in bad}
    assert not world.stuck
    assert not world.core.is_active
    assert world.core.held_bytes == 0
