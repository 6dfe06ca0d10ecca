"""A job: one running, queued or recently ended piece of work."""

import asyncio
from dataclasses import dataclass, field, replace

from dubseedd.core.lifecycle import JobKind, JobState, job_step
from dubseedd.core.progress import Milestones, Pace, Standstill
from dubseedd.engine.meter import Meter
from dubseedd.engine.syncing import Wish
from dubseedd.errors import NO_ERROR, Failure
from dubseedd.names import Field
from dubseedd.service.seed import Seed
from dubseedd.service.worker import Halt

MICROSECONDS = 1_000_000


@dataclass(slots=True)
class Job:
    """What is known of one job. The conductor alone changes it, on the loop; `meter` is its worker's.

    `seen` is the meter as it was last looked at: what everybody is shown. `percent` never goes back. `deed` is
    what was done, in one sentence, once it is.
    """

    id: int
    kind: JobKind
    wish: Wish
    seed: Seed | None = None
    publish: bool = True
    state: JobState = JobState.QUEUED
    meter: Meter = field(default_factory=Meter)
    seen: Meter = field(default_factory=Meter)
    pace: Pace = field(default_factory=Pace)
    milestones: Milestones = field(default_factory=lambda: Milestones(0))
    standstill: Standstill = field(default_factory=lambda: Standstill(0))
    percent: int = 0
    started_at: int = 0
    ended_at: int = 0
    expected_end: int = 0
    error: tuple[str, str] = NO_ERROR
    failure: Failure | None = None
    why_waiting: str = ""
    deed: str = ""
    halt: Halt = field(default_factory=Halt)
    task: asyncio.Task[None] | None = None

    @property
    def bundle(self) -> str:
        return self.wish.name

    @property
    def ended(self) -> bool:
        """Nothing more happens to it; an interrupted job may go on."""
        return self.state.ended

    def enter(self, state: JobState) -> None:
        self.state = job_step(self.state, state)
        if state is JobState.DONE:
            self.percent = 100

    def begin(self, seed: Seed | None) -> None:
        """Start, or start anew after an interruption: fresh counters, the percentage stays."""
        self.seed = seed
        self.meter, self.seen, self.pace = Meter(), Meter(), Pace()
        self.halt = Halt()
        self.error, self.failure = NO_ERROR, None

    def look(self, now_seconds: float, now: int) -> None:
        """Read the worker's counters. `now_seconds` is monotonic, `now` microseconds since the epoch."""
        self.seen = replace(self.meter)
        if self.state is not JobState.QUEUED:
            self.pace.sample(now_seconds, self.seen.work_done)
        self.percent = max(self.percent, int(self.seen.fraction * 99))
        left = self.pace.seconds_left(self.seen.work_total - self.seen.work_done)
        self.expected_end = now + int(left * MICROSECONDS) if left is not None and not self.ended else 0

    @property
    def sentence(self) -> str:
        """One line on where it stands."""
        seen = self.seen
        match self.state:
            case JobState.COPYING:
                return f"copying {self.bundle}: file {min(seen.files_done + 1, seen.files_total)} of {seen.files_total}"
            case JobState.VERIFYING:
                return f"verifying {self.bundle}"
            case JobState.WAITING:
                return self.why_waiting or f"{self.bundle} is ready to be published"
            case JobState.INTERRUPTED | JobState.FAILED | JobState.CANCELLED:
                return self.error[1]
            case JobState.DONE:
                return self.deed
            case _:
                return f"{self.state} {self.bundle}"

    @property
    def fields(self) -> dict[Field, str | int]:
        return {
            **(self.seed.fields if self.seed else {}),
            Field.BUNDLE: self.bundle,
            Field.JOB: self.id,
            Field.MANIFEST: self.wish.manifest_sha256,
        }

    @property
    def counters(self) -> dict[Field, str | int]:
        """The fields of progress, beside those that name the job."""
        return {
            **self.fields,
            Field.BYTES_DONE: self.seen.bytes_done,
            Field.BYTES_TOTAL: self.seen.bytes_total,
            Field.PERCENT: self.percent,
            Field.RATE: self.pace.rate,
        }
