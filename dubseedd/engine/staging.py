"""Staging: copies under way, one folder a manifest, kept and continued when the same bundle comes back.

    .dubseed/staging/SHA256-OF-MANIFEST/
        tree/            what will be published, as far as it is
        files.jsonl      a record of each file in it that is whole: one line, written after the file was on the disk
        receipt.json     only while it is being published (see publishing)

A record counts as long as the file has its size, mtime and inode; every other file is copied anew. The folder's own
mtime says when it was last continued.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Self

from dubseedd.core.bundle import Kind
from dubseedd.core.receipt import FileRecord
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, exists, make_folder, opened, read_file, write_all
from dubseedd.errors import Failure

TREE = "tree"
RECORDS = "files.jsonl"
RECEIPT = "receipt.json"
FOLDER_MODE = 0o755
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StagedCopy:
    """A staging folder as the store's housekeeping sees it; `continued_at` in seconds since the epoch."""

    manifest_sha256: str
    continued_at: float
    size: int


class Staging:
    """The staging folder of one manifest, open for work."""

    def __init__(self, root: int, manifest_sha256: str) -> None:
        self.manifest_sha256 = manifest_sha256
        with ExitStack() as undo:
            self.folder = _kept(undo, make_folder(root, manifest_sha256, mode=0o700))
            self.tree = _kept(undo, make_folder(self.folder, TREE, mode=FOLDER_MODE))
            os.utime(self.folder)
            self.records = {record.path: record for record in read_records(self.folder) if self._holds(record)}
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._log = _kept(undo, os.open(RECORDS, flags, 0o600, dir_fd=self.folder))
            if (size := os.fstat(self._log).st_size) and os.pread(self._log, 1, size - 1) != b"\n":
                write_all(self._log, b"\n")  # a power cut has torn the last line: the next one stands alone
            self._open = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _holds(self, record: FileRecord) -> bool:
        try:
            with tree.opened_file(self.tree, record.path) as descriptor:
                status = os.fstat(descriptor)
        except OSError:
            return False
        return record.untouched(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)

    def parent_of(self, path: str) -> int:
        """The descriptor of the folder that `path` belongs into, made as needed. The caller closes it."""
        descriptor = os.dup(self.tree)
        for component in path.split("/")[:-1]:
            try:
                following = make_folder(descriptor, component, mode=FOLDER_MODE)
            finally:
                os.close(descriptor)
            descriptor = following
        return descriptor

    def record(self, path: str, sha256: str, blake3: str) -> FileRecord:
        """Note that a file of the tree is whole and on the disk."""
        with tree.opened_file(self.tree, path) as descriptor:
            status = os.fstat(descriptor)
        record = FileRecord(path, status.st_size, sha256, blake3, status.st_mtime_ns, status.st_ino)
        write_all(self._log, json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")
        self.records[path] = record
        return record

    def forget(self, path: str) -> None:
        """Give a file up: it turned out to be wrong."""
        self.records.pop(path, None)
        folder = self.parent_of(path)
        try:
            os.unlink(path.rpartition("/")[2], dir_fd=folder)
        finally:
            os.close(folder)

    def prune(self, wanted: frozenset[str]) -> None:
        """Remove whatever the tree holds beside these paths, left by an attempt that was cut short."""
        needed = {folder for path in wanted for folder in _folders_of(path)}
        for path, status in sorted(tree.walk(self.tree), reverse=True):
            if path in wanted and path in self.records:
                continue
            folder = tree.open_folder(self.tree, path.rpartition("/")[0])
            try:
                name = path.rpartition("/")[2]
                if tree.kind_of(status.st_mode) is not Kind.FOLDER:
                    os.unlink(name, dir_fd=folder)
                elif path not in needed:
                    os.rmdir(name, dir_fd=folder)
            finally:
                os.close(folder)


def read_records(folder: int) -> Iterator[FileRecord]:
    """The records of a staging folder; a line that was torn by a power cut is passed over."""
    with suppress(FileNotFoundError):
        for line in read_file(folder, RECORDS).splitlines():
            with suppress(ValueError, TypeError):
                yield FileRecord(**json.loads(line))


def staged_copies(root: int) -> list[StagedCopy]:
    """Every staging folder, the one that was continued longest ago first."""
    found = []
    for name in os.listdir(root):
        if not _DIGEST.fullmatch(name):
            continue
        with suppress(OSError), opened(name, FOLDER, at=root) as folder:
            found.append(StagedCopy(name, os.fstat(folder).st_mtime, size_on_disk(folder)))
    return sorted(found, key=lambda copy: copy.continued_at)


def size_on_disk(folder: int) -> int:
    """The bytes that a folder of our own occupies, as far as they can be counted."""
    with suppress(OSError, Failure):
        return sum(status.st_blocks * 512 for _, status in tree.walk(folder))
    return 0


def staged_paths(root: int, manifest_sha256: str) -> frozenset[str]:
    """The paths that a staging folder has records of; nothing is made or changed."""
    with suppress(FileNotFoundError, NotADirectoryError), opened(manifest_sha256, FOLDER, at=root) as folder:
        if exists(folder, TREE):
            return frozenset(record.path for record in read_records(folder))
    return frozenset()


def _kept(undo: ExitStack, descriptor: int) -> int:
    undo.callback(os.close, descriptor)
    return descriptor


def _folders_of(path: str) -> Iterator[str]:
    """Every folder that a path lies in."""
    while path := path.rpartition("/")[0]:
        yield path
