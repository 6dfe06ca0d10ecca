"""Where a seed is: a device, a mount point, or any folder. Only the first two have to be what the daemon would take.

A device is used where it is mounted, else mounted read-only by UDisks2, as the daemon does it, and unmounted after.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dubseedd.adapters import udevdb
from dubseedd.cli.disks import with_udisks
from dubseedd.cli.exits import Complaint, complain
from dubseedd.core import mountinfo
from dubseedd.core.config import Config
from dubseedd.core.device import BlockDevice, Number, check_filesystem, check_label, check_loop
from dubseedd.core.mountinfo import MountLine, mount_options
from dubseedd.engine.durable import FOLDER, owned
from dubseedd.engine.mounts import open_seed
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName

if TYPE_CHECKING:
    from dubseedd.adapters.drives import Drives


@dataclass(frozen=True, slots=True)
class Place:
    """A seed that is open: the descriptor of its root, the path of that, its device, None for a mere folder, and what
    its mount lacks."""

    root: int
    path: str
    device: BlockDevice | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def opened_place(word: str, config: Config) -> Iterator[Place]:
    """The seed of this name, open for the length of a block. Raises a Failure, or a Complaint where UDisks2 is needed
    and not there."""
    try:
        status = os.stat(word)
    except OSError as error:
        raise _absent(word, error) from error
    if stat.S_ISBLK(status.st_mode):
        device = _acceptable(word, (os.major(status.st_rdev), os.minor(status.st_rdev)), config)
        with _mounted(device) as (point, ours):
            yield from _proven(point, device, ours=ours)
        return
    number = _mounted_there(os.path.realpath(word))
    if number is not None:
        yield from _proven(os.path.realpath(word), _acceptable(word, number, config), ours=False)
        return
    try:
        root = os.open(word, FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise _absent(word, error) from error
    with owned(root):
        yield Place(root, word)


def _absent(word: str, error: OSError) -> CallRefused:
    return CallRefused(
        ErrorName.NOT_FOUND, f"{word} cannot be opened ({error.strerror}); name a device, a mounted seed or any folder"
    )


def _acceptable(word: str, number: Number, config: Config) -> BlockDevice:
    """The device, if the daemon would look at it."""
    try:
        device = udevdb.block_device(number)
    except OSError as error:
        raise _absent(word, error) from error
    check_label(device, config.seed.label)
    check_filesystem(device, config.seed.filesystems)
    return device


def _proven(point: str, device: BlockDevice, *, ours: bool) -> Iterator[Place]:
    root, notes = open_seed(point, device, ours=ours)
    with owned(root):
        yield Place(root, point, device, notes)


@contextmanager
def _mounted(device: BlockDevice) -> Iterator[tuple[str, bool]]:
    """Where a device is mounted, and whether by us, for the length of a block."""
    for line in _mounts():
        if _number(line) == device.number:
            yield line.mount_point, False
            return
    point, ours = _mount(device)
    try:
        yield point, ours
    finally:
        if ours:
            _unmount(device)


def _mount(device: BlockDevice) -> tuple[str, bool]:
    async def errand(drives: "Drives") -> tuple[str, bool]:
        for node in device.loops:
            check_loop(device, node, await drives.loop_owner(node))
        return await drives.mount(device, mount_options(device.filesystem))

    return with_udisks(errand)


def _unmount(device: BlockDevice) -> None:
    """What was found stands even where somebody else has begun to use our mount."""
    try:
        with_udisks(lambda drives: drives.unmount(device))
    except (StoreTrouble, Complaint) as trouble:
        complain(str(trouble))


def _mounts() -> tuple[MountLine, ...]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return mountinfo.parse(stream.read())


def _mounted_there(path: str) -> Number | None:
    """The block device that is mounted right at a path; None where there is no mount, or one of another kind."""
    lines = [line for line in _mounts() if line.mount_point == path]
    return _number(lines[-1]) if lines else None


def _number(line: MountLine) -> Number | None:
    """The device of a mount; on btrfs, whose number is anonymous, that of its source."""
    if line.number[0] != 0:
        return line.number
    try:
        status = os.stat(line.source)
    except OSError:
        return None
    return (os.major(status.st_rdev), os.minor(status.st_rdev)) if stat.S_ISBLK(status.st_mode) else None
