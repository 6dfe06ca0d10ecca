"""Finding the model that a bundle is to be made of: a directory, or a model in a Hugging Face cache.

Nothing of it is believed without a digest where there is one to go by: the names of a cache's blobs, its listing of the
commit, the SHA256SUMS that lies beside a model. A link is followed in a cache only, to a blob of that cache.
"""

import os
import stat
from collections.abc import Callable

from dubseedd.core import hfcache, manifest
from dubseedd.core.bundle import Kind
from dubseedd.core.hfcache import BLOBS, REFS, SNAPSHOTS, TREES, Algorithm, Expected, expected_of
from dubseedd.core.sentence import shown
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER
from dubseedd.engine.source import Source, SourceFile
from dubseedd.engine.trouble import reading_source
from dubseedd.errors import CallRefused, Failure, SeedRefused
from dubseedd.names import MANIFEST, ErrorName

MAX_LISTING_BYTES = 64 << 20
MAX_REF_BYTES = 256
MAIN = "main"


def open_source(where: str, revision: str, own_cache: str) -> Source:
    """The model at a path: a directory, a repository or a snapshot in a cache, or CACHE/OWNER/NAME. A bare OWNER/NAME
    that is no folder is looked for in `own_cache`. `revision` is a branch, tag or commit, "" the one that is there.

    The caller closes it. Raises CallRefused where there is none, SeedRefused where it cannot be read.
    """
    path = os.path.abspath(where)
    if os.path.isdir(path):
        return _open_folder(path, revision)
    for root, folder in hfcache.candidates(where):
        place = os.path.join(root or own_cache, folder)
        if os.path.isdir(place):
            return _open_repository(place, revision)
    raise CallRefused(
        ErrorName.NOT_FOUND,
        f"there is no model {shown(where)}; name its directory, or a Hugging Face cache with OWNER/NAME behind it",
    )


def _open_folder(path: str, revision: str) -> Source:
    parent, name = os.path.split(path)
    repository = os.path.dirname(parent)
    if os.path.basename(parent) == SNAPSHOTS and os.path.basename(repository).startswith(hfcache.PREFIX):
        return _open_repository(repository, revision or name)
    with reading_source(path):
        children = os.listdir(path)
    if SNAPSHOTS in children and name.startswith(hfcache.PREFIX):
        return _open_repository(path, revision)
    repositories = sorted(child for child in children if child.startswith(hfcache.PREFIX))
    if repositories:
        raise CallRefused(
            ErrorName.INVALID_ARGS,
            f"{shown(path)} is a Hugging Face cache; name one of its models: "
            f"{', '.join(shown(f'{path}/{hfcache.repository_of(one)}') for one in repositories)}",
        )
    if revision:
        raise CallRefused(
            ErrorName.INVALID_ARGS, f"{shown(path)} is no Hugging Face cache and has no revisions; leave --revision out"
        )
    return _filled(path, name, _fill_from_directory)


def _open_repository(path: str, revision: str) -> Source:
    repository = hfcache.repository_of(os.path.basename(path))
    return _filled(path, repository.rpartition("/")[2], lambda source: _fill_from_cache(source, repository, revision))


def _filled(path: str, name: str, fill: Callable[[Source], None]) -> Source:
    with reading_source(path):
        source = Source(os.open(path, FOLDER & ~os.O_NOFOLLOW), name)
    try:
        fill(source)
    except BaseException:
        source.__exit__()
        raise
    return source


# A directory


def _fill_from_directory(source: Source) -> None:
    with reading_source(source.name):
        for path, status in tree.walk(source.root):
            kind = tree.kind_of(status.st_mode)
            if kind is Kind.FILE:
                source.files[path] = SourceFile(path, status.st_size, path)
            elif kind is not Kind.FOLDER:
                source.faults[path] = _no_file(path, kind)
    if MANIFEST in source.files:
        _heed_manifest(source)
    source.describe(source.name, "")


def _heed_manifest(source: Source) -> None:
    """A SHA256SUMS that lies beside the model says what its files have to be."""
    for entry in manifest.parse(source.read(MANIFEST, manifest.MAX_BYTES)).entries:
        if entry.path in source.files:
            source.expect(entry.path, Expected(Algorithm.SHA256, entry.sha256, "the SHA256SUMS beside it"))
        elif entry.path not in source.faults:
            source.faults[entry.path] = SeedRefused(
                ErrorName.FILE_MISSING,
                f"{shown(entry.path)} of the model is missing, its SHA256SUMS lists it; copy the model anew, or remove "
                "that SHA256SUMS if it is of another model",
                file=entry.path,
            )


