"""What a crash cuts short is finished at the next start, whichever step it came after.

The states are made on the disk as a crash between two steps leaves them (the steps: docstring of publishing).
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from dubseedd.core.plan import Verdict
from dubseedd.core.receipt import Receipt
from dubseedd.engine import publishing
from dubseedd.engine.durable import FOLDER, opened, write_file
from dubseedd.engine.kernel import Rename, identity, rename
from dubseedd.engine.settling import settle
from dubseedd.engine.staging import RECEIPT, TREE, Staging
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName, Field
from tests.engine.conftest import Syncing
from tests.support.bundles import contents, manifest_of, model_files, published, write_bundle

InStore = Callable[[str], Path]

OLD, NEW = model_files(seed=b"1"), model_files(seed=b"2")


def prepare_new(models: Path, sync: Syncing) -> str:
    """The new version complete in staging; returns the name of its staging folder."""
    write_bundle(models / "tiny", NEW)
    assert sync("tiny", publish=False) is Readiness.STAGED
    (digest,) = os.listdir(sync.store.staging)
    return digest


def decide(sync: Syncing, digest: str) -> None:
    """Step 2: the receipt lies beside the tree."""
    store = sync.store
    with Staging(store.staging, digest) as copy:
        former = store.receipt("tiny")
        receipt = receipt_of_new(sync, copy).in_place_of(former, occupied=former is not None, keep=True)
        write_file(copy.folder, RECEIPT, receipt.to_json())


def receipt_of_new(sync: Syncing, copy: Staging) -> Receipt:
    """The receipt that a publication of the staged copy would write."""
    work = BundleSync(sync.store, Wish("tiny"), sync.fresh_tools())
    with sync.folder() as folder:
        bundle = folder.examine("tiny")
    work.close()
    return Receipt(
        name="tiny",
        manifest=publishing.write_manifest(copy, bundle.manifest),
        files=tuple(copy.records[file.path] for file in bundle.files),
        folder=identity(copy.tree),
        format="safetensors",
        installed_at=1,
        verified_at=1,
    )


def switched(models: Path, sync: Syncing, how: Rename) -> str:
    """Cut after step 3: the tree has taken its place; returns the name of the staging folder."""
    digest = prepare_new(models, sync)
    decide(sync, digest)
    with opened(digest, FOLDER, at=sync.store.staging) as folder:
        rename(folder, TREE, sync.store.root, "tiny", how)
    return digest


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
    assert settle(store).told == ()
    assert is_installed(store, OLD, in_store("tiny"))
    sync("tiny")
    assert sync.tools.meter.bytes_done == 0
    assert is_installed(store, NEW, in_store("tiny"))


def test_cut_after_the_switch_of_a_new_bundle_the_receipt_is_written(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    switched(models, sync, Rename.NOREPLACE)
    (tiding,) = settle(store).told
    assert tiding.fields[Field.BUNDLE] == "tiny"
    assert is_installed(store, NEW, in_store("tiny"))
    assert os.listdir(store.staging) == []


def test_cut_after_the_exchange_the_old_version_is_kept_and_never_taken_for_staged(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    switched(models, sync, Rename.EXCHANGE)
    settle(store)
    assert is_installed(store, NEW, in_store("tiny"))
    assert contents(in_store(".dubseed/previous/tiny")) == published(OLD)
    assert os.listdir(store.staging) == []


def test_cut_after_the_old_version_was_put_away_the_receipt_is_written(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    digest = switched(models, sync, Rename.EXCHANGE)
    os.rename(in_store(f".dubseed/staging/{digest}/tree"), in_store(".dubseed/previous/tiny"))
    settle(store)
    assert is_installed(store, NEW, in_store("tiny"))
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.previous is not None


def test_settling_twice_is_settling_once(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    switched(models, sync, Rename.EXCHANGE)
    settle(store)
    assert settle(store).told == ()
    assert is_installed(store, NEW, in_store("tiny"))


def test_a_torn_receipt_in_staging_is_no_decision(models: Path, sync: Syncing, store: Store, in_store: InStore) -> None:
    digest = prepare_new(models, sync)
    (in_store(f".dubseed/staging/{digest}") / RECEIPT).write_bytes(b'{"schemaVersion": 1, "na')
    assert settle(store).told == ()
    sync("tiny")
    assert is_installed(store, NEW, in_store("tiny"))


def test_cut_before_the_staging_folder_went_nothing_is_left_of_it(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    digest = switched(models, sync, Rename.EXCHANGE)
    os.rename(in_store(f".dubseed/staging/{digest}/tree"), in_store(".dubseed/previous/tiny"))
    os.rename(in_store(f".dubseed/staging/{digest}/{RECEIPT}"), in_store(".dubseed/receipts/tiny.json"))
    assert settle(store).told == ()
    assert os.listdir(store.staging) == []
    assert is_installed(store, NEW, in_store("tiny"))


def test_mending_a_damaged_version_leaves_the_version_before_as_it_is(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    write_bundle(models / "tiny", NEW)
    sync("tiny")
    (in_store("tiny") / "tokenizer.json").write_bytes(b"damaged")
    assert sync("tiny") is Readiness.STAGED
    assert is_installed(store, NEW, in_store("tiny"))
    assert contents(in_store(".dubseed/previous/tiny")) == published(OLD)
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.previous is not None
    assert receipt.previous.manifest_sha256 != receipt.manifest_sha256


def test_a_publication_that_cannot_be_finished_holds_up_no_other_bundle(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    switched(models, sync, Rename.NOREPLACE)
    (in_store(".dubseed/receipts") / "tiny.json" / "in the way").mkdir(parents=True)
    settled = settle(store)
    assert (len(settled.told), len(settled.troubles)) == (0, 1)
    write_bundle(models / "other", OLD)
    assert sync("other") is Readiness.STAGED
    (in_store(".dubseed/receipts") / "tiny.json" / "in the way").rmdir()
    (in_store(".dubseed/receipts") / "tiny.json").rmdir()
    assert sync("tiny") is Readiness.CURRENT
    assert sync.notes == ["tiny is installed: its publication was cut short and is complete now"]


def test_a_folder_that_was_made_with_the_inode_of_ours_is_a_strangers(
    models: Path, sync: Syncing, store: Store, in_store: InStore, old: None
) -> None:
    receipt = store.receipt("tiny")
    assert receipt is not None
    inode, birth = receipt.folder
    store.write_receipt(replace(receipt, folder=(inode, birth - 1)))
    found = store.look("tiny")
    assert found is not None
    assert found.state is BundleState.FOREIGN
    store.write_receipt(receipt)
    os.chown(in_store("tiny"), 1000, 1000)
    assert store.receipt("tiny") is None


def test_the_folder_that_may_be_replaced_is_the_one_that_was_looked_at_and_no_other(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    write_bundle(models / "tiny", NEW)
    (in_store("tiny")).mkdir()
    (in_store("tiny") / "mine").write_bytes(b"1")
    work = BundleSync(store, Wish("tiny", replace_foreign=True), sync.fresh_tools())
    with sync.folder() as folder:
        work.prepare(folder)
    os.rename(in_store("tiny"), in_store("mine"))
    in_store("tiny").symlink_to("/etc")
    with pytest.raises(StoreTrouble) as trouble:
        work.publish()
    work.close()
    assert trouble.value.error is ErrorName.FOREIGN_BUNDLE
    assert in_store("tiny").is_symlink()
    assert os.listdir(store.previous) == []


def test_files_and_folders_are_for_everybody_to_read_whatever_the_umask(
    models: Path, sync: Syncing, store: Store
) -> None:
    write_bundle(models / "tiny", NEW)
    before = os.umask(0o077)
    try:
        sync("tiny")
    finally:
        os.umask(before)
    folder = Path(store.path) / "tiny"
    modes = {(path.is_dir(), path.stat().st_mode & 0o7777) for path in (folder, *folder.rglob("*"))}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_whoever_looks_in_the_middle_of_a_publication_sees_what_it_has_made(
    models: Path, sync: Syncing, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the switch and its receipt a folder of ours has none, and would pass for somebody else's."""
    write_bundle(models / "tiny", OLD)
    sync("tiny")
    write_bundle(models / "tiny", NEW)
    switched, goes_on, discard = threading.Event(), threading.Event(), store.discard

    def held(folder: int, name: str) -> None:
        if folder == store.previous:
            switched.set()
            goes_on.wait()
        discard(folder, name)

    monkeypatch.setattr(store, "discard", held)
    digest = sha256(manifest_of(NEW)).hexdigest()
    with ThreadPoolExecutor() as threads:
        publication = threads.submit(sync, "tiny")
        switched.wait()
        look = threads.submit(store.look, "tiny")
        verdict = threads.submit(store.verdict, "tiny", digest, len(NEW))
        wait((look, verdict), timeout=0.1)
        goes_on.set()
    assert publication.result() is Readiness.STAGED
    seen = look.result()
    assert (seen and seen.state, verdict.result()) == (BundleState.INSTALLED, (Verdict.CURRENT, True))
