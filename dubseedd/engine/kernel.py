"""System calls that Python does not bind, with OSError as from those that it does."""

import ctypes
import errno
import fcntl
import os
import struct
from enum import IntEnum

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
_libc.syncfs.argtypes = [ctypes.c_int]
_libc.statx.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p]


class Rename(IntEnum):
    """The flags of renameat2(2)."""

    NOREPLACE = 1
    EXCHANGE = 2


Identity = tuple[int, int]
"""(inode, time of birth in nanoseconds) of a folder: an inode alone is given to another folder after a removal."""

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_STATX = struct.Struct("=80xqI")
"""Of struct statx(2) the time of birth alone: seconds and nanoseconds at byte 80."""

_FICLONE = 0x40049409
"""_IOW(0x94, 9, int)"""


def identity(descriptor: int) -> Identity:
    """Tell a folder from every other one there ever was; the birth is 0 where the file system does not know it."""
    buffer = ctypes.create_string_buffer(256)
    _check(_libc.statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer))
    seconds, nanoseconds = _STATX.unpack_from(buffer)
    return os.fstat(descriptor).st_ino, seconds * 1_000_000_000 + nanoseconds


def rename(source_fd: int, source: str, target_fd: int, target: str, how: Rename) -> None:
    """renameat2(2): two names change places, or one moves to where there is none."""
    result = _libc.renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), int(how))
    _check(result, source, None, target)


def sync_file_system(descriptor: int) -> None:
    """syncfs(2): one wait for the disk instead of one for each file."""
    _check(_libc.syncfs(descriptor))


def clone(source: int, target: int) -> bool:
    """Let `target` share the blocks of `source` (FICLONE); False where the file system cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS):
            return False
        raise
    return True


def _check(result: int, *names: str | None) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *names)
