"""What systemd tells of a service, by a true small systemd on a private bus."""

from typing import Any

import pytest

from dubseedd.adapters import units
from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import CallFailed, IncomingCall, Reply, Variant
from dubseedd.adapters.units import unit_named

COMMAND = ["/usr/bin/vllm", ["/usr/bin/vllm", "serve", "/store/llama"], False, 0, 0, 0, 0, 0, 0, 0]
SERVICE = {
    "ExecStart": Variant("a(sasbttttuii)", [COMMAND]),
    "Environment": Variant("as", ["MODELS=/store", "EMPTY="]),
    "ExecMainStartTimestamp": Variant("t", 1_700_000_000_000_000),
}


class Systemd:
    """Knows one unit, `vllm.service`, in these states."""

    def __init__(self, load: str, active: str) -> None:
        self._unit = {"LoadState": Variant("s", load), "ActiveState": Variant("s", active)}

    async def answer(self, call: IncomingCall) -> Reply:
        match call.member, call.body:
            case "LoadUnit", ["vllm.service"]:
                return Reply("o", ["/unit/vllm"])
            case "GetAll", [units.UNIT]:
                return Reply("a{sv}", [self._unit])
            case "GetAll", [units.SERVICE_UNIT]:
                return Reply("a{sv}", [SERVICE])
        raise CallFailed("org.freedesktop.systemd1.NoSuchUnit", "no such unit")


@pytest.fixture
async def link(connect: Any) -> Connection:
    connection: Connection = await connect()
    return connection


async def serve(connect: Any, load: str = "loaded", active: str = "active") -> None:
    connection = await connect()
    connection.answer(Systemd(load, active).answer)
    await connection.request_name(units.SERVICE)


async def test_a_service_that_runs(connect: Any, link: Connection) -> None:
    await serve(connect)
    unit = await unit_named(link, "vllm.service")
    assert unit is not None
    assert unit.command == ("/usr/bin/vllm", "serve", "/store/llama")
    assert unit.environment == {"MODELS": "/store", "EMPTY": ""}
    assert (unit.active, unit.started_at) == (True, 1_700_000_000_000_000)


async def test_one_that_does_not_run_has_not_started(connect: Any, link: Connection) -> None:
    await serve(connect, active="inactive")
    unit = await unit_named(link, "vllm.service")
    assert unit is not None
    assert (unit.active, unit.started_at) == (False, 0)


async def test_there_is_no_such_service(connect: Any, link: Connection) -> None:
    await serve(connect, load="not-found")
    assert await unit_named(link, "vllm.service") is None
    assert await unit_named(link, "llama.service") is None


async def test_a_machine_without_systemd_has_none(link: Connection) -> None:
    assert await unit_named(link, "vllm.service") is None
