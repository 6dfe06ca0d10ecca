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
from dubseedd.adapters.messages import BusGone, RemoteError
from dubseedd.cli.asking import complaint_of
from dubseedd.cli.client import Client
from dubseedd.cli.exits import DONE, UNREACHABLE, Complaint
from dubseedd.cli.text import printable
from dubseedd.cli.views import STOPPED, SeedView
from dubseedd.desktop.desk import PAUSE_SECONDS, Desk
from dubseedd.desktop.notices import Button, Mood, Notice, notices, story
from dubseedd.desktop.server import NotificationServer
from dubseedd.names import Field

EVENTS_MOST = 100
"""Of the history, when somebody wants to know more."""


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
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
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

    def _on_wanted(self, path: str, button: Button) -> None:
        task = asyncio.ensure_future(self._eject(path) if button is Button.EJECT else self._tell(path))
        self._deeds.add(task)
        task.add_done_callback(self._deeds.discard)

    async def _eject(self, path: str) -> None:
        """Eject the stick that a notice is about, or that its job was of."""
        seed = self._seed_of(path)
        if seed is None:
            return
        try:
            await self._client.eject(seed)
            answer = Notice(f"{seed.label} may be pulled out", seed.drive or seed.device, Mood.WELL)
        except (RemoteError, TimeoutError) as error:
            why = complaint_of(error.name, error.text) if isinstance(error, RemoteError) else error
            answer = Notice(f"{seed.label} is not ejected", str(why), Mood.WRONG)
        await self._desk.say(printable(answer))

    async def _tell(self, path: str) -> None:
        """Show what has happened to what a notice is about."""
        about = self._about(path)
        with suppress(RemoteError, TimeoutError):
            events = await self._client.history(EVENTS_MOST)
            await self._desk.say(story(about, events))

    def _about(self, path: str) -> dict[Field, str | int]:
        """The journal fields by which the events of a seed or a job are found."""
        found: dict[str, dict[Field, str | int]] = {
            seed.path: {Field.DEVICE: seed.device} for seed in self._state.seeds
        }
        found |= {job.path: {Field.JOB: job.id, Field.BUNDLE: job.bundle} for job in self._state.jobs}
        return found.get(path, {})

    def _seed_of(self, path: str) -> SeedView | None:
        of_job = {job.path: job.seed for job in self._state.jobs}
        return next((seed for seed in self._state.seeds if seed.path == of_job.get(path, path)), None)


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
