"""What dubseedctl shows to a person: functions from views to text, of which `left` alone looks at the clock."""

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from dubseedd.cli import advice
from dubseedd.cli.views import BundleView, JobView, Offered, SeedView, State
from dubseedd.core.serving import Server
from dubseedd.names import ERROR_PREFIX

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
MICROSECONDS = 1_000_000
UUID_CHARACTERS = 9
"""As much of a seed's UUID as FAT has: enough to tell sticks apart, and a table stays narrow."""
SHORTEST_NAME = 12
ENDED_JOBS_MOST = 6
"""More jobs that have ended are counted."""
JOB_BUNDLE = 2
"""Where a row of jobs has the name of the bundle, which gives way."""
WELL = frozenset({"idle", "current"})
USUAL = frozenset({"working", "waiting", "new", "update", "staged", "foreign", ""})
"""States of the daemon and verdicts on bundles; whatever else there is, somebody has to look at."""

V = TypeVar("V")
Paint: TypeAlias = Callable[[str, "Colour | None"], str]
"""Gives words a colour, where there is one, or leaves them as they are."""


class Colour(StrEnum):
    """What a colour says, as a terminal takes it (ECMA-48, select graphic rendition)."""

    STRONG = "1"
    BAD = "31"
    GOOD = "32"


def in_colour(words: str, colour: Colour | None) -> str:
    """Words for a terminal."""
    return f"\033[{colour}m{words}\033[0m" if colour else words


def as_it_is(words: str, _: Colour | None) -> str:
    """Words for anything else."""
    return words


# Values


