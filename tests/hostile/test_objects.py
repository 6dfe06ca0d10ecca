"""S2: hostile objects in a bundle: each is refused in time, by name; what it points to is neither read nor written."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from dubseedd.engine.store import Store
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.hostile.objects import CONTENTS, EXTRA, SPECIAL
from tests.support.bundles import model_files, write_bundle
from tests.support.opened import opened_by_a_sync
from tests.support.signing import make_key, sign

LIMIT_SECONDS = 5.0
FILES = model_files()
BY_LISTING = (ErrorName.UNSAFE_FILE, ErrorName.FILE_MISSING, ErrorName.UNLISTED_FILE, ErrorName.UNSAFE_MODEL)


def test_there_are_enough_of_them() -> None:
    assert len({*SPECIAL, *EXTRA, *CONTENTS}) >= 40


def assert_refused(sync: Syncing, store: Store) -> SeedRefused:
    """In time, in a sentence for a person, with nothing published."""
    began = time.monotonic()
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert time.monotonic() - began < LIMIT_SECONDS
    assert refused.value.sentence.isprintable()
    assert "; " in refused.value.sentence
    assert os.listdir(store.path) == [".dubseed"]
    return refused.value


def staged(store: Store) -> set[str]:
    """The names of all that lies in staging."""
    return {path.name for path in Path(store.path, ".dubseed/staging").rglob("*")}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_stands_in_the_place_of_a_listed_file_is_refused_before_anything_is_copied(
    models: Path, sync: Syncing, store: Store, kind: str
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "tokenizer.json").unlink()
    SPECIAL[kind](folder / "tokenizer.json")
    assert assert_refused(sync, store).error in BY_LISTING
    assert staged(store) == set()


@pytest.mark.parametrize("kind", EXTRA)
def test_what_stands_beside_the_files_is_refused_before_anything_is_copied(
    models: Path, sync: Syncing, store: Store, kind: str
) -> None:
    EXTRA[kind](write_bundle(models / "tiny", FILES) / "extra")
    assert assert_refused(sync, store).error in BY_LISTING
    assert staged(store) == set()


@pytest.mark.parametrize("place", ["SHA256SUMS", "SHA256SUMS.sig", "config.json"])
@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if kind != "folder"])
def test_what_stands_in_the_place_of_a_file_that_we_look_into_is_refused(
    models: Path, sync: Syncing, store: Store, kind: str, place: str
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / place).unlink(missing_ok=True)
    SPECIAL[kind](folder / place)
    assert_refused(sync, store)
    assert staged(store) == set()


@pytest.mark.parametrize("place", ["SHA256SUMS", "SHA256SUMS.sig", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["FIFO", "socket", "/dev/null", "a tty"])
def test_what_is_no_file_is_not_even_opened(models: Path, tmp_path: Path, kind: str, place: str) -> None:
    """Opening some devices is a command to them: a watchdog would restart the machine in a minute."""
    (tmp_path / "seed-signers").write_text(f"ops {make_key(tmp_path / 'ops')}\n")
    folder = write_bundle(models / "tiny", FILES)
    sign(folder, tmp_path / "ops")
    (folder / place).unlink()
    SPECIAL[kind](folder / place)
    opened = opened_by_a_sync(models.parent, tmp_path)
    assert "models" in opened
    assert place not in opened


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_stands_in_the_place_of_a_bundle_is_not_entered(
    models: Path, sync: Syncing, store: Store, kind: str
) -> None:
    """An empty folder is a bundle that has no manifest."""
    SPECIAL[kind](models / "tiny")
    assert_refused(sync, store)


@pytest.mark.parametrize("kind", CONTENTS)
def test_what_makes_no_model_is_refused_when_its_bytes_have_been_verified(
    models: Path, sync: Syncing, store: Store, kind: str
) -> None:
    name, data = CONTENTS[kind]
    write_bundle(models / "tiny", bundle_with(name, data))
    refusal = assert_refused(sync, store)
    assert (refusal.error, refusal.file) == (ErrorName.MODEL_INCOMPLETE, name)


def bundle_with(name: str, data: bytes) -> Mapping[str, bytes]:
    return {"config.json": b"{}", name: data}


def test_a_hard_link_to_a_file_outside_is_a_file_like_any_other(
    models: Path, sync: Syncing, store: Store, tmp_path: Path
) -> None:
    """It cannot lead off its own file system; the copy is one of its own."""
    outside = tmp_path / "seed" / "outside.json"
    outside.write_bytes(FILES["tokenizer.json"])
    folder = write_bundle(models / "tiny", FILES)
    (folder / "tokenizer.json").unlink()
    os.link(outside, folder / "tokenizer.json")
    sync("tiny")
    copy = (Path(store.path) / "tiny/tokenizer.json").stat()
    assert (copy.st_nlink, copy.st_mode & 0o7777) == (1, 0o644)


@pytest.mark.parametrize("mode", [0o000, 0o4755, 0o2777, 0o7777])
def test_modes_of_the_stick_are_not_taken_over(models: Path, sync: Syncing, store: Store, mode: int) -> None:
    folder = write_bundle(models / "tiny", FILES)
    for path in (folder / "tokenizer.json", folder / "tokenizer"):
        path.chmod(mode)
    sync("tiny")
    assert (Path(store.path) / "tiny/tokenizer.json").stat().st_mode & 0o7777 == 0o644
    assert (Path(store.path) / "tiny/tokenizer").stat().st_mode & 0o7777 == 0o755
