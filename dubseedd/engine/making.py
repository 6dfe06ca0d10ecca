"""Making one bundle on a stick: judged before the first byte, copied in one read, read back, and only then shown.

    what is new is copied: one read feeds the digests and the stick
    SHA256SUMS, signed > everything to the disk
    everything is read back past the page cache, last of all: a stick that lies about its size shows it only then
    B3SUMS > the switch

What the stick has already, under the same path and with the digest of the source, stays and is read back as well; what
is damaged of it is copied after all.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from blake3 import blake3

from dubseedd.core.about import About
from dubseedd.core.hfcache import Algorithm
from dubseedd.core.lifecycle import JobState
from dubseedd.core.manifest import Entry, Manifest, parse, render, sums
from dubseedd.core.sentence import shown
from dubseedd.core.stick import PREALLOCATES, check_files, check_room, room_needed
from dubseedd.engine import copying, openssh, tree
from dubseedd.engine.copying import Digests, Hashes
from dubseedd.engine.durable import FRESH, PLAIN_MODE, owned, put, write_all
from dubseedd.engine.former import Former
from dubseedd.engine.kernel import sync_file_system
from dubseedd.engine.meter import Meter
from dubseedd.engine.preparing import Draft
from dubseedd.engine.pump import BLOCK_BYTES, Block, Pump, ReadError
from dubseedd.engine.source import Source
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.trouble import reading_source, writing_stick
from dubseedd.engine.workshop import Workshop
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ABOUT, BLAKE3_MANIFEST, MANIFEST, MODEL_SIGNATURE, SIGNATURE, SIGNATURE_NAMESPACE, ErrorName

MAX_SIGNATURE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made: the bundle's name, with whose signature ("" for none), when (ISO 8601) and by what; and the
    type of the stick's file system, as the kernel calls it."""

    name: str
    key: str
    created: str
    created_by: str
    filesystem: str


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: `outcome` is made, refreshed or current; `copied` is how many of `size` bytes were written.

    Writing took its time with everything on the disk, reading back with every byte of `size`.
    """

    outcome: str
    manifest_sha256: str
    files: int
    size: int
    copied: int
    signed: bool
    write_seconds: float
    read_seconds: float


class _Times:
    """How long the stick took, in seconds."""

    def __init__(self) -> None:
        self.write = self.read = 0.0

    @contextmanager
    def writing(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.write += time.monotonic() - began

    @contextmanager
    def reading(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.read += time.monotonic() - began


class Making:
    """Makes one bundle, or brings it up to date. Blocks; raises a Failure, and the former bundle is as it was."""

    def __init__(
        self, workshop: Workshop, source: Source, draft: Draft, order: Order, meter: Meter, stop: StopFlag
    ) -> None:
        self._shop = workshop
        self._source = source
        self._draft = draft
        self._order = order
        self._meter = meter
        self._stop = stop
        self._times = _Times()
        self._known: dict[str, Digests] = {}
        """Of what was written, and of what was read back."""
        self._kept: dict[str, str] = {}
        """The SHA-256 of what stays."""
        self._beside: dict[str, bytes] = {}
        """What is written beside the files of the model, by path."""

    def run(self) -> Made:
        name = self._order.name
        with ExitStack() as undo, writing_stick(name):
            folder = self._shop.former(name)
            if folder is not None:
                undo.enter_context(owned(folder))
            self._former = Former(folder)
            self._pump = undo.enter_context(Pump(self._stop))
            self._meter.enter(JobState.PLANNING)
            missing = self._plan()
            self._new = undo.enter_context(owned(self._shop.begin(name)))
            with self._times.writing():
                self._copy(missing)
                manifest = self._write_manifest()
                sync_file_system(self._new)
            with self._times.reading():
                damaged = self._read_back()
            if damaged:
                with self._times.writing():
                    self._copy(damaged)
                    sync_file_system(self._new)
                with self._times.reading():
                    self._read_back()
            return self._put_in_place(manifest)

    # Planning

    def _plan(self) -> list[str]:
        """Find out what stays; the paths of what has to be copied, which the stick has room for."""
        sizes = self._draft.sizes
        check_files(self._order.filesystem, sizes.items())
        self._meter.files_total = len(sizes)
        same = [path for path in sizes if self._former.has(path, sizes[path])]
        self._meter.bytes_total = self._meter.work_total = sum(sizes.values())
        self._meter.work_total *= 2
        for path in same:
            if self._of_source(path) == self._former.digests[path]:
                self._kept[path] = self._former.digests[path]
                self._meter.found(sizes[path])
                self._meter.worked(sizes[path])
                self._meter.finished()
        missing = sorted(sizes.keys() - self._kept.keys(), key=lambda path: (sizes[path] > BLOCK_BYTES, path))
        room = os.fstatvfs(self._shop.root)
        check_room(room_needed((sizes[path] for path in missing), room.f_frsize), room.f_bavail * room.f_frsize)
        return missing

    def _of_source(self, path: str) -> str:
        """The SHA-256 of a file of the source, by its name where that is one, else by its bytes."""
        expected = self._source.files[path].expected
        if expected is not None and expected.algorithm is Algorithm.SHA256:
            return expected.digest
        with self._source.hashed(path) as (descriptor, hashes), reading_source(path):
            self._pump.run(descriptor, self._draft.sizes[path], hashes.sinks)
        return hashes.digests.sha256

    # Copying

    def _copy(self, paths: Iterable[str]) -> None:
        self._meter.enter(JobState.COPYING)
        for path in paths:
            self._stop.check()
            self._meter.current_file = path
            with (
                self._source.hashed(path) as (descriptor, hashes),
                writing_stick(path),
                tree.opened_parent(self._new, path) as folder,
            ):
                self._write(descriptor, folder, path, hashes)
            self._known[path] = hashes.digests
            self._kept.pop(path, None)
            self._meter.finished()
        self._meter.current_file = ""

    def _write(self, source: int, folder: int, path: str, hashes: Hashes) -> None:
        """A large file past the page cache, and to the disk at once; a small one by way of it, with all the others."""
        name, size = path.rpartition("/")[2], self._draft.sizes[path]
        try:
            if size > BLOCK_BYTES:
                with owned(copying.create(folder, name)) as target:
                    copying.copy_file(
                        self._pump,
                        source,
                        size,
                        target,
                        hashes=hashes,
                        passed=self._copied,
                        allocate=self._order.filesystem in PREALLOCATES,
                    )
            else:
                with owned(_fresh(folder, name)) as target:
                    self._pump.run(
                        source, size, (*hashes.sinks, lambda block: _append(target, block)), passed=self._copied
                    )
        except ReadError:
            with reading_source(path):
                raise

    def _copied(self, block: Block) -> None:
        self._meter.copied(block.length)

    # What is written beside the files

    def _write_manifest(self) -> Manifest:
        """SHA256SUMS of everything, bound to the name, with dubnium-bundle.json in it."""
        digests = {**self._kept, **{path: known.sha256 for path, known in self._known.items()}}
        if self._draft.signature:
            self._put(MODEL_SIGNATURE, self._source.read(MODEL_SIGNATURE, MAX_SIGNATURE_BYTES))
        else:
            raw = self._about_bundle()
            digests[ABOUT] = hashlib.sha256(raw).hexdigest()
            self._put(ABOUT, raw)
        entries = [Entry(path, digest) for path, digest in digests.items()]
        manifest = parse(render(entries, bundle=self._order.name))
        self._put(MANIFEST, manifest.raw)
        if self._order.key:
            self._put(SIGNATURE, _signed(manifest.raw, self._order.key))
        return manifest

    def _put(self, name: str, raw: bytes) -> None:
        put(self._new, name, raw)
        self._beside[name] = raw

    def _about_bundle(self) -> bytes:
        sizes, order = self._draft.sizes, self._order
        return self._former.about(
            About(order.name, self._source.origin, len(sizes), sum(sizes.values()), order.created, order.created_by)
        )

    # Reading back

    def _read_back(self) -> list[str]:
        """Compare everything, as the stick gives it back, with what it has to be: the paths of what was there before
        and is damaged. StoreTrouble where that is what was just written."""
        self._meter.enter(JobState.VERIFYING)
        damaged = []
        for path, size in self._draft.sizes.items():
            self._stop.check()
            self._meter.current_file = path
            if path not in self._kept:
                self._compare(path, size, self._known[path].sha256)
            elif not self._is_whole(path, size):
                damaged.append(path)
        for name, raw in self._beside.items():
            self._compare(name, len(raw), hashlib.sha256(raw).hexdigest())
        self._meter.current_file = ""
        return damaged

    def _compare(self, path: str, size: int, expected: str) -> None:
        with writing_stick(path):
            found = self._on_stick(self._new, path, size).sha256
        if found != expected:
            raise StoreTrouble(
                ErrorName.CHECKSUM_MISMATCH,
                f"{shown(path)} was written well and reads back differently (SHA-256 {found}, expected {expected}); "
                "the stick is failing, or has less room than it says: take another",
                file=path,
            )

    def _is_whole(self, path: str, size: int) -> bool:
        try:
            found = self._on_stick(self._former.folder, path, size)
        except (OSError, ReadError):
            return False
        if found.sha256 == self._kept[path]:
            self._known[path] = found
            return True
        return False

    def _on_stick(self, root: int, path: str, size: int) -> Digests:
        folder, _, name = path.rpartition("/")
        with tree.opened_folder(root, folder) as descriptor:
            return copying.digest_file(self._pump, descriptor, name, size, count=self._meter.worked).digests

    # Putting it in place

    def _put_in_place(self, manifest: Manifest) -> Made:
        self._stop.check()
        self._meter.enter(JobState.PUBLISHING)
        sizes = self._draft.sizes
        copied = [path for path in sizes if path not in self._kept]
        same = self._former.manifest_sha256 == manifest.sha256
        strangers = self._former.strangers() if same else []
        digests = {path: self._known[path].blake3 for path in sizes}
        if ABOUT in self._beside:
            digests[ABOUT] = blake3(self._beside[ABOUT]).hexdigest()
        self._put(BLAKE3_MANIFEST, sums(digests.items()))
        if not same:
            self._shop.publish(self._order.name, manifest)
        elif copied or self._order.key:
            self._shop.replace(self._order.name, [*copied, *self._beside])
        if strangers:
            self._shop.clean(self._order.name, strangers)
        self._shop.put_leaflet()
        changed = bool(copied or strangers or self._order.key or not same)
        return Made(
            outcome="made" if not self._former.is_there else "refreshed" if changed else "current",
            manifest_sha256=manifest.sha256,
            files=len(manifest.entries),
            size=sum(sizes.values()),
            copied=sum(sizes[path] for path in copied),
            signed=bool(self._order.key),
            write_seconds=self._times.write,
            read_seconds=self._times.read,
        )


def _fresh(folder: int, name: str) -> int:
    """A descriptor of a new small file; where a damaged one is made anew, the attempt before is removed."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    descriptor = os.open(name, FRESH, PLAIN_MODE, dir_fd=folder)
    os.fchmod(descriptor, PLAIN_MODE)
    return descriptor


def _append(target: int, block: Block) -> None:
    write_all(target, block.view[: block.length])


def _signed(message: bytes, key: str) -> bytes:
    try:
        return openssh.sign(message, key=key, namespace=SIGNATURE_NAMESPACE)
    except openssh.Unavailable as reason:
        raise CallRefused(ErrorName.UNTRUSTED_SEED, str(reason)) from reason