def _no_file(path: str, kind: Kind) -> Failure:
    return SeedRefused(
        ErrorName.UNSAFE_FILE,
        f"{shown(path)} of the model is a {kind}, and a bundle has files only; put the file itself there, or leave it "
        "out: --exclude",
        file=path,
    )


# A cache


def _fill_from_cache(source: Source, repository: str, revision: str) -> None:
    commit = _commit_of(source, repository, revision)
    try:
        snapshot = tree.open_folder(source.root, f"{SNAPSHOTS}/{commit}")
    except OSError as error:
        raise _no_revision(repository, revision or commit) from error
    try:
        with reading_source(repository):
            for path, status in tree.walk(snapshot):
                _take(source, commit, path, status, snapshot)
    finally:
        os.close(snapshot)
    _heed_listing(source, repository, commit)
    source.describe(repository, commit)


def _commit_of(source: Source, repository: str, revision: str) -> str:
    """The commit that a revision stands for; of none that of `main`, else the only one that is there."""
    if hfcache.is_commit(revision):
        return revision
    try:
        commit = tree.read_small(source.root, f"{REFS}/{revision or MAIN}", MAX_REF_BYTES).decode().strip()
    except (OSError, ValueError, Failure):
        commit = ""
    if not commit and not revision:
        with reading_source(repository):
            snapshots = os.listdir(f"/proc/self/fd/{source.root}/{SNAPSHOTS}")
        commit = snapshots[0] if len(snapshots) == 1 else ""
    if not hfcache.is_commit(commit):
        raise _no_revision(repository, revision or MAIN)
    return commit


def _no_revision(repository: str, revision: str) -> CallRefused:
    return CallRefused(
        ErrorName.NOT_FOUND,
        f"the cache of {shown(repository)} has no revision {shown(revision)}; name one that is there with --revision, "
        f"or fetch it: hf download {shown(repository)}",
    )


def _take(source: Source, commit: str, path: str, status: os.stat_result, snapshot: int) -> None:
    """Take down one object of a snapshot."""
    kind = tree.kind_of(status.st_mode)
    if kind is Kind.FILE:
        source.files[path] = SourceFile(path, status.st_size, f"{SNAPSHOTS}/{commit}/{path}")
    elif kind is Kind.SYMLINK:
        try:
            blob = hfcache.blob_of(path, commit, os.readlink(path, dir_fd=snapshot))
            source.files[path] = _behind(source, path, blob)
        except SeedRefused as fault:
            source.faults[path] = fault
    elif kind is not Kind.FOLDER:
        source.faults[path] = _no_file(path, kind)


def _behind(source: Source, path: str, blob: str) -> SourceFile:
    """The file that a link leads to."""
    place = f"{BLOBS}/{blob}"
    try:
        status = os.stat(place, dir_fd=source.root, follow_symlinks=False)
    except FileNotFoundError:
        raise SeedRefused(
            ErrorName.FILE_MISSING,
            f"{shown(path)} of the model is not in the cache, its link leads nowhere; fetch the model anew, or leave "
            "the file out: --exclude",
            file=path,
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise _no_file(path, tree.kind_of(status.st_mode))
    return SourceFile(path, status.st_size, place, expected_of(blob))


def _heed_listing(source: Source, repository: str, commit: str) -> None:
    """A cached listing of the commit says which files it has, how large they are, and their digests."""
    try:
        raw = tree.read_small(source.root, f"{TREES}/{commit}.json", MAX_LISTING_BYTES)
    except OSError:
        return
    for path, listed in hfcache.parse_tree(raw).items():
        if path in source.faults:
            continue
        if path not in source.files:
            reason = "is not in the cache"
        elif source.files[path].size != listed.size:
            reason = f"has {source.files[path].size:,} bytes in the cache instead of {listed.size:,}"
        else:
            source.expect(path, listed.expected)
            continue
        source.faults[path] = SeedRefused(
            ErrorName.MODEL_INCOMPLETE,
            f"{shown(path)} of the model {reason}; finish its download (hf download {shown(repository)}), or leave the "
            "file out: --exclude",
            file=path,
        )
