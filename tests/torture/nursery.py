"""Where dubseedctl processes are born by the hundred: one process that has imported everything forks each of them.

    with Nursery(folder) as nursery:
        ended = nursery.run("sync", "--from", ..., plan=KillAt(17))

What is forked runs `dubseedctl`'s own main, and is really killed. The nursery is a process of its own, for it is one
thread that has to trace.
"""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, Self, TypeVar

from tests.torture import tracer
from tests.torture.tracer import Plan

ROOT = Path(__file__).resolve().parents[2]
MAIN = "import sys; from tests.torture import nursery; nursery.serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
P = TypeVar("P", bound=Plan | None)


@dataclass(frozen=True, slots=True)
class Ended(Generic[P]):
    """How a process ended: its exit status, -9 where it was killed; what it said; its plan, with what that has seen.

    What it left open and its peak of resident memory are known where it was not killed.
    """

    status: int
    output: str
    errors: str
    seconds: float
    leaked: tuple[str, ...]
    peak_bytes: int
    plan: P

    @classmethod
    def by_power_cut(cls) -> "Ended[None]":
        """Nobody knows how it ended."""
        return Ended(-9, "", "", 0.0, (), 0, None)

    @property
    def killed(self) -> bool:
        return self.status < 0

    def acknowledged(self, name: str) -> bool:
        """Has it said that the bundle is installed?"""
        said = (f"{name} is installed", f"{name} is current", f"{name} is adopted")
        return self.status == 0 or any(line.startswith(said) for line in self.output.splitlines())


class Nursery:
    """The caller's end. `folder` takes what the processes say."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = os.pipe(), os.pipe()
        argv = (sys.executable, "-c", MAIN, str(ours[0]), str(theirs[1]), str(folder))
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=(ours[0], theirs[1]))
        os.close(ours[0])
        os.close(theirs[1])
        self._requests = Connection(ours[1], readable=False)
        self._answers = Connection(theirs[0], writable=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._answers.close()
        self._process.wait(10)

    def run(self, *argv: str, plan: P = None) -> Ended[P]:  # type: ignore[assignment]
        """Run dubseedctl with these arguments, under a plan; returns when it has ended."""
        self._requests.send((argv, plan))
        answer: Ended[P] | Exception = self._answers.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def serve(requests_fd: int, answers_fd: int, folder: str) -> None:
    """The other end: one process after another, until nobody asks."""
    import dubseedd.cli.main  # noqa: PLC0415 - once, for all that are forked
    import dubseedd.cli.offline  # noqa: F401, PLC0415

    _shrink()
    requests, answers = Connection(requests_fd, writable=False), Connection(answers_fd, readable=False)
    while True:
        try:
            argv, plan = requests.recv()
        except EOFError:
            return
        try:
            answers.send(_run(argv, plan, Path(folder)))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            answers.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _shrink() -> None:
    """Let a file of 5 MiB go all the ways of one of many GiB: more blocks than a ring has, marks, a trail behind it."""
    from dubseedd.engine import copying, pump, second_look, shards, trailing, writing  # noqa: PLC0415

    for module in (copying, pump, shards, writing):
        module.BLOCK_BYTES = 256 << 10
    for module in (copying, second_look):
        module.MARK_BYTES = 1 << 20
    trailing.SYNC_SECONDS = 0.0


def _run(argv: tuple[str, ...], plan: Plan | None, folder: Path) -> Ended[Plan | None]:
    files = output, errors, remains = folder / "output", folder / "errors", folder / "remains"
    for file in files:
        file.write_bytes(b"")
    ready, go = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _be_born(argv, plan, (ready, go), files)
    os.close(ready)
    if plan is not None:
        tracer.seize(pid)
    os.write(go, b"!")
    os.close(go)
    status = tracer.trace(pid, plan) if plan is not None else os.waitpid(pid, 0)[1]
    peak, *leaked = remains.read_text().splitlines() or ["0"]
    return Ended(
        os.waitstatus_to_exitcode(status),
        output.read_text(),
        errors.read_text(),
        time.monotonic() - began,
        tuple(leaked),
        int(peak) << 10,
        plan,
    )


def _be_born(argv: tuple[str, ...], plan: Plan | None, gate: tuple[int, int], files: tuple[Path, Path, Path]) -> None:
    """In the child: wait until it is traced, then be dubseedctl; never returns."""
    status = 70
    try:
        from dubseedd.cli.main import main  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.setsid()
        for target, file in enumerate((Path(os.devnull), *files[:2])):
            descriptor = os.open(file, os.O_RDWR | os.O_APPEND)
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.read(gate[0], 1)
        os.closerange(3, 256)
        before = _descriptors()
        if plan is not None:
            tracer.stop_at(plan.calls)
        status = main(list(argv))
        sys.stdout.flush()
        sys.stderr.flush()
        leaked = sorted(_descriptors() - before)
        peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
        files[2].write_text("\n".join([peak, *leaked]))
    finally:
        os._exit(status)


def _descriptors() -> set[str]:
    """What is open, but for the folder that is read to find out."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue
    return found
