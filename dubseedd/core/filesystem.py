"""File systems: what is peculiar to each that a stick may have, one row a type. A new one begins here.

Types are what udev calls them, and the kernel where that has another name. Those that a seed may have are
[seed] filesystems; btrfs, whose device numbers are anonymous, needs more than a row: engine/mounts, adapters/drives.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FAT_MOST_BYTES = (4 << 30) - 1


@dataclass(frozen=True, slots=True)
class FileSystem:
    """`label_command` gives {node} the label {label}, while it is not mounted. `read_only` are the mount options beside
    ro without which it is written to; xfs and btrfs replay their journals whatever is asked (docs/security.md).

    `most_bytes` is the size of the largest file, None for enough. `windows_names`: it takes what Windows takes.
    `preallocates`: room is taken beforehand at no cost, where others would write zeros into it.
    """

    label_command: str = ""
    read_only: tuple[str, ...] = ()
    most_bytes: int | None = None
    windows_names: bool = False
    preallocates: bool = False


FILE_SYSTEMS: Mapping[str, FileSystem] = {
    "vfat": FileSystem("fatlabel {node} {label}", most_bytes=FAT_MOST_BYTES, windows_names=True),
    "msdos": FileSystem(most_bytes=FAT_MOST_BYTES, windows_names=True),
    "exfat": FileSystem("exfatlabel {node} {label}", windows_names=True),
    "ntfs": FileSystem("ntfslabel {node} {label}"),
    "ext3": FileSystem("e2label {node} {label}", read_only=("noload",)),
    "ext4": FileSystem("e2label {node} {label}", read_only=("noload",), preallocates=True),
    "xfs": FileSystem("xfs_admin -L {label} {node}", preallocates=True),
    "btrfs": FileSystem("btrfs filesystem label {node} {label}", preallocates=True),
    "tmpfs": FileSystem(preallocates=True),
}


def file_system(kind: str) -> FileSystem:
    """That of this type; one that is not known is peculiar in nothing."""
    return FILE_SYSTEMS.get(kind, FileSystem())
