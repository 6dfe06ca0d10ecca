"""A link to a real bus that refuses, leaves and comes back."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.link import Link
from dubseedd.adapters.messages import BusGone, RemoteError
from dubseedd.names import BUS_NAME
from tests.conftest import Connect
from tests.machine import Machine


async def test_a_connection_that_cannot_be_used_is_closed(
    bus_address: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have the name for a while after the bus was restarted; asking again must not cost a descriptor."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    await (await connect()).request_name(BUS_NAME)

    @asynccontextmanager
    async def named(connection: Connection) -> AsyncIterator[None]:
        await connection.request_name(BUS_NAME)
        yield

    link = Link("tests", named)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(RemoteError, match="has an owner already"):
            await link.open()
        with pytest.raises(BusGone):
            link()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_connection_that_is_lost_is_opened_again_and_used_anew(
    bus: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.bus_address)
    told: asyncio.Queue[tuple[str, Connection]] = asyncio.Queue()

    @asynccontextmanager
    async def followed(connection: Connection) -> AsyncIterator[None]:
        await told.put(("used", connection))
        try:
            yield
        finally:
            await told.put(("left", connection))

    link = Link("tests", followed)
    await link.open()
    keeping = asyncio.ensure_future(link.keep())
    first = link()
    bus.stop()
    assert [await told.get(), await told.get()] == [("used", first), ("left", first)]
    bus.start_bus()
    word, second = await told.get()
    assert word == "used"
    assert second is not first
    assert link() is second
    keeping.cancel()
    await link.close()
    assert await told.get() == ("left", second)
    with pytest.raises(BusGone):
        link()
