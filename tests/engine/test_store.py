"""The store: who is in it, what is given up for room, and who may work on it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.core.config import build
from dubseedd.core.plan import Verdict
from dubseedd.core.receipt import FileRecord
from dubseedd.engine.staging import Staging, staged_paths
from dubseedd.engine.store import BundleState, Store
from dubseedd.engine.syncing import Readiness
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import model_files, write_bundle, write_files
from tools.machine import run

FILES = model_files()


def test_a_second_process_is_told_that_the_store_is_busy(store: Store) -> None:
    with pytest.raises(CallRefused) as refused:
        Store(store.path)
    assert refused.value.error is ErrorName.BUSY


def test_a_store_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreTrouble) as trouble:
        Store(str(tmp_path / "file" / "store"))
    assert trouble.value.error is ErrorName.STORE_FAILED
    assert "check [store] path" in trouble.value.sentence


def test_a_read_only_store_prints_the_drop_in_that_helps(tmp_path: Path) -> None:
    with ExitStack() as undo:
        run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path))
        undo.callback(run, "umount", str(tmp_path))
        with pytest.raises(StoreTrouble) as trouble:
            Store(f"{tmp_path}/store")
    assert f"ReadWritePaths={tmp_path}/store" in trouble.value.sentence


def test_our_own_folder_is_for_root_alone(store: Store) -> None:
    assert os.stat(f"{store.path}/.dubseed").st_mode & 0o777 == 0o700
    assert os.stat(store.path).st_mode & 0o777 == 0o755


def test_files_links_and_folders_of_others_are_told_apart(store: Store, tmp_path: Path) -> None:
    write_files(Path(store.path) / "folder", {"a.gguf": b"123"})
    (Path(store.path) / "link").symlink_to(tmp_path)
    (Path(store.path) / "file").write_bytes(b"x")
    found = {bundle.name: bundle for bundle in store.listing()}
    assert set(found) == {"folder", "link"}
    assert {bundle.state for bundle in found.values()} == {BundleState.FOREIGN}
    assert (found["folder"].size, found["folder"].files, found["folder"].format) == (3, 1, "gguf")
    assert (found["link"].size, found["link"].files) == (0, 0)


def test_a_name_of_others_that_is_as_long_as_can_be_stops_no_listing(store: Store) -> None:
    os.mkdir(f"{store.path}/{'x' * 255}")
    assert [bundle.state for bundle in store.listing()] == [BundleState.FOREIGN]


def test_folders_without_end_in_a_bundle_make_it_an_update(models: Path, sync: Syncing, store: Store) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny")
    os.makedirs(f"{store.path}/tiny/{'d/' * 40}")
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert store.verdict("tiny", receipt.manifest_sha256, len(FILES)) == (Verdict.UPDATE, True)
    sync("tiny")
    assert not os.path.exists(f"{store.path}/tiny/d")


def test_what_a_crash_left_half_removed_or_half_written_is_gone_at_the_next_start(store: Store) -> None:
    own = Path(store.path) / ".dubseed"
    write_files(own / "trash/1", {"a/b": b"x"})
    (own / "receipts/\\123").write_bytes(b"half")
    path = store.path
    store.close()
    again = Store(path)
    assert os.listdir(own / "trash") == os.listdir(own / "receipts") == []
    again.close()


def test_what_changed_meanwhile_is_not_written_back(models: Path, sync: Syncing, store: Store) -> None:
    for revision in (b"1", b"2"):
        write_bundle(models / "tiny", model_files(seed=revision))
        sync("tiny")
    held = store.receipt("tiny")
    assert held is not None
    assert held.previous is not None
    store.write_receipt(held.succeeding(None))
    assert store.amend_receipt(held, verified_at=99).previous is None
    found = store.receipt("tiny")
    assert found is not None
    assert (found.previous, found.verified_at) == (None, 99)


def test_an_amendment_of_a_version_that_was_replaced_is_written_nowhere(
    models: Path, sync: Syncing, store: Store
) -> None:
    write_bundle(models / "tiny", model_files(seed=b"1"))
    sync("tiny")
    old = store.receipt("tiny")
    write_bundle(models / "tiny", model_files(seed=b"2"))
    sync("tiny")
    new = store.receipt("tiny")
    assert old is not None
    store.amend_receipt(old, verified_at=99)
    assert store.receipt("tiny") == new


def test_a_folder_that_took_the_place_of_ours_is_foreign(models: Path, sync: Syncing, store: Store) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny")
    os.rename(f"{store.path}/tiny", f"{store.path}/moved")
    write_bundle(Path(store.path) / "tiny", FILES)
    found = store.look("tiny")
    assert found is not None
    assert found.state is BundleState.FOREIGN


@pytest.mark.parametrize("change", ["content", "removed", "touched"])
def test_a_file_that_somebody_has_touched_makes_the_bundle_an_update(
    models: Path, sync: Syncing, store: Store, change: str
) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny")
    path = Path(store.path) / "tiny" / "tokenizer.json"
    match change:
        case "content":
            path.write_bytes(b"other")
        case "removed":
            path.unlink()
        case _:
            os.utime(path, ns=(1, 1))
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert store.verdict("tiny", receipt.manifest_sha256, len(FILES)) == (Verdict.UPDATE, True)


def test_staging_that_nothing_continues_for_long_goes(models: Path, sync: Syncing, store: Store) -> None:
    write_bundle(models / "tiny", FILES)
    sync("tiny", publish=False)
    (digest,) = os.listdir(store.staging)
    os.utime(f"{store.path}/.dubseed/staging/{digest}", (1000, 1000))
    assert list(store.expire_staging(999)) == []
    assert len(list(store.expire_staging(1001))) == 1
    assert os.listdir(store.staging) == []


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
        giving_up = store.make_room(store.free_bytes() + 20_000_000, 0, but="none")
        assert "unfinished copy" in next(giving_up)
        with store.working_on(second), pytest.raises(StoreTrouble):
            next(giving_up)
        assert os.listdir(store.staging) == [second]

    def test_the_reserve_is_left_free(self, models: Path, sync: Syncing, store: Store) -> None:
        sync.config = build([("test", {"store": {"reserve": "60MiB"}})])
        with pytest.raises(StoreTrouble) as trouble:
            self.sync_big(models, sync, "a", b"1")
        assert trouble.value.error is ErrorName.NO_SPACE


def record(copy: Staging, path: str) -> None:
    status = os.stat(f"/proc/self/fd/{copy.tree}/{path}")
    copy.record([FileRecord(path, status.st_size, "s", "b", status.st_mtime_ns, status.st_ino)])


class TestStaging:
    DIGEST = "d" * 64

    def test_one_that_cannot_be_opened_leaves_no_descriptor(self, store: Store) -> None:
        folder = Path(store.path) / ".dubseed/staging" / self.DIGEST
        (folder / "files.jsonl").mkdir(parents=True)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="directory"):
            Staging(store.staging, self.DIGEST)
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_record_counts_as_long_as_its_file_is_as_it_was(self, store: Store) -> None:
        with Staging(store.staging, self.DIGEST) as copy:
            for name in ("kept", "changed", "gone"):
                Path(f"/proc/self/fd/{copy.tree}/{name}").write_bytes(b"data")
                record(copy, name)
            Path(f"/proc/self/fd/{copy.tree}/changed").write_bytes(b"other")
            Path(f"/proc/self/fd/{copy.tree}/gone").unlink()
        with Staging(store.staging, self.DIGEST) as copy:
            assert set(copy.records) == {"kept"}

    def test_a_line_that_was_torn_is_passed_over(self, store: Store) -> None:
        with Staging(store.staging, self.DIGEST) as copy:
            Path(f"/proc/self/fd/{copy.tree}/a").write_bytes(b"data")
            record(copy, "a")
        log = Path(store.path) / ".dubseed/staging" / self.DIGEST / "files.jsonl"
        log.write_bytes(log.read_bytes() + b'{"path": "b", "si')
        with Staging(store.staging, self.DIGEST) as copy:
            assert set(copy.records) == {"a"}
            Path(f"/proc/self/fd/{copy.tree}/c").write_bytes(b"data")
            record(copy, "c")
        with Staging(store.staging, self.DIGEST) as copy:
            assert set(copy.records) == {"a", "c"}

    def test_what_has_no_record_is_pruned(self, store: Store) -> None:
        with Staging(store.staging, self.DIGEST) as copy:
            write_files(Path(f"/proc/self/fd/{copy.tree}"), {"a": b"1", "sub/b": b"2", "sub/c": b"3", "old/x": b"4"})
            record(copy, "sub/b")
            copy.prune(frozenset({"a", "sub/b", "sub/c"}))
            left = sorted(os.listdir(copy.tree)), os.listdir(f"/proc/self/fd/{copy.tree}/sub")
        assert left == (["sub"], ["b"])

    def test_looking_makes_nothing(self, store: Store) -> None:
        assert staged_paths(store.staging, self.DIGEST) == frozenset()
        assert os.listdir(store.staging) == []
