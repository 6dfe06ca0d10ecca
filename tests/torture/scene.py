"""Where a fault happens: seeds, a store with things of others beside it, and the process that syncs."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.bundles import contents, write_bundle
from tests.torture.faults import Watching
from tests.torture.figures import Torn
from tests.torture.nursery import Ended, Nursery, P
from tests.torture.versions import NAME, NEW, OLD, Version

Snapshot = Mapping[str, tuple[object, ...]]


def make_seeds(folder: Path) -> Path:
    """Seeds as folders, one for each version, and the configuration of a store that keeps no room in reserve."""
    for version in (OLD, NEW):
        write_bundle(folder / "sticks" / version.name / "models" / NAME, version.files)
    config = f'store.reserve = 0\ntrust.allowed_signers = "{folder}/nobody"\n'
    (folder / "dubseedd.toml").write_text(config)
    return folder


@dataclass(slots=True)
class Scene:
    """`folder` holds the store and what is not the store's business; `seeds` is what make_seeds made.

    Unless it is `shared` with others, the store is a folder that dubseedd makes.
    """

    folder: Path
    seeds: Path
    nursery: Nursery
    shared: bool = True
    before: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.settle_in()

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def _foreign(self) -> tuple[Path, ...]:
        return (self.folder / "outside", self.store / "foreign") if self.shared else (self.folder / "outside",)

    @property
    def sticks(self) -> Path:
        """A folder for each version, mounted sticks for all that dubseedctl knows."""
        return self.seeds / "sticks"

    @property
    def own(self) -> Path:
        return self.store / ".dubseed"

    def settle_in(self) -> None:
        """Put things of others beside the store and into it, where they are missing, and remember what there is."""
        for foreign in self._foreign:
            if not foreign.exists():
                (foreign / "inner").mkdir(parents=True)
                (foreign / "inner" / "file").write_bytes(b"somebody else's")
                os.chown(foreign, 1, 1)
                (foreign / "link").symlink_to("../../outside/inner")
        self.before = self.snapshot()

    def start_anew(self) -> None:
        """Nothing is installed."""
        shutil.rmtree(self.store, ignore_errors=True)
        self.settle_in()

    def sync(self, version: Version, plan: P = None) -> Ended[P]:  # type: ignore[assignment]
        """Run the sync of one version of the bundle, under a plan."""
        return self.sync_from(self.sticks / version.name, plan)

    def sync_from(self, stick: Path, plan: P = None) -> Ended[P]:  # type: ignore[assignment]
        """Run the sync of any stick."""
        arguments = ("--store", str(self.store), "--config", str(self.seeds / "dubseedd.toml"))
        return self.nursery.run("sync", "--from", str(stick), *arguments, plan=plan)

    def install(self, version: Version) -> None:
        ended = self.sync(version)
        assert ended.status == 0, ended.errors

    def updates(self) -> Iterator[tuple[Version, Version]]:
        """Updates to and fro without end, each like the other, as (what is installed, what comes); whoever takes one
        completes it, or else the next begins with a store made anew."""
        before, after = NEW, OLD
        while True:
            if self._seen() is not before:
                self.start_anew()
                self.install(after)
                self.install(before)
            yield before, after
            before, after = after, before

    def _seen(self) -> Version | None:
        with suppress(Torn):
            return self.visible()
        return None

    def visible(self) -> Version | None:
        """The version that whoever looks sees; Torn where it is none."""
        place = self.store / NAME
        if not place.exists():
            return None
        found = contents(place)
        for version in (OLD, NEW):
            if found == version.published:
                return version
        raise Torn(f"{NAME} is neither the old nor the new version: {describe(found)}")

    def installed_by_history(self) -> str:
        """The manifest that the history told last of; a torn line is none."""
        history = self.own / "history.jsonl"
        manifest = ""
        for line in history.read_bytes().splitlines() if history.exists() else ():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record["dubseed_event"] in ("bundle-installed", "bundle-current"):
                manifest = record["dubseed_manifest"]
        return manifest

    def begun_files(self) -> int:
        """How many files of staging are gone on with from a mark."""
        logs = [log.read_text().splitlines() for log in self.own.glob("staging/*/files.jsonl")]
        entries = [json.loads(line) for log in logs for line in log if line.endswith("}")]
        marked = {entry["path"] for entry in entries if "offset" in entry}
        return len(marked - {entry["path"] for entry in entries if "offset" not in entry})

    def snapshot(self) -> Snapshot:
        """Everything that is not dubseedd's to change."""
        found: dict[str, tuple[object, ...]] = {}
        for root in (*self._foreign, self.seeds):
            for path in (root, *sorted(root.rglob("*"))):
                status = path.lstat()
                digest = hashlib.sha256(path.read_bytes()).digest() if stat.S_ISREG(status.st_mode) else b""
                found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ino, digest)
        return found


def calls_of_an_update(scene: Scene, watching: Watching) -> int:
    """How many calls of an update count for a fault."""
    _, after = next(scene.updates())
    watched = scene.sync(after, watching)
    assert watched.status == 0, watched.errors
    return len(watched.plan.seen)


def describe(files: Mapping[str, bytes]) -> str:
    """Which of the files are right, for a sentence."""
    told = []
    for path in sorted({*files, *OLD.published, *NEW.published}):
        whose = [version.name for version in (OLD, NEW) if version.published.get(path) == files.get(path)]
        told.append(f"{path}: {len(files.get(path, b''))} bytes, {' and '.join(whose) or 'of nobody'}")
    return "; ".join(told)
