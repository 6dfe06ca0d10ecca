"""UDisks2: mounting, unmounting, powering off, and who has mounted what.

Source: org.freedesktop.UDisks2(8) and its D-Bus reference; byte strings end in NUL. Every failure is a StoreTrouble
with MountFailed and a sentence. The connection may be another one at each call.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dubseedd.adapters.bus import BusGone, Connection, Match, RemoteError, Signal, Variant
from dubseedd.core.device import BlockDevice, Disk, Number
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

SERVICE = "org.freedesktop.UDisks2"
ROOT = "/org/freedesktop/UDisks2"
MANAGER = f"{ROOT}/Manager"
BLOCK = f"{SERVICE}.Block"
DRIVE = f"{SERVICE}.Drive"
FILESYSTEM = f"{SERVICE}.Filesystem"
LOOP = f"{SERVICE}.Loop"
ERROR = f"{SERVICE}.Error"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

APPEAR_SECONDS = 10.0
"""udev is ahead of UDisks2; and UDisks2 2.9 may lose an event under load, so it is nudged after half of this."""
MOUNT_SECONDS = 60.0
NO_INTERACTION = {"auth.no_user_interaction": Variant("b", True)}  # noqa: FBT003 - (signature, value)
MAY_BE_REFUSED = "nosymfollow"

Objects = dict[str, dict[str, dict[str, Any]]]
OnMounts = Callable[[Number, tuple[str, ...]], None]


class UDisks:
    """A client of UDisks2 over whatever connection `link` gives, which raises BusGone while there is none."""

    def __init__(self, link: Callable[[], Connection]) -> None:
        self._link = link
        self._changed = asyncio.Event()
        self._mounting = asyncio.Lock()
        self._watchers: list[OnMounts] = []
        self._numbers: dict[str, Number] = {}

    async def attach(self, connection: Connection) -> None:
        """Follow UDisks2 on a new connection: one subscription, for all of its objects."""
        await connection.subscribe(Match(sender=SERVICE, below=ROOT), self._on_signal)
        owner = Match(interface="org.freedesktop.DBus", member="NameOwnerChanged", arg0=SERVICE)
        await connection.subscribe(owner, self._on_signal)
        with suppress(StoreTrouble):
            await self._objects()

    def watch(self, on_change: OnMounts) -> Callable[[], None]:
        """Report the mount points of every device whose mounts change. Returns the undo."""
        self._watchers.append(on_change)
        return lambda: self._watchers.remove(on_change)

    def _on_signal(self, signal: Signal) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        if signal.member == "PropertiesChanged" and signal.body[0] == FILESYSTEM and "MountPoints" in signal.body[1]:
            number = self._numbers.get(signal.path)
            if number is not None:
                self._report(number, _mount_points(signal.body[1]))
        elif signal.member == "InterfacesAdded":
            path, interfaces = signal.body
            self._learn({path: interfaces})

    def _report(self, number: Number, points: tuple[str, ...]) -> None:
        for watcher in list(self._watchers):
            watcher(number, points)

    def _learn(self, objects: Objects) -> None:
        for path, interfaces in objects.items():
            if BLOCK in interfaces:
                device = interfaces[BLOCK]["DeviceNumber"]
                self._numbers[path] = (os.major(device), os.minor(device))

    # Asking

    async def find(self, device: BlockDevice) -> Disk:
        """Wait until UDisks2 knows this device, by number and label, and tell of it."""
        path, objects = await self._await_object(device)
        interfaces = objects[path]
        drive = objects.get(interfaces[BLOCK].get("Drive", "/"), {}).get(DRIVE, {})
        names = (drive.get("Vendor", "").strip(), drive.get("Model", "").strip())
        return Disk(
            number=device.number,
            mount_points=_mount_points(interfaces[FILESYSTEM]),
            drive=" ".join(name for name in names if name),
            serial=drive.get("Serial", ""),
            can_power_off=bool(drive.get("CanPowerOff")),
        )

    async def loop_owner(self, node: str) -> int:
        """The uid that set a loop device up through UDisks2; 0 where somebody else did, which takes root."""
        for interfaces in (await self._objects()).values():
            if LOOP in interfaces and _text(interfaces[BLOCK]["Device"]) == node:
                return int(interfaces[LOOP]["SetupByUID"])
        raise _failed(f"UDisks2 does not know the loop device {node}; attach it again")

    async def _await_object(self, device: BlockDevice) -> tuple[str, Objects]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + APPEAR_SECONDS
        nudged = False
        while True:
            changed = self._changed
            objects = await self._objects()
            path = _path_of(device, objects)
            if path is not None and FILESYSTEM in objects[path] and objects[path][BLOCK]["IdLabel"] == device.label:
                return path, objects
            left = deadline - loop.time()
            if left <= 0:
                raise _failed(f"UDisks2 does not know {device.node}; plug it in again, or restart udisks2.service")
            try:
                async with asyncio.timeout(left if nudged else min(left, APPEAR_SECONDS / 2)):
                    await changed.wait()
            except TimeoutError:
                nudged = True
                if path is not None:
                    with suppress(StoreTrouble):
                        await self._call(path, BLOCK, "Rescan", "a{sv}", [{}])

    async def _objects(self) -> Objects:
        (objects,) = await self._call(ROOT, OBJECT_MANAGER, "GetManagedObjects")
        self._learn(objects)
        found: Objects = objects
        return found

    # Acting

    async def mount(self, device: BlockDevice, options: tuple[str, ...]) -> tuple[str, bool]:
        """Mount it: (mount point, was it us). One at a time: two mounts of one label get in each other's way."""
        async with self._mounting:
            for attempt in range(3):
                try:
                    return await self._mount(device, options), True
                except RemoteError as error:
                    if error.name == f"{ERROR}.AlreadyMounted":
                        disk = await self.find(device)
                        if disk.mount_points:
                            return disk.mount_points[0], False
                    if MAY_BE_REFUSED in options:
                        options = tuple(option for option in options if option != MAY_BE_REFUSED)
                    elif attempt == 2 or "File exists" not in error.text:
                        raise _failed(
                            f"UDisks2 cannot mount {device.node} ({error.text}); check it: fsck {device.node}"
                        ) from error
            raise _failed(f"UDisks2 cannot mount {device.node}; plug it in again")

    async def _mount(self, device: BlockDevice, options: tuple[str, ...]) -> str:
        path, _ = await self._await_object(device)
        wishes = {"options": Variant("s", ",".join(options)), **NO_INTERACTION}
        (point,) = await self._raw(path, FILESYSTEM, "Mount", "a{sv}", [wishes], timeout_seconds=MOUNT_SECONDS)
        return str(point)

    async def unmount(self, device: BlockDevice) -> None:
        """Unmount it; that it is mounted no more, or gone, is success."""
        path = _path_of(device, await self._objects())
        if path is None:
            return
        try:
            await self._raw(path, FILESYSTEM, "Unmount", "a{sv}", [NO_INTERACTION], timeout_seconds=MOUNT_SECONDS)
        except RemoteError as error:
            if error.name in (f"{ERROR}.NotMounted", "org.freedesktop.DBus.Error.UnknownMethod"):
                return
            raise _failed(
                f"{device.node} cannot be unmounted ({error.text}); close what uses it: fuser -vm {device.node}"
            ) from error

    async def power_off(self, device: BlockDevice) -> None:
        """Power its drive down; a drive that cannot do that is left alone."""
        objects = await self._objects()
        path = _path_of(device, objects)
        drive = objects[path][BLOCK].get("Drive", "/") if path is not None else "/"
        if objects.get(drive, {}).get(DRIVE, {}).get("CanPowerOff"):
            await self._call(drive, DRIVE, "PowerOff", "a{sv}", [NO_INTERACTION])

    async def _call(self, path: str, interface: str, member: str, signature: str = "", body: Any = ()) -> list[Any]:
        try:
            return await self._raw(path, interface, member, signature, body)
        except RemoteError as error:
            raise _failed(f"UDisks2 does not answer ({error.text}); is udisks2.service running?") from error

    async def _raw(
        self, path: str, interface: str, member: str, signature: str, body: Any, **limit: float
    ) -> list[Any]:
        """A call whose error replies are for the caller to understand."""
        try:
            return await self._link().call(SERVICE, path, interface, member, signature, body, **limit)
        except (BusGone, TimeoutError) as error:
            raise _failed(f"UDisks2 cannot be reached ({error}); is udisks2.service running?") from error


def _path_of(device: BlockDevice, objects: Objects) -> str | None:
    number = os.makedev(*device.number)
    return next((path for path, found in objects.items() if found.get(BLOCK, {}).get("DeviceNumber") == number), None)


def _mount_points(properties: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_text(point) for point in properties["MountPoints"])


def _text(raw: bytes | list[int]) -> str:
    return os.fsdecode(bytes(raw).rstrip(b"\0"))


def _failed(sentence: str) -> StoreTrouble:
    return StoreTrouble(ErrorName.MOUNT_FAILED, sentence)
