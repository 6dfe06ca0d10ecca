"""Shards: the large files of a bundle, one at a time through a pipeline; several where hashing cannot keep up.

    seed ──> pump ──┬──> SHA-256, BLAKE3          the trail behind it: marks, read back (see trailing)
                    └──> staging

A file that was begun before goes on after the last mark up to which the disk still has what was noted. One that the
store has already shares its blocks, or is copied where the file system cannot share.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from dubseedd.core.bundle import BundleFile
from dubseedd.core.plan import Origin, Step
from dubseedd.engine import copying, tree
from dubseedd.engine.copying import Count, Hashes, HashWatch
from dubseedd.engine.durable import owned
from dubseedd.engine.kernel import clone
from dubseedd.engine.lanes import Lanes
from dubseedd.engine.meter import Ahead
from dubseedd.engine.pump import BLOCK_BYTES, Block, Pump, ReadError
from dubseedd.engine.records import record
from dubseedd.engine.second_look import mismatch
from dubseedd.engine.trailing import Mark, ReadBack, Trail
from dubseedd.engine.transfer import Transfer
from dubseedd.engine.trouble import reading_seed, writing_store
from dubseedd.errors import SeedRefused

MOST_LANES = 3
TRAIL_BLOCKS = 2


class Place(NamedTuple):
    """Where a file goes: the descriptor of its folder in staging, and its name there."""

    folder: int
    name: str


class _Lane(NamedTuple):
    """What one thread works with."""

    pump: Pump
    trail_pump: Pump
    lanes: Lanes[Step]


class Shards:
    """Brings large files. `behind` are those that are still to be read back, each with the mark at its end."""

    def __init__(self, transfer: Transfer) -> None:
        self.behind: list[tuple[ReadBack, Mark]] = []
        self._transfer = transfer
        self._meter = transfer.meter
        self._staging = transfer.staging
        self._overlap = transfer.tools.overlap
        self._lock = threading.Lock()

    def bring(self, steps: Sequence[Step], brought: Callable[[BundleFile], None]) -> None:
        """Bring every file into staging, each whole, on the disk and recorded.

        `brought` is called with each that is there, in the thread that has brought it; it may refuse the bundle.
        """

        @contextmanager
        def lane(lanes: Lanes[Step]) -> Iterator[Callable[[Step], None]]:
            with Pump(lanes.stop) as pump, Pump(lanes.stop, blocks=TRAIL_BLOCKS) as trail_pump:
                yield lambda step: self._bring(step, _Lane(pump, trail_pump, lanes), brought)

        Lanes(steps, lane, self._transfer.tools.stop).run()

    def copied(self, length: int) -> None:
        """So much came from the seed."""
        self._meter.copied(length)
        if self._transfer.reads_back:
            with self._lock:
                self._overlap.copied(time.monotonic(), length)

    def _bring(self, step: Step, lane: _Lane, brought: Callable[[BundleFile], None]) -> None:
        self._meter.current_file = step.file.path
        with self._placed(step.file) as place:
            if step.origin is not Origin.STORE or not self._bring_twin(step, place, lane):
                self._bring_from_seed(step.file, place, lane)
        brought(step.file)
        self._meter.finished()

    @contextmanager
    def _placed(self, file: BundleFile) -> Iterator[Place]:
        with writing_store(file.path):
            folder = self._staging.open_folder(file.path.rpartition("/")[0])
        with owned(folder):
            yield Place(folder, file.path.rpartition("/")[2])

    def _record(self, target: int, file: BundleFile, hashes: Hashes) -> None:
        with writing_store(file.path):
            status, blake3 = os.fstat(target), hashes.digests.blake3
            self._staging.record([record(file.path, status, sha256=file.sha256, blake3=blake3)])

    # From the seed

    def _bring_from_seed(self, file: BundleFile, place: Place, lane: _Lane) -> None:
        seed, bundle = self._transfer.seed, self._transfer.bundle.name
        with reading_seed(file.path), seed.opened(bundle, file.path) as source:
            if os.fstat(source).st_size != file.size:
                raise ReadError(min(file.size, os.fstat(source).st_size), 0)
            target, hashes = self._begin(file, place, lane)
            back = ReadBack(self._transfer, file, hashes.copy())
            try:
                with owned(target):
                    self._copy(source, target, back, hashes, lane)
                    if hashes.digests.sha256 != file.sha256:
                        self._staging.forget(file.path)
                        raise mismatch(seed, bundle, file, hashes, lane.lanes.stop)
                    self._record(target, file, hashes)
            finally:
                if not self._staging.knows(file.path):
                    with suppress(OSError):
                        os.unlink(place.name, dir_fd=place.folder)
        self._read_back(back, Mark(file.size, hashes.digests.blake3), lane)

    def _copy(self, source: int, target: int, back: ReadBack, hashes: Hashes, lane: _Lane) -> None:
        file = back.file
        with (
            Ahead(self._meter) as ahead,
            Trail(self._transfer, target, back, self._overlap, lane.trail_pump) as trail,
        ):
            passed = _Watch(self, hashes, ahead, trail, lane.lanes).passed
            try:
                copying.copy_file(
                    lane.pump, source, file.size, target, hashes=hashes, passed=passed, allocated=ahead.held
                )
            except OSError as error:
                with writing_store(file.path):
                    raise error from None
        lane.lanes.stop.check()

    def _read_back(self, back: ReadBack, end: Mark, lane: _Lane) -> None:
        if self._overlap.together:
            back.until(end, lane.trail_pump)
        elif self._transfer.reads_back:
            self.behind.append((back, end))

    # Going on with what was begun

    def _begin(self, file: BundleFile, place: Place, lane: _Lane) -> tuple[int, Hashes]:
        """A file to copy into, and what it holds already."""
        with writing_store(file.path):
            marks = self._staging.marks.get(file.path)
            if marks:
                with self._held(place):
                    hashes = self._read_again(file, place, marks, lane.pump)
                if hashes.offset:
                    self._meter.found(hashes.offset)
                    return copying.reopen(*place), hashes
            return copying.create(*place), Hashes()

    @contextmanager
    def _held(self, place: Place) -> Iterator[None]:
        """While a file that was begun is read again, the room that it has is not wanted once more."""
        with Ahead(self._meter) as ahead:
            with suppress(OSError):
                ahead.held(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_blocks * 512)
            yield

    def _read_again(self, file: BundleFile, place: Place, marks: Mapping[int, str], pump: Pump) -> Hashes:
        """Read what is staged of a file up to the last of its marks that is still right."""

        def count(length: int) -> None:
            self._meter.worked(self._passes * length)

        good, hashes = Hashes(), Hashes()
        for offset in sorted(offset for offset in marks if offset % BLOCK_BYTES == 0 and offset <= file.size):
            try:
                copying.hash_file(pump, *place, offset, hashes.sinks, start=good.offset, count=count)
            except (OSError, ReadError):
                break
            if hashes.digests.blake3 != marks[offset]:
                break
            good = hashes.copy()
        return good

    @property
    def _passes(self) -> int:
        """What is read from the store's disk at once counts as brought, and as read back where that is wanted."""
        return 2 if self._transfer.reads_back else 1

    # From the store

    def _bring_twin(self, step: Step, place: Place, lane: _Lane) -> bool:
        """Share or copy the store's own file of that digest; False where it is not what its receipt says."""
        file, worked = step.file, 0

        def count(length: int) -> None:
            nonlocal worked
            worked += length
            self._meter.worked(length)

        with (
            suppress(OSError, ReadError, SeedRefused),
            tree.opened_file(self._transfer.store.root, step.twin) as source,
            owned(copying.create(*place)) as target,
        ):
            shared = clone(source, target)
            if shared:
                hashes = self._hash_shared(target, file, place, lane.pump, count)
            else:
                hashes = _copy_twin(source, target, file, lane.pump, count)
            if hashes.digests.sha256 == file.sha256:
                self._record(target, file, hashes)
                if not shared and self._transfer.reads_back:
                    self.behind.append(
                        (ReadBack(self._transfer, file, Hashes()), Mark(file.size, hashes.digests.blake3))
                    )
                return True
        self._meter.worked(-worked)
        self._meter.found(-file.size)
        return False

    def _hash_shared(self, target: int, file: BundleFile, place: Place, pump: Pump, count: Count) -> Hashes:
        """Blocks that are shared are on the disk: hashing them from there is the read-back too."""
        os.fsync(target)
        return copying.digest_file(pump, *place, file.size, count=lambda length: count(self._passes * length))


def _copy_twin(source: int, target: int, file: BundleFile, pump: Pump, count: Count) -> Hashes:
    """Copy within the store; the store's own file stays in the page cache, a server may be serving it."""
    hashes = Hashes()

    def passed(block: Block) -> None:
        count(block.length)

    copying.copy_file(pump, source, file.size, target, hashes=hashes, passed=passed, keep_cached=True)
    return hashes


class _Watch:
    """Follows the blocks of one copy: counters, marks for its trail, and another lane where hashing holds it up."""

    def __init__(self, shards: Shards, hashes: Hashes, ahead: Ahead, trail: Trail, lanes: Lanes[Step]) -> None:
        self._shards = shards
        self._ahead = ahead
        self._lanes = lanes
        self._hashes = hashes
        self._trail = trail
        self._hashing = HashWatch(hashes)

    def passed(self, block: Block) -> None:
        self._ahead.used(block.length)
        self._shards.copied(block.length)
        self._trail.check()
        end = block.offset + block.length
        if end in self._hashes.marks:
            self._trail.reached(Mark(end, self._hashes.marks[end]))
            if self._hashing.is_bound():
                self._lanes.grow(min(MOST_LANES, os.cpu_count() or 1))
