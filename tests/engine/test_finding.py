"""Finding a model: directories and caches, whole and broken."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from dubseedd.core.selection import Wish
from dubseedd.engine.finding import open_source
from dubseedd.engine.preparing import Draft, prepare
from dubseedd.errors import CallRefused, Failure
from dubseedd.names import ErrorName
from tests.support.bundles import contents, model_files, safetensors, write_bundle, write_files
from tests.support.hfcache import COMMIT, blob_name, write_cache

FILES = model_files()
WEIGHTS = "model-00001-of-00002.safetensors"


def drafted(where: Path | str, *, revision: str = "", own_cache: str = "", wish: Wish | None = None) -> Draft:
    with open_source(str(where), revision, own_cache) as source:
        return prepare(source, "tiny", wish or Wish())


def refused(where: Path | str, *, revision: str = "", wish: Wish | None = None) -> Failure:
    with pytest.raises(Failure) as caught:
        drafted(where, revision=revision, wish=wish)
    return caught.value


def read(where: Path | str, *, revision: str = "", own_cache: str = "") -> dict[str, bytes]:
    with open_source(str(where), revision, own_cache) as source:
        return {path: source.read(path, 1 << 20) for path in source.files}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "hub", "owner/tiny", FILES)


def test_a_directory_is_its_files(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", FILES)
    assert read(tmp_path / "tiny") == FILES


@pytest.mark.parametrize(
    "place", ["hub/owner/tiny", "hub/models--owner--tiny", f"hub/models--owner--tiny/snapshots/{COMMIT}"]
)
def test_a_model_in_a_cache_has_several_names(home: Path, tmp_path: Path, place: str) -> None:
    assert read(tmp_path / place) == FILES
    with open_source(str(tmp_path / place), "", "") as source:
        assert (source.name, source.origin.source, source.origin.revision) == ("tiny", "owner/tiny", COMMIT)


def test_a_bare_name_is_looked_for_in_the_cache_of_the_user(home: Path, tmp_path: Path) -> None:
    assert read("owner/tiny", own_cache=str(tmp_path / "hub")) == FILES


def test_a_revision_is_a_branch_or_a_commit(home: Path) -> None:
    other = "1" * 40
    write_cache(home.parent, "owner/tiny", model_files(seed=b"2"), commit=other)
    (home / "refs/main").write_text(COMMIT)
    (home / "refs/pr").mkdir()
    (home / "refs/pr/1").write_text(f"{other}\n")
    assert read(home) == FILES
    assert read(home, revision="pr/1") == read(home, revision=other) == model_files(seed=b"2")


def test_without_main_the_only_revision_is_meant(home: Path) -> None:
    (home / "refs/main").unlink()
    assert read(home) == FILES
    (home / "snapshots" / ("1" * 40)).mkdir()
    assert refused(home).error is ErrorName.NOT_FOUND


@pytest.mark.parametrize("revision", ["absent", "9" * 40, "../blobs"])
def test_a_revision_that_is_not_there_is_refused(home: Path, revision: str) -> None:
    failure = refused(home, revision=revision)
    assert failure.error is ErrorName.NOT_FOUND
    assert failure.sentence.startswith(f"the cache of owner/tiny has no revision {revision}")


def test_a_whole_cache_names_what_is_in_it(home: Path, tmp_path: Path) -> None:
    write_cache(tmp_path / "hub", "gpt2", FILES)
    failure = refused(tmp_path / "hub")
    assert failure.sentence.endswith(f"name one of its models: {tmp_path}/hub/gpt2, {tmp_path}/hub/owner/tiny")


def test_a_model_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    assert isinstance(refused(tmp_path / "absent"), CallRefused)


def test_a_directory_has_no_revisions(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", FILES)
    assert refused(tmp_path / "tiny", revision="main").error is ErrorName.INVALID_ARGS


# What is wrong with a cache


def test_a_dangling_link_is_refused_by_name(home: Path) -> None:
    (home / "blobs" / blob_name(WEIGHTS, FILES[WEIGHTS])).unlink()
    failure = refused(home)
    assert failure.error is ErrorName.FILE_MISSING
    assert failure.sentence.startswith(f"{WEIGHTS} of the model is not in the cache, its link leads nowhere")


def test_a_corrupt_small_blob_is_refused_by_name_before_anything_is_written(home: Path) -> None:
    (home / "blobs" / blob_name("config.json", FILES["config.json"])).write_bytes(b"{}")
    failure = refused(home)
    assert failure.error is ErrorName.CHECKSUM_MISMATCH
    assert failure.sentence.startswith("config.json of the model is damaged: its git SHA-1 is ")


def test_a_shard_that_was_not_downloaded_is_refused_by_name(home: Path) -> None:
    (home / "snapshots" / COMMIT / WEIGHTS).unlink()
    failure = refused(home)
    assert failure.error is ErrorName.MODEL_INCOMPLETE
    assert failure.sentence == (f"model.safetensors.index.json names {WEIGHTS}, which is missing; fetch the model anew")


def test_a_listing_tells_what_was_not_downloaded_or_only_in_part(tmp_path: Path) -> None:
    home = write_cache(tmp_path, "owner/tiny", FILES, listing=True)
    assert drafted(home).sizes.keys() == FILES.keys()
    (home / "snapshots" / COMMIT / "tokenizer.json").unlink()
    assert "tokenizer.json of the model is not in the cache" in refused(home).sentence
    assert "tokenizer.json" not in drafted(home, wish=Wish(exclude=("tokenizer.json",))).sizes
    blob = home / "blobs" / blob_name(WEIGHTS, FILES[WEIGHTS])
    os.truncate(blob, 500)
    failure = refused(home, wish=Wish(exclude=("tokenizer.json",)))
    assert failure.sentence.startswith(f"{WEIGHTS} of the model has 500 bytes in the cache instead of 100,128")


def test_of_two_faults_the_one_in_the_cache_itself_is_named(tmp_path: Path) -> None:
    home = write_cache(tmp_path, "owner/tiny", FILES, listing=True)
    (home / "blobs" / blob_name("tokenizer.json", FILES["tokenizer.json"])).unlink()
    assert "its link leads nowhere" in refused(home).sentence


def test_without_links_the_listing_says_what_the_files_have_to_be(tmp_path: Path) -> None:
    home = write_cache(tmp_path, "owner/tiny", FILES, listing=True)
    for path in (home / "snapshots" / COMMIT).rglob("*"):
        if path.is_symlink():
            path.write_bytes(path.unlink() or FILES[str(path.relative_to(home / "snapshots" / COMMIT))])
    assert read(home) == FILES
    (home / "snapshots" / COMMIT / "config.json").write_bytes(FILES["config.json"].replace(b"tiny", b"evil"))
    assert "the listing of its commit says" in refused(home).sentence


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../secret", "../../refs/main"])
def test_a_link_out_of_the_cache_is_never_followed(home: Path, target: str) -> None:
    (home.parent / "secret").write_text("secret")
    link = home / "snapshots" / COMMIT / "extra.json"
    link.symlink_to(target)
    assert refused(home).error is ErrorName.UNSAFE_FILE
    assert "extra.json" not in drafted(home, wish=Wish(exclude=("extra.json",))).sizes


def test_a_blob_that_is_a_link_itself_is_never_followed(home: Path) -> None:
    blob = home / "blobs" / blob_name("config.json", FILES["config.json"])
    blob.unlink()
    blob.symlink_to("/etc/hostname")
    assert refused(home).error is ErrorName.UNSAFE_FILE


def test_what_is_neither_file_nor_link_is_refused_by_name_unless_it_is_left_out(home: Path) -> None:
    os.mkfifo(home / "snapshots" / COMMIT / "x.json")
    assert (refused(home).error, refused(home).file) == (ErrorName.UNSAFE_FILE, "x.json")
    assert drafted(home, wish=Wish(exclude=("x.*",))).sizes.keys() == FILES.keys()


# What is wrong with a directory


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_is_no_file_is_refused_by_name_unless_it_is_left_out(tmp_path: Path, kind: str) -> None:
    folder = write_bundle(tmp_path / "tiny", {**FILES, "x.json": b"{}"})
    (folder / "x.json").unlink()
    if kind == "link":
        (folder / "x.json").symlink_to("config.json")
    else:
        os.mkfifo(folder / "x.json")
    assert refused(folder).error is ErrorName.UNSAFE_FILE
    assert drafted(folder, wish=Wish(exclude=("x.*",))).sizes.keys() == FILES.keys()


def test_the_manifest_beside_a_model_says_what_its_files_have_to_be(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny", FILES)
    assert drafted(folder).sizes.keys() == FILES.keys()
    (folder / "config.json").write_bytes(b"{}")
    assert "the SHA256SUMS beside it says" in refused(folder).sentence
    (folder / "config.json").unlink()
    assert refused(folder).error is ErrorName.FILE_MISSING


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"README.md": b"x"}, ErrorName.MODEL_INCOMPLETE),
        ({**FILES, "config.json": b"[]"}, ErrorName.MODEL_INCOMPLETE),
        ({**FILES, WEIGHTS: FILES[WEIGHTS][:-1]}, ErrorName.MODEL_INCOMPLETE),
        ({**FILES, WEIGHTS: safetensors("other", b"x")}, ErrorName.MODEL_INCOMPLETE),
        ({**FILES, WEIGHTS: b"version https://git-lfs.github.com/spec/v1\n"}, ErrorName.MODEL_INCOMPLETE),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, ErrorName.UNSAFE_MODEL),
        ({**FILES, "A": b"", "a": b""}, ErrorName.MANIFEST_INVALID),
        ({}, ErrorName.MODEL_INCOMPLETE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_workstation_would_refuse_is_not_made(tmp_path: Path, files: dict[str, bytes], error: ErrorName) -> None:
    (tmp_path / "tiny").mkdir()
    write_files(tmp_path / "tiny", files)
    assert refused(tmp_path / "tiny").error is error


def test_a_name_that_no_bundle_may_have_is_refused_and_another_asked_for(home: Path) -> None:
    with open_source(str(home), "", "") as source, pytest.raises(Failure, match=r"choose another: --name$") as caught:
        prepare(source, "-tiny", Wish())
    assert caught.value.error is ErrorName.INVALID_NAME


def test_pickled_weights_that_are_asked_for_are_taken_with_a_note(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", {**FILES, "x.bin": b"x"})
    draft = drafted(tmp_path / "tiny", wish=Wish(include=("x.bin",)))
    assert "x.bin" in draft.sizes
    assert draft.notes[0].startswith("x.bin holds pickled weights")


def test_a_signature_of_the_whole_model_is_noted_where_some_of_it_is_left_out(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", {**FILES, "model.sig": b"x"})
    draft = drafted(tmp_path / "tiny")
    assert (draft.signature, draft.notes) == (True, ())
    (tmp_path / "tiny/.gitattributes").write_bytes(b"x")
    (note,) = drafted(tmp_path / "tiny").notes
    assert note.startswith("model.sig signs the whole model, without what is left out it may not be valid")


def test_a_bundle_that_is_copied_on_keeps_where_it_came_from(tmp_path: Path) -> None:
    about = {"source": "owner/tiny", "revision": "r", "license": "mit", "name": "x", "files": 1, "bytes": 1}
    about |= {"created": "", "createdBy": ""}
    write_files(tmp_path / "tiny", {**FILES, "dubnium-bundle.json": json.dumps(about).encode()})
    with open_source(str(tmp_path / "tiny"), "", "") as source:
        assert (source.origin.source, source.origin.revision, source.origin.license) == ("owner/tiny", "r", "mit")


def test_looking_changes_nothing(home: Path) -> None:
    before = {path: hashlib.sha256(data).hexdigest() for path, data in contents(home).items()}
    drafted(home)
    assert {path: hashlib.sha256(data).hexdigest() for path, data in contents(home).items()} == before


@pytest.mark.parametrize("name", [b"a\xff.json", b"a\nb.json"])
def test_a_name_that_no_manifest_can_hold_is_refused(tmp_path: Path, name: bytes) -> None:
    write_files(tmp_path / "tiny", FILES)
    os.close(os.open(os.fsencode(tmp_path / "tiny") + b"/" + name, os.O_CREAT))
    assert refused(tmp_path / "tiny").error is ErrorName.MANIFEST_INVALID
    assert drafted(tmp_path / "tiny", wish=Wish(exclude=("a*",))).sizes.keys() == FILES.keys()
