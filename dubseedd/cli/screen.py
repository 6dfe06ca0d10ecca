"""The screen of `dubseedctl watch`: the sticks and what is on them, the jobs with their phases and rate.

It needs rich; without it, and where the output is no terminal, there are lines.

DUB-SEED on /dev/sdb1 (exfat, 28.7 GiB, ACME Stick): working
  llama           12.3 GiB  new
  qwen             4.1 GiB  current
  broken                 -  refused: ManifestInvalid

llama  ━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━   48 %  0:05
  ✓ planning  ● copying  ○ verifying  ○ publishing
  2.92 GiB of 6.10 GiB, 596 MiB/s ▃▅▆▇▇█▇▆, model-00004-of-0000…

copying llama: file 4 of 11, 48 %, 624 MB/s
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dubseedd.cli import show, terminal, text
from dubseedd.cli.progress import Bars, Display, Lines, head
from dubseedd.cli.views import JobView, SeedView, State
from dubseedd.names import ERROR_PREFIX

PHASES = ("planning", "copying", "verifying", "publishing")
LEVELS = "▁▂▃▄▅▆▇█"
SAMPLES = 24
SAMPLE_SECONDS = 0.5
BUNDLES_MOST = 6
"""More of one stick are counted."""
GOOD, BAD, FAINT = "green", "red", "dim"
STYLES = {text.Colour.GOOD: GOOD, text.Colour.BAD: BAD, None: ""}


def whole_display() -> Display:
    """The best that this output can show of everything, not of jobs alone."""
    return Screen() if terminal.can_draw() else StatusLines()


class StatusLines(Lines):
    """The daemon's sentence whenever it changes, as long as there is no job to show."""

    def __init__(self) -> None:
        super().__init__()
        self._status = ""

    def update(self, jobs: Sequence[JobView], state: State | None = None, /) -> None:
        super().update(jobs)
        if state and not jobs and state.manager.status != self._status:
            self._status = state.manager.status
            print(text.printable(self._status), flush=True)


class Screen(Bars):
    """Draws everything at one moment; lines stay when a job ends."""

    def __init__(self) -> None:
        super().__init__()
        self._rates: dict[int, Rates] = {}

    def draw(self, jobs: Sequence[JobView], state: State | None) -> list[Any]:
        state = text.printable(state)
        self._rates = {job.id: self._rates.get(job.id) or Rates() for job in jobs}
        for job in jobs:
            self._rates[job.id].sample(job.rate)
        seeds = [part for seed in (state.seeds if state else ()) for part in (SeedPart(seed), "")]
        running = [part for job in jobs for part in (job_part(job, self._rates[job.id].line), "")]
        return [*seeds, *running, *([_text(state.manager.status, FAINT)] if state else [])]


class Rates:
    """The rate of one job over time."""

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES)
        self._next = 0.0

    def sample(self, rate: int) -> None:
        """Take a rate in, at most every half second."""
        now = time.monotonic()
        if rate and now >= self._next:
            self._next = now + SAMPLE_SECONDS
            self._samples.append(rate)

    @property
    def line(self) -> str:
        """A sparkline, the newest rate last; the highest is a full block."""
        most = max(self._samples, default=1)
        return "".join(LEVELS[round(rate / most * (len(LEVELS) - 1))] for rate in self._samples)


@dataclass(frozen=True, slots=True)
class SeedPart:
    """A stick and what is on it, what is wrong first; in few columns the names give way, not what is said of them."""

    seed: SeedView

    def __rich_console__(self, _: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text  # noqa: PLC0415 - an optional extra

        seed = self.seed
        yield Text(show.seed_line(seed), "bold")
        if seed.error.message:
            yield Text(f"  {seed.error.message}", BAD)
        bundles = sorted(seed.bundles, key=lambda bundle: not bundle.verdict.startswith(ERROR_PREFIX))
        shown = bundles[:BUNDLES_MOST]
        for row, verdict, colour in show.offers(shown, options.max_width - 2):
            yield _text(f"  {row}{verdict}", STYLES[colour])
        if len(bundles) > len(shown):
            yield _text(f"  and {len(bundles) - len(shown)} more", FAINT)
        if seed.safe_to_remove and not seed.busy:
            yield _text("  ✓ it may be pulled out", GOOD)


def job_part(job: JobView, rates: str) -> Any:
    """A job: its bar, its phases, and what it does right now."""
    from rich.console import Group  # noqa: PLC0415 - an optional extra

    reached = PHASES.index(job.state) if job.state in PHASES else 0
    marks = "✓" * reached + "●" + "○" * len(PHASES)
    phases = "  ".join(f"{mark} {phase}" for mark, phase in zip(marks, PHASES, strict=False))
    if job.state in ("queued", "waiting"):
        phases = f"… {job.progress.message or job.state}"
    return Group(head(job), _text(f"  {phases}"), _text(f"  {show.details(job, rates)}", FAINT))


def _text(words: str, style: str = "") -> Any:
    from rich.text import Text  # noqa: PLC0415 - an optional extra

    return Text(words, style=style, no_wrap=True, overflow="ellipsis")
