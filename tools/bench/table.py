"""Findings as text."""

from collections.abc import Callable, Mapping, Sequence

from tools.bench.targets import Finding

GIB = 1 << 30
MIB = 1 << 20

UNITS: Mapping[str, Callable[[float], str]] = {
    "ratio": lambda value: f"{value:.3f}",
    "seconds": lambda value: f"{value:.2f} s" if value < 100 else f"{value:.0f} s",
    "seconds per GiB": lambda value: f"{value:.2f} s/GiB",
    "bytes": lambda value: f"{value / MIB:.1f} MiB" if value < GIB else f"{value / GIB:.2f} GiB",
    "bytes per second": lambda value: f"{value / 1e6:.0f} MB/s",
}


def shown(value: float, unit: str) -> str:
    """A figure for a person; KeyError for a unit that is not known."""
    return UNITS[unit](value)


def table(heading: str, findings: Sequence[Finding]) -> str:
    """A heading and a line for each finding: what, measured, aimed at, met or not."""
    rows = [
        (
            finding.what,
            shown(finding.value, finding.unit),
            f"{finding.target.sense.value} {shown(finding.target.limit, finding.unit)}" if finding.target else "",
            finding.verdict,
        )
        for finding in findings
    ]
    rows = [(heading, "median", "target", ""), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{what:{widths[0]}}  {value:>{widths[1]}}  {target:>{widths[2]}}  {verdict}".rstrip()
        for what, value, target, verdict in rows
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])
