"""Metrics: what a monitoring system wants to know, as a file for the textfile collector of Prometheus' node_exporter.

They are written where [metrics] folder names one, when something has changed, and at most every ten seconds.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator

from dubseedd import __version__
from dubseedd.core.exposition import Family, Kind, exposition
from dubseedd.engine.durable import FOLDER, opened, write_file
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.trouble import way_to_write
from dubseedd.names import IDENTIFIER
from dubseedd.service.board import Listener
from dubseedd.service.conductor import Conductor
from dubseedd.service.job import MICROSECONDS, Job
from dubseedd.service.status import State
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

PAUSE_SECONDS = 10.0
FILE = f"{IDENTIFIER}.prom"
READABLE = 0o644


class Metrics(Listener):
    """A listener of the board that keeps the file as things are."""

    def __init__(self, conductor: Conductor, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._conductor = conductor
        self._pause_seconds = pause_seconds
        self._ended: Counter[tuple[str, str]] = Counter()
        self._moved_bytes = 0
        self._written = ("", "")
        self._told = ""
        self._stale = False
        self._writing: asyncio.Task[None] | None = None

    def ended(self, job: Job) -> None:
        self._ended[job.kind.value, job.state.value] += 1
        self._moved_bytes += job.seen.bytes_done
        self.overall()

    def overall(self) -> None:
        if not self._conductor.config.metrics.folder:
            return
        self._stale = True
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._keep_fresh(), name="metrics")

    async def _keep_fresh(self) -> None:
        """Write, and again as long as things change."""
        try:
            while self._stale:
                self._stale = False
                await self._write(exposition(self._families()))
                await asyncio.sleep(self._pause_seconds)
        finally:
            self._writing = None

    async def _write(self, text: str) -> None:
        folder = self._conductor.config.metrics.folder
        if not folder or (folder, text) == self._written:
            return
        try:
            await in_thread(lambda: write(folder, text.encode()))
            self._written, self._told = (folder, text), ""
        except OSError as error:
            if (trouble := _trouble(folder, error)) != self._told:
                self._told = trouble
                log.warning("%s", trouble)

    def _families(self) -> Iterator[Family]:
        conductor = self._conductor
        bundles = conductor.shelf.bundles.values()
        ours = [bundle for bundle in bundles if bundle.state is not BundleState.FOREIGN]
        gauge, counter = Kind.GAUGE, Kind.COUNTER
        yield Family("dubseedd_info", gauge, "The daemon that wrote this.", [({"version": __version__}, 1)])
        states = [({"state": state.value}, float(state is conductor.state)) for state in State]
        yield Family("dubseedd_state", gauge, "1 for the state that the daemon is in.", states)
        seeds = conductor.seeds.all.values()
        yield Family("dubseedd_seeds", gauge, "Seeds that are plugged in.", [({}, len(seeds))])
        running = sum(job.state.at_work for job in conductor.jobs.all.values())
        yield Family("dubseedd_jobs", gauge, "Jobs that have not ended.", [({}, running)])
        ended = [({"kind": kind, "result": result}, count) for (kind, result), count in self._ended.items()]
        yield Family("dubseedd_jobs_ended_total", counter, "Jobs that have ended since the start.", ended)
        words = "Bytes that ended jobs have copied or read back."
        yield Family("dubseedd_moved_bytes_total", counter, words, [({}, self._moved_bytes)])
        kinds = [({"bundle": one.name, "state": one.state.value}, 1) for one in bundles]
        yield Family("dubseedd_bundle_state", gauge, "The state of each bundle in the store.", kinds)
        sizes = [({"bundle": one.name}, one.size) for one in ours]
        yield Family("dubseedd_bundle_size_bytes", gauge, "The size of each bundle.", sizes)
        installed = [({"bundle": one.name}, one.installed_at / MICROSECONDS) for one in ours]
        yield Family("dubseedd_bundle_installed_timestamp_seconds", gauge, "When it was installed.", installed)
        verified = [({"bundle": one.name}, one.verified_at / MICROSECONDS) for one in ours]
        yield Family("dubseedd_bundle_verified_timestamp_seconds", gauge, "When it was last verified.", verified)


def write(folder: str, content: bytes) -> None:
    """Put the file into a folder, whole or not at all; everybody may read it."""
    with opened(folder, FOLDER) as descriptor:
        write_file(descriptor, FILE, content, mode=READABLE)


def _trouble(folder: str, error: OSError) -> str:
    way_out = way_to_write(folder, error) or "name another folder: [metrics] folder"
    return f"the metrics cannot be written to {folder} ({error.strerror}); {way_out}"
