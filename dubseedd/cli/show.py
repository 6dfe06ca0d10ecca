"""What dubseedctl prints: pure functions from views to text and to JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dubseedd.names import ERROR_PREFIX

if TYPE_CHECKING:
    from dubseedd.cli.client import BundleView, JobView, SeedView, State

SCHEMA_VERSION = 1
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
MICROSECONDS = 1_000_000


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
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, the last one ragged."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def bundles(found: "Sequence[BundleView]") -> str:
    """The store as a table."""
    if not found:
        return "The store is empty."
    head = ("NAME", "STATE", "SIZE", "FILES", "FORMAT", "VERIFIED")
    rows = [
        (
            one.name,
            one.state,
            size(one.size),
            str(one.files),
            one.format,
            day(one.verified_at) if one.installed_at else "-",
        )
        for one in found
    ]
    return columns([head, *rows])


def status(state: "State") -> str:
    """Everything on one page, what to do next at its end."""
    manager = state.manager
    parts = [
        f"dubseedd {manager.version}: {manager.state}. {manager.status}",
        f"Store: {manager.store} ({manager.trust})",
    ]
    parts += [_seed(seed) for seed in state.seeds]
    if state.jobs:
        parts.append("Jobs:\n" + _indented(columns([_job_row(job) for job in state.jobs])))
    if state.bundles:
        parts.append("Bundles:\n" + _indented(bundles(state.bundles)))
    return "\n\n".join([*parts, f"Next: {next_step(state)}"])


def _seed(seed: "SeedView") -> str:
    drive = f", {seed.drive}" if seed.drive else ""
    where = f", mounted at {seed.mount_point}" if seed.mount_point else ""
    head = f"Seed {seed.label} on {seed.device} ({seed.filesystem}, {size(seed.size)}{drive}): {seed.state}{where}"
    lines = [(name, size(length), verdict.removeprefix(ERROR_PREFIX)) for name, length, _, verdict in seed.bundles]
    error = f"\n  {seed.error[1]}" if seed.error[1] else ""
    return head + error + ("\n" + _indented(columns(lines)) if lines else "")


def _job_row(job: "JobView") -> tuple[str, ...]:
    return (str(job.id), job.kind, job.bundle, job.state, f"{job.progress[0]} %", job.error[1] or amount(job))


def amount(job: "JobView") -> str:
    """How much of a job is done."""
    skipped = f", {size(job.bytes_skipped)} were there already" if job.bytes_skipped else ""
    return f"{size(job.bytes_done)} of {size(job.bytes_total)}{skipped}"


def next_step(state: "State") -> str:
    """What a person should do now."""
    if any(job.state == "interrupted" for job in state.jobs):
        return "plug the stick in again; the job goes on by itself"
    if any(not job.ended for job in state.jobs):
        return "wait; dubseedctl watch shows how it goes on"
    mounted = [seed for seed in state.seeds if seed.mount_point]
    if mounted:
        return f"unmount {mounted[0].mount_point} before you pull the stick: umount {mounted[0].mount_point}"
    refused = [name for seed in state.seeds for name, _, _, verdict in seed.bundles if verdict.startswith(ERROR_PREFIX)]
    if refused or any(seed.error[0] for seed in state.seeds):
        return "look at what was refused: journalctl -u dubseedd -p warning"
    if state.seeds:
        return "nothing to do; you may pull the stick"
    return "nothing to do" if state.bundles else "plug in a stick with model bundles"


def line(job: "JobView") -> str:
    """One line on a job, for output that is no terminal."""
    if job.ended:
        return f"{job.bundle}: {job.state}" + (f": {job.error[1]}" if job.error[1] else f", {amount(job)}")
    rate = f", {size(job.rate)}/s" if job.rate else ""
    return f"{job.bundle}: {job.state}, {job.progress[0]} %, {amount(job)}{rate}"


def document(command: str, **content: Any) -> str:
    """JSON for programs: schema version, command, content with camelCase keys."""
    return json.dumps({"schemaVersion": SCHEMA_VERSION, "command": f"seed {command}", **_camel(content)}, indent=2)


def plain(view: Any) -> dict[str, Any]:
    """A view as a JSON object."""
    return asdict(view)


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list | tuple) else value


def _key(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _indented(text: str) -> str:
    return "\n".join(f"  {row}" for row in text.splitlines())
