"""The history: one JSON object a line for every event, in the store, so that it outlives journal and reinstallation.

.dubseed/history.jsonl      the newest; rotated at 16 MiB
.dubseed/history.jsonl.1    the one before
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dubseedd.core.events import Event
from dubseedd.engine.durable import opened, write_all
from dubseedd.names import EventName

FILE = "history.jsonl"
ROTATED = "history.jsonl.1"
LIMIT_BYTES = 16 << 20
PIECE_BYTES = 64 << 10


class History:
    """The history in a store's own folder. `append` is called by one thread at a time."""

    def __init__(self, folder: int) -> None:
        self._folder = folder

    def append(self, event: Event) -> None:
        """Write an event down, so that it stays; progress is not history."""
        if event.name is EventName.JOB_PROGRESS:
            return
        line = json.dumps(event.as_record(), ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with opened(FILE, flags, at=self._folder) as descriptor:
            size = os.fstat(descriptor).st_size
            write_all(descriptor, line if not size or _ends_a_line(self._folder, size) else b"\n" + line)
            os.fdatasync(descriptor)
        if not size:
            os.fsync(self._folder)
        if size + len(line) >= LIMIT_BYTES:
            os.rename(FILE, ROTATED, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)

    def newest(self, most: int) -> list[dict[str, Any]]:
        """The newest events first, at most so many."""
        found: list[dict[str, Any]] = []
        for record in self._backwards():
            if len(found) >= most:
                break
            found.append(record)
        return found

    def _backwards(self) -> Iterator[dict[str, Any]]:
        for name in (FILE, ROTATED):
            with (
                suppress(FileNotFoundError),
                opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, at=self._folder) as file,
            ):
                for line in _lines_backwards(file):
                    with suppress(ValueError):
                        record = json.loads(line)
                        if isinstance(record, dict):
                            yield record


def _lines_backwards(descriptor: int) -> Iterator[bytes]:
    """The lines of a file, the last one first; no more is read than is asked for."""
    end, rest = os.fstat(descriptor).st_size, b""
    while end:
        start = max(0, end - PIECE_BYTES)
        first, *lines = (os.pread(descriptor, end - start, start) + rest).split(b"\n")
        yield from reversed(lines)
        end, rest = start, first
    yield rest


def _ends_a_line(folder: int, size: int) -> bool:
    """False where a power cut has torn the last line."""
    with opened(FILE, os.O_RDONLY | os.O_CLOEXEC, at=folder) as descriptor:
        return os.pread(descriptor, 1, size - 1) == b"\n"
