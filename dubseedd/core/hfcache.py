"""The cache of huggingface_hub: its names, and where its links lead.

    models--OWNER--NAME/
    ├── refs/main                    the commit of a branch, 40 hex digits
    ├── blobs/DIGEST                 the bytes: SHA-256 for large files, git's SHA-1 for the others
    ├── snapshots/COMMIT/PATH        links to ../../blobs/DIGEST; plain files where there are no links
    └── trees/COMMIT.json            path, size and digests of every file of the commit, in newer caches

Source: huggingface_hub, file_download and _tree_cache.
"""

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dubseedd.core.sentence import shown
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

PREFIX = "models--"
BLOBS, REFS, SNAPSHOTS, TREES = "blobs", "refs", "snapshots", "trees"
TREE_FORMAT = 1

_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LEVELS = (2, 1)
"""OWNER/NAME, or NAME alone for the oldest models."""


class Algorithm(StrEnum):
    SHA256 = "SHA-256"
    GIT_SHA1 = "git SHA-1"


@dataclass(frozen=True, slots=True)
class Expected:
    """The digest that a file has to have, in lower-case hex; `said_by` is who says so."""

    algorithm: Algorithm
    digest: str
    said_by: str


@dataclass(frozen=True, slots=True)
class Listed:
    """What a cached tree says of one file; `size` in bytes."""

    size: int
    expected: Expected


def folder_of(repository: str) -> str:
    """The name of a repository's folder in the cache."""
    return PREFIX + repository.replace("/", "--")


def repository_of(folder: str) -> str:
    """The repository that a folder of the cache is for."""
    return folder.removeprefix(PREFIX).replace("--", "/")


def candidates(path: str) -> list[tuple[str, str]]:
    """(cache root, folder in it) that `path` may mean as CACHE/OWNER/NAME; a root of "" is the user's own cache."""
    parts = path.rstrip("/").split("/")
    found = []
    for level in _LEVELS:
        if len(parts) >= level and all(parts[-level:]):
            root = "/".join(parts[:-level]) or ("/" if len(parts) > level else "")
            found.append((root, folder_of("/".join(parts[-level:]))))
    return found


def is_commit(name: str) -> bool:
    return _SHA1.fullmatch(name) is not None


def expected_of(blob: str) -> Expected | None:
    """What the name of a blob says of its bytes; None where it is no digest."""
    if _SHA256.fullmatch(blob):
        return Expected(Algorithm.SHA256, blob, "its name in the cache")
    if _SHA1.fullmatch(blob):
        return Expected(Algorithm.GIT_SHA1, blob, "its name in the cache")
    return None


def blob_of(path: str, commit: str, target: str) -> str:
    """The blob that the link at `path` of a snapshot leads to; SeedRefused where that lies elsewhere."""
    if not target.startswith("/"):
        folder, _, blob = posixpath.normpath(posixpath.join(SNAPSHOTS, commit, path, "..", target)).rpartition("/")
        if folder == BLOBS:
            return blob
    raise SeedRefused(
        ErrorName.UNSAFE_FILE,
        f"{shown(path)} leads out of the cache, to {shown(target)}; download the model anew, or leave the file out: "
        "--exclude",
        file=path,
    )


def parse_tree(raw: bytes) -> Mapping[str, Listed]:
    """The files of a commit by path; none where the listing is of another format or damaged, as its writer has it."""
    try:
        content = json.loads(raw)
        if content["format_version"] != TREE_FORMAT:
            return {}
        return {str(path): _listed(entry) for path, entry in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _listed(entry: Mapping[str, Any]) -> Listed:
    if entry.get("lfs_sha256"):
        expected = Expected(Algorithm.SHA256, str(entry["lfs_sha256"]), "the listing of its commit")
    else:
        expected = Expected(Algorithm.GIT_SHA1, str(entry["blob_id"]), "the listing of its commit")
    return Listed(int(entry["size"]), expected)
