"""Images that are attached: whatever comes in between, they are released."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine import Machine
from tools import image
from tools.image import attached, attached_to


def test_an_interruption_that_comes_while_an_image_is_released_waits_for_that(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    detach = image.detach

    def interrupted(node: str, path: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        detach(node, path)

    monkeypatch.setattr(image, "detach", interrupted)
    with another_thread(), pytest.raises(KeyboardInterrupt), attached(disk):
        pass
    assert attached_to(disk) == []


@contextmanager
def another_thread() -> Iterator[None]:
    """One that the kernel may hand a signal to which the main thread does not take."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
