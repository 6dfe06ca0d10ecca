"""The rules on content: what is whole, what is not, and what a person is told."""

import pytest

from dubseedd.core.content import (
    MAX_CONFIG_BYTES,
    MAX_INDEX_BYTES,
    check_config,
    check_index,
    check_no_pointer,
    check_shard,
    is_weights,
    read_whole,
)
from dubseedd.core.manifest import Entry, Manifest, parse, render
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

INDEX = "model.safetensors.index.json"


def manifest(*paths: str) -> Manifest:
    return parse(render([Entry(path, "0" * 64) for path in paths]))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"a": ' * 100_000, "is no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is no JSON"),
        (b"[]", "is no JSON object"),
        (b"1", "is no JSON object"),
        (b"{" + b" " * MAX_CONFIG_BYTES + b"}", "is larger than 2 MiB"),
    ],
    ids=lambda value: value[:9] if isinstance(value, bytes) else value,
)
def test_a_config_that_is_no_json_object_is_incomplete(raw: bytes, reason: str) -> None:
    with pytest.raises(SeedRefused) as refusal:
        check_config(raw)
    assert refusal.value.error is ErrorName.MODEL_INCOMPLETE
    assert refusal.value.sentence.startswith(f"config.json {reason}")
    assert refusal.value.sentence.endswith("copy the model from its source anew")


def test_an_auto_map_is_noted() -> None:
    assert "auto_map" in check_config(b'{"auto_map": {}}')[0]
    assert check_config(b"{}") == ()


def test_an_index_says_which_file_has_which_tensors() -> None:
    raw = b'{"metadata": {"total_size": 9}, "weight_map": {"t": "a.safetensors", "u": "b.bin", "v": "a.safetensors"}}'
    named = check_index(f"sub/{INDEX}", raw, manifest("sub/a.safetensors", "sub/b.bin"))
    assert named == {"sub/a.safetensors": ["t", "v"], "sub/b.bin": ["u"]}


def test_every_shard_of_an_index_has_to_be_in_the_manifest() -> None:
    both = manifest("config.json", "sub/a.safetensors")
    with pytest.raises(SeedRefused, match=r"names sub/b\.safetensors, which is not in SHA256SUMS") as refusal:
        check_index(f"sub/{INDEX}", b'{"weight_map": {"t": "b.safetensors"}}', both)
    assert refusal.value.file == f"sub/{INDEX}"


def test_a_shard_has_to_have_what_the_index_names() -> None:
    check_shard(INDEX, "a.safetensors", ["t"], {"t", "u"})
    with pytest.raises(SeedRefused) as refusal:
        check_shard(INDEX, "a.safetensors", ["t", "u"], {"t"})
    assert (refusal.value.error, refusal.value.file) == (ErrorName.MODEL_INCOMPLETE, INDEX)
    assert refusal.value.sentence == (
        f"{INDEX} looks for u in a.safetensors, which does not have it; copy the model from its source anew"
    )


DEEP = b'{"metadata": ' + b"[" * 100_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"weight_map": []}',
        b'{"weight_map": {"a": 1}}',
        b"[]",
        DEEP,
        b'{"weight_map": {}}x',
        b'{"\xff": 1}',
    ],
    ids=lambda raw: raw[:20],
)
def test_an_index_without_a_weight_map_is_incomplete(raw: bytes) -> None:
    with pytest.raises(SeedRefused, match="has no weight_map from tensors to files: ") as refusal:
        check_index(INDEX, raw, manifest("config.json"))
    assert refusal.value.error is ErrorName.MODEL_INCOMPLETE


def test_an_index_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(SeedRefused, match="is larger than 16 MiB"):
        check_index(INDEX, b" " * (MAX_INDEX_BYTES + 1), manifest("config.json"))


def test_a_shard_with_a_long_name_makes_no_long_sentence() -> None:
    raw = b'{"weight_map": {"t": "' + b"x" * 16_000 + b'"}}'
    with pytest.raises(SeedRefused, match="not in SHA256SUMS") as refusal:
        check_index(INDEX, raw, manifest("config.json"))
    assert len(refusal.value.sentence) < 1000


def test_config_and_indexes_are_read_whole_and_weights_are_known_by_their_endings() -> None:
    paths = ["config.json", "sub/config.json", f"a{INDEX}", f"sub/{INDEX}", "a.safetensors", "b.GGUF", "c.bin"]
    assert read_whole(paths) == {"config.json", f"a{INDEX}", f"sub/{INDEX}"}
    assert [path for path in paths if is_weights(path)] == ["a.safetensors", "b.GGUF"]


def test_what_a_clone_without_git_lfs_has_instead_of_weights_is_named() -> None:
    with pytest.raises(SeedRefused) as refusal:
        check_no_pointer("a.gguf", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a")
    assert refusal.value.sentence == (
        "a.gguf is a pointer of Git LFS, not the weights; run git lfs pull in the clone, then copy it anew"
    )
    check_no_pointer("a.gguf", b"GGUF")
