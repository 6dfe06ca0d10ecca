"""The rules of acceptance, one by one: the error, the file, and a sentence that a person can act on."""

import tracemalloc
from itertools import chain

import pytest

from dubseedd.core.bundle import (
    Accepted,
    Format,
    Found,
    Kind,
    Policy,
    accept,
    check_bound_name,
    check_cache_tree,
    check_name,
    format_of,
    is_litter,
    may_be_unlisted,
)
from dubseedd.core.manifest import Entry, Manifest, parse, render
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

DIGEST = "0" * 64
REFUSE = Policy(pickle_allowed=False)


def manifest(*paths: str) -> Manifest:
    return parse(render([Entry(path, DIGEST) for path in paths]))


def found(*paths: str, **others: Kind) -> list[Found]:
    files = [Found(path, Kind.FILE, 10) for path in paths]
    return [*files, Found("SHA256SUMS", Kind.FILE, 70), *(Found(path, kind, 0) for path, kind in others.items())]


def refused(listed: list[str], there: list[Found], policy: Policy = REFUSE, **where: str) -> SeedRefused:
    with pytest.raises(SeedRefused) as refusal:
        accept("tiny", manifest(*listed), there, policy, **where)
    return refusal.value


def accepted(listed: list[str], there: list[Found], policy: Policy = REFUSE) -> Accepted:
    return accept("tiny", manifest(*listed), there, policy)


MODEL = ["config.json", "model.safetensors"]


def test_a_complete_bundle_is_accepted_with_its_sizes() -> None:
    result = accepted(MODEL, found(*MODEL))
    assert [(file.path, file.size) for file in result.files] == [("config.json", 10), ("model.safetensors", 10)]
    assert result.format is Format.SAFETENSORS
    assert result.notes == ()


@pytest.mark.parametrize("name", ["a", "Qwen3-32B_v1.0+awq", "x" * 255, "_x", "+x", "0"])
def test_plain_names_are_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", ".hidden", "-rf", "a b", "a/b", "é", "x" * 256, "a\n", "..", "a\x00", "\udcff"])
def test_other_names_are_refused_and_shown_printably(name: str) -> None:
    with pytest.raises(SeedRefused) as refusal:
        check_name(name)
    assert refusal.value.error is ErrorName.INVALID_NAME
    assert "rename its folder" in refusal.value.sentence
    assert refusal.value.sentence.isprintable()


@pytest.mark.parametrize(
    ("name", "children"),
    [("models--a--b", []), ("x", ["snapshots", "refs"]), ("x", ["snapshots", "blobs", "other"])],
)
def test_a_cache_tree_is_refused_and_pointed_to_create(name: str, children: list[str]) -> None:
    with pytest.raises(SeedRefused) as refusal:
        check_cache_tree(name, children)
    assert refusal.value.error is ErrorName.CACHE_TREE
    assert "dubseedctl create" in refusal.value.sentence


def test_a_folder_named_snapshots_alone_is_no_cache() -> None:
    check_cache_tree("x", ["snapshots", "config.json"])


def test_a_manifest_that_names_its_bundle_is_taken_under_that_name_alone() -> None:
    files = [Entry("config.json", DIGEST)]
    check_bound_name("tiny", parse(render(files)))
    bound = parse(render(files, bundle="tiny"))
    check_bound_name("tiny", bound)
    for other in ("Tiny", "huge", ""):
        with pytest.raises(SeedRefused, match="was written for tiny; give the folder that name again") as refusal:
            check_bound_name(other, bound)
        assert refusal.value.error is ErrorName.UNTRUSTED_SEED


def test_a_listed_file_that_is_not_there_is_missing() -> None:
    refusal = refused(MODEL, found("config.json"))
    assert refusal.error is ErrorName.FILE_MISSING
    assert refusal.file == "model.safetensors"
    assert "copy the bundle to the seed anew" in refusal.sentence


