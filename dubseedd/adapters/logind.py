"""logind: asks for a moment before the machine sleeps or is shut down."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import BusGone, Match, RemoteError, Signal
from dubseedd.names import IDENTIFIER

SERVICE = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
WHAT = "sleep:shutdown"

OnPrepare = Callable[[bool], None]


class Logind:
    """The login manager, over whichever connection there is. A machine without one sleeps when it likes."""

    def __init__(self, link: Callable[[], Connection]) -> None:
        self._link = link
        self._watchers: list[OnPrepare] = []
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False

    async def attach(self, connection: Connection) -> None:
        """Follow it on a new connection; the subscription ends with that."""
        await connection.subscribe(Match(sender=SERVICE, path=PATH, interface=MANAGER), self._on_signal)

    def watch(self, on_prepare: OnPrepare) -> Callable[[], None]:
        """Report True when the machine is about to sleep or to shut down, False when it is not any more. Returns the
        undo."""
        self._watchers.append(on_prepare)
        return lambda: self._watchers.remove(on_prepare)

    async def delay(self, why: str) -> Callable[[], None]:
        """Hold up sleep and shutdown for as long as logind grants (InhibitDelayMaxSec=); returns the release."""
        try:
            descriptor = await self._link().call_for_descriptor(
                SERVICE, PATH, MANAGER, "Inhibit", "ssss", [WHAT, IDENTIFIER, why, "delay"]
            )
        except (BusGone, RemoteError, TimeoutError):
            return lambda: None
        return lambda: os.close(descriptor)

    def _on_signal(self, signal: Signal) -> None:
        if signal.member in ("PrepareForSleep", "PrepareForShutdown"):
            self._look_again = True
            if self._looking is None or self._looking.done():
                self._looking = asyncio.get_running_loop().create_task(self._look(), name="logind")

    async def _look(self) -> None:
        """What signals say is asked for, and one question at a time: anybody can send them, and as many as he likes."""
        while self._look_again:
            self._look_again = False
            with suppress(BusGone, RemoteError, TimeoutError):
                preparing = [await self._property(f"PreparingFor{what}") for what in ("Sleep", "Shutdown")]
                for watcher in list(self._watchers):
                    watcher(any(preparing))

    async def _property(self, name: str) -> bool:
        (value,) = await self._link().call(SERVICE, PATH, PROPERTIES, "Get", "ss", [MANAGER, name])
        return value is True
