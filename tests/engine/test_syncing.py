"""One bundle from a seed's folder into a store, on real files."""

import gc
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from blake3 import blake3

from dubseedd.core.bundle import BundleFile
from dubseedd.core.lifecycle import JobState
from dubseedd.core.receipt import FileRecord
from dubseedd.engine.meter import Meter
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from dubseedd.errors import Cancelled, Failure, SeedRefused, StoreTrouble
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import contents, manifest_of, model_files, published, write_bundle, write_files

InStore = Callable[[str], Path]


def installed(store: Store, name: str) -> bool:
    found = store.look(name)
    return found is not None and found.state is BundleState.INSTALLED


def test_a_bundle_is_published_byte_for_byte_with_its_manifest(models: Path, sync: Syncing, in_store: InStore) -> None:
    files = model_files(shard_bytes=9_000_000)
    write_bundle(models / "tiny", files)
    assert sync("tiny") is Readiness.STAGED
    assert contents(in_store("tiny")) == published(files)


def test_a_file_that_is_named_like_a_draft_is_published_too(models: Path, sync: Syncing, in_store: InStore) -> None:
    files = {**model_files(), "SHA256SUMS.new": b"listed like any other", "config.json.new": b"and this"}
    write_bundle(models / "tiny", files)
    sync("tiny")
    assert contents(in_store("tiny")) == published(files)
    assert sync("tiny") is Readiness.CURRENT


@pytest.mark.parametrize("length", [246, 247, 250, 251, 255])
def test_the_longest_names_are_published_and_found(models: Path, sync: Syncing, store: Store, length: int) -> None:
    name = "n" * length
    write_bundle(models / name, model_files())
    sync(name)
    assert installed(store, name)
    assert sync(name) is Readiness.CURRENT


def test_what_is_published_is_roots_with_the_modes_of_the_contract(
    models: Path, sync: Syncing, in_store: InStore
) -> None:
    write_bundle(models / "tiny", model_files())
    sync("tiny")
    for path in [in_store("tiny"), *in_store("tiny").rglob("*")]:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, 0)
        assert stat.S_IMODE(status.st_mode) == (0o755 if path.is_dir() else 0o644)


def test_nothing_is_left_in_staging_after_a_publication(models: Path, sync: Syncing, store: Store) -> None:
    write_bundle(models / "tiny", model_files())
    sync("tiny")
    assert os.listdir(store.staging) == []


def test_what_a_sync_knew_of_every_file_goes_with_it(models: Path, sync: Syncing) -> None:
    """Not at the next collection of garbage: the daemon reads the receipt right after, and would hold both."""

    def known() -> int:
        return sum(isinstance(each, BundleFile | FileRecord) for each in gc.get_objects())

    write_bundle(models / "tiny", model_files(shard_bytes=9_000_000))
    gc.collect()
    before = known()
    gc.disable()
    try:
        assert sync("tiny") is Readiness.STAGED
        assert known() == before
    finally:
        gc.enable()


def test_the_receipt_knows_digest_and_size_of_every_file(models: Path, sync: Syncing, store: Store) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    sync("tiny")
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert {record.path: record.size for record in receipt.files} == {path: len(data) for path, data in files.items()}
    assert receipt.seed_uuid == "5EED"
    assert receipt.format == "safetensors"
    assert all(len(record.blake3) == 64 for record in receipt.files)


def test_the_same_bundle_again_is_current_and_nothing_is_copied(models: Path, sync: Syncing, in_store: InStore) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    sync("tiny")
    before = {path: path.stat().st_ino for path in in_store("tiny").rglob("*")}
    assert sync("tiny") is Readiness.CURRENT
    assert {path: path.stat().st_ino for path in in_store("tiny").rglob("*")} == before
    assert sync.tools.meter.bytes_skipped == sum(len(data) for data in files.values())


