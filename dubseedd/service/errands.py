"""Errands: tasks of the loop that whoever starts them does not wait for."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from dubseedd.errors import Failure

log = logging.getLogger(__name__)

T = TypeVar("T")


class Errands:
    """Those of one owner, kept until they have ended. What they raise is logged; where they are `awaited` after all, a
    Failure is for whoever waits."""

    def __init__(self, *, awaited: bool = False) -> None:
        self._awaited = awaited
        self._running: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self, patience_seconds: float = 0.0) -> None:
        """Give them time to end, then cancel what is left."""
        if self._running and patience_seconds:
            await asyncio.wait(set(self._running), timeout=patience_seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Failure):
            if not self._awaited:
                log.error("%s", error.sentence)
        elif error is not None:
            log.error("%s", task.get_coro(), exc_info=error)
