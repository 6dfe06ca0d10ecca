"""The seed that a command writes to: a device, a mount point, or any folder; opened, writable, and ours for a while.

A daemon that holds it is asked to let go, and leaves it alone until we have left the bus. A device is mounted through
UDisks2, and unmounted at the end. Of a device and of a mount point the label is checked.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dubseedd.cli.agent import password_agent
from dubseedd.cli.aside import Aside
from dubseedd.cli.exits import UNREACHABLE, Complaint
from dubseedd.core.bundle import shown
from dubseedd.engine.durable import FOLDER
from dubseedd.engine.mounts import mount_of
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName

if TYPE_CHECKING:
    from dubseedd.cli.lending import Lender

READ_ONLY = "ro"
BY_LABEL = "/dev/disk/by-label"


@dataclass(frozen=True, slots=True)
class Target:
    """`root` is the descriptor of its root, `filesystem` the kernel's word for its type, where it is known. `device` is
    the node of a seed that is a stick; `watched`: a daemon will look at it, `ours`: it is unmounted at the end."""

    root: int
    filesystem: str
    device: str = ""
    watched: bool = False
    ours: bool = False


@contextmanager
def opened_target(seed: str, label: str) -> Iterator[Target]:
    """The seed for the length of a block. Raises a Failure or a Complaint, and says what to do."""
    try:
        status = os.stat(seed)
    except OSError as error:
        raise CallRefused(
            ErrorName.NOT_FOUND, f"there is no seed {shown(seed)} ({error.strerror}); name a device or a folder"
        ) from error
    with ExitStack() as undo:
        if stat.S_ISBLK(status.st_mode):
            target = _of_device(undo, os.path.realpath(seed), label, _lender(undo))
        elif not os.path.ismount(seed):
            target = _of_folder(undo, seed)
        else:
            target = _of_mount(undo, seed, label)
        _check_writable(target, seed)
        yield target


def _of_folder(undo: ExitStack, path: str) -> Target:
    try:
        root = os.open(path, FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise CallRefused(
            ErrorName.NOT_FOUND, f"{shown(path)} cannot be opened ({error.strerror}); name a device or a folder"
        ) from error
    undo.callback(os.close, root)
    mount = mount_of(root)
    return Target(root, mount.filesystem if mount else "")


def _of_mount(undo: ExitStack, path: str, label: str) -> Target:
    with ExitStack() as look:
        line = mount_of(_of_folder(look, path).root)
    if line is None or not line.source.startswith("/dev/"):
        return _of_folder(undo, path)
    lender = _lender(undo)
    if READ_ONLY in line.options and lender is not None:
        return _of_device(undo, line.source, label, lender)
    _check_label(line.source, _label_of(line.source), label)
    watched = lender is not None and lender.borrow(line.source)
    folder = _of_folder(undo, path)
    return Target(folder.root, folder.filesystem, line.source, watched=watched)


def _of_device(undo: ExitStack, node: str, label: str, lender: "Lender | None") -> Target:
    if lender is None:
        raise Complaint(
            f"{node} cannot be mounted: the system bus, or the library that talks to it, is missing; mount it and name "
            "its mount point",
            UNREACHABLE,
        )
    watched = lender.borrow(node)
    point, ours = lender.mounted(node, label)
    folder = _of_folder(undo, point)
    return Target(folder.root, folder.filesystem, node, watched=watched, ours=ours)


def _lender(undo: ExitStack) -> "Lender | None":
    """Whoever knows daemon and UDisks2; None where there is no bus, or no library for it."""
    try:
        from dubseedd.cli.lending import Lender  # noqa: PLC0415 - it needs an optional extra
    except ImportError:
        return None
    undo.enter_context(password_agent())
    return Lender.on(undo.enter_context(Aside()))


def _label_of(node: str) -> str:
    """The label of a device as udev links it; "" where it does not know, or where another stick has the link."""
    number = os.stat(node).st_rdev
    try:
        names = os.listdir(BY_LABEL)
    except OSError:
        return ""
    for name in names:
        try:
            if os.stat(f"{BY_LABEL}/{name}").st_rdev == number:
                return name
        except OSError:
            continue
    return ""


def _check_label(node: str, found: str, label: str) -> None:
    """A stick with another label is no seed: no daemon would look at it. One of which nobody knows it passes."""
    if found not in ("", label):
        raise CallRefused(
            ErrorName.INVALID_ARGS,
            f"{node} is labelled {shown(found)}, and a seed {label}; label it so, or make a seed of it: "
            f"dubseedctl format {node}",
        )


def _check_writable(target: Target, seed: str) -> None:
    if os.fstatvfs(target.root).f_flag & os.ST_RDONLY:
        raise StoreTrouble(
            ErrorName.WRITE_FAILED,
            f"{shown(seed)} is read-only; look for a switch on the stick, or mount it writable: "
            f"mount -o remount,rw {shown(seed)}",
        )
    if not os.access(f"/proc/self/fd/{target.root}", os.W_OK | os.X_OK):
        raise StoreTrouble(
            ErrorName.WRITE_FAILED, f"you may not write to {shown(seed)}; do it as its owner, or as root: sudo"
        )
