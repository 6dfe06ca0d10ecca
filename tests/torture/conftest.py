"""The ground of the torture tests: root, loop devices, a quick place for images, a nursery of processes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import client, daemon, make_stick, plug, undo  # noqa: F401 - fixtures
from tests.torture import figures, tracer
from tests.torture.disk import Disk, left_behind, temporary
from tests.torture.nursery import Nursery
from tests.torture.scene import Scene, make_seeds

ROOM_BYTES = 2 << 30


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder for images: in memory where there is room, for a flush is quick there. Afterwards nothing is left."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk and trace what works on it")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("there are no loop devices (/dev/loop-control)")
    if not tracer.is_possible():
        pytest.skip("processes are traced on x86-64 only")
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(prefix="dubseedd-torture-", dir=memory if roomy else None) as folder:
        yield Path(folder)
        assert not left_behind(Path(folder)), f"(e) left behind: {left_behind(Path(folder))}"


@pytest.fixture(scope="session")
def nursery(ground: Path) -> Iterator[Nursery]:
    folder = ground / "nursery"
    folder.mkdir()
    with Nursery(folder) as opened:
        yield opened


@pytest.fixture(scope="session")
def seeds(ground: Path) -> Path:
    return make_seeds(ground / "seeds")


@pytest.fixture
def scene(ground: Path, seeds: Path, nursery: Nursery) -> Iterator[Scene]:
    """A store on an ext4 of its own, with nothing installed."""
    with temporary(Disk.made(ground / "scene.img", "ext4")) as disk, disk as folder:
        yield Scene(folder, seeds, nursery)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.ROWS:
        terminalreporter.write_sep("=", "torture")
        terminalreporter.write_line(figures.table(figures.ROWS))
