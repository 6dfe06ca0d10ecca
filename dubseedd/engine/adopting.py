"""Adoption: taking over what the runbook has put into the store by hand. It is verified in place, nothing is copied.

The folder is the runbook's work when it and all in it are root's, not writable by others and singly linked, and it
matches the seed's manifest or else a SHA256SUMS of its own; litter and neighbours of the manifest aside.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from dubseedd.core.bundle import Kind, check_bound_name, format_of, is_litter
from dubseedd.core.lifecycle import JobState
from dubseedd.core.manifest import MAX_BYTES, Manifest, parse
from dubseedd.core.receipt import Receipt
from dubseedd.core.sentence import shown
from dubseedd.engine import copying, tree
from dubseedd.engine.durable import PLAIN_MODE, write_file
from dubseedd.engine.kernel import Identity, identity
from dubseedd.engine.meter import Meter
from dubseedd.engine.provenance import source_of
from dubseedd.engine.pump import Pump
from dubseedd.engine.records import record_below
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import StoreView
from dubseedd.errors import Failure, SeedRefused, StoreTrouble
from dubseedd.names import MANIFEST, NEIGHBOURS, ErrorName

Objects = Mapping[str, os.stat_result]
"""A folder, "", and every object in it by its path."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """A folder of the store that was found to match `manifest`, byte for byte, while it looked as in `seen`."""

    name: str
    manifest: Manifest
    blake3: Mapping[str, str]
    seen: Objects


@dataclass(frozen=True, slots=True)
class Foreign:
    """A folder that stays somebody else's; the sentence says why.

    `replaceable` identifies it where all in it is root's: then it may be replaced on request.
    """

    sentence: str
    replaceable: Identity | None = None


def examine(store: StoreView, name: str, offered: Manifest, pump: Pump, meter: Meter) -> Adoption | Foreign:
    """Is what has this name, and is not ours, the runbook's work? Reads what it has to compare."""
    path = store.path_of(name)
    try:
        with tree.opened_folder(store.root, name) as folder:
            return _examine_folder(folder, path, name, offered, pump, meter)
    except SeedRefused as refusal:
        return Foreign(f"{path} is nobody's model: {refusal.sentence}")
    except NotADirectoryError:
        return Foreign(f"{path} is no folder and not ours; move it away and sync again")
    except OSError as error:
        return Foreign(
            f"{path} is a link or cannot be opened ({error.strerror}); move it away and sync again",
        )


