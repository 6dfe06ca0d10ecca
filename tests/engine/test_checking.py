"""A seed is judged as a sync judges it, and nothing is written: not on it, not in the store."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dubseedd.core.config import Config
from dubseedd.core.plan import Verdict
from dubseedd.engine.checking import Judgement, SeedCheck
from dubseedd.engine.meter import Meter
from dubseedd.engine.prospects import Prospect, Prospects
from dubseedd.engine.pump import Pump
from dubseedd.engine.scanning import Examined
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.errors import Cancelled, Failure
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import manifest_of, model_files, write_bundle, write_files
from tests.support.users import needs_root
from tools.machine import run

FILES = model_files()
LARGE = model_files(shard_bytes=5_000_000)
SHARD = "model-00002-of-00002.safetensors"
Check = Callable[..., Judgement]


@pytest.fixture
def checked(config: Config, tmp_path: Path) -> Config:
    return replace(config, store=replace(config.store, path=str(tmp_path / "store")))


@contextmanager
def checking(sync: Syncing, config: Config, stop: StopFlag) -> Iterator[SeedCheck]:
    with sync.folder() as seed, Prospects(config) as prospects:
        yield SeedCheck(seed, prospects, stop)


@pytest.fixture
def check(sync: Syncing, checked: Config) -> Check:
    """Judges one bundle by name."""

    def judge(name: str, meter: Meter | None = None, stop: StopFlag | None = None) -> Judgement:
        with checking(sync, checked, stop or StopFlag()) as work:
            return work.judge(name, meter or Meter())

    return judge


def everything(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What would show that anything below a folder was touched."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def test_a_good_bundle_is_accepted_and_all_of_it_was_read(models: Path, sync: Syncing, checked: Config) -> None:
    write_bundle(models / "tiny", LARGE)
    size = sum(len(data) for data in LARGE.values())
    meter = Meter()
    with checking(sync, checked, StopFlag()) as work:
        judgement = work.judge("tiny", meter)
    assert judgement.failures == ()
    assert judgement.prospect.verdict is Verdict.NEW
    assert judgement.prospect.to_copy == work.read_bytes == meter.bytes_done == size
    assert work.rate > 0
    assert meter.fraction == 1


BROKEN: Mapping[str, Callable[[Path], object]] = {
    "a flipped bit in a small file": lambda bundle: write_bundle(
        bundle, {**FILES, "tokenizer.json": b"other"}, manifest=manifest_of(FILES)
    ),
    "a flipped bit in a large file": lambda bundle: write_bundle(
        bundle, {**LARGE, SHARD: LARGE[SHARD][:-1] + b"!"}, manifest=manifest_of(LARGE)
    ),
    "small weights cut short": lambda bundle: write_bundle(bundle, {**FILES, SHARD: FILES[SHARD][:-5]}),
    "large weights cut short": lambda bundle: write_bundle(bundle, {**LARGE, SHARD: LARGE[SHARD][:-5]}),
    "a shard of another model": lambda bundle: write_bundle(
        bundle, {**FILES, SHARD: FILES["model-00001-of-00002.safetensors"]}
    ),
    "no config.json": lambda bundle: write_bundle(
        bundle, {path: data for path, data in FILES.items() if path != "config.json"}
    ),
    "a config.json that is no object": lambda bundle: write_bundle(bundle, {**FILES, "config.json": b"[]"}),
    "a pointer of Git LFS": lambda bundle: write_bundle(
        bundle, {**FILES, SHARD: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"}
    ),
    "pickled weights": lambda bundle: write_bundle(bundle, {**FILES, "x.pkl": b"1"}),
    "a file that is not listed": lambda bundle: write_bundle(bundle, {**FILES, "x": b""}, manifest=manifest_of(FILES)),
    "no manifest": lambda bundle: write_files(bundle, FILES),
    "a link": lambda bundle: os.symlink("config.json", write_bundle(bundle, FILES) / "link"),
    "two things wrong": lambda bundle: write_bundle(
        bundle, {**LARGE, SHARD: LARGE[SHARD][:-1] + b"!", "config.json": b"[]"}, manifest=manifest_of(LARGE)
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_bundle_is_refused_in_the_words_of_a_sync(models: Path, sync: Syncing, check: Check, how: str) -> None:
    BROKEN[how](models / "bad")
    judgement = check("bad")
    with pytest.raises(Failure) as caught:
        sync("bad")
    assert [failure.pair for failure in judgement.failures] == [caught.value.pair]


def test_nothing_is_written_and_nothing_locked(models: Path, sync: Syncing, check: Check, tmp_path: Path) -> None:
    """The daemon may be at work on the store at the same time: `sync` has it open."""
    write_bundle(models / "old", FILES)
    sync("old")
    write_bundle(models / "begun", LARGE)
    sync("begun", publish=False)
    write_bundle(models / "bad", {**FILES, "config.json": b"[]"})
    before = everything(tmp_path)
    assert [bool(check(name).failures) for name in ("bad", "begun", "old")] == [True, False, False]
    assert everything(tmp_path) == before


def test_a_store_that_is_not_there_yet_is_not_made(models: Path, sync: Syncing, config: Config, tmp_path: Path) -> None:
    write_bundle(models / "tiny", FILES)
    elsewhere = replace(config, store=replace(config.store, path=str(tmp_path / "a/b/models")))
    with checking(sync, elsewhere, StopFlag()) as work:
        assert work.judge("tiny", Meter()).prospect.verdict is Verdict.NEW
    assert not (tmp_path / "a").exists()


def test_what_the_store_makes_of_a_bundle_is_told(models: Path, sync: Syncing, check: Check) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny", publish=False)
    assert check("tiny").prospect[:3] == (Verdict.STAGED, 0, 0)
    sync("tiny")
    assert check("tiny").prospect[:3] == (Verdict.CURRENT, 0, 0)
    write_bundle(models / "tiny", {**FILES, "tokenizer.json": b"newer"})
    assert check("tiny").prospect[:2] == (Verdict.UPDATE, 5)


def test_a_current_bundle_is_read_all_the_same(models: Path, sync: Syncing, check: Check) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny")
    status = (models / "tiny" / SHARD).stat()
    (models / "tiny" / SHARD).write_bytes(FILES[SHARD][:-1] + b"!")
    os.utime(models / "tiny" / SHARD, ns=(status.st_atime_ns, status.st_mtime_ns))
    (failure,) = check("tiny").failures
    assert failure.error is ErrorName.CHECKSUM_MISMATCH


@needs_root
def test_the_runbooks_work_would_be_adopted_and_is_not_touched(
    models: Path, check: Check, store: Store, tmp_path: Path
) -> None:
    write_bundle(models / "tiny", FILES)
    write_bundle(Path(store.path) / "tiny", FILES)
    before = everything(tmp_path)
    assert check("tiny").prospect[:3] == (Verdict.FOREIGN, 0, 0)
    assert everything(tmp_path) == before


def test_what_the_store_says_comes_first_and_the_stick_is_read_all_the_same(
    models: Path, check: Check, store: Store
) -> None:
    write_bundle(models / "tiny", {**FILES, "config.json": b"[]"})
    write_files(Path(store.path) / "tiny", {"config.json": b"mine"})
    errors = [failure.error for failure in check("tiny").failures]
    assert errors == [ErrorName.FOREIGN_BUNDLE, ErrorName.MODEL_INCOMPLETE]


@needs_root
def test_what_one_bundle_takes_is_no_room_for_the_next(
    models: Path, sync: Syncing, config: Config, tmp_path: Path
) -> None:
    for name, seed in (("a", b"a"), ("b", b"b")):
        write_bundle(models / name, model_files(shard_bytes=5_000_000, seed=seed))
    disk = tmp_path / "disk"
    disk.mkdir()
    with ExitStack() as undo:
        run("mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk))
        undo.callback(run, "umount", str(disk))
        small = replace(config, store=replace(config.store, path=str(disk / "models")))
        with checking(sync, small, StopFlag()) as work:
            first, second = (work.judge(name, Meter()) for name in ("a", "b"))
    assert first.failures == ()
    assert [failure.error for failure in second.failures] == [ErrorName.NO_SPACE]


def test_a_stick_whose_second_reading_differs_is_said_to_fail(models: Path, check: Check) -> None:
    class Tampering(Meter):
        def finished(self, files: int = 1) -> None:
            super().finished(files)
            (models / "tiny/config.json").write_bytes(b"[]")

    write_bundle(models / "tiny", FILES)
    (failure,) = check("tiny", Tampering()).failures
    assert failure.error is ErrorName.CHECKSUM_MISMATCH
    assert "so the stick is failing" in failure.sentence


def test_a_stick_that_goes_while_the_store_is_looked_at_cannot_be_read(
    models: Path, sync: Syncing, checked: Config
) -> None:
    class Pulling(Prospects):
        def of(self, bundle: Examined, pump: Pump, meter: Meter) -> Prospect:
            shutil.rmtree(models / bundle.name)
            return super().of(bundle, pump, meter)

    write_bundle(models / "tiny", FILES)
    with sync.folder() as seed, Pulling(checked) as prospects:
        (failure,) = SeedCheck(seed, prospects, StopFlag()).judge("tiny", Meter()).failures
    assert failure.error is ErrorName.READ_FAILED


def test_a_stop_ends_it(models: Path, check: Check) -> None:
    write_bundle(models / "tiny", LARGE)
    stop = StopFlag()
    stop.set(Cancelled())
    with pytest.raises(Cancelled):
        check("tiny", stop=stop)
