"""The scrub: every installed bundle is read back from the disk now and then, before somebody needs what has rotted.

One bundle at a time, each when its own time has come, and at leisure. It gives way as soon as a seed is plugged in or a
job is asked for, and goes on later with the file that it was in.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from dubseedd.core import tidings
from dubseedd.core.config import Config
from dubseedd.core.receipt import Receipt
from dubseedd.engine.leisure import Rests, step_back
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import Pump
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.trouble import writing_store
from dubseedd.engine.verifying import Verification
from dubseedd.errors import Cancelled, Failure
from dubseedd.service.board import Board, Listener
from dubseedd.service.job import MICROSECONDS
from dubseedd.service.shelf import Shelf
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 86400.0
"""A wall clock may be set, and timers stand still while a machine sleeps: look again after a day."""
RETRY_SECONDS = 86400.0


class Scrub(Listener):
    """Reads back what is due, one after the other; `busy` says whether there is something better to do, `after` is
    awaited with the name of what was found damaged."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        shelf: Shelf,
        board: Board,
        busy: Callable[[], bool],
        after: Callable[[str], Awaitable[None]],
    ) -> None:
        self.bundle = ""
        """What is being read back, "" for nothing."""
        self._config = config
        self._shelf = shelf
        self._board = board
        self._busy = busy
        self._after = after
        self._news = asyncio.Event()
        self._stop = StopFlag()
        self._begun: Verification | None = None
        self._put_off: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._board.listeners.append(self)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="scrub")

    async def stop(self) -> None:
        """Stop at once; a thread that is stuck in a read is left behind."""
        self._stop.set(Cancelled())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def overall(self) -> None:
        """Something has changed: give way, or see what is due."""
        if self._busy():
            self._stop.set(Cancelled())
        self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            seconds, name = self._next()
            if seconds <= 0 and not self._busy():
                await self._read_back(name)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, LONGEST_SLEEP_SECONDS) if seconds > 0 else None):
                    await self._news.wait()

    def _next(self) -> tuple[float, str]:
        """(seconds until then, name) of the bundle whose turn is next; in a day nobody's, where there is none."""
        interval = self._config().scrub.interval_seconds * MICROSECONDS
        now = self._board.clock()
        turns = [
            (max(bundle.verified_at + interval, self._put_off.get(bundle.name, 0)) - now, bundle.name)
            for bundle in self._shelf.bundles.values()
            if interval and bundle.state is BundleState.INSTALLED
        ]
        left, name = min(turns, default=(int(LONGEST_SLEEP_SECONDS * MICROSECONDS), ""))
        return left / MICROSECONDS, name

    async def _read_back(self, name: str) -> None:
        self._stop = StopFlag()
        self._show(name)
        try:
            await self._take_in(await in_thread(lambda: self._work(name, self._stop)))
        except Cancelled:
            log.debug("the scrub of %s gives way", name)
        except Failure as failure:
            self._put_off[name] = self._board.clock() + int(RETRY_SECONDS * MICROSECONDS)
            log.warning("%s cannot be read back, tomorrow it is tried again: %s", name, failure.sentence)
        except Exception:
            self._put_off[name] = self._board.clock() + int(RETRY_SECONDS * MICROSECONDS)
            log.exception("reading %s back", name)
        finally:
            self._show("")

    def _show(self, name: str) -> None:
        self.bundle = name
        self._board.overall()

    def _work(self, name: str, stop: StopFlag) -> Receipt | None:
        """In a thread: read a bundle back, from where that was left; None where it is there no more."""
        step_back()
        store = self._shelf.store
        with writing_store(name):
            receipt = store.receipt(name)
        if receipt is None:
            return None
        if self._begun is None or self._begun.receipt != receipt:
            self._begun = Verification(store, receipt, Meter())
        with Pump(stop, blocks=1) as pump:  # a block that is read ahead would be read during a rest
            fresh = self._begun.run(pump, now=self._board.clock(), read=Rests())
        self._begun = None
        return fresh

    async def _take_in(self, fresh: Receipt | None) -> None:
        if fresh is None:
            await self._shelf.refresh()
            return
        await self._shelf.refresh_one(fresh.name)
        if fresh.damage[0]:
            self._board.report(tidings.damaged(fresh))
            await self._after(fresh.name)
        else:
            log.info("%s was read back and is whole", fresh.name)
