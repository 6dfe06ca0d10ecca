"""Records: a file as it lies on the disk, written down, and known again later without reading it."""

import os

from dubseedd.core.receipt import FileRecord
from dubseedd.engine import tree


def record(path: str, status: os.stat_result, *, sha256: str, blake3: str) -> FileRecord:
    """The record of a file; `path` is within its bundle."""
    return FileRecord(path, status.st_size, sha256, blake3, status.st_mtime_ns, status.st_ino)


def record_below(root: int, path: str, *, sha256: str, blake3: str) -> FileRecord:
    """The record of a file below the folder of its bundle."""
    with tree.opened_file(root, path) as descriptor:
        return record(path, os.fstat(descriptor), sha256=sha256, blake3=blake3)


def untouched(recorded: FileRecord, status: os.stat_result) -> bool:
    """Has nobody written to the file since, or put another in its place?"""
    now = (status.st_size, status.st_mtime_ns, status.st_ino)
    return (recorded.size, recorded.mtime_ns, recorded.inode) == now