def size(count: int) -> str:
    """Bytes for a person: three digits and a binary unit."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{count} B" if unit == 0 else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {UNITS[unit]}"


def day(microseconds: int) -> str:
    """A time as a local date; `never` for 0."""
    if not microseconds:
        return "never"
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).astimezone().strftime("%Y-%m-%d")


def moment(microseconds: int) -> str:
    """A time as local date and time."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: int) -> str:
    """m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def left(end: int) -> str:
    """The time left until an expected end; empty while nothing can be said."""
    seconds = round(end / MICROSECONDS - time.time()) if end else -1
    return duration(seconds) if seconds >= 0 else ""


def amount(job: JobView) -> str:
    """How much of a job is done; empty while nobody knows how much there is to do."""
    parts = []
    if job.bytes_total:
        parts.append(f"{size(job.bytes_done)} of {size(job.bytes_total)}")
    if job.bytes_skipped:
        parts.append(f"{size(job.bytes_skipped)} were there already")
    return ", ".join(parts)


def printable(value: V) -> V:
    """A view or a text with whatever could speak to a terminal escaped, at any depth: names come from sticks."""
    found: Any = value
    if isinstance(value, str):
        found = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
    elif isinstance(value, tuple):
        items = [printable(item) for item in value]
        found = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    elif hasattr(value, "__dataclass_fields__"):
        view: Any = value
        found = replace(view, **{field.name: printable(getattr(view, field.name)) for field in fields(view)})
    return found  # type: ignore[no-any-return]  # what came in, in the same shape


# Pages


def columns(rows: Sequence[Sequence[str]], width: int | None = None, *, gives_way: int = 0) -> str:
    """Rows as aligned columns, the last one ragged; one of them gives way where `width` characters do not do."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    if width is not None:
        others = sum(widths) - widths[gives_way] + 2 * (len(widths) - 1)
        widths[gives_way] = min(widths[gives_way], max(SHORTEST_NAME, width - others))
    lines = ("  ".join(_cut(cell, room).ljust(room) for cell, room in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def bundles(found: Sequence[BundleView], width: int | None = None) -> str:
    """The store as a table."""
    if not found:
        return "The store is empty."
    rows = [
        (one.name, one.state, size(one.size), day(one.verified_at) if one.installed_at else "-", _origin(one))
        for one in printable(tuple(found))
    ]
    return columns([("NAME", "STATE", "SIZE", "VERIFIED", "FROM"), *rows], width)


def _origin(bundle: BundleView) -> str:
    return _cut(bundle.seed_uuid, UUID_CHARACTERS) or "-"


def wrapped(text: str, width: int | None, hanging: str = "  ") -> str:
    """A sentence in lines of `width`, all but the first indented; words stay whole, for they may be commands."""
    if width is None:
        return text
    return textwrap.fill(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def events(found: Sequence[Mapping[str, Any]], width: int | None = None) -> str:
    """Events of the history, from the moment of each on one line; a reason is never cut short."""
    lines = [f"{moment(event['time'])}  {printable(str(event['message']))}" for event in found]
    return "\n".join(wrapped(line, width, " " * (len(moment(0)) + 2)) for line in lines)


def status(state: State, server: Server | None = None, width: int | None = None, *, paint: Paint = as_it_is) -> str:
    """Everything on one page, what to do next at its end."""
    state, server = printable(state), printable(server)
    inner = width - 2 if width is not None else None
    manager = state.manager
    word = paint(manager.state, colour_of(manager.state))
    parts = [
        wrapped(f"dubseedd {manager.version} ({word}): {manager.status}", width),
        wrapped(f"Store: {manager.store} (trust: {manager.trust})", width),
    ]
    parts += [_seed(seed, manager.status, width, paint) for seed in state.seeds]
    if state.jobs:
        parts.append("Jobs:\n" + _indented(_jobs(state.jobs, manager.status, inner)))
    if state.bundles:
        parts.append("Bundles:\n" + _indented(bundles(state.bundles, inner)))
    if server is not None:
        parts.append(wrapped(_server(server, state), width))
    step = f"{paint('Next:', Colour.STRONG)} {advice.next_step(state, server)}"
    return "\n\n".join([*parts, step])  # it may end in a command, which is copied in one piece from one line only


def colour_of(word: str) -> Colour | None:
    """What a state or a verdict is: good, bad, or neither."""
    return Colour.GOOD if word in WELL else None if word in USUAL else Colour.BAD


def _server(server: Server, state: State) -> str:
    """What the model server is about, in one line."""
    head = f"Server {server.unit} ({'running' if server.active else 'not running'})"
    if not server.model:
        return f"{head}: its command line names no model"
    if not server.bundle:
        return f"{head}: its model {server.model} is no path in {state.manager.store}"
    known = {bundle.name: bundle.state for bundle in state.bundles}
    return f"{head}: serves {server.bundle} ({known.get(server.bundle, 'not there')})"


def seed_line(seed: SeedView) -> str:
    """A stick in one line."""
    drive = f", {seed.drive}" if seed.drive else ""
    where = f", mounted at {seed.mount_point}" if seed.mount_point else ""
    return f"Seed {seed.label} on {seed.device} ({seed.filesystem}, {size(seed.size)}{drive}): {seed.state}{where}"


def offers(found: Sequence[Offered], width: int | None) -> list[tuple[str, str, Colour | None]]:
    """A row for each bundle on a stick, with the verdict by itself: name and size, verdict, its colour."""
    verdicts = [_verdict(one.verdict) for one in found]
    cells = [(one.name, size(one.size) if one.size else "-", word) for one, word in zip(found, verdicts, strict=True)]
    table = columns(cells, width).splitlines() if cells else []
    return [
        (row.removesuffix(word), word, colour_of(one.verdict))
        for row, word, one in zip(table, verdicts, found, strict=True)
    ]


def _verdict(verdict: str) -> str:
    reason = verdict.removeprefix(ERROR_PREFIX)
    return verdict if reason == verdict else f"refused: {reason}"


def _seed(seed: SeedView, told: str, width: int | None, paint: Paint) -> str:
    found = offers(seed.bundles, width - 2 if width is not None else None)
    rows = [row + paint(word, colour) for row, word, colour in found]
    lines = [wrapped(seed_line(seed), width)]
    if seed.error[1] and seed.error[1] not in told:
        lines.append(wrapped(f"  {paint(seed.error[1], Colour.BAD)}", width))
    return "\n".join([*lines, *(f"  {row}" for row in rows)])


def _jobs(jobs: Sequence[JobView], told: str, width: int | None) -> str:
    """Jobs as a table, the sentence of an error below its row unless it has been `told` above."""
    former = [job for job in jobs if job.ended and job.state != "interrupted"][:-ENDED_JOBS_MOST]
    shown = [job for job in jobs if job not in former]
    table = columns([_job_row(job) for job in shown], width, gives_way=JOB_BUNDLE).splitlines()
    lines = [f"{len(former)} that ended before: dubseedctl history"] if former else []
    for row, job in zip(table, shown, strict=True):
        lines.append(_cut(row, width or len(row)))
        if job.error[1] and job.error[1] not in told:
            lines.append(wrapped(f"  {job.error[1]}", width))
    return "\n".join(lines)


def _job_row(job: JobView) -> tuple[str, ...]:
    what = job.error[0].removeprefix(ERROR_PREFIX) or amount(job)
    return (str(job.id), job.kind, job.bundle, job.state, f"{job.progress[0]} %", what)


# Lines


def line(job: JobView) -> str:
    """One line on a job, for output that is no terminal."""
    job = printable(job)
    if job.error[1].startswith(job.state):
        return f"{job.bundle}: {job.error[1]}"
    if job.error[1]:
        return f"{job.bundle}: {job.state}: {job.error[1]}"
    parts = [f"{job.bundle}: {job.state}", amount(job)]
    if job.bytes_total and not job.ended:
        rate = f"{size(job.rate)}/s" if job.rate else ""
        parts[1:] = [f"{job.progress[0]} %", amount(job), rate]
    return ", ".join(part for part in parts if part)


def details(job: JobView, rates: str = "") -> str:
    """How far a job is right now, with a line of its rates; the file last: that gives way where there is no room."""
    rate = f"{size(job.rate)}/s {rates}".rstrip() if job.rate else ""
    return ", ".join(part for part in (amount(job), rate, job.current_file) if part)


def _indented(text: str) -> str:
    return "\n".join(f"  {row}" for row in text.splitlines())
