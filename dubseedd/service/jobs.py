"""Jobs: queueing, running, stopping, resuming and forgetting them.

One job at a time reads a seed, one at a time works on a name, one at a time publishes. A job holds a lease on its seed
from the moment it is queued until everything is in staging: then the stick is free, whatever publication waits for.
"""

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace

from dubseedd.core.bundle import Policy
from dubseedd.core.config import Config
from dubseedd.core.lifecycle import JOB_WAYS, JobKind, JobState
from dubseedd.core.progress import Milestones
from dubseedd.core.receipt import Receipt
from dubseedd.engine.filling import SyncTools
from dubseedd.engine.scanning import SeedFolder
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from dubseedd.engine.verifying import verify
from dubseedd.errors import CallRefused, Cancelled, Failure, Interrupted, SeedGone, StoreTrouble
from dubseedd.names import ErrorName, EventName, Field
from dubseedd.service.board import Board
from dubseedd.service.job import Job
from dubseedd.service.mounting import Mounting
from dubseedd.service.seed import Seed
from dubseedd.service.shelf import Shelf
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
"""How often running jobs are looked at; nothing ticks while none runs."""
REMEMBER_SECONDS = 600.0
REMEMBER_MOST = 64
PULL_GRACE_SECONDS = 2.0
"""A pulled stick gives read errors a moment before its removal is announced."""

ABSENCE = frozenset(
    {
        ErrorName.READ_FAILED,
        ErrorName.FILE_MISSING,
        ErrorName.MANIFEST_MISSING,
        ErrorName.NOT_FOUND,
        ErrorName.MOUNT_FAILED,
        ErrorName.UNSAFE_MOUNT,
    }
)
"""What a seed seems guilty of while it is being pulled: absence on a seed is never evidence."""


def open_folder(root: int, seed: Seed, config: Config) -> SeedFolder:
    """The folder of bundles of a mounted seed. Blocks."""
    device = seed.device
    policy = Policy(pickle_allowed=config.trust.pickle_allowed)
    return SeedFolder(
        root, config.seed.models, policy, uuid=device.uuid, filesystem=device.filesystem, device=device.node
    )


async def was_pulled(seed: Seed, failure: Failure, present: Callable[[Seed], bool]) -> bool:
    """Does a failure only mean that the seed is being pulled out?"""
    if seed.gone.is_set():
        return True
    if failure.error not in ABSENCE:
        return False
    if failure.error is ErrorName.READ_FAILED:
        try:
            await asyncio.wait_for(seed.gone.wait(), PULL_GRACE_SECONDS)
        except TimeoutError:
            pass
        else:
            return True
    return not present(seed)


