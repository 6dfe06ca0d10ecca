"""What came of each row: how many faults were survived, how many bundles torn or lost, in which time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.torture.amounts import SEED

MOST_TOLD = 5


class Torn(AssertionError):
    """A visible bundle is not byte for byte one manifest."""


class Lost(AssertionError):
    """What was acknowledged, or was there before, is not there."""


@dataclass(slots=True)
class Row:
    """One row being run: each fault is a point; what fails is counted and told at the end, with what to do again.

    A control is a row that has to find something torn or lost.
    """

    name: str
    what: str
    is_control: bool = False
    passed: int = 0
    torn: int = 0
    lost: int = 0
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def __enter__(self) -> Self:
        ROWS.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.seconds = time.monotonic() - self.began
        if kind is None and self.is_control:
            assert self.torn + self.lost, f"{self.name} {self.what}: nothing was torn or lost, so the test sees nothing"
        elif kind is None and self.failures:
            told = "\n\n".join(self.failures[:MOST_TOLD])
            raise AssertionError(
                f"{self.name} {self.what}: {len(self.failures)} of {self.amount} faults were not survived; "
                f"again: TORTURE_SEED={SEED}\n\n{told}"
            )

    @property
    def amount(self) -> int:
        return self.passed + len(self.failures)

    @contextmanager
    def point(self, label: str) -> Iterator[None]:
        """One fault; `label` says how to have it again."""
        try:
            yield
        except AssertionError as failure:
            self.torn += isinstance(failure, Torn)
            self.lost += isinstance(failure, Lost)
            self.failures.append(f"{label}: {type(failure).__name__}: {failure}")
        else:
            self.passed += 1


ROWS: list[Row] = []
"""Of this run, in its order."""


def table(rows: list[Row]) -> str:
    """The rows as a table, those of the same kind as one."""
    kinds: dict[tuple[str, str], Row] = {}
    for row in rows:
        kind = kinds.setdefault((row.name, row.what), Row(row.name, row.what))
        kind.passed += row.passed
        kind.torn += row.torn
        kind.lost += row.lost
        kind.failures += row.failures
        kind.seconds += row.seconds
    lines = ["| row | what | amount | passed | torn | lost | duration |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.what} | {row.amount:,} | {row.passed:,} | {row.torn:,} | {row.lost:,} "
        f"| {row.seconds:,.1f} s |"
        for row in kinds.values()
    ]
    return "\n".join(lines)
