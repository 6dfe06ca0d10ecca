"""What a bundle will hold, judged by the daemon's own rules before anything is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dubseedd.core.bundle import CONFIG, Found, Kind, Policy, accept, check_name
from dubseedd.core.content import check_config, check_shard, incomplete, is_weights, limit_of, named_shards, read_whole
from dubseedd.core.manifest import Entry, Manifest, parse, render
from dubseedd.core.selection import LeftOut, Reason, Wish, select
from dubseedd.core.sentence import shown
from dubseedd.engine.contents import check_header, tensors_of
from dubseedd.engine.source import Source
from dubseedd.engine.trouble import reading_source
from dubseedd.errors import SeedRefused
from dubseedd.names import MODEL_SIGNATURE, ErrorName

NO_DIGEST = "0" * 64
FETCH_ANEW = "fetch the model anew"


@dataclass(frozen=True, slots=True)
class Draft:
    """The files of a bundle to be: `sizes` in bytes by path; `signature` is whether a model.sig goes beside them."""

    sizes: Mapping[str, int]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    signature: bool


def prepare(source: Source, name: str, wish: Wish) -> Draft:
    """Choose the files and judge them: SeedRefused with the first rule that the bundle would break."""
    check_name(name, advice="choose another: --name")
    selection = select(source.files.keys() | source.faults.keys(), wish)
    for path in selection.taken:
        if path in source.faults:
            raise source.faults[path]
    _check_names(selection.taken)
    sizes = {path: source.files[path].size for path in selection.taken if path != MODEL_SIGNATURE}
    if not sizes:
        raise incomplete(source.name, "has no file for a bundle", advice="name the directory of a model")
    manifest = parse(render([Entry(path, NO_DIGEST) for path in sizes]))
    notes = [*_accept(name, manifest, sizes, wish), *_judge(source, sizes)]
    signature = MODEL_SIGNATURE in selection.taken
    left_out = tuple(one for one in selection.left_out if one.reason is not Reason.ANEW)
    if signature and left_out:
        notes.append(
            f"{MODEL_SIGNATURE} signs the whole model, without what is left out it may not be valid: "
            "--everything takes all"
        )
    return Draft(sizes, left_out, tuple(notes), signature)


def _check_names(paths: Iterable[str]) -> None:
    """A manifest is lines of UTF-8."""
    for path in paths:
        if any(char == "\n" or "\udc80" <= char <= "\udcff" for char in path):
            raise SeedRefused(
                ErrorName.MANIFEST_INVALID,
                f"{shown(path)} of the model has a name that no manifest can hold; rename the file, or leave it out: "
                "--exclude",
                file=path,
            )


def _accept(name: str, manifest: Manifest, sizes: Mapping[str, int], wish: Wish) -> list[str]:
    """The rules on the listing. Pickled weights that were asked for are taken, with a note: a workstation may not."""
    found = [Found(path, Kind.FILE, size) for path, size in sizes.items()]
    try:
        return [*accept(name, manifest, found, Policy(pickle_allowed=False)).notes]
    except SeedRefused as refusal:
        if refusal.error is not ErrorName.UNSAFE_MODEL or not wish.takes_more:
            raise
        return [refusal.sentence, *accept(name, manifest, found, Policy(pickle_allowed=True)).notes]


def _judge(source: Source, sizes: Mapping[str, int]) -> list[str]:
    """The rules on content, put to the source."""
    notes: list[str] = []
    for path in sorted(read_whole(sizes.keys())):
        raw = source.read(path, limit_of(path))
        if path == CONFIG:
            notes += check_config(raw)
            continue
        for shard, named in named_shards(path, raw).items():
            if shard not in sizes:
                raise incomplete(path, f"names {shown(shard)}, which is missing", advice=FETCH_ANEW)
            with source.opened(shard) as descriptor, reading_source(shard):
                check_shard(path, shard, named, tensors_of(descriptor, shard))
    for path in filter(is_weights, sizes):
        with source.opened(path) as descriptor, reading_source(path):
            check_header(descriptor, path)
    return notes
