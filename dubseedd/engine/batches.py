"""Batches: the small files of a bundle, many at a time, made to stay by one wait for the disk instead of one each.

    announce 32 files ahead > read whole > hash > write          then syncfs and a record of each, stretch by stretch
    announce 32 files ahead > read whole > hash > compare        the read-back, after their pages have been dropped

A small file costs a wait for the device, hardly any bytes. Whoever tells the kernel early which files come next lets a
device that answers many requests at a time do so, and a disk that turns sort them.
"""

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing, suppress
from itertools import islice
from typing import NamedTuple, Self, TypeVar

from blake3 import blake3

from dubseedd.core.bundle import BundleFile
from dubseedd.core.plan import Origin, Step
from dubseedd.core.receipt import FileRecord
from dubseedd.engine import copying, tree
from dubseedd.engine.copying import Hashes
from dubseedd.engine.durable import fresh, owned, write_all
from dubseedd.engine.kernel import sync_file_system
from dubseedd.engine.pump import Block, Pump, ReadError
from dubseedd.engine.records import record
from dubseedd.engine.second_look import mismatch
from dubseedd.engine.transfer import Transfer
from dubseedd.engine.tree import Folders
from dubseedd.engine.trouble import reading_seed, writing_store
from dubseedd.errors import SeedRefused

AHEAD = 32
STRETCH_FILES = 2048
STRETCH_BYTES = 256 << 20

A = TypeVar("A")
B = TypeVar("B")


class _Data(NamedTuple):
    """The bytes of a file, and their BLAKE3 from before their SHA-256 was looked at: what changes them in memory later
    is found when they are read back."""

    whole: bytes
    blake3: str


class Batches:
    """Brings small files, and reads them back. At the end of a `with` block what was brought stays, come what may."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._meter = transfer.meter
        self._staging = transfer.staging
        self._stop = transfer.tools.stop
        self._loose: list[FileRecord] = []
        self._open = ExitStack()
        self._sources = Folders(lambda folder: transfer.seed.open_folder(transfer.bundle.name, folder))
        self._targets = Folders(self._staging.open_folder)

    def __enter__(self) -> Self:
        self._open.enter_context(self._sources)
        self._open.enter_context(self._targets)
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            self._settle()

    def _settle(self) -> None:
        """Make what was brought stay, and record it. Where that fails it is given up: a second sync would succeed and
        prove nothing."""
        loose, self._loose = self._loose, []
        if loose:
            with writing_store(loose[0].path):
                sync_file_system(self._staging.tree)
                self._staging.record(loose)

    # Bringing

    def bring(self, steps: Iterable[Step]) -> None:
        """Bring every file into staging, each whole; recorded a stretch at a time."""
        brought = 0
        with closing(_ahead(steps, self._announce)) as announced:
            for step, source in announced:
                self._stop.check()
                self._meter.current_file = step.file.path
                self._bring(step, source)
                brought += step.file.size
                if len(self._loose) >= STRETCH_FILES or brought >= STRETCH_BYTES:
                    self._settle()
                    brought = 0

    def give_up(self, path: str) -> None:
        """Forget a file that was brought, now or by an attempt before."""
        self._loose = [record for record in self._loose if record.path != path]
        self._staging.forget(path)

    def _announce(self, step: Step) -> tuple[Step, int]:
        """Open the file to copy; the store's own, or else the seed's."""
        if step.origin is Origin.STORE:
            with suppress(OSError, SeedRefused):
                return step, tree.open_file(self._transfer.store.root, step.twin)
            self._meter.found(-step.file.size)
        with reading_seed(step.file.path):
            folder, name = self._sources.of(step.file.path)
            source = tree.open_in(folder, name, step.file.path)
        os.posix_fadvise(source, 0, 0, os.POSIX_FADV_WILLNEED)
        return Step(step.file, Origin.SEED), source

    def _bring(self, step: Step, source: int) -> None:
        file = step.file
        data = self._of_store(file, source) if step.origin is Origin.STORE else self._of_seed(file, source)
        if data is None:
            self._meter.found(-file.size)
            with owned(self._announce(Step(file, Origin.SEED))[1]) as descriptor:
                data = self._of_seed(file, descriptor)
        with writing_store(file.path):
            self._loose.append(_write(file, data, self._targets))
        self._meter.finished()

    def _of_seed(self, file: BundleFile, source: int) -> _Data:
        with reading_seed(file.path):
            data = _read_whole(source, file.size)
        os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)
        if hashlib.sha256(data.whole).hexdigest() != file.sha256:
            raise mismatch(self._transfer.seed, self._transfer.bundle.name, file, _hashes(data.whole), self._stop)
        self._meter.copied(file.size)
        return data

    def _of_store(self, file: BundleFile, source: int) -> _Data | None:
        """The bytes of the store's own file; None where it is not what its receipt says."""
        with suppress(ReadError):
            data = _read_whole(source, file.size)
            if hashlib.sha256(data.whole).hexdigest() == file.sha256:
                self._meter.worked(file.size)
                return data
        return None

    # Reading back

    def read_back(self, files: Iterable[BundleFile]) -> None:
        """Compare every staged file, as the disk gives it back, with the bytes whose SHA-256 matched."""
        with (
            Pump(self._stop, blocks=1) as pump,
            Folders(lambda folder: tree.open_folder(self._staging.tree, folder)) as folders,
            closing(_ahead(files, lambda file: (file, _dropped(file, folders)))) as announced,
        ):
            for file, descriptor in announced:
                self._meter.current_file = file.path
                self._compare(file, descriptor, pump)

    def _compare(self, file: BundleFile, descriptor: int, pump: Pump) -> None:
        hashes = Hashes()
        with writing_store(file.path):
            pump.run(descriptor, file.size, (hashes.blake3,))
        self._meter.worked(file.size)
        found, expected = hashes.digests.blake3, self._staging.records[file.path].blake3
        if found != expected:
            raise self._transfer.wrong_on_disk(file.path, found, expected)


