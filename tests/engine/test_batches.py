"""Small files: made to stay a stretch at a time, and never noted where that has failed."""

import errno
import os
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
