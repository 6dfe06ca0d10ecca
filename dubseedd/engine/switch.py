"""The switch on a stick: a bundle that is whole takes the place of the one before, for good.

    .dubseed-making/
        ├── new/NAME/             what is new in the bundle
        ├── decided/NAME          the digest of its SHA256SUMS: from here on the switch is completed, whoever comes
        └── former/NAME/          the bundle before, for the moment of the switch

What is new is on the disk, then decided is written; what stays the same is linked from the former bundle into the new
one, or moved where the file system has no links; both change places. Until decided is there, the former bundle is whole
and in its place; after that the new one is completed by this run or the next.
"""

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass

from dubseedd.core.manifest import MAX_BYTES, Manifest, parse
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, exists, names_in, opened, owned, put, remove
from dubseedd.engine.kernel import Rename, rename, sync_file_system
from dubseedd.errors import Failure
from dubseedd.names import MANIFEST

UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""How a file system says that it does not know a kind of rename."""
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class Switch:
    """Descriptors of the folders that take part; whoever has opened them closes them."""

    models: int
    new: int
    decided: int
    former: int

    def decide(self, name: str, manifest: Manifest) -> None:
        """From here on the new bundle of this name takes its place."""
        with opened(name, FOLDER, at=self.new) as folder:
            sync_file_system(folder)
        put(self.decided, name, manifest.sha256.encode())

    def complete(self) -> None:
        """Complete what is decided, and give back what was taken out of the way for nothing."""
        for name in names_in(self.decided):
            self._finish(name)
            os.unlink(name, dir_fd=self.decided)
        for name in names_in(self.former):
            if not exists(self.models, name):
                os.rename(name, name, src_dir_fd=self.former, dst_dir_fd=self.models)

    def clear(self) -> None:
        """Remove what nobody needs; never what a switch that was decided still has to bring."""
        decided = set(names_in(self.decided))
        for folder in (self.new, self.former):
            for name in set(names_in(folder)) - decided:
                remove(folder, name)

    def _finish(self, name: str) -> None:
        """Complete the switch of a bundle that was decided, unless it is there already."""
        with opened(name, tree.FILE, at=self.decided) as descriptor:
            decided = os.read(descriptor, 2 * hashlib.sha256().digest_size).decode(errors="replace")
        manifest = _manifest_of(self.new, name)
        if manifest is None or manifest.sha256 != decided:  # they have changed places already
            return
        with opened(name, FOLDER, at=self.new) as target:
            with suppress(FileNotFoundError), opened(name, FOLDER, at=self.models) as source:
                _bring(manifest, source, target)
            sync_file_system(target)
        self._exchange(name)
        sync_file_system(self.models)

    def _exchange(self, name: str) -> None:
        """Let new and former bundle change places, in one step where the file system can."""
        if exists(self.models, name):
            try:
                rename(self.new, name, self.models, name, Rename.EXCHANGE)
            except OSError as error:
                if error.errno not in UNKNOWN:
                    raise
                remove(self.former, name)
                os.rename(name, name, src_dir_fd=self.models, dst_dir_fd=self.former)
            else:
                return
        os.rename(name, name, src_dir_fd=self.new, dst_dir_fd=self.models)


def _bring(manifest: Manifest, source: int, target: int) -> None:
    """Link, or else move, what the new bundle does not have of its own."""
    for entry in manifest.entries:
        folder, _, leaf = entry.path.rpartition("/")
        with owned(tree.make_folders(target, folder)) as there:
            if exists(there, leaf):
                continue
            with suppress(FileNotFoundError), owned(tree.open_folder(source, folder)) as here:
                try:
                    os.link(leaf, leaf, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
                except OSError as error:
                    if error.errno not in NO_LINKS:
                        raise
                    os.rename(leaf, leaf, src_dir_fd=here, dst_dir_fd=there)


def _manifest_of(parent: int, name: str) -> Manifest | None:
    """The manifest of a bundle; None where there is none that can be read."""
    with suppress(OSError, Failure), opened(name, FOLDER, at=parent) as folder:
        return parse(tree.read_small(folder, MANIFEST, MAX_BYTES))
    return None
