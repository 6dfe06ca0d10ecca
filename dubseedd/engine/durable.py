"""Writing so that it stays: files, folders and renames that survive a power cut.

The recipe: a fresh file, write, fsync, rename, fsync the folder, and only then say that it is there.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]


class Rename(IntEnum):
    """The flags of renameat2(2)."""

    NOREPLACE = 1
    EXCHANGE = 2


def rename(source_fd: int, source: str, target_fd: int, target: str, how: Rename) -> None:
    """renameat2(2), which Python does not bind; OSError as from os.rename."""
    result = _libc.renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), int(how))
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source, None, target)


@contextmanager
def opened(path: str, flags: int, *, at: int | None = None, mode: int = 0o600) -> Iterator[int]:
    """A descriptor for the length of a block."""
    descriptor = os.open(path, flags, mode, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(folder: int, name: str, data: bytes, *, mode: int = 0o600) -> None:
    """Put a small file in place, whole or not at all, and make it stay."""
    draft = f"{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    with opened(draft, FRESH, at=folder, mode=mode) as descriptor:
        os.fchmod(descriptor, mode)
        write_all(descriptor, data)
        os.fsync(descriptor)
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def read_file(folder: int, name: str) -> bytes:
    """The bytes of a small file of our own; FileNotFoundError where there is none."""
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb") as stream:
        return stream.read()


def make_folder(parent: int, name: str, *, mode: int) -> int:
    """The descriptor of a folder that is made where it is missing."""
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent)
        os.chmod(name, mode, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, FOLDER, dir_fd=parent)


def remove_tree(parent: int, name: str) -> None:
    """Remove a folder of our own and all in it; one that is not there is fine."""
    with suppress(FileNotFoundError):
        shutil.rmtree(name, dir_fd=parent)
        os.fsync(parent)


def exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
