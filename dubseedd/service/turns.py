"""Turns: what is worked on at the moment.

Whoever wants several things gets them at once, and has none of them while waiting: so nobody keeps what somebody else
could work on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Thing = tuple[str, str]
"""Its kind, and which one."""


class Turns:
    """Who comes first is asked first; who cannot begin is passed by."""

    def __init__(self) -> None:
        self._taken: set[Thing] = set()
        self._freed = asyncio.Event()

    def __contains__(self, thing: Thing) -> bool:
        """Does somebody work on it?"""
        return thing in self._taken

    async def take(self, *things: Thing) -> None:
        """Wait until all of them are free, and take them."""
        while not self._taken.isdisjoint(things):
            await self._freed.wait()
        self._taken.update(things)

    def free(self, *things: Thing) -> None:
        self._taken.difference_update(things)
        self._freed.set()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, *things: Thing) -> AsyncIterator[None]:
        """Take them for the length of a block."""
        await self.take(*things)
        try:
            yield
        finally:
            self.free(*things)
