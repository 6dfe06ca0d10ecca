"""A seed's folder looked at, on real files: rules that need no weights, and hostile objects that must not hang us."""

import os
import stat
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.core.config import Config
from dubseedd.engine.durable import FOLDER, opened, owned
from dubseedd.engine.scanning import MAX_BUNDLES, Offer, SeedFolder
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.machine import Machine
from tests.support.bundles import manifest_of, model_files, write_bundle, write_files
from tests.support.sticks import make_image, mounted
from tools.machine import run

FILES = model_files()


def offer(sync: Syncing, name: str = "tiny") -> Offer:
    with sync.folder() as folder:
        return folder.offer(name)


def refusal(sync: Syncing, name: str = "tiny") -> tuple[ErrorName, str]:
    refused = offer(sync, name).refusal
    assert refused is not None
    return refused.error, refused.sentence


def test_an_acceptable_bundle_is_offered_with_size_and_digest(models: Path, sync: Syncing) -> None:
    write_bundle(models / "tiny", FILES)
    found = offer(sync)
    assert found.refusal is None
    assert found.size == sum(len(data) for data in FILES.values())
    assert (len(found.manifest_sha256), found.entries) == (64, len(FILES))


def test_patterns_choose_and_files_and_litter_are_no_bundles(models: Path, sync: Syncing) -> None:
    for name in ("qwen-8b", "llama", ".Trash-1000"):
        write_bundle(models / name, FILES)
    (models / "README.txt").write_text("hello")
    with sync.folder() as folder:
        assert [found.name for found in folder.offers(("*",))] == ["llama", "qwen-8b"]
        assert [found.name for found in folder.offers(("qwen*",))] == ["qwen-8b"]


def test_a_seed_with_more_bundles_than_anybody_brings_is_refused_unless_few_are_wanted(
    models: Path, sync: Syncing
) -> None:
    for number in range(MAX_BUNDLES + 1):
        (models / f"b{number:04}").mkdir()
    with sync.folder() as folder:
        with pytest.raises(SeedRefused, match=r"more than 256 of them; .* \[seed\] bundles"):
            folder.offers(("*",))
        assert [found.name for found in folder.offers(("b025?",))] == [
            "b0250",
            "b0251",
            "b0252",
            "b0253",
            "b0254",
            "b0255",
            "b0256",
        ]
        (models / "b0000").rmdir()
        assert len(folder.offers(("*",))) == MAX_BUNDLES


def test_a_folder_that_cannot_be_looked_at_is_refused_alone(machine: Machine, tmp_path: Path) -> None:
    image = make_image(tmp_path / "stick.img", {"broken": FILES, "whole": FILES}, label="OTHER")
    run("debugfs", "-w", "-R", "clri models/broken", str(image))
    with (
        mounted(image, "ro") as folder,
        opened(str(folder), FOLDER) as root,
        SeedFolder(root, Config()) as seed,
    ):
        broken, whole = seed.offers(("*",))
    assert broken.refusal is not None
    assert broken.refusal.error is ErrorName.READ_FAILED
    assert whole.refusal is None


def test_a_name_that_is_not_allowed_is_an_offer_that_is_refused(models: Path, sync: Syncing) -> None:
    write_bundle(models / "-rf", FILES)
    with sync.folder() as folder:
        (found,) = folder.offers(("*",))
    assert found.refusal is not None
    assert found.refusal.error is ErrorName.INVALID_NAME


def test_a_bundle_without_a_manifest_is_told_how_to_write_one(models: Path, sync: Syncing) -> None:
    write_files(models / "tiny", FILES)
    error, sentence = refusal(sync)
    assert error is ErrorName.MANIFEST_MISSING
    assert "xargs -0 sha256sum > SHA256SUMS" in sentence


def test_a_hugging_face_cache_is_no_bundle(models: Path, sync: Syncing) -> None:
    write_files(models / "hub", {"snapshots/1/config.json": b"{}", "refs/main": b"1"})
    assert refusal(sync, "hub")[0] is ErrorName.CACHE_TREE


def test_a_manifest_that_is_malformed_is_refused(models: Path, sync: Syncing) -> None:
    write_bundle(models / "tiny", FILES, manifest=b"nonsense\n")
    assert refusal(sync)[0] is ErrorName.MANIFEST_INVALID


def test_a_missing_file_on_ext4_is_told_with_the_repair(models: Path, sync: Syncing) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "tokenizer.json").unlink()
    error, sentence = refusal(sync)
    assert error is ErrorName.FILE_MISSING
    assert "e2fsck -p /dev/sdz1" in sentence


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


