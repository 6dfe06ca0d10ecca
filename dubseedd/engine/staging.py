"""Staging: copies under way, one folder a manifest, kept and continued when the same bundle comes back.

    .dubseed/staging/SHA256-OF-MANIFEST/
        tree/            what will be published, as far as it is
        files.jsonl      what of it is known to be on the disk, a line each, written afterwards:
                         a record: this file is whole; a mark: the first so many bytes of this file have this BLAKE3
        receipt.json     only while it is being published (see publishing)

A record counts as long as the file has its size, mtime and inode. Marks are not trusted: whoever goes on with a file
reads it up to its marks again. Every other file is copied anew. The folder's own mtime says when it was last continued.
"""

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Self

from dubseedd.core.bundle import Kind
from dubseedd.core.receipt import FileRecord
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, make_folder, names_in, opened, owned, reading, write_all
from dubseedd.engine.records import untouched
from dubseedd.errors import Failure

TREE = "tree"
RECORDS = "files.jsonl"
RECEIPT = "receipt.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StagedCopy:
    """A staging folder as the store's housekeeping sees it; `continued_at` in seconds since the epoch."""

    manifest_sha256: str
    continued_at: float
    size: int


class Staging:
    """The staging folder of one manifest, open for work; several threads may write into it.

    `records` are the files that are whole, `marks` what is known of others: by path, then BLAKE3 by offset.
    """

    def __init__(self, root: int, manifest_sha256: str) -> None:
        self.manifest_sha256 = manifest_sha256
        self._lock = threading.Lock()
        with ExitStack() as undo:
            self.folder = undo.enter_context(owned(make_folder(root, manifest_sha256, mode=0o700)))
            self.tree = undo.enter_context(owned(make_folder(self.folder, TREE, mode=tree.FOLDER_MODE)))
            os.utime(self.folder)
            whole, self.marks = read_log(self.folder)
            self.records = {path: record for path, record in whole.items() if _holds(self.tree, record)}
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._log = undo.enter_context(opened(RECORDS, flags, at=self.folder))
            if (size := os.fstat(self._log).st_size) and os.pread(self._log, 1, size - 1) != b"\n":
                write_all(self._log, b"\n")  # a power cut has torn the last line: the next one stands alone
            self._open = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def open_folder(self, path: str) -> int:
        """The descriptor of a folder of the tree, made as needed; "" is the tree itself. The caller closes it."""
        return tree.make_folders(self.tree, path)

    def knows(self, path: str) -> bool:
        """Is there a record of this file, or a mark?"""
        return path in self.records or path in self.marks

    def record(self, records: Iterable[FileRecord]) -> None:
        """Note that files of the tree are whole and on the disk."""
        with self._lock:
            fresh = {record.path: record for record in records}
            self._log_lines(record.to_json() for record in fresh.values())
            self.records |= fresh

    def mark(self, path: str, marks: Mapping[int, str]) -> None:
        """Note how much of a file is on the disk, and what it is, as BLAKE3 by offset; it survives a power cut."""
        with self._lock:
            entries = ({"path": path, "offset": offset, "blake3": blake3} for offset, blake3 in marks.items())
            self._log_lines(json.dumps(entry, ensure_ascii=False).encode() for entry in entries)
            self.marks.setdefault(path, {}).update(marks)
        os.fdatasync(self._log)

    def _log_lines(self, lines: Iterable[bytes]) -> None:
        write_all(self._log, b"".join(line + b"\n" for line in lines))

    def parts(self) -> dict[str, int]:
        """The files that a copy can go on with, and the bytes that each occupies."""
        found = {}
        for path in self.marks.keys() - self.records.keys():
            with suppress(OSError, Failure), tree.opened_file(self.tree, path) as descriptor:
                found[path] = os.fstat(descriptor).st_blocks * 512
        return found

    def forget(self, path: str) -> None:
        """Give a file up: it turned out to be wrong. On a failing disk it may stay where it is, and the next sync
        reads it back."""
        with self._lock:
            self.records.pop(path, None)
            self.marks.pop(path, None)
        folder, _, name = path.rpartition("/")
        with suppress(OSError), owned(self.open_folder(folder)) as descriptor:
            os.unlink(name, dir_fd=descriptor)

    def prune(self, wanted: frozenset[str]) -> None:
        """Remove what an attempt that was cut short has left: all but the known files of these paths, and their
        folders."""
        known = wanted & (self.records.keys() | self.marks.keys())
        needed = {folder for path in wanted for folder in _folders_of(path)}
        for path, status in sorted(tree.walk(self.tree), reverse=True):
            if path in known:
                continue
            parent, _, name = path.rpartition("/")
            with tree.opened_folder(self.tree, parent) as folder:
                if tree.kind_of(status.st_mode) is not Kind.FOLDER:
                    os.unlink(name, dir_fd=folder)
                elif path not in needed:
                    os.rmdir(name, dir_fd=folder)


def read_log(folder: int) -> tuple[dict[str, FileRecord], dict[str, dict[int, str]]]:
    """The records and the marks of a staging folder; a line that was torn by a power cut is passed over."""
    records: dict[str, FileRecord] = {}
    marks: dict[str, dict[int, str]] = {}
    with suppress(FileNotFoundError), reading(folder, RECORDS) as lines:
        for line in lines:
            with suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                if "offset" in entry:
                    marks.setdefault(entry["path"], {})[entry["offset"]] = entry["blake3"]
                else:
                    records[entry["path"]] = FileRecord(**entry)
    return records, marks


def staged_copies(root: int) -> list[StagedCopy]:
    """Every staging folder, the one that was continued longest ago first."""
    found = []
    for name in names_in(root):
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
    """The paths of the files that are whole in a staging folder; nothing is made or changed."""
    with (
        suppress(FileNotFoundError, NotADirectoryError),
        opened(manifest_sha256, FOLDER, at=root) as folder,
        opened(TREE, FOLDER, at=folder) as copies,
    ):
        return frozenset(path for path, record in read_log(folder)[0].items() if _holds(copies, record))
    return frozenset()


def _holds(copies: int, record: FileRecord) -> bool:
    """Does a record count: is its file there, as it was when it was noted?"""
    try:
        with tree.opened_file(copies, record.path) as descriptor:
            return untouched(record, os.fstat(descriptor))
    except (OSError, Failure):
        return False


def _folders_of(path: str) -> Iterator[str]:
    """Every folder that a path lies in."""
    while path := path.rpartition("/")[0]:
        yield path
