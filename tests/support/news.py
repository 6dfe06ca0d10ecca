"""News: how a test waits for what it is told by a callback."""

import asyncio
from collections.abc import Callable

LIMIT_SECONDS = 20.0


class News(asyncio.Event):
    """Set at every change."""

    async def until(self, reached: Callable[[], object]) -> None:
        """Look now, and again after every change; the limit is for a test that fails."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not reached():
                self.clear()
                await self.wait()
