"""What is synced: an older and a newer version of one bundle, with all that makes files differ."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tests.support.bundles import manifest_of, model_files, published

NAME = "tiny"


@dataclass(frozen=True, eq=False)
class Version:
    """One version of the bundle: its files by path."""

    name: str
    files: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """Of its SHA256SUMS."""
        return hashlib.sha256(manifest_of(self.files)).hexdigest()

    @cached_property
    def published(self) -> Mapping[str, bytes]:
        """What the store has to hold of it."""
        return published(self.files)


def _files(seed: bytes) -> dict[str, bytes]:
    return {
        **model_files(shards=2, shard_bytes=120_001, seed=seed),
        "empty": b"",
        "assets/both.dat": hashlib.shake_256(b"both").digest(70_000),
        "assets/large.dat": hashlib.shake_256(seed).digest((5 << 20) + 17),
    }


OLD = Version("old", _files(b"1"))
NEW = Version("new", _files(b"2"))