def test_a_new_revision_replaces_the_old_one_which_is_kept(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    old, new = model_files(seed=b"1"), model_files(seed=b"2")
    write_bundle(models / "tiny", old)
    sync("tiny")
    write_bundle(models / "tiny", new)
    sync("tiny")
    assert contents(in_store("tiny")) == published(new)
    assert contents(in_store(".dubseed/previous/tiny")) == published(old)
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.previous is not None


def test_without_keep_previous_the_old_revision_goes(models: Path, sync: Syncing, store: Store) -> None:
    sync.config = replace(sync.config, store=replace(sync.config.store, keep_previous=False))
    for revision in (b"1", b"2"):
        write_bundle(models / "tiny", model_files(seed=revision))
        sync("tiny")
    assert os.listdir(store.previous) == []
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.previous is None


def test_files_that_the_store_has_already_are_not_read_from_the_seed(
    models: Path, sync: Syncing, in_store: InStore
) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    sync("tiny")
    changed = {**files, "config.json": b'{"model_type": "other"}'}
    write_bundle(models / "tiny", changed)
    sync("tiny")
    assert sync.tools.meter.bytes_total == len(changed["config.json"])
    assert contents(in_store("tiny")) == published(changed)


def test_a_file_of_the_store_that_was_damaged_is_read_from_the_seed_after_all(
    models: Path, sync: Syncing, in_store: InStore
) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    sync("tiny")
    (in_store("tiny") / "tokenizer.json").write_bytes(b'{"version": "6.6"}')
    assert sync("tiny") is Readiness.STAGED
    assert contents(in_store("tiny")) == published(files)


def test_a_dry_run_plans_and_writes_nothing(models: Path, sync: Syncing, store: Store, in_store: InStore) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    assert sync("tiny", dry_run=True) is Readiness.PLANNED
    assert sync.tools.meter.bytes_total == sum(len(data) for data in files.values())
    assert os.listdir(store.staging) == []
    assert not in_store("tiny").exists()


def test_a_corrupted_file_is_refused_and_nothing_is_visible(models: Path, sync: Syncing, in_store: InStore) -> None:
    files = model_files()
    folder = write_bundle(models / "tiny", files)
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"x" * len(files["model-00002-of-00002.safetensors"]))
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert refused.value.error is ErrorName.CHECKSUM_MISMATCH
    assert refused.value.file == "model-00002-of-00002.safetensors"
    assert "a second read gives the same" in refused.value.sentence
    assert not in_store("tiny").exists()


class Flicker(StopFlag):
    """Changes the bytes between the first and the second look at a file: a stick that answers differently."""

    def __init__(self, path: Path, second: bytes, meter: Meter) -> None:
        super().__init__()
        self._path, self._second, self._meter = path, second, meter

    @property
    def reason(self) -> Failure | None:
        if self._meter.current_file == self._path.name:
            self._path.write_bytes(self._second)
        return None


RIGHT, OTHER = model_files()["tokenizer.json"], b'{"version": "7.7"}'


@pytest.mark.parametrize(
    ("second", "told"), [(RIGHT, "the right bytes"), (OTHER, sha256(OTHER).hexdigest())], ids=["right", "other"]
)
def test_a_stick_that_answers_differently_at_the_second_look_is_said_to_be_failing(
    models: Path, sync: Syncing, second: bytes, told: str
) -> None:
    folder = write_bundle(models / "tiny", model_files())
    (folder / "tokenizer.json").write_bytes(b'{"version": "6.6"}')
    tools = sync.fresh_tools()
    tools.stop = Flicker(folder / "tokenizer.json", second, tools.meter)
    sync.fresh_tools = lambda: tools  # type: ignore[method-assign]
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert refused.value.error is ErrorName.CHECKSUM_MISMATCH
    assert f"a second read gives {told}, so the stick is failing" in refused.value.sentence


@pytest.mark.parametrize(
    ("witness", "verdict"),
    [
        (b'{"version": "6.6"}', "agrees with the file, so SHA256SUMS is wrong"),
        (b"other", "disagrees with the file as well"),
    ],
)
def test_b3sums_tells_a_wrong_manifest_from_a_damaged_file(
    models: Path, sync: Syncing, witness: bytes, verdict: str
) -> None:
    folder = write_bundle(models / "tiny", model_files())
    (folder / "tokenizer.json").write_bytes(b'{"version": "6.6"}')
    (folder / "B3SUMS").write_text(f"{blake3(witness).hexdigest()}  tokenizer.json\n")
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert verdict in refused.value.sentence