def _ahead(items: Iterable[A], begin: Callable[[A], tuple[B, int]]) -> Generator[tuple[B, int], None, None]:
    """Begin with AHEAD items before the first is handed over; each comes with its descriptor, which is closed after."""
    begun: deque[tuple[B, int]] = deque()
    rest = iter(items)
    try:
        begun.extend(begin(item) for item in islice(rest, AHEAD))
        while begun:
            yield begun[0]
            os.close(begun.popleft()[1])
            begun.extend(begin(item) for item in islice(rest, 1))
    finally:
        for _, descriptor in begun:
            os.close(descriptor)


def _dropped(file: BundleFile, folders: Folders) -> int:
    """Open a staged file to be read from the disk: its pages are dropped from the cache and asked for again. Where they
    stay nevertheless, it is read past the cache."""
    with writing_store(file.path):
        folder, name = folders.of(file.path)
        descriptor = tree.open_in(folder, name, file.path)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if _is_cached(descriptor):
            os.close(descriptor)
            return copying.open_direct(folder, name)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    return descriptor


def _is_cached(descriptor: int) -> bool:
    """Would a read be answered without the disk? True, too, where that cannot be found out."""
    try:
        os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True


def _read_whole(source: int, size: int) -> _Data:
    """All of a file that has to have this size; ReadError where it cannot be read or has another."""
    data = b""
    while len(data) <= size:
        try:
            more = os.read(source, size + 1 - len(data))
        except OSError as error:
            raise ReadError(len(data), error.errno or 0) from error
        if not more:
            break
        data = data + more if data else more
    if len(data) != size:
        raise ReadError(min(len(data), size), 0)
    return _Data(data, blake3(data).hexdigest())


def _hashes(data: bytes) -> Hashes:
    hashes = Hashes()
    for sink in hashes.sinks:
        sink(Block(0, memoryview(data), 0, len(data)))
    return hashes


def _write(file: BundleFile, data: _Data, targets: Folders) -> FileRecord:
    folder, name = targets.of(file.path)
    with owned(fresh(folder, name)) as target:
        write_all(target, data.whole)
        status = os.fstat(target)
    return record(file.path, status, sha256=file.sha256, blake3=data.blake3)
