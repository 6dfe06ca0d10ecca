"""sysfs: block devices as the kernel shows them; a device is its folder, links resolved.

/sys/devices/…/block/sdb/           a disk: dev, size, diskseq, removable, ro, holders/, slaves/
/sys/devices/…/nvme/nvme0/nvme0n1/  the same, without a folder `block`
/sys/devices/…/block/sdb/sdb1/      a partition: dev, size, partition, holders/
"""

import os
import re
from collections.abc import Iterator, Mapping

from dubseedd.core.device import Number

SECTOR_BYTES = 512
"""The unit of every size in sysfs, whatever the sectors of the device."""
MAPPINGS: Mapping[str, str] = {"LVM": "the LVM volume", "CRYPT": "the encrypted volume"}
"""What the device mapper makes, by the beginning of its UUID."""
LOOP_DEVICE = re.compile(r"loop\d+")


def folder_of(number: Number) -> str:
    """The folder of a device; FileNotFoundError where there is none."""
    return os.path.realpath(f"/sys/dev/block/{number[0]}:{number[1]}", strict=True)


def node_of(path: str) -> str:
    """The device node; sysfs has ! where that has a slash."""
    return f"/dev/{os.path.basename(path).replace('!', '/')}"


def number_of(path: str) -> Number:
    major, _, minor = attribute(path, "dev").partition(":")
    return int(major or 0), int(minor or 0)


def loops(path: str) -> set[str]:
    """The loop devices that a device is or stands on. Raises OSError where it cannot tell."""
    disk = disk_of(path)
    name = os.path.basename(disk)
    if LOOP_DEVICE.fullmatch(name):
        return {f"/dev/{name}"}
    below = os.path.join(disk, "slaves")
    return {loop for slave in os.listdir(below) for loop in loops(os.path.realpath(os.path.join(below, slave)))}


def disk_of(path: str) -> str:
    """The whole disk of a partition, whose folder that stands in; a disk is its own."""
    return os.path.dirname(path) if attribute(path, "partition") else path


def partitions(disk: str) -> list[str]:
    """The partitions of a disk, by number."""
    found = [entry.path for entry in os.scandir(disk) if attribute(entry.path, "partition")]
    return sorted(found, key=lambda path: _number(path, "partition"))


def linked(path: str, relation: str) -> list[str]:
    """The devices that stand on this one (holders), or that it stands on (slaves)."""
    below = os.path.join(path, relation)
    names = sorted(os.listdir(below)) if os.path.isdir(below) else []
    return [os.path.realpath(os.path.join(below, name)) for name in names]


def stack(path: str) -> Iterator[Number]:
    """A device and all that stands on it."""
    yield number_of(path)
    for holder in linked(path, "holders"):
        yield from stack(holder)


def called(path: str) -> str:
    """What a device that stands on others is, in words."""
    if level := attribute(path, "md/level"):
        return f"the RAID {node_of(path)} ({level})"
    if name := attribute(path, "dm/name"):
        kind = attribute(path, "dm/uuid").partition("-")[0]
        return f"{MAPPINGS.get(kind, 'the mapping')} {name}"
    return node_of(path)


def diskseq(path: str) -> int:
    """The number of the plug; 0 where the kernel is older than 5.15 or the device is gone."""
    return _number(disk_of(path), "diskseq")


def size(path: str) -> int:
    return _number(path, "size") * SECTOR_BYTES


def _number(path: str, name: str) -> int:
    try:
        return int(attribute(path, name))
    except ValueError:
        return 0


def attribute(path: str, name: str) -> str:
    """What a file of a device says; "" where it has none."""
    try:
        with open(os.path.join(path, name), encoding="ascii", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
