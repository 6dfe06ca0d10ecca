"""Patience with a stick that is busy: a file manager that looks at it holds it for a moment."""

import asyncio
from collections.abc import Awaitable, Callable

from dubseedd.errors import StoreTrouble

RETRIES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""There is no event that says when it is free."""


async def unmounted(unmount: Callable[[], Awaitable[None]], wanted: Callable[[], bool] = lambda: True) -> None:
    """Unmount; where that fails, try again for half a minute, then raise its StoreTrouble; or let it be once it is not
    `wanted` any more."""
    for delay in (*RETRIES_SECONDS, None):
        try:
            return await unmount()
        except StoreTrouble:
            if not wanted():
                return None
            if delay is None:
                raise
        await asyncio.sleep(delay)
    return None
