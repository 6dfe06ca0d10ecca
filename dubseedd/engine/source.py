"""The source of a bundle: the files of a model, each with the digest that it has to have, where one is known.

What is wrong with a file is kept as its fault: it counts only if the file is taken.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from dubseedd.core import about
from dubseedd.core.about import Origin
from dubseedd.core.hfcache import Algorithm, Expected
from dubseedd.core.sentence import shown
from dubseedd.engine import tree
from dubseedd.engine.copying import Hashes
from dubseedd.engine.pump import Block, Pump, Sink
from dubseedd.engine.trouble import reading_source
from dubseedd.errors import Failure, SeedRefused
from dubseedd.names import ABOUT, ErrorName

MAX_CARD_BYTES = 1 << 20
CARD = "README.md"
"""The model card, which names the licence."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: `place` is its path below the source's root, `expected` the digest that it has to have, if known."""

    path: str
    size: int
    place: str
    expected: Expected | None = None


def has_changed(path: str) -> SeedRefused:
    return SeedRefused(
        ErrorName.READ_FAILED,
        f"{shown(path)} has changed meanwhile; wait until nobody writes to the model, and begin again",
        file=path,
    )


class Source:
    """An opened model. `files` and `faults` are by path; `name` is what a bundle of it may be called."""

    def __init__(self, root: int, name: str) -> None:
        self.root = root
        self.name = name
        self.files: dict[str, SourceFile] = {}
        self.faults: dict[str, Failure] = {}
        self.origin = Origin(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.root)

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A file for the length of a block; SeedRefused where it cannot be opened, or has another size by now."""
        with reading_source(path):
            descriptor = tree.open_file(self.root, self.files[path].place)
        try:
            if os.fstat(descriptor).st_size != self.files[path].size:
                raise has_changed(path)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def hashed(self, path: str) -> Iterator[tuple[int, "SourceHashes"]]:
        """A file for the length of a block, with the digests that it is fed to: those that it has to have, or
        SeedRefused at the end."""
        expected = self.files[path].expected
        hashes = SourceHashes(self.files[path].size, expected.algorithm if expected else Algorithm.SHA256)
        with self.opened(path) as descriptor:
            yield descriptor, hashes
        if expected is not None:
            check_digest(path, expected, hashes.wanted)

    def sha256_of(self, path: str, pump: Pump) -> str:
        """The SHA-256 of a file: what its name or a listing says, else that of its bytes."""
        file = self.files[path]
        if file.expected is not None and file.expected.algorithm is Algorithm.SHA256:
            return file.expected.digest
        with self.hashed(path) as (descriptor, hashes), reading_source(path):
            pump.run(descriptor, file.size, hashes.sinks)
        return hashes.digests.sha256

    def read(self, path: str, limit_bytes: int) -> bytes:
        """The bytes of a small file, at most one more than the limit; SeedRefused where they are not what they have
        to be."""
        with reading_source(path):
            raw = tree.read_small(self.root, self.files[path].place, limit_bytes)
        expected = self.files[path].expected
        if expected is not None and len(raw) <= limit_bytes:
            check_digest(path, expected, digest_of(raw, expected.algorithm))
        return raw

    def expect(self, path: str, expected: Expected) -> None:
        """Take down what a file has to be, where that is not known yet."""
        self.files[path] = replace(self.files[path], expected=self.files[path].expected or expected)

    def describe(self, source: str, revision: str) -> None:
        """Settle where the model comes from; a bundle that is copied on says so itself."""
        known = about.parse(self._small(ABOUT, about.MAX_BYTES))
        license_ = about.license_in(self._small(CARD, MAX_CARD_BYTES))
        self.origin = known.origin if known else Origin(source, revision, license_)

    def _small(self, path: str, limit_bytes: int) -> bytes:
        return self.read(path, limit_bytes) if path in self.files else b""


class SourceHashes(Hashes):
    """The digests of a file, git's among them where it is known by that."""

    def __init__(self, size: int, algorithm: Algorithm) -> None:
        super().__init__()
        self._git = hashlib.sha1(_git_header(size), usedforsecurity=False)
        self._by_git = algorithm is Algorithm.GIT_SHA1

    @property
    def sinks(self) -> tuple[Sink, ...]:
        return (*super().sinks, self._hash_as_git) if self._by_git else super().sinks

    def _hash_as_git(self, block: Block) -> None:
        self._git.update(block.view[: block.length])

    @property
    def wanted(self) -> str:
        """The digest that it is known by."""
        return self._git.hexdigest() if self._by_git else self.digests.sha256


def _git_header(size: int) -> bytes:
    """What git hashes before the bytes of a file."""
    return b"blob %d\0" % size


def digest_of(raw: bytes, algorithm: Algorithm) -> str:
    if algorithm is Algorithm.SHA256:
        return hashlib.sha256(raw).hexdigest()
    return hashlib.sha1(_git_header(len(raw)) + raw, usedforsecurity=False).hexdigest()


def check_digest(path: str, expected: Expected, found: str) -> None:
    if found != expected.digest:
        raise SeedRefused(
            ErrorName.CHECKSUM_MISMATCH,
            f"{shown(path)} of the model is damaged: its {expected.algorithm} is {found}, and {expected.said_by} says "
            f"{expected.digest}; fetch the model anew",
            file=path,
        )
