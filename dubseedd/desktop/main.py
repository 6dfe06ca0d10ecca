"""dubseed-notify: tells on the desktop what dubseedd does, and ejects a stick when its button is pressed.

It looks on and starts nothing: where dubseedd does not run, or the session shows no notifications, it waits. Exit
status: 0 when the session is over, 3 where a bus cannot be reached.
"""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress

from dubseedd import __version__
from dubseedd.adapters.messages import DBUS, BusGone, RemoteError
from dubseedd.cli.asking import complaint_of
from dubseedd.cli.client import Client
from dubseedd.cli.exits import DONE, UNREACHABLE, Complaint
from dubseedd.cli.text import printable
from dubseedd.cli.views import NOT_RUNNING, STOPPED
from dubseedd.desktop.desk import PAUSE_SECONDS, Desk
from dubseedd.desktop.notices import Button, Mood, Notice, Subject, notices, story
from dubseedd.desktop.server import NotificationServer

EVENTS_MOST = 100
"""Of the history, when somebody wants to know more."""
NO_SUCH_OBJECT = f"{DBUS}.Error.UnknownObject"


class Notifier:
    """One session: the daemon's state on its desk, and what its buttons ask for."""

    def __init__(self, client: Client, server: NotificationServer) -> None:
        self._client = client
        self._desk = Desk(server, self._on_wanted)
        self._state = STOPPED
        self._deeds: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep the desk in step with the daemon, until a bus is gone."""
        parts = [asyncio.ensure_future(part) for part in (self._follow(), self._desk.keep())]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in ended:
                part.result()
        finally:
            begun = [*parts, *self._deeds]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
            await self._desk.clear()

    async def _follow(self) -> None:
        known = False
        async for state in self._client.states(patient=True):
            self._state, told = state, notices(state)
            if not known:
                self._desk.know(told)
                known = True
            self._desk.tell(told)
            await asyncio.sleep(PAUSE_SECONDS)

    def _on_wanted(self, notice: Notice, button: Button, gone_at: float) -> None:
        task = asyncio.ensure_future(self._answer(notice.about, button, gone_at))
        self._deeds.add(task)
        task.add_done_callback(self._deeds.discard)

    async def _answer(self, about: Subject, button: Button, gone_at: float) -> None:
        """Do what a button asks for, and say what came of it."""
        eject = button is Button.EJECT
        with suppress(BusGone):  # whoever follows a bus says so
            await self._desk.say(printable(await self._eject(about)) if eject else await self._tell(about, gone_at))

    async def _eject(self, about: Subject) -> Notice:
        """Eject the stick that a notice is about, or that its job was of."""
        if self._state == STOPPED:
            return Notice(f"{about.label} is not ejected", NOT_RUNNING, Mood.WRONG)
        gone = Notice(f"{about.label} is gone", "It was pulled out before", Mood.WELL)
        seed = next((seed for seed in self._state.seeds if seed.path == about.seed), None)
        if seed is None:
            return gone
        try:
            await self._client.eject(seed)
        except (RemoteError, TimeoutError) as error:
            if isinstance(error, RemoteError) and error.name == NO_SUCH_OBJECT:
                return gone
            why = complaint_of(error.name, error.text) if isinstance(error, RemoteError) else error
            return Notice(f"{seed.label} is not ejected", str(why), Mood.WRONG)
        return Notice(f"{seed.label} may be pulled out", seed.drive or seed.device, Mood.WELL)

    async def _tell(self, about: Subject, gone_at: float) -> Notice:
        """What has happened to what a notice is about."""
        events = []
        if self._state != STOPPED:
            with suppress(RemoteError, TimeoutError):
                events = await self._client.history(EVENTS_MOST)
        return story(about.fields, events, gone_at)


async def notify(session: str) -> None:
    """Look on until a bus is gone. Raises BusGone, RemoteError, TimeoutError, Complaint."""
    async with NotificationServer.open(session) as server, Client.open(wakes=False, interactive=True) as client:
        task = asyncio.ensure_future(Notifier(client, server).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await task


def session_bus() -> str:
    """The address of the session's bus, as sd_bus_open_user() finds it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(prog="dubseed-notify", description="Tell on the desktop what dubseedd does.")
    parser.add_argument("--version", action="version", version=f"dubseed-notify {__version__}")
    parser.parse_args(argv)
    try:
        asyncio.run(notify(session_bus()))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return DONE
    except (BusGone, RemoteError, TimeoutError, Complaint) as error:
        print(f"dubseed-notify: {error}; is the system bus running, and the session's?", file=sys.stderr)
        return UNREACHABLE
    return DONE


if __name__ == "__main__":
    sys.exit(main())