def _examine_folder(
    folder: int, path: str, name: str, offered: Manifest, pump: Pump, meter: Meter
) -> Adoption | Foreign:
    objects = objects_in(folder)
    if any(status.st_uid != 0 or status.st_gid != 0 for status in objects.values()):
        return Foreign(
            f"{path} was put there by hand and is not all root's; if it is your work, adopt it: "
            f"chown -R root:root {path}, then sync again",
        )
    for inner, status in objects.items():
        kind = tree.kind_of(status.st_mode)
        if kind not in (Kind.FILE, Kind.FOLDER):
            return Foreign(
                f"{path} holds {shown(inner)}, a {kind}; remove it or move the folder away, then sync again",
                replaceable=identity(folder),
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return Foreign(
                f"{path} is writable by others; if it is your work: chmod -R go-w {path}, then sync again",
                replaceable=identity(folder),
            )
        if kind is Kind.FILE and status.st_nlink > 1:
            return Foreign(
                f"{path} holds {shown(inner)}, a hard link; copy the file in its place, then sync again",
                replaceable=identity(folder),
            )
    sizes = {inner: status.st_size for inner, status in objects.items() if stat.S_ISREG(status.st_mode)}
    for manifest in _candidates(folder, name, offered):
        if _listed(sizes, manifest) and (blake3 := _verify(folder, manifest, sizes, pump, meter)) is not None:
            return Adoption(name, manifest, blake3, objects)
    return Foreign(
        f"{path} was put there by hand and matches neither the seed nor a SHA256SUMS of its own; "
        f"move it away, or replace it: dubseedctl sync --bundle {name} --replace-foreign",
        replaceable=identity(folder),
    )


def objects_in(folder: int) -> dict[str, os.stat_result]:
    """What is there now, to be compared with what is there when the folder is made ours."""
    return {"": os.fstat(folder), **dict(tree.walk(folder))}


def _candidates(folder: int, name: str, offered: Manifest) -> list[Manifest]:
    """The seed's manifest first, then the folder's own where it is another."""
    candidates = [offered]
    with suppress(OSError, Failure):
        own = parse(tree.read_small(folder, MANIFEST, MAX_BYTES))
        check_bound_name(name, own)
        if own.sha256 != offered.sha256:
            candidates.append(own)
    return candidates


def _listed(sizes: Mapping[str, int], manifest: Manifest) -> bool:
    """Are these the files of the manifest, litter and neighbours aside?"""
    extra = sizes.keys() - manifest.paths - {MANIFEST} - NEIGHBOURS
    return manifest.paths <= sizes.keys() and all(is_litter(path) for path in extra)


def _verify(
    folder: int, manifest: Manifest, sizes: Mapping[str, int], pump: Pump, meter: Meter
) -> dict[str, str] | None:
    """The BLAKE3 of every file, or None at the first that is not what the manifest says. Small files are read first."""
    meter.enter(JobState.VERIFYING)
    entries = sorted(manifest.entries, key=lambda entry: (sizes[entry.path], entry.path))
    size = sum(sizes[entry.path] for entry in entries)
    meter.expect(files=len(entries), skipped=size, work=size)
    found = {}
    for entry in entries:
        meter.current_file = entry.path
        parent, _, name = entry.path.rpartition("/")
        with tree.opened_folder(folder, parent) as descriptor:
            digests = copying.digest_file(pump, descriptor, name, sizes[entry.path], count=meter.worked).digests
        if digests.sha256 != entry.sha256:
            return None
        found[entry.path] = digests.blake3
        meter.finished()
    return found


def seal(store: Store, adoption: Adoption, *, installed_at: int, seed_uuid: str, signer: str = "") -> Receipt:
    """Make the folder ours: the modes of the store, the manifest it was verified by, all on the disk, and a receipt.

    StoreTrouble (ForeignBundle), with nothing changed, where anything in it has changed since it was verified.
    """
    manifest = adoption.manifest
    with tree.opened_folder(store.root, adoption.name) as folder:
        if _changed(objects_in(folder), adoption.seen):
            raise StoreTrouble(
                ErrorName.FOREIGN_BUNDLE,
                f"{store.path_of(adoption.name)} changed while it was looked at; leave it alone and sync again",
            )
        for path, status in adoption.seen.items():
            _settle_down(folder, path, is_folder=stat.S_ISDIR(status.st_mode))
        if _manifest_digest(folder) != manifest.sha256:
            write_file(folder, MANIFEST, manifest.raw, drafts=store.own, mode=PLAIN_MODE)
        receipt = Receipt(
            name=adoption.name,
            manifest=record_below(folder, MANIFEST, sha256=manifest.sha256, blake3=""),
            files=tuple(
                record_below(folder, entry.path, sha256=entry.sha256, blake3=adoption.blake3[entry.path])
                for entry in manifest.entries
            ),
            folder=identity(folder),
            format=format_of(manifest.paths),
            installed_at=installed_at,
            verified_at=installed_at,
            seed_uuid=seed_uuid,
            signer=signer,
            source=source_of(folder),
            adopted=True,
        )
    os.fsync(store.root)
    store.write_receipt(receipt)
    return receipt


def _changed(now: Objects, before: Objects) -> bool:
    """Has anything there been replaced or written to? Either moves the ctime, which no program can set."""

    def look(objects: Objects) -> dict[str, tuple[int, int, int]]:
        return {path: (status.st_ino, status.st_size, status.st_ctime_ns) for path, status in objects.items()}

    return look(now) != look(before)


def _settle_down(root: int, path: str, *, is_folder: bool) -> None:
    """Give an object the store's mode, on the disk; through a descriptor, for a name may have become a link."""
    opened = tree.opened_folder(root, path) if is_folder else tree.opened_file(root, path)
    with opened as descriptor:
        os.fchmod(descriptor, tree.FOLDER_MODE if is_folder else PLAIN_MODE)
        os.fsync(descriptor)


def _manifest_digest(folder: int) -> str:
    with suppress(OSError, Failure):
        return parse(tree.read_small(folder, MANIFEST, MAX_BYTES)).sha256
    return ""
