"""File systems: found, mounted and unmounted through UDisks2, and who has mounted what.

Whatever UDisks2 does not do is a StoreTrouble with MountFailed, or NotAuthorized, and a sentence.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from dubseedd.adapters.messages import DBUS, RemoteError, Variant
from dubseedd.adapters.udisks import (
    BLOCK,
    DRIVE,
    FILESYSTEM,
    LOOP,
    NOT_AUTHORISED,
    SERVICE,
    Interfaces,
    Objects,
    UDisks,
    denied,
    failed,
    first,
    number_of,
    text,
)
from dubseedd.core.device import BlockDevice, Disk, Number
from dubseedd.errors import SeedGone, StoreTrouble

ALREADY_MOUNTED = f"{SERVICE}.Error.AlreadyMounted"
NOT_MOUNTED = f"{SERVICE}.Error.NotMounted"
BUSY = f"{SERVICE}.Error.DeviceBusy"
OBJECT_GONE = tuple(f"{DBUS}.Error.{name}" for name in ("UnknownMethod", "UnknownObject", "UnknownInterface"))

MOUNT_ATTEMPTS = 4
MAY_BE_REFUSED = "nosymfollow"

OnMounts = Callable[[Number, tuple[str, ...]], None]


class Filesystems:
    """The port Disks, by a client of UDisks2."""

    def __init__(self, udisks: UDisks) -> None:
        self._udisks = udisks
        self._mounting = asyncio.Lock()
        self._watchers: list[OnMounts] = []
        self._mounts: dict[Number, tuple[str, ...]] = {}
        udisks.followers.append(self._report)

    # Following

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
            mount_points=_mount_points(block),
            drive=" ".join(name for name in names if name),
            serial=drive.get("Serial", ""),
        )

    async def device(self, node: str) -> BlockDevice:
        """What UDisks2 says of the file system on a device node; OSError where there is no such node."""
        status = os.stat(node)
        number = os.major(status.st_rdev), os.minor(status.st_rdev)
        path, objects = await self._udisks.until(
            node, lambda objects: first(objects, lambda found: FILESYSTEM in found and number_of(found) == number)
        )
        return device_of(objects[path])

    async def loop_owner(self, node: str) -> int:
        """The uid that set a loop device up through UDisks2; 0 where somebody else did, which takes root.

        UDisks2 knows the owner as soon as it knows the backing file; until then it says 0.
        """

        def set_up(found: Interfaces) -> bool:
            return LOOP in found and text(found[BLOCK]["Device"]) == node and text(found[LOOP]["BackingFile"]) != ""

        path, objects = await self._udisks.until(node, lambda objects: first(objects, set_up))
        return int(objects[path][LOOP]["SetupByUID"])

    async def _await(self, device: BlockDevice) -> tuple[str, Objects]:
        """(its path, all objects), as soon as UDisks2 knows the device as what udev says it is."""

        async def nudge(objects: Objects) -> None:
            number_only = first(objects, lambda found: BLOCK in found and number_of(found) == device.number)
            if number_only is not None:
                with suppress(RemoteError, StoreTrouble):
                    await self._udisks.ask(number_only, BLOCK, "Rescan", "a{sv}", [self._udisks.manners])

        return await self._udisks.until(device.node, lambda objects: _path_of(device, objects), nudge)

    # Acting

    async def mount(
        self, device: BlockDevice, options: tuple[str, ...], wanted: Callable[[], bool] = lambda: True
    ) -> tuple[str, bool]:
        """Mount it: (mount point, was it us). Raises SeedGone where it is not `wanted` by the time it is found.

        What is found by number, label and UUID may be the next plug of the same stick, and not this one's to mount.
        One at a time: two mounts of one label get in each other's way. A UDisks2 that ends in the middle is asked once
        more; what it has mounted by then is ours.
        """
        async with self._mounting:
            unanswered = False
            for left in reversed(range(MOUNT_ATTEMPTS)):
                path, objects = await self._await(device)
                if not wanted():
                    raise SeedGone
                if points := _mount_points(objects[path]):
                    return points[0], unanswered
                wishes = {"options": Variant("s", ",".join(options)), **self._udisks.manners}
                news = self._udisks.news
                try:
                    (point,) = await self._udisks.ask(path, FILESYSTEM, "Mount", "a{sv}", [wishes])
                    return str(point), True
                except StoreTrouble:
                    if unanswered or not left:
                        raise
                    unanswered = True
                except RemoteError as error:
                    options = _milder(options, error)
                    if error.name.startswith(NOT_AUTHORISED):
                        raise denied(f"mount {device.node}", error) from error
                    if not left or not options:
                        raise failed(
                            f"UDisks2 cannot mount {device.node} ({error.text}); check it: fsck {device.node}"
                        ) from error
                    if error.name == ALREADY_MOUNTED:
                        await _a_while(news)
            raise AssertionError("the last attempt returns or raises")

    async def unmount(self, device: BlockDevice) -> None:
        """Unmount it; that it is mounted no more, or gone, is success."""
        path = _path_of(device, await self._udisks.objects())
        if path is None:
            return
        try:
            await self._udisks.ask(path, FILESYSTEM, "Unmount", "a{sv}", [self._udisks.manners])
        except RemoteError as error:
            if error.name in (NOT_MOUNTED, *OBJECT_GONE):
                return
            if error.name == BUSY or "busy" in error.text:
                raise failed(
                    f"{device.node} is busy; close what uses it and eject it again: fuser -vm {device.node} names it"
                ) from error
            raise failed(f"UDisks2 cannot unmount {device.node} ({error.text}); try umount {device.node}") from error

    async def power_off(self, device: BlockDevice) -> None:
        """Power its drive down; a drive that cannot do that is left alone."""
        objects = await self._udisks.objects()
        path = _path_of(device, objects)
        drive = objects[path][BLOCK].get("Drive", "/") if path is not None else "/"
        if not objects.get(drive, {}).get(DRIVE, {}).get("CanPowerOff"):
            return
        try:
            await self._udisks.ask(drive, DRIVE, "PowerOff", "a{sv}", [self._udisks.manners])
        except RemoteError as error:
            raise failed(
                f"the drive of {device.node} cannot be powered off ({error.text}); it is unmounted, pull it out"
            ) from error


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


def _path_of(device: BlockDevice, objects: Objects) -> str | None:
    """The object that is this very file system; a node may carry another one by now."""

    def fits(found: Interfaces) -> bool:
        if FILESYSTEM not in found or number_of(found) != device.number:
            return False
        return (found[BLOCK]["IdLabel"], found[BLOCK]["IdUUID"]) == (device.label, device.uuid)

    return first(objects, fits)


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
