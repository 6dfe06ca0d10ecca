"""Rolling back and removing: what is at NAME is one whole version at every moment, whatever cuts the work short."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.core.plan import Verdict
from dubseedd.core.receipt import Receipt
from dubseedd.engine.kernel import Rename, rename
from dubseedd.engine.settling import settle
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Readiness
from dubseedd.engine.verifying import verify
from dubseedd.engine.versions import remove, roll_back
from dubseedd.errors import Failure
from dubseedd.names import ErrorName, EventName
from tests.engine.conftest import Syncing
from tests.support.bundles import contents, model_files, published, write_bundle, write_files

InStore = Callable[[str], Path]

OLD, NEW = model_files(seed=b"1"), model_files(seed=b"2")
NOW = 1_700_000_000_000_000


@pytest.fixture
def updated(models: Path, sync: Syncing, store: Store) -> Receipt:
    """The old version was installed, then the new one; the receipt of the new one."""
    for files in (OLD, NEW):
        write_bundle(models / "tiny", files)
        sync("tiny")
    receipt = store.receipt("tiny")
    assert receipt is not None
    return receipt


def refused(store: Store, call: Callable[[], object]) -> Failure:
    """The failure of a call, which leaves the store as it is."""
    before = {path: path.lstat().st_ino for path in Path(store.path).rglob("*")}
    with pytest.raises(Failure) as caught:
        call()
    assert before == {path: path.lstat().st_ino for path in Path(store.path).rglob("*")}
    return caught.value


class TestRollback:
    def test_both_versions_change_places_and_the_receipt_says_so(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        (tiding,) = roll_back(store, "tiny", now=NOW)
        assert contents(in_store("tiny")) == published(OLD)
        assert contents(in_store(".dubseed") / "previous" / "tiny") == published(NEW)
        receipt = store.receipt("tiny")
        assert receipt is not None
        assert receipt.previous is not None
        assert (receipt.held_back, receipt.installed_at) == (updated.manifest_sha256, NOW)
        assert receipt.previous.folder == updated.folder
        assert store.untouched(receipt)
        assert tiding.event is EventName.BUNDLE_ROLLED_BACK

    def test_what_was_rolled_back_from_is_an_update_that_nobody_installs_unasked(
        self, store: Store, updated: Receipt
    ) -> None:
        roll_back(store, "tiny", now=NOW)
        assert store.verdict("tiny", updated.manifest_sha256, len(updated.files)) == (Verdict.UPDATE, False)

    def test_twice_is_as_before(self, store: Store, in_store: InStore, updated: Receipt) -> None:
        roll_back(store, "tiny", now=NOW)
        roll_back(store, "tiny", now=NOW)
        assert contents(in_store("tiny")) == published(NEW)
        receipt = store.receipt("tiny")
        assert receipt is not None
        assert receipt.manifest_sha256 == updated.manifest_sha256

    def test_cut_right_after_the_exchange_it_stands_and_is_told_at_the_next_start(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        rename(store.previous, "tiny", store.root, "tiny", Rename.EXCHANGE)
        receipt = store.receipt("tiny")
        assert receipt is not None
        assert receipt.held_back == updated.manifest_sha256
        assert [tiding.event for tiding in settle(store).told] == [EventName.BUNDLE_ROLLED_BACK]
        assert settle(store).told == ()
        assert store.receipt("tiny") == receipt
        assert contents(in_store("tiny")) == published(OLD)

    def test_a_verification_of_what_a_cut_rollback_put_back_keeps_what_it_was(
        self, sync: Syncing, store: Store, updated: Receipt
    ) -> None:
        rename(store.previous, "tiny", store.root, "tiny", Rename.EXCHANGE)
        receipt = store.receipt("tiny")
        assert receipt is not None
        fresh = verify(store, receipt, sync.tools.meter, sync.tools.stop, now=NOW)
        assert (fresh.verified_at, fresh.held_back) == (NOW, updated.manifest_sha256)
        assert store.receipt("tiny") == fresh

    def test_without_a_previous_version_there_is_none(self, models: Path, sync: Syncing, store: Store) -> None:
        write_bundle(models / "tiny", NEW)
        sync("tiny")
        assert refused(store, lambda: roll_back(store, "tiny", now=NOW)).error is ErrorName.NO_PREVIOUS

    def test_a_previous_version_that_somebody_has_touched_stays_where_it_is(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        os.truncate(in_store(".dubseed") / "previous" / "tiny" / "config.json", 1)
        assert refused(store, lambda: roll_back(store, "tiny", now=NOW)).error is ErrorName.NO_PREVIOUS

    def test_a_previous_version_that_was_put_there_by_hand_is_none(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        place = in_store(".dubseed") / "previous" / "tiny"
        place.rename(place.with_name("away"))
        write_bundle(place, OLD)
        assert refused(store, lambda: roll_back(store, "tiny", now=NOW)).error is ErrorName.NO_PREVIOUS

    def test_a_folder_of_somebody_else_is_left_alone(self, store: Store, in_store: InStore) -> None:
        write_bundle(in_store("tiny"), OLD)
        assert refused(store, lambda: roll_back(store, "tiny", now=NOW)).error is ErrorName.NOT_FOUND


class TestRemoval:
    def test_nothing_is_left_of_either_version(self, store: Store, in_store: InStore, updated: Receipt) -> None:
        (tiding,) = remove(store, "tiny")
        assert tiding.event is EventName.BUNDLE_REMOVED
        assert store.listing() == []
        assert nothing_of_it(in_store(".dubseed"))

    def test_cut_right_after_the_rename_the_next_start_finishes_it(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        rename(store.root, "tiny", store.removing, "tiny", Rename.NOREPLACE)
        assert [tiding.event for tiding in settle(store).told] == [EventName.BUNDLE_REMOVED]
        assert nothing_of_it(in_store(".dubseed"))

    def test_a_bundle_that_came_after_a_cut_removal_is_kept(
        self, models: Path, sync: Syncing, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        rename(store.root, "tiny", store.removing, "tiny", Rename.NOREPLACE)
        sync("tiny")
        settle(store)
        assert store.receipt("tiny") is not None
        assert contents(in_store("tiny")) == published(NEW)
        assert os.listdir(store.removing) == []

    def test_what_somebody_has_put_into_it_is_not_ours_to_delete(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        (in_store("tiny") / "lora").mkdir()
        (in_store("tiny") / "lora" / "adapter.safetensors").write_bytes(b"hers")
        failure = refused(store, lambda: remove(store, "tiny"))
        assert failure.error is ErrorName.FOREIGN_BUNDLE
        assert "lora/adapter.safetensors" in failure.sentence

    def test_what_an_adopted_bundle_may_hold_beside_its_files_goes_with_it(
        self, models: Path, sync: Syncing, store: Store, in_store: InStore
    ) -> None:
        write_bundle(models / "tiny", NEW)
        write_files(write_bundle(in_store("tiny"), NEW), {"B3SUMS": b"", "SHA256SUMS.sig": b"", "tokenizer/._x": b""})
        assert sync("tiny") is Readiness.ADOPTABLE
        remove(store, "tiny")
        assert not in_store("tiny").exists()

    def test_a_link_by_the_name_of_such_a_file_is_not_ours_to_delete(
        self, store: Store, in_store: InStore, updated: Receipt
    ) -> None:
        (in_store("tiny") / "B3SUMS").symlink_to("config.json")
        assert "holds B3SUMS" in refused(store, lambda: remove(store, "tiny")).sentence

    @pytest.mark.parametrize("name", ["tiny", "nowhere"])
    def test_what_dubseedd_did_not_install_is_left_alone(self, store: Store, in_store: InStore, name: str) -> None:
        write_bundle(in_store("tiny"), OLD)
        assert refused(store, lambda: remove(store, name)).error is ErrorName.NOT_FOUND


def nothing_of_it(own: Path) -> bool:
    return not any(os.listdir(own / place) for place in ("previous", "receipts", "removing", "trash", "staging"))
