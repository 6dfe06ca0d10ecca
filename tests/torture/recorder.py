"""A disk that remembers every write and every flush: one file, served by FUSE, with a loop device above it.

    file system > loop device > the file of this FUSE > image, and a log of what came in which order

A log is a sequence of (offset, length, data); a flush has the length 0. Its size is the time of the disk's life: what
was acknowledged when the log had this size has to be in every state of the disk from then on. The protocol is spoken
here (linux/fuse.h, version 7.31): it is not much for one file, and needs no library.
"""

import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path

from tests.torture.disk import unmount

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "/dev/fuse"
ENTRY = struct.Struct("<QI")
MOST_BYTES = 1 << 20
MAIN = "import sys; from tests.torture import recorder; recorder.serve(*sys.argv[1:])"
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22


class Ask(IntEnum):
    """What the kernel asks for."""

    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    DESTROY = 38


@contextmanager
def recording(image: Path, log: Path) -> Iterator[Path]:
    """The path of a file that is `image`, and whose writes and flushes go to `log`."""
    place = image.with_suffix(".recorded")
    place.touch()
    argv = (sys.executable, "-c", MAIN, str(image), str(log), str(place))
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n", "the recorder does not start"
        yield place
    finally:
        unmount(place)
        process.wait(10)
        process.stdout.close()
        place.unlink()


def serve(image: str, log: str, place: str) -> None:
    """Mount and answer until it is unmounted."""
    device = os.open(DEVICE, os.O_RDWR)
    options = f"fd={device},rootmode={stat.S_IFREG | 0o600:o},user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"dubseedd-recorder", place.encode(), b"fuse.recorder", 6, options) != 0:  # NOSUID, NODEV
        raise OSError(ctypes.get_errno(), "mount")
    print("ready", flush=True)
    recorder = Recorder(os.open(image, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    while True:
        try:
            request = os.read(device, MOST_BYTES + 4096)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            raise
        _, opcode, unique = struct.unpack_from("=IIQ", request)
        if opcode in (Ask.FORGET, Ask.DESTROY):
            continue
        code, body = recorder.answer(opcode, memoryview(request)[40:])
        with suppress(FileNotFoundError):  # nobody waits for it any more
            os.write(device, struct.pack("=IiQ", 16 + len(body), -code, unique) + body)


class Recorder:
    """Answers requests; the image is as the disk would be if it never lost power."""

    def __init__(self, image: int, log: int) -> None:
        self._image = image
        self._log = log

    def answer(self, opcode: int, body: memoryview) -> tuple[int, bytes]:
        """(errno, what follows the header)"""
        code, answer = 0, b""
        match opcode:
            case Ask.INIT:
                flags, pages = _BIG_WRITES | _MAX_PAGES, MOST_BYTES // 4096
                answer = struct.pack("=IIIIHHIIHHI28x", 7, 31, MOST_BYTES, flags, 64, 48, MOST_BYTES, 1, pages, 0, 0)
            case Ask.GETATTR | Ask.SETATTR:
                size, mode = os.fstat(self._image).st_size, stat.S_IFREG | 0o600
                answer = struct.pack("=QII6Q3I7I", 3600, 0, 0, 1, size, size // 512, 0, 0, 0, 0, 0, 0, mode, *_PLAIN)
            case Ask.OPEN:
                answer = bytes(16)
            case Ask.READ:
                _, offset, size = struct.unpack_from("=QQI", body)
                answer = os.pread(self._image, size, offset)
            case Ask.WRITE:
                _, offset, size = struct.unpack_from("=QQI", body)
                self._write(offset, body[40 : 40 + size])
                answer = struct.pack("=II", size, 0)
            case Ask.FSYNC:
                os.write(self._log, ENTRY.pack(0, 0))
            case Ask.STATFS:
                answer = struct.pack("=5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
            case Ask.RELEASE | Ask.FLUSH:
                pass
            case _:
                code = errno.ENOSYS
        return code, answer

    def _write(self, offset: int, data: memoryview) -> None:
        os.writev(self._log, [ENTRY.pack(offset, len(data)), data])
        os.pwrite(self._image, data, offset)


_PLAIN = (1, 0, 0, 0, 4096, 0)
"""Links, owner, group, device, block size, flags."""
