"""Trailing a copy: what was written is made to stay at intervals, noted, and read back close behind where that pays.

    copy ──passed──> marks ──> the trail, a thread: fdatasync, a line in staging's log; read back up to the mark

A mark is the BLAKE3 of the first so many bytes, taken from the very bytes whose SHA-256 decides in the end.
"""

import os
import threading
import time
from queue import Empty, SimpleQueue
from typing import NamedTuple, Self

from dubseedd.core.bundle import BundleFile
from dubseedd.core.overlap import Overlap
from dubseedd.engine import copying, tree
from dubseedd.engine.copying import Hashes
from dubseedd.engine.pump import Pump
from dubseedd.engine.transfer import Transfer
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import Cancelled, Failure, Interrupted

SYNC_SECONDS = 1.0
"""What is written stays after so long at most, so that little is copied again after a power cut."""


class Mark(NamedTuple):
    offset: int
    blake3: str


class ReadBack:
    """One staged file, read back from the disk in steps, each as far as the copy is."""

    def __init__(self, transfer: Transfer, file: BundleFile, begun: Hashes) -> None:
        """`begun` is of the bytes that have been read from the disk before."""
        self.file = file
        self._transfer = transfer
        self._hashes = begun

    def until(self, mark: Mark, pump: Pump) -> None:
        """Read on to a mark and compare. StoreTrouble (ChecksumMismatch) where the disk gives back other bytes."""
        folder, _, name = self.file.path.rpartition("/")
        begin = self._hashes.offset
        with writing_store(self.file.path), tree.opened_folder(self._transfer.staging.tree, folder) as descriptor:
            copying.hash_file(
                pump,
                descriptor,
                name,
                mark.offset,
                (self._hashes.blake3,),
                start=begin,
                count=self._transfer.meter.worked,
            )
        found = self._hashes.digests.blake3
        if found != mark.blake3:
            where = f" between bytes {begin:,} and {mark.offset:,}"
            raise self._transfer.wrong_on_disk(self.file.path, found, mark.blake3, where)


class Trail:
    """The thread that follows the copy of one file."""

    def __init__(self, transfer: Transfer, target: int, back: ReadBack, overlap: Overlap, pump: Pump) -> None:
        self._transfer = transfer
        self._target = target
        self._back = back
        self._overlap = overlap
        self._pump = pump
        self._marks: SimpleQueue[Mark | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="dubseedd-trail", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._marks.put(None)
        self._thread.join()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise what the trail has met with."""
        if self._failure is not None:
            raise self._failure

    def reached(self, mark: Mark) -> None:
        """Everything up to the mark has been handed to the disk."""
        self._marks.put(mark)

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException as failure:  # noqa: BLE001 - it is raised again by the thread that copies
            self._failure = failure

    def _follow(self) -> None:
        pending: list[Mark] = []
        cut: Failure | None = None
        noted = time.monotonic()
        while True:
            due = noted + SYNC_SECONDS - time.monotonic()
            if pending and due <= 0:
                self._note(pending)
                pending, noted = [], time.monotonic()
            try:
                mark = self._marks.get(timeout=max(due, 0.001) if pending else None)
            except Empty:
                continue
            if mark is None:
                break
            pending.append(mark)
            cut = cut or self._read_back(mark)
        if pending:
            self._note(pending)
        if cut:
            raise cut

    def _read_back(self, mark: Mark) -> Failure | None:
        """The reason where this was cut short: no ground to copy again what has arrived, it is noted all the same."""
        if self._overlap.together:
            try:
                self._back.until(mark, self._pump)
            except (Interrupted, Cancelled) as reason:
                return reason
        return None

    def _note(self, marks: list[Mark]) -> None:
        with writing_store(self._back.file.path):
            os.fdatasync(self._target)
            self._transfer.staging.mark(self._back.file.path, dict(marks))
