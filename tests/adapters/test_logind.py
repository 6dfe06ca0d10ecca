"""Asking logind for a delay, as its interface is: the real one would put this machine to sleep."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from dbus_next import Message, MessageType

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.logind import MANAGER, PATH, SERVICE, Logind
from dubseedd.adapters.messages import CallFailed, IncomingCall, RemoteError, Reply, Variant
from tests.conftest import Connect

LIMIT_SECONDS = 10.0


class LoginManager:
    """Gives out inhibitors as pipes, as logind does, and says whether it prepares for something, when it is `ready`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.inhibitors: list[tuple[int, list[str]]] = []
        self.preparing = {"PreparingForSleep": False, "PreparingForShutdown": False}
        self.questions = 0
        self.ready = asyncio.Event()
        self.ready.set()
        connection.answer(self._answer)

    async def _answer(self, call: IncomingCall) -> Reply:
        match call.member, call.body:
            case "Inhibit", [*words]:
                reading, writing = os.pipe()
                self.inhibitors.append((reading, words))
                return Reply("h", [0], [writing])
            case "Get", [_, name]:
                self.questions += 1
                await self.ready.wait()
                return Reply("v", [Variant("b", self.preparing[name])])
        raise CallFailed("org.freedesktop.DBus.Error.UnknownMethod", call.member)

    def prepare(self, what: str, begins: bool) -> None:
        self.preparing[f"PreparingFor{what}"] = begins
        self._connection.emit(PATH, MANAGER, f"PrepareFor{what}", "b", [begins])


@pytest.fixture
async def manager(connect: Connect) -> AsyncIterator[LoginManager]:
    connection = await connect()
    await connection.request_name(SERVICE)
    manager = LoginManager(connection)
    yield manager
    for reading, _ in manager.inhibitors:
        os.close(reading)


async def test_a_delay_is_held_by_a_descriptor_until_it_is_released(manager: LoginManager, connect: Connect) -> None:
    connection = await connect()
    release = await Logind(lambda: connection).delay("copying tiny from a seed")
    ((reading, words),) = manager.inhibitors
    assert words == ["sleep:shutdown", "dubseedd", "copying tiny from a seed", "delay"]
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    release()
    assert os.read(reading, 1) == b""


async def test_without_a_logind_nothing_is_held_and_nothing_fails(connect: Connect) -> None:
    connection = await connect()
    release = await Logind(lambda: connection).delay("copying tiny from a seed")
    release()


@pytest.mark.parametrize("what", ["Sleep", "Shutdown"])
async def test_what_the_machine_prepares_for_is_reported(manager: LoginManager, connect: Connect, what: str) -> None:
    connection = await connect()
    logind, told = Logind(lambda: connection), asyncio.Queue[bool]()
    await logind.attach(connection)
    undo = logind.watch(told.put_nowait)
    for begins in (True, False):
        manager.prepare(what, begins)
        async with asyncio.timeout(LIMIT_SECONDS):
            assert await told.get() is begins
    undo()


async def test_a_signal_that_somebody_else_sends_is_asked_about(manager: LoginManager, connect: Connect) -> None:
    connection, stranger = await connect(), await connect()
    logind, told = Logind(lambda: connection), asyncio.Queue[bool]()
    await logind.attach(connection)
    logind.watch(told.put_nowait)
    await forge(stranger, connection)
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await told.get() is False


async def test_many_signals_at_once_are_one_question_and_one_more(manager: LoginManager, connect: Connect) -> None:
    connection, stranger = await connect(), await connect()
    logind, told = Logind(lambda: connection), asyncio.Queue[bool]()
    await logind.attach(connection)
    logind.watch(told.put_nowait)
    manager.ready.clear()
    for _ in range(20):
        await forge(stranger, connection)
    await answered(stranger, connection.unique_name)
    await answered(connection, SERVICE)
    assert manager.questions == 1
    manager.ready.set()
    async with asyncio.timeout(LIMIT_SECONDS):
        assert [await told.get() for _ in range(2)] == [False, False]
    assert manager.questions == 4


async def forge(stranger: Connection, connection: Connection) -> None:
    """Anybody may send a signal to one connection."""
    await stranger._bus.send(
        Message(
            destination=connection.unique_name,
            path=PATH,
            interface=MANAGER,
            member="PrepareForSleep",
            message_type=MessageType.SIGNAL,
            signature="b",
            body=[True],
        )
    )


async def answered(caller: Connection, name: str) -> None:
    """Whatever was sent before has arrived, once a call that nobody knows is answered."""
    with pytest.raises(RemoteError):
        await caller.call(name, PATH, MANAGER, "Unknown")
