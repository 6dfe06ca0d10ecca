"""What is kept of a benchmark: figures as JSON and the chart, both without a word on where they were measured."""

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tools.bench.candidates import COPY, RUNBOOK, SYNC
from tools.bench.chart import Panel, Series, chart
from tools.bench.costs import Round
from tools.bench.targets import Finding

SCHEMA_VERSION = 1
FIGURES = "benchmark.json"
CHART = "growth.svg"
LEGEND = {
    SYNC: "dubseedctl sync",
    RUNBOOK: "runbook: rsync, sha256sum -c",
    COPY: "cp -a, nothing verified",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """How wall time grows with one magnitude, candidate by candidate: (magnitude, median seconds)."""

    magnitude: str
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class Part:
    """What one part has measured. `settings` says with how much of what; `notes` what was left out, and why."""

    name: str
    settings: dict[str, Any]
    findings: Sequence[Finding]
    rounds: Sequence[Round] = ()
    curves: Sequence[Curve] = ()
    notes: Sequence[str] = ()

    def as_record(self) -> dict[str, Any]:
        return {
            "settings": self.settings,
            "findings": [_finding(finding) for finding in self.findings],
            "rounds": [{name: asdict(cost) for name, cost in each.items()} for each in self.rounds],
            "curves": {
                curve.magnitude: {series.name: [list(point) for point in series.points] for series in curve.series}
                for curve in self.curves
            },
            "notes": list(self.notes),
        }


def _finding(finding: Finding) -> dict[str, Any]:
    record: dict[str, Any] = {"what": finding.what, "value": finding.value, "unit": finding.unit}
    if finding.target is not None:
        record |= {"limit": finding.target.limit, "sense": finding.target.sense.value, "met": finding.is_met}
    return record


def machine(*, direct_io: bool) -> dict[str, Any]:
    """The machine as far as it matters to the figures."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    kernel = re.match(r"[\d.]+", platform.release())
    how = "direct" if direct_io else "through the page cache"
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": int(memory[1]) * 1024 if memory else 0,
        "kernel": f"{platform.system()} {kernel[0].rstrip('.') if kernel else ''}",
        "seed_and_store": f"ext4 on loop devices, {how}, on one disk",
        "python": platform.python_version(),
    }


def keep(folder: Path, where: dict[str, Any], parts: Sequence[Part]) -> None:
    """Write figures and chart. Parts that were not measured now are kept where they come from the same machine."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / FIGURES
    former = json.loads(figures.read_text()) if figures.exists() else {}
    same = former.get("machine") == where and former.get("schemaVersion") == SCHEMA_VERSION
    kept = former["parts"] if same else {}
    kept |= {part.name: part.as_record() for part in parts}
    document = {"schemaVersion": SCHEMA_VERSION, "machine": where, "parts": kept}
    figures.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    for part in parts:
        if panels := [_panel(curve) for curve in part.curves]:
            (folder / CHART).write_text(chart(panels))


def _panel(curve: Curve) -> Panel:
    series = [replace(series, name=LEGEND[series.name]) for series in curve.series]
    if curve.magnitude == "bytes":
        return Panel("Time against the size of a bundle", "all files together", "seconds", series, _size)
    return Panel("Time against the number of files", "files of 4 KiB each", "seconds", series, "{:,.0f}".format)


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:g} MiB" if size_bytes < 2**30 else f"{size_bytes / 2**30:g} GiB"
