"""A link to the bus: one connection at a time, opened again whenever it is lost. Whoever works meanwhile knows nothing
of it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import BusGone, RemoteError

log = logging.getLogger(__name__)

RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to reach a bus that went away; the last one is repeated."""

Use = Callable[[Connection], AbstractAsyncContextManager[None]]


class Link:
    """Gives the connection that there is at the moment; BusGone while there is none.

    `use` is entered with every new connection and left before that is closed; `purpose` says in words what for.
    """

    def __init__(self, purpose: str, use: Use) -> None:
        self._purpose = purpose
        self._use = use
        self._connection: Connection | None = None
        self._undo = AsyncExitStack()

    def __call__(self) -> Connection:
        if self._connection is None:
            raise BusGone("the system bus cannot be reached")
        return self._connection

    async def open(self) -> None:
        """Connect. Raises BusGone, RemoteError or TimeoutError."""
        async with AsyncExitStack() as undo:
            connection = await Connection.open()
            undo.push_async_callback(connection.close)
            undo.callback(self._forget)
            self._connection = connection
            await undo.enter_async_context(self._use(connection))
            self._undo = undo.pop_all()

    async def close(self) -> None:
        """Disconnect, if connected."""
        await self._undo.aclose()

    def _forget(self) -> None:
        self._connection = None

    async def keep(self) -> None:
        """Connect again whenever the connection is lost, until cancelled."""
        while True:
            await self().lost()
            await self.close()
            log.warning("the bus connection for %s is lost; the jobs go on while it is opened again", self._purpose)
            await self._open_at_last()
            log.warning("the bus connection for %s is back", self._purpose)

    async def _open_at_last(self) -> None:
        attempts = 0
        while True:
            try:
                return await self.open()
            except (OSError, RemoteError, TimeoutError) as error:
                log.debug("the bus connection for %s cannot be opened yet: %s", self._purpose, error)
            await asyncio.sleep(RECONNECT_SECONDS[min(attempts, len(RECONNECT_SECONDS) - 1)])
            attempts += 1
