"""Progress of a job: counters that a worker thread writes and the loop reads, and what follows from them.

Work is counted in bytes: each that is copied, and each that is read back. The percentage is of that work, so that it
goes on evenly through both phases and never goes back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from dubseedd.core.lifecycle import JobState

WINDOW_SECONDS = 5.0
"""The rate is that of the last so many seconds."""


@dataclass(slots=True)
class Meter:
    """Counters of one job. One thread writes each of them; all may read. Sizes in bytes."""

    phase: JobState = JobState.QUEUED
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_skipped: int = 0
    files_total: int = 0
    files_done: int = 0
    current_file: str = ""
    work_total: int = 0
    work_done: int = 0
    on_phase: Callable[[JobState], None] = lambda _: None

    def enter(self, phase: JobState) -> None:
        """Begin a phase, and say so to whoever follows the job."""
        if phase is not self.phase:
            self.phase = phase
            self.on_phase(phase)

    @property
    def fraction(self) -> float:
        """The part of the work that is done, 0 to 1."""
        return min(1.0, self.work_done / self.work_total) if self.work_total else 0.0


@dataclass(slots=True)
class Pace:
    """How fast a job goes: fed with (time in seconds, work done in bytes), it tells rate and end."""

    _samples: list[tuple[float, int]] = field(default_factory=list)

    def sample(self, now_seconds: float, work_done: int) -> None:
        if self._samples and work_done < self._samples[-1][1]:
            self._samples.clear()  # the work is counted anew
        self._samples.append((now_seconds, work_done))
        while len(self._samples) > 2 and now_seconds - self._samples[1][0] >= WINDOW_SECONDS:
            self._samples.pop(0)

    @property
    def rate(self) -> int:
        """Bytes per second; 0 while nothing can be said."""
        if len(self._samples) < 2:
            return 0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        return int((last - first) / (ended - began)) if ended > began else 0

    def seconds_left(self, work_left: int) -> float | None:
        """Time to the end at this rate; None while nothing can be said."""
        return work_left / self.rate if self.rate > 0 else None


class Milestones:
    """When a running job is worth a line in the journal: at each tenth, else every 30 seconds at most."""

    EVERY_SECONDS = 30.0

    def __init__(self, now_seconds: float) -> None:
        self._tenth = 0
        self._told = now_seconds

    def reached(self, fraction: float, now_seconds: float) -> bool:
        tenth = int(fraction * 10)
        if tenth <= self._tenth and now_seconds - self._told < self.EVERY_SECONDS:
            return False
        self._tenth, self._told = max(tenth, self._tenth), now_seconds
        return True
