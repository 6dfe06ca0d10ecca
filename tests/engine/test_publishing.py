"""What a crash cuts short is finished at the next start, whichever step it came after.

The states are made on the disk as a crash between two steps leaves them (the steps: docstring of publishing).
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dubseedd.core.receipt import Receipt
from dubseedd.engine import publishing
from dubseedd.engine.durable import Rename, rename, write_file
from dubseedd.engine.staging import RECEIPT, TREE, Staging
from dubseedd.engine.store import BundleState, Store
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from tests.engine.conftest import Syncing
from tests.support.bundles import contents, model_files, published, write_bundle

InStore = Callable[[str], Path]

OLD, NEW = model_files(seed=b"1"), model_files(seed=b"2")


def prepare_new(models: Path, sync: Syncing) -> str:
    """The new version complete in staging; returns the name of its staging folder."""
    write_bundle(models / "tiny", NEW)
    assert sync("tiny", publish=False) is Readiness.STAGED
    (digest,) = os.listdir(sync.store.staging)
    return digest


def decide(sync: Syncing, digest: str) -> int:
    """Step 2: the receipt lies beside the tree. Returns the inode of the tree."""
    store = sync.store
    with Staging(store.staging, digest) as copy:
        inode = os.fstat(copy.tree).st_ino
        template = receipt_of_new(sync, copy)
        write_file(
            copy.folder, RECEIPT, replace(template, folder_inode=inode).succeeding(store.receipt("tiny")).to_json()
        )
    return inode


def receipt_of_new(sync: Syncing, copy: Staging) -> Receipt:
    """The receipt that a publication of the staged copy would write."""
    work = BundleSync(sync.store, Wish("tiny"), sync.fresh_tools())
    with sync.folder() as folder:
        bundle = folder.examine("tiny")
    work.close()
    manifest = publishing.write_manifest(copy, bundle.manifest)

    return Receipt(
        name="tiny",
        manifest=manifest,
        files=tuple(copy.records[file.path] for file in bundle.files),
        folder_inode=0,
        format="safetensors",
        installed_at=1,
        verified_at=1,
    )


def switch(sync: Syncing, digest: str, how: Rename) -> None:
    """Step 3."""
    folder = os.open(digest, os.O_RDONLY | os.O_DIRECTORY, dir_fd=sync.store.staging)
    try:
        rename(folder, TREE, sync.store.root, "tiny", how)
    finally:
        os.close(folder)


def is_installed(store: Store, files: dict[str, bytes], folder: Path) -> bool:
    found = store.look("tiny")
    return found is not None and found.state is BundleState.INSTALLED and contents(folder) == published(files)


@pytest.fixture
def old(models: Path, sync: Syncing) -> None:
    write_bundle(models / "tiny", OLD)
    sync("tiny")


def test_cut_before_the_switch_the_copy_stays_staged_and_is_published_next_time(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    decide(sync, prepare_new(models, sync))
    assert publishing.settle(store) == []
    assert is_installed(store, OLD, in_store("tiny"))
    sync("tiny")
    assert sync.tools.meter.bytes_done == 0
    assert is_installed(store, NEW, in_store("tiny"))


def test_cut_after_the_switch_of_a_new_bundle_the_receipt_is_written(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    digest = prepare_new(models, sync)
    decide(sync, digest)
    switch(sync, digest, Rename.NOREPLACE)
    (receipt,) = publishing.settle(store)
    assert receipt.name == "tiny"
    assert is_installed(store, NEW, in_store("tiny"))
    assert os.listdir(store.staging) == []


def test_cut_after_the_exchange_the_old_version_is_kept_and_never_taken_for_staged(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    digest = prepare_new(models, sync)
    decide(sync, digest)
    switch(sync, digest, Rename.EXCHANGE)
    publishing.settle(store)
    assert is_installed(store, NEW, in_store("tiny"))
    assert contents(in_store(".dubseed/previous/tiny")) == published(OLD)
    assert os.listdir(store.staging) == []


def test_cut_after_the_old_version_was_put_away_the_receipt_is_written(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    digest = prepare_new(models, sync)
    decide(sync, digest)
    switch(sync, digest, Rename.EXCHANGE)
    os.rename(in_store(f".dubseed/staging/{digest}/tree"), in_store(".dubseed/previous/tiny"))
    publishing.settle(store)
    assert is_installed(store, NEW, in_store("tiny"))
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.previous is not None


def test_settling_twice_is_settling_once(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    digest = prepare_new(models, sync)
    decide(sync, digest)
    switch(sync, digest, Rename.EXCHANGE)
    publishing.settle(store)
    assert publishing.settle(store) == []
    assert is_installed(store, NEW, in_store("tiny"))


def test_a_torn_receipt_in_staging_is_no_decision(models: Path, sync: Syncing, store: Store, in_store: InStore) -> None:
    digest = prepare_new(models, sync)
    (in_store(f".dubseed/staging/{digest}") / RECEIPT).write_bytes(b'{"schemaVersion": 1, "na')
    assert publishing.settle(store) == []
    sync("tiny")
    assert is_installed(store, NEW, in_store("tiny"))
