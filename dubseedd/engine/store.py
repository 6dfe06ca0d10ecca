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

Whatever else is in there belongs to others: it is shown as foreign and left alone. A receipt speaks of a folder only as
long as it is the very folder that was published: same inode.
"""

import errno
import fcntl
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from dubseedd.core.bundle import Format, Kind, format_of
from dubseedd.core.plan import Verdict, judge
from dubseedd.core.receipt import Receipt
from dubseedd.engine import staging, tree
from dubseedd.engine.durable import (
    DRAFT,
    FOLDER,
    Identity,
    exists,
    identity,
    make_folder,
    names_in,
    opened,
    owned,
    reading,
    remove,
    write_file,
)
from dubseedd.engine.records import untouched
from dubseedd.errors import NO_ERROR, CallRefused, Failure, StoreTrouble
from dubseedd.names import ErrorName

OWN = ".dubseed"
NAME_MAX = 255
"""The bytes of a file name, on every file system that a store may be on."""


class BundleState(StrEnum):
    INSTALLED = "installed"
    DAMAGED = "damaged"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """What the store has under one name. Sizes in bytes, times in microseconds since the epoch."""

    name: str
    path: str
    state: BundleState
    size: int = 0
    files: int = 0
    manifest_sha256: str = ""
    format: str = Format.OTHER
    installed_at: int = 0
    verified_at: int = 0
    seed_uuid: str = ""
    signer: str = ""
    source: str = ""
    can_roll_back: bool = False
    error: tuple[str, str] = NO_ERROR

    @classmethod
    def installed(cls, path: str, receipt: Receipt) -> Self:
        return cls(
            name=receipt.name,
            path=path,
            state=BundleState.DAMAGED if receipt.damage[0] else BundleState.INSTALLED,
            size=receipt.size,
            files=len(receipt.files),
            manifest_sha256=receipt.manifest_sha256,
            format=receipt.format,
            installed_at=receipt.installed_at,
            verified_at=receipt.verified_at,
            seed_uuid=receipt.seed_uuid,
            signer=receipt.signer,
            source=receipt.source,
            can_roll_back=receipt.previous is not None,
            error=receipt.damage,
        )


class StoreView:
    """A store to look at: nothing is made, changed or locked, whoever works on it. What lies in .dubseed is root's
    alone: whatever asks for it raises PermissionError for others."""

    def __init__(self, path: str) -> None:
        """Raises OSError where there is no such folder, or none that may be opened."""
        self.path = path
        self.root = os.open(path, FOLDER & ~os.O_NOFOLLOW)

    def close(self) -> None:
        os.close(self.root)

    def path_of(self, name: str) -> str:
        return f"{self.path}/{name}"

    @contextmanager
    def inner(self, name: str) -> Iterator[int]:
        """A folder of our own, for the length of a block; FileNotFoundError where dubseedd has not been yet."""
        with opened(f"{OWN}/{name}", FOLDER, at=self.root) as folder:
            yield folder

    def names(self) -> list[str]:
        """Every name in the store but our own."""
        return sorted(name for name in names_in(self.root) if name != OWN)

    def look(self, name: str) -> StoredBundle | None:
        """What the store has under a name; None where there is nothing, or no folder and no link."""
        try:
            status = os.stat(name, dir_fd=self.root, follow_symlinks=False)
        except FileNotFoundError:
            return None
        receipt = self.receipt(name)
        if receipt:
            return StoredBundle.installed(self.path_of(name), receipt)
        if stat.S_ISREG(status.st_mode):
            return None
        files = dict(self._files(name)) if stat.S_ISDIR(status.st_mode) else {}
        return StoredBundle(
            name,
            self.path_of(name),
            BundleState.FOREIGN,
            sum(files.values()),
            len(files),
            format=format_of(files),
        )

    def _files(self, name: str) -> Iterator[tuple[str, int]]:
        with suppress(OSError, Failure), tree.opened_folder(self.root, name) as folder:
            yield from ((path, status.st_size) for path, status in tree.walk(folder) if stat.S_ISREG(status.st_mode))

    def listing(self) -> list[StoredBundle]:
        """Every bundle, directory and link in the store."""
        return [bundle for name in self.names() if (bundle := self.look(name))]

    def occupied(self, name: str) -> bool:
        return exists(self.root, name)

    def receipt(self, name: str) -> Receipt | None:
        """The receipt of the folder that is published under a name; None where dubseedd did not make that folder.

        Where a rollback was cut short before it was noted, it is that of the version which was put back.
        """
        try:
            with self.inner("receipts") as folder, reading(folder, receipt_file(name)) as lines:
                receipt = Receipt.from_lines(lines)
        except (FileNotFoundError, IsADirectoryError, StoreTrouble):
            return None
        if self.is_folder(name, receipt.folder):
            return receipt
        before = receipt.previous
        back = before is not None and self.is_folder(name, before.folder)
        return receipt.rolled_back(before.installed_at) if before and back else None

    def rolled_back_unnoted(self, name: str) -> bool:
        """Was the folder of this name put back by a rollback that was cut short? Reads little of a long receipt."""
        try:
            with self.inner("receipts") as receipts, reading(receipts, receipt_file(name)) as lines:
                folder = Receipt.folder_in(next(lines, b""))
        except (FileNotFoundError, IsADirectoryError):
            return False
        return folder is not None and not self.is_folder(name, folder) and self.receipt(name) is not None

    def is_folder(self, name: str, folder: Identity, *, at: int | None = None) -> bool:
        """Is there, under this name, this very folder, and is it root's? `at` is where, by default in the store."""
        try:
            with opened(name, FOLDER, at=self.root if at is None else at) as descriptor:
                return identity(descriptor) == folder and os.fstat(descriptor).st_uid == 0
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
                return False
            raise

    def untouched(self, receipt: Receipt, *, at: int | None = None) -> bool:
        """Has every file of a version the size, mtime and inode of its receipt? Reads no content. `at` is as above."""
        place = self.root if at is None else at
        with suppress(OSError, Failure), tree.opened_folder(place, receipt.name) as folder:
            wanted = {record.path: record for record in (*receipt.files, receipt.manifest)}
            for path, status in tree.walk(folder):
                if tree.kind_of(status.st_mode) is Kind.FOLDER:
                    continue
                record = wanted.pop(path, None)
                if record and not untouched(record, status):
                    return False
            return not wanted
        return False

    def verdict(self, name: str, manifest_sha256: str, entries: int) -> tuple[Verdict, bool]:
        """What a bundle of this name, manifest and number of entries means, and whether it may be installed unasked."""
        receipt = self.receipt(name)
        verdict = judge(
            manifest_sha256,
            receipt=receipt,
            untouched=bool(receipt and receipt.manifest_sha256 == manifest_sha256 and self.untouched(receipt)),
            occupied=self.occupied(name),
            staged=len(self.staged_paths(manifest_sha256)) == entries,
        )
        return verdict, not (receipt and receipt.held_back == manifest_sha256)

    def staged_paths(self, manifest_sha256: str) -> frozenset[str]:
        """The files of a bundle that an earlier attempt has left in staging."""
        with suppress(FileNotFoundError), self.inner("staging") as folder:
            return staging.staged_paths(folder, manifest_sha256)
        return frozenset()

    def twins(self) -> dict[str, str]:
        """Where the store has which bytes: SHA-256 to path, of every installed file that is as recorded."""
        found: dict[str, str] = {}
        for name in self.names():
            receipt = self.receipt(name)
            for record in receipt.files if receipt else ():
                found[record.sha256] = f"{name}/{record.path}"
        return found

    def free_bytes(self) -> int:
        status = os.fstatvfs(self.root)
        return status.f_bavail * status.f_frsize


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
                self.staging = undo.enter_context(owned(make_folder(self.own, "staging", mode=0o700)))
                self.previous = undo.enter_context(owned(make_folder(self.own, "previous", mode=0o700)))
                self.receipts = undo.enter_context(owned(make_folder(self.own, "receipts", mode=0o700)))
                self.removing = undo.enter_context(owned(make_folder(self.own, "removing", mode=0o700)))
                self._trash = undo.enter_context(owned(make_folder(self.own, "trash", mode=0o700)))
                lock = undo.enter_context(opened("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, at=self.own))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._tidy()
            except BlockingIOError as error:
                raise CallRefused(
                    ErrorName.BUSY,
                    f"another process works on the store {path}; stop it (systemctl stop dubseedd) or ask the daemon",
                ) from error
            except OSError as error:
                raise StoreTrouble(ErrorName.STORE_FAILED, _cannot_open(path, error)) from error
            self._open = undo.pop_all()
        self.busy: set[str] = set()
        """Manifests whose staging somebody works in; housekeeping leaves them alone."""
        self.changing = threading.RLock()
        """Held for what has to be looked at and changed in one go: several jobs work on the store."""

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
        """Change some of what the receipt of a version says, and leave the rest as it is by now.

        Returns what is written; None where another version has taken the place of that one.
        """
        with self.changing:
            now = self.receipt(receipt.name)
            if now is None or now.folder != receipt.folder:
                return None
            fresh = replace(now, **changes)
            self.write_receipt(fresh)
            return fresh

    def discard(self, parent: int, name: str) -> None:
        """Remove what is our own: it is gone at once, whatever comes in between."""
        trash = f"{time.time_ns()}-{threading.get_ident()}"
        with suppress(FileNotFoundError):
            os.rename(name, trash, src_dir_fd=parent, dst_dir_fd=self._trash)
            os.fsync(parent)
            remove(self._trash, trash)


def receipt_file(name: str) -> str:
    """The file of a bundle's receipt; a name that leaves no room for an ending goes by its digest."""
    plain = f"{name}.json"
    if len(os.fsencode(plain)) <= NAME_MAX:
        return plain
    return f"-{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"


def _cannot_open(path: str, error: OSError) -> str:
    sentence = f"the store {path} cannot be opened or made ({error.strerror})"
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return f"{sentence}; do it as root: sudo"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"{sentence}; where dubseedd.service runs, allow it with a drop-in (systemctl edit dubseedd): "
            f"[Service] ReadWritePaths={path}"
        )
    return f"{sentence}; check [store] path"
