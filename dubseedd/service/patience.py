"""Patience with a stick that is busy: a file manager that looks at it holds it for a moment."""

import asyncio
from collections.abc import Awaitable, Callable

from dubseedd.errors import StoreTrouble

RETRIES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""There is no event that says when it is free."""

LONG_SECONDS = 30.0


async def unmounted(
    unmount: Callable[[], Awaitable[None]],
    wanted: Callable[[], bool] = lambda: True,
    overdue: Callable[[StoreTrouble], None] = lambda _: None,
) -> bool:
    """Unmount; where that fails, try again for half a minute, then raise its StoreTrouble. False where it was let be,
    since it is not `wanted` any more.

    A UDisks2 that has hung answers no attempt, and each takes a minute: `overdue` is called once, with what the first
    one after half a minute met with.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + LONG_SECONDS
    told = False
    for delay in (*RETRIES_SECONDS, None):
        try:
            await unmount()
        except StoreTrouble as trouble:
            if not wanted():
                return False
            if delay is None:
                raise
            if clock() >= end and not told:
                told = True
                overdue(trouble)
        else:
            return True
        await asyncio.sleep(delay)
    raise AssertionError("the last attempt returns or raises")
