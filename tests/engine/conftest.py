"""A seed and a store as folders, and one sync from the one to the other."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dubseedd.core.config import Config, build
from dubseedd.core.device import BlockDevice
from dubseedd.core.tidings import Tiding
from dubseedd.engine.scanning import SeedFolder
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from dubseedd.engine.transfer import SyncTools

STICK = BlockDevice("/dev/sdz1", (65, 145), 1, "filesystem", "DUB-SEED", "5EED", "ext4", 1 << 30, ready=True)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The defaults, with no room kept in reserve, and keys, where a test enrols some, in a place of their own."""
    trust = {"allowed_signers": str(tmp_path / "seed-signers")}
    return build([("test", {"store": {"reserve": 0}, "trust": trust})])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder of bundles on a seed."""
    folder = tmp_path / "seed" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "store"))
    yield opened
    opened.close()


class Syncing:
    """Syncs bundles by name, as a job does it: prepare, then publish. `told` is what was told on the way."""

    def __init__(self, models: Path, store: Store, config: Config) -> None:
        self.models = models
        self.store = store
        self.config = config
        self.told: list[Tiding] = []
        self.tools = self.fresh_tools()

    def fresh_tools(self) -> SyncTools:
        return SyncTools(self.config, tell=self.told.append)

    @property
    def notes(self) -> list[str]:
        return [tiding.sentence for tiding in self.told]

    def folder(self) -> SeedFolder:
        root = os.open(self.models.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return SeedFolder(root, self.config, STICK)
        finally:
            os.close(root)

    def __call__(self, name: str, *, publish: bool = True, **wish: Any) -> Readiness:
        self.tools = self.fresh_tools()
        sync = BundleSync(self.store, Wish(name, **wish), self.tools)
        try:
            with self.folder() as folder:
                readiness = sync.prepare(folder)
            if publish and readiness in (Readiness.STAGED, Readiness.ADOPTABLE):
                sync.publish()
        finally:
            sync.close()
        return readiness


@pytest.fixture
def sync(models: Path, store: Store, config: Config) -> Syncing:
    return Syncing(models, store, config)


@pytest.fixture
def removal_fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the disk fail whoever removes a file of this name."""
    unlink = os.unlink

    def failing(name: str) -> None:
        def fail(path: str, *, dir_fd: int | None = None) -> None:
            if path == name:
                raise OSError(errno.EIO, "Input/output error")
            unlink(path, dir_fd=dir_fd)

        monkeypatch.setattr(os, "unlink", fail)

    return failing


@pytest.fixture
def in_store(store: Store) -> Callable[[str], Path]:
    """The path of a name in the store."""
    return lambda name: Path(store.path) / name
