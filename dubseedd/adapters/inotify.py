"""inotify: a file that appears in a folder is told as soon as it is written. Python does not bind it.

A watch holds nothing: what is watched can be unmounted, which ends the watch.
Source: inotify(7).
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable, Iterator

IN_CLOSE_WRITE, IN_MOVED_TO, IN_IGNORED = 0x8, 0x80, 0x8000
IN_ONLYDIR, IN_DONT_FOLLOW = 0x1000000, 0x2000000
BUFFER_BYTES = 64 << 10
_EVENT = struct.Struct("=iIII")
"""wd, mask, cookie, length of the name that follows."""

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """The port Arrivals."""

    def watch(self, folder: str, name: str, on_arrival: Callable[[], None]) -> Callable[[], None]:
        """Tell, on the running loop, of each time that a file of this name has been written or moved into a folder.
        Returns the undo. A folder that cannot be watched has no arrivals."""
        loop = asyncio.get_running_loop()
        descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return lambda: None
        mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW
        open_ = True

        def undo() -> None:
            nonlocal open_
            if open_:
                open_ = False
                loop.remove_reader(descriptor)
                os.close(descriptor)

        def look() -> None:
            events = list(_events(os.read(descriptor, BUFFER_BYTES)))
            if any(kind & IN_IGNORED for kind, _ in events):
                undo()
            if any(found == os.fsencode(name) for _, found in events):
                on_arrival()

        loop.add_reader(descriptor, look)
        if _libc.inotify_add_watch(descriptor, os.fsencode(folder), mask) < 0:
            undo()
        return undo


def _events(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, name) of every event in a buffer."""
    offset = 0
    while offset < len(raw):
        _, kind, _, length = _EVENT.unpack_from(raw, offset)
        offset += _EVENT.size
        yield kind, raw[offset : offset + length].rstrip(b"\0")
        offset += length
