"""Live progress of jobs: a bar each on a terminal, plain lines anywhere else.

The bar needs rich, which is an extra; without it the lines do.
"""

import importlib.util
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol, Self

from dubseedd.cli import show
from dubseedd.cli.client import JobView

MICROSECONDS = 1_000_000


class Display(Protocol):
    """Shows jobs as they go on."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def update(self, jobs: Sequence[JobView]) -> None: ...


def display() -> Display:
    """The best that this output can show."""
    if sys.stdout.isatty() and importlib.util.find_spec("rich"):
        return Bars()
    return Lines()


class Lines:
    """A line when a job begins a phase, at each tenth, and when it ends."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[str, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, jobs: Sequence[JobView]) -> None:
        for job in jobs:
            reached = (job.state, job.progress[0] // 10)
            if self._told.get(job.id) != reached:
                self._told[job.id] = reached
                print(show.line(job), flush=True)


class Bars:
    """A bar for each job: bytes, rate, time left and the file in work. Lines stay when a job ends."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - an optional extra
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - an optional extra
        from rich.table import Column  # noqa: PLC0415 - an optional extra
        from rich.text import Text  # noqa: PLC0415 - an optional extra

        self._progress: Any = Progress(
            TextColumn("{task.fields[bundle]}", table_column=Column(no_wrap=True, max_width=24, overflow="ellipsis")),
            TextColumn("{task.fields[phase]}", style="dim"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[amount]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[file]}", style="dim", table_column=Column(no_wrap=True, ratio=1, overflow="ellipsis")
            ),
            console=Console(highlight=False),
            expand=True,
        )
        self._text = Text
        self._tasks: dict[int, Any] = {}
        self._ended: set[int] = set()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, jobs: Sequence[JobView]) -> None:
        for job in jobs:
            if job.id in self._ended and job.ended:
                continue
            if job.ended:
                self._end(job)
                continue
            self._ended.discard(job.id)
            if job.id not in self._tasks:
                self._tasks[job.id] = self._progress.add_task("", total=100, **_fields(job))
            self._progress.update(self._tasks[job.id], completed=job.progress[0], **_fields(job))

    def _end(self, job: JobView) -> None:
        self._ended.add(job.id)
        if (task := self._tasks.pop(job.id, None)) is not None:
            self._progress.remove_task(task)
        mark = ("✓ ", "green") if job.state == "done" else ("✗ ", "red")
        self._progress.console.print(self._text.assemble(mark, show.line(job)))


def _fields(job: JobView) -> dict[str, str]:
    return {
        "bundle": job.bundle,
        "phase": job.state,
        "amount": show.size(job.bytes_done),
        "rate": f"{show.size(job.rate)}/s" if job.rate else "",
        "left": _left(job.expected_end_time),
        "file": job.current_file,
    }


def _left(end: int) -> str:
    """The time left as m:ss; empty while nothing can be said."""
    seconds = round(end / MICROSECONDS - time.time()) if end else -1
    return f"{seconds // 60}:{seconds % 60:02}" if seconds >= 0 else ""
