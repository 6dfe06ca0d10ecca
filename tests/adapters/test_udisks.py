"""A client of UDisks2, in a storm of signals that the real one does not make on demand."""

import asyncio

import pytest

from dubseedd.adapters import udisks
from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import IncomingCall, Reply
from dubseedd.adapters.udisks import BLOCK, BLOCK_DEVICES, SERVICE, Objects, UDisks
from dubseedd.errors import StoreTrouble
from tests.conftest import Connect

LIMIT_SECONDS = 10.0


class Stormy:
    """Knows no device, and sends a signal before each answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.answer(self._answer)

    async def _answer(self, call: IncomingCall) -> Reply:
        properties, body = "org.freedesktop.DBus.Properties", [BLOCK, {}, []]
        self._connection.emit(f"{BLOCK_DEVICES}/sda", properties, "PropertiesChanged", "sa{sv}as", body)
        return Reply("a{oa{sa{sv}}}", [{}])


async def test_signals_without_end_keep_nobody_from_nudging_and_giving_up(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udisks, "APPEAR_SECONDS", 0.0)
    connection, service = await connect(), await connect()
    Stormy(service)
    await service.request_name(SERVICE)
    client = UDisks(lambda: connection)
    await client.attach(connection)
    nudges: list[Objects] = []

    async def nudge(objects: Objects) -> None:
        nudges.append(objects)

    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(StoreTrouble, match="UDisks2 does not know /dev/sda"):
            await client.until("/dev/sda", lambda _: None, nudge)
    assert nudges == [{}]
    client.detach()
