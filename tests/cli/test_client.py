"""What a client believes of a daemon that it follows, and for how long."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dbus_next import Message

from dubseedd.adapters.messages import DBUS, DBUS_PATH
from dubseedd.cli.client import Client
from dubseedd.cli.views import State
from dubseedd.names import MANAGER_INTERFACE, ROOT_PATH
from tests.cli.conftest import LIMIT_SECONDS, Connect, ToyDaemon

FAILURE = ("org.dubnium.Seed1.Error.NoSpace", "the store is full; make room")


@pytest.fixture
async def opened(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    async with Client.open(wakes=False) as opened:
        yield opened


async def following(states: AsyncIterator[State]) -> State:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await anext(states)


async def test_a_stranger_cannot_take_back_what_the_daemon_has_said(
    toy: ToyDaemon, opened: Client, connect: Connect
) -> None:
    path = toy.show_job(1)
    toy.end_job(path, "failed", *FAILURE)
    toy.tree.remove(path)
    await opened.state()
    stranger = await connect()
    forged = Message.new_signal(ROOT_PATH, MANAGER_INTERFACE, "JobRemoved", "uoss", [1, path, "tiny", "done"])
    forged.destination = opened._connection.unique_name
    await stranger._bus.send(forged)
    await stranger.call(DBUS, DBUS_PATH, DBUS, "GetId")
    assert [(job.state, job.error) for job in (await opened.state()).jobs] == [("failed", FAILURE)]


async def test_who_looks_on_for_ever_is_told_once_of_a_job_that_the_daemon_has_forgotten(
    toy: ToyDaemon, opened: Client
) -> None:
    states = opened.states(patient=True)
    assert (await following(states)).jobs == ()
    path = toy.show_job(1)
    toy.end_job(path, "failed", *FAILURE)
    toy.tree.remove(path)
    assert [(job.path, job.error) for job in (await following(states)).jobs] == [(path, FAILURE)]
    toy.tree.update(ROOT_PATH, MANAGER_INTERFACE, {"Status": "something else"})
    assert (await following(states)).jobs == ()
