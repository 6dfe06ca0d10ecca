"""Patience with a stick that is busy: a file manager that looks at it holds it for a moment."""

import asyncio
from collections.abc import Awaitable, Callable

from dubseedd.errors import StoreTrouble

RETRIES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""There is no event that says when it is free."""


async def unmounted(unmount: Callable[[], Awaitable[None]], wanted: Callable[[], bool] = lambda: True) -> bool:
    """Unmount; where that fails, try again for half a minute, then raise its StoreTrouble. False where it was let be,
    since it is not `wanted` any more."""
    for delay in (*RETRIES_SECONDS, None):
        try:
            await unmount()
        except StoreTrouble:
            if not wanted():
                return False
            if delay is None:
                raise
        else:
            return True
        await asyncio.sleep(delay)
    raise AssertionError("the last attempt returns or raises")