def test_a_bit_that_flips_on_the_disk_is_caught_by_the_read_back_and_the_file_is_copied_anew(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    tools = sync.fresh_tools()
    make_tools, sync.fresh_tools = sync.fresh_tools, lambda: tools  # type: ignore[method-assign]

    def flip(phase: JobState) -> None:
        if phase is JobState.VERIFYING:
            (digest,) = os.listdir(store.staging)
            in_store(f".dubseed/staging/{digest}/tree/tokenizer.json").write_bytes(b'{"version": "6.6"}')

    tools.meter.on_phase = flip
    with pytest.raises(StoreTrouble) as trouble:
        sync("tiny")
    assert trouble.value.error is ErrorName.CHECKSUM_MISMATCH
    assert "the store's disk is failing" in trouble.value.sentence
    assert not in_store("tiny").exists()
    sync.fresh_tools = make_tools  # type: ignore[method-assign]
    sync("tiny")
    assert sync.tools.meter.bytes_done == len(files["tokenizer.json"])
    assert contents(in_store("tiny")) == published(files)


def test_nothing_is_read_back_where_nobody_wants_that_and_the_receipt_says_so(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    files = model_files(shard_bytes=9_000_000)
    write_bundle(models / "tiny", files)
    sync.config = replace(sync.config, sync=replace(sync.config.sync, read_back=False))
    tools, phases = sync.fresh_tools(), list[JobState]()
    tools.meter.on_phase = phases.append
    sync.fresh_tools = lambda: tools  # type: ignore[method-assign]
    assert sync("tiny") is Readiness.STAGED
    assert JobState.VERIFYING not in phases
    assert tools.meter.work_done == tools.meter.work_total == sum(len(data) for data in files.values())
    assert contents(in_store("tiny")) == published(files)
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.verified_at == 0


def test_a_sync_that_failed_goes_on_with_the_files_that_were_whole(
    models: Path, sync: Syncing, in_store: InStore
) -> None:
    files = model_files()
    folder = write_bundle(models / "tiny", files)
    last = max(files)
    (folder / last).write_bytes(b"x" * len(files[last]))
    with pytest.raises(SeedRefused):
        sync("tiny")
    (folder / last).write_bytes(files[last])
    sync("tiny")
    assert sync.tools.meter.bytes_done == len(files[last])
    assert contents(in_store("tiny")) == published(files)


def test_a_stop_in_the_middle_keeps_what_is_whole_and_shows_nothing(
    models: Path, sync: Syncing, store: Store, in_store: InStore
) -> None:
    files = model_files(shards=3, shard_bytes=6_000_000)
    write_bundle(models / "tiny", files)
    tools = sync.fresh_tools()
    sync.fresh_tools = lambda: tools  # type: ignore[method-assign]

    def stop_at_the_second_shard(phase: JobState) -> None:
        if phase is JobState.COPYING:
            tools.stop.set(Cancelled())

    tools.meter.on_phase = stop_at_the_second_shard
    with pytest.raises(Cancelled):
        sync("tiny")
    assert not in_store("tiny").exists()
    assert store.busy == set()


@pytest.mark.parametrize(
    ("path", "data", "error"),
    [
        ("config.json", b"[]", ErrorName.MODEL_INCOMPLETE),
        ("config.json", b"{", ErrorName.MODEL_INCOMPLETE),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "absent.safetensors"}}', ErrorName.MODEL_INCOMPLETE),
    ],
)
def test_content_rules_judge_what_was_verified(
    models: Path, sync: Syncing, in_store: InStore, path: str, data: bytes, error: ErrorName
) -> None:
    write_bundle(models / "tiny", {**model_files(), path: data})
    with pytest.raises(Failure) as refused:
        sync("tiny")
    assert refused.value.error is error
    assert not in_store("tiny").exists()


def test_a_bad_config_is_known_before_the_weights_are_read(models: Path, sync: Syncing) -> None:
    write_bundle(models / "tiny", {**model_files(), "config.json": b"[]"})
    with pytest.raises(Failure):
        sync("tiny")
    assert sync.tools.meter.bytes_done < 1000


