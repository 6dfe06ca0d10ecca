"""Checking: the bundles of a seed judged as a sync of them would judge, with nothing written, there or in the store.

    examine > what the store says > every digest, and what is in the files, in the order of a sync

A bundle that is current is read all the same: it is the stick that has to be proven. The bytes come past the page
cache, so that they are the stick's; rules on content then judge files whose digest was found right.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dubseedd.core.bundle import BundleFile
from dubseedd.core.lifecycle import JobState
from dubseedd.core.plan import make_plan
from dubseedd.core.sentence import shown
from dubseedd.engine import copying
from dubseedd.engine.contents import Contents
from dubseedd.engine.durable import owned
from dubseedd.engine.meter import Meter
from dubseedd.engine.prospects import Prospect, Prospects
from dubseedd.engine.pump import Pump
from dubseedd.engine.scanning import Examined, SeedFolder
from dubseedd.engine.second_look import mismatch
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.tree import Folders
from dubseedd.engine.trouble import reading_seed
from dubseedd.errors import Failure, SeedRefused, StoreTrouble
from dubseedd.names import ErrorName


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one bundle: a sync would end with the first of `failures`, and succeed where there is none.

    `bundle` is None where its listing was refused already.
    """

    name: str
    bundle: Examined | None
    prospect: Prospect
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


class SeedCheck:
    """Judges bundles one after the other; `read_bytes` in `read_seconds` is what the stick gave."""

    def __init__(self, seed: SeedFolder, prospects: Prospects, stop: StopFlag) -> None:
        self._seed = seed
        self._prospects = prospects
        self._stop = stop
        self.read_bytes = 0
        self.read_seconds = 0.0

    @property
    def rate(self) -> int:
        """Bytes a second; 0 where nothing was read."""
        return int(self.read_bytes / self.read_seconds) if self.read_seconds else 0

    def judge(self, name: str, meter: Meter) -> Judgement:
        """Judge a bundle by name. Raises the reason of the stop flag."""
        meter.enter(JobState.PLANNING)
        failures: list[Failure] = []
        notes: list[str] = []
        bundle, prospect = None, Prospect(None)
        with _noting(failures):
            bundle = self._seed.examine(name)
        if bundle is not None:
            notes += bundle.notes
            with Pump(self._stop) as pump:
                with _noting(failures):
                    prospect = self._prospects.of(bundle, pump, meter)
                    notes += prospect.notes
                with _noting(failures):
                    self._read(bundle, pump, meter, notes)
        return Judgement(name, bundle, prospect, tuple(notes), tuple(failures))

    def _read(self, bundle: Examined, pump: Pump, meter: Meter, notes: list[str]) -> None:
        """Read every byte, and judge what is in the files as early as a sync would."""
        meter.enter(JobState.VERIFYING)
        steps = make_plan(bundle.files, (), {}).steps
        meter.expect(files=len(steps), moved=bundle.size, work=bundle.size)
        with reading_seed(bundle.name):
            root = self._seed.open_folder(bundle.name, "")
        with owned(root), Folders(lambda folder: self._seed.open_folder(bundle.name, folder)) as folders:
            contents = Contents(root, bundle.manifest, reading=reading_seed, changed=_changed)
            for file in (step.file for step in steps if step.file.path in contents.whole):
                self._verify(bundle, file, folders, pump, meter)
                notes += contents.judge(file.path)
            rest = [step for step in steps if step.file.path not in contents.whole]
            for file in (step.file for step in rest if step.small):
                self._verify(bundle, file, folders, pump, meter)
            for file in (step.file for step in rest if step.small):
                self._judge_weights(file, contents)
            for file in (step.file for step in rest if not step.small):
                self._verify(bundle, file, folders, pump, meter)
                self._judge_weights(file, contents)
            for index, shard, named in contents.shards():
                self._stop.check()
                with reading_seed(shard):
                    contents.compare(index, shard, named)
        meter.current_file = ""

    def _verify(self, bundle: Examined, file: BundleFile, folders: Folders, pump: Pump, meter: Meter) -> None:
        """Compare the digest of a file, read past the page cache, with that of the manifest."""
        meter.current_file = file.path
        began = time.monotonic()
        with reading_seed(file.path):
            hashes = copying.digest_file(pump, *folders.of(file.path), file.size, count=meter.copied)
        self.read_seconds += time.monotonic() - began
        self.read_bytes += file.size
        if hashes.digests.sha256 != file.sha256:
            raise mismatch(self._seed, bundle.name, file, hashes, self._stop)
        meter.finished()

    @staticmethod
    def _judge_weights(file: BundleFile, contents: Contents) -> None:
        if file.path in contents.weights:
            with reading_seed(file.path):
                contents.judge_weights(file.path)


def _changed(path: str, found: str, verified: str) -> SeedRefused:
    """The error for a file of the stick that had the right bytes, and has others when it is read again."""
    return SeedRefused(
        ErrorName.CHECKSUM_MISMATCH,
        f"{shown(path)} was read twice and the second time differs ({found}, expected {verified}), so the stick is "
        "failing; copy it to another one",
        file=path,
    )


@contextmanager
def _noting(failures: list[Failure]) -> Iterator[None]:
    """What is wrong with the seed or the store is noted, and the judging goes on; a stop is not."""
    try:
        yield
    except (SeedRefused, StoreTrouble) as failure:
        failures.append(failure)
