"""Blocking work beside the loop: a thread of its own for each piece, never a pool that a stuck read could fill.

A thread in an uninterruptible read cannot be stopped. It is left behind: the loop goes on, what it returns is dropped.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from dubseedd.engine.stop import StopFlag
from dubseedd.errors import Failure

T = TypeVar("T")

PATIENCE_SECONDS = 1.5
"""How long a thread may take to heed its stop flag before it is left behind."""


def in_thread(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Run `work` in a daemon thread; the future has its result. Cancelling the future leaves the thread behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None itself

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as failure:  # noqa: BLE001 - it belongs to whoever awaits the future
            error = failure
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="dubseedd-work", daemon=True).start()
    return future


async def unless(event: asyncio.Event, waiting: Awaitable[T], leave: Callable[[], None]) -> T:
    """Wait for something that may take long. Where the event comes first, it is cancelled, and `leave` raises why."""
    work = asyncio.ensure_future(waiting)
    comes = asyncio.ensure_future(event.wait())
    either: list[asyncio.Future[Any]] = [work, comes]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        comes.cancel()
        left_behind = not work.done()
        work.cancel()
    if left_behind:
        leave()
    return await work


class Halt:
    """A stop flag that the loop can wait for as well."""

    def __init__(self) -> None:
        self.flag = StopFlag()
        self._asked = asyncio.Event()

    def ask(self, reason: Failure) -> None:
        self.flag.set(reason)
        self._asked.set()

    @property
    def reason(self) -> Failure | None:
        return self.flag.reason

    async def unless_asked(self, waiting: Awaitable[T]) -> T:
        """Wait for something that may take long; a stop ends the waiting and raises its reason."""
        return await unless(self._asked, waiting, self.flag.check)

    async def run(self, work: Callable[[], T], *, left_behind: Callable[[], None]) -> T:
        """Run stoppable work. When it does not heed a stop in time, raise the reason and leave the thread behind;
        `left_behind` then runs once the thread has come back after all."""
        future = in_thread(work)
        asked = asyncio.ensure_future(self._asked.wait())
        either: list[asyncio.Future[Any]] = [future, asked]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                await asyncio.wait({future}, timeout=PATIENCE_SECONDS)
        finally:
            asked.cancel()
            if not future.done():
                future.add_done_callback(lambda _: left_behind())
        if not future.done():
            future.add_done_callback(look_at)
            self.flag.check()
        return future.result()


def look_at(future: "asyncio.Future[T]") -> None:
    """Take note of an error that came too late to matter, so that asyncio does not report it as forgotten."""
    if not future.cancelled():
        future.exception()
