"""Publishing: one rename, after everything is on the disk; and finishing what a crash cut short.

    1  SHA256SUMS into the tree, folders fsynced bottom-up
    2  staging/…/receipt.json: from here on the switch is decided, and what becomes of the version there
    3  renameat2 of staging/…/tree to NAME: NOREPLACE, or EXCHANGE with the version there; fsync of both folders
    4  what came back in exchange goes to previous/NAME, or to trash
    5  receipt.json becomes receipts/NAME.json, then the staging folder goes; now it is acknowledged

After the switch nothing is written that needs room. The receipt knows the identity of the folder that it publishes.
Where staging has a receipt.json at start, NAME either is that folder, then 4 and 5 are done again (they may be), or it
is not, then 3 never happened and the copy stays staged.
"""

import errno
import os
import stat
from contextlib import suppress

from dubseedd.core.manifest import Manifest
from dubseedd.core.receipt import Displaced, FileRecord, Receipt
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, PLAIN_MODE, exists, names_in, opened, reading, write_file
from dubseedd.engine.kernel import Identity, Rename, rename
from dubseedd.engine.records import record_below
from dubseedd.engine.staging import RECEIPT, TREE, Staging
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import receipt_file
from dubseedd.errors import StoreTrouble
from dubseedd.names import MANIFEST, ErrorName


def publish(
    store: Store, copy: Staging, receipt: Receipt, *, keep_previous: bool, replacing: Identity | None = None
) -> Receipt:
    """Make a complete staged copy, which its receipt describes, visible under its name; returns the receipt as written.

    `replacing` is a folder of somebody else that may be replaced; any other in that place is ForeignBundle.
    """
    with store.changing:
        former = store.receipt(receipt.name)
        occupied = store.occupied(receipt.name)
        if occupied and former is None and not (replacing and store.is_folder(receipt.name, replacing)):
            raise StoreTrouble(
                ErrorName.FOREIGN_BUNDLE,
                f"{store.path_of(receipt.name)} has appeared or changed meanwhile; look at it and sync again",
            )
        receipt = receipt.in_place_of(former, occupied=occupied, keep=keep_previous)
        _sync_folders(copy.tree)
        write_file(copy.folder, RECEIPT, receipt.to_json())
        rename(copy.folder, TREE, store.root, receipt.name, Rename.EXCHANGE if occupied else Rename.NOREPLACE)
        os.fsync(store.root)
        os.fsync(copy.folder)
        _finish(store, copy.manifest_sha256, receipt)
    return receipt


def write_manifest(copy: Staging, manifest: Manifest) -> FileRecord:
    """Put SHA256SUMS into the staged tree."""
    write_file(copy.tree, MANIFEST, manifest.raw, drafts=copy.folder, mode=PLAIN_MODE)
    return record_below(copy.tree, MANIFEST, sha256=manifest.sha256, blake3="")


def settle_one(store: Store, manifest_sha256: str, *, bundle: str = "") -> list[Receipt]:
    """Finish one publication, if there is one, of this bundle or of any; a copy that was never decided stays staged."""
    with store.changing:
        if manifest_sha256 in store.busy:
            return []
        with suppress(FileNotFoundError), opened(manifest_sha256, FOLDER, at=store.staging) as folder:
            receipt = _decided(folder)
            if receipt is None:
                if not exists(folder, TREE):
                    store.discard(store.staging, manifest_sha256)
            elif bundle in ("", receipt.name):
                if store.is_folder(receipt.name, receipt.folder):
                    _finish(store, manifest_sha256, receipt)
                    return [receipt]
                os.unlink(RECEIPT, dir_fd=folder)
        return []


def settle_bundle(store: Store, bundle: str) -> list[Receipt]:
    """Finish what was begun for one bundle; others are for the next start."""
    return [receipt for name in names_in(store.staging) for receipt in settle_one(store, name, bundle=bundle)]


def _decided(folder: int) -> Receipt | None:
    try:
        with reading(folder, RECEIPT) as lines:
            return Receipt.from_lines(lines)
    except FileNotFoundError:
        return None
    except StoreTrouble:
        os.unlink(RECEIPT, dir_fd=folder)
        return None


def _finish(store: Store, manifest_sha256: str, receipt: Receipt) -> None:
    """Steps 4 and 5; doing them again changes nothing."""
    with opened(manifest_sha256, FOLDER, at=store.staging) as folder:
        if exists(folder, TREE) and receipt.displaced is Displaced.KEPT:
            store.discard(store.previous, receipt.name)
            rename(folder, TREE, store.previous, receipt.name, Rename.NOREPLACE)
            os.fsync(store.previous)
        elif exists(folder, TREE):
            store.discard(folder, TREE)
        if receipt.previous is None and receipt.displaced is not Displaced.KEPT:
            store.discard(store.previous, receipt.name)
        os.rename(RECEIPT, receipt_file(receipt.name), src_dir_fd=folder, dst_dir_fd=store.receipts)
        os.fsync(store.receipts)
    store.discard(store.staging, manifest_sha256)


def _sync_folders(root: int) -> None:
    """fsync every folder of the tree, the deepest first, with the mode of the contract; where nothing is changed there
    is nothing to wait for."""
    with opened(".", FOLDER, at=root) as folder:
        with os.scandir(folder) as entries:
            for inner in (entry.name for entry in entries if entry.is_dir(follow_symlinks=False)):
                with opened(inner, FOLDER, at=folder) as descriptor:
                    _sync_folders(descriptor)
        if stat.S_IMODE(os.fstat(folder).st_mode) != tree.FOLDER_MODE:
            with suppress(PermissionError):
                os.fchmod(folder, tree.FOLDER_MODE)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
