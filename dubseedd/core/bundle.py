"""The rules of acceptance: facts about a bundle in, the first error that applies out.

InvalidName      1 to 255 bytes of A-Z a-z 0-9 . _ + -, starting with none of `.` `-`
CacheTree        no Hugging Face cache: not named models--*, no snapshots/ beside refs/ or blobs/
UntrustedSeed    a manifest that names its bundle is that one's; for signatures see engine.signatures
FileMissing      every entry of the manifest is there
UnsafeFile       as a regular file; nothing in the bundle is a link, FIFO, socket or device
UnlistedFile     every file is listed, litter and the neighbours of the manifest aside
ModelIncomplete  config.json is listed, unless the bundle is of .gguf files
UnsafeModel      no pickled weights, unless the configuration allows them

The rules on what is in the files are in content.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate

from dubseedd.core.enrolment import NOBODY, Enrolment
from dubseedd.core.manifest import Manifest
from dubseedd.core.sentence import shown
from dubseedd.errors import SeedRefused
from dubseedd.names import MANIFEST, NEIGHBOURS, ErrorName

CONFIG = "config.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LITTER = (
    "._*",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    ".Trash*",
    ".Spotlight-V100",
    ".fseventsd",
    "System Volume Information",
    "$RECYCLE.BIN",
)
CACHE_FOLDERS = ("snapshots", "refs", "blobs")
_LITTER = re.compile("|".join(map(translate, LITTER)))
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,254}")
_EXT = frozenset({"ext3", "ext4"})


class Kind(StrEnum):
    """What an object in a bundle is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symbolic link"
    FIFO = "FIFO"
    SOCKET = "socket"
    DEVICE = "device"


class Format(StrEnum):
    """What the weights of a bundle are."""

    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    MIXED = "mixed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Found:
    """One object of a bundle's folder; names that are not UTF-8 come with surrogates. `size` in bytes."""

    path: str
    kind: Kind
    size: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration allows."""

    pickle_allowed: bool
    enrolment: Enrolment = NOBODY


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of an accepted bundle: path, size in bytes, digest in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A bundle that keeps the rules which can be judged by its listing."""

    files: tuple[BundleFile, ...]
    notes: tuple[str, ...]
    format: Format


def is_litter(path: str) -> bool:
    """Is it, or does it lie in, what other systems leave behind?"""
    return any(_LITTER.match(part) for part in path.split("/"))


def may_be_unlisted(path: str) -> bool:
    """Is a file passed over at this path, though no manifest lists it?"""
    return path in NEIGHBOURS or path.rpartition("/")[2] == MANIFEST or is_litter(path)


def check_name(name: str, advice: str = "rename its folder on the seed") -> None:
    if not _NAME.fullmatch(name):
        raise SeedRefused(
            ErrorName.INVALID_NAME,
            f"{shown(name)} is no name for a bundle: it takes A-Z a-z 0-9 . _ + -, at most 255, and begins with none "
            f"of '.' and '-'; {advice}",
        )


def check_cache_tree(name: str, children: Collection[str]) -> None:
    if name.startswith("models--") or ("snapshots" in children and not {"refs", "blobs"}.isdisjoint(children)):
        raise SeedRefused(
            ErrorName.CACHE_TREE,
            f"{shown(name)} is a Hugging Face cache, not a model directory; make a bundle of it: "
            "dubseedctl create SOURCE --to SEED",
        )


def check_bound_name(name: str, manifest: Manifest) -> None:
    """A manifest that names its bundle, in a comment, speaks of that one only: its signature counts for no other."""
    if manifest.bundle not in ("", name):
        raise SeedRefused(
            ErrorName.UNTRUSTED_SEED,
            f"{shown(name)} cannot be trusted: its SHA256SUMS was written for {shown(manifest.bundle)}; "
            "give the folder that name again",
            file=MANIFEST,
        )


def accept(
    name: str, manifest: Manifest, found: Iterable[Found], policy: Policy, *, filesystem: str = "", device: str = ""
) -> Accepted:
    """Judge a bundle by its manifest and its listing. `filesystem` and `device` of the seed shape the advice.

    There may be half a million objects: of what is listed the size is kept, of all else the first of its kind.
    """
    sizes: dict[str, int | None] = dict.fromkeys(entry.path for entry in manifest.entries)
    unfit: dict[str, Found] = {}
    unsafe: Found | None = None
    unlisted = _Unlisted()
    for item in found:
        if item.path in sizes:
            if item.kind is Kind.FILE:
                sizes[item.path] = item.size
            else:
                unfit[item.path] = item
        elif item.kind is Kind.FILE:
            unlisted.add(item.path)
        elif item.kind is not Kind.FOLDER:
            unsafe = unsafe or item
    advice = _advice_on_missing(filesystem, device)
    files = tuple(
        BundleFile(entry.path, _size_of(entry.path, sizes, unfit, advice), entry.sha256) for entry in manifest.entries
    )
    if unsafe:
        raise _unsafe(unsafe)
    passed_over = unlisted.passed_over()
    _check_config_listed(name, manifest.paths)
    _check_pickle(manifest.paths, policy)
    code = _Several(path for path in manifest.paths if path.lower().endswith(".py")).note("code")
    return Accepted(files, (*passed_over, *code), format_of(manifest.paths))


