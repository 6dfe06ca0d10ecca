"""A desktop: dunst as the notification server on a display that nobody looks at, and dubseed-notify beside it."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import CallFailed, IncomingCall, Reply
from dubseedd.desktop.server import NAME, PATH, NotificationServer
from tests.cli.conftest import PIPE, Connect, toy
from tests.machine import owned_or_exited
from tests.support.news import News
from tools.machine import start, start_display

__all__ = ["toy"]
DUNST = "org.dunstproject.cmd0"
FAILURE = ("org.dubnium.Seed1.Error.NoSpace", "the store is full; make room")
RUN = "import sys; from dubseedd.desktop.main import main; sys.exit(main())"

StartDunst = Callable[[], AbstractAsyncContextManager["Dunst"]]
Notifier = Callable[..., Awaitable[asyncio.subprocess.Process]]


class Dunst:
    """A notification server that shows things for real, and can tell what it shows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: set[tuple[str, int]] = set()
        self._displayed: set[int] = set()
        self._news = News()

    async def follow(self, monitor: asyncio.StreamReader) -> None:
        """Take note of what it answers to Notify, and of what it closes."""
        while line := await monitor.readline():
            message = json.loads(line)
            body = message.get("payload", {}).get("data", [])
            if message.get("member") == "Notify":
                self._asked.add((message["sender"], message["cookie"]))
            elif (
                message["type"] == "method_return" and (message["destination"], message["reply_cookie"]) in self._asked
            ):
                self._displayed.add(body[0])
            elif message.get("member") == "NotificationClosed":
                self._displayed.discard(body[0])
            self._news.set()

    async def shows(self, count: int) -> None:
        """Wait until so many notifications are on the screen."""
        await self._news.until(lambda: len(self._displayed) == count)

    async def dismissed(self) -> list[dict[str, Any]]:
        """Dismiss everything on the screen, as a person does; what it was, the newest first."""
        before = len(self._displayed)
        await self.call("NotificationCloseAll")
        await self.shows(0)
        (history,) = await self.call("NotificationListHistory")
        return list(history[:before])

    async def press(self) -> None:
        """Press the only button of the only notification."""
        await self.call("NotificationAction", "u", 0)

    async def call(self, member: str, signature: str = "", *body: Any) -> list[Any]:
        return await self._connection.call(NAME, PATH, DUNST, member, signature, body)


@pytest.fixture(scope="session")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of an X display."""
    with ExitStack() as undo:
        yield start_display(undo, tmp_path_factory.mktemp("display"), "640x360")


@asynccontextmanager
async def monitored(bus_address: str, dunst: Dunst) -> AsyncIterator[None]:
    """Have it see all that is said on the bus."""
    argv = ("busctl", f"--address={bus_address}", "monitor", "--json=short")
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert (await process.stderr.readline()).startswith(b"Monitoring"), "busctl does not start"
    following = asyncio.ensure_future(dunst.follow(process.stdout))
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
        await following


@pytest.fixture
def start_dunst(display: str, bus_address: str, tmp_path: Path, connect: Connect) -> StartDunst:
    """Puts a notification server on the session's bus."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Dunst]:
        environment = {**os.environ, "DISPLAY": display, "DBUS_SESSION_BUS_ADDRESS": bus_address}
        dunst = Dunst(await connect())
        with ExitStack() as undo:
            async with monitored(bus_address, dunst):
                process = start(undo, tmp_path, "dunst", environment=environment)
                assert await owned_or_exited(bus_address, NAME, process.pid), (tmp_path / "dunst.log").read_text()
                yield dunst

    return run


@pytest.fixture
async def dunst(start_dunst: StartDunst) -> AsyncIterator[Dunst]:
    async with start_dunst() as running:
        yield running


class Screen:
    """A notification server that does just what a test tells it to.

    Under each number stands the summary of a notice. What is `refused` is answered with the error of that name;
    `before_answer` runs once.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.refused = ""
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.asked: list[IncomingCall] = []
        self.stands: dict[int, str] = {}
        self.news = News()
        self._numbers = itertools.count(1)
        connection.answer(self._answer)

    async def _answer(self, call: IncomingCall) -> Reply:
        if call.member == "GetCapabilities":
            return Reply("as", [["actions"]])
        self.asked.append(call)
        self.news.set()
        before, self.before_answer = self.before_answer, None
        if before is not None:
            await before()
        if self.refused:
            raise CallFailed(self.refused, "not now")
        if call.member == "CloseNotification":
            self.stands.pop(call.body[0], None)
            return Reply()
        number = call.body[1] or next(self._numbers)
        self.stands[number] = call.body[3]
        return Reply("u", [number])

    def press(self, button: str) -> None:
        """Press a button of the only notice."""
        (number,) = self.stands
        self.connection.emit(PATH, NAME, "ActionInvoked", "us", [number, button])


StartScreen = Callable[[], Awaitable[Screen]]


@pytest.fixture
def start_screen(connect: Connect) -> StartScreen:
    """Puts such a server on the session's bus."""

    async def begin() -> Screen:
        screen = Screen(await connect())
        await screen.connection.request_name(NAME)
        return screen

    return begin


@pytest.fixture
async def server(bus_address: str) -> AsyncIterator[NotificationServer]:
    async with NotificationServer.open(bus_address) as opened:
        yield opened


@pytest.fixture
async def notify(bus_address: str) -> AsyncIterator[Notifier]:
    """Starts dubseed-notify with no terminal, for which the private bus is the system's and the session's; it ends with
    the test."""
    started: list[asyncio.subprocess.Process] = []

    async def begin(**more: str) -> asyncio.subprocess.Process:
        addresses = {"DBUS_SYSTEM_BUS_ADDRESS": bus_address, "DBUS_SESSION_BUS_ADDRESS": bus_address}
        environment = {**os.environ, **addresses, **more}
        argv = (sys.executable, "-c", RUN)
        streams = {"stdin": asyncio.subprocess.DEVNULL, "stdout": PIPE, "stderr": PIPE}
        started.append(await asyncio.create_subprocess_exec(*argv, **streams, env=environment))
        return started[-1]

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()
