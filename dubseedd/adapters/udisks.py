"""UDisks2: calls to it, and its objects as they are now.

Source: udisks(8) and its D-Bus reference; byte strings end in NUL. A signal only says that it is time to look again:
anybody on the bus can send one, and none tells what was missed.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, BusGone, Match, RemoteError, Signal, Variant
from dubseedd.core.device import Number
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

SERVICE = "org.freedesktop.UDisks2"
ROOT = "/org/freedesktop/UDisks2"
BLOCK_DEVICES = f"{ROOT}/block_devices"
BLOCK = f"{SERVICE}.Block"
DRIVE = f"{SERVICE}.Drive"
FILESYSTEM = f"{SERVICE}.Filesystem"
LOOP = f"{SERVICE}.Loop"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

NOT_AUTHORISED = f"{SERVICE}.Error.NotAuthorized"
"""The beginning of three: the others end in CanObtain and Dismissed."""
UNANSWERED = ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Timeout", "TimedOut", "Disconnected", "Spawn.")
"""What the bus itself answers for a service that is not there, below org.freedesktop.DBus.Error."""

APPEAR_SECONDS = 10.0
"""udev is ahead of UDisks2; and UDisks2 2.9 may lose an event under load, so it is nudged after half of this."""
ANSWER_SECONDS = 60.0
PASSWORD_SECONDS = 600.0
"""How much longer a call may take where a person is asked for a password first."""

Interfaces = dict[str, dict[str, Any]]
"""Of one object: properties by interface."""
Objects = dict[str, Interfaces]
"""By path."""


class UDisks:
    """A client of UDisks2 over whatever connection `link` gives at each call; it raises BusGone while there is none.

    `interactive`: our user may be asked for a password, by an agent of his; `manners` are the options of a call that
    say so. `followers` are told all objects whenever one may have changed, while the client is attached.
    """

    def __init__(self, link: Callable[[], Connection], *, interactive: bool = False) -> None:
        self._link = link
        self._patience_seconds = PASSWORD_SECONDS if interactive else 0.0
        self.manners = {"auth.no_user_interaction": Variant("b", not interactive)}
        self.followers: list[Callable[[Objects], None]] = []
        self.news = asyncio.Event()
        """Set by the next signal; another one takes its place then."""
        self._following: asyncio.Task[None] | None = None

    async def attach(self, connection: Connection) -> None:
        """Follow UDisks2 on a new connection: one subscription, for all of its objects."""
        self.detach()
        await connection.subscribe(Match(sender=SERVICE, below=ROOT), self._on_signal)
        comes = Match(sender=DBUS, member="NameOwnerChanged", arg0=SERVICE)
        await connection.subscribe(comes, self._on_signal)
        self._wake()
        self._following = asyncio.get_running_loop().create_task(self._follow())

    def detach(self) -> None:
        """Follow no more; the subscriptions end with their connection."""
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def _on_signal(self, signal: Signal) -> None:
        if _is_news(signal):
            self._wake()

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    async def _follow(self) -> None:
        while True:
            news = self.news
            with suppress(StoreTrouble):
                objects = await self.objects()
                for follower in self.followers:
                    follower(objects)
            await news.wait()

    # Asking

    async def ask(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Any = (),
        *,
        limit_seconds: float = ANSWER_SECONDS,
    ) -> list[Any]:
        """A call to UDisks2. Raises RemoteError for what it refuses, StoreTrouble where it does not answer."""
        try:
            return await self._link().call(
                SERVICE,
                path,
                interface,
                member,
                signature,
                body,
                timeout_seconds=limit_seconds + self._patience_seconds,
            )
        except BusGone as error:
            raise _silent(str(error), "see systemctl status dbus") from error
        except TimeoutError as error:
            raise _silent(str(error)) from error
        except RemoteError as error:
            if error.name.removeprefix(f"{DBUS}.Error.").startswith(UNANSWERED):
                raise _silent(error.text) from error
            raise

    async def until(
        self,
        node: str,
        find: Callable[[Objects], str | None],
        nudge: Callable[[Objects], Awaitable[None]] | None = None,
    ) -> tuple[str, Objects]:
        """Look again after every signal until something is found; `nudge` once half of the time is over.

        A bus or a UDisks2 that is away for a moment is waited for as well.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + APPEAR_SECONDS
        while True:
            news = self.news
            objects: Objects = {}
            trouble = failed(f"UDisks2 does not know {node}; plug it in again, or restart udisks2.service")
            try:
                objects = await self.objects()
            except StoreTrouble as silence:
                trouble = silence
            if (path := find(objects)) is not None:
                return path, objects
            if await _arrives(news, end - APPEAR_SECONDS / 2 if nudge else end):
                continue
            if nudge is None:
                raise trouble
            await nudge(objects)
            nudge = None

    async def objects(self) -> Objects:
        """All there are. Raises StoreTrouble where UDisks2 does not answer."""
        try:
            (objects,) = await self.ask(ROOT, OBJECT_MANAGER, "GetManagedObjects")
        except RemoteError as error:
            raise _silent(error.text) from error
        found: Objects = objects
        return found


async def _arrives(news: asyncio.Event, end: float) -> bool:
    """Does news come before the end? The timeout alone cannot tell: it never ends a wait for what is there already."""
    with suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            await news.wait()
    return asyncio.get_running_loop().time() < end


def _is_news(signal: Signal) -> bool:
    """Does a signal concern block devices, or UDisks2 coming back? Its jobs and going away do not."""
    match signal.member, signal.body:
        case "NameOwnerChanged", [_, _, new_owner]:
            return bool(new_owner)
        case (("InterfacesAdded" | "InterfacesRemoved"), [str(path), *_]):
            return path.startswith(BLOCK_DEVICES)
        case _:
            return signal.path.startswith(BLOCK_DEVICES)


def first(objects: Objects, fits: Callable[[Interfaces], bool]) -> str | None:
    """The path of the first object that fits, if any."""
    return next((path for path, found in objects.items() if fits(found)), None)


def number_of(found: Interfaces) -> Number:
    device = found[BLOCK]["DeviceNumber"]
    return os.major(device), os.minor(device)


def text(raw: bytes | list[int]) -> str:
    return os.fsdecode(bytes(raw).rstrip(b"\0"))


class Unanswered(StoreTrouble):
    """Bus or UDisks2 are not there."""


def _silent(reason: str, way_out: str = "restart it: systemctl restart udisks2") -> Unanswered:
    return Unanswered(ErrorName.MOUNT_FAILED, f"UDisks2 does not answer ({reason}); {way_out}")


def denied(what: str, error: RemoteError) -> StoreTrouble:
    return StoreTrouble(ErrorName.NOT_AUTHORIZED, f"you are not allowed to {what} ({error.text}); run it with sudo")


def failed(sentence: str) -> StoreTrouble:
    return StoreTrouble(ErrorName.MOUNT_FAILED, sentence)
