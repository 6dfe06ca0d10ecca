"""Progress of a job: how fast it goes, when it will end, and when that is worth a line."""

from dataclasses import dataclass, field

WINDOW_SECONDS = 5.0
"""The rate is that of the last so many seconds."""


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


class Standstill:
    """When a running job has not moved for so long that somebody should look: told once for each time."""

    AFTER_SECONDS = 120.0
    """A block of a stick that gives 50 kB/s takes no longer."""

    def __init__(self, now_seconds: float) -> None:
        self._work_done = -1
        self._since = now_seconds
        self._told = False

    def noticed(self, work_done: int, now_seconds: float) -> bool:
        if work_done != self._work_done:
            self._work_done, self._since, self._told = work_done, now_seconds, False
            return False
        if self._told or now_seconds - self._since < self.AFTER_SECONDS:
            return False
        self._told = True
        return True
