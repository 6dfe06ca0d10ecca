"""The versions of an installed bundle: swapped with each other, or removed.

Rolling back is one exchange of NAME and previous/NAME. A receipt knows both folders and speaks of whichever is at NAME
(see Store.receipt): a cut right after the exchange loses nothing, and the next start writes down what has happened.

Removing is one rename of NAME to removing/NAME: from there on it is decided, and the next start finishes it.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from dubseedd.core import tidings
from dubseedd.core.bundle import Kind, may_be_unlisted
from dubseedd.core.receipt import Receipt
from dubseedd.core.tidings import Tiding
from dubseedd.engine import tree
from dubseedd.engine.kernel import Rename, rename
from dubseedd.engine.publishing import settle_bundle
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import receipt_file
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import MANIFEST, ErrorName


def roll_back(store: Store, name: str, *, now: int) -> list[Tiding]:
    """Swap a bundle with its previous version; what there is to tell, in this order.

    Reads no weights: both were verified when they were installed, and are as they were left. CallRefused (NotFound,
    NoPrevious) or StoreTrouble, with nothing changed.
    """
    with store.changing, writing_store(name):
        told = [tidings.completed(receipt) for receipt in settle_bundle(store, name)]
        receipt = _installed(store, name)
        if receipt.previous is None or not store.has_previous(receipt):
            raise CallRefused(
                ErrorName.NO_PREVIOUS,
                f"there is no previous version of {name} to go back to; plug in a stick that has the one you want",
            )
        if not store.untouched(receipt.previous, at=store.previous):
            raise StoreTrouble(
                ErrorName.NO_PREVIOUS,
                f"the previous version of {name} is not as it was left on the disk; plug in a stick that has it",
            )
        rename(store.previous, name, store.root, name, Rename.EXCHANGE)
        os.fsync(store.root)
        os.fsync(store.previous)
        return [*told, _write_down(store, receipt.rolled_back(now))]


def remove(store: Store, name: str) -> list[Tiding]:
    """Delete a bundle that was installed, and its previous version; what there is to tell.

    What somebody has put into its folder is not ours: CallRefused (ForeignBundle), with nothing changed.
    """
    with store.changing, writing_store(name):
        told = [tidings.completed(receipt) for receipt in settle_bundle(store, name)]
        receipt = _installed(store, name)
        stranger = next(_strangers(store, receipt), None)
        if stranger is not None:
            raise CallRefused(
                ErrorName.FOREIGN_BUNDLE,
                f"{store.path_of(name)} holds {stranger}, which dubseedd did not put there; move it away first",
            )
        store.discard(store.removing, name)
        rename(store.root, name, store.removing, name, Rename.NOREPLACE)
        os.fsync(store.removing)
        os.fsync(store.root)
        return told + finish_removal(store, name)


def note_rollback(store: Store, name: str) -> list[Tiding]:
    """Write down a rollback that was cut short after its exchange, if there was one."""
    with store.changing:
        receipt = store.receipt(name) if store.rolled_back_unnoted(name) else None
        return [_write_down(store, receipt)] if receipt else []


def finish_removal(store: Store, name: str) -> list[Tiding]:
    """Finish a removal that is decided; doing it again changes nothing.

    A bundle of that name which came meanwhile keeps what is its own.
    """
    with store.changing:
        if store.receipt(name) is None:
            with suppress(FileNotFoundError):
                os.unlink(receipt_file(name), dir_fd=store.receipts)
                os.fsync(store.receipts)
            store.discard(store.previous, name)
        store.discard(store.removing, name)
    return [tidings.removed(name)]


def _installed(store: Store, name: str) -> Receipt:
    receipt = store.receipt(name)
    if receipt is None:
        raise CallRefused(ErrorName.NOT_FOUND, f"{name} is not installed by dubseedd; dubseedctl list shows what is")
    return receipt


def _strangers(store: Store, receipt: Receipt) -> Iterator[str]:
    """What is in the folder of a bundle and neither a file of its manifest, nor one that may lie beside it, nor a
    folder."""
    ours = {MANIFEST, *(record.path for record in receipt.files)}
    with tree.opened_folder(store.root, receipt.name) as folder:
        for path, status in tree.walk(folder):
            kind = tree.kind_of(status.st_mode)
            beside = kind is Kind.FILE and may_be_unlisted(path)
            if kind is not Kind.FOLDER and path not in ours and not beside:
                yield path


def _write_down(store: Store, receipt: Receipt) -> Tiding:
    store.write_receipt(receipt)
    return tidings.rolled_back(receipt)
