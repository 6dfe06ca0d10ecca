"""The workshop on a stick: where a bundle is made, out of sight, until it is whole.

    SEED/
    ├── README.txt                what the stick is, for whoever finds it
    ├── models/NAME/              bundles
    └── .dubseed-making/          while a bundle is made, or after a crash
        ├── lock                  held by whoever makes one; it goes with the process
        └── new/, decided/, former/     see the switch

Daemons look into models/ only.
"""

import fcntl
import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Self

from dubseedd.core.leaflet import LEAFLET_TEXT
from dubseedd.core.manifest import Manifest
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, PLAIN_MODE, exists, names_in, opened, owned, put
from dubseedd.engine.kernel import sync_file_system
from dubseedd.engine.switch import Switch
from dubseedd.engine.trouble import writing_stick
from dubseedd.errors import CallRefused, Failure, SeedRefused
from dubseedd.names import LEAFLET, WORKSHOP, ErrorName

LOCK = "lock"
NEW, DECIDED, FORMER = "new", "decided", "former"


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
            self._own = self._lock(undo)
            self.models = undo.enter_context(owned(tree.make_folders(self.root, self._models_path)))
            new, decided, former = (
                undo.enter_context(owned(tree.make_folders(self._own, name))) for name in (NEW, DECIDED, FORMER)
            )
            self._switch = Switch(self.models, new, decided, former)
            if any(map(names_in, (new, decided, former))):
                self._settle()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind but what is decided."""
        with self._undo, suppress(OSError, Failure):
            self._switch.clear()
            for name in (NEW, DECIDED, FORMER):
                os.rmdir(name, dir_fd=self._own)
            os.unlink(LOCK, dir_fd=self._own)
            os.rmdir(WORKSHOP, dir_fd=self.root)

    def _lock(self, undo: ExitStack) -> int:
        """The descriptor of the workshop, which is locked now; a run that has just ended may have removed either of
        them before we had both, and then they are made anew."""
        while True:
            with suppress(FileExistsError):
                os.mkdir(WORKSHOP, tree.FOLDER_MODE, dir_fd=self.root)
            with suppress(FileNotFoundError), ExitStack() as attempt:
                own = attempt.enter_context(opened(WORKSHOP, FOLDER, at=self.root))
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                lock = attempt.enter_context(opened(LOCK, flags, at=own, mode=PLAIN_MODE))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise CallRefused(
                        ErrorName.BUSY, "another dubseedctl create is at work on this stick; wait until it has ended"
                    ) from None
                if os.fstat(lock).st_nlink:
                    undo.push(attempt.pop_all())
                    return own

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
        os.mkdir(name, tree.FOLDER_MODE, dir_fd=self._switch.new)
        return os.open(name, FOLDER, dir_fd=self._switch.new)

    # Putting things in place

    def publish(self, name: str, manifest: Manifest) -> None:
        """Let the new bundle, what it shares with the former one aside, take its place, for good."""
        self._switch.decide(name, manifest)
        self._settle()

    def replace(self, name: str, paths: Iterable[str]) -> None:
        """Put single new files into a bundle whose manifest stays as it is, each whole or not at all."""
        with opened(name, FOLDER, at=self._switch.new) as source, opened(name, FOLDER, at=self.models) as target:
            sync_file_system(source)
            for path in paths:
                with tree.opened_parent(source, path) as here, tree.opened_parent(target, path) as there:
                    leaf = path.rpartition("/")[2]
                    os.rename(leaf, leaf, src_dir_fd=here, dst_dir_fd=there)
            sync_file_system(target)
        self._switch.clear()

    def clean(self, name: str, strangers: Iterable[str]) -> None:
        """Remove from a bundle, whose manifest stays as it is, what is no file of it."""
        with opened(name, FOLDER, at=self.models) as bundle:
            for path in strangers:
                folder, _, leaf = path.rpartition("/")
                with tree.opened_folder(bundle, folder) as there:
                    os.unlink(leaf, dir_fd=there)
            sync_file_system(bundle)

    def put_leaflet(self) -> None:
        """Say at the root what the stick is, unless somebody has written something there already."""
        if not exists(self.root, LEAFLET):
            put(self._switch.new, LEAFLET, LEAFLET_TEXT.encode())
            os.rename(LEAFLET, LEAFLET, src_dir_fd=self._switch.new, dst_dir_fd=self.root)

    def _settle(self) -> None:
        """Complete what is decided, clear away what is not."""
        self._switch.complete()
        self._switch.clear()
        sync_file_system(self.root)
