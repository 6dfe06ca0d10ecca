"""The notification server of a session, which speaks org.freedesktop.Notifications.

Source: the Desktop Notifications Specification, 1.2.

A session without one is quiet. A server that nobody needs may have left: the next notice starts it again.
"""

import asyncio
import html
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, BusGone, Match, RemoteError, Signal, Variant
from dubseedd.cli.asking import NO_DAEMON, NO_START
from dubseedd.desktop.notices import Button, Mood, Notice

log = logging.getLogger(__name__)

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
APPLICATION = "dubseedd"
LIMIT_SECONDS = 10.0
PAUSE_SECONDS = 20.0
"""How long nothing is shown to a server that has not answered, unless another one comes."""
NOBODY = (*NO_DAEMON, *NO_START)
"""How the errors begin that the bus sends in the place of a server."""
SERVERS_CHOICE = -1
NEVER = 0
LOW, NORMAL, CRITICAL = 0, 1, 2
LOOKS = {
    Mood.GOING: ("drive-removable-media", LOW, "transfer", NEVER),
    Mood.WELL: ("drive-removable-media", NORMAL, "transfer.complete", SERVERS_CHOICE),
    Mood.WRONG: ("dialog-error", CRITICAL, "transfer.error", NEVER),
}
"""Icon, urgency, category, and after how many milliseconds it disappears by itself."""


class NotificationServer:
    """Shows notices under numbers of its own.

    Calls `pressed(number, button)` and `closed(number)` as that happens, `lost()` when the server is gone with all its
    numbers, and `came()` when one appears.
    """

    def __init__(self, session: Connection) -> None:
        self._session = session
        self._quiet_until = 0.0
        self._abilities: Collection[str] = ()
        self._asked = 0
        self._early: list[Signal] = []
        """What happened while the number of a notice was not known yet: it may be that one."""
        self._owner: str | None = None
        """The unique name of the server, "" while there is none, None until we know. It alone is believed, and it alone
        is told its numbers."""
        self.pressed: Callable[[int, Button], None] = lambda *_: None
        self.closed: Callable[[int], None] = lambda _: None
        self.lost: Callable[[], None] = lambda: None
        self.came: Callable[[], None] = lambda: None

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str) -> AsyncIterator[Self]:
        """Connect to the bus of a session. Raises BusGone or TimeoutError."""
        session = await Connection.open(address)
        try:
            server = cls(session)
            await session.subscribe(Match(sender=NAME, path=PATH, interface=NAME), server._on_signal)
            comes = Match(sender=DBUS, member="NameOwnerChanged", arg0=NAME)
            await session.subscribe(comes, server._on_signal)
            await server._find_owner()
            yield server
        finally:
            await session.close()

    async def _find_owner(self) -> None:
        """Who the server is now; what a signal has said of it meanwhile is newer."""
        owner = await self._session.owner_of(NAME)
        if self._owner is None:
            self._owner = owner

    async def show(self, notice: Notice, replaces: int = 0) -> int:
        """Show a notice, in the place of an earlier one that is still there; its number, or 0 where it is not shown.

        Raises BusGone.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_until:
            return 0
        self._asked += 1
        try:
            self._abilities = self._abilities or (await self._call(NAME, "GetCapabilities"))[0]
            to = self._owner if replaces and self._owner else NAME
            (number,) = await self._call(to, "Notify", "susssasa{sv}i", *self._words(notice, replaces))
        except (RemoteError, TimeoutError) as error:
            log.debug("%s is not shown (%s)", notice.summary, error)
            if isinstance(error, TimeoutError) or error.name.startswith(NOBODY):
                self._quiet_until = loop.time() + PAUSE_SECONDS
            return 0
        finally:
            self._asked -= 1
            loop.call_soon(self._catch_up)  # when the caller has the number
        return int(number)

    def _words(self, notice: Notice, replaces: int) -> Sequence[object]:
        """A notice as the server takes it, without what it cannot do."""
        icon, urgency, category, disappears = LOOKS[notice.mood]
        hints = {"urgency": Variant("y", urgency), "category": Variant("s", category)}
        if notice.percent is not None:
            hints["value"] = Variant("i", notice.percent)
        body = html.escape(notice.body, quote=False) if "body-markup" in self._abilities else notice.body
        buttons = notice.buttons if "actions" in self._abilities else ()
        keys = [word for button in buttons for word in (button.name, button.value)]
        return [APPLICATION, replaces, icon, notice.summary, body, keys, hints, disappears]

    async def close(self, number: int) -> None:
        """Take a notice away; one that is gone already is left alone."""
        with suppress(RemoteError, TimeoutError, BusGone):
            await self._call(self._owner or NAME, "CloseNotification", "u", number)

    async def _call(self, to: str, member: str, signature: str = "", *body: object) -> list[Any]:
        return await self._session.call(to, PATH, NAME, member, signature, body, timeout_seconds=LIMIT_SECONDS)

    def _on_signal(self, signal: Signal) -> None:
        self._early.append(signal)
        self._catch_up()

    def _catch_up(self) -> None:
        if not self._asked:
            early, self._early = self._early, []
            for signal in early:
                self._take(signal)

    def _take(self, signal: Signal) -> None:
        if signal.sender == DBUS:
            _, former, owner = signal.body
            self._change(former, owner)
        elif signal.sender != self._owner:
            return
        elif signal.member == "NotificationClosed":
            self.closed(signal.body[0])
        elif signal.member == "ActionInvoked" and signal.body[1] in Button.__members__:
            self.pressed(signal.body[0], Button[signal.body[1]])

    def _change(self, former: str, owner: str) -> None:
        """Another server, or none; what can be asked of it is not known yet."""
        self._owner, self._quiet_until, self._abilities = owner, 0.0, ()
        if former:
            self.lost()
        if owner:
            self.came()
