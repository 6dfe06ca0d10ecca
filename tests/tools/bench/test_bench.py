"""The benchmark itself, on real images, as small as it can be."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import Machine
from tests.support.sticks import LABEL
from tools.bench.parts import PARTS
from tools.bench.throttle import V1, V2

ROOT = Path(__file__).parents[3]


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The benchmark with a few MiB and a label of its own."""
    own = ("--size", "4MiB", "--small", "20", "--runs", "1", "--label", LABEL, "--output", str(folder / "out"))
    return subprocess.Popen(
        [sys.executable, "-m", "tools.bench", *own, *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(folder: Path) -> list[str]:
    """Images, mounts, loop devices and control groups that are still there."""
    attached = subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mountinfo").read_text()
    groups = [str(group) for home in (V1, V2) for group in home.glob("dubseedd-bench-*")]
    images = [str(path) for path in folder.glob("dubseedd-bench-*")]
    return [line for line in (attached + mounts).splitlines() if str(folder) in line] + images + groups


def test_the_parts_find_what_they_are_for_and_leave_nothing(machine: Machine, tmp_path: Path) -> None:
    if not any(path.exists() for path in (V1 / "blkio.throttle.read_bps_device", V2 / "cgroup.controllers")):
        pytest.skip("no control group can slow a device down here")
    names = [name for name in PARTS if name != "growth"]  # the same as small and throughput, many times over
    process = start(tmp_path, "--only", ",".join(names))
    out, err = process.communicate()
    assert process.returncode == 0, err
    parts = json.loads((tmp_path / "out" / "benchmark.json").read_text())["parts"]
    assert list(parts) == names
    assert all(part["findings"] for part in parts.values())
    assert "dubseedctl: time to that of runbook" in out
    assert left_behind(tmp_path) == []


def test_an_interruption_puts_everything_back(machine: Machine, tmp_path: Path) -> None:
    process = start(tmp_path, "--only", "throttled", "--size", "64MiB", "--runs", "50")
    assert process.stderr is not None
    assert "round 1" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "make bench: interrupted; everything is put back"
    assert left_behind(tmp_path) == []
