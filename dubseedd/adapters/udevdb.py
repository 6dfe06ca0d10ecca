"""udev's database, read as the files that it is: what udev knows of one device, for a client that has no libudev.

/run/udev/data/b8:17        E:ID_FS_LABEL=DUB-SEED …, a line each
"""

from contextlib import suppress

from dubseedd.adapters import sysfs
from dubseedd.core.device import BlockDevice, Number

FOLDER = "/run/udev/data"


def block_device(number: Number) -> BlockDevice:
    """What udev and the kernel say of a device now; FileNotFoundError where there is none."""
    path = sysfs.folder_of(number)
    told = _properties(number)
    return BlockDevice(
        node=sysfs.node_of(path),
        number=number,
        diskseq=sysfs.diskseq(path),
        usage=told.get("ID_FS_USAGE", ""),
        label=told.get("ID_FS_LABEL", ""),
        uuid=told.get("ID_FS_UUID", ""),
        filesystem=told.get("ID_FS_TYPE", ""),
        size=sysfs.size(path),
        ready=told.get("SYSTEMD_READY") != "0",
        loops=tuple(sorted(sysfs.loops(path))),
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
