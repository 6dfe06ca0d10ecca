"""Verifying what is installed: every file read back from the disk and compared with its manifest."""

import os
from typing import Any

from dubseedd.core.lifecycle import JobState
from dubseedd.core.receipt import FileRecord, Receipt
from dubseedd.core.sentence import shown
from dubseedd.engine import copying, tree
from dubseedd.engine.copying import Count
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import Pump, ReadError
from dubseedd.engine.records import record
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import NO_ERROR, CallRefused, Failure, StoreTrouble
from dubseedd.names import ErrorName


class Verification:
    """One installed bundle being read back. It may be stopped, and goes on with the file that it was stopped in."""

    def __init__(self, store: Store, receipt: Receipt, meter: Meter) -> None:
        self.receipt = receipt
        self._store = store
        self._meter = meter
        self._files = (*receipt.files, receipt.manifest)
        self._good: list[FileRecord] = []
        size = sum(file.size for file in self._files)
        meter.expect(files=len(self._files), moved=size, work=size)

    def run(self, pump: Pump, *, now: int, read: Count = lambda _: None) -> Receipt:
        """Read every file that is left; returns the new receipt, which is written down and carries the damage if any.

        A file that was touched and has the right bytes is good: its record is renewed. `read` is told of the bytes.
        Raises the pump's reason to stop, or CallRefused (Busy) where another version has taken the place meanwhile.
        """
        self._meter.enter(JobState.VERIFYING)
        self._meter.work_done = self._meter.bytes_done = sum(file.size for file in self._good)
        self._meter.files_done = len(self._good)
        found: dict[str, Any]
        try:
            for file in self._files[len(self._good) :]:
                self._good.append(self._verified(file, pump, read))
            found = {"files": tuple(self._good[:-1]), "manifest": self._good[-1], "damage": NO_ERROR}
        except StoreTrouble as damage:
            found = {"damage": damage.pair}
        self._meter.current_file = ""
        with writing_store(self.receipt.name):
            fresh = self._store.amend_receipt(self.receipt, verified_at=now, **found)
        if fresh is None:
            raise CallRefused(
                ErrorName.BUSY, f"{self.receipt.name} was replaced or removed while it was read back; verify it again"
            )
        return fresh

    def _verified(self, file: FileRecord, pump: Pump, read: Count) -> FileRecord:
        """The renewed record of one file; StoreTrouble with what is wrong."""
        self._meter.current_file = file.path
        name = self.receipt.name
        folder, _, base = f"{name}/{file.path}".rpartition("/")
        mend = f"plug in a stick with {name}, or if it is in: dubseedctl sync --bundle {name}"

        def count(length: int) -> None:
            self._meter.copied(length)
            read(length)

        try:
            with tree.opened_folder(self._store.root, folder) as parent:
                found = copying.digest_file(pump, parent, base, file.size, count=count).digests.sha256
                with tree.opened_file(parent, base) as descriptor:
                    fresh = record(file.path, os.fstat(descriptor), sha256=file.sha256, blake3=file.blake3)
        except FileNotFoundError as error:
            raise StoreTrouble(
                ErrorName.FILE_MISSING, f"{shown(file.path)} of {name} is missing; {mend}", file=file.path
            ) from error
        except (OSError, ReadError, Failure) as error:
            if isinstance(error, Failure) and error.error is ErrorName.CANCELLED:
                raise
            raise StoreTrouble(
                ErrorName.READ_FAILED,
                f"{shown(file.path)} of {name} cannot be read ({error}); check the disk, then {mend}",
                file=file.path,
            ) from error
        if (found, fresh.size) != (file.sha256, file.size):
            fault = f"its digest is {found}, its manifest says {file.sha256}"
            if fresh.size != file.size:
                fault = f"it has {fresh.size:,} bytes and had {file.size:,}"
            raise StoreTrouble(
                ErrorName.CHECKSUM_MISMATCH, f"{shown(file.path)} of {name} is damaged: {fault}; {mend}", file=file.path
            )
        self._meter.finished()
        return fresh


def verify(store: Store, receipt: Receipt, meter: Meter, stop: StopFlag, *, now: int) -> Receipt:
    """Read one installed bundle back, as `Verification.run`."""
    with Pump(stop) as pump:
        return Verification(store, receipt, meter).run(pump, now=now)