def _advice_on_missing(filesystem: str, device: str) -> str:
    if filesystem not in _EXT:
        return "copy the bundle to the seed anew"
    return (
        "the stick may not have been unmounted cleanly, its last files are then in its journal only: plug it into the "
        f"machine that wrote it and unmount it there, or repair it: e2fsck -p {device or 'DEVICE'}"
    )


def _size_of(path: str, sizes: Mapping[str, int | None], unfit: Mapping[str, Found], advice: str) -> int:
    """The size of a listed file, which has to be there, and a file."""
    size = sizes[path]
    if size is not None:
        return size
    if path in unfit:
        raise _unsafe(unfit[path])
    raise SeedRefused(
        ErrorName.FILE_MISSING, f"{shown(path)} is listed in SHA256SUMS and is not there; {advice}", file=path
    )


def _unsafe(item: Found) -> SeedRefused:
    advice = "replace it by the file that it points to" if item.kind is Kind.SYMLINK else "remove it from the bundle"
    return SeedRefused(
        ErrorName.UNSAFE_FILE,
        f"{shown(item.path)} is a {item.kind}, only regular files are taken; {advice} and write SHA256SUMS anew",
        file=item.path,
    )


class _Several:
    """Files of a kind: how many there are, and the first by name."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self.first, self._count = "", 0
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        self.first = min(self.first, path) if self._count else path
        self._count += 1

    def note(self, remark: str) -> tuple[str, ...]:
        """One note for all of them: a stick from macOS has a `._` beside each file."""
        if not self._count:
            return ()
        told = f"{shown(self.first)} and {self._count - 1:,} more are" if self._count > 1 else f"{shown(self.first)} is"
        return (f"{told} {remark}",)


class _Unlisted:
    """What the manifest does not list: litter and further manifests, which are passed over, and what may not be."""

    def __init__(self) -> None:
        self._litter, self._manifests, self._others = _Several(), _Several(), _Several()

    def add(self, path: str) -> None:
        if path in NEIGHBOURS or path == MANIFEST:
            return
        if is_litter(path):
            self._litter.add(path)
        elif path.rpartition("/")[2] == MANIFEST:
            self._manifests.add(path)
        else:
            self._others.add(path)

    def passed_over(self) -> tuple[str, ...]:
        """Notes on what is passed over; UnlistedFile for the first file that may not be."""
        if self._others.first:
            raise SeedRefused(
                ErrorName.UNLISTED_FILE,
                f"{shown(self._others.first)} is not listed in SHA256SUMS; remove it or write SHA256SUMS anew",
                file=self._others.first,
            )
        return (*self._litter.note("litter, passed over"), *self._manifests.note("not listed, passed over"))


def _check_config_listed(name: str, paths: frozenset[str]) -> None:
    if CONFIG not in paths and format_of(paths) is not Format.GGUF:
        raise SeedRefused(
            ErrorName.MODEL_INCOMPLETE,
            f"{shown(name)} lists no config.json; copy the whole model directory and write SHA256SUMS anew",
            file=CONFIG,
        )


def _check_pickle(paths: frozenset[str], policy: Policy) -> None:
    pickled = sorted(path for path in paths if path.lower().endswith(PICKLED))
    if pickled and not policy.pickle_allowed:
        raise SeedRefused(
            ErrorName.UNSAFE_MODEL,
            f"{shown(pickled[0])} holds pickled weights, which can run code when they are loaded; take the safetensors "
            'of the model, or allow it: [trust] pickle = "allow"',
            file=pickled[0],
        )


def format_of(paths: Iterable[str]) -> Format:
    """What the weights are, by the endings of the files."""
    lowered = [path.lower() for path in paths]
    match any(path.endswith(".safetensors") for path in lowered), any(path.endswith(".gguf") for path in lowered):
        case True, True:
            return Format.MIXED
        case True, False:
            return Format.SAFETENSORS
        case False, True:
            return Format.GGUF
        case _:
            return Format.OTHER
