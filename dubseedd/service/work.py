"""Work: one job, from its turn to its result.

One job at a time reads a seed, one at a time works on a name, one at a time publishes, and one at a time verifies. A
job holds a lease on its seed from the moment it is queued until everything is in staging: then the stick is free,
whatever publication waits for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace

from dubseedd.core import tidings
from dubseedd.core.config import Config
from dubseedd.core.lifecycle import JobKind, JobState
from dubseedd.core.progress import Milestones, Standstill
from dubseedd.core.tidings import Tiding
from dubseedd.engine.meter import Meter
from dubseedd.engine.scanning import SeedFolder
from dubseedd.engine.syncing import BundleSync, Readiness
from dubseedd.engine.transfer import SyncTools
from dubseedd.engine.verifying import verify
from dubseedd.engine.versions import remove, roll_back
from dubseedd.errors import CallRefused, Failure, Interrupted, SeedGone, StoreTrouble
from dubseedd.names import ErrorName, EventName, Field
from dubseedd.service.board import Board
from dubseedd.service.errands import Errands
from dubseedd.service.inhibitors import Inhibitors
from dubseedd.service.job import Job
from dubseedd.service.mounting import Mounting
from dubseedd.service.ports import Devices
from dubseedd.service.pulling import was_pulled
from dubseedd.service.seed import Seed
from dubseedd.service.shelf import Shelf
from dubseedd.service.turns import Thing, Turns
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

BEGINNINGS = {
    JobKind.SYNC: ("syncing", JobState.PLANNING),
    JobKind.VERIFY: ("verifying", JobState.VERIFYING),
    JobKind.ROLLBACK: ("rolling back", JobState.PUBLISHING),
}
UNPUBLISHED = {
    Readiness.PLANNED: "{name} is planned, nothing was copied",
    Readiness.STAGED: "{name} is copied and verified, not published; while the stick is plugged in: "
    "dubseedctl sync --bundle {name}",
    Readiness.ADOPTABLE: "{name} is verified, not adopted; while the stick is plugged in: "
    "dubseedctl sync --bundle {name}",
}
"""What was done of a bundle that was not to be published."""
"""How a job of each kind begins, in words and as its state."""


PUBLISHING: Thing = ("publishing", "")
VERIFYING: Thing = ("verifying", "")


def _name(job: Job) -> Thing:
    return "name", job.bundle


def _copy(job: Job) -> Thing:
    """A copy under way is named by the digest of its manifest, and two bundles may have the same content."""
    return "copy", job.wish.manifest_sha256


class Work:
    """Does jobs. `others` are all jobs there are, whose appetite for room counts."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        shelf: Shelf,
        mounting: Mounting,
        board: Board,
        inhibitors: Inhibitors,
        devices: Devices,
        others: Callable[[], Collection[Job]],
    ) -> None:
        self._config = config
        self._shelf = shelf
        self._mounting = mounting
        self._board = board
        self._inhibitors = inhibitors
        self._devices = devices
        self._others = others
        self._turns = Turns()
        self._errands = Errands()

    async def do(self, job: Job) -> None:
        """Do a job; returning is success, a Failure says what came in between."""
        match job.kind:
            case JobKind.SYNC:
                await self._sync(job)
            case JobKind.VERIFY:
                await self._verify(job)
            case JobKind.ROLLBACK:
                await self._roll_back(job)

    @asynccontextmanager
    async def _turn(self, job: Job, *things: Thing) -> AsyncIterator[None]:
        """Take these for the length of a block, unless the job is stopped first."""
        await job.halt.unless_asked(self._turns.take(*things))
        try:
            job.halt.flag.check()  # it may have been asked in the very moment in which they were free
            yield
        finally:
            self._turns.free(*things)

    async def _sync(self, job: Job) -> None:
        if job.seed is None:
            raise AssertionError("a sync without a seed")
        async with AsyncExitStack() as held:
            sync, readiness = await self._prepare(job, job.seed, held)
            with closing(sync):
                published = readiness in (Readiness.STAGED, Readiness.ADOPTABLE) and job.publish
                if published:
                    await self._publish(job, sync)
            if published:  # what the sync knew of every file is forgotten before the store is read again
                await self._show(job.bundle)
        if readiness is Readiness.CURRENT:
            self._board.report(tidings.current(job.bundle, job.wish.manifest_sha256), job.fields)
        finished = published or readiness is Readiness.CURRENT
        job.deed = f"{job.bundle} is synced" if finished else UNPUBLISHED[readiness].format(name=job.bundle)

    async def _prepare(self, job: Job, seed: Seed, held: AsyncExitStack) -> tuple[BundleSync, Readiness]:
        try:
            async with self._mounting.lease(seed, self._config(), job.halt.unless_asked) as root:
                reading = ("seed", seed.id)
                await job.halt.unless_asked(self._turns.take(_name(job), _copy(job), reading))
                held.callback(self._turns.free, _name(job), _copy(job))
                try:
                    job.halt.flag.check()
                    return await self._bring(job, seed, root)
                finally:
                    self._turns.free(reading)
        except Failure as failure:
            if not isinstance(failure, Interrupted) and await was_pulled(seed, failure, self._devices):
                raise SeedGone from failure
            raise

    async def _bring(self, job: Job, seed: Seed, root: int) -> tuple[BundleSync, Readiness]:
        """Bring the bundle into staging, by the configuration of this moment."""
        config = self._config()
        sync = BundleSync(self._shelf.store, job.wish, self._tools(job, config))

        def prepare() -> Readiness:
            with SeedFolder(root, config, seed.device) as folder:
                return sync.prepare(folder)

        self._begin(job)
        return sync, await job.halt.run(prepare, left_behind=sync.close)

    def _begin(self, job: Job) -> None:
        now = asyncio.get_running_loop().time()
        job.started_at = job.started_at or self._board.clock()
        job.milestones, job.standstill = Milestones(now), Standstill(now)
        verb, state = BEGINNINGS[job.kind]
        origin = f" from {job.seed.called}" if job.seed else ""
        self._board.tell(EventName.JOB_STARTED, f"{verb} {job.bundle}{origin}", job.fields)
        self._enter(job, state)

    async def _publish(self, job: Job, sync: BundleSync) -> None:
        self._enter(job, JobState.WAITING)
        receipt = None
        while receipt is None:
            await self._until_uninhibited(job)
            async with self._turn(job, PUBLISHING):
                if not self._inhibitors.reason:
                    self._enter(job, JobState.PUBLISHING)
                    receipt = await in_thread(sync.publish)
        job.wish = replace(job.wish, manifest_sha256=receipt.manifest_sha256)
        self._board.report(tidings.published(receipt), job.fields)

    async def _until_uninhibited(self, job: Job) -> None:
        while reason := self._inhibitors.reason:
            if (why := f"{job.bundle} is ready; its publication is held back by {reason}") != job.why_waiting:
                job.why_waiting = why
                self._board.tell(EventName.JOB_PROGRESS, why, job.counters)
                self._board.changed(job)
            await job.halt.unless_asked(self._inhibitors.news())
        job.why_waiting = ""

    async def _show(self, name: str) -> None:
        """Let everybody see what was published."""
        bundle = await self._shelf.refresh_one(name)
        if bundle:
            self._board.installed(bundle)

    async def _verify(self, job: Job) -> None:
        store, name = self._shelf.store, job.bundle
        async with self._turn(job, _name(job), VERIFYING):
            receipt = await in_thread(lambda: store.receipt(name))
            if receipt is None:
                await self._shelf.refresh_one(name)
                raise CallRefused(ErrorName.NOT_FOUND, f"{name} is not installed; dubseedctl list shows what is")
            self._begin(job)
            now, meter, flag = self._board.clock(), job.meter, job.halt.flag
            fresh = await job.halt.run(lambda: verify(store, receipt, meter, flag, now=now), left_behind=lambda: None)
            await self._shelf.refresh_one(name)
        if fresh.damage[0]:
            self._board.report(tidings.damaged(fresh), job.fields)
            raise StoreTrouble(ErrorName.of(fresh.damage[0]), fresh.damage[1])
        job.deed = f"{name} is verified"

    async def _roll_back(self, job: Job) -> None:
        store, name = self._shelf.store, job.bundle
        async with self._turn(job, _name(job), PUBLISHING):
            self._inhibitors.refuse(f"the rollback of {name}")
            self._begin(job)
            for tiding in await in_thread(lambda: roll_back(store, name, now=self._board.clock())):
                self._board.report(tiding, job.fields)
            await self._shelf.refresh_one(name)
        job.deed = f"{name} is rolled back"

    async def remove(self, name: str) -> None:
        """Delete an installed bundle, now or not at all: it is no job."""
        store, named = self._shelf.store, ("name", name)
        if named in self._turns:
            raise CallRefused(ErrorName.BUSY, f"a job works on {name}; wait until it has ended, or cancel it")
        async with self._turns.of(named, PUBLISHING):
            self._inhibitors.refuse(f"the removal of {name}")
            try:
                for tiding in await in_thread(lambda: remove(store, name)):
                    self._board.report(tiding)
            finally:
                await self._shelf.refresh_one(name)

    async def changes_end(self) -> None:
        """Wait until nothing is being published, rolled back or removed."""
        async with self._turns.of(PUBLISHING):
            pass

    async def stop(self) -> None:
        await self._errands.stop()

    def _tools(self, job: Job, config: Config) -> SyncTools:
        loop, meter = asyncio.get_running_loop(), job.meter
        meter.on_phase = lambda phase: _later(loop, self._follow, job, meter, phase)
        return SyncTools(
            config=config,
            meter=meter,
            stop=job.halt.flag,
            tell=lambda tiding: _later(loop, self._take_in, job, tiding),
            spoken_for=lambda: self._spoken_for(job),
        )

    def _spoken_for(self, job: Job) -> int:
        return sum(
            other.meter.room_wanted for other in self._others() if other is not job and other.state is JobState.COPYING
        )

    # What the thread tells

    def _take_in(self, job: Job, tiding: Tiding) -> None:
        """Report what was done to the store on the way, and let everybody see it."""
        self._board.report(tiding, job.fields)
        name = str(tiding.fields.get(Field.BUNDLE, ""))
        if tiding.event in (EventName.BUNDLE_ADOPTED, EventName.BUNDLE_INSTALLED):
            self._errands.run(self._show(name))
        elif tiding.event is EventName.BUNDLE_REMOVED and name:
            self._errands.run(self._shelf.refresh_one(name))

    def _follow(self, job: Job, meter: Meter, phase: JobState) -> None:
        """Take over the phase that a worker has begun; one that was left behind is not listened to."""
        if job.meter is meter and job.state.at_work:
            job.look(asyncio.get_running_loop().time(), self._board.clock())
            self._enter(job, phase)

    def _enter(self, job: Job, state: JobState) -> None:
        if job.state is not state:
            job.enter(state)
            self._board.changed(job)


def _later(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        log.debug("a thread spoke after the loop had ended")
