"""Which methods are answered where: to everybody, on a development chain, to the operator."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ghostchain.rpc.development import Development
from ghostchain.rpc.dispatch import Dispatcher
from ghostchain.rpc.method import Door, Method
from ghostchain.rpc.options import RpcOptions
from ghostchain.rpc.protocol import Call, Fault
from ghostchain.rpc.services import make_services
from ghostchain.rpc.workers import Workers
from tests.unit.memory_backend import MemoryBackend

TABLE = {
    door.name: Method(door.name, lambda services: door.name, door=door)  # noqa: B023
    for door in Door
}


def bound(backend: MemoryBackend, name: str) -> Any:
    options = RpcOptions()
    workers = Workers(threads=1, queue_max=1, timeout_s=1.0)
    try:
        services = make_services(backend, options, workers)
        dispatcher = Dispatcher(services, TABLE, workers, options.limits)
        return dispatcher.bind(Call(1, name, []))
    finally:
        workers.stop()


@pytest.mark.parametrize("is_development", [False, True])
def test_methods_are_answered_at_their_own_door(is_development: bool) -> None:
    backend = MemoryBackend()
    if is_development:
        backend.development = cast(Development, object())
    answered = {name for name in TABLE if not isinstance(bound(backend, name), Fault)}
    assert answered == ({"PUBLIC", "DEVELOPMENT"} if is_development else {"PUBLIC"})


def test_a_refusal_says_where_the_method_would_be_answered() -> None:
    fault = bound(MemoryBackend(), "DEVELOPMENT")
    assert fault.error.code == -32601
    assert "does not exist/is not available" in fault.error.message
    assert "--dev" in fault.error.message
