"""The names and links of a Hugging Face cache."""

import json

import pytest

from dubseedd.core.hfcache import Algorithm, blob_of, candidates, expected_of, folder_of, parse_tree, repository_of
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

COMMIT = "ab" * 20


@pytest.mark.parametrize("repository", ["owner/name", "gpt2", "o/a-b.c_d"])
def test_a_repository_has_one_folder(repository: str) -> None:
    assert repository_of(folder_of(repository)) == repository


def test_a_path_that_is_no_folder_may_be_a_cache_with_a_repository_behind_it() -> None:
    assert candidates("/hub/owner/name") == [("/hub", "models--owner--name"), ("/hub/owner", "models--name")]
    assert candidates("owner/name") == [("", "models--owner--name"), ("owner", "models--name")]
    assert candidates("gpt2") == [("", "models--gpt2")]


def test_the_name_of_a_blob_is_its_digest() -> None:
    of_lfs, of_git = expected_of("0" * 64), expected_of("0" * 40)
    assert of_lfs is not None
    assert of_lfs.algorithm is Algorithm.SHA256
    assert of_git is not None
    assert of_git.algorithm is Algorithm.GIT_SHA1
    assert expected_of("etag-1") is None


@pytest.mark.parametrize(
    ("path", "target"),
    [("config.json", "../../blobs/x"), ("a/b.txt", "../../../blobs/x"), ("config.json", "./../../blobs/../blobs/x")],
)
def test_a_link_leads_to_a_blob(path: str, target: str) -> None:
    assert blob_of(path, COMMIT, target) == "x"


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../../other/blobs/x", "../../blobs/a/x", "x", "../../refs/main", "../../blobs/..", ""]
)
def test_a_link_that_leads_anywhere_else_is_refused_by_name(target: str) -> None:
    with pytest.raises(SeedRefused) as refused:
        blob_of("config.json", COMMIT, target)
    assert refused.value.error is ErrorName.UNSAFE_FILE
    assert refused.value.sentence.startswith("config.json leads out of the cache")


def test_a_listing_gives_size_and_digest_of_each_file() -> None:
    files = {
        "a": {"size": 1, "blob_id": "1" * 40},
        "b": {"size": 2, "blob_id": "2" * 40, "lfs_sha256": "3" * 64, "lfs_size": 2},
    }
    tree = parse_tree(json.dumps({"format_version": 1, "files": files}).encode())
    assert (tree["a"].size, tree["a"].expected.algorithm, tree["a"].expected.digest) == (1, "git SHA-1", "1" * 40)
    assert (tree["b"].size, tree["b"].expected.algorithm, tree["b"].expected.digest) == (2, "SHA-256", "3" * 64)


@pytest.mark.parametrize("size", ["1e999", "NaN", '"x"', "null"])
def test_a_listing_with_a_size_that_is_none_says_nothing(size: str) -> None:
    raw = f'{{"format_version": 1, "files": {{"a": {{"size": {size}, "blob_id": "{COMMIT}"}}}}}}'
    assert parse_tree(raw.encode()) == {}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"format_version": 2, "files": {}}', b'{"format_version": 1}'])
def test_a_listing_of_another_kind_says_nothing(raw: bytes) -> None:
    assert parse_tree(raw) == {}
