"""Staging: what is known of a copy under way, and what is left of it."""

import os
from pathlib import Path

import pytest

from dubseedd.core.receipt import FileRecord
from dubseedd.engine.staging import Staging, staged_copies, staged_paths
from dubseedd.engine.store import Store
from tests.support.bundles import write_files

DIGEST = "d" * 64


def record(copy: Staging, path: str) -> None:
    status = os.stat(f"/proc/self/fd/{copy.tree}/{path}")
    copy.record([FileRecord(path, status.st_size, "s", "b", status.st_mtime_ns, status.st_ino)])


def test_one_that_cannot_be_opened_leaves_no_descriptor(store: Store) -> None:
    folder = Path(store.path) / ".dubseed/staging" / DIGEST
    (folder / "files.jsonl").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="directory"):
        Staging(store.staging, DIGEST)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_record_counts_as_long_as_its_file_is_as_it_was(store: Store) -> None:
    with Staging(store.staging, DIGEST) as copy:
        for name in ("kept", "changed", "gone", "folder"):
            Path(f"/proc/self/fd/{copy.tree}/{name}").write_bytes(b"data")
            record(copy, name)
        Path(f"/proc/self/fd/{copy.tree}/changed").write_bytes(b"other")
        Path(f"/proc/self/fd/{copy.tree}/gone").unlink()
        Path(f"/proc/self/fd/{copy.tree}/folder").unlink()
        Path(f"/proc/self/fd/{copy.tree}/folder").mkdir()
    assert staged_paths(store.staging, DIGEST) == {"kept"}
    with Staging(store.staging, DIGEST) as copy:
        assert set(copy.records) == {"kept"}


def test_a_file_that_was_given_up_is_not_staged(store: Store) -> None:
    with Staging(store.staging, DIGEST) as copy:
        for name in ("right", "wrong"):
            Path(f"/proc/self/fd/{copy.tree}/{name}").write_bytes(b"data")
            record(copy, name)
        copy.forget("wrong")
    assert staged_paths(store.staging, DIGEST) == {"right"}


def test_a_line_that_was_torn_is_passed_over(store: Store) -> None:
    with Staging(store.staging, DIGEST) as copy:
        Path(f"/proc/self/fd/{copy.tree}/a").write_bytes(b"data")
        record(copy, "a")
    log = Path(store.path) / ".dubseed/staging" / DIGEST / "files.jsonl"
    log.write_bytes(log.read_bytes() + b'{"path": "b", "si')
    with Staging(store.staging, DIGEST) as copy:
        assert set(copy.records) == {"a"}
        Path(f"/proc/self/fd/{copy.tree}/c").write_bytes(b"data")
        record(copy, "c")
    with Staging(store.staging, DIGEST) as copy:
        assert set(copy.records) == {"a", "c"}


def test_what_has_no_record_is_pruned(store: Store) -> None:
    with Staging(store.staging, DIGEST) as copy:
        write_files(Path(f"/proc/self/fd/{copy.tree}"), {"a": b"1", "sub/b": b"2", "sub/c": b"3", "old/x": b"4"})
        record(copy, "sub/b")
        copy.prune(frozenset({"a", "sub/b", "sub/c"}))
        left = sorted(os.listdir(copy.tree)), os.listdir(f"/proc/self/fd/{copy.tree}/sub")
    assert left == (["sub"], ["b"])


def test_looking_makes_nothing(store: Store) -> None:
    assert staged_paths(store.staging, DIGEST) == frozenset()
    assert os.listdir(store.staging) == []


def test_what_is_no_copy_of_ours_is_none(store: Store) -> None:
    with Staging(store.staging, DIGEST):
        (Path(store.path) / ".dubseed/staging/lost+found").mkdir()
        assert [copy.manifest_sha256 for copy in staged_copies(store.staging)] == [DIGEST]
