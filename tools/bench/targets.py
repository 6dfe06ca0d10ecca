"""What is aimed at, and whether it is met."""

from dataclasses import dataclass
from enum import Enum


class Sense(Enum):
    """Which side of a limit is the good one."""

    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Target:
    """A limit in the unit of what it is compared with."""

    limit: float
    sense: Sense = Sense.AT_MOST

    def is_met_by(self, value: float) -> bool:
        return value <= self.limit if self.sense is Sense.AT_MOST else value >= self.limit

    def factor(self, value: float) -> float:
        """How far a value is from the limit: 1.25 is a quarter above it, 0.8 a fifth below."""
        return value / self.limit


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured figure. `unit` is one of those that `table.shown` knows."""

    what: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def is_met(self) -> bool | None:
        """None where nothing is aimed at."""
        return None if self.target is None else self.target.is_met_by(self.value)

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        how = "met" if self.target.is_met_by(self.value) else "NOT MET"
        return f"{how}, {self.target.factor(self.value):.2f} of the target"


WALL_TO_RUNBOOK = Target(0.40)
WALL_TO_COPY = Target(0.95)
WALL_TO_READING_ONCE = Target(1.06)
SLOW_HASH_TO_FAST = Target(2.0)
"""One core with nothing but SHA-256 in software is 2.4 times as slow."""
SMALL_FILES_TO_RUNBOOK = Target(1.0)
COPY_RATE_TO_BOUND = Target(0.9, Sense.AT_LEAST)
CPU_SECONDS_PER_GIB = Target(1.4)
PEAK_BYTES = Target(150 << 20)
IDLE_SECONDS = Target(1.0)
MAKING_RATE = Target(0.9, Sense.AT_LEAST)
ADOPTION_READ = Target(1.05)
ADOPTION_WRITTEN_BYTES = Target(8 << 20)
"""A receipt, modes, the history and the journal of the file system; of a bundle it would be gigabytes."""
