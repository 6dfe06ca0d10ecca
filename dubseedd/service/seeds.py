"""Seeds: what is plugged in, from its plug to its pull, and what is done with it unasked.

    plugged > looked at (`inspection`) > jobs > done

A seed that was present at start waits until all of those have been looked at: where two bring different content under
one name, neither is installed unasked.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

from dubseedd.core.config import Automatic, Config
from dubseedd.core.device import BlockDevice, BlockEvent, Change, Number, Plugs
from dubseedd.core.lifecycle import JobState, SeedState
from dubseedd.engine.syncing import Wish
from dubseedd.errors import Failure, SeedRefused, StoreTrouble
from dubseedd.names import ErrorName, EventName, Field
from dubseedd.service.awaited import Awaited
from dubseedd.service.board import Board
from dubseedd.service.errands import Errands
from dubseedd.service.inspection import Inspection
from dubseedd.service.job import Job
from dubseedd.service.jobs import Jobs
from dubseedd.service.mounting import Mounting, being_made
from dubseedd.service.ports import Arrivals, Disks
from dubseedd.service.seed import Seed
from dubseedd.service.trust import Trust

log = logging.getLogger(__name__)


class Seeds:
    """The seeds that are plugged in, by device number."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        disks: Disks,
        mounting: Mounting,
        inspection: Inspection,
        jobs: Jobs,
        board: Board,
        trust: Trust,
        arrivals: Arrivals,
    ) -> None:
        self._config = config
        self._disks = disks
        self._mounting = mounting
        self._inspection = inspection
        self._jobs = jobs
        self._board = board
        self._trust = trust
        self._plugs = Plugs(config().seed.label)
        self._awaited = Awaited(arrivals, self._arrived)
        self._errands = Errands()
        self._stopping = False
        self.all: dict[Number, Seed] = {}

    # What udev tells

    def observe(self, event: BlockEvent) -> None:
        """Take in one event; a seed that it has plugged in is looked at."""
        self._serve(self._plugged_by(event))

    def reconcile(self, listed: Iterable[BlockDevice]) -> None:
        """Compare with a fresh listing, at start or after lost events; the seeds that are new are looked at."""
        devices = list(listed)
        for gone in self._plugs.missing_from(frozenset(device.number for device in devices)):
            self._remove(gone.number)
        self._serve([seed for device in devices for seed in self._plugged_by(BlockEvent("present", device))])

    def _plugged_by(self, event: BlockEvent) -> list[Seed]:
        plugged = []
        for change in self._plugs.observe(event):
            if change is Change.PLUGGED:
                plugged.append(self._add(event.device))
            elif change is Change.UNPLUGGED:
                self._remove(event.device.number)
        return plugged

    def relabel(self, label: str) -> None:
        """Look for another label from now on; the next listing sorts out what that changes."""
        self._plugs.label = label

    def mounts_changed(self, number: Number, points: tuple[str, ...]) -> None:
        """Somebody has mounted or unmounted a device."""
        seed = self.all.get(number)
        if seed is not None and points != seed.mount_points:
            self._mounting.mounts_changed(seed, points)

    def _add(self, device: BlockDevice) -> Seed:
        taken = {seed.id for seed in self.all.values()}
        base = device.uuid or device.node.removeprefix("/dev/")
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        seed = Seed(name, device, mount_points=self._disks.mount_points(device.number))
        self.all[device.number] = seed
        self._board.tell(
            EventName.SEED_ADDED,
            f"{seed.called} is plugged in: {device.filesystem}, {device.size:,} bytes",
            seed.fields,
        )
        self._board.changed(seed)
        return seed

    def _remove(self, number: Number) -> None:
        seed = self.all.pop(number, None)
        if seed is None:
            return
        self._awaited.forget(seed)
        seed.gone.set()
        seed.looked_at.set()
        seed.enter(SeedState.GONE)
        self._jobs.seed_gone(seed)
        self._mounting.let_go(seed, self._config())
        self._board.tell(EventName.SEED_REMOVED, f"{seed.called} is gone", seed.fields)
        self._board.changed(seed)
        self._board.gone(seed)

    # Looking at seeds

    def _serve(self, seeds: list[Seed], among: Iterable[Seed] = ()) -> None:
        """Look at these seeds and start what is to be done without being asked, unless another of them, or of those
        `among` which they are, brings other content."""
        if seeds and not self._stopping:
            self._errands.run(self._look_and_start(seeds, among))

    def scan(self) -> None:
        """Look anew at every seed that is at rest, as at start: content that differs from any seed's is a conflict."""
        self._look_again(list(self.all.values()), among=self.all.values())

    def _look_again(self, seeds: Iterable[Seed], among: Iterable[Seed] = ()) -> None:
        """Look anew at those that are at rest, as at ones just plugged in."""
        if self._stopping:
            return
        idle = [seed for seed in seeds if seed.looked_at.is_set() and not seed.state.busy and not seed.lent]
        for seed in idle:
            seed.looked_at.clear()
            seed.enter(SeedState.MOUNTING)
            self._board.changed(seed)
        self._serve(idle, among)

    def _arrived(self, seed: Seed) -> None:
        """Something was written to it: look again, as soon as the seed is at rest."""
        seed.outdated = True
        self._look_if_outdated(seed)

    def _look_if_outdated(self, seed: Seed) -> None:
        if seed.outdated and not seed.state.busy:
            seed.outdated = False
            self._look_again([seed])

    def lend(self, seed: Seed, until: Callable[[], Awaitable[None]]) -> None:
        """Leave a seed that nobody reads any more to somebody who writes to it, until that has ended."""
        seed.lent = True
        seed.offers, seed.verdicts = {}, {}
        seed.enter(SeedState.FAILED, being_made(seed))
        self._board.changed(seed)
        self._errands.run(self._take_back(seed, until()))

    async def _take_back(self, seed: Seed, until: Awaitable[None]) -> None:
        await until
        seed.lent = False
        if not seed.gone.is_set():
            self._look_again([seed])

    async def stop(self) -> None:
        """Look at no seed any more."""
        self._stopping = True
        await self._awaited.stop(self.all.values())
        await self._errands.stop()

    async def _look_and_start(self, seeds: list[Seed], among: Iterable[Seed]) -> None:
        """Each seed stays mounted until its jobs are queued: those hold leases of their own."""
        config = self._config()
        await self._trust.look()
        async with AsyncExitStack() as leases:
            await asyncio.gather(*(self._inspection.look(seed, config, leases) for seed in seeds))
            conflicts = self._conflicts((*seeds, *among))
            for seed in seeds:
                self._start_jobs(seed, config, conflicts)
        for seed in seeds:
            if not seed.gone.is_set():
                self._awaited.follow(seed, config)
                self.settle(seed)

    def _conflicts(self, seeds: Iterable[Seed]) -> set[str]:
        """The names under which seeds bring different content."""
        versions: dict[str, set[str]] = {}
        for seed in seeds:
            for offer in seed.offers.values():
                if not offer.refusal:
                    versions.setdefault(offer.name, set()).add(offer.manifest_sha256)
        return {name for name, digests in versions.items() if len(digests) > 1}

    def _start_jobs(self, seed: Seed, config: Config, conflicts: set[str]) -> None:
        if seed.gone.is_set():
            return
        self._jobs.resume(seed)
        for name in sorted(seed.offers):
            if not seed.wants(name) or config.sync.automatic is Automatic.OFF:
                continue
            if name in conflicts:
                self._refuse_conflict(seed, name)
                continue
            wish = Wish(name, manifest_sha256=seed.offers[name].manifest_sha256)
            if not any(job.bundle == name for job in self._jobs.unfinished(seed)):
                self._jobs.sync(seed, wish, publish=config.sync.automatic is Automatic.PUBLISH)

    def _refuse_conflict(self, seed: Seed, name: str) -> None:
        digest = seed.offers[name].manifest_sha256
        rivals = [
            other.called
            for other in self.all.values()
            if (offer := other.offers.get(name)) and not offer.refusal and offer.manifest_sha256 != digest
        ]
        others = ", ".join(sorted(rivals))
        seed.verdicts[name] = ErrorName.CONFLICT.full
        sentence = (
            f"{name} is on {seed.called} and with other content on {others}; choose one: "
            f"dubseedctl sync --seed {seed.device.node} --bundle {name}"
        )
        fields = {Field.BUNDLE: name, Field.ERROR: ErrorName.CONFLICT.full}
        self._board.tell(EventName.BUNDLE_REFUSED, sentence, {**seed.fields, **fields})

    # What follows from the store and from jobs

    async def follow_up(self, job: Job) -> None:
        """A job has ended: the store has changed, or a seed has less to do, and what waited for that may go on."""
        await self.judge_again(job.bundle)
        for seed in self._offering(job.bundle):
            if job.state is not JobState.QUEUED:
                self._jobs.resume(seed)
            self.settle(seed)

    async def judge_again(self, bundle: str) -> None:
        """Compare what the seeds have of a bundle with what the store has now."""
        for seed in self._offering(bundle):
            try:
                await self._inspection.judge(seed)
            except Failure as failure:
                log.error("%s", failure.sentence)  # noqa: TRY400 - the sentence says it all

    def _offering(self, bundle: str) -> list[Seed]:
        return [seed for seed in self.all.values() if bundle in seed.offers]

    def settle(self, seed: Seed) -> None:
        """Let a seed's state follow from its jobs."""
        looked_at = seed.looked_at.is_set() and seed.state is not SeedState.MOUNTING
        if seed.gone.is_set() or not looked_at or (seed.state is SeedState.FAILED and not seed.offers):
            return
        if self._jobs.unfinished(seed):
            self._enter(seed, SeedState.WORKING)
            return
        latest = {job.bundle: job for job in self._jobs.all.values() if job.seed is seed}
        failures = [
            Failure(job.failure.error, f"{job.bundle}: {job.failure.sentence}")
            for job in latest.values()
            if isinstance(job.failure, SeedRefused | StoreTrouble)
        ]
        if failures:
            seed.enter(SeedState.FAILED, failures[-1])
            self._board.changed(seed)
        else:
            self._enter(seed, SeedState.DONE)
        self._look_if_outdated(seed)

    def _enter(self, seed: Seed, state: SeedState) -> None:
        if seed.state is not state and not seed.gone.is_set():
            seed.enter(state)
            self._board.changed(seed)
