"""Making one bundle on a stick, from a draft that was judged before: written, read back, and only then shown.

    what is new is written > SHA256SUMS, signed > everything to the disk
    everything is read back, last of all: a stick that lies about its size shows it only then
    B3SUMS > the switch

What the stick has already, under the same path and with the digest of the source, stays and is read back as well; what
is damaged of it is written after all.
"""

import os
import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass

from dubseedd.core.lifecycle import JobState
from dubseedd.core.manifest import Manifest
from dubseedd.core.stick import check_files, check_room, room_needed
from dubseedd.engine.durable import owned
from dubseedd.engine.former import Former
from dubseedd.engine.kernel import sync_file_system
from dubseedd.engine.meter import Meter
from dubseedd.engine.order import Order
from dubseedd.engine.papers import Papers
from dubseedd.engine.pump import Pump
from dubseedd.engine.reading_back import ReadingBack
from dubseedd.engine.source import has_changed
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.trouble import writing_stick
from dubseedd.engine.workshop import Workshop
from dubseedd.engine.writing import Writing
from dubseedd.errors import Failure
from dubseedd.names import MODEL_SIGNATURE

MAX_SIGNATURE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: `outcome` is made, refreshed or current; `copied` is how many of `size` bytes were written.

    Writing took its time with everything on the disk, reading back with every byte of `size`. `removed` is what
    somebody had put into the former bundle.
    """

    outcome: str
    manifest_sha256: str
    files: int
    size: int
    copied: int
    signed: bool
    write_seconds: float
    read_seconds: float
    removed: tuple[str, ...]


class Making:
    """Makes one bundle, or brings it up to date. Blocks; raises a Failure, and the former bundle is as it was."""

    def __init__(self, workshop: Workshop, order: Order, meter: Meter, stop: StopFlag) -> None:
        self._shop = workshop
        self._order = order
        self._sizes = order.draft.sizes
        self._meter = meter
        self._stop = stop
        self._kept: dict[str, str] = {}
        """The SHA-256 of what stays, by path."""
        self._blake3: dict[str, str] = {}
        """Of what stays, as it was read back."""
        self._write_seconds = self._read_seconds = 0.0

    def run(self) -> Made:
        name = self._order.name
        with ExitStack() as undo, writing_stick(name):
            self._former = undo.enter_context(Former(self._shop.former(name)))
            missing = self._plan()
            self._new = undo.enter_context(owned(self._shop.begin(name)))
            self._writing = Writing(self._order, self._new, self._meter, self._stop)
            self._papers = Papers(self._new)
            self._write(missing)
            manifest = self._write_papers()
            sync_file_system(self._new)
            while damaged := self._read_back():
                self._write(damaged)
            return self._put_in_place(manifest)

    def _plan(self) -> list[str]:
        """Find out what stays; the paths of what has to be written, for which the stick has room."""
        self._meter.enter(JobState.PLANNING)
        sizes = self._sizes
        check_files(self._order.filesystem, sizes.items())
        self._meter.files_total = len(sizes)
        self._meter.bytes_total = self._order.size
        self._meter.work_total = 2 * self._order.size
        with Pump(self._stop) as pump:
            for path in (path for path in sizes if self._former.has(path, sizes[path])):
                if self._order.source.sha256_of(path, pump) == self._former.digests[path]:
                    self._kept[path] = self._former.digests[path]
                    self._meter.found(sizes[path])
                    self._meter.worked(sizes[path])
                    self._meter.finished()
        missing = [path for path in sizes if path not in self._kept]
        room = os.fstatvfs(self._shop.root)
        check_room(room_needed((sizes[path] for path in missing), room.f_frsize), room.f_bavail * room.f_frsize)
        return missing

    def _write(self, paths: Collection[str]) -> None:
        """Write these files, and wait until all that was written is on the disk. SeedRefused where one that was to stay
        is another by now: SHA256SUMS lists what it was."""
        self._meter.enter(JobState.COPYING)
        began = time.monotonic()
        self._writing.write(paths)
        sync_file_system(self._new)
        self._write_seconds += time.monotonic() - began
        for path in paths:
            listed = self._kept.pop(path, None)
            if listed and listed != self._writing.digests[path].sha256:
                raise has_changed(path)

    def _write_papers(self) -> Manifest:
        order, papers = self._order, self._papers
        if order.draft.signature:
            papers.put_model_signature(order.source.read(MODEL_SIGNATURE, MAX_SIGNATURE_BYTES))
        else:
            papers.put_about(self._former.about(order.about))
        written = {path: digests.sha256 for path, digests in self._writing.digests.items()}
        manifest = papers.put_manifest(order.name, self._kept | written)
        if order.key:
            papers.sign(order.key)
        return manifest

    def _read_back(self) -> list[str]:
        """Compare everything, as the stick gives it back, with what it has to be: the paths of what was there before
        and is damaged. StoreTrouble where that is what was just written."""
        self._meter.enter(JobState.VERIFYING)
        began = time.monotonic()
        damaged = []
        with Pump(self._stop) as pump:
            back = ReadingBack(pump, self._meter)
            for path, size in self._sizes.items():
                self._stop.check()
                self._meter.current_file = path
                if path not in self._kept:
                    back.prove(self._new, path, size, self._writing.digests[path].blake3)
                elif blake3 := back.look(self._former.folder, path, size, self._kept[path]):
                    self._blake3[path] = blake3
                else:
                    damaged.append(path)
            for name, raw in self._papers.written.items():
                back.prove_bytes(self._new, name, raw)
        self._meter.current_file = ""
        self._read_seconds += time.monotonic() - began
        return damaged

    def _put_in_place(self, manifest: Manifest) -> Made:
        self._stop.check()
        self._meter.enter(JobState.PUBLISHING)
        name, written = self._order.name, self._writing.digests
        self._papers.put_blake3(self._blake3 | {path: digests.blake3 for path, digests in written.items()})
        same = self._former.manifest_sha256 == manifest.sha256
        strangers = self._strangers(will_stay=same)
        if not same:
            self._shop.publish(name, manifest)
        elif written or self._order.key:
            self._shop.replace(name, [*written, *self._papers.written])
        if same and strangers:
            self._shop.clean(name, strangers)
        self._shop.put_leaflet()
        changed = bool(written or strangers or self._order.key or not same)
        return Made(
            outcome="made" if not self._former.is_there else "refreshed" if changed else "current",
            manifest_sha256=manifest.sha256,
            files=len(manifest.entries),
            size=self._order.size,
            copied=sum(self._sizes[path] for path in written),
            signed=bool(self._order.key),
            write_seconds=self._write_seconds,
            read_seconds=self._read_seconds,
            removed=strangers,
        )

    def _strangers(self, *, will_stay: bool) -> tuple[str, ...]:
        """What somebody has put into the former bundle. Where that is replaced as a whole, it may be past reading."""
        try:
            return self._former.strangers(self._sizes.keys())
        except (OSError, Failure):
            if will_stay:
                raise
            return ()
