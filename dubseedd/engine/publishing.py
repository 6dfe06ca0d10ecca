"""Publishing: one rename, after everything is on the disk; and finishing what a crash cut short.

    1  SHA256SUMS into the tree, folders fsynced bottom-up
    2  staging/…/receipt.json: from here on the switch is decided
    3  renameat2 of staging/…/tree to NAME: NOREPLACE, or EXCHANGE with the version there; fsync of both folders
    4  what came back in exchange goes to previous/NAME (or is removed)
    5  receipts/NAME.json, then the staging folder goes; now it is acknowledged

The receipt knows the inode of the folder that it publishes. Where staging has a receipt.json at start, NAME either is
that folder, then 4 and 5 are done again (they may be), or it is not, then 3 never happened and the copy stays staged.
"""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import replace

from dubseedd.core.bundle import BundleFile
from dubseedd.core.manifest import Manifest
from dubseedd.core.receipt import FileRecord, Receipt
from dubseedd.engine import tree
from dubseedd.engine.copying import PUBLISHED_MODE
from dubseedd.engine.durable import FOLDER, Rename, exists, opened, read_file, rename, write_file
from dubseedd.engine.staging import FOLDER_MODE, RECEIPT, TREE, Staging
from dubseedd.engine.store import Store
from dubseedd.errors import StoreTrouble
from dubseedd.names import MANIFEST, ErrorName


def publish(store: Store, copy: Staging, receipt: Receipt, *, keep_previous: bool, replace_foreign: bool) -> Receipt:
    """Make a complete staged copy visible under the receipt's name; returns the receipt as it was written."""
    former = store.receipt(receipt.name)
    if former is None and store.occupied(receipt.name) and not replace_foreign:
        raise StoreTrouble(
            ErrorName.FOREIGN_BUNDLE,
            f"{store.path_of(receipt.name)} has appeared meanwhile; move it away and sync again",
        )
    _sync_folders(copy.tree)
    receipt = replace(receipt, folder_inode=os.fstat(copy.tree).st_ino).succeeding(former if keep_previous else None)
    write_file(copy.folder, RECEIPT, receipt.to_json())
    how = Rename.EXCHANGE if store.occupied(receipt.name) else Rename.NOREPLACE
    rename(copy.folder, TREE, store.root, receipt.name, how)
    os.fsync(store.root)
    os.fsync(copy.folder)
    _finish(store, copy.manifest_sha256, receipt, keep_previous=keep_previous)
    return receipt


def write_manifest(copy: Staging, manifest: Manifest) -> FileRecord:
    """Put SHA256SUMS into the staged tree."""
    write_file(copy.tree, MANIFEST, manifest.raw, drafts=copy.folder, mode=PUBLISHED_MODE)
    return record_of(copy.tree, BundleFile(MANIFEST, len(manifest.raw), manifest.sha256), blake3="")


def record_of(root: int, file: BundleFile, *, blake3: str) -> FileRecord:
    """The record of a file as it lies below `root` now."""
    with tree.opened_file(root, file.path) as descriptor:
        status = os.fstat(descriptor)
    return FileRecord(file.path, status.st_size, file.sha256, blake3, status.st_mtime_ns, status.st_ino)


def settle(store: Store) -> list[Receipt]:
    """Finish every publication that was cut short after its switch; returns those. The others stay staged."""
    finished = []
    for name in os.listdir(store.staging):
        if name in store.busy:
            continue
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            opened(name, FOLDER, at=store.staging) as folder,
        ):
            receipt = _decided(folder)
            if receipt is None:
                continue
            if _is_published(store, receipt):
                _finish(store, name, receipt, keep_previous=True)
                finished.append(receipt)
            else:
                os.unlink(RECEIPT, dir_fd=folder)
    return finished


def _decided(folder: int) -> Receipt | None:
    try:
        return Receipt.from_json(read_file(folder, RECEIPT))
    except FileNotFoundError:
        return None
    except StoreTrouble:
        os.unlink(RECEIPT, dir_fd=folder)
        return None


def _is_published(store: Store, receipt: Receipt) -> bool:
    try:
        status = os.stat(receipt.name, dir_fd=store.root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_ino == receipt.folder_inode


def _finish(store: Store, manifest_sha256: str, receipt: Receipt, *, keep_previous: bool) -> None:
    """Steps 4 and 5; doing them again changes nothing."""
    with opened(manifest_sha256, FOLDER, at=store.staging) as folder:
        if keep_previous and exists(folder, TREE):
            store.discard(store.previous, receipt.name)
            rename(folder, TREE, store.previous, receipt.name, Rename.NOREPLACE)
            os.fsync(store.previous)
        store.write_receipt(receipt)
    store.discard(store.staging, manifest_sha256)


def _sync_folders(root: int) -> None:
    """fsync every folder of the tree, the deepest first, with the modes of the contract."""
    folders = [path for path, status in tree.walk(root) if stat.S_ISDIR(status.st_mode)]
    for path in [*sorted(folders, reverse=True), ""]:
        with tree.opened_folder(root, path) as folder:
            with suppress(PermissionError):
                os.fchmod(folder, FOLDER_MODE)
            try:
                os.fsync(folder)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
