"""A Hugging Face cache for tests, built file by file as huggingface_hub 2.4 builds it, to the last byte."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" * 6 + "beef"
LFS = (".safetensors", ".bin", ".gguf", ".h5", ".pth")
"""What a repository keeps in Git LFS, and the cache under its SHA-256."""


def blob_name(path: str, data: bytes) -> str:
    """The etag that the hub gives a file."""
    return hashlib.sha256(data).hexdigest() if path.endswith(LFS) else git_sha1(data)


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer_to(data: bytes) -> bytes:
    """What Git itself keeps of a large file."""
    digest = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()


def write_cache(
    root: Path, repository: str, files: Mapping[str, bytes], *, commit: str = COMMIT, listing: bool = False
) -> Path:
    """A model in a cache; with `listing`, trees/COMMIT.json as well. Returns the folder of its repository."""
    home = root / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    (home / "blobs").mkdir(parents=True, exist_ok=True)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs/main").write_text(commit)
    entries: dict[str, Any] = {}
    for path, data in sorted(files.items()):
        blob = home / "blobs" / blob_name(path, data)
        blob.write_bytes(data)
        link = snapshot / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
        entries[path] = {"size": len(data), "blob_id": git_sha1(pointer_to(data) if path.endswith(LFS) else data)}
        if path.endswith(LFS):
            entries[path] |= {"lfs_sha256": blob.name, "lfs_size": len(data)}
    if listing:
        (home / "trees").mkdir()
        (home / "trees" / f"{commit}.json").write_text(json.dumps({"format_version": 1, "files": entries}, indent=1))
    return home
