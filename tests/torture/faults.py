"""The faults, as plans for a traced process: which call is struck, and by what. Each remembers what it has seen."""

import errno
import fcntl
import os
import random
import struct
from dataclasses import dataclass, field

from tests.torture.tracer import CHANGING, SYNCING, WRITING, Call, Decision, Instead, Kill, Then

SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
"""FS_IOC_SHUTDOWN, as FS_IOC_SHUTDOWN of ext4 and XFS_IOC_GOINGDOWN."""
WITHOUT_LOG_FLUSH = 2


@dataclass(slots=True)
class Watching:
    """Counts the calls below a folder that change something, or those of `only`; `seen` is (name, path) of each."""

    below: str
    only: frozenset[str] = CHANGING
    seen: list[tuple[str, str]] = field(default_factory=list)

    @property
    def calls(self) -> frozenset[str]:
        return self.only

    def at(self, call: Call) -> Decision:
        if not self.counts(call):
            return None
        self.seen.append((call.name, call.path))
        return self.strike(call)

    def counts(self, call: Call) -> bool:
        """An openat only counts when it makes a file, unless opening is all that is looked at."""
        return (call.changes or call.name != "openat" or len(self.only) == 1) and call.path.startswith(self.below)

    def strike(self, call: Call) -> Decision:
        return None


@dataclass(slots=True)
class Nth(Watching):
    """Strikes once, at the `n`th of the calls that count, from 1; `hit` tells which that was."""

    n: int = 1
    hit: tuple[str, str] | None = None
    offset: int | None = None

    def strike(self, call: Call) -> Decision:
        if len(self.seen) != self.n:
            return None
        self.hit = (call.name, call.path)
        self.offset = call.offset
        return self.strike_now(call)

    def strike_now(self, call: Call) -> Decision:
        raise NotImplementedError


@dataclass(slots=True)
class KillAt(Nth):
    """SIGKILL, before the call or while it is made."""

    midway: bool = False

    def strike_now(self, call: Call) -> Decision:
        return Kill(self.midway)


@dataclass(slots=True)
class FailAt(Nth):
    """The call fails."""

    number: int = errno.EIO

    def strike_now(self, call: Call) -> Decision:
        return Instead(-self.number)


@dataclass(slots=True)
class PowerCut(Nth):
    """The file system of the store goes down, what it has not written is gone; then SIGKILL, unless it `lives_on`."""

    disk: str = ""
    lives_on: bool = False

    def strike_now(self, call: Call) -> Decision:
        descriptor = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        finally:
            os.close(descriptor)
        return None if self.lives_on else Kill()


@dataclass(slots=True)
class FillDisk(Nth):
    """Somebody else takes all the room that is left on the disk, by one file."""

    filler: str = ""

    def strike_now(self, call: Call) -> Decision:
        descriptor = os.open(self.filler, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        os.write(descriptor, b"x" * size)
                        os.fsync(descriptor)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        finally:
            os.close(descriptor)
        return None


@dataclass(slots=True)
class FlipRead(Nth):
    """One bit of what was read is another one; `where` in [0, 1) says which."""

    where: float = 0.0

    def strike_now(self, call: Call) -> Decision:
        def flip(result: int) -> None:
            if result > 0:
                _flip_in_memory(call, result, self.where)

        return Then(flip)


@dataclass(slots=True)
class FlipWrite(Nth):
    """One bit of what is about to be written is another one."""

    where: float = 0.0

    def strike_now(self, call: Call) -> Decision:
        _flip_in_memory(call, call.buffer[1], self.where)
        return None


def _flip_in_memory(call: Call, length: int, where: float) -> None:
    address, bit = call.buffer[0] + int(length * 8 * where) // 8, int(length * 8 * where) % 8
    call.change_memory(address, bytes([call.memory(address, 1)[0] ^ (1 << bit)]))


@dataclass(slots=True)
class WithoutSync:
    """Nothing is ever flushed: every fsync is said to have been done. The control of the crash states."""

    calls: frozenset[str] = SYNCING

    def at(self, call: Call) -> Decision:
        return Instead(0)


def moments(rng: random.Random, total: int, amount: int) -> list[int]:
    """So many moments in 1 … total, each drawn by itself."""
    return [rng.randint(1, total) for _ in range(amount)]


ALL_WRITES = WRITING - {"copy_file_range"}
