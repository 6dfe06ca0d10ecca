"""Filling a staging folder: every file of a bundle brought in, read back, and those that rules look into judged.

    what rules look into whole > small files, in batches > large files, through the pipeline > what is not read back yet

Weights are judged by their headers: small files and those that were staged before the large ones are copied, each of
these as soon as it is there. The index is compared with all of them at the end.

A file comes from the store where it has the same bytes under any name, else from the seed; what is in place and
recorded is left alone.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dubseedd.core import tidings
from dubseedd.core.bundle import BundleFile
from dubseedd.core.lifecycle import JobState
from dubseedd.core.plan import Origin, Plan, Step
from dubseedd.engine import copying
from dubseedd.engine.batches import Batches
from dubseedd.engine.contents import Contents
from dubseedd.engine.copying import Hashes
from dubseedd.engine.pump import Pump
from dubseedd.engine.shards import Shards
from dubseedd.engine.trailing import Mark, ReadBack
from dubseedd.engine.transfer import Transfer
from dubseedd.engine.trouble import writing_store, wrong_on_disk
from dubseedd.errors import SeedRefused, StoreTrouble
from dubseedd.names import MANIFEST


class Filling:
    """Fills the staging folder of one bundle. Blocks; raises a Failure."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._meter = transfer.meter
        self._contents = Contents(transfer.staging.tree, transfer.bundle.manifest)
        self._looking = threading.Lock()
        self._batches = Batches(transfer)
        self._shards = Shards(transfer)

    def copy_all(self, plan: Plan) -> None:
        """Bring every file of the plan into staging, each whole, on the disk and recorded, and judge its content."""
        self._meter.enter(JobState.COPYING)
        missing = [step for step in plan.steps if step.origin is not Origin.STAGED]
        self._meter.finished(len(plan.steps) - len(missing))
        rest = [step for step in missing if step.file.path not in self._contents.whole]
        large = [step for step in rest if not step.small]
        with self._batches:
            for step in (step for step in plan.steps if step.file.path in self._contents.whole):
                self._bring_one(step)
                self._look_into(step.file)
            self._batches.bring([step for step in rest if step.small])
        for step in plan.steps:
            if step.small or step.origin is Origin.STAGED:
                self._look_at_header(step.file)
        self._shards.bring(large, self._look_at_header)
        if self._contents.indexes:
            self._compare_shards({step.file.path: step.file for step in plan.steps})
        self._meter.current_file = ""

    def _bring_one(self, step: Step) -> None:
        self._transfer.tools.stop.check()
        if step.origin is Origin.STAGED:
            return
        if step.small:
            self._batches.bring([step])
        else:
            self._shards.bring([step], self._look_at_header)

    def _look_into(self, file: BundleFile) -> None:
        with writing_store(file.path):
            try:
                notes = self._contents.judge(file.path)
            except StoreTrouble:
                self._batches.give_up(file.path)
                raise
        for note in notes:
            self._transfer.tools.tell(tidings.noted(self._transfer.bundle.name, note))

    def _look_at_header(self, file: BundleFile) -> None:
        """Several lanes may ask; no more than one header at a time is held in memory."""
        if file.path in self._contents.weights:
            self._transfer.tools.stop.check()
            with self._looking, self._doubting(file):
                self._contents.judge_weights(file.path)

    def _compare_shards(self, files: Mapping[str, BundleFile]) -> None:
        for index, shard, named in self._contents.shards():
            self._transfer.tools.stop.check()
            with self._doubting(files[shard]):
                self._contents.compare(index, shard, named)

    @contextmanager
    def _doubting(self, file: BundleFile) -> Iterator[None]:
        """Before a seed is refused for what a staged file holds, that file is read back. Where the disk gives other
        bytes than it was given, the file is given up, and the disk is to blame."""
        try:
            with writing_store(file.path):
                yield
        except SeedRefused:
            back, end = self._from_before(file)
            with Pump(self._transfer.tools.stop, blocks=1) as pump:
                back.until(end, pump)
            raise

    def read_all_back(self, plan: Plan) -> None:
        """Compare every file that was not read back while copying, as the disk gives it, with the bytes that came."""
        self._meter.enter(JobState.VERIFYING)
        self._batches.read_back(step.file for step in plan.steps if step.small)
        before = [step.file for step in plan.steps if step.origin is Origin.STAGED and not step.small]
        with Pump(self._transfer.tools.stop) as pump:
            for back, end in [*self._shards.behind, *map(self._from_before, before)]:
                self._meter.current_file = back.file.path
                back.until(end, pump)
        self._meter.current_file = ""

    def read_manifest_back(self) -> None:
        """Compare the staged SHA256SUMS, as the disk gives it back, with that of the seed."""
        manifest, folder = self._transfer.bundle.manifest, self._transfer.staging.tree
        with writing_store(MANIFEST), Pump(self._transfer.tools.stop) as pump:
            hashes = copying.digest_file(pump, folder, MANIFEST, len(manifest.raw), count=lambda _: None)
        found = hashes.digests.sha256
        if found != manifest.sha256:
            raise wrong_on_disk(MANIFEST, f"SHA-256 {found}", manifest.sha256)

    def _from_before(self, file: BundleFile) -> tuple[ReadBack, Mark]:
        """A file that an earlier attempt has brought."""
        record = self._transfer.staging.records[file.path]
        return ReadBack(self._transfer, file, Hashes()), Mark(file.size, record.blake3)
