"""Images: files that are disks. Attached as a loop device, an image is plugged in.

with attached(empty_image(path, 64 << 20, "ext4", "-L", "NAME")) as node:
    detach(node, path)               # pulled out
"""

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tools.machine import CannotRun, run, succeeds

MAKERS: Mapping[str, tuple[str, ...]] = {
    "ext3": ("mkfs.ext3", "-q", "-F"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
"""What makes each file system, whatever was there; each takes its label after -L."""

ENDS = (signal.SIGINT, signal.SIGTERM)


def empty_image(image: Path, size_bytes: int, filesystem: str = "ext4", *options: str) -> Path:
    """A new image with a new file system; `options` are those of its mkfs."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    run(*MAKERS[filesystem], *options, str(image))
    return image


@contextmanager
def attached(image: Path, *options: str) -> Iterator[str]:
    """The device node of an image for the length of a block, once udev knows it; `options` are those of losetup."""
    with ExitStack() as undo:
        undo.callback(release, image)
        with uninterrupted():  # a losetup that is given up may attach it after we have looked
            node = attach(image, *options)
        run("udevadm", "settle", "--timeout=20", check=False)
        yield node


def attach(image: Path, *options: str, node: str = "") -> str:
    """Attach an image to a loop device, this one or any that is free; the device node."""
    if not os.path.exists("/dev/loop-control"):
        raise CannotRun(
            "there are no loop devices (/dev/loop-control): load the module loop, or run a container with --privileged"
        )
    where = (node,) if node else ("--find", "--show")
    return run("losetup", *options, *where, str(image)).strip() or node


def detach(node: str, image: Path) -> None:
    """Pull it out, whoever has it mounted; a device that has another image by now is somebody else's."""
    if node not in attached_to(image):
        return
    while succeeds("findmnt", "--source", node):
        run("umount", "--lazy", node)
    run("losetup", "--detach", node)
    run("udevadm", "settle", "--timeout=10", check=False)


def release(image: Path) -> None:
    """Pull out whatever the image is attached to; an interruption has to wait until that is done."""
    with uninterrupted():
        for node in attached_to(image):
            detach(node, image)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A block that an interruption does not cut short, nor the programs that it starts; it comes right after.

    A blocked signal is kept from this thread and from its children; that the kernel may then hand it to another
    thread, Python still runs its handler in the main one.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    handlers = {each: signal.signal(each, lambda number, _frame: came.append(number)) for each in ENDS if main}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came:
            signal.raise_signal(signal.Signals(number))


def attached_to(image: Path) -> list[str]:
    return run("losetup", "--noheadings", "--output", "NAME", "--associated", str(image)).split()