@pytest.mark.parametrize("filesystem", ["ext3", "ext4"])
def test_on_ext_the_sentence_tells_of_an_unclean_unmount_and_how_to_repair_it(filesystem: str) -> None:
    refusal = refused(MODEL, found("config.json"), filesystem=filesystem, device="/dev/sdb1")
    assert "not have been unmounted cleanly" in refusal.sentence
    assert "e2fsck -p /dev/sdb1" in refusal.sentence


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.FIFO, Kind.SOCKET, Kind.DEVICE, Kind.FOLDER])
def test_a_listed_path_that_is_no_regular_file_is_unsafe(kind: Kind) -> None:
    there = [*found("config.json"), Found("model.safetensors", kind, 0)]
    refusal = refused(MODEL, there)
    assert refusal.error is ErrorName.UNSAFE_FILE
    assert refusal.file == "model.safetensors"
    assert refusal.sentence.startswith(f"model.safetensors is a {kind}, only regular files are taken; re")
    assert refusal.sentence.endswith("write SHA256SUMS anew")


@pytest.mark.parametrize(
    "path", ["extra", "sub/extra", ".Trash-1000/extra", "._extra", "SHA256SUMS.sig", "sub/SHA256SUMS"]
)
@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.FIFO, Kind.SOCKET, Kind.DEVICE])
def test_an_unlisted_special_file_is_unsafe_too_even_as_litter(kind: Kind, path: str) -> None:
    refusal = refused(MODEL, [*found(*MODEL), Found(path, kind, 0)])
    assert refusal.error is ErrorName.UNSAFE_FILE
    assert refusal.file == path


def test_empty_folders_are_passed_over() -> None:
    folders = [Found("empty", Kind.FOLDER, 0), Found("B3SUMS", Kind.FOLDER, 0)]
    assert accepted(MODEL, [*found(*MODEL), *folders]).notes == ()


def test_an_unlisted_file_is_refused_by_name() -> None:
    refusal = refused(MODEL, found(*MODEL, "notes.txt"))
    assert refusal.error is ErrorName.UNLISTED_FILE
    assert refusal.file == "notes.txt"
    assert "notes.txt" in refusal.sentence
    assert "write SHA256SUMS anew" in refusal.sentence


@pytest.mark.parametrize(
    "path",
    [
        "._config.json",
        ".DS_Store",
        "sub/Thumbs.db",
        "desktop.ini",
        ".Trash-1000/x",
        ".Spotlight-V100/a/b",
        ".fseventsd/1",
        "System Volume Information/IndexerVolumeGuid",
        "$RECYCLE.BIN/x",
        "sub/$RECYCLE.BIN/x/y",
    ],
)
def test_the_litter_of_other_systems_is_passed_over_with_a_note(path: str) -> None:
    assert is_litter(path)
    assert may_be_unlisted(path)
    assert accepted(MODEL, found(*MODEL, path)).notes == (f"{path} is litter, passed over",)


@pytest.mark.parametrize(
    "path", ["_x", ".ds_store", "THUMBS.DB", "x.DS_Store", "RECYCLE.BIN", "Trash/x", "system volume information"]
)
def test_what_only_looks_like_litter_is_unlisted(path: str) -> None:
    assert refused(MODEL, found(*MODEL, path)).error is ErrorName.UNLISTED_FILE


def test_much_litter_makes_one_note() -> None:
    litter = [f"._{number:04}" for number in range(1200)]
    assert accepted(MODEL, found(*MODEL, *litter)).notes == ("._0000 and 1,199 more are litter, passed over",)


def test_of_what_is_not_listed_hardly_anything_is_kept() -> None:
    """A stick may hold half a million files with paths of kilobytes."""
    folder = "d" * 4000
    strays = (Found(f"{folder}/._{number}", Kind.FILE, 0) for number in range(10_000))
    listed, there = manifest(*MODEL), found(*MODEL)
    tracemalloc.start()
    try:
        result = accept("tiny", listed, chain(there, strays), REFUSE)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert "and 9,999 more are litter" in result.notes[0]


