"""Jobs: queueing, stopping, resuming, following and forgetting them. What each does is in `work`."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable

from dubseedd.core.config import Config
from dubseedd.core.lifecycle import JOB_WAYS, JobKind, JobState
from dubseedd.core.progress import Standstill
from dubseedd.core.sentence import shown
from dubseedd.engine.syncing import Wish
from dubseedd.errors import CallRefused, Cancelled, Failure, Interrupted, SeedGone
from dubseedd.names import ErrorName, EventName, Field
from dubseedd.service.board import Board
from dubseedd.service.inhibitors import Inhibitors
from dubseedd.service.job import Job
from dubseedd.service.mounting import Mounting
from dubseedd.service.ports import Devices
from dubseedd.service.seed import Seed
from dubseedd.service.shelf import Shelf
from dubseedd.service.work import Work

log = logging.getLogger(__name__)

MOVES = frozenset({JobState.COPYING, JobState.VERIFYING})
LOOK_SECONDS = 0.2
"""How often running jobs are looked at; nothing ticks while none runs."""
REMEMBER_SECONDS = 600.0
REMEMBER_MOST = 64
UNFINISHED_MOST = 1000
"""Jobs that have not ended, beyond which none can be asked for; what a stick brings is queued all the same."""


class Jobs:
    """All jobs of the daemon, by number."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        shelf: Shelf,
        mounting: Mounting,
        board: Board,
        inhibitors: Inhibitors,
        devices: Devices,
        after_end: Callable[[Job], None],
    ) -> None:
        self._board = board
        self._after_end = after_end
        self._numbers = itertools.count(1)
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False
        self.all: dict[int, Job] = {}
        self._work = Work(
            config=config,
            shelf=shelf,
            mounting=mounting,
            board=board,
            inhibitors=inhibitors,
            devices=devices,
            others=lambda: list(self.all.values()),
        )
        self.last_ended: Job | None = None

    # Queueing

    def sync(self, seed: Seed, wish: Wish, *, publish: bool = True, asked: bool = False) -> Job:
        """Queue the sync of one bundle; a job for the same that has not ended is returned, not doubled.

        What is `asked` for is refused where too much waits: the wishes for one bundle are without number.
        """
        for job in self.unfinished(seed):
            if job.kind is JobKind.SYNC and job.wish == wish and job.publish == publish:
                return job
        if asked and sum(not job.ended for job in self.all.values()) >= UNFINISHED_MOST:
            raise CallRefused(
                ErrorName.BUSY,
                f"{UNFINISHED_MOST:,} jobs wait already; wait until some are done, or cancel them: dubseedctl cancel",
            )
        return self._start(Job(next(self._numbers), JobKind.SYNC, wish, seed, publish=publish))

    def verify(self, name: str) -> Job:
        """Queue the verification of an installed bundle."""
        return self._of_store(JobKind.VERIFY, name)

    def roll_back(self, name: str) -> Job:
        """Queue the rollback of an installed bundle."""
        return self._of_store(JobKind.ROLLBACK, name)

    def _of_store(self, kind: JobKind, name: str) -> Job:
        """Queue a job that needs no seed, or the one that is queued for the same already."""
        for job in self.all.values():
            if job.kind is kind and job.bundle == name and not job.ended:
                return job
        return self._start(Job(next(self._numbers), kind, Wish(name)))

    async def remove(self, name: str) -> None:
        """Delete an installed bundle, unless a job works on it."""
        await self._work.remove(name)

    async def changes_end(self) -> None:
        """Wait until what is being published, rolled back or removed in this moment is so no more."""
        await ends_of(job for job in self.all.values() if job.state is JobState.PUBLISHING)
        await self._work.changes_end()

    def unfinished(self, seed: Seed) -> list[Job]:
        """The jobs that are queued or at work on a seed."""
        return [job for job in self.all.values() if job.seed is seed and job.state.at_work]

    def resume(self, seed: Seed) -> None:
        """Let interrupted jobs go on whose bundle this seed has, in the very same version."""
        for job in list(self.all.values()):
            left = job.seed is seed  # it was cut short there a moment ago: that plug is on its way out
            if left or self._stopping or job.state is not JobState.INTERRUPTED:
                continue
            if seed.offers_same(job.bundle, job.wish.manifest_sha256):
                if any(other.bundle == job.bundle for other in self.unfinished(seed)):
                    continue
                job.begin(seed)
                self._board.tell(EventName.JOB_RESUMED, f"{job.bundle} goes on from {seed.called}", job.fields)
                self._start(job)

    def _start(self, job: Job) -> Job:
        if self._stopping:
            raise CallRefused(ErrorName.BUSY, "dubseedd is being stopped; ask again when it has been started")
        self.all[job.id] = job
        job.enter(JobState.QUEUED)
        job.task = asyncio.get_running_loop().create_task(self._run(job), name=f"job {job.id}")
        self._board.changed(job)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="looking at jobs")
        return job

    # Stopping

    def cancel(self, job: Job) -> None:
        """Cancel a job; one that is being published runs to its end, one that has ended is refused."""
        if job.ended:
            raise CallRefused(ErrorName.NOT_FOUND, f"job {job.id} has ended already; there is nothing to cancel")
        if job.state is JobState.INTERRUPTED:
            self._end(job, JobState.CANCELLED, Cancelled())
        else:
            job.halt.ask(Cancelled())

    def seed_gone(self, seed: Seed) -> None:
        for job in self.unfinished(seed):
            if job.state.reads_seed:
                job.halt.ask(SeedGone())

    async def stop(self, reason: Failure) -> None:
        """Stop every job and wait for its task; threads that are stuck are left behind."""
        self._stopping = True
        for job in self.all.values():
            job.halt.ask(reason)
        await ends_of(self.all.values())
        await self._work.stop()
        if self._looking:
            self._looking.cancel()

    # Running

    async def _run(self, job: Job) -> None:
        try:
            await self._work.do(job)
            self._end(job, JobState.DONE)
        except Failure as failure:
            state = JobState.FAILED
            if isinstance(failure, Interrupted) and JobState.INTERRUPTED in JOB_WAYS[job.state]:
                state = JobState.INTERRUPTED
            elif isinstance(failure, Cancelled):
                state = JobState.CANCELLED
            self._end(job, state, failure)
        except Exception:
            log.exception("job %d (%s)", job.id, job.bundle)
            self._end(job, JobState.FAILED, Failure(ErrorName.INTERNAL, "internal error, see the journal"))

    # Following

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while working := [job for job in self.all.values() if job.state.at_work]:
            for job in working:
                if job.state is JobState.QUEUED:
                    continue  # nothing of it changes, and a stick may bring hundreds
                self._look_at(job)
                self._board.changed(job)
                if job.state is not JobState.WAITING:  # it has said what for
                    self._tell_progress(job, loop.time())
            await asyncio.sleep(LOOK_SECONDS)
        self._looking = None

    def _tell_progress(self, job: Job, now_seconds: float) -> None:
        if job.milestones.reached(job.percent / 100, now_seconds):
            message = f"{job.sentence}, {job.percent} %, {job.pace.rate / 1e6:,.0f} MB/s"
            self._board.tell(EventName.JOB_PROGRESS, message, job.counters)
        if job.state in MOVES and job.standstill.noticed(job.seen.work_done, now_seconds):
            log.warning(
                "%s: nothing has moved for %d s (%s); look at the stick and the disk, or cancel it: "
                "dubseedctl cancel %d",
                job.bundle,
                Standstill.AFTER_SECONDS,
                shown(job.seen.current_file),
                job.id,
            )

    def _look_at(self, job: Job) -> None:
        job.look(asyncio.get_running_loop().time(), self._board.clock())

    # Ending

    def _end(self, job: Job, state: JobState, failure: Failure | None = None) -> None:
        if failure is not None:
            job.failure, job.error = failure, failure.pair
        job.enter(state)
        job.ended_at = self._board.clock()
        self._look_at(job)
        self.last_ended = job
        self._tell_end(job, failure)
        self._board.changed(job)
        if job.ended:
            self._board.ended(job)
        asyncio.get_running_loop().call_later(REMEMBER_SECONDS, self._forget, job, job.task)
        self._forget_oldest()
        self._after_end(job)

    def _tell_end(self, job: Job, failure: Failure | None) -> None:
        name, sentence = {
            JobState.DONE: (EventName.JOB_FINISHED, job.sentence),
            JobState.CANCELLED: (EventName.JOB_CANCELLED, f"{job.bundle}: {job.error[1]}"),
            JobState.INTERRUPTED: (EventName.JOB_INTERRUPTED, f"{job.bundle}: {job.error[1]}"),
            JobState.FAILED: (EventName.JOB_FAILED, f"{job.bundle}: {job.error[1]}"),
        }[job.state]
        extra: dict[Field, str | int] = {Field.ERROR: failure.error.full, Field.FILE: failure.file} if failure else {}
        self._board.tell(name, sentence, {**job.counters, **extra})

    def _forget(self, job: Job, task: "asyncio.Task[None] | None") -> None:
        """Drop a job that ended a while ago, unless it has gone on since."""
        if job.task is task and not job.state.at_work and job.id in self.all:
            del self.all[job.id]
            if not job.ended:  # nothing has brought it back: whoever follows it waits no longer
                self._board.ended(job)
            self._board.gone(job)

    def _forget_oldest(self) -> None:
        ended = sorted((job for job in self.all.values() if job.ended), key=lambda job: job.ended_at)
        for job in ended[: max(0, len(ended) - REMEMBER_MOST)]:
            self._forget(job, job.task)


async def ends_of(jobs: Iterable[Job]) -> None:
    """Wait until jobs have come to an end; that somebody gives up waiting is nothing to them."""
    if tasks := [job.task for job in jobs if job.task]:
        await asyncio.wait(tasks)
