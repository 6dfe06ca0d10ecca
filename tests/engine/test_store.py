"""The store: who is in it, and who may work on it."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.core.plan import Verdict
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
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
    assert "name another folder: [store] path, or --store" in trouble.value.sentence


def test_a_store_that_is_missing_or_read_only_says_what_helps(tmp_path: Path) -> None:
    with ExitStack() as undo:
        run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path))
        undo.callback(run, "umount", str(tmp_path))
        for store, way_out in (
            (f"{tmp_path}/store", f"; make it: install -d {tmp_path}/store; then systemctl restart dubseedd"),
            (str(tmp_path), f'"[Service]" and "ReadWritePaths=-{tmp_path}", then systemctl restart dubseedd'),
        ):
            with pytest.raises(StoreTrouble) as trouble:
                Store(store)
            assert trouble.value.sentence.endswith(way_out)


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
    write_files(own / "trash", {"1/a/b": b"x", "2": b"x"})
    (own / "trash/3").symlink_to("1")
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
    found = store.amend_receipt(held, verified_at=99)
    assert found is not None
    assert found == store.receipt("tiny")
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
    assert store.amend_receipt(old, verified_at=99) is None
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
