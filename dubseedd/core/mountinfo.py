"""Mounts as the kernel tells them, and the proof that an opened folder is the mount that we think it is.

Source: proc_pid_mountinfo(5).
"""

import re
from dataclasses import dataclass

from dubseedd.core.device import Number
from dubseedd.core.filesystem import file_system
from dubseedd.core.sentence import shown
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

REQUIRED = ("ro", "nosuid", "nodev", "noexec")
"""What a mount of ours has to show."""
ASKED_FOR = (*REQUIRED, "nosymfollow")
"""What UDisks2 is asked for; the last may be more than it, the kernel or the mount helper knows."""


@dataclass(frozen=True, slots=True)
class MountLine:
    """One line of mountinfo: `options` are those of the mount, not of its file system."""

    id: int
    number: Number
    mount_point: str
    options: frozenset[str]
    filesystem: str
    source: str


def mount_options(filesystem: str) -> tuple[str, ...]:
    """What UDisks2 is asked for, for a seed of this type that is only read."""
    return (*ASKED_FOR, *file_system(filesystem).read_only)


def parse(text: str) -> tuple[MountLine, ...]:
    """Every line of /proc/self/mountinfo. Lines end in LF alone: other line ends may stand in anybody's mount point."""
    return tuple(_line(line) for line in text.split("\n") if line)


def _line(line: str) -> MountLine:
    fields, _, rest = line.partition(" - ")
    mount_id, _, number, _, mount_point, options, *_ = fields.split(" ")
    filesystem, source, *_ = rest.split(" ")
    major, _, minor = number.partition(":")
    return MountLine(
        id=int(mount_id),
        number=(int(major), int(minor)),
        mount_point=_unescape(mount_point),
        options=frozenset(options.split(",")),
        filesystem=filesystem,
        source=_unescape(source),
    )


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def prove(
    line: MountLine, *, ours: bool, number: Number, st_dev: Number, btrfs_devices: frozenset[Number] | None
) -> tuple[str, ...]:
    """Prove that the mount is of the device `number`, and, if it is ours, that it is as it has to be.

    `st_dev` is that of the opened folder. On btrfs, where it is anonymous, `btrfs_devices` are the devices of the file
    system. Returns notes on what somebody else's mount lacks; raises StoreTrouble (UnsafeMount).
    """
    proven = line.number == st_dev == number if btrfs_devices is None else btrfs_devices == {number}
    point = shown(line.mount_point)
    if not proven:
        raise StoreTrouble(
            ErrorName.UNSAFE_MOUNT,
            f"{point} is not the device {number[0]}:{number[1]} that was plugged in; plug the seed in again",
        )
    missing = [option for option in REQUIRED if option not in line.options]
    if missing and ours:
        raise StoreTrouble(
            ErrorName.UNSAFE_MOUNT,
            f"{point} is mounted without {', '.join(missing)}; remove the seed from /etc/fstab or from what "
            "else mounts it, and plug it in again",
        )
    return (f"mounted without {', '.join(missing)}",) if missing else ()
