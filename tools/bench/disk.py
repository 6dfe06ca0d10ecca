"""Two disks for each measurement: ext4 images on the disk of the working folder, attached as loop devices.

The seed is written once and only read after. The store gets a new file system before every run, and is neither trimmed
nor discarded: its image was written from end to end once, so that no run pays for blocks that the next one finds.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.content import Content, size_of
from tools.image import MAKERS, attached, empty_image
from tools.machine import CannotRun, run, succeeds

MODEL = "bench-model"
KEPT_FREE_BYTES = 1 << 30
INODES = ("-i", "8192")
MAKE_STORE = (*MAKERS["ext4"], "-m0", *INODES, "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1")
SEED_OPTIONS = "ro,nosuid,nodev,noexec,noload"
STORE_OPTIONS = "noinit_itable"
"""The kernel writes no inode tables behind the back of a run."""


class NoRoom(CannotRun):
    """The disk is too small for the images."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Seed and store, mounted; the store is empty."""

    seed: Path
    store: Path
    seed_node: str
    store_node: str

    @property
    def source(self) -> Path:
        """The bundle on the seed."""
        return self.seed / "models" / MODEL

    @property
    def target(self) -> Path:
        """Where the bundle comes to lie in the store."""
        return self.store / MODEL


@dataclass(frozen=True, slots=True)
class Stage:
    """A seed with one bundle of `size_bytes`, and a store of the same size, both as images in `folder`."""

    folder: Path
    label: str
    size_bytes: int

    @property
    def seed_image(self) -> Path:
        return self.folder / "seed.img"

    @property
    def store_image(self) -> Path:
        return self.folder / "store.img"

    @property
    def store(self) -> Path:
        """The store's folder while `fresh_store` is in force."""
        return self.folder / "store" / "models"

    @contextmanager
    def mounted(self) -> Iterator[Scene]:
        """Both disks mounted, the seed read-only as for a sync, and nothing of either in memory."""
        with self.fresh_store() as store_node, self.with_seed(store_node) as scene:
            drop_caches(self.store)
            yield scene

    @contextmanager
    def with_seed(self, store_node: str) -> Iterator[Scene]:
        """The seed mounted beside a store that is mounted already."""
        with (
            attached(self.seed_image, "--read-only", direct_io(self.seed_image)) as node,
            mounted(node, self.folder / "seed", SEED_OPTIONS) as seed,
        ):
            yield Scene(seed, self.store, node, store_node)

    @contextmanager
    def fresh_store(self) -> Iterator[str]:
        """The store mounted with a new file system; its device."""
        with attached(self.store_image, direct_io(self.store_image)) as node:
            run(*MAKE_STORE, node)
            with mounted(node, self.folder / "store", STORE_OPTIONS):
                self.store.mkdir()
                yield node


@contextmanager
def stage(folder: Path, label: str, content: Content) -> Iterator[Stage]:
    """A stage with this content on its seed; the images go in the end. NoRoom where there is none."""
    free = shutil.disk_usage(folder).free
    if free < 2 * content.room_bytes + KEPT_FREE_BYTES:
        needed = (2 * content.room_bytes + KEPT_FREE_BYTES) / 2**30
        raise NoRoom(f"{folder.parent} has {free / 2**30:.1f} GiB free, {needed:.1f} are needed: set TMPDIR, or SIZE")
    with ExitStack() as undo:
        seed_image, store_image = folder / "seed.img", folder / "store.img"
        for image in (seed_image, store_image):
            undo.callback(image.unlink, missing_ok=True)
        empty_image(seed_image, content.room_bytes, "ext4", *INODES, "-L", label)
        with attached(seed_image, direct_io(seed_image)) as node, mounted(node, folder / "seed", "rw") as seed:
            (seed / "models").mkdir()
            content.write(seed / "models" / MODEL)
            size_bytes = size_of(seed / "models" / MODEL)
        write_whole(store_image, content.room_bytes)
        yield Stage(folder, label, size_bytes)


def write_whole(image: Path, size_bytes: int) -> None:
    direct = "oflag=direct" if takes_direct_io(image.parent) else "conv=fsync"
    blocks = -(-size_bytes // (4 << 20))
    run("dd", "if=/dev/zero", f"of={image}", "bs=4M", f"count={blocks}", direct)


def direct_io(image: Path) -> str:
    """The option of losetup to get past the page cache of the disk that an image lies on, where that can be."""
    return "--direct-io=on" if takes_direct_io(image.parent) else "--direct-io=off"


def takes_direct_io(folder: Path) -> bool:
    """Can files here be read and written past the page cache?"""
    try:
        os.close(os.open(folder / "direct", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600))
    except OSError:
        return False
    finally:
        (folder / "direct").unlink(missing_ok=True)
    return True


@contextmanager
def mounted(node: str, folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", options, node, str(folder))
    try:
        yield folder
    finally:
        if not succeeds("umount", str(folder)):
            run("umount", "--lazy", str(folder), check=False)


def drop_caches(folder: Path) -> None:
    """Forget what the machine has in memory of any file, after the file system of `folder` is on its disk."""
    run("sync", "--file-system", str(folder))
    Path("/proc/sys/vm/drop_caches").write_text("3")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that were read from a block device and written to it."""

    read_bytes: int
    written_bytes: int

    @classmethod
    def of(cls, node: str) -> "Traffic":
        """Since it was attached."""
        fields = Path(f"/sys/block/{os.path.basename(node)}/stat").read_text().split()
        return cls(int(fields[2]) * 512, int(fields[6]) * 512)

    def since(self, before: "Traffic") -> "Traffic":
        return Traffic(self.read_bytes - before.read_bytes, self.written_bytes - before.written_bytes)
