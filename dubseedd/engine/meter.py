"""The meter of a job: counters that worker threads write and the loop reads.

Work is counted in bytes: each that is copied, and each that is read back. The fraction is of that work, so that it goes
on evenly through both phases. It goes back where work turns out to have been in vain; the percentage of a job does not.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from dubseedd.core.lifecycle import JobState


@dataclass(slots=True)
class Meter:
    """Counters of one job. Several threads may add to them, all may read. Sizes in bytes."""

    phase: JobState = JobState.QUEUED
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_skipped: int = 0
    bytes_ahead: int = 0
    files_total: int = 0
    files_done: int = 0
    current_file: str = ""
    work_total: int = 0
    work_done: int = 0
    on_phase: Callable[[JobState], None] = lambda _: None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def expect(self, *, files: int, moved: int = 0, skipped: int = 0, work: int) -> None:
        """Begin to count anew: files, bytes to be moved, bytes that need not be moved, and bytes of work in all."""
        with self._lock:
            self.files_total, self.bytes_total, self.bytes_skipped, self.work_total = files, moved, skipped, work
            self.files_done = self.bytes_done = self.bytes_ahead = self.work_done = 0

    def worked(self, length: int) -> None:
        """So much was read back, or copied from elsewhere than the seed."""
        with self._lock:
            self.work_done += length

    def copied(self, length: int) -> None:
        """So much of what is to be moved was moved: it came from the seed, or was verified."""
        with self._lock:
            self.work_done += length
            self.bytes_done += length

    def finished(self, files: int = 1) -> None:
        with self._lock:
            self.files_done += files

    def found(self, length: int) -> None:
        """So much of what was to be moved is there already; a negative length: it is not after all."""
        with self._lock:
            self.bytes_total -= length
            self.bytes_skipped += length

    def held(self, length: int) -> None:
        """The disk holds so much room for bytes that are still to be moved; a negative length: no longer."""
        with self._lock:
            self.bytes_ahead += length

    def enter(self, phase: JobState) -> None:
        """Begin a phase, and say so to whoever follows the job."""
        if phase is not self.phase:
            self.phase = phase
            self.on_phase(phase)

    @property
    def fraction(self) -> float:
        """The part of the work that is done, 0 to 1."""
        return min(1.0, self.work_done / self.work_total) if self.work_total else 0.0

    @property
    def room_wanted(self) -> int:
        """The room that what is still to be moved will take of what the disk has free now."""
        return max(0, self.bytes_total - self.bytes_done - self.bytes_ahead)


class Ahead:
    """The room that one file holds on the disk before its bytes are there; it counts for the length of a `with`
    block."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.used(self._length)

    def held(self, length: int) -> None:
        """Room for so many bytes is held."""
        self._length += length
        self._meter.held(length)

    def used(self, length: int) -> None:
        """So many bytes have come into it, as far as there is any."""
        self.held(-min(length, self._length))
