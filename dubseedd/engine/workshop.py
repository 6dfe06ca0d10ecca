"""The workshop on a stick: where a bundle is made, out of sight, until it is whole.

    SEED/
    ├── README.txt                what the stick is, for whoever finds it
    ├── models/NAME/              bundles
    └── .dubseed-making/          while a bundle is made, or after a crash
        ├── lock                  held by whoever makes one; it goes with the process
        ├── new/NAME/             what is new in the bundle
        ├── decided/NAME          the digest of its SHA256SUMS: from here on the switch is completed, whoever comes
        └── former/NAME/          the bundle before, for the moment of the switch

The switch: decided is written; what stays the same is linked from the former bundle into the new one, or moved where
the file system has no links; both change places. Until decided is there, the former bundle is whole and in its place;
after that the new one is completed by this run or the next. Daemons look into models/ only.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Self

from dubseedd.core.manifest import MAX_BYTES, Manifest, parse
from dubseedd.core.stick import LEAFLET as LEAFLET_TEXT
from dubseedd.engine import tree
from dubseedd.engine.durable import (
    FOLDER,
    FRESH,
    Rename,
    exists,
    names_in,
    opened,
    owned,
    rename,
    sync_file_system,
    write_all,
)
from dubseedd.engine.trouble import writing_stick
from dubseedd.errors import CallRefused, Failure, SeedRefused
from dubseedd.names import LEAFLET, MANIFEST, WORKSHOP, ErrorName

LOCK = "lock"
NEW, DECIDED, FORMER = "new", "decided", "former"
FOLDER_MODE = 0o755
FILE_MODE = 0o644
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""How a file system says that it does not know a kind of rename."""
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def is_at_work(root: int) -> bool:
    """Is somebody making a bundle on the seed whose root this is?"""
    try:
        with tree.opened_file(root, f"{WORKSHOP}/{LOCK}") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, SeedRefused):
        return False
    return False


class Workshop:
    """The workshop of one stick, ours alone for the length of a `with` block. Its errors are Failures."""

    def __init__(self, root: int, models: str) -> None:
        self.root = root
        self._models_path = models
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo, writing_stick(WORKSHOP):
            self._own = undo.enter_context(owned(_folder(self.root, WORKSHOP)))
            self._lock(undo)
            self.models = undo.enter_context(owned(make_folders(self.root, self._models_path)))
            self._new, self._decided, self._former = (
                undo.enter_context(owned(_folder(self._own, name))) for name in (NEW, DECIDED, FORMER)
            )
            self._settle()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind but what is decided."""
        with self._undo, suppress(OSError, Failure):
            self._clear()
            for name in (NEW, DECIDED, FORMER):
                os.rmdir(name, dir_fd=self._own)
            os.unlink(LOCK, dir_fd=self._own)
            os.rmdir(WORKSHOP, dir_fd=self.root)

    def _lock(self, undo: ExitStack) -> None:
        """Take the lock; that a run which has just ended may have removed its file is why it is looked at again."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(LOCK, flags, FILE_MODE, dir_fd=self._own)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_nlink:
                    undo.callback(os.close, lock)
                    return
            except BlockingIOError:
                os.close(lock)
                raise CallRefused(
                    ErrorName.BUSY, "another dubseedctl create is at work on this stick; wait until it has ended"
                ) from None
            os.close(lock)

    # What lies there

    def former(self, name: str) -> int | None:
        """The descriptor of the folder that has the bundle's name now; None where there is none."""
        try:
            return os.open(name, FOLDER, dir_fd=self.models)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SeedRefused(
                ErrorName.UNSAFE_FILE,
                f"{name} on the stick is no folder; remove it, or choose another --name",
                file=name,
            ) from error

    def begin(self, name: str) -> int:
        """The descriptor of an empty folder for a new bundle."""
        os.mkdir(name, FOLDER_MODE, dir_fd=self._new)
        return os.open(name, FOLDER, dir_fd=self._new)

    # Putting things in place

    def publish(self, name: str, manifest: Manifest) -> None:
        """Let the new bundle, what it shares with the former one aside, take its place, for good."""
        with opened(name, FOLDER, at=self._new) as folder:
            sync_file_system(folder)
        put(self._decided, name, manifest.sha256.encode())
        self._finish(name)
        self._settle()

    def replace(self, name: str, paths: Iterable[str]) -> None:
        """Put single new files into a bundle whose manifest stays as it is, each whole or not at all."""
        with opened(name, FOLDER, at=self._new) as source, opened(name, FOLDER, at=self.models) as target:
            sync_file_system(source)
            for path in paths:
                with opened_parent(source, path) as here, opened_parent(target, path) as there:
                    leaf = path.rpartition("/")[2]
                    os.rename(leaf, leaf, src_dir_fd=here, dst_dir_fd=there)
            sync_file_system(target)
        self._clear()

    def put_leaflet(self) -> None:
        """Say at the root what the stick is, unless somebody has written something there already."""
        if not exists(self.root, LEAFLET):
            put(self._new, LEAFLET, LEAFLET_TEXT.encode())
            os.rename(LEAFLET, LEAFLET, src_dir_fd=self._new, dst_dir_fd=self.root)

    def _settle(self) -> None:
        """Complete what is decided, clear away what is not."""
        for name in names_in(self._decided):
            self._finish(name)
            os.unlink(name, dir_fd=self._decided)
        for name in names_in(self._former):
            if not exists(self.models, name):
                os.rename(name, name, src_dir_fd=self._former, dst_dir_fd=self.models)
        self._clear()
        sync_file_system(self.root)

    def _clear(self) -> None:
        """Remove what nobody needs; never what a switch that was decided still has to bring."""
        decided = set(names_in(self._decided))
        for folder in (self._new, self._former):
            for name in set(names_in(folder)) - decided:
                _remove(folder, name)

    def _finish(self, name: str) -> None:
        """Complete the switch of a bundle that was decided, unless it is there already."""
        with opened(name, tree.FILE, at=self._decided) as descriptor:
            decided = os.read(descriptor, 2 * hashlib.sha256().digest_size).decode(errors="replace")
        manifest = _manifest_of(self._new, name)
        if manifest is None or manifest.sha256 != decided:  # they have changed places already
            return
        with opened(name, FOLDER, at=self._new) as target:
            with suppress(FileNotFoundError), opened(name, FOLDER, at=self.models) as source:
                _bring(manifest, source, target)
            sync_file_system(target)
        self._switch(name)
        sync_file_system(self.root)

    def _switch(self, name: str) -> None:
        """Let new and former bundle change places, in one step where the file system can."""
        if exists(self.models, name):
            try:
                rename(self._new, name, self.models, name, Rename.EXCHANGE)
            except OSError as error:
                if error.errno not in UNKNOWN:
                    raise
                _remove(self._former, name)
                os.rename(name, name, src_dir_fd=self.models, dst_dir_fd=self._former)
            else:
                return
        os.rename(name, name, src_dir_fd=self._new, dst_dir_fd=self.models)


