"""The rules on content: what is in the files has to make a model, else ModelIncomplete.

config.json                a JSON object; an auto_map in it is noted
*.safetensors.index.json   says of each tensor which file has it; that file is in the manifest, and has it
*.safetensors, *.gguf      a header that fits the file (see safetensors, gguf)

They are given verified bytes, never the seed's.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence

from dubseedd.core.bundle import CONFIG
from dubseedd.core.entries import Reader
from dubseedd.core.manifest import Manifest
from dubseedd.core.sentence import shown
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

INDEX_SUFFIX = ".safetensors.index.json"
SAFETENSORS = ".safetensors"
GGUF = ".gguf"

MAX_CONFIG_BYTES = 2 << 20
"""A larger one is nobody's; a hostile one takes 25 times its size as it is read."""
MAX_INDEX_BYTES = 16 << 20
"""The largest models that there are have one of 14 MB."""

MAX_INDEXES_OF_A_SHARD = 4
"""It has one. To compare a header takes seconds at the worst, and for each index with each shard would take days."""

_POINTER = b"version https://git-lfs"


def read_whole(paths: Collection[str]) -> frozenset[str]:
    """The files that are judged by all that is in them, and therefore first: config.json, every index of shards."""
    return frozenset(path for path in paths if path == CONFIG or path.endswith(INDEX_SUFFIX))


def is_weights(path: str) -> bool:
    """Is it judged by its header?"""
    return path.lower().endswith((SAFETENSORS, GGUF))


def limit_of(path: str) -> int:
    """How many bytes a file that is read whole may have."""
    return MAX_CONFIG_BYTES if path == CONFIG else MAX_INDEX_BYTES


def check_config(raw: bytes) -> tuple[str, ...]:
    """config.json has to be a JSON object; notes on what in it calls for code."""
    _check_size(CONFIG, raw)
    try:
        config = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise incomplete(CONFIG, f"is no JSON ({type(error).__name__})") from error
    if not isinstance(config, dict):
        raise incomplete(CONFIG, "is no JSON object")
    return (
        ("config.json has an auto_map, which asks loaders to run code of the bundle",) if "auto_map" in config else ()
    )


def check_index(path: str, raw: bytes, manifest: Manifest) -> Mapping[str, Sequence[str]]:
    """The tensors that an index names, by the path of the file that has to have them, which is in the manifest."""
    named = named_shards(path, raw)
    paths = manifest.paths
    for shard in sorted(named.keys() - paths):
        raise incomplete(path, f"names {shown(shard)}, which is not in SHA256SUMS")
    return named


def named_shards(path: str, raw: bytes) -> Mapping[str, Sequence[str]]:
    """The tensors that an index names, by the path of the file that has to have them."""
    _check_size(path, raw)
    folder = path.rpartition("/")[0]
    named: defaultdict[str, list[str]] = defaultdict(list)
    try:
        for tensor, shard in _weight_map(raw):
            named[f"{folder}/{shard}" if folder else shard].append(tensor)
    except ValueError as error:
        raise incomplete(path, f"has no weight_map from tensors to files: {error}") from error
    return named


def check_shard(index: str, shard: str, named: Iterable[str], there: Container[str]) -> None:
    """A shard has to have every tensor that the index names for it."""
    for tensor in named:
        if tensor not in there:
            raise incomplete(index, f"looks for {shown(tensor)} in {shown(shard)}, which does not have it")


def check_no_pointer(path: str, start: bytes) -> None:
    """A clone without Git LFS has a line of text where the weights belong."""
    if start.startswith(_POINTER):
        raise incomplete(
            path, "is a pointer of Git LFS, not the weights", advice="run git lfs pull in the clone, then copy it anew"
        )


def incomplete(path: str, fault: str, *, advice: str = "copy the model from its source anew") -> SeedRefused:
    """ModelIncomplete: the file that is wrong, why, and what to do."""
    return SeedRefused(ErrorName.MODEL_INCOMPLETE, f"{shown(path)} {fault}; {advice}", file=path)


def _check_size(path: str, raw: bytes) -> None:
    if len(raw) > limit_of(path):
        raise incomplete(path, f"is larger than {limit_of(path) >> 20} MiB")


def _weight_map(raw: bytes) -> Iterable[tuple[str, str]]:
    """(tensor, file) of every entry. ValueError where there is no such map."""
    reader = Reader(raw)
    found = False
    for key in reader.each_key():
        if key != "weight_map":
            reader.short()
            continue
        found = True
        for tensor in reader.each_key():
            yield tensor, reader.string()
    reader.end()
    if not found:
        raise ValueError("it is not there")
