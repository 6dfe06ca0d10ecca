"""Copying and reading back single files: bytes, digests, and nothing else.

A copy is one read of the source that feeds both digests and the writer, into a fresh file beside which nothing is
overwritten; it is on the disk when `copy_file` returns. Reading back goes past the page cache, which proves nothing.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from blake3 import blake3

from dubseedd.engine.durable import FRESH
from dubseedd.engine.pump import Block, Pump, ReadError

ALIGNMENT = 4096
"""Offsets, lengths and buffers of direct I/O are multiples of this."""

PUBLISHED_MODE = 0o644

Count = Callable[[int], None]
"""Told the bytes that were moved since the last call."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Lower-case hex."""

    sha256: str
    blake3: str


class _Hashing:
    """Sinks that hash: SHA-256, which the manifest is made of, and BLAKE3, which is cheap to check again."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()

    def sha256(self, block: Block) -> None:
        self._sha256.update(block.view[: block.length])

    def blake3(self, block: Block) -> None:
        self._blake3.update(block.view[: block.length])

    @property
    def digests(self) -> Digests:
        return Digests(self._sha256.hexdigest(), self._blake3.hexdigest())


def copy_file(
    pump: Pump, source: int, size: int, folder: int, name: str, *, count: Count, from_store: bool = False
) -> Digests:
    """Copy `size` bytes of the descriptor `source` into a new file `name` of `folder`, mode 0644, and fsync it.

    Raises ReadError for the source, OSError for the target, the stop flag's reason. A file left behind by an earlier
    attempt is replaced. What was begun and failed is removed.
    """
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    target = _create(folder, name)
    try:
        os.fchmod(target, PUBLISHED_MODE)
        _allocate(target, size)
        hashing = _Hashing()

        def write(block: Block) -> None:
            _write(target, block)
            count(block.length)

        pump.run(source, size, (hashing.sha256, hashing.blake3, write), keep_cached=from_store)
        os.ftruncate(target, size)
        os.fsync(target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(target)
    return hashing.digests


def read_back(pump: Pump, folder: int, name: str, size: int, *, count: Count) -> str:
    """The BLAKE3 of a file as it lies on the disk, read past the page cache."""
    return _read(pump, folder, name, size, count, fast=True).blake3


def digest_file(pump: Pump, folder: int, name: str, size: int, *, count: Count) -> Digests:
    """Both digests of a file as it lies on the disk, read past the page cache."""
    return _read(pump, folder, name, size, count, fast=False)


def open_direct(folder: int, name: str) -> int:
    """A descriptor that reads past the page cache: O_DIRECT, or without it where the file system refuses that."""
    plain = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, plain | os.O_DIRECT, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.open(name, plain, dir_fd=folder)


def _read(pump: Pump, folder: int, name: str, size: int, count: Count, *, fast: bool) -> Digests:
    source = open_direct(folder, name)
    try:
        os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)
        hashing = _Hashing()

        def counted(block: Block) -> None:
            hashing.blake3(block)
            count(block.length)

        sinks = (counted,) if fast else (hashing.sha256, counted)
        try:
            pump.run(source, size, sinks)
        except ReadError as error:
            if error.number != errno.EINVAL or error.offset:
                raise
            _buffered(source)
            pump.run(source, size, sinks)
        return hashing.digests
    finally:
        os.close(source)


def _create(folder: int, name: str) -> int:
    try:
        return os.open(name, FRESH | os.O_DIRECT, PUBLISHED_MODE, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    return os.open(name, FRESH, PUBLISHED_MODE, dir_fd=folder)


def _allocate(target: int, size: int) -> None:
    """Take the room now, so that a full disk is known before the copy; ext3 and others cannot."""
    if size == 0:
        return
    try:
        os.posix_fallocate(target, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def _write(target: int, block: Block) -> None:
    """Write a block whole. Direct I/O takes whole pages: the tail is padded, the file cut to size at the end."""
    padded = -(-block.length // ALIGNMENT) * ALIGNMENT
    block.view[block.length : padded] = bytes(padded - block.length)
    done = 0
    while done < padded:
        try:
            done += os.pwrite(target, block.view[done:padded], block.offset + done)
        except OSError as error:
            if error.errno != errno.EINVAL or not fcntl.fcntl(target, fcntl.F_GETFL) & os.O_DIRECT:
                raise
            _buffered(target)


def _buffered(descriptor: int) -> None:
    """Turn direct I/O off: this file system opened the file with it and then refused it."""
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT)
