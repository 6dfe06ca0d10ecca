"""The faults, as plans for a traced process: which call is struck, and by what. Each remembers what it has seen."""

import errno
import fcntl
import os
import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.torture.tracer import CHANGING, SYNCING, Call, Decision, Instead, Kill, Then

SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
"""FS_IOC_SHUTDOWN, as FS_IOC_SHUTDOWN of ext4 and XFS_IOC_GOINGDOWN."""
WITHOUT_LOG_FLUSH = 2
STDOUT = 1


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

    def strike(self, call: Call) -> Decision:
        if len(self.seen) != self.n:
            return None
        self.hit = (call.name, call.path)
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
class Flip(Nth):
    """One bit is another one; `where` in [0, 1) says which, of the bytes that count for files of these sizes."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    where: float = 0.0

    def counts(self, call: Call) -> bool:
        return Watching.counts(self, call) and self.length(call) > 0

    def length(self, call: Call) -> int:
        """How many bytes of the call are within the file of the bundle; direct I/O goes beyond it."""
        size = next((size for path, size in self.sizes.items() if call.path.endswith(f"/{path}")), 0)
        return min(call.buffer[1], size - call.offset) if size else 0

    def strike_now(self, call: Call) -> Decision:
        bit = int(self.length(call) * 8 * self.where)
        return self.flip(call, bit // 8, 1 << bit % 8)

    def flip(self, call: Call, at: int, mask: int) -> Decision:
        """Flip the bit `mask` of the byte `at` of the call."""
        raise NotImplementedError

    @staticmethod
    def flip_in_memory(call: Call, at: int, mask: int) -> None:
        address = call.buffer[0] + at
        call.change_memory(address, bytes([call.memory(address, 1)[0] ^ mask]))


@dataclass(slots=True)
class FlipRead(Flip):
    """One bit of what was read."""

    def flip(self, call: Call, at: int, mask: int) -> Decision:
        return Then(lambda _: self.flip_in_memory(call, at, mask))


@dataclass(slots=True)
class FlipInMemory(Flip):
    """One bit of what is about to be written, in the memory of the process, for good."""

    def flip(self, call: Call, at: int, mask: int) -> Decision:
        self.flip_in_memory(call, at, mask)
        return None


@dataclass(slots=True)
class FlipWrite(Flip):
    """One bit of what a call writes at an offset: something else arrives than is in memory."""

    def flip(self, call: Call, at: int, mask: int) -> Decision:
        data = bytearray(call.memory(*call.buffer))
        data[at] ^= mask
        with open(call.path, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), data, call.offset)
        return Instead(len(data))


@dataclass(slots=True)
class FlipOnDisk(Flip):
    """One bit of what was just written, where it lies on the disk: below the file system, whose image is `image`."""

    image: str = ""

    def flip(self, call: Call, at: int, mask: int) -> Decision:
        path, offset = call.path, call.offset + at
        return Then(lambda _: flip_below(path, offset, mask, self.image))


@dataclass(slots=True)
class FlipOnDiskOf(FlipOnDisk):
    """One bit of what was just written, where these very bytes were."""

    content: bytes = b""

    def length(self, call: Call) -> int:
        address, length = call.buffer
        return length if call.memory(address, length) == self.content else 0


def flip_below(path: str, offset: int, mask: int, image: str) -> None:
    """Flip bits of a byte of a file, in the image of its file system."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        place = physical(file.fileno(), offset)
    with open(image, "r+b") as disk:
        byte = os.pread(disk.fileno(), 1, place)[0]
        os.pwrite(disk.fileno(), bytes([byte ^ mask]), place)


def physical(descriptor: int, offset: int) -> int:
    """Where a byte of a file lies on its disk: FS_IOC_FIEMAP."""
    request = bytearray(struct.pack("=QQIIII", offset, 1, 0, 0, 1, 0) + bytes(56))
    fcntl.ioctl(descriptor, 0xC020660B, request)
    mapped, count = struct.unpack_from("=I", request, 20)[0], struct.unpack_from("=I", request, 24)[0]
    logical, place = struct.unpack_from("=QQ", request, 32)
    assert mapped == count == 1, "that byte lies nowhere"
    return int(place + offset - logical)


@dataclass(slots=True)
class Acknowledging:
    """Notes how much there was in a recorder's log when the process `said` on its output that a bundle is there.

    Where it `forgets_to_sync`, nothing is ever flushed: each fsync is said to have been done. That is the control.
    """

    log: str
    forgets_to_sync: bool = False
    said: bytes = b" is installed"
    moment: int = 0

    @property
    def calls(self) -> frozenset[str]:
        return SYNCING | {"write"} if self.forgets_to_sync else frozenset({"write"})

    def at(self, call: Call) -> Decision:
        if call.name in SYNCING:
            return Instead(0)
        if call.arguments[0] == STDOUT and self.said in call.memory(*call.buffer):
            self.moment = os.stat(self.log).st_size
        return None


def moments(rng: random.Random, total: int, amount: int) -> list[int]:
    """So many moments in 1 … total, each drawn by itself."""
    return [rng.randint(1, total) for _ in range(amount)]
