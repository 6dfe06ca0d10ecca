"""One booted machine for all cases; a saved state keeps them apart."""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.torture import figures
from tests.vm import rootfs
from tests.vm.guest import Failed, Guest
from tests.vm.nbd import Drive
from tests.vm.qmp import QmpError
from tests.vm.sticks import Recipe, Workshop

KEPT = rootfs.ROOT / "build" / "vm-failures"
BOOTED, READY = "booted", "ready"
"""Just booted, dubseedd stopped; and with dubseedd started and idle."""

MakeStick = Callable[..., Drive]


@pytest.fixture(scope="session")
def machine() -> Iterator[Guest]:
    disk = rootfs.provide()
    with tempfile.TemporaryDirectory(prefix="dubseedd-vm-") as folder, Guest(Path(folder), disk) as guest:
        guest.boot()
        guest.run("systemctl", "stop", "dubseedd")
        guest.save(BOOTED)
        guest.run("systemctl", "start", "dubseedd")
        guest.save(READY)
        yield guest


@pytest.fixture(scope="session")
def workshop(machine: Guest) -> Workshop:
    return Workshop(machine, BOOTED)


def put_back(machine: Guest, state: str) -> None:
    """Whatever was done to it, also where QEMU has not survived that."""
    try:
        machine.load(state)
        machine.run("true")
    except (QmpError, OSError, Failed):
        machine.cut_power()
        machine.boot()
        machine.load(state)


def wants_more(row: figures.Row, faults: int) -> bool:
    """Is another fault due? After a failure none is, so that the guest is left as it then was."""
    return row.amount < max(1, faults) and not row.failures


@pytest.fixture
def state() -> str:
    """The state that a case begins in; a module may have another."""
    return READY


@pytest.fixture
def guest(machine: Guest, state: str, request: pytest.FixtureRequest) -> Iterator[Guest]:
    put_back(machine, state)
    yield machine
    if request.node.stash.get(FAILED, False):
        folder = KEPT / re.sub(r"\W+", "-", request.node.name)
        machine.keep(folder)
        print(f"journal, busctl tree, mountinfo and console of the guest are in {folder}")


@pytest.fixture
def stick(machine: Guest, workshop: Workshop, state: str) -> MakeStick:
    """Makes a stick: stick("vfat", files, partition=True, bytes_per_second=100_000).

    It is in no port yet. One that is not in the cache takes the guest back to where the case begins: sticks come first.
    """

    def make(filesystem: str, files: dict[str, bytes], **options: Any) -> Drive:
        known = {name: options.pop(name) for name in list(options) if name in Recipe.__dataclass_fields__}
        return Drive(workshop.make(Recipe(filesystem, files, **known), back_to=state), **options)

    return make


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":  # type: ignore[attr-defined]
        item.stash[FAILED] = report.failed  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.ROWS:
        terminalreporter.write_sep("=", "on a booted machine")
        terminalreporter.write_line(figures.table(figures.ROWS))
