"""Programs, run and measured."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tools.bench.costs import Cost
from tools.machine import CannotRun

JOIN_AND_RUN = 'echo $$ > "$0" && exec "$@"'
"""What a shell does to run a command within a control group; $0 is the group's list of processes."""


def measured(argv: Sequence[str], group: Path | None = None) -> tuple[Cost, str]:
    """Run a program to its end; its cost and what it wrote. CannotRun with its own words where it fails.

    `group` is the cgroup.procs of a control group to run it in. The peak is that of its largest process, and not less
    than that of this one, from which it was forked.
    """
    if group is not None:
        argv = ("sh", "-c", JOIN_AND_RUN, str(group), *argv)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end_group(process)
            raise
        wall_seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said = [_content(file.fileno()) for file in (out, err)]
    if process.returncode:
        raise CannotRun(f"{' '.join(argv)} ended with {process.returncode}: {' '.join(said).strip()}")
    return Cost(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024), said[0]


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a program and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _content(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")


def cost_so_far(pid: int, wall_seconds: float) -> Cost:
    """What a process that runs has cost since it started, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak_kib = int(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
    return Cost(wall_seconds, ticks / os.sysconf("SC_CLK_TCK"), peak_kib * 1024)
