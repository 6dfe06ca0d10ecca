"""UDisks2: mounting, unmounting, powering off, and who has mounted what.

Source: org.freedesktop.UDisks2(8) and its D-Bus reference; byte strings end in NUL. Every failure is a StoreTrouble
with MountFailed, or NotAuthorized, and a sentence. The connection may be another one at each call.

A signal only says that it is time to look again: anybody on the bus can send one, and none tells what was missed.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from dubseedd.adapters.bus import DBUS, BusGone, Connection, Match, RemoteError, Signal, Variant
from dubseedd.core.device import BlockDevice, Disk, Number
from dubseedd.errors import SeedGone, StoreTrouble
from dubseedd.names import ErrorName

SERVICE = "org.freedesktop.UDisks2"
ROOT = "/org/freedesktop/UDisks2"
BLOCK_DEVICES = f"{ROOT}/block_devices"
BLOCK = f"{SERVICE}.Block"
DRIVE = f"{SERVICE}.Drive"
FILESYSTEM = f"{SERVICE}.Filesystem"
LOOP = f"{SERVICE}.Loop"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

ALREADY_MOUNTED = f"{SERVICE}.Error.AlreadyMounted"
NOT_MOUNTED = f"{SERVICE}.Error.NotMounted"
BUSY = f"{SERVICE}.Error.DeviceBusy"
NOT_AUTHORISED = f"{SERVICE}.Error.NotAuthorized"
"""The beginning of three: the others end in CanObtain and Dismissed."""
OBJECT_GONE = tuple(f"{DBUS}.Error.{name}" for name in ("UnknownMethod", "UnknownObject", "UnknownInterface"))
UNANSWERED = ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Timeout", "TimedOut", "Disconnected", "Spawn.")
"""What the bus itself answers for a service that is not there, below org.freedesktop.DBus.Error."""

APPEAR_SECONDS = 10.0
"""udev is ahead of UDisks2; and UDisks2 2.9 may lose an event under load, so it is nudged after half of this."""
MOUNT_SECONDS = 60.0
MOUNT_ATTEMPTS = 4
PASSWORD_SECONDS = 600.0
"""How much longer a call may take where a person is asked for a password first."""
MAY_BE_REFUSED = "nosymfollow"

Interfaces = dict[str, dict[str, Any]]
Objects = dict[str, Interfaces]
OnMounts = Callable[[Number, tuple[str, ...]], None]


class UDisks:
    """A client of UDisks2 over whatever connection `link` gives, which raises BusGone while there is none.

    `interactive`: our user may be asked for a password, by an agent of his.
    """

    def __init__(self, link: Callable[[], Connection], *, interactive: bool = False) -> None:
        self._link = link
        self._patience_seconds = PASSWORD_SECONDS if interactive else 0.0
        self._manners = {"auth.no_user_interaction": Variant("b", not interactive)}
        self._news = asyncio.Event()
        self._mounting = asyncio.Lock()
        self._watchers: list[OnMounts] = []
        self._mounts: dict[Number, tuple[str, ...]] = {}
        self._following: asyncio.Task[None] | None = None

    # Following

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

    def mount_points(self, number: Number) -> tuple[str, ...]:
        """Where a device is mounted, as it was last reported."""
        return self._mounts.get(number, ())

    def watch(self, on_change: OnMounts) -> Callable[[], None]:
        """Report the mount points of every device whose mounts change. Returns the undo."""
        self._watchers.append(on_change)

        def undo() -> None:
            if on_change in self._watchers:
                self._watchers.remove(on_change)

        return undo

    def _on_signal(self, signal: Signal) -> None:
        if _is_news(signal):
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _follow(self) -> None:
        while True:
            news = self._news
            with suppress(StoreTrouble):
                self._report(await self._objects())
            await news.wait()

    def _report(self, objects: Objects) -> None:
        now = {number_of(found): _mount_points(found) for found in objects.values() if FILESYSTEM in found}
        before, self._mounts = self._mounts, now
        for number in before.keys() | now.keys():
            points = now.get(number, ())
            if points != before.get(number, ()):
                for watcher in list(self._watchers):
                    watcher(number, points)

    # Asking

    async def find(self, device: BlockDevice) -> Disk:
        """Wait until UDisks2 knows this device, by number, label and UUID, and tell of it."""
        path, objects = await self._await(device)
        block = objects[path]
        drive = objects.get(block[BLOCK].get("Drive", "/"), {}).get(DRIVE, {})
        names = (drive.get("Vendor", "").strip(), drive.get("Model", "").strip())
        return Disk(
            number=device.number,
            mount_points=_mount_points(block),
            drive=" ".join(name for name in names if name),
            serial=drive.get("Serial", ""),
            can_power_off=bool(drive.get("CanPowerOff")),
        )

    async def device(self, node: str) -> BlockDevice:
        """What UDisks2 says of the file system on a device node."""
        status = os.stat(node)
        number = os.major(status.st_rdev), os.minor(status.st_rdev)
        path, objects = await self._until(
            node, lambda objects: _first(objects, lambda found: FILESYSTEM in found and number_of(found) == number)
        )
        return device_of(objects[path])

    async def loop_owner(self, node: str) -> int:
        """The uid that set a loop device up through UDisks2; 0 where somebody else did, which takes root.

        UDisks2 knows the owner as soon as it knows the backing file; until then it says 0.
        """

        def set_up(found: Interfaces) -> bool:
            return LOOP in found and text(found[BLOCK]["Device"]) == node and text(found[LOOP]["BackingFile"]) != ""

        path, objects = await self._until(node, lambda objects: _first(objects, set_up))
        return int(objects[path][LOOP]["SetupByUID"])

    async def _await(self, device: BlockDevice) -> tuple[str, Objects]:
        """(its path, all objects), as soon as UDisks2 knows the device as what udev says it is."""

        async def nudge(objects: Objects) -> None:
            number_only = _first(objects, lambda found: BLOCK in found and number_of(found) == device.number)
            if number_only is not None:
                with suppress(RemoteError, StoreTrouble):
                    await self._ask(number_only, BLOCK, "Rescan", "a{sv}", [self._manners])

        return await self._until(device.node, lambda objects: _path_of(device, objects), nudge)

    async def _until(
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
            news = self._news
            objects: Objects = {}
            trouble = _failed(f"UDisks2 does not know {node}; plug it in again, or restart udisks2.service")
            try:
                objects = await self._objects()
            except StoreTrouble as silence:
                trouble = silence
            if (path := find(objects)) is not None:
                return path, objects
            patience = end - APPEAR_SECONDS / 2 if nudge else end
            try:
                async with asyncio.timeout_at(patience):
                    await news.wait()
            except TimeoutError:
                if nudge is None:
                    raise trouble from None
                await nudge(objects)
                nudge = None

    async def _objects(self) -> Objects:
        try:
            (objects,) = await self._ask(ROOT, OBJECT_MANAGER, "GetManagedObjects")
        except RemoteError as error:
            raise _silent(error.text) from error
        found: Objects = objects
        return found

    # Acting

    async def mount(
        self, device: BlockDevice, options: tuple[str, ...], wanted: Callable[[], bool] = lambda: True
    ) -> tuple[str, bool]:
        """Mount it: (mount point, was it us). One at a time: two mounts of one label get in each other's way.

        What is looked for by number, label and UUID may be the next plug of the same stick by the time it is found,
        and not this one's to mount: `wanted` says so. A UDisks2 that ends in the middle is asked once more; what it
        has mounted by then is ours.
        """
        async with self._mounting:
            unanswered = False
            for left in reversed(range(MOUNT_ATTEMPTS)):
                path, objects = await self._await(device)
                if not wanted():
                    raise SeedGone
                if points := _mount_points(objects[path]):
                    return points[0], unanswered
                wishes = {"options": Variant("s", ",".join(options)), **self._manners}
                news = self._news
                try:
                    (point,) = await self._ask(path, FILESYSTEM, "Mount", "a{sv}", [wishes])
                    return str(point), True
                except StoreTrouble:
                    if unanswered:
                        raise
                    unanswered = True
                except RemoteError as error:
                    options = _milder(options, error)
                    if error.name.startswith(NOT_AUTHORISED):
                        raise denied(f"mount {device.node}", error) from error
                    if not left or not options:
                        raise _failed(
                            f"UDisks2 cannot mount {device.node} ({error.text}); check it: fsck {device.node}"
                        ) from error
                    if error.name == ALREADY_MOUNTED:
                        await _a_while(news)
            raise AssertionError("the last attempt returns or raises")

    async def unmount(self, device: BlockDevice) -> None:
        """Unmount it; that it is mounted no more, or gone, is success."""
        path = _path_of(device, await self._objects())
        if path is None:
            return
        try:
            await self._ask(path, FILESYSTEM, "Unmount", "a{sv}", [self._manners])
        except RemoteError as error:
            if error.name in (NOT_MOUNTED, *OBJECT_GONE):
                return
            if error.name == BUSY or "busy" in error.text:
                raise _failed(
                    f"{device.node} is busy; close what uses it and eject it again: fuser -vm {device.node} names it"
                ) from error
            raise _failed(f"UDisks2 cannot unmount {device.node} ({error.text}); try umount {device.node}") from error

    async def power_off(self, device: BlockDevice) -> None:
        """Power its drive down; a drive that cannot do that is left alone."""
        objects = await self._objects()
        path = _path_of(device, objects)
        drive = objects[path][BLOCK].get("Drive", "/") if path is not None else "/"
        if not objects.get(drive, {}).get(DRIVE, {}).get("CanPowerOff"):
            return
        try:
            await self._ask(drive, DRIVE, "PowerOff", "a{sv}", [self._manners])
        except RemoteError as error:
            raise _failed(
                f"the drive of {device.node} cannot be powered off ({error.text}); it is unmounted, pull it out"
            ) from error

    async def _ask(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Any = (),
        *,
        limit_seconds: float = MOUNT_SECONDS,
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
        except (BusGone, TimeoutError) as error:
            raise _silent(str(error)) from error
        except RemoteError as error:
            if error.name.removeprefix(f"{DBUS}.Error.").startswith(UNANSWERED):
                raise _silent(error.text) from error
            raise


def _is_news(signal: Signal) -> bool:
    """Does a signal concern block devices, or UDisks2 coming back? Its jobs and going away do not."""
    match signal.member, signal.body:
        case "NameOwnerChanged", [_, _, new_owner]:
            return bool(new_owner)
        case (("InterfacesAdded" | "InterfacesRemoved"), [str(path), *_]):
            return path.startswith(BLOCK_DEVICES)
        case _:
            return signal.path.startswith(BLOCK_DEVICES)


def _milder(options: tuple[str, ...], error: RemoteError) -> tuple[str, ...]:
    """What to try next after a mount was refused; nothing where there is nothing to try."""
    if error.name == ALREADY_MOUNTED or "File exists" in error.text:
        return options
    fewer = tuple(option for option in options if option != MAY_BE_REFUSED)
    return fewer if fewer != options else ()


async def _a_while(news: asyncio.Event) -> None:
    """Wait for UDisks2 to show what it has just told us, but not for long: the mount may be gone already."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await news.wait()


