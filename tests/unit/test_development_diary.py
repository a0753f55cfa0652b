"""What a development chain's diary says after any sequence of entries, restarts and torn writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostchain.node.development import diary as module
from ghostchain.node.development.diary import NAME, Diary, Snapshot
from ghostchain.node.development.pooling import Waiting
from ghostchain.node.development.settings import NodeSettings
from ghostchain.primitives.errors import StorageCorrupt
from ghostchain.primitives.types import Address, Hash32
from ghostchain.storage.disk import RealDisk
from ghostchain.storage.wal import WriteAheadLog
from tests.unit.test_development_clock import chain_settings, node_settings

waiting = st.builds(
    Waiting,
    st.binary(min_size=1, max_size=40),
    st.none() | st.binary(min_size=20, max_size=20).map(Address),
)
snapshots = st.builds(
    Snapshot,
    identity=st.just(0),
    height=st.integers(0, 1 << 40),
    block_hash=st.binary(min_size=32, max_size=32).map(Hash32),
    clock_s=st.integers(-(1 << 62), 1 << 62),
    settings=chain_settings,
    amendments=st.binary(max_size=40),
    waiting=st.lists(waiting, max_size=3).map(tuple),
)
steps = st.one_of(
    st.tuples(st.just("chain"), chain_settings, st.integers(0, 1 << 40)),
    st.tuples(st.just("node"), node_settings),
    st.tuples(st.just("add"), snapshots),
    st.tuples(st.just("forget"), st.lists(st.integers(0, 6), max_size=3)),
    st.tuples(st.just("returning"), snapshots, st.lists(st.integers(0, 6), max_size=3)),
    st.tuples(st.just("returned"), chain_settings, st.integers(0, 1 << 40)),
    st.tuples(st.just("restart")),
)


def act(diary: Diary, step: tuple[Any, ...]) -> None:
    match step:
        case ("chain", chain, height):
            diary.chain(chain, height)
        case ("node", node):
            diary.node(node)
        case ("add", snapshot):
            diary.add(replace(snapshot, identity=diary.remembered.next_identity))
        case ("forget", identities):
            diary.forget(identities)
        case ("returning", snapshot, identities):
            held = diary.remembered.snapshots
            diary.returning(snapshot, [one for one in dict.fromkeys(identities) if one in held])
        case ("returned", chain, height):
            diary.returned(chain, height)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lived=st.lists(steps, max_size=30))
def test_a_restart_remembers_all_of_it(
    lived: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Against a diary that is never closed; it is rewritten every few entries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REWRITE_BYTES_MIN", 600)
        folder = tmp_path_factory.mktemp("diary")
        model, diary = Diary(None), Diary(folder)
        for step in lived:
            if step == ("restart",):
                diary.close()
                diary = Diary(folder)
            act(model, step)
            act(diary, step)
            assert diary.remembered == model.remembered
        diary.close()
        again = Diary(folder)
        assert again.remembered == model.remembered
        again.close()


def test_a_torn_last_entry_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    diary.node(NodeSettings(automine=False))
    whole = (tmp_path / NAME).stat().st_size
    diary.node(NodeSettings(automine=True))
    diary.close()
    data = (tmp_path / NAME).read_bytes()
    for cut in range(whole, len(data)):
        (tmp_path / NAME).write_bytes(data[:cut])
        again = Diary(tmp_path)
        assert again.remembered.node == NodeSettings(automine=False)
        again.close()


@pytest.mark.parametrize("record", [b"{}", b"no json", b'{"node":{}}', b'{"gone":"all"}', b"[]"])
def test_an_entry_that_was_never_written_is_refused(tmp_path: Path, record: bytes) -> None:
    log = WriteAheadLog(RealDisk(tmp_path), NAME)
    log.append(record)
    log.flush()
    log.close()
    with pytest.raises(StorageCorrupt):
        Diary(tmp_path)