def test_litter_that_is_listed_is_an_entry_like_any_other() -> None:
    result = accepted([*MODEL, ".DS_Store"], found(*MODEL, ".DS_Store"))
    assert ".DS_Store" in {file.path for file in result.files}
    assert refused([*MODEL, ".DS_Store"], found(*MODEL)).error is ErrorName.FILE_MISSING


@pytest.mark.parametrize("path", ["SHA256SUMS.sig", "model.sig", "B3SUMS"])
def test_the_neighbours_of_the_manifest_may_stay_unlisted(path: str) -> None:
    assert accepted(MODEL, found(*MODEL, path)).notes == ()
    assert refused(MODEL, found(*MODEL, f"sub/{path}")).error is ErrorName.UNLISTED_FILE
    assert (may_be_unlisted(path), may_be_unlisted(f"sub/{path}")) == (True, False)


def test_an_unlisted_manifest_in_a_sub_folder_is_passed_over_with_a_note() -> None:
    assert accepted(MODEL, found(*MODEL, "sub/SHA256SUMS")).notes == ("sub/SHA256SUMS is not listed, passed over",)
    assert may_be_unlisted("sub/SHA256SUMS")


def test_without_config_json_a_model_is_incomplete() -> None:
    refusal = refused(["model.safetensors"], found("model.safetensors"))
    assert refusal.error is ErrorName.MODEL_INCOMPLETE
    assert refusal.file == "config.json"
    assert refusal.sentence == ("tiny lists no config.json; copy the whole model directory and write SHA256SUMS anew")
    assert refused(["gguf"], found("gguf")).error is ErrorName.MODEL_INCOMPLETE
    assert refused(["a.gguf", "b.safetensors"], found("a.gguf", "b.safetensors")).error is ErrorName.MODEL_INCOMPLETE


def test_a_bundle_of_gguf_files_may_do_without_config_json() -> None:
    assert accepted(["model.gguf"], found("model.gguf")).format is Format.GGUF


@pytest.mark.parametrize("path", ["pytorch_model.bin", "a.pt", "a.PTH", "a.ckpt", "sub/a.pkl"])
def test_pickled_weights_are_refused_unless_allowed(path: str) -> None:
    refusal = refused([*MODEL, path], found(*MODEL, path))
    assert refusal.error is ErrorName.UNSAFE_MODEL
    assert 'pickle = "allow"' in refusal.sentence
    assert accepted([*MODEL, path], found(*MODEL, path), Policy(pickle_allowed=True)).files


def test_code_is_noted() -> None:
    assert accepted([*MODEL, "modeling.py"], found(*MODEL, "modeling.py")).notes == ("modeling.py is code",)
    both = [*MODEL, "modeling.py", "a/B.PY"]
    assert accepted(both, found(*both)).notes == ("a/B.PY and 1 more are code",)


def test_the_first_error_that_applies_is_the_one_that_is_named() -> None:
    there = [*found("config.json", "notes.txt", "a.pkl"), Found("link", Kind.SYMLINK, 0)]
    assert refused([*MODEL, "a.pkl"], there).error is ErrorName.FILE_MISSING
    there.append(Found("model.safetensors", Kind.FILE, 1))
    assert refused([*MODEL, "a.pkl"], there).error is ErrorName.UNSAFE_FILE
    there = [item for item in there if item.path != "link"]
    assert refused([*MODEL, "a.pkl"], there).error is ErrorName.UNLISTED_FILE


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.safetensors"], Format.SAFETENSORS),
        (["a.GGUF"], Format.GGUF),
        (["a.gguf", "b.safetensors"], Format.MIXED),
        (["a.txt"], Format.OTHER),
    ],
)
def test_the_format_follows_from_the_endings(paths: list[str], expected: Format) -> None:
    assert format_of(paths) is expected