def _first(objects: Objects, fits: Callable[[Interfaces], bool]) -> str | None:
    return next((path for path, found in objects.items() if fits(found)), None)


def _path_of(device: BlockDevice, objects: Objects) -> str | None:
    """The object that is this very file system; a node may carry another one by now."""

    def fits(found: Interfaces) -> bool:
        if FILESYSTEM not in found or number_of(found) != device.number:
            return False
        return (found[BLOCK]["IdLabel"], found[BLOCK]["IdUUID"]) == (device.label, device.uuid)

    return _first(objects, fits)


def number_of(found: Interfaces) -> Number:
    device = found[BLOCK]["DeviceNumber"]
    return os.major(device), os.minor(device)


def device_of(found: Interfaces) -> BlockDevice:
    """A block device as UDisks2 knows it, which is without the number of its plug."""
    block = found[BLOCK]
    return BlockDevice(
        node=text(block["Device"]),
        number=number_of(found),
        diskseq=0,
        usage=block["IdUsage"],
        label=block["IdLabel"],
        uuid=block["IdUUID"],
        filesystem=block["IdType"],
        size=block["Size"],
        ready=True,
    )


def _mount_points(found: Interfaces) -> tuple[str, ...]:
    return tuple(text(point) for point in found[FILESYSTEM]["MountPoints"])


def text(raw: bytes | list[int]) -> str:
    return os.fsdecode(bytes(raw).rstrip(b"\0"))


class Unanswered(StoreTrouble):
    """Bus or UDisks2 are not there."""


def _silent(reason: str) -> Unanswered:
    return Unanswered(ErrorName.MOUNT_FAILED, f"UDisks2 does not answer; is udisks2.service running? ({reason})")


def denied(what: str, error: RemoteError) -> StoreTrouble:
    return StoreTrouble(ErrorName.NOT_AUTHORIZED, f"you are not allowed to {what} ({error.text}); run it with sudo")


def _failed(sentence: str) -> StoreTrouble:
    return StoreTrouble(ErrorName.MOUNT_FAILED, sentence)
