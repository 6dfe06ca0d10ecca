"""The bundle that has a name on the stick now, as far as it can be read: what of it may stay."""

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from typing import Self

from dubseedd.core import about
from dubseedd.core.about import About
from dubseedd.core.bundle import Kind, may_be_unlisted
from dubseedd.core.manifest import MAX_BYTES, parse
from dubseedd.engine import tree
from dubseedd.errors import Failure
from dubseedd.names import ABOUT, MANIFEST


class Former:
    """`digests` are the SHA-256 of its files by path; none where there is no bundle, or none that can be read."""

    def __init__(self, folder: int | None) -> None:
        """`folder` is its descriptor, closed at the end of a `with` block; None where the name is free."""
        self.folder = -1 if folder is None else folder
        self.manifest_sha256 = ""
        self.digests: dict[str, str] = {}
        with suppress(OSError, Failure):
            manifest = parse(tree.read_small(self.folder, MANIFEST, MAX_BYTES))
            self.manifest_sha256 = manifest.sha256
            self.digests = {entry.path: entry.sha256 for entry in manifest.entries}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_there:
            os.close(self.folder)

    @property
    def is_there(self) -> bool:
        return self.folder >= 0

    def has(self, path: str, size: int) -> bool:
        """Does it list this file, and have one of this size?"""
        if path in self.digests:
            with suppress(OSError, Failure), tree.opened_file(self.folder, path) as descriptor:
                return os.fstat(descriptor).st_size == size
        return False

    def strangers(self, anew: Collection[str]) -> tuple[str, ...]:
        """The paths of what lies in it and is no file of it, nor of the bundle `anew`; for them it would be refused."""
        if not self.is_there:
            return ()
        kinds = ((path, tree.kind_of(status.st_mode)) for path, status in tree.walk(self.folder))
        return tuple(
            path
            for path, kind in kinds
            if path not in self.digests
            and path not in anew
            and kind is not Kind.FOLDER
            and not (kind is Kind.FILE and may_be_unlisted(path))
        )

    def about(self, fresh: About) -> bytes:
        """Its dubnium-bundle.json, where that is whole and says the same as a fresh one; else the fresh one."""
        with suppress(OSError, Failure):
            raw = tree.read_small(self.folder, ABOUT, about.MAX_BYTES)
            said = about.parse(raw)
            whole = hashlib.sha256(raw).hexdigest() == self.digests.get(ABOUT)
            if said is not None and whole and said.says_the_same_as(fresh):
                return raw
        return fresh.render()
