"""udev's database, read as the files that it is: what udev knows of one device, for a client that has no libudev.

/run/udev/data/b8:17        E:ID_FS_LABEL=DUB-SEED …, a line each
"""

from collections.abc import Mapping
from contextlib import suppress

from dubseedd.adapters import sysfs
from dubseedd.core.device import BlockDevice, Number

FOLDER = "/run/udev/data"


def block_device(number: Number) -> BlockDevice:
    """What udev and the kernel say of a device now; FileNotFoundError where there is none."""
    path = sysfs.folder_of(number)
    return device_of(_properties(number), path, number, sysfs.loops(path))


def device_of(told: Mapping[str, str], path: str, number: Number, loops: set[str] | None) -> BlockDevice:
    """The device in a folder of sysfs, by what udev has told of it; it is gone where `loops` are None."""
    return BlockDevice(
        node=sysfs.node_of(path),
        number=number,
        diskseq=int(told.get("DISKSEQ", 0)) or sysfs.diskseq(path),
        usage=told.get("ID_FS_USAGE", ""),
        label=told.get("ID_FS_LABEL", ""),
        uuid=told.get("ID_FS_UUID", ""),
        filesystem=told.get("ID_FS_TYPE", ""),
        size=sysfs.size(path),
        ready=told.get("SYSTEMD_READY") != "0" and loops is not None,
        loops=tuple(sorted(loops or ())),
    )


def _properties(number: Number) -> dict[str, str]:
    """Those of a device; none where udev does not know it."""
    found: dict[str, str] = {}
    with (
        suppress(FileNotFoundError),
        open(f"{FOLDER}/b{number[0]}:{number[1]}", encoding="utf-8", errors="replace") as lines,
    ):
        for line in lines:
            kind, _, rest = line.rstrip("\n").partition(":")
            if kind == "E":
                name, _, value = rest.partition("=")
                found[name] = value
    return found
