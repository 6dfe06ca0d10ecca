"""A real machine for every test: udevd, a private bus with polkitd and udisksd, loop devices as sticks, the daemon."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine
from tests.support.daemon import Client, Daemon
from tests.support.sticks import Stick, free_node, make_image
from tools.bench.throttle import throttled

SLOW_BYTES_PER_SECOND = 8 << 20
"""So that a test has time to act in the middle of a copy."""


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


StartDaemon = Callable[..., Daemon]
PlugIn = Callable[..., Stick]
MakeStick = Callable[..., Path]


@pytest.fixture
def make_stick(tmp_path: Path) -> MakeStick:
    """An image with bundles: make_stick({"tiny": files}, name="a", filesystem="xfs")."""

    def make(bundles: Mapping[str, Mapping[str, bytes]], *, name: str = "stick", **kind: Any) -> Path:
        return make_image(tmp_path / f"{name}.img", bundles, **kind)

    return make


@pytest.fixture
def daemon(machine: Machine, tmp_path: Path, undo: ExitStack) -> StartDaemon:
    """Starts a daemon: daemon(sync.automatic = "off")."""

    def start(config: str = "", *, store: Path | None = None, within: Sequence[str] = ()) -> Daemon:
        process = Daemon(tmp_path, machine.environment, config, store)
        process.start(undo, *within)
        return process

    return start


@pytest.fixture
async def client(machine: Machine) -> AsyncIterator[Client]:
    async with Client.connected(machine.bus_address) as connected:
        yield connected


@pytest.fixture
def plug(undo: ExitStack) -> PlugIn:
    """Plugs a stick in; `slow_for` is the daemon that may read it at 8 MiB/s only."""

    def plug_in(image: Path, *, slow_for: Daemon | None = None) -> Stick:
        stick = Stick(image, free_node())
        undo.callback(stick.remove)
        if slow_for is not None:
            group = undo.enter_context(throttled(stick.node, SLOW_BYTES_PER_SECOND))
            group.write_text(str(slow_for.pid))
        stick.attach()
        return stick

    return plug_in
