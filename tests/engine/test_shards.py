"""Large files: gone on with after an interruption, read back behind the copy, shared with what the store has."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dubseedd.core.config import Config, build
from dubseedd.core.lifecycle import JobState
from dubseedd.core.overlap import Way
from dubseedd.engine import copying
from dubseedd.engine.copying import MARK_BYTES
from dubseedd.engine.durable import FOLDER, names_in, opened
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import BLOCK_BYTES
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.transfer import SyncTools
from dubseedd.errors import Cancelled, Failure, SeedRefused, StoreTrouble
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.machine import Machine
from tests.support.bundles import contents, model_files, published, safetensors_of, write_bundle
from tests.support.sticks import mounted
from tools.image import empty_image

InStore = Callable[[str], Path]

MIB = 1 << 20
SIZE = 2 * MARK_BYTES + 50 * MIB
WEIGHTS = "weights.safetensors"
FILES = {"config.json": b"{}", WEIGHTS: safetensors_of(SIZE)}


@dataclass(slots=True)
class Tripwire(Meter):
    """Does something once, when so much has come from the seed."""

    at: int = 0
    act: Callable[[], None] = field(default=lambda: None)

    def copied(self, length: int) -> None:
        before = self.bytes_done
        Meter.copied(self, length)
        if before < self.at <= self.bytes_done:
            self.act()


def staged(store: Store) -> Path:
    """The staged file."""
    (digest,) = os.listdir(store.staging)
    return Path(store.path) / ".dubseed/staging" / digest / "tree" / WEIGHTS


def overwrite(path: Path, offset: int) -> None:
    """Other bytes on the disk, a few."""
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, b"flipped", offset)
    os.fsync(descriptor)
    os.close(descriptor)


def with_tools(sync: Syncing, tools: SyncTools) -> None:
    sync.fresh_tools = lambda: tools  # type: ignore[method-assign]


def interrupt(models: Path, sync: Syncing, way: Way = Way.APART) -> None:
    """A sync that is stopped in the middle of the weights, after their second mark. The way of reading back is not
    found out by how fast this machine is just now."""
    write_bundle(models / "tiny", FILES)
    tools = sync.fresh_tools()
    tools.overlap.way = way
    tools.meter = Tripwire(at=2 * MARK_BYTES + 20 * MIB, act=lambda: tools.stop.set(Cancelled()))
    make, sync.fresh_tools = sync.fresh_tools, lambda: tools  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        sync("tiny")
    sync.fresh_tools = make  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("damaged_at", "kept"),
    [(None, 2 * MARK_BYTES), (MARK_BYTES + 5, MARK_BYTES), (5, 0), (2 * MARK_BYTES, 2 * MARK_BYTES)],
)
def test_an_interrupted_file_goes_on_after_the_last_mark_that_is_still_right(
    models: Path, sync: Syncing, store: Store, in_store: InStore, damaged_at: int | None, kept: int
) -> None:
    interrupt(models, sync)
    if damaged_at is not None:
        overwrite(staged(store), damaged_at)
    sync("tiny")
    meter = sync.tools.meter
    assert (meter.bytes_done, meter.bytes_total) == (SIZE - kept, SIZE - kept)
    assert meter.bytes_skipped == kept + len(FILES["config.json"])
    assert contents(in_store("tiny")) == published(FILES)


def test_without_reading_back_an_interrupted_file_goes_on_all_the_same(
    models: Path, sync: Syncing, in_store: InStore
) -> None:
    sync.config = replace(sync.config, sync=replace(sync.config.sync, read_back=False))
    interrupt(models, sync)
    sync("tiny")
    meter = sync.tools.meter
    assert meter.bytes_done == SIZE - 2 * MARK_BYTES
    assert meter.work_done == meter.work_total
    assert contents(in_store("tiny")) == published(FILES)


def test_a_staged_file_that_was_cut_is_copied_from_the_last_mark_within_it(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    interrupt(models, sync)
    os.truncate(staged(store), MARK_BYTES + 1)
    sync("tiny")
    assert sync.tools.meter.bytes_done == SIZE - MARK_BYTES
    assert contents(in_store("tiny")) == published(FILES)


def test_room_that_a_part_has_already_is_not_asked_for_again(models: Path, sync: Syncing, store: Store) -> None:
    interrupt(models, sync)
    free = os.statvfs(store.path)
    reserve = free.f_bavail * free.f_frsize - 20 * MIB
    sync.config = build([("test", {"store": {"reserve": reserve}})])
    sync("tiny")


@dataclass(slots=True)
class Watching(Meter):
    """Notes the room that is wanted after each block that has come from the seed, and while a file is read again."""

    wanted: list[int] = field(default_factory=list)
    wanted_at_rest: list[int] = field(default_factory=list)

    def copied(self, length: int) -> None:
        Meter.copied(self, length)
        self.wanted.append(self.room_wanted)

    def worked(self, length: int) -> None:
        Meter.worked(self, length)
        self.wanted_at_rest.append(self.room_wanted)


def test_room_that_a_file_under_way_holds_already_is_not_wanted_of_others(models: Path, sync: Syncing) -> None:
    files = {"a.safetensors": safetensors_of(3 * BLOCK_BYTES), "b.safetensors": safetensors_of(4 * BLOCK_BYTES)}
    write_bundle(models / "tiny", {"config.json": b"{}", **files})
    tools = sync.fresh_tools()
    tools.meter = meter = Watching()
    with_tools(sync, tools)
    sync("tiny")
    assert meter.wanted == [7 * BLOCK_BYTES, *[4 * BLOCK_BYTES] * 3, *[0] * 4]


def test_room_that_could_not_be_taken_beforehand_is_wanted_until_the_bytes_are_there(
    models: Path, sync: Syncing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unable)
    write_bundle(models / "tiny", {"config.json": b"{}", "a.safetensors": safetensors_of(3 * BLOCK_BYTES)})
    tools = sync.fresh_tools()
    tools.meter = meter = Watching()
    with_tools(sync, tools)
    sync("tiny")
    assert meter.wanted == [3 * BLOCK_BYTES, 2 * BLOCK_BYTES, BLOCK_BYTES, 0]


def test_room_is_wanted_again_where_a_file_is_dropped(models: Path, sync: Syncing) -> None:
    write_bundle(models / "tiny", {"config.json": b"{}", "a.safetensors": safetensors_of(3 * BLOCK_BYTES)})
    tools = sync.fresh_tools()
    tools.meter = meter = Tripwire(at=BLOCK_BYTES, act=lambda: tools.stop.set(Cancelled()))
    with_tools(sync, tools)
    with pytest.raises(Cancelled):
        sync("tiny")
    assert meter.bytes_ahead == 0


def test_room_that_a_part_has_is_not_wanted_of_others_while_it_is_read_again(models: Path, sync: Syncing) -> None:
    interrupt(models, sync)
    tools = sync.fresh_tools()
    tools.meter = meter = Watching()
    with_tools(sync, tools)
    sync("tiny")
    assert meter.wanted_at_rest[0] == 0
    assert set(meter.wanted) == {0}


SHARD = "model-00001-of-00002.safetensors"
LARGE = model_files(shard_bytes=5_000_000)


def test_wrong_bytes_of_the_seed_are_told_although_the_copy_cannot_be_removed(
    models: Path, sync: Syncing, removal_fails: Callable[[str], None]
) -> None:
    overwrite(write_bundle(models / "tiny", LARGE) / SHARD, 4_000_000)
    removal_fails(SHARD)
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert refused.value.error is ErrorName.CHECKSUM_MISMATCH


def test_wrong_bytes_of_the_disk_are_told_although_the_copy_cannot_be_removed(
    models: Path, sync: Syncing, in_store: InStore, removal_fails: Callable[[str], None]
) -> None:
    write_bundle(models / "tiny", LARGE)
    removal_fails(SHARD)
    tools = sync.fresh_tools()
    tools.overlap.way = Way.APART
    with_tools(sync, tools)

    def damage(phase: JobState) -> None:
        if phase is JobState.VERIFYING:
            overwrite(staged(sync.store).with_name(SHARD), 4_000_000)

    tools.meter.on_phase = damage
    with pytest.raises(StoreTrouble) as trouble:
        sync("tiny")
    assert trouble.value.error is ErrorName.CHECKSUM_MISMATCH
    assert not in_store("tiny").exists()


class TestBesideTheCopy:
    """Reading back where it was found to cost no time."""

    def tools(self, sync: Syncing) -> SyncTools:
        tools = sync.fresh_tools()
        tools.overlap.way = Way.TOGETHER
        with_tools(sync, tools)
        return tools

    def test_what_has_arrived_is_kept_although_reading_it_back_was_cut_short(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        interrupt(models, sync, Way.TOGETHER)
        sync("tiny")
        assert sync.tools.meter.bytes_done == SIZE - 2 * MARK_BYTES
        assert contents(in_store("tiny")) == published(FILES)

    def test_nothing_is_left_to_read_back_after_it(self, models: Path, sync: Syncing, in_store: InStore) -> None:
        write_bundle(models / "tiny", FILES)
        tools = self.tools(sync)
        left = []

        def look(phase: JobState) -> None:
            if phase is JobState.VERIFYING:
                left.append(tools.meter.work_total - tools.meter.work_done)

        tools.meter.on_phase = look
        sync("tiny")
        assert left == [len(FILES["config.json"])]
        assert contents(in_store("tiny")) == published(FILES)

    def test_bytes_that_the_disk_gives_back_differently_end_the_copy_and_say_where(
        self, models: Path, sync: Syncing, store: Store, in_store: InStore
    ) -> None:
        write_bundle(models / "tiny", FILES)
        tools = self.tools(sync)
        tools.meter = Tripwire(at=MARK_BYTES + 20 * MIB, act=lambda: overwrite(staged(store), MARK_BYTES + 5))
        with pytest.raises(StoreTrouble) as trouble:
            sync("tiny")
        assert trouble.value.error is ErrorName.CHECKSUM_MISMATCH
        assert f"reads back differently between bytes {MARK_BYTES:,} and {2 * MARK_BYTES:,} " in trouble.value.sentence
        assert not staged(store).exists()
        assert not in_store("tiny").exists()


def test_several_files_at_once_where_hashing_holds_them_up(
    models: Path, sync: Syncing, in_store: InStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "HASH_BOUND", 0.0)
    files = model_files(shards=3, shard_bytes=MARK_BYTES + 5 * MIB)
    write_bundle(models / "tiny", files)
    sync("tiny")
    assert contents(in_store("tiny")) == published(files)
    assert sync.tools.meter.work_done == sync.tools.meter.work_total


@pytest.fixture(params=["ext4", "xfs", "btrfs"])
def elsewhere(request: pytest.FixtureRequest, machine: Machine, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    image = empty_image(tmp_path / "disk.img", 1 << 30, request.param)
    with mounted(image) as folder:
        yield folder


def test_weights_that_the_store_has_are_shared_where_the_file_system_can(
    models: Path, config: Config, elsewhere: Path, request: pytest.FixtureRequest
) -> None:
    with closing(Store(str(elsewhere / "store"))) as store:
        sync = Syncing(models, store, config)
        write_bundle(models / "tiny", FILES)
        sync("tiny")
        changed = {**FILES, "config.json": b'{"revision": 2}'}
        write_bundle(models / "tiny", changed)
        before = store.free_bytes()
        sync("tiny")
        meter = sync.tools.meter
        assert (meter.bytes_done, meter.bytes_skipped) == (len(changed["config.json"]), SIZE)
        assert meter.work_done == meter.work_total
        assert contents(Path(store.path) / "tiny") == published(changed)
        shared = before - store.free_bytes() < SIZE // 2
        assert shared == (request.node.callspec.params["elsewhere"] != "ext4")


def test_a_shared_file_that_was_damaged_is_read_from_the_seed_after_all(
    models: Path, config: Config, elsewhere: Path
) -> None:
    with closing(Store(str(elsewhere / "store"))) as store:
        sync = Syncing(models, store, config)
        write_bundle(models / "tiny", FILES)
        sync("tiny")
        overwrite(Path(store.path) / "tiny" / WEIGHTS, 5)
        write_bundle(models / "other", FILES)
        sync("other")
        assert sync.tools.meter.bytes_done >= SIZE
        assert sync.tools.meter.work_done == sync.tools.meter.work_total
        assert contents(Path(store.path) / "other") == published(FILES)


class Flicker(StopFlag):
    """Puts the right bytes back once the whole file has been read: a stick that answers differently."""

    def __init__(self, path: Path, offset: int, right: bytes, meter: Meter) -> None:
        super().__init__()
        self._path, self._offset, self._right, self._meter = path, offset, right, meter

    @property
    def reason(self) -> Failure | None:
        if self._meter.bytes_done >= SIZE:
            with self._path.open("r+b") as stream:
                stream.seek(self._offset)
                stream.write(self._right)
        return None


def test_the_second_look_says_where_a_stick_answers_differently(models: Path, sync: Syncing) -> None:
    folder, offset = write_bundle(models / "tiny", FILES), MARK_BYTES + 9
    overwrite(folder / WEIGHTS, offset)
    tools = sync.fresh_tools()
    tools.stop = Flicker(folder / WEIGHTS, offset, FILES[WEIGHTS][offset : offset + 7], tools.meter)
    with_tools(sync, tools)
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    expected = f"a second read gives the right bytes between bytes {MARK_BYTES:,} and {2 * MARK_BYTES:,}, so the stick"
    assert expected in refused.value.sentence


def test_what_came_into_a_folder_after_it_was_opened_is_seen_on_every_file_system(elsewhere: Path) -> None:
    with opened(str(elsewhere), FOLDER) as descriptor:
        before = names_in(descriptor)
        (elsewhere / "new").mkdir()
        assert set(names_in(descriptor)) - set(before) == {"new"}
