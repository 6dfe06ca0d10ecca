"""What dubseedctl shows to a person: functions from views to text."""

from collections.abc import Mapping, Sequence
from typing import Any

from dubseedd.cli import advice
from dubseedd.cli.text import Colour, Paint, as_it_is, columns, cut, day, moment, printable, size, wrapped
from dubseedd.cli.views import BundleView, JobView, Offered, SeedView, State
from dubseedd.core.serving import Server
from dubseedd.names import ERROR_PREFIX

UUID_CHARACTERS = 9
"""As much of a seed's UUID as FAT has: enough to tell sticks apart, and a table stays narrow."""
ENDED_JOBS_MOST = 6
"""More jobs that have ended are counted."""
JOB_BUNDLE = 2
"""Where a row of jobs has the name of the bundle, which gives way."""
WELL = frozenset({"idle", "current"})
USUAL = frozenset({"working", "waiting", "new", "update", "staged", "foreign", ""})
"""States of the daemon and verdicts on bundles; whatever else there is, somebody has to look at."""


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
    return cut(bundle.seed_uuid, UUID_CHARACTERS) or "-"


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
        lines.append(cut(row, width or len(row)))
        if job.error[1] and job.error[1] not in told:
            lines.append(wrapped(f"  {job.error[1]}", width))
    return "\n".join(lines)


def _job_row(job: JobView) -> tuple[str, ...]:
    what = job.error[0].removeprefix(ERROR_PREFIX) or amount(job)
    return (str(job.id), job.kind, job.bundle, job.state, f"{job.progress[0]} %", what)


def amount(job: JobView) -> str:
    """How much of a job is done; empty while nobody knows how much there is to do."""
    parts = []
    if job.bytes_total:
        parts.append(f"{size(job.bytes_done)} of {size(job.bytes_total)}")
    if job.bytes_skipped:
        parts.append(f"{size(job.bytes_skipped)} were there already")
    return ", ".join(parts)


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
