"""What a run costs, and how runs are compared: by the median of the ratios of each round, never by one timing."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run: wall time, user and system time of all its threads and children, resident memory at its peak."""

    wall_seconds: float
    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    def __add__(self, other: Self) -> "Cost":
        """Of one step after the other."""
        return Cost(
            self.wall_seconds + other.wall_seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
        )


Round = Mapping[str, Cost]
"""What each candidate cost in one round, by its name."""


def wall_seconds(cost: Cost) -> float:
    return cost.wall_seconds


def cpu_seconds(cost: Cost) -> float:
    return cost.cpu_seconds


def peak_bytes(cost: Cost) -> float:
    return cost.peak_bytes


def median(rounds: Sequence[Round], name: str, of: Callable[[Cost], float] = wall_seconds) -> float:
    """The median of one figure of one candidate over all rounds."""
    return statistics.median(of(each[name]) for each in rounds)


def median_ratio(rounds: Sequence[Round], name: str, to: str, of: Callable[[Cost], float] = wall_seconds) -> float:
    """The median, over all rounds, of one figure of a candidate to that of another in the same round."""
    return statistics.median(of(each[name]) / of(each[to]) for each in rounds)


def turns(candidates: Sequence[T], number: int) -> list[T]:
    """The candidates in the order of round `number`: each comes first in turn, so that no place is an advantage."""
    start = number % len(candidates)
    return [*candidates[start:], *candidates[:start]]
