"""A store to look at: what it has under which name, and whether that is ours. Its layout is drawn in store.

Whatever dubseedd has not put there belongs to others: it is shown as foreign. A receipt speaks of a folder only as long
as it is the very folder that was published: same inode, same time of birth.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from dubseedd.core.bundle import Format, Kind, format_of
from dubseedd.core.plan import Verdict, judge
from dubseedd.core.receipt import Receipt
from dubseedd.engine import staging, tree
from dubseedd.engine.durable import FOLDER, exists, names_in, opened, reading
from dubseedd.engine.kernel import Identity, identity
from dubseedd.engine.records import untouched
from dubseedd.errors import NO_ERROR, Failure, StoreTrouble

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
    def installed(cls, path: str, receipt: Receipt, *, can_roll_back: bool) -> Self:
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
            can_roll_back=can_roll_back,
            error=receipt.damage,
        )


class StoreView:
    """Nothing is made, changed or locked, whoever works on the store. What lies in .dubseed is root's alone: whatever
    asks for it raises PermissionError for others."""

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
        """What the store has under a name; None where there is nothing, or a plain file."""
        try:
            status = os.stat(name, dir_fd=self.root, follow_symlinks=False)
        except FileNotFoundError:
            return None
        receipt = self.receipt(name)
        if receipt:
            return StoredBundle.installed(self.path_of(name), receipt, can_roll_back=self.has_previous(receipt))
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
        """Was a rollback of this name cut short before it was noted? Reads little of a long receipt."""
        try:
            with self.inner("receipts") as receipts, reading(receipts, receipt_file(name)) as lines:
                folder = Receipt.folder_in(next(lines, b""))
        except (FileNotFoundError, IsADirectoryError):
            return False
        return folder is not None and not self.is_folder(name, folder) and self.receipt(name) is not None

    def has_previous(self, receipt: Receipt) -> bool:
        """Is the version before still there? A cut right after it was given up leaves the receipt that knows it."""
        if receipt.previous is None:
            return False
        with suppress(FileNotFoundError), self.inner("previous") as folder:
            return self.is_folder(receipt.name, receipt.previous.folder, at=folder)
        return False

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
        """Where the store has which bytes, as its receipts say: SHA-256 to path."""
        found: dict[str, str] = {}
        for name in self.names():
            receipt = self.receipt(name)
            for record in receipt.files if receipt else ():
                found[record.sha256] = f"{name}/{record.path}"
        return found

    def free_bytes(self) -> int:
        status = os.fstatvfs(self.root)
        return status.f_bavail * status.f_frsize


def receipt_file(name: str) -> str:
    """The file of a bundle's receipt; a name that leaves no room for an ending goes by its digest."""
    plain = f"{name}.json"
    if len(os.fsencode(plain)) <= NAME_MAX:
        return plain
    return f"-{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"
