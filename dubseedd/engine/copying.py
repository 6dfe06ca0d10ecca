"""Copying and reading back single files: bytes, digests, and nothing else.

A copy is one read of the source that feeds both digests and the writer; it is on the disk when `copy_file` returns.
Reading back goes past the page cache, which proves nothing.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from blake3 import blake3

from dubseedd.engine.durable import fresh
from dubseedd.engine.pump import BLOCK_BYTES, Block, Pump, ReadError, Sink

ALIGNMENT = 4096
"""Offsets, lengths and buffers of direct I/O are multiples of this."""

EXISTING = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags of open(2) for a file that somebody else may have put there."""

MARK_BYTES = 16 * BLOCK_BYTES
"""While a file is hashed, the BLAKE3 of its first so many bytes, twice so many and so on is noted."""

HASH_BOUND = 0.9
"""Where SHA-256 takes this part of the time, it is what holds a copy up."""

Count = Callable[[int], None]
"""Told the bytes that were moved since the last call."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Lower-case hex."""

    sha256: str
    blake3: str


class Hashes:
    """SHA-256, which the manifest is made of, and BLAKE3, which is cheap to check again, of a file up to `offset`.

    `marks` is the BLAKE3 of what comes before an offset, by offset. `seconds` is what SHA-256 took.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()
        self.offset = 0
        self.marks: dict[int, str] = {}
        self.seconds = 0.0

    def copy(self) -> Self:
        """The same state, to go on with independently; marks are not taken along."""
        other = type(self)()
        other._sha256, other._blake3, other.offset = self._sha256.copy(), self._blake3.copy(), self.offset
        return other

    def sha256(self, block: Block) -> None:
        """A sink."""
        began = time.perf_counter()
        self._sha256.update(block.view[: block.length])
        self.seconds += time.perf_counter() - began

    def blake3(self, block: Block) -> None:
        """A sink, which notes the marks."""
        self._blake3.update(block.view[: block.length])
        self.offset = block.offset + block.length
        if self.offset % MARK_BYTES == 0:
            self.marks[self.offset] = self._blake3.hexdigest()

    @property
    def sinks(self) -> tuple[Sink, ...]:
        return self.sha256, self.blake3

    @property
    def digests(self) -> Digests:
        return Digests(self._sha256.hexdigest(), self._blake3.hexdigest())


class HashWatch:
    """Follows a copy: would it go faster if another file were hashed beside it?"""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
        self._since, self._hashing = time.perf_counter(), hashes.seconds

    def is_bound(self) -> bool:
        """Was hashing what held the copy up, since this was last asked?"""
        now, hashing = time.perf_counter(), self._hashes.seconds
        bound = hashing - self._hashing >= HASH_BOUND * (now - self._since)
        self._since, self._hashing = now, hashing
        return bound


def copy_file(
    pump: Pump,
    source: int,
    size: int,
    target: int,
    *,
    hashes: Hashes,
    passed: Sink = lambda _: None,
    keep_cached: bool = False,
    allocate: bool = True,
    allocated: Count = lambda _: None,
) -> None:
    """Copy the descriptor `source` up to `size` to the descriptor `target`, from where `hashes` are on, and fsync it.

    `passed` is told of each block that was hashed and written. Room is taken beforehand, unless the file system would
    write zeros for that, as FAT does; `allocated` is told for how many of the bytes to come. Raises ReadError for the
    source, OSError for the target, or the stop flag's reason.
    """
    if allocate and _allocate(target, size):
        allocated(size - hashes.offset)
    pump.run(
        source,
        size,
        (*hashes.sinks, lambda block: _write(target, block)),
        start=hashes.offset,
        passed=passed,
        keep_cached=keep_cached,
    )
    os.ftruncate(target, size)
    os.fsync(target)


def digest_file(pump: Pump, folder: int, name: str, size: int, *, count: Count) -> Hashes:
    """Both digests of a file as it lies on the disk, read past the page cache, with its marks."""
    hashes = Hashes()
    hash_file(pump, folder, name, size, hashes.sinks, count=count)
    return hashes


def hash_file(
    pump: Pump, folder: int, name: str, size: int, sinks: tuple[Sink, ...], *, count: Count, start: int = 0
) -> None:
    """Feed a file, as it lies on the disk, to sinks: from `start`, a multiple of a block, up to `size`."""
    source = open_direct(folder, name)

    def passed(block: Block) -> None:
        count(block.length)

    try:
        try:
            pump.run(source, size, sinks, start=start, passed=passed)
        except ReadError as error:
            if error.number != errno.EINVAL or error.offset != start:
                raise
            _buffered(source)
            pump.run(source, size, sinks, start=start, passed=passed)
    finally:
        os.close(source)


def open_direct(folder: int, name: str) -> int:
    """A descriptor that reads past the page cache: by O_DIRECT, or with its pages dropped where the file system refuses
    that."""
    return _direct(lambda flags: os.open(name, os.O_RDONLY | EXISTING | flags, dir_fd=folder))


def create(folder: int, name: str) -> int:
    """A descriptor of a new empty file, mode 0644, for `copy_file`; whatever had that name is removed."""
    return _direct(lambda flags: fresh(folder, name, flags=flags))


def reopen(folder: int, name: str) -> int:
    """A descriptor of a file that `create` has made, to go on with."""
    return _direct(lambda flags: os.open(name, os.O_RDWR | EXISTING | flags, dir_fd=folder))


def _direct(opened: Callable[[int], int]) -> int:
    """The descriptor of a file that is opened with O_DIRECT, or without where the file system refuses that."""
    try:
        return opened(os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    descriptor = opened(0)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return descriptor


def _allocate(target: int, size: int) -> bool:
    """Take the room now, so that a full disk is known before the copy; False where that is not possible, as on ext3."""
    if size == 0:
        return False
    try:
        os.posix_fallocate(target, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        return False
    return True


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
    """Turn direct I/O off: the file system took it when the file was opened, and refuses it now."""
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
