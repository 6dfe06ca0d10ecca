"""Drives: what is known of one, from UDisks2 and the kernel, and how one becomes a seed.

    GPT > one partition over all of it, with a file system that has no label yet > models/ > the label

The label comes last: until then no daemon takes the drive for a seed. UDisks2 asks polkit whether our user may do it.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dubseedd.adapters import sysfs
from dubseedd.adapters.filesystems import device_of
from dubseedd.adapters.messages import RemoteError, Variant
from dubseedd.adapters.udisks import (
    BLOCK,
    DRIVE,
    FILESYSTEM,
    LOOP,
    NOT_AUTHORISED,
    ROOT,
    SERVICE,
    Objects,
    UDisks,
    denied,
    first,
    number_of,
    text,
)
from dubseedd.core import mountinfo
from dubseedd.core.device import BlockDevice, Number
from dubseedd.core.drive import EXFAT, EXT4, MAKERS, Drive, Part
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

MANAGER = f"{SERVICE}.Manager"
TABLE = f"{SERVICE}.PartitionTable"
PARTITION = f"{SERVICE}.Partition"

ALIGNMENT_BYTES = 1 << 20
PARTITION_TYPES: Mapping[str, str] = {
    EXFAT: "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
    EXT4: "0fc63daf-8483-4772-8e79-3d69d8477de4",
}
"""Microsoft basic data, which every system shows, and Linux file system."""
MAKING_SECONDS = 600.0
"""What a slow stick may take to have a file system made on it."""


class Drives:
    """Looks at drives and makes seeds of them, by a client of UDisks2."""

    def __init__(self, udisks: UDisks) -> None:
        self._udisks = udisks

    # Looking

    async def look(self, number: Number) -> Drive:
        """What is known of the device of this number."""
        try:
            path = sysfs.folder_of(number)
        except FileNotFoundError as error:
            raise _gone() from error
        disk = sysfs.disk_of(path)
        known, objects = await self._udisks.until(sysfs.node_of(path), lambda objects: _block_of(number, objects))
        block = objects[known]
        drive = objects.get(block[BLOCK].get("Drive", "/"), {}).get(DRIVE, {})
        return Drive(
            node=sysfs.node_of(path),
            disk=sysfs.node_of(disk),
            vendor=drive.get("Vendor", "").strip(),
            model=drive.get("Model", "").strip(),
            serial=drive.get("Serial", "").strip(),
            size=sysfs.size(path),
            removable=bool(drive.get("Removable") or drive.get("MediaRemovable")),
            read_only=bool(block[BLOCK].get("ReadOnly")) or sysfs.attribute(disk, "ro") == "1",
            image=text(block[LOOP]["BackingFile"]) if LOOP in block else "",
            stands_on=tuple(sysfs.node_of(below) for below in sysfs.linked(disk, "slaves")),
            claimed=_claimed(sysfs.node_of(disk)),
            parts=tuple(_parts((disk, *sysfs.partitions(disk)), objects)),
        )

    async def makers(self) -> tuple[str, ...]:
        """The file systems that UDisks2 can make here."""
        found = []
        for filesystem in MAKERS:
            try:
                ((able, _),) = await self._udisks.ask(f"{ROOT}/Manager", MANAGER, "CanFormat", "s", [filesystem])
            except RemoteError:  # it does not know that kind at all
                continue
            if able:
                found.append(filesystem)
        return tuple(found)

    # Acting

    async def make(self, drive: Drive, number: Number, filesystem: str) -> BlockDevice:
        """Erase the drive and make one partition with a file system; returns that, which has no label yet.

        The partition's type is set at the end. Asked for earlier, UDisks2 writes the table a second time for it, the
        kernel takes the partition away and gives it back, and where udev is slow UDisks2 waits for the one that went:
        "Error synchronizing after initial wipe: Timed out waiting for object". SetType has it open, so that it stays.
        """
        path = _known(number, await self._udisks.objects())
        await self._act(f"erase {drive.node}", path, BLOCK, "Format", "sa{sv}", ["gpt", dict(self._udisks.manners)])
        await self._udisks.until(drive.node, lambda objects: path if TABLE in objects.get(path, {}) else None)
        own = {"take-ownership": Variant("b", True), **self._udisks.manners}  # noqa: FBT003 - (signature, value)
        body = [ALIGNMENT_BYTES, 0, "", "", dict(self._udisks.manners), filesystem, own]
        what = f"make {filesystem} on {drive.node}"
        (made,) = await self._act(what, path, TABLE, "CreatePartitionAndFormat", "ttssa{sv}sa{sv}", body)

        def ready(objects: Objects) -> str | None:
            found = objects.get(made, {})
            return made if FILESYSTEM in found and PARTITION in found and found[BLOCK]["IdUUID"] else None

        _, objects = await self._udisks.until(drive.node, ready)
        if objects[made][PARTITION]["Type"] != PARTITION_TYPES[filesystem]:
            body = [PARTITION_TYPES[filesystem], dict(self._udisks.manners)]
            await self._act(what, made, PARTITION, "SetType", "sa{sv}", body)
        return device_of(objects[made])

    async def name(self, device: BlockDevice, label: str) -> None:
        """Give its file system a label, which makes it a seed."""
        path = _known(device.number, await self._udisks.objects())
        body = [label, dict(self._udisks.manners)]
        await self._act(f"label {device.node}", path, FILESYSTEM, "SetLabel", "sa{sv}", body)

    async def _act(self, what: str, path: str, interface: str, member: str, signature: str, body: Any) -> list[Any]:
        try:
            return await self._udisks.ask(path, interface, member, signature, body, limit_seconds=MAKING_SECONDS)
        except RemoteError as error:
            if error.name.startswith(NOT_AUTHORISED):
                raise denied(what, error) from error
            raise StoreTrouble(
                ErrorName.WRITE_FAILED,
                f"UDisks2 cannot {what} ({error.text}); plug the drive in again and repeat, or take another one",
            ) from error


def _block_of(number: Number, objects: Objects) -> str | None:
    return first(objects, lambda found: BLOCK in found and number_of(found) == number)


def _known(number: Number, objects: Objects) -> str:
    if (path := _block_of(number, objects)) is None:
        raise _gone()
    return path


def _gone() -> StoreTrouble:
    return StoreTrouble(ErrorName.NOT_FOUND, "the drive is gone; plug it in again, and leave it in until the end")


def _parts(paths: Iterable[str], objects: Objects) -> Iterator[Part]:
    mounts = _mounts()
    swaps = _swaps()
    for path in paths:
        number = sysfs.number_of(path)
        known = _block_of(number, objects)
        block = objects[known][BLOCK] if known else {}
        stack = set(sysfs.stack(path))
        points = dict.fromkeys(point for device, point in mounts if device in stack)
        yield Part(
            node=sysfs.node_of(path),
            size=sysfs.size(path),
            filesystem=block.get("IdType", ""),
            label=block.get("IdLabel", ""),
            mount_points=tuple(points),
            swap=number in swaps,
            holders=tuple(sysfs.called(holder) for holder in sysfs.linked(path, "holders")),
        )


def _mounts() -> list[tuple[Number, str]]:
    """(device, mount point) of every mount; on btrfs, whose numbers are anonymous, once for each of its devices."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        lines = mountinfo.parse(stream.read())
    found = [(line.number, line.mount_point) for line in lines]
    for line in lines:
        if line.filesystem == "btrfs" and (number := _number_at(line.source)):
            found += [(device, line.mount_point) for device in _btrfs_companions(number)]
    return found


def _btrfs_companions(number: Number) -> set[Number]:
    """All devices of the mounted btrfs that one of them belongs to."""
    base = "/sys/fs/btrfs"
    for uuid in os.listdir(base) if os.path.isdir(base) else ():
        devices = sysfs.linked(f"{base}/{uuid}", "devices")
        numbers = {sysfs.number_of(device) for device in devices}
        if number in numbers:
            return numbers
    return {number}


def _swaps() -> set[Number]:
    with open("/proc/swaps", encoding="utf-8", errors="surrogateescape") as lines:
        nodes = [line.split()[0] for line in list(lines)[1:]]
    return {number for node in nodes if (number := _number_at(node))}


def _number_at(node: str) -> Number | None:
    try:
        status = os.stat(node)
    except OSError:
        return None
    return (os.major(status.st_rdev), os.minor(status.st_rdev)) if status.st_rdev else None


def _claimed(node: str) -> bool:
    """Has the kernel given it, or a part of it, to somebody alone? Whoever may not open it cannot tell."""
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False
