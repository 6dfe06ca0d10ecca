"""The store: published bundles, and beside them what dubseedd keeps for itself.

    /var/lib/dubnium/models/                root:root 0755
    ├── NAME/                               published: the files of the manifest, and SHA256SUMS
    └── .dubseed/                           0700, on the same file system
        ├── lock                            held by the one process that works on the store
        ├── staging/SHA256-OF-MANIFEST/     copies under way (see staging)
        ├── previous/NAME/                  the version before
        ├── receipts/NAME.json              what was installed (see core.receipt); a name too long goes by digest
        ├── removing/NAME/                  a bundle whose removal is decided (see versions)
        ├── trash/                          what is being deleted; emptied at every start
        └── history.jsonl                   every event (see history)

Whatever else is in there belongs to others: it is shown as foreign and left alone.
"""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from dubseedd.core.plan import Verdict
from dubseedd.core.receipt import Receipt
from dubseedd.engine.durable import (
    DRAFT,
    make_folder,
    names_in,
    opened,
    owned,
    remove,
    write_file,
)
from dubseedd.engine.store_view import OWN, StoredBundle, StoreView, receipt_file
from dubseedd.engine.trouble import way_to_write
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName


class Store(StoreView):
    """An open store; the process that holds it is the only one that changes it."""

    def __init__(self, path: str) -> None:
        """Open the store and make what is missing. StoreTrouble where that cannot be, CallRefused (Busy) where another
        process works on it."""
        with ExitStack() as undo:
            try:
                os.makedirs(path, 0o755, exist_ok=True)
                super().__init__(path)
                undo.callback(super().close)
                self.own = undo.enter_context(owned(make_folder(self.root, OWN, mode=0o700)))
                self.staging, self.previous, self.receipts, self.removing, self._trash = (
                    undo.enter_context(owned(make_folder(self.own, name, mode=0o700)))
                    for name in ("staging", "previous", "receipts", "removing", "trash")
                )
                lock = undo.enter_context(opened("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, at=self.own))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._tidy()
            except BlockingIOError as error:
                raise CallRefused(
                    ErrorName.BUSY,
                    f"another process works on the store {path}: the daemon (stop it: systemctl stop dubseedd), or a "
                    "dubseedctl that runs (wait for its end)",
                ) from error
            except OSError as error:
                raise StoreTrouble(ErrorName.STORE_FAILED, _cannot_open(path, error)) from error
            self._open = undo.pop_all()
        self.busy: set[str] = set()
        """Manifests whose staging somebody works in; housekeeping leaves them alone."""
        self.changing = threading.RLock()
        """Held for what has to be looked at or changed in one go: several jobs work on the store, and a folder that has
        just taken its name has its receipt a moment later."""

    def _tidy(self) -> None:
        """Remove what a crash has left half removed or half written."""
        for name in names_in(self._trash):
            remove(self._trash, name)
        for folder in (self.own, self.receipts):
            for name in names_in(folder):
                if name.startswith(DRAFT):
                    os.unlink(name, dir_fd=folder)

    def close(self) -> None:
        self._open.close()

    def look(self, name: str) -> StoredBundle | None:
        with self.changing:
            return super().look(name)

    def verdict(self, name: str, manifest_sha256: str, entries: int) -> tuple[Verdict, bool]:
        with self.changing:
            return super().verdict(name, manifest_sha256, entries)

    @contextmanager
    def working_on(self, manifest_sha256: str) -> Iterator[None]:
        """Keep housekeeping away from a staging folder for the length of a block."""
        with self.changing:
            if manifest_sha256 in self.busy:
                raise CallRefused(ErrorName.BUSY, "another job works on the same bundle; wait until it has ended")
            self.busy.add(manifest_sha256)
        try:
            yield
        finally:
            self.busy.discard(manifest_sha256)

    def write_receipt(self, receipt: Receipt) -> None:
        write_file(self.receipts, receipt_file(receipt.name), receipt.to_json())

    def amend_receipt(self, receipt: Receipt, **changes: Any) -> Receipt | None:
        """Change some fields of a version's receipt, which may be another by now; returns what was written.

        None where another version has taken the place of that one.
        """
        with self.changing:
            now = self.receipt(receipt.name)
            if now is None or now.folder != receipt.folder:
                return None
            fresh = replace(now, **changes)
            self.write_receipt(fresh)
            return fresh

    def discard(self, parent: int, name: str) -> None:
        """Remove what is our own: it is out of the way at once, whatever cuts the rest short."""
        trash = f"{time.time_ns()}-{threading.get_ident()}"
        with suppress(FileNotFoundError):
            os.rename(name, trash, src_dir_fd=parent, dst_dir_fd=self._trash)
            os.fsync(parent)
            remove(self._trash, trash)


def _cannot_open(path: str, error: OSError) -> str:
    sentence = f"the store {path} cannot be opened or made ({error.strerror})"
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return f"{sentence}; do it as root: sudo"
    return f"{sentence}; {way_to_write(path, error) or 'name another folder: [store] path, or --store'}"
