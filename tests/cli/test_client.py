"""What a client believes of a daemon that it follows, and for how long."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dbus_next import Message

from dubseedd.adapters.messages import DBUS, DBUS_PATH, BusGone, CallFailed, IncomingCall, Reply
from dubseedd.cli import client
from dubseedd.cli.client import Client
from dubseedd.cli.views import STOPPED, State
from dubseedd.names import BUS_NAME, MANAGER_INTERFACE, ROOT_PATH
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


async def test_who_waits_for_a_daemon_is_told_when_the_bus_is_gone(opened: Client) -> None:
    states = opened.states(patient=True)
    assert await following(states) == STOPPED
    await opened._connection.close()
    with pytest.raises(BusGone):
        await following(states)


class Refusing:
    """A daemon that takes the place of another, and shows nothing of itself until it is told to."""

    def __init__(self, toy: ToyDaemon) -> None:
        self.toy = toy
        self.asked: list[IncomingCall] = []
        self.was_asked = asyncio.Event()
        toy.connection.answer(self._refuse)

    async def _refuse(self, call: IncomingCall) -> Reply:
        self.asked.append(call)
        self.was_asked.set()
        raise CallFailed(f"{DBUS}.Error.LimitsExceeded", "too many calls of yours wait already")


async def succeeded_by_one_that_refuses(toy: ToyDaemon, states: AsyncIterator[State], connect: Connect) -> Refusing:
    await following(states)
    await toy.connection.close()
    assert await following(states) == STOPPED
    successor = Refusing(ToyDaemon(await connect()))
    await successor.toy.connection.request_name(BUS_NAME)
    return successor


async def test_a_daemon_that_refuses_to_show_itself_is_not_asked_again_at_once(
    toy: ToyDaemon, opened: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRY_SECONDS", LIMIT_SECONDS)
    states = opened.states(patient=True)
    successor = await succeeded_by_one_that_refuses(toy, states, connect)
    shown = asyncio.ensure_future(following(states))
    await successor.was_asked.wait()
    for _ in range(5):
        await successor.toy.connection.call(DBUS, DBUS_PATH, DBUS, "GetId")
    assert len(successor.asked) == 1
    successor.toy.tree.attach(successor.toy.connection)
    path = successor.toy.show_job(1)
    assert [job.path for job in (await shown).jobs] == [path]


async def test_a_daemon_that_refuses_to_show_itself_is_asked_again_though_it_says_nothing(
    toy: ToyDaemon, opened: Client, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.0)
    states = opened.states(patient=True)
    successor = await succeeded_by_one_that_refuses(toy, states, connect)
    shown = asyncio.ensure_future(following(states))
    await successor.was_asked.wait()
    successor.toy.tree.attach(successor.toy.connection)
    assert (await shown).manager.state == "idle"
