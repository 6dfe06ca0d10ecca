"""Small files: made to stay a stretch at a time, and never noted where that has failed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.engine import batches
from dubseedd.engine.kernel import sync_file_system
from dubseedd.engine.store import Store
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import model_files, write_bundle


def test_what_a_sync_of_the_disk_has_failed_for_is_not_noted_by_the_next_one(
    models: Path, sync: Syncing, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error the kernel forgets it: the next sync succeeds, whatever became of the bytes."""
    files = model_files()
    write_bundle(models / "tiny", files)
    failing = iter([True])

    def fail_once(descriptor: int) -> None:
        if next(failing, False):
            raise OSError(errno.EIO, "Input/output error")
        sync_file_system(descriptor)

    monkeypatch.setattr(batches, "STRETCH_FILES", 2)
    monkeypatch.setattr(batches, "sync_file_system", fail_once)
    with pytest.raises(StoreTrouble) as trouble:
        sync("tiny")
    assert trouble.value.error is ErrorName.WRITE_FAILED
    (digest,) = os.listdir(store.staging)
    assert store.staged_paths(digest) == frozenset()
    sync("tiny")
    assert sync.tools.meter.bytes_done == sum(map(len, files.values()))


@pytest.mark.parametrize("path", ["config.json", "tokenizer.json"])
def test_wrong_bytes_of_the_disk_are_told_although_the_copy_cannot_be_removed(
    models: Path, sync: Syncing, store: Store, removal_fails: Callable[[str], None], path: str
) -> None:
    """One whose content is judged, and one that is only read back."""
    write_bundle(models / "tiny", model_files())
    sync("tiny", publish=False)
    (digest,) = os.listdir(store.staging)
    copy = Path(store.path) / ".dubseed/staging" / digest / "tree" / path
    status = copy.stat()
    copy.write_bytes(bytes(status.st_size))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    removal_fails(path)
    for _ in range(2):
        with pytest.raises(StoreTrouble) as trouble:
            sync("tiny")
        assert trouble.value.error is ErrorName.CHECKSUM_MISMATCH
