"""Writing so that it stays: files, folders and renames that survive a power cut.

The recipe: a fresh file, write, fsync, rename, fsync the folder, and only then say that it is there.
"""

import os
import shutil
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import BinaryIO

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

PLAIN_MODE = 0o644
"""Of a file that is for everybody."""

DRAFT = "\\"
"""What the name of a draft begins with."""


@contextmanager
def owned(descriptor: int) -> Iterator[int]:
    """Close a descriptor at the end of a block."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def opened(path: str, flags: int, *, at: int | None = None, mode: int = 0o600) -> AbstractContextManager[int]:
    """A descriptor for the length of a block."""
    return owned(os.open(path, flags, mode, dir_fd=at))


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(
    folder: int, name: str, data: bytes | Iterable[bytes], *, drafts: int | None = None, mode: int = 0o600
) -> None:
    """Put a file in place, whole or not at all, and make it stay.

    It is drafted in `drafts`, a folder of the same file system where a draft that a crash leaves behind does no harm,
    by default beside its place. No bundle has a file of a draft's name: no manifest may list a path with a backslash.
    """
    desk = folder if drafts is None else drafts
    draft = f"{DRAFT}{threading.get_ident()}"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=desk)
    try:
        with opened(draft, FRESH, at=desk, mode=mode) as descriptor:
            os.fchmod(descriptor, mode)
            with open(descriptor, "wb", closefd=False) as stream:
                stream.writelines([data] if isinstance(data, bytes) else data)
            os.fsync(descriptor)
        os.rename(draft, name, src_dir_fd=desk, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=desk)
        raise
    os.fsync(folder)


@contextmanager
def reading(folder: int, name: str) -> Iterator[BinaryIO]:
    """A file of our own; FileNotFoundError where there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with opened(name, flags, at=folder) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        yield stream


def read_file(folder: int, name: str) -> bytes:
    """The bytes of a small file of our own; FileNotFoundError where there is none."""
    with reading(folder, name) as stream:
        return stream.read()


def make_folder(parent: int, name: str, *, mode: int) -> int:
    """The descriptor of a folder that is made where it is missing."""
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent)
        os.chmod(name, mode, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, FOLDER, dir_fd=parent)


def names_in(folder: int) -> list[str]:
    """What a folder holds now: btrfs shows to a descriptor what was there when it was opened, so a fresh one asks."""
    with opened(".", FOLDER, at=folder) as descriptor:
        return os.listdir(descriptor)


def exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def fresh(folder: int, name: str, *, flags: int = 0) -> int:
    """The descriptor of a new file for everybody; whatever had that name is removed. `flags` are more of open(2)."""
    try:
        descriptor = os.open(name, FRESH | flags, PLAIN_MODE, dir_fd=folder)
    except FileExistsError:
        os.unlink(name, dir_fd=folder)
        descriptor = os.open(name, FRESH | flags, PLAIN_MODE, dir_fd=folder)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != PLAIN_MODE:
            os.fchmod(descriptor, PLAIN_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def put(folder: int, name: str, data: bytes) -> None:
    """A small file, on the disk, for places where half a one does no harm: FAT takes no name of a draft."""
    with owned(fresh(folder, name)) as descriptor:
        write_all(descriptor, data)
        os.fsync(descriptor)
    os.fsync(folder)


def remove(folder: int, name: str) -> None:
    """Remove whatever has this name, a folder with all that is in it; that there is nothing is success."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
