"""The seed that a command works on, open for the length of a block: a device, a mount point, or any folder.

    device         used where it is mounted, else mounted by UDisks2, and unmounted at the end
    mount point    used as it is; what is mounted there has to be a seed, where udev knows it
    any folder     used as it is

To be read, a device is mounted as the daemon does it, read-only, and proven. To be written, it is one that the daemon,
if it has it, has let go of, and leaves alone until the end.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from dubseedd.adapters import sysfs, udevdb
from dubseedd.cli.disks import TO_WRITE, Disks, mounted, with_udisks
from dubseedd.cli.exits import Complaint
from dubseedd.core import mountinfo
from dubseedd.core.config import Config
from dubseedd.core.device import BlockDevice, Number, check_filesystem, check_label, check_loop
from dubseedd.core.mountinfo import MountLine, mount_options
from dubseedd.core.sentence import shown
from dubseedd.engine.durable import FOLDER, owned
from dubseedd.engine.mounts import open_seed
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName


@dataclass(frozen=True, slots=True)
class Place:
    """A seed that is open: the descriptor of its root, the path of that, its device, None for a mere folder, and what
    its mount lacks. `ours` is unmounted at the end; of one that is `lent` the daemon looks at it then."""

    root: int
    path: str
    device: BlockDevice | None = None
    notes: tuple[str, ...] = ()
    ours: bool = False
    lent: bool = False


@contextmanager
def opened_place(word: str, config: Config, *, to_write: bool = False, any_mount: bool = False) -> Iterator[Place]:
    """The seed of this name. With `any_mount`, a mount point is a folder like any other.

    Raises a Failure, or a Complaint where bus or UDisks2 are needed and not there.
    """
    try:
        status = os.stat(word)
    except OSError as error:
        raise _absent(word, error) from error
    path = os.path.realpath(word)
    if stat.S_ISBLK(status.st_mode):
        number: Number | None = _number(status)
    else:
        number = None if any_mount else _mounted_at(path)
    with ExitStack() as undo:
        if number is None:
            place = Place(_opened(word), word)
            undo.callback(os.close, place.root)
        else:
            device = _seed_on(word, number, config)
            place = _to_write(undo, device, path) if to_write else _to_read(undo, device, path)
        if to_write:
            _check_writable(place.root, word)
        yield place


def _opened(path: str) -> int:
    try:
        return os.open(path, FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise _absent(path, error) from error


def _absent(word: str, error: OSError) -> CallRefused:
    return CallRefused(
        ErrorName.NOT_FOUND,
        f"{shown(word)} cannot be opened ({error.strerror}); name a device, a mounted seed or any folder",
    )


# Devices


def _seed_on(word: str, number: Number, config: Config) -> BlockDevice:
    """The device, if the daemon would look at it."""
    try:
        device = udevdb.block_device(number)
        if not device.usage and not sysfs.partitions(sysfs.folder_of(number)):
            with suppress(StoreTrouble, Complaint):  # it may have been plugged in a moment ago
                with_udisks(lambda disks: disks.filesystems.device(device.node))
            device = udevdb.block_device(number)
    except OSError as error:
        raise _absent(word, error) from error
    check_label(device, config.seed.label)
    check_filesystem(device, config.seed.filesystems)
    return device


def _to_read(undo: ExitStack, device: BlockDevice, path: str) -> Place:
    """A seed that is mounted, at `path` if there, is used where it is; else it is mounted as the daemon does it."""
    point, ours = _point_of(device, path), False
    if point is None:
        _check_loops(device)
        point, ours = undo.enter_context(mounted(device, mount_options(device.filesystem)))
    root, notes = open_seed(point, device, ours=ours)
    undo.enter_context(owned(root))
    return Place(root, point, device, notes, ours=ours)


def _to_write(undo: ExitStack, device: BlockDevice, path: str) -> Place:
    """The mount of a daemon goes with the loan, that of somebody else is used where it is."""
    lent = _borrow(undo, device)
    point, ours = _point_of(device, path), False
    if point is None:
        point, ours = undo.enter_context(mounted(device, TO_WRITE))
    root, notes = open_seed(point, device, ours=False)
    undo.enter_context(owned(root))
    return Place(root, point, device, notes, ours=ours, lent=lent)


def _borrow(undo: ExitStack, device: BlockDevice) -> bool:
    """Does a daemon lend it to us? There is none where there is no bus, or no library for it."""
    try:
        from dubseedd.cli.lending import lent  # noqa: PLC0415 - a mounted seed is written without them
    except ImportError:
        return False
    return undo.enter_context(lent(device.node))


def _check_loops(device: BlockDevice) -> None:
    async def errand(disks: Disks) -> None:
        for node in device.loops:
            check_loop(device, node, await disks.filesystems.loop_owner(node))

    if device.loops:
        with_udisks(errand)


# Mounts


def _point_of(device: BlockDevice, path: str) -> str | None:
    """Where a device is mounted now: at `path`, or else anywhere."""
    points = [line.mount_point for line in _mounts() if _device_of(line) == device.number]
    return path if path in points else next(iter(points), None)


def _mounted_at(path: str) -> Number | None:
    """The block device that is mounted right at a path; None where there is none, or none that udev knows."""
    lines = [line for line in _mounts() if line.mount_point == path]
    number = _device_of(lines[-1]) if lines else None
    with suppress(OSError):
        if number is not None and udevdb.block_device(number).usage:
            return number
    return None


def _mounts() -> tuple[MountLine, ...]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return mountinfo.parse(stream.read())


def _device_of(line: MountLine) -> Number | None:
    """The device of a mount; on btrfs, whose number is anonymous, that of its source."""
    if line.number[0] != 0:
        return line.number
    try:
        status = os.stat(line.source)
    except OSError:
        return None
    return _number(status) if stat.S_ISBLK(status.st_mode) else None


def _number(status: os.stat_result) -> Number:
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _check_writable(root: int, word: str) -> None:
    if os.fstatvfs(root).f_flag & os.ST_RDONLY:
        raise StoreTrouble(
            ErrorName.WRITE_FAILED,
            f"{shown(word)} is read-only; look for a switch on the stick, or mount it writable: "
            f"mount -o remount,rw {shown(word)}",
        )
    if not os.access(f"/proc/self/fd/{root}", os.W_OK | os.X_OK):
        raise StoreTrouble(
            ErrorName.WRITE_FAILED, f"you may not write to {shown(word)}; do it as its owner, or as root: sudo"
        )