class Jobs:
    """All jobs of the daemon, by number."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        shelf: Shelf,
        mounting: Mounting,
        board: Board,
        present: Callable[[Seed], bool],
        after_end: Callable[[Job], None],
    ) -> None:
        self._config = config
        self._shelf = shelf
        self._mounting = mounting
        self._board = board
        self._present = present
        self._after_end = after_end
        self._numbers = itertools.count(1)
        self._seed_turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._name_turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._publishing = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False
        self.all: dict[int, Job] = {}
        self.last_ended: Job | None = None

    # Queueing

    def sync(self, seed: Seed, wish: Wish, *, publish: bool = True) -> Job:
        """Queue the sync of one bundle; a job for the same that has not ended is returned, not doubled."""
        for job in self.unfinished(seed):
            if job.kind is JobKind.SYNC and job.wish == wish and job.publish == publish:
                return job
        return self._start(Job(next(self._numbers), JobKind.SYNC, wish, seed, publish=publish))

    def verify(self, name: str) -> Job:
        """Queue the verification of an installed bundle."""
        for job in self.all.values():
            if job.kind is JobKind.VERIFY and job.bundle == name and not job.ended:
                return job
        return self._start(Job(next(self._numbers), JobKind.VERIFY, Wish(name)))

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
        self.all[job.id] = job
        job.state = JobState.QUEUED
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
        await asyncio.gather(*(job.task for job in self.all.values() if job.task), return_exceptions=True)
        if self._looking:
            self._looking.cancel()

    # Running

    async def _run(self, job: Job) -> None:
        try:
            await (self._verify(job) if job.kind is JobKind.VERIFY else self._sync(job))
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

    @asynccontextmanager
    async def _turn(self, job: Job, lock: asyncio.Lock) -> AsyncIterator[None]:
        await job.halt.unless_asked(_acquire(lock))
        try:
            yield
        finally:
            lock.release()

    async def _sync(self, job: Job) -> None:
        seed, config = job.seed, self._config()
        if seed is None:
            raise AssertionError("a sync without a seed")
        sync = BundleSync(self._shelf.store, job.wish, self._tools(job, config))
        async with AsyncExitStack() as held:
            readiness = await self._prepare(job, seed, sync, config, held)
            with closing(sync):
                if readiness in (Readiness.STAGED, Readiness.ADOPTABLE) and job.publish:
                    await self._publish(job, sync, adopted=readiness is Readiness.ADOPTABLE)
                    return
        if readiness is Readiness.CURRENT:
            self._board.tell(EventName.BUNDLE_CURRENT, f"{job.bundle} is current, nothing to do", job.fields)
        self._end(job, JobState.DONE)

    async def _prepare(self, job: Job, seed: Seed, sync: BundleSync, config: Config, held: AsyncExitStack) -> Readiness:
        def prepare(root: int) -> Readiness:
            with open_folder(root, seed, config) as folder:
                return sync.prepare(folder)

        try:
            async with self._mounting.lease(seed, config) as root, self._turn(job, self._seed_turns[seed.id]):
                await held.enter_async_context(self._turn(job, self._name_turns[job.bundle]))
                self._begin(job)
                return await job.halt.run(lambda: prepare(root), left_behind=sync.close)
        except Failure as failure:
            if not isinstance(failure, Interrupted) and await was_pulled(seed, failure, self._present):
                raise SeedGone from failure
            raise

    def _begin(self, job: Job) -> None:
        now = asyncio.get_running_loop().time()
        job.started_at = job.started_at or self._board.clock()
        job.milestones = Milestones(now)
        verb = "verifying" if job.kind is JobKind.VERIFY else "syncing"
        origin = f" from {job.seed.called}" if job.seed else ""
        self._board.tell(EventName.JOB_STARTED, f"{verb} {job.bundle}{origin}", job.fields)
        self._enter(job, JobState.VERIFYING if job.kind is JobKind.VERIFY else JobState.PLANNING)

    async def _publish(self, job: Job, sync: BundleSync, *, adopted: bool) -> None:
        self._enter(job, JobState.WAITING)
        async with self._turn(job, self._publishing):
            self._enter(job, JobState.PUBLISHING)
            receipt = await in_thread(sync.publish)
        if adopted:
            self._adopted(job, receipt)
        else:
            self._tell_installed(job, receipt)
        bundle = await self._shelf.refresh_one(job.bundle)
        if bundle:
            self._board.installed(bundle)
        self._end(job, JobState.DONE)

    def _tell_installed(self, job: Job, receipt: Receipt) -> None:
        job.wish = replace(job.wish, manifest_sha256=receipt.manifest_sha256)
        self._board.tell(
            EventName.BUNDLE_INSTALLED,
            f"{job.bundle} is installed: {len(receipt.files)} files, {receipt.size:,} bytes, every one verified",
            {**job.fields, Field.BYTES_TOTAL: receipt.size},
        )

    def _adopted(self, job: Job, receipt: Receipt) -> None:
        self._board.tell(
            EventName.BUNDLE_ADOPTED,
            f"{job.bundle} was put there by hand and is verified now: adopted, nothing was copied",
            {**job.fields, Field.MANIFEST: receipt.manifest_sha256},
        )

    async def _verify(self, job: Job) -> None:
        store, name = self._shelf.store, job.bundle
        async with self._turn(job, self._name_turns[name]):
            receipt = await in_thread(lambda: store.receipt(name))
            if receipt is None:
                raise CallRefused(ErrorName.NOT_FOUND, f"{name} is not installed; dubseedctl list shows what is")
            self._begin(job)
            now, meter, flag = self._board.clock(), job.meter, job.halt.flag
            fresh = await job.halt.run(lambda: verify(store, receipt, meter, flag, now=now), left_behind=lambda: None)
        await self._shelf.refresh_one(name)
        if fresh.damage[0]:
            self._board.tell(EventName.BUNDLE_DAMAGED, fresh.damage[1], {**job.fields, Field.ERROR: fresh.damage[0]})
            raise StoreTrouble(ErrorName(fresh.damage[0].rpartition(".")[2]), fresh.damage[1])
        self._end(job, JobState.DONE)

    def _tools(self, job: Job, config: Config) -> SyncTools:
        loop, meter = asyncio.get_running_loop(), job.meter
        meter.on_phase = lambda phase: _later(loop, self._follow, job, meter, phase)
        return SyncTools(
            config=config,
            meter=meter,
            stop=job.halt.flag,
            note=lambda sentence: _later(loop, self._tell, job, EventName.BUNDLE_FOUND, sentence),
            gave_up=lambda sentence: _later(loop, self._tell, job, EventName.BUNDLE_REMOVED, sentence),
            adopted=lambda receipt: _later(loop, self._adopted, job, receipt),
            spoken_for=lambda: self._spoken_for(job),
        )

    def _spoken_for(self, job: Job) -> int:
        return sum(
            max(0, other.meter.bytes_total - other.meter.bytes_done)
            for other in list(self.all.values())
            if other is not job and other.state is JobState.COPYING
        )

    def _tell(self, job: Job, name: EventName, sentence: str) -> None:
        self._board.tell(name, sentence, job.fields)

    # Following

    def _follow(self, job: Job, meter: object, phase: JobState) -> None:
        """Take over the phase that a worker has begun; one that was left behind is not listened to."""
        if job.meter is meter and job.state.at_work:
            self._look_at(job)
            self._enter(job, phase)

    def _enter(self, job: Job, state: JobState) -> None:
        if job.state is not state:
            job.enter(state)
            self._board.changed(job)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while running := [job for job in self.all.values() if job.state.at_work]:
            for job in running:
                self._look_at(job)
                self._board.changed(job)
                if job.state is not JobState.QUEUED and job.milestones.reached(job.percent / 100, loop.time()):
                    message = f"{job.sentence}, {job.percent} %, {job.pace.rate / 1e6:,.0f} MB/s"
                    self._board.tell(EventName.JOB_PROGRESS, message, job.counters)
            await asyncio.sleep(LOOK_SECONDS)
        self._looking = None

    def _look_at(self, job: Job) -> None:
        job.look(asyncio.get_running_loop().time(), self._board.clock())

    # Ending

    def _end(self, job: Job, state: JobState, failure: Failure | None = None) -> None:
        if failure is not None:
            job.failure, job.error = failure, failure.pair
        job.enter(state)
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
            JobState.DONE: (EventName.JOB_FINISHED, f"the {job.kind} of {job.bundle} is done"),
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
            self._board.gone(job)

    def _forget_oldest(self) -> None:
        ended = [job for job in self.all.values() if job.ended]
        for job in ended[: max(0, len(ended) - REMEMBER_MOST)]:
            self._forget(job, job.task)


async def _acquire(lock: asyncio.Lock) -> None:
    await lock.acquire()


def _later(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        log.debug("a thread spoke after the loop had ended")