def put(folder: int, name: str, data: bytes) -> None:
    """A small file, on the disk, for places where half a one does no harm: FAT takes no name of a draft."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    with opened(name, FRESH, at=folder, mode=FILE_MODE) as descriptor:
        os.fchmod(descriptor, FILE_MODE)
        write_all(descriptor, data)
        os.fsync(descriptor)
    os.fsync(folder)


def _bring(manifest: Manifest, source: int, target: int) -> None:
    """Link, or else move, what the new bundle does not have of its own."""
    for entry in manifest.entries:
        folder, _, leaf = entry.path.rpartition("/")
        with owned(make_folders(target, folder)) as there:
            if exists(there, leaf):
                continue
            with suppress(FileNotFoundError), owned(tree.open_folder(source, folder)) as here:
                try:
                    os.link(leaf, leaf, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in NO_LINKS:
                        raise
                    os.rename(leaf, leaf, src_dir_fd=here, dst_dir_fd=there)


def make_folders(root: int, path: str) -> int:
    """The descriptor of a folder below `root`, made as needed; "" is `root` itself. The caller closes it."""
    descriptor = os.dup(root)
    for component in path.split("/") if path else ():
        try:
            following = _folder(descriptor, component)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor


def opened_parent(root: int, path: str) -> AbstractContextManager[int]:
    """The folder that holds a file below `root`, made as needed, for the length of a block."""
    return owned(make_folders(root, path.rpartition("/")[0]))


def _folder(parent: int, name: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
    return os.open(name, FOLDER, dir_fd=parent)


def _manifest_of(parent: int, name: str) -> Manifest | None:
    """The manifest of a bundle; None where there is none that can be read."""
    with suppress(OSError, Failure), opened(name, FOLDER, at=parent) as folder:
        return parse(tree.read_small(folder, MANIFEST, MAX_BYTES))
    return None


def _remove(folder: int, name: str) -> None:
    try:
        shutil.rmtree(name, dir_fd=folder)
    except NotADirectoryError:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
