"""Disks: images with a file system, mounted by loop devices of their own, small and quick enough for hundreds."""

import ctypes
import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.image import attach, empty_image
from tools.machine import run

OPTIONS = {"ext4": ("-E", "lazy_itable_init=0,lazy_journal_init=0")}
"""All is written at once: the kernel adds nothing behind the back of a test."""
SIZES = {"ext4": 96 << 20, "xfs": 320 << 20, "btrfs": 192 << 20}
"""In bytes: little more than each makes a file system of."""
PATIENCE_SECONDS = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Disk:
    """An image and the folder where it is mounted."""

    image: Path
    folder: Path
    filesystem: str

    @classmethod
    def made(cls, image: Path, filesystem: str, *, size: int = 0) -> "Disk":
        """An empty one."""
        empty_image(image, size or SIZES[filesystem], filesystem, *OPTIONS.get(filesystem, ()))
        return cls.of(image, filesystem)

    @classmethod
    def of(cls, image: Path, filesystem: str) -> "Disk":
        """One that is there already."""
        folder = image.with_suffix(".mount")
        folder.mkdir(exist_ok=True)
        return cls(image, folder, filesystem)

    def copied(self, image: Path) -> "Disk":
        """Another one, the same to the last byte; this one may not be mounted."""
        copy_sparse(self.image, image)
        return Disk.of(image, self.filesystem)

    def mount(self) -> None:
        """Mount it by a loop device of its own, which goes with the mount. One that is there already would bring back
        what it had mounted before: a service that was started meanwhile with mounts of its own may hold that still."""
        # two copies of one file system are not mounted at a time, but xfs remembers for a moment
        options = ("-o", "nouuid") if self.filesystem == "xfs" else ()
        node = attach(self.image)
        try:
            run("mount", "-t", self.filesystem, *options, node, str(self.folder))
        finally:
            run("losetup", "--detach", node)

    def unmount(self) -> None:
        unmount(self.folder)

    def __enter__(self) -> Path:
        self.mount()
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.unmount()

    def forget(self) -> None:
        """Leave nothing behind, whatever happened."""
        if os.path.ismount(self.folder):
            unmount(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.image.unlink(missing_ok=True)


@contextmanager
def temporary(disk: Disk) -> Iterator[Disk]:
    """A disk that is forgotten at the end of a block."""
    try:
        yield disk
    finally:
        disk.forget()


def unmount(folder: Path) -> None:
    """umount(2) itself: umount(8) looks into mountinfo, which misses lines while others mount. A udisksd that runs on
    this machine looks into every new mount for a moment, and nothing tells when it has done so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _libc.umount2(os.fsencode(folder), 0) != 0:
        number = ctypes.get_errno()
        if number != errno.EBUSY or time.monotonic() > deadline:
            raise OSError(number, os.strerror(number), str(folder))
        time.sleep(0.01)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file, its holes as holes."""
    with source.open("rb") as reader, target.open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        at = 0
        while at < size:
            try:
                begin = os.lseek(reader.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(reader.fileno(), begin, os.SEEK_HOLE)
            while begin < at:
                begin += os.copy_file_range(reader.fileno(), writer.fileno(), at - begin, begin, begin)


def left_behind(below: Path) -> list[str]:
    """Mounts and loop devices that belong to a folder."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    loops = run("losetup", "--noheadings", "--raw", "--output", "NAME,BACK-FILE", "--list").splitlines()
    return [line for line in (*mounts, *loops) if f"{below}/" in line]