MAKERS: dict[str, Callable[[Path], None]] = {
    "link": make_link,
    "dangling link": lambda path: path.symlink_to("absent"),
    "fifo": os.mkfifo,
    "device": lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3)),
    "socket": lambda path: os.mknod(path, 0o600 | stat.S_IFSOCK),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_listed_file_that_is_something_else_is_unsafe_and_nothing_hangs(
    models: Path, sync: Syncing, kind: str
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "tokenizer.json").unlink()
    MAKERS[kind](folder / "tokenizer.json")
    assert refusal(sync)[0] is ErrorName.UNSAFE_FILE


@pytest.mark.parametrize("kind", ["link", "fifo", "device", "socket"])
def test_something_else_that_nobody_lists_is_unsafe_too(models: Path, sync: Syncing, kind: str) -> None:
    folder = write_bundle(models / "tiny", FILES)
    MAKERS[kind](folder / "extra")
    assert refusal(sync)[0] is ErrorName.UNSAFE_FILE


@pytest.mark.parametrize("kind", MAKERS)
def test_a_manifest_that_is_no_regular_file_is_unsafe(models: Path, sync: Syncing, kind: str) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "SHA256SUMS").unlink()
    MAKERS[kind](folder / "SHA256SUMS")
    assert refusal(sync)[0] is ErrorName.UNSAFE_FILE


def test_a_folder_that_is_a_link_is_not_followed(models: Path, sync: Syncing, tmp_path: Path) -> None:
    folder = write_bundle(models / "tiny", FILES)
    outside = write_files_elsewhere(tmp_path / "outside")
    for name in os.listdir(folder / "tokenizer"):
        (folder / "tokenizer" / name).unlink()
    (folder / "tokenizer").rmdir()
    (folder / "tokenizer").symlink_to(outside)
    assert refusal(sync)[0] in (ErrorName.UNSAFE_FILE, ErrorName.FILE_MISSING)


def write_files_elsewhere(folder: Path) -> Path:
    write_files(folder, {"vocab.txt": FILES["tokenizer/vocab.txt"]})
    return folder


def test_a_bundle_that_is_a_link_is_unsafe(models: Path, sync: Syncing, tmp_path: Path) -> None:
    write_bundle(tmp_path / "elsewhere", FILES)
    (models / "tiny").symlink_to(tmp_path / "elsewhere")
    assert refusal(sync)[0] is ErrorName.UNSAFE_FILE


def test_a_name_that_is_no_text_is_shown_escaped(models: Path, sync: Syncing) -> None:
    folder = write_bundle(models / "tiny", FILES)
    with open(os.fsencode(folder) + b"/\xff\x1b[2J", "wb") as stream:
        stream.write(b"x")
    error, sentence = refusal(sync)
    assert error is ErrorName.UNLISTED_FILE
    assert sentence.isprintable()


def test_deep_folders_end_somewhere(models: Path, sync: Syncing) -> None:
    folder = write_bundle(models / "tiny", FILES)
    deep = folder
    for _ in range(60):
        deep /= "d"
        deep.mkdir()
    (deep / "x").write_bytes(b"x")
    assert refusal(sync)[0] is ErrorName.UNLISTED_FILE


def test_paths_that_no_manifest_could_list_end_somewhere(models: Path, sync: Syncing) -> None:
    """Each file here has a path of 7 KiB: ten thousand would fill memory by themselves."""
    deep = os.open(write_bundle(models / "tiny", FILES), FOLDER)
    for name in ["d" * 250] * 29:
        os.mkdir(name, dir_fd=deep)
        with owned(deep):
            deep = os.open(name, FOLDER, dir_fd=deep)
    with owned(deep):
        for number in range(10_000):
            os.mknod(f"._{number}", dir_fd=deep)
    tracemalloc.start()
    try:
        error, sentence = refusal(sync)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20  # of which 16 MiB are the room for a manifest
    finally:
        tracemalloc.stop()
    assert error is ErrorName.UNLISTED_FILE
    assert "paths of more than 67,108,864 characters in all; remove what does not belong" in sentence


def test_a_seed_without_the_folder_of_bundles_is_refused_as_a_whole(models: Path, sync: Syncing) -> None:
    models.rmdir()
    with pytest.raises(SeedRefused, match=r"no folder models/; put the bundles there, as models/NAME/"):
        sync.folder()


def test_a_manifest_written_by_the_runbook_is_the_same_as_ours(models: Path, sync: Syncing) -> None:
    folder = write_bundle(models / "tiny", FILES)
    recipe = "find . -type f ! -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
    written = subprocess.run(["sh", "-c", recipe], cwd=folder, capture_output=True, check=True).stdout
    assert written == manifest_of(FILES)
