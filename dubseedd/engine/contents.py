"""The rules on content, put to the files of a folder: verified bytes, read with bounds and never mapped.

as a whole   config.json, every index of shards
by header    every file of weights
compared     every index with the headers of its shards
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from dubseedd.core import gguf, safetensors
from dubseedd.core.bundle import CONFIG
from dubseedd.core.content import (
    GGUF,
    MAX_INDEXES_OF_A_SHARD,
    check_config,
    check_index,
    check_no_pointer,
    check_shard,
    incomplete,
    is_weights,
    limit_of,
    read_whole,
)
from dubseedd.core.manifest import Manifest
from dubseedd.core.safetensors import LENGTH_BYTES
from dubseedd.core.sentence import shown
from dubseedd.engine import tree
from dubseedd.engine.pump import ReadError
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.trouble import writing_store, wrong_on_disk
from dubseedd.errors import Failure

_START_BYTES = 64


class Contents:
    """The files below `folder` that rules look into. What makes no model is SeedRefused (ModelIncomplete).

    The folder is one of the store's, unless a seed is only looked at: `reading` and `changed` then speak of the stick.
    """

    def __init__(
        self,
        folder: int,
        manifest: Manifest,
        *,
        reading: Callable[[str], AbstractContextManager[None]] = writing_store,
        changed: Callable[[str, str, str], Failure] = wrong_on_disk,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._reading = reading
        self._changed = changed
        self.whole = read_whole(manifest.paths)
        self.indexes = sorted(self.whole - {CONFIG})
        self.weights = frozenset(path for path in manifest.paths if is_weights(path))
        self._verified = {entry.path: entry.sha256 for entry in manifest.entries if entry.path in self.whole}

    def judge_all(self, stop: StopFlag) -> Iterator[str]:
        """Judge everything, the small before the large; yields notes. Raises the reason of the stop flag, too."""
        for path in sorted(self.whole):
            yield from self.judge(path)
        for path in sorted(self.weights):
            stop.check()
            self.judge_weights(path)
        for index, shard, named in self.shards():
            stop.check()
            self.compare(index, shard, named)

    def judge(self, path: str) -> tuple[str, ...]:
        """Judge one of `whole`; returns notes. Raises what `changed` gives where its bytes are not those that were
        verified."""
        raw = self._read_whole(path)
        if path == CONFIG:
            return check_config(raw)
        check_index(path, raw, self._manifest)
        return ()

    def judge_weights(self, path: str) -> None:
        """Judge one of `weights` by its header."""
        with tree.opened_file(self._folder, path) as descriptor:
            check_header(descriptor, path)

    def shards(self) -> Iterator[tuple[str, str, Sequence[str]]]:
        """(index, shard, names of tensors) of everything that an index names."""
        indexes = Counter[str]()
        for index in self.indexes:
            for shard, named in check_index(index, self._read_whole(index), self._manifest).items():
                indexes[shard] += 1
                if indexes[shard] > MAX_INDEXES_OF_A_SHARD:
                    raise incomplete(
                        index,
                        f"names {shown(shard)}, as {MAX_INDEXES_OF_A_SHARD} others do",
                        advice="leave one index for a shard",
                    )
                yield index, shard, named

    def compare(self, index: str, shard: str, named: Sequence[str]) -> None:
        """A shard has to have what an index names for it."""
        with tree.opened_file(self._folder, shard) as descriptor:
            there = tensors_of(descriptor, shard)
        check_shard(index, shard, named, there)

    def _read_whole(self, path: str) -> bytes:
        limit, verified = limit_of(path), self._verified[path]
        with self._reading(path):
            raw = tree.read_small(self._folder, path, limit)
        found = hashlib.sha256(raw).hexdigest()
        if found != verified and len(raw) <= limit:
            raise self._changed(path, f"SHA-256 {found}", verified)
        return raw


def check_header(descriptor: int, path: str) -> None:
    """Judge a file of weights by its header."""
    size = os.fstat(descriptor).st_size
    check_no_pointer(path, _read(descriptor, 0, _START_BYTES))
    if path.lower().endswith(GGUF):
        gguf.check(path, _read(descriptor, 0, gguf.HEAD_BYTES), size)
    else:
        _tensors(descriptor, path, size)


def tensors_of(descriptor: int, path: str) -> set[str]:
    """The names of the tensors in a safetensors file."""
    return _tensors(descriptor, path, os.fstat(descriptor).st_size)


def _tensors(descriptor: int, path: str, size: int) -> set[str]:
    length = safetensors.header_length(path, _read(descriptor, 0, LENGTH_BYTES), size)
    return safetensors.tensors(path, _read(descriptor, LENGTH_BYTES, length), size)


def _read(descriptor: int, offset: int, length: int) -> bytes:
    """`length` bytes from `offset` on, or as many as the file has."""
    data = b""
    try:
        while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
            data = data + more if data else more
    except OSError as error:
        raise ReadError(offset + len(data), error.errno or 0) from error
    return data
