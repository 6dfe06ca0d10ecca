"""Leisure: work that nobody waits for takes what others leave of the disk and the processor.

The kernel is told so (idle I/O class, lowest priority). Not every disk's scheduler knows that class, so the work rests
as well: three times as long as it took, a second at most. So the disk is busy with it for a quarter of the time, and
for more only where a piece of work takes longer than a third of a second.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

RESTS = 3
"""How many times as long as the work took."""
LONGEST_REST_SECONDS = 1.0
"""Whoever wants the work to stop waits no longer than this."""

LOWEST = 19
_IDLE_CLASS = 3 << 13
_WHO_PROCESS = 1
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
"""The number of ioprio_set(2), which no C library binds, by machine."""


def step_back() -> None:
    """Give the calling thread, and those that it begins, what is left of disk and processor. Where the kernel or a
    sandbox does not allow it, the rests have to do."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
    if number := _IOPRIO_SET.get(os.uname().machine):
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _IDLE_CLASS)


class Rests:
    """Called after each piece of work: rests as long as is due."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._since = clock()

    def __call__(self, _: int) -> None:
        self._sleep(min(LONGEST_REST_SECONDS, RESTS * (self._clock() - self._since)))
        self._since = self._clock()
