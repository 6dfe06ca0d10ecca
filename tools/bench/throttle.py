"""A slow stick: a control group whose processes read from one device at a limited rate.

With cgroup v1 that is blkio.throttle.read_bps_device, with v2 io.max; a machine has the one or the other.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools.machine import CannotRun

V1 = Path("/sys/fs/cgroup/blkio")
V2 = Path("/sys/fs/cgroup")


@contextmanager
def throttled(node: str, bytes_per_second: int) -> Iterator[Path]:
    """The cgroup.procs of a group that reads from a block device no faster; CannotRun where no such group can be."""
    number = os.stat(node).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    if (V1 / "blkio.throttle.read_bps_device").exists():
        home, limit, line = V1, "blkio.throttle.read_bps_device", f"{device} {bytes_per_second}"
    elif (V2 / "cgroup.controllers").exists() and "io" in (V2 / "cgroup.controllers").read_text().split():
        home, limit, line = V2, "io.max", f"{device} rbps={bytes_per_second}"
    else:
        raise CannotRun("no control group can slow a device down here: neither blkio (v1) nor io (v2) is mounted")
    group = home / f"dubseedd-bench-{os.getpid()}"
    try:
        _make(group, home, limit, line)
        yield group / "cgroup.procs"
    finally:
        _remove(group, home)


def _make(group: Path, home: Path, limit: str, line: str) -> None:
    try:
        if home is V2:
            (home / "cgroup.subtree_control").write_text("+io")
        group.mkdir(exist_ok=True)
        (group / limit).write_text(line)
    except OSError as error:
        raise CannotRun(f"the control group {group} cannot be made: {error.strerror}") from error


def _remove(group: Path, home: Path) -> None:
    with suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            (home / "cgroup.procs").write_text(pid)
    with suppress(OSError):
        group.rmdir()
