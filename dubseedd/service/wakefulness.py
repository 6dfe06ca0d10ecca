"""Wakefulness: the machine is asked not to sleep or shut down in the middle of a sync.

It is a delay, not a veto. Once the machine prepares for it, only a publication is still waited for: that takes moments.
Whatever else is cut short goes on later from what is on the disk.
"""

import asyncio
from collections.abc import Callable, Mapping

from dubseedd.core.lifecycle import JobKind, JobState
from dubseedd.service.board import Listener
from dubseedd.service.job import Job
from dubseedd.service.ports import Sleep

HOLDS = frozenset({JobState.COPYING, JobState.VERIFYING, JobState.PUBLISHING})
HOLDS_TO_THE_LAST = frozenset({JobState.PUBLISHING})


class Wakefulness(Listener):
    """Holds the delay while it is wanted; `jobs` are all there are."""

    def __init__(self, sleep: Sleep, jobs: Mapping[int, Job]) -> None:
        self._sleep = sleep
        self._jobs = jobs
        self._preparing = False
        self._release: Callable[[], None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._undo = sleep.watch(self._on_prepare)

    def stop(self) -> None:
        self._undo()
        if self._asking is not None:
            self._asking.cancel()
        self._let_go()

    def overall(self) -> None:
        """Hold it or let it go, as the jobs are now."""
        why = self._wanted()
        if not why:
            self._let_go()
        elif self._release is None and self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask(why), name="wakefulness")

    def _on_prepare(self, preparing: bool) -> None:  # noqa: FBT001 - the port's callback
        self._preparing = preparing
        self.overall()

    def _wanted(self) -> str:
        """Why, "" where nothing needs it."""
        states = HOLDS_TO_THE_LAST if self._preparing else HOLDS
        for job in self._jobs.values():
            if job.kind is JobKind.SYNC and job.state in states:
                return f"{job.state} {job.bundle} from a seed"
        return ""

    async def _ask(self, why: str) -> None:
        try:
            self._release = await self._sleep.delay(why)
        finally:
            self._asking = None
        self.overall()

    def _let_go(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None
