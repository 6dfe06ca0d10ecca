"""Sticks for the adapters."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.machine import Machine
from tools.image import attached, detach, empty_image


@dataclass(frozen=True)
class Stick:
    """An image that is plugged in."""

    node: str
    image: Path

    @property
    def diskseq(self) -> int:
        return int(Path(f"/sys/block/{Path(self.node).name}/diskseq").read_text())

    def pull(self) -> None:
        detach(self.node, self.image)


LABEL = "ADAPTERS"
"""Not a seed: a dubseedd that runs on this machine must not take it."""

Plug = Callable[..., Stick]


@pytest.fixture
def plug(machine: Machine, tmp_path: Path) -> Iterator[Plug]:
    """Plugs an image in, which is made at the first time; it is out again after the test."""
    with ExitStack() as undo:

        def plug_in(name: str = "stick", label: str = LABEL) -> Stick:
            image = tmp_path / f"{name}.img"
            if not image.exists():
                empty_image(image, 16 << 20, "ext4", "-L", label)
            return Stick(undo.enter_context(attached(image)), image)

        yield plug_in
