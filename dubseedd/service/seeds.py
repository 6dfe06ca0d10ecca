"""Seeds: plugging in, looking at them, pulling out.

    plugged > its disk is known > mounted (a lease) > scanned > judged against the store > jobs > unmounted

A seed that was present at start waits until all of those have been looked at: where two bring different content under
one name, neither is installed unasked.
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack

from dubseedd.core import tidings
from dubseedd.core.config import Automatic, Config
from dubseedd.core.device import BlockDevice, BlockEvent, Change, Number, Plugs, check_filesystem, check_loop
from dubseedd.core.lifecycle import SeedState
from dubseedd.core.sentence import shown, signed_by
from dubseedd.engine.scanning import Offer
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Wish
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import Failure, Interrupted, SeedGone, SeedRefused, StoreTrouble
from dubseedd.names import MANIFEST, ErrorName, EventName, Field
from dubseedd.service.board import Board
from dubseedd.service.jobs import Jobs
from dubseedd.service.mounting import Mounting, being_made
from dubseedd.service.ports import Arrivals, Disks
from dubseedd.service.reading import open_folder, was_pulled
from dubseedd.service.seed import Seed
from dubseedd.service.trust import Trust
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

MOST_AWAITED = 32
"""Manifests that are waited for at a time, each by a watch: root has 128 of them for all that it runs. When one comes,
the others have their turn."""

ON_ITS_WAY = (ErrorName.MANIFEST_MISSING, ErrorName.MANIFEST_INVALID)
"""What a bundle seems guilty of while somebody writes it."""


class Seeds:
    """The seeds that are plugged in, by device number."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        store: Store,
        disks: Disks,
        mounting: Mounting,
        jobs: Jobs,
        board: Board,
        trust: Trust,
        arrivals: Arrivals,
        present: Callable[[Seed], bool],
    ) -> None:
        self._config = config
        self._store = store
        self._disks = disks
        self._mounting = mounting
        self._jobs = jobs
        self._board = board
        self._trust = trust
        self._arrivals = arrivals
        self._present = present
        self._plugs = Plugs(config().seed.label)
        self._tasks: set[asyncio.Task[None]] = set()
        self._judging = asyncio.Lock()
        self._awaited: dict[Number, list[Callable[[], None]]] = {}
        """The undo of each watch for a manifest."""
        self.all: dict[Number, Seed] = {}

    # What udev tells

    def observe(self, event: BlockEvent) -> list[Seed]:
        """Take in one event; returns the seed that it plugged in, if any, which is not looked at yet."""
        plugged = []
        for change in self._plugs.observe(event):
            if change is Change.PLUGGED:
                plugged.append(self._add(event.device))
            elif change is Change.UNPLUGGED:
                self._remove(event.device.number)
        return plugged

    def reconcile(self, listed: Iterable[BlockDevice]) -> list[Seed]:
        """Compare with a fresh listing, at start or after lost events; returns the seeds that are new."""
        devices = list(listed)
        for gone in self._plugs.missing_from(frozenset(device.number for device in devices)):
            self._remove(gone.number)
        return [seed for device in devices for seed in self.observe(BlockEvent("present", device))]

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
        self._await_no_more(seed)
        seed.gone.set()
        seed.looked_at.set()
        seed.enter(SeedState.GONE)
        self._jobs.seed_gone(seed)
        self._mounting.let_go(seed, self._config())
        self._board.tell(EventName.SEED_REMOVED, f"{seed.called} is gone", seed.fields)
        self._board.changed(seed)
        self._board.gone(seed)

    # Looking at seeds

    def serve(self, seeds: list[Seed]) -> None:
        """Look at these seeds and start what is to be done without being asked."""
        if seeds:
            self._keep(self._serve(seeds))

    def look_again(self) -> None:
        """Look anew at every seed that is at rest, as at one just plugged in."""
        idle = [seed for seed in self.all.values() if seed.looked_at.is_set() and not seed.state.busy and not seed.lent]
        for seed in idle:
            seed.looked_at.clear()
            seed.enter(SeedState.MOUNTING)
            self._board.changed(seed)
        self.serve(idle)

    async def _await_manifests(self, seed: Seed, config: Config) -> None:
        """A bundle whose manifest is missing, or half of one, may still be on its way, where somebody else has the seed
        mounted: look again when it has been written."""
        self._await_no_more(seed)
        folders = {
            f"{point}/{config.seed.models}/{one.name}": one.refusal.error
            for point in seed.others_mounts[:1]
            for one in seed.offers.values()
            if one.refusal and one.refusal.error in ON_ITS_WAY
        }
        room = MOST_AWAITED - sum(len(undos) for undos in self._awaited.values())
        self._awaited[seed.device.number] = [
            self._arrivals.watch(folder, MANIFEST, lambda: self._arrived(seed))
            for folder in itertools.islice(folders, room)
        ]
        missing = [folder for folder, error in folders.items() if error is ErrorName.MANIFEST_MISSING]

        def is_there() -> bool:
            return any(os.path.exists(f"{folder}/{MANIFEST}") for folder in missing)

        if await in_thread(is_there):
            self._arrived(seed)

    def _await_no_more(self, seed: Seed) -> None:
        for undo in self._awaited.pop(seed.device.number, ()):
            undo()

    def _arrived(self, seed: Seed) -> None:
        """A manifest is there: look again, as soon as the seed is at rest."""
        self._await_no_more(seed)
        seed.outdated = True
        self._look_if_outdated(seed)

    def _look_if_outdated(self, seed: Seed) -> None:
        if seed.outdated and not seed.state.busy:
            seed.outdated = False
            self.look_again()

    def lend(self, seed: Seed, until: Callable[[], Awaitable[None]]) -> None:
        """Leave a seed that nobody reads any more to somebody who writes to it, until that has ended."""
        seed.lent = True
        seed.offers, seed.verdicts = {}, {}
        seed.enter(SeedState.FAILED, being_made(seed))
        self._board.changed(seed)
        self._keep(self._take_back(seed, until()))

    async def _take_back(self, seed: Seed, until: Awaitable[None]) -> None:
        await until
        seed.lent = False
        if not seed.gone.is_set():
            self.look_again()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for seed in self.all.values():
            self._await_no_more(seed)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, seeds: list[Seed]) -> None:
        """Each seed stays mounted until its jobs are queued: those hold leases of their own."""
        config = self._config()
        await self._trust.look()
        async with AsyncExitStack() as leases:
            await asyncio.gather(*(self._look(seed, config, leases) for seed in seeds))
            conflicts = self._conflicts(seeds)
            for seed in seeds:
                self._start_jobs(seed, config, conflicts)
        for seed in seeds:
            self.settle(seed)

    async def _look(self, seed: Seed, config: Config, leases: AsyncExitStack) -> None:
        """Accept, mount, scan and judge one seed; whatever is wrong with it is told and concerns no other."""
        try:
            await seed.unless_gone(asyncio.ensure_future(self._accept(seed, config)))
            root = await leases.enter_async_context(self._mounting.lease(seed, config, seed.unless_gone))
            await self._scan(seed, config, root)
        except Failure as failure:
            await self._give_up(seed, failure)
        except Exception:
            log.exception("looking at %s", seed.device.node)
            await self._give_up(seed, Failure(ErrorName.INTERNAL, "internal error, see the journal"))
        finally:
            seed.looked_at.set()

    async def _accept(self, seed: Seed, config: Config) -> None:
        """Is this a device to take a seed from at all?"""
        check_filesystem(seed.device, config.seed.filesystems)
        for node in seed.device.loops:
            check_loop(seed.device, node, await self._disks.loop_owner(node))

    async def _scan(self, seed: Seed, config: Config, root: int) -> None:
        self._enter(seed, SeedState.SCANNING)

        def scan() -> list[Offer]:
            with open_folder(root, seed, config) as folder:
                return folder.offers(config.seed.bundles)

        offers = await seed.unless_gone(in_thread(scan))
        for offer in offers:
            if offer.refusal and await was_pulled(seed, offer.refusal, self._present):
                raise SeedGone
        seed.offers = {offer.name: offer for offer in offers}
        await self.judge(seed)
        for offer in offers:
            self._tell_offer(seed, offer)
        await self._await_manifests(seed, config)

    def _tell_offer(self, seed: Seed, offer: Offer) -> None:
        fields: dict[Field, str | int] = {
            **seed.fields,
            Field.BUNDLE: offer.name,
            Field.MANIFEST: offer.manifest_sha256,
        }
        name = shown(offer.name)
        if offer.refusal:
            extra = {Field.ERROR: offer.refusal.error.full, Field.FILE: offer.refusal.file}
            self._board.tell(
                EventName.BUNDLE_REFUSED,
                f"{name} is refused: {offer.refusal.sentence}",
                {**fields, **extra},
            )
            return
        notes = f"; {'; '.join(offer.notes)}" if offer.notes else ""
        size = {Field.BYTES_TOTAL: offer.size}
        verdict = seed.verdicts[offer.name]
        self._board.tell(
            EventName.BUNDLE_FOUND,
            f"{name}, {offer.size:,} bytes{signed_by(offer.signer)}, is {verdict}{notes}",
            {**fields, **size},
        )
        if verdict == "current":
            self._board.report(tidings.current(offer.name, offer.manifest_sha256), fields)

    async def judge(self, seed: Seed) -> None:
        """Compare what a seed offers with the store, as it is now; one at a time, or the last word would be any."""

        def verdicts() -> dict[str, tuple[str, bool]]:
            found: dict[str, tuple[str, bool]] = {}
            for offer in seed.offers.values():
                if offer.refusal:
                    found[offer.name] = (offer.refusal.error.full, False)
                else:
                    verdict, unasked = self._store.verdict(offer.name, offer.manifest_sha256, offer.entries)
                    found[offer.name] = (verdict.value, unasked)
            return found

        async with self._judging:
            with writing_store(self._store.path):
                judged = await in_thread(verdicts)
            seed.verdicts = {name: verdict for name, (verdict, _) in judged.items()}
            seed.unasked = {name for name, (_, unasked) in judged.items() if unasked}
        self._board.changed(seed)

    def _conflicts(self, seeds: list[Seed]) -> set[str]:
        """The names under which seeds that came together bring different content."""
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
        others = ", ".join(
            sorted(other.called for other in self.all.values() if name in other.offers and other is not seed)
        )
        seed.verdicts[name] = ErrorName.CONFLICT.full
        sentence = (
            f"{name} is on {seed.called} and with other content on {others}; choose one: "
            f"dubseedctl sync --seed {seed.device.node} --bundle {name}"
        )
        fields = {Field.BUNDLE: name, Field.ERROR: ErrorName.CONFLICT.full}
        self._board.tell(EventName.BUNDLE_REFUSED, sentence, {**seed.fields, **fields})

    async def _give_up(self, seed: Seed, failure: Failure) -> None:
        if isinstance(failure, Interrupted) or await was_pulled(seed, failure, self._present):
            return
        seed.offers, seed.verdicts = {}, {}
        seed.enter(SeedState.FAILED, failure)
        fields = {**seed.fields, Field.ERROR: failure.error.full}
        self._board.tell(EventName.SEED_REFUSED, f"{seed.called} is refused: {failure.sentence}", fields)
        self._board.changed(seed)

    # Its state

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
