"""A process that is stopped at its system calls, so that a fault comes at an exact place: ptrace and seccomp.

    child    is seized, then sets a seccomp filter: it stops at the chosen calls and runs freely in between
    tracer   asks the plan at every stop: let it go, fail it, end the process, look at what came of it

It is x86-64 only: elsewhere registers have other names. One thread traces, and only processes that it forked.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

NUMBERS = {
    "read": 0, "write": 1, "ioctl": 16, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "fsync": 74,
    "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "unlink": 87,
    "sync": 162, "getdents64": 217, "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "fchmod": 91, "fchmodat": 268, "sync_file_range": 277, "utimensat": 280, "fallocate": 285,
    "preadv": 295, "pwritev": 296, "syncfs": 306, "renameat2": 316, "copy_file_range": 326, "preadv2": 327,
    "pwritev2": 328,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}

SYNCING = frozenset({"fsync", "fdatasync", "sync", "syncfs", "sync_file_range"})
RENAMING = frozenset({"rename", "renameat", "renameat2"})
WRITING = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2", "copy_file_range"})
READING = frozenset({"read", "readv", "pread64", "preadv", "preadv2", "getdents64", "copy_file_range"})
MAKING = frozenset({"openat", "creat", "mkdir", "mkdirat", "linkat", "symlinkat", "fallocate"})
REMOVING = frozenset({"unlink", "unlinkat", "rmdir", "truncate", "ftruncate"})
MARKING = frozenset({"fchmod", "fchmodat", "utimensat", "ioctl"})
CHANGING = SYNCING | RENAMING | WRITING | MAKING | REMOVING | MARKING
"""The calls that change something on a disk; of openat those with O_CREAT."""

_VECTORS = frozenset({"readv", "writev", "preadv", "preadv2", "pwritev", "pwritev2"})
_AT = frozenset({"openat", "mkdirat", "unlinkat", "renameat", "renameat2", "fchmodat", "utimensat"})
_BY_PATH = frozenset({"rename", "mkdir", "rmdir", "creat", "unlink", "truncate"})

_SEIZE, _CONT, _SYSCALL, _GETREGS, _SETREGS = 0x4206, 7, 24, 12, 13
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x80 | 0x100000  # TRACESYSGOOD, FORK, VFORK, CLONE, SECCOMP, EXITKILL
_EVENT_SECCOMP, _AFTER_CALL, _WALL = 7, signal.SIGTRAP | 0x80, 0x40000000
_RAX, _ORIG_RAX, _ARGUMENTS = 10, 15, (14, 13, 12, 7, 9, 8)
_AT_FDCWD = 0xFFFFFF9C

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Registers(ctypes.Structure):
    """struct user_regs_struct."""

    _fields_ = [("all", ctypes.c_ulonglong * 27)]


def is_possible() -> bool:
    return platform.machine() == "x86_64"


@dataclass(frozen=True, slots=True)
class Instead:
    """The call is not made; the process sees this result: 0, or a negative errno."""

    result: int


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL: before the call is made, or `midway`, while it is."""

    midway: bool = False


@dataclass(frozen=True, slots=True)
class Then:
    """The call is made, then its result is looked at while its thread stands still."""

    look: Callable[[int], None]


Decision = Instead | Kill | Then | None


