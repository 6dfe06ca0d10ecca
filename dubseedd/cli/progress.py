"""Live progress of jobs: a bar each on a terminal, plain lines anywhere else.

The bar needs rich, which is an extra; without it, and on a terminal that cannot move its cursor, the lines do.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self

from dubseedd.cli import show, terminal, text
from dubseedd.cli.views import JobView, State


class Display(Protocol):
    """Shows jobs as they go on."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def update(self, jobs: Sequence[JobView], state: State | None = None, /) -> None: ...


def display(*, quiet: bool = False) -> Display:
    """The best that this output can show; nothing where `quiet`."""
    if quiet:
        return Silence()
    return Bars() if terminal.can_draw() else Lines()


class Silence:
    """Shows nothing: the output belongs to a program."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, _: Sequence[JobView], __: State | None = None, /) -> None:
        return


class Lines(Silence):
    """A line when a job begins a phase, at each tenth, and when it ends."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[str, int]] = {}

    def update(self, jobs: Sequence[JobView], _: State | None = None, /) -> None:
        for job in jobs:
            reached = (job.state, job.progress[0] // 10)
            if self._told.get(job.id) != reached:
                self._told[job.id] = reached
                print(show.line(job), flush=True)


class Bars:
    """Two lines for each job at work, the bar and its details; lines stay when a job ends.

    tiny-llama  ━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━   48 %  0:05
      copying, 2.92 GiB of 6.10 GiB, 596 MiB/s, model-00004-of-0000…
    """

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - an optional extra
        from rich.live import Live  # noqa: PLC0415 - an optional extra

        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._ended: set[int] = set()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, jobs: Sequence[JobView], state: State | None = None, /) -> None:
        from rich.console import Group  # noqa: PLC0415 - an optional extra

        for job in jobs:
            if not job.ended:
                self._ended.discard(job.id)
            elif job.id not in self._ended:
                self._ended.add(job.id)
                self._say_end(job)
        running = [text.printable(job) for job in jobs if not job.ended]
        queued = sum(job.state == "queued" for job in running)
        parts = self.draw([job for job in running if job.state != "queued"], state)
        self._live.update(Group(*parts, *([f"{queued} queued"] if queued else [])), refresh=True)

    def draw(self, jobs: Sequence[JobView], _: State | None) -> list[Any]:
        """Jobs at work, as something that rich can draw."""
        return [_bar(job) for job in jobs]

    def _say_end(self, job: JobView) -> None:
        from rich.text import Text  # noqa: PLC0415 - an optional extra

        mark = ("✓ ", "green") if job.state == "done" else ("✗ ", "red")
        self._console.print(Text.assemble(mark, show.line(job)))


def _bar(job: JobView) -> Any:
    """A job at work as something that rich can draw."""
    from rich.console import Group  # noqa: PLC0415 - an optional extra
    from rich.text import Text  # noqa: PLC0415 - an optional extra

    below = ", ".join(part for part in (job.state, show.details(job)) if part)
    return Group(head(job), Text(f"  {below}", style="dim", no_wrap=True, overflow="ellipsis"))


def head(job: JobView) -> Any:
    """The bar of a job, with what is left."""
    from rich.progress_bar import ProgressBar  # noqa: PLC0415 - an optional extra
    from rich.table import Table  # noqa: PLC0415 - an optional extra
    from rich.text import Text  # noqa: PLC0415 - an optional extra

    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", max_width=30)
    line.add_column(ratio=1, min_width=8)
    line.add_column(no_wrap=True, justify="right", min_width=5)
    line.add_column(no_wrap=True)
    percent = job.progress[0]
    line.add_row(Text(job.bundle), ProgressBar(100, percent), f"{percent} %", text.left(job.expected_end_time))
    return line
