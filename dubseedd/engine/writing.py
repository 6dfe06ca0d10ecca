"""Writing the files of a model onto a stick: each is read once, for its digests and for the stick.

    small files    by way of the page cache; they stay with the syncfs that comes after all
    large files    past it, one after the other; another beside it only where hashing is what holds the copy up

Flash is fastest where it is written in sequence, and a second file at once gains nothing while the stick is the slower
part. Where the processor is, the stick has time to spare.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dubseedd.core.filesystem import file_system
from dubseedd.engine import copying, tree
from dubseedd.engine.copying import Digests, Hashes, HashWatch
from dubseedd.engine.durable import fresh, owned, write_all
from dubseedd.engine.lanes import Lanes
from dubseedd.engine.meter import Meter
from dubseedd.engine.order import Order
from dubseedd.engine.pump import BLOCK_BYTES, Block, Pump, ReadError
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.trouble import reading_source, writing_stick

MOST_LANES = 2


class Writing:
    """Writes files of an order into the folder `target`, a descriptor. `digests` are of what was written, by path."""

    def __init__(self, order: Order, target: int, meter: Meter, stop: StopFlag) -> None:
        self.digests: dict[str, Digests] = {}
        self._order = order
        self._sizes = order.draft.sizes
        self._target = target
        self._meter = meter
        self._stop = stop

    def write(self, paths: Iterable[str]) -> None:
        """Write these files, the small ones first. A Failure where one is not what it has to be."""
        in_turn = sorted(paths, key=lambda path: (self._is_large(path), path))
        Lanes(in_turn, self._lane, self._stop).run()
        self._meter.current_file = ""

    @contextmanager
    def _lane(self, lanes: Lanes[str]) -> Iterator[Callable[[str], None]]:
        with Pump(lanes.stop) as pump:
            yield lambda path: self._write(path, pump, lanes)

    def _write(self, path: str, pump: Pump, lanes: Lanes[str]) -> None:
        self._meter.current_file = path
        with (
            self._order.source.hashed(path) as (descriptor, hashes),
            writing_stick(path),
            tree.opened_parent(self._target, path) as folder,
        ):
            try:
                if self._is_large(path):
                    self._copy_large(descriptor, folder, path, hashes, pump, lanes)
                else:
                    self._copy_small(descriptor, folder, path, hashes, pump)
            except ReadError:
                with reading_source(path):
                    raise
        self.digests[path] = hashes.digests
        self._meter.finished()

    def _is_large(self, path: str) -> bool:
        return self._sizes[path] > BLOCK_BYTES

    def _copy_large(self, source: int, folder: int, path: str, hashes: Hashes, pump: Pump, lanes: Lanes[str]) -> None:
        watch = HashWatch(hashes)

        def passed(block: Block) -> None:
            self._meter.copied(block.length)
            if block.offset + block.length in hashes.marks and watch.is_bound():
                lanes.grow(min(MOST_LANES, os.cpu_count() or 1))

        with owned(copying.create(folder, path.rpartition("/")[2])) as target:
            copying.copy_file(
                pump,
                source,
                self._sizes[path],
                target,
                hashes=hashes,
                passed=passed,
                allocate=file_system(self._order.filesystem).preallocates,
            )

    def _copy_small(self, source: int, folder: int, path: str, hashes: Hashes, pump: Pump) -> None:
        with owned(fresh(folder, path.rpartition("/")[2])) as target:
            pump.run(source, self._sizes[path], (*hashes.sinks, lambda block: _append(target, block)))
        self._meter.copied(self._sizes[path])


def _append(target: int, block: Block) -> None:
    write_all(target, block.view[: block.length])
