"""The conductor: brings the parts together and keeps them going. udev and UDisks2 report to it; what it may be
asked for is in `requests`.

It owns all state, on one loop. Its parts: Seeds (plugged in), Jobs (work), Shelf (the store), Mounting, and the Board
on which every change is posted.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

from dubseedd import __version__
from dubseedd.core.config import Config
from dubseedd.core.lifecycle import JobState
from dubseedd.engine.housekeeping import expire_staging
from dubseedd.engine.mounts import MountRecord
from dubseedd.engine.settling import settle
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import NO_ERROR, Stopping
from dubseedd.names import EventName
from dubseedd.service.board import Board
from dubseedd.service.errands import Errands
from dubseedd.service.inhibitors import Inhibitors
from dubseedd.service.inspection import Inspection
from dubseedd.service.job import Job
from dubseedd.service.jobs import Jobs
from dubseedd.service.mounting import Mounting
from dubseedd.service.ports import Arrivals, Clock, Devices, Disks, Recorder, Sleep
from dubseedd.service.scrub import Scrub
from dubseedd.service.seeds import Seeds
from dubseedd.service.shelf import Shelf
from dubseedd.service.status import State, overall, sentence
from dubseedd.service.trust import Trust
from dubseedd.service.wakefulness import Wakefulness
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

T = TypeVar("T")


class Conductor:
    """The whole of dubseedd but its edges."""

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        devices: Devices,
        disks: Disks,
        sleep: Sleep,
        arrivals: Arrivals,
        recorder: Recorder,
        runtime_folder: str,
        clock: Clock = lambda: time.time_ns() // 1000,
    ) -> None:
        self.config = config
        self.store = store
        self._devices = devices
        self.disks = disks
        self.recorder = recorder
        self.board = Board(recorder, clock)
        self.shelf = Shelf(store, self.board)
        self._trust = Trust(lambda: self.config, self.board)
        self.mounting = Mounting(disks, MountRecord(runtime_folder), self.board)
        self.inhibitors = Inhibitors(self.board)
        self.jobs = Jobs(
            config=lambda: self.config,
            shelf=self.shelf,
            mounting=self.mounting,
            board=self.board,
            inhibitors=self.inhibitors,
            devices=devices,
            after_end=self._after_job,
        )
        self.seeds = Seeds(
            config=lambda: self.config,
            disks=disks,
            mounting=self.mounting,
            inspection=Inspection(store=store, devices=devices, disks=disks, mounting=self.mounting, board=self.board),
            jobs=self.jobs,
            board=self.board,
            trust=self._trust,
            arrivals=arrivals,
        )
        self._scrub = Scrub(
            config=lambda: self.config,
            shelf=self.shelf,
            board=self.board,
            busy=self._busy,
            after=self.seeds.judge_again,
        )
        self._wakefulness = Wakefulness(sleep, self.jobs.all)
        self._undo: list[Callable[[], None]] = []
        self._errands = Errands()

    def _busy(self) -> bool:
        """Is a seed worked on, or any job?"""
        return any(job.state.at_work for job in self.jobs.all.values()) or any(
            seed.state.busy for seed in self.seeds.all.values()
        )

    # Life

    async def start(self) -> None:
        """Finish what a crash cut short, look at the store and at every seed that is there; then follow events."""
        settled = await self._in_store(lambda: settle(self.store))
        for tiding in settled.told:
            self.board.report(tiding)
        for trouble in settled.troubles:
            log.error("what was cut short cannot be finished yet: %s; check the store's disk", trouble)
        self.board.tell(
            EventName.STARTED, f"dubseedd {__version__} watches for seeds labelled {self.config.seed.label}"
        )
        self._undo.append(self.disks.watch(self.seeds.mounts_changed))
        self._undo.append(self._devices.watch(self.seeds.observe, self._list_devices))
        await self._look_around()
        self.board.listeners.append(self._wakefulness)
        self._scrub.start()

    async def stop(self) -> None:
        """Stop all work; what was verified is kept, what we mounted is unmounted."""
        for undo in reversed(self._undo):
            undo()
        await self._scrub.stop()
        await self.seeds.stop()
        await self.jobs.stop(Stopping())
        await self._errands.stop()
        await self.mounting.stop(self.seeds.all.values())
        self._wakefulness.stop()
        self.inhibitors.stop()
        self.board.tell(EventName.STOPPED, "dubseedd has stopped")

    def reconfigure(self, config: Config) -> None:
        """Take a new configuration; jobs that run keep the one they began with."""
        if config.store.path != self.config.store.path:
            log.warning(
                "[store] path is taken over when dubseedd is started again; until then it is %s",
                self.store.path,
            )
        self.config = config
        self._errands.run(self._trust.look())
        self.seeds.relabel(config.seed.label)
        self._list_devices()
        self.board.overall()

    def _list_devices(self) -> None:
        self.seeds.reconcile(self._devices.listed())

    async def _look_around(self) -> None:
        await self._trust.look()
        await self._keep_house()
        with writing_store(self.store.path):
            await self.shelf.refresh()
        self._list_devices()

    async def look_again(self) -> None:
        """Look for seeds and at the store, as at start."""
        await self._look_around()
        self.seeds.scan()
        self.board.overall()

    async def _in_store(self, work: Callable[[], T]) -> T:
        """Blocking work on the store; the system's errors come as StoreTrouble."""
        with writing_store(self.store.path):
            return await in_thread(work)

    async def _keep_house(self) -> None:
        for tiding in await self._in_store(lambda: list(expire_staging(self.store, time.time()))):
            self.board.report(tiding)

    def _after_job(self, job: Job) -> None:
        self._errands.run(self.seeds.follow_up(job))

    # What everybody may know

    @property
    def state(self) -> State:
        return overall(self.jobs.all.values(), self.jobs.last_ended)

    @property
    def status(self) -> str:
        installed = sum(bundle.state is not BundleState.FOREIGN for bundle in self.shelf.bundles.values())
        return sentence(
            self.state,
            self.jobs.all.values(),
            self.seeds.all.values(),
            self.jobs.last_ended,
            installed,
            label=self.config.seed.label,
            scrubbed=self._scrub.bundle,
        )

    @property
    def percent(self) -> int:
        """Over all jobs at work; 100 while there are none."""
        running = [job for job in self.jobs.all.values() if job.state.at_work]
        return sum(job.percent for job in running) // len(running) if running else 100

    @property
    def last_error(self) -> tuple[str, str]:
        ended = self.jobs.last_ended
        return ended.error if ended is not None and ended.state is JobState.FAILED else NO_ERROR

    @property
    def safe_to_remove(self) -> bool:
        return all(seed.safe_to_remove for seed in self.seeds.all.values())

    @property
    def trust(self) -> str:
        """integrity: digests alone decide; signed: an enrolled key has to have signed them."""
        return self._trust.word


def runtime_folder(default: str) -> str:
    """Where mounts are recorded: systemd's RuntimeDirectory=, else the default."""
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or default
