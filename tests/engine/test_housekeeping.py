"""What the store gives up: for room, or because nobody came back for it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.core.config import build
from dubseedd.engine import housekeeping
from dubseedd.engine.housekeeping import STAGING_LIFE_DAYS, expire_staging, make_room
from dubseedd.engine.settling import Settled, settle
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Readiness
from dubseedd.engine.versions import roll_back
from dubseedd.errors import Failure, StoreTrouble
from dubseedd.names import ErrorName, Field
from tests.engine.conftest import Syncing
from tests.support.bundles import contents, model_files, published, write_bundle
from tools.machine import run

FILES = model_files()


def test_staging_that_nothing_continues_for_long_goes(models: Path, sync: Syncing, store: Store) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny", publish=False)
    (digest,) = os.listdir(store.staging)
    os.utime(f"{store.path}/.dubseed/staging/{digest}", (1000, 1000))
    life = STAGING_LIFE_DAYS * 86400
    assert list(expire_staging(store, 1000 + life)) == []
    (tiding,) = expire_staging(store, 1001 + life)
    assert tiding.fields == {Field.BUNDLE: "", Field.MANIFEST: digest}
    assert os.listdir(store.staging) == []


def test_cut_right_after_a_previous_version_went_there_is_none_and_the_next_one_is_kept(
    models: Path, sync: Syncing, store: Store
) -> None:
    for seed in (b"1", b"2"):
        write_bundle(models / "tiny", model_files(seed=seed))
        sync("tiny")
    store.discard(store.previous, "tiny")
    assert settle(store) == Settled((), ())
    shown = store.look("tiny")
    assert shown is not None
    assert not shown.can_roll_back
    with pytest.raises(Failure) as refused:
        roll_back(store, "tiny", now=1)
    assert refused.value.error is ErrorName.NO_PREVIOUS
    write_bundle(models / "tiny", model_files(seed=b"3"))
    sync("tiny")
    roll_back(store, "tiny", now=1)
    assert contents(Path(store.path) / "tiny") == published(model_files(seed=b"2"))


def test_no_more_goes_than_is_needed_where_room_shows_only_after_a_sync_of_the_disk(
    models: Path, sync: Syncing, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on btrfs, which takes a device of its own."""
    for name in ("a", "b"):
        write_bundle(models / name, model_files(shard_bytes=1_000_000, seed=name.encode()))
        sync(name, publish=False)
    free = 0

    def commit(_: int) -> None:
        nonlocal free
        free = 1_000_000 * (2 - len(os.listdir(store.staging)))

    monkeypatch.setattr(housekeeping, "sync_file_system", commit)
    monkeypatch.setattr(store, "free_bytes", lambda: free)
    assert len(list(make_room(store, 1_000_000, 0, but="none"))) == 1
    assert len(os.listdir(store.staging)) == 1


class TestRoom:
    """On a disk of its own, where nobody else takes or gives room."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        disk = tmp_path / "disk"
        disk.mkdir()
        with ExitStack() as undo:
            run("mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", str(disk))
            undo.callback(run, "umount", "--lazy", str(disk))
            opened = Store(f"{disk}/store")
            undo.callback(opened.close)
            yield opened

    def sync_big(self, models: Path, sync: Syncing, name: str, seed: bytes, **how: bool) -> Readiness:
        write_bundle(models / name, model_files(shards=2, shard_bytes=6_000_000, seed=seed))
        return sync(name, **how)

    def test_unfinished_copies_go_before_previous_versions_the_oldest_first(
        self, models: Path, sync: Syncing, store: Store
    ) -> None:
        self.sync_big(models, sync, "a", b"1")
        self.sync_big(models, sync, "a", b"2")
        self.sync_big(models, sync, "b", b"3", publish=False)
        self.sync_big(models, sync, "c", b"4")
        self.sync_big(models, sync, "d", b"5")
        assert sync.notes == []
        self.sync_big(models, sync, "e", b"6")
        assert ["gave up the unfinished copy" in note for note in sync.notes] == [True]
        self.sync_big(models, sync, "f", b"7")
        assert sync.notes[1:] == ["gave up the previous version of a to make room"]
        assert os.listdir(store.previous) == []
        receipt = store.receipt("a")
        assert receipt is not None
        assert receipt.previous is None

    def test_what_is_given_up_is_told_by_its_own_name_and_version(
        self, models: Path, sync: Syncing, store: Store
    ) -> None:
        self.sync_big(models, sync, "a", b"1")
        installed = store.receipt("a")
        self.sync_big(models, sync, "a", b"2")
        self.sync_big(models, sync, "b", b"3", publish=False)
        (staged,) = os.listdir(store.staging)
        assert installed is not None
        told = list(make_room(store, store.free_bytes() + 20_000_000, 0, but="none"))
        assert [tiding.fields for tiding in told] == [
            {Field.BUNDLE: "", Field.MANIFEST: staged},
            {Field.BUNDLE: "a", Field.MANIFEST: installed.manifest_sha256},
        ]

    def test_a_disk_that_somebody_else_has_filled_is_freed_of_a_previous_version(
        self, models: Path, sync: Syncing, store: Store
    ) -> None:
        self.sync_big(models, sync, "a", b"1")
        self.sync_big(models, sync, "a", b"2")
        with open(f"{store.path}/../others", "wb") as others:
            os.posix_fallocate(others.fileno(), 0, store.free_bytes())
        assert store.free_bytes() == 0
        assert len(list(make_room(store, 1_000_000, 0, but="none"))) == 1
        receipt = store.receipt("a")
        assert receipt is not None
        assert receipt.previous is None

    def test_when_nothing_would_help_nothing_is_given_up(self, models: Path, sync: Syncing, store: Store) -> None:
        self.sync_big(models, sync, "a", b"1")
        self.sync_big(models, sync, "a", b"2")
        write_bundle(models / "huge", model_files(shards=6, shard_bytes=15_000_000))
        with pytest.raises(StoreTrouble) as trouble:
            sync("huge")
        assert trouble.value.error is ErrorName.NO_SPACE
        assert "bytes free" in trouble.value.sentence
        assert os.listdir(store.previous) == ["a"]

    def test_a_copy_that_somebody_works_on_by_now_is_left_alone(
        self, models: Path, sync: Syncing, store: Store
    ) -> None:
        self.sync_big(models, sync, "a", b"1", publish=False)
        (first,) = os.listdir(store.staging)
        self.sync_big(models, sync, "b", b"2", publish=False)
        (second,) = set(os.listdir(store.staging)) - {first}
        giving_up = make_room(store, store.free_bytes() + 20_000_000, 0, but="none")
        assert "unfinished copy" in next(giving_up).sentence
        with store.working_on(second), pytest.raises(StoreTrouble):
            next(giving_up)
        assert os.listdir(store.staging) == [second]

    def test_the_reserve_is_left_free(self, models: Path, sync: Syncing, store: Store) -> None:
        sync.config = build([("test", {"store": {"reserve": "60MiB"}})])
        with pytest.raises(StoreTrouble) as trouble:
            self.sync_big(models, sync, "a", b"1")
        assert trouble.value.error is ErrorName.NO_SPACE