def test_a_digest_that_was_asked_for_has_to_be_that_of_the_manifest(models: Path, sync: Syncing) -> None:
    files = model_files()
    write_bundle(models / "tiny", files)
    with pytest.raises(SeedRefused) as refused:
        sync("tiny", manifest_sha256="0" * 64)
    assert refused.value.error is ErrorName.CHECKSUM_MISMATCH


def test_a_store_without_room_says_how_much_is_missing_and_gives_nothing_up(
    models: Path, sync: Syncing, store: Store
) -> None:
    write_bundle(models / "tiny", model_files(seed=b"1"))
    sync("tiny")
    write_bundle(models / "tiny", model_files(seed=b"2"))
    sync("tiny")
    sync.config = replace(sync.config, store=replace(sync.config.store, reserve_bytes=1 << 60))
    write_bundle(models / "tiny", model_files(seed=b"3"))
    with pytest.raises(StoreTrouble) as trouble:
        sync("tiny")
    assert trouble.value.error is ErrorName.NO_SPACE
    assert f"{1 << 60:,}" in trouble.value.sentence
    assert os.listdir(store.previous) == ["tiny"]


class TestForeignFolders:
    """What others have put into the store."""

    def test_the_runbooks_work_is_adopted_and_nothing_is_copied(
        self, models: Path, sync: Syncing, store: Store, in_store: InStore
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        write_bundle(in_store("tiny"), files)
        inodes = {path: path.stat().st_ino for path in in_store("tiny").rglob("*")}
        (in_store("tiny") / "config.json").chmod(0o600)
        assert sync("tiny") is Readiness.ADOPTABLE
        assert {path: path.stat().st_ino for path in in_store("tiny").rglob("*")} == inodes
        assert stat.S_IMODE((in_store("tiny") / "config.json").stat().st_mode) == 0o644
        receipt = store.receipt("tiny")
        assert receipt is not None
        assert receipt.adopted
        assert sync("tiny") is Readiness.CURRENT

    def test_an_older_revision_is_adopted_then_updated_and_kept(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        old, new = model_files(seed=b"1"), model_files(seed=b"2")
        write_bundle(in_store("tiny"), old)
        write_bundle(models / "tiny", new)
        sync("tiny")
        assert contents(in_store("tiny")) == published(new)
        assert contents(in_store(".dubseed/previous/tiny")) == published(old)
        assert sync.tools.meter.files_done == sync.tools.meter.files_total

    def test_a_folder_without_a_manifest_that_matches_the_seed_is_adopted(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        write_files(in_store("tiny"), files)
        assert sync("tiny") is Readiness.ADOPTABLE
        assert contents(in_store("tiny")) == published(files)

    def test_litter_and_neighbours_do_not_keep_a_folder_from_being_adopted(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        write_bundle(in_store("tiny"), files)
        write_files(in_store("tiny"), {".DS_Store": b"x", "SHA256SUMS.sig": b"y"})
        assert sync("tiny") is Readiness.ADOPTABLE

    @pytest.mark.parametrize("change", ["a write", "another file", "one more", "a link", "another folder"])
    def test_a_folder_that_changes_before_it_is_adopted_is_left_as_it_is(
        self, models: Path, sync: Syncing, in_store: InStore, store: Store, tmp_path: Path, change: str
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        folder = write_bundle(in_store("tiny"), files)
        adoption = BundleSync(store, Wish("tiny"), sync.fresh_tools())
        with sync.folder() as seed:
            assert adoption.prepare(seed) is Readiness.ADOPTABLE
        secret = tmp_path / "secret"
        secret.write_bytes(files["config.json"])
        secret.chmod(0o600)
        match change:
            case "a write":
                (folder / "config.json").write_bytes(files["config.json"] + b"\n")
            case "another file":
                os.replace(secret, folder / "config.json")
            case "one more":
                (folder / "more").touch()
            case "a link":
                (folder / "config.json").unlink()
                (folder / "config.json").symlink_to(secret)
            case _:
                folder.rename(tmp_path / "away")
                write_bundle(folder, files)
        with pytest.raises(StoreTrouble) as trouble:
            adoption.publish()
        assert trouble.value.error is ErrorName.FOREIGN_BUNDLE
        assert store.receipt("tiny") is None
        if secret.exists():
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600

    def test_what_is_adopted_is_judged_by_its_content_too(
        self, models: Path, sync: Syncing, in_store: InStore, store: Store
    ) -> None:
        files = model_files() | {"config.json": b"[]"}
        write_bundle(models / "tiny", files)
        write_bundle(in_store("tiny"), files)
        with pytest.raises(SeedRefused) as refused:
            sync("tiny")
        assert refused.value.error is ErrorName.MODEL_INCOMPLETE
        assert store.receipt("tiny") is None

    def test_a_folder_that_is_not_roots_is_refused_with_the_line_that_helps(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        write_bundle(in_store("tiny"), files)
        os.chown(in_store("tiny") / "config.json", 1000, 1000)
        with pytest.raises(StoreTrouble) as trouble:
            sync("tiny")
        assert trouble.value.error is ErrorName.FOREIGN_BUNDLE
        assert f"chown -R root:root {in_store('tiny')}" in trouble.value.sentence

    def test_other_content_is_refused_and_replaced_on_request(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        write_files(in_store("tiny"), {"notes.txt": b"mine"})
        with pytest.raises(StoreTrouble) as trouble:
            sync("tiny")
        assert trouble.value.error is ErrorName.FOREIGN_BUNDLE
        assert "--replace-foreign" in trouble.value.sentence
        assert contents(in_store("tiny")) == {"notes.txt": b"mine"}
        sync("tiny", replace_foreign=True)
        assert contents(in_store("tiny")) == published(files)
        assert contents(in_store(".dubseed/previous/tiny")) == {"notes.txt": b"mine"}

    def test_not_even_on_request_is_a_folder_replaced_that_is_not_roots(
        self, models: Path, sync: Syncing, in_store: InStore
    ) -> None:
        write_bundle(models / "tiny", model_files())
        write_files(in_store("tiny"), {"notes.txt": b"mine"})
        os.chown(in_store("tiny"), 1000, 1000)
        with pytest.raises(StoreTrouble):
            sync("tiny", replace_foreign=True)
        assert contents(in_store("tiny")) == {"notes.txt": b"mine"}

    @pytest.mark.parametrize("kind", ["link", "file", "hard link", "writable", "with a FIFO"])
    def test_what_is_no_plain_folder_of_ours_is_left_alone(
        self, models: Path, sync: Syncing, in_store: InStore, tmp_path: Path, kind: str
    ) -> None:
        files = model_files()
        write_bundle(models / "tiny", files)
        elsewhere = write_bundle(tmp_path / "elsewhere", files)
        match kind:
            case "link":
                in_store("tiny").symlink_to(elsewhere)
            case "file":
                in_store("tiny").write_bytes(b"a file")
            case "hard link":
                write_bundle(in_store("tiny"), files)
                os.link(in_store("tiny") / "config.json", tmp_path / "another name")
            case "with a FIFO":
                write_bundle(in_store("tiny"), files)
                os.mkfifo(in_store("tiny") / "pipe")
            case _:
                write_bundle(in_store("tiny"), files)
                (in_store("tiny") / "config.json").chmod(0o666)
        with pytest.raises(StoreTrouble) as trouble:
            sync("tiny")
        assert trouble.value.error is ErrorName.FOREIGN_BUNDLE
        assert contents(elsewhere) == published(files)


def test_a_seed_without_a_bundle_of_that_name_says_so(sync: Syncing) -> None:
    with pytest.raises(SeedRefused) as refused:
        sync("absent")
    assert refused.value.error is ErrorName.NOT_FOUND


def test_the_manifest_is_published_as_it_was_on_the_seed(models: Path, sync: Syncing, in_store: InStore) -> None:
    files = model_files()
    manifest = b"# made by hand\n" + manifest_of(files)
    write_bundle(models / "tiny", files, manifest=manifest)
    sync("tiny")
    assert (in_store("tiny") / "SHA256SUMS").read_bytes() == manifest
