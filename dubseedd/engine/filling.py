"""Filling a staging folder: every file of a bundle brought in, read back, and those that rules look into judged.

A file comes from the store where it has the same bytes under any name, else from the seed; what is in place and
recorded is left alone. Small files come first, so that a broken config.json is known before the weights are moved.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from dubseedd.core.bundle import BundleFile, content_checks, shown
from dubseedd.core.config import Config
from dubseedd.core.lifecycle import JobState
from dubseedd.core.plan import Origin, Plan, Step
from dubseedd.core.progress import Meter
from dubseedd.core.receipt import Receipt
from dubseedd.engine import contents, copying, tree
from dubseedd.engine.copying import Digests
from dubseedd.engine.pump import Pump, ReadError
from dubseedd.engine.scanning import Examined, SeedFolder
from dubseedd.engine.staging import Staging
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.trouble import reading_seed, writing_store
from dubseedd.errors import SeedRefused, StoreTrouble
from dubseedd.names import MANIFEST, ErrorName


@dataclass(slots=True)
class SyncTools:
    """What a sync works with: configuration, counters, stop flag, and whom to tell what was passed over or given up.

    `spoken_for` is the room in bytes that other syncs under way will still take.
    """

    config: Config
    meter: Meter = field(default_factory=Meter)
    stop: StopFlag = field(default_factory=StopFlag)
    note: Callable[[str], None] = lambda _: None
    gave_up: Callable[[str], None] = lambda _: None
    adopted: Callable[[Receipt], None] = lambda _: None
    settled: Callable[[Receipt], None] = lambda _: None
    spoken_for: Callable[[], int] = lambda: 0


class Filling:
    """Fills the staging folder of one bundle. Blocks; raises a Failure."""

    def __init__(
        self, store: Store, seed: SeedFolder, bundle: Examined, staging: Staging, tools: SyncTools, pump: Pump
    ) -> None:
        self._store = store
        self._seed = seed
        self._bundle = bundle
        self._staging = staging
        self._tools = tools
        self._meter = tools.meter
        self._pump = pump

    def copy_all(self, plan: Plan) -> None:
        """Bring every file of the plan into staging, each whole and recorded before the next."""
        self._meter.enter(JobState.COPYING)
        look_into = content_checks(self._bundle.manifest.paths)
        for step in plan.steps:
            self._tools.stop.check()
            self._meter.current_file = step.file.path
            if step.origin is not Origin.STAGED:
                self._bring(step)
            if step.file.path in look_into:
                self._look_into(step.file)
            self._meter.files_done += 1
        self._meter.current_file = ""

    def _bring(self, step: Step) -> None:
        """Copy one file into staging; from the store where it has a good one, else from the seed."""
        if step.origin is Origin.STORE and self._bring_twin(step):
            return
        file = step.file
        with reading_seed(file.path), self._seed.opened(self._bundle.name, file.path) as source:
            if os.fstat(source).st_size != file.size:
                raise ReadError(min(file.size, os.fstat(source).st_size), 0)
            digests = self._copy(source, file, from_seed=True)
        if digests.sha256 != file.sha256:
            self._drop(file.path)
            raise self._mismatch(file, digests.sha256)
        self._record(file, digests)

    def _bring_twin(self, step: Step) -> bool:
        """False where the store's own file is not what its receipt says; then the seed's is taken."""
        file = step.file
        before = self._meter.work_done
        try:
            with tree.opened_file(self._store.root, step.twin) as source:
                digests = self._copy(source, file, from_seed=False)
        except (OSError, ReadError, SeedRefused):
            digests = None
        if digests and digests.sha256 == file.sha256:
            self._record(file, digests)
            return True
        self._meter.work_done = before
        self._meter.bytes_total += file.size
        self._meter.bytes_skipped -= file.size
        return False

    def _copy(self, source: int, file: BundleFile, *, from_seed: bool) -> Digests:
        def count(length: int) -> None:
            self._meter.work_done += length
            if from_seed:
                self._meter.bytes_done += length

        with writing_store(file.path):
            folder = self._staging.parent_of(file.path)
        name = file.path.rpartition("/")[2]
        try:
            return copying.copy_file(self._pump, source, file.size, folder, name, count=count, from_store=not from_seed)
        except OSError as error:
            with writing_store(file.path):
                raise error from None
        finally:
            os.close(folder)

    def _record(self, file: BundleFile, digests: Digests) -> None:
        self._tools.stop.check()
        with writing_store(file.path):
            self._staging.record(file.path, digests.sha256, digests.blake3)

    def _drop(self, path: str) -> None:
        with writing_store(path):
            self._staging.forget(path)

    def _mismatch(self, file: BundleFile, found: str) -> SeedRefused:
        """The second look, past the page cache: does the stick answer differently, or is its manifest wrong?"""
        with reading_seed(file.path), self._seed.opened_parent(self._bundle.name, file.path) as folder:
            again = copying.digest_file(
                self._pump, folder, file.path.rpartition("/")[2], file.size, count=lambda _: None
            ).sha256
        if again == found:
            why = "a second read gives the same, so the manifest is wrong or the file was damaged; make the bundle anew"
        elif again == file.sha256:
            why = "a second read gives the right bytes, so the stick is failing; copy it to another one"
        else:
            why = f"a second read gives {again}, so the stick is failing; copy it to another one"
        return SeedRefused(
            ErrorName.CHECKSUM_MISMATCH,
            f"{shown(file.path)} has the digest {found}, its manifest says {file.sha256}; {why}",
            file=file.path,
        )

    def read_all_back(self) -> None:
        """Compare every staged file, as the disk gives it back, with the bytes whose SHA-256 matched."""
        self._meter.enter(JobState.VERIFYING)

        def count(length: int) -> None:
            self._meter.work_done += length

        for file in self._bundle.files:
            self._tools.stop.check()
            self._meter.current_file = file.path
            with (
                writing_store(file.path),
                tree.opened_folder(self._staging.tree, file.path.rpartition("/")[0]) as folder,
            ):
                found = copying.read_back(self._pump, folder, file.path.rpartition("/")[2], file.size, count=count)
            expected = self._staging.records[file.path].blake3
            if found != expected:
                self._drop(file.path)
                raise StoreTrouble(
                    ErrorName.CHECKSUM_MISMATCH,
                    f"{shown(file.path)} was written well and reads back differently (BLAKE3 {found}, "
                    f"expected {expected}); the store's disk is failing, check it before the next sync",
                    file=file.path,
                )
        self._meter.current_file = ""

    def read_manifest_back(self) -> None:
        """Compare the staged SHA256SUMS, as the disk gives it back, with that of the seed."""
        manifest, folder = self._bundle.manifest, self._staging.tree
        with writing_store(MANIFEST):
            found = copying.digest_file(self._pump, folder, MANIFEST, len(manifest.raw), count=lambda _: None).sha256
        if found != manifest.sha256:
            raise StoreTrouble(
                ErrorName.CHECKSUM_MISMATCH,
                f"{MANIFEST} was written well and reads back differently (SHA-256 {found}, expected "
                f"{manifest.sha256}); the store's disk is failing, check it before the next sync",
                file=MANIFEST,
            )

    def _look_into(self, file: BundleFile) -> None:
        with writing_store(file.path):
            try:
                notes = contents.judge(self._staging.tree, file.path, self._bundle.manifest)
            except StoreTrouble:
                self._drop(file.path)
                raise
        for note in notes:
            self._tools.note(f"{self._bundle.name}: {note}")