@dataclass(slots=True)
class Call:
    """A system call about to be made by thread `tid` of process `pid`."""

    pid: int
    tid: int
    name: str
    arguments: tuple[int, ...]
    _path: str | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """What it is about: the file of a descriptor, or folder and name; of a rename the source."""
        if self._path is None:
            self._path = self._find_path()
        return self._path

    def _find_path(self) -> str:
        if self.name in _BY_PATH:
            return self._text(self.arguments[0])
        place = self._of_descriptor(self.arguments[0] & 0xFFFFFFFF)
        if self.name not in _AT or not self.arguments[1]:
            return place
        return os.path.join(place, self._text(self.arguments[1]))

    def _of_descriptor(self, descriptor: int) -> str:
        link = "cwd" if descriptor == _AT_FDCWD else f"fd/{descriptor}"
        try:
            return os.readlink(f"/proc/{self.tid}/{link}")
        except OSError:
            return ""

    def _text(self, address: int) -> str:
        data = b""
        while b"\0" not in data:
            data += self.memory(address + len(data), 256 - (address + len(data)) % 256)
        return os.fsdecode(data.split(b"\0", 1)[0])

    def memory(self, address: int, length: int) -> bytes:
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), length, address)

    def change_memory(self, address: int, data: bytes) -> None:
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), data, address)

    @property
    def buffer(self) -> tuple[int, int]:
        """(address, length) of the memory that a read or write is about, the first piece of a vector."""
        address, length = self.arguments[1:3]
        if self.name in _VECTORS:
            address, length = struct.unpack("QQ", self.memory(address, 16))
        return address, length

    @property
    def offset(self) -> int:
        """Where in the file it reads or writes."""
        if self.name.startswith("p"):
            return self.arguments[3]
        with open(f"/proc/{self.tid}/fdinfo/{self.arguments[0]}", encoding="ascii") as info:
            return int(info.readline().removeprefix("pos:"))

    @property
    def changes(self) -> bool:
        """Does it change anything? An openat does with O_CREAT only."""
        return self.name in CHANGING and (self.name != "openat" or bool(self.arguments[2] & os.O_CREAT))


class Plan(Protocol):
    """What is to happen at the stops; `calls` are the names that a process is stopped at."""

    calls: frozenset[str]

    def at(self, call: Call) -> Decision: ...


def stop_at(calls: Iterable[str]) -> None:
    """Let this process stop at these calls from now on; for the child, which is traced already."""
    numbers = [NUMBERS[name] for name in calls]
    program = [(0x20, 0, 0, 0)]
    program += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x7FF00000)]  # ALLOW, TRACE
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    prog = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    if _libc.prctl(22, 2, ctypes.c_char_p(prog), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "seccomp")


def seize(pid: int) -> None:
    _ptrace(_SEIZE, pid, data=_OPTIONS)


def trace(pid: int, plan: Plan) -> int:
    """See a seized process to its end under a plan; its wait status."""
    looks: dict[int, Callable[[int], None]] = {}
    while True:
        tid, status = os.waitpid(-1, _WALL)
        if not os.WIFSTOPPED(status):
            if tid == pid:
                return status
            continue
        with suppress(ProcessLookupError):  # killed while it stood
            _attend(pid, tid, status, plan, looks)


def _attend(pid: int, tid: int, status: int, plan: Plan, looks: dict[int, Callable[[int], None]]) -> None:
    """Deal with one stop and let the thread go on."""
    number, event = os.WSTOPSIG(status), status >> 16
    if event == _EVENT_SECCOMP:
        _decide(pid, tid, plan, looks)
    elif number == _AFTER_CALL:
        if look := looks.pop(tid, None):
            look(ctypes.c_longlong(_registers(tid).all[_RAX]).value)
        _ptrace(_CONT, tid)
    else:
        _ptrace(_CONT, tid, data=0 if event else number)


def _decide(pid: int, tid: int, plan: Plan, looks: dict[int, Callable[[int], None]]) -> None:
    registers = _registers(tid)
    name = NAMES[registers.all[_ORIG_RAX]]
    decision = plan.at(Call(pid, tid, name, tuple(registers.all[at] for at in _ARGUMENTS)))
    match decision:
        case Kill(midway=midway):
            if midway:
                _ptrace(_CONT, tid)
            os.kill(pid, signal.SIGKILL)
        case Instead(result=result):
            registers.all[_ORIG_RAX] = 2**64 - 1
            registers.all[_RAX] = result % 2**64
            _ptrace(_SETREGS, tid, data=ctypes.addressof(registers))
            _ptrace(_CONT, tid)
        case Then(look=look):
            looks[tid] = look
            _ptrace(_SYSCALL, tid)
        case None:
            _ptrace(_CONT, tid)


def _registers(tid: int) -> Registers:
    registers = Registers()
    _ptrace(_GETREGS, tid, data=ctypes.addressof(registers))
    return registers


def _ptrace(request: int, tid: int, data: int = 0) -> None:
    if _libc.ptrace(request, tid, None, data) == -1:
        number = ctypes.get_errno()
        raise ProcessLookupError(number, "ptrace") if number == errno.ESRCH else OSError(number, "ptrace")
