"""A machine to test on: the real udevd, and on a bus of its own the real polkitd and udisksd.

A udevd that runs already is used and left alone. Whatever was started is stopped by its own process, in reverse order,
and can be restarted: the bus keeps its address. Sticks are in tests/support/sticks.py.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, DBUS_PATH, Match
from tools.machine import (
    LEFT_BEHIND,
    MOUNT_FOLDERS,
    POLKITD,
    START_SECONDS,
    UDEVD,
    UDISKSD,
    CannotRun,
    program_of,
    remove_if_empty,
    run,
    start,
    start_notifying,
    stop,
    succeeds,
)

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_destination="*" eavesdrop="true"/> <allow receive_sender="*"/>
  </policy>
  <limit name="max_incoming_bytes">{unread_bytes}</limit>
</busconfig>
"""
UNREAD_BYTES = 127 << 20
"""As on a system bus."""


@dataclass
class Machine:
    """Everything dubseedd needs of a machine; `folder` takes sockets and logs."""

    folder: Path
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def bus_address(self) -> str:
        """The same after a restart; an abstract socket, which every user can reach."""
        return f"unix:abstract={self.folder}/bus"

    @property
    def environment(self) -> Mapping[str, str]:
        """Lets a program take the private bus for the system's."""
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.bus_address}

    def busctl(self, *arguments: str) -> str:
        """What busctl says; CannotRun where it fails."""
        return run("busctl", *arguments, environment=self.environment)

    def start_bus(self, *, unread_bytes: int = UNREAD_BYTES) -> None:
        """`unread_bytes` of one sender may wait for those who do not read; then the bus takes nothing more from it."""
        config = self.folder / "bus.conf"
        config.write_text(BUS_CONFIG.format(address=self.bus_address, unread_bytes=unread_bytes))
        argv = ("dbus-daemon", "--nofork", "--nopidfile", "--print-address", f"--config-file={config}")
        bus = self._start("bus", *argv, stdout=subprocess.PIPE)
        assert bus.stdout is not None
        with bus.stdout as told:
            if not told.readline():
                raise CannotRun(f"dbus-daemon does not start: {(self.folder / 'dbus-daemon.log').read_text().strip()}")

    def start_polkitd(self) -> None:
        self._start_named("polkitd", "org.freedesktop.PolicyKit1", program_of("polkitd", *POLKITD), "--no-debug")

    def start_udisksd(self, *, preload: str = "") -> None:
        """`preload` is a library that takes the place of some of the system's functions."""
        environment = {**self.environment, "LD_PRELOAD": preload}
        program = program_of("udisks2", *UDISKSD)
        self._start_named("udisksd", "org.freedesktop.UDisks2", program, environment=environment)

    def stop_udisksd(self) -> None:
        self._stop("udisksd")

    def restart_udisksd(self) -> None:
        self.stop_udisksd()
        self.start_udisksd()

    def restart_bus(self, *, unread_bytes: int = UNREAD_BYTES) -> None:
        """Restart the bus, and with it who cannot live without it."""
        self.stop()
        self.start(unread_bytes=unread_bytes)

    def start(self, *, unread_bytes: int = UNREAD_BYTES) -> None:
        self.start_bus(unread_bytes=unread_bytes)
        self.start_polkitd()
        self.start_udisksd()

    def stop(self) -> None:
        for name in reversed(list(self._running)):
            self._stop(name)

    def _start(
        self, name: str, *argv: str, stdout: int | None = None, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        with ExitStack() as undo:
            process = start(undo, self.folder, *argv, environment=environment or self.environment, stdout=stdout)
            undo.pop_all()
        self._running[name] = process
        return process

    def _start_named(self, name: str, bus_name: str, *argv: str, environment: Mapping[str, str] | None = None) -> None:
        process = self._start(name, *argv, environment=environment)
        with ThreadPoolExecutor(1) as thread:  # the caller may stand in a loop of its own
            owned = thread.submit(asyncio.run, owned_or_exited(self.bus_address, bus_name, process.pid)).result()
        if not owned:
            raise CannotRun(f"{argv[0]} does not start: {(self.folder / f'{name}.log').read_text().strip()}")

    def _stop(self, name: str) -> None:
        if process := self._running.pop(name, None):
            stop(process)


async def owned_or_exited(address: str, bus_name: str, pid: int) -> bool:
    """Wait until a process owns a name (True), or has exited (False)."""
    connection = await Connection.open(address)
    outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    exited = os.pidfd_open(pid)

    def settle(*, owned: bool) -> None:
        if not outcome.done():
            outcome.set_result(owned)

    try:
        asyncio.get_running_loop().add_reader(exited, lambda: settle(owned=False))
        appears = Match(sender=DBUS, member="NameOwnerChanged", arg0=bus_name)
        await connection.subscribe(appears, lambda signal: settle(owned=bool(signal.body[2])))
        if (await connection.call(DBUS, DBUS_PATH, DBUS, "NameHasOwner", "s", [bus_name]))[0]:
            settle(owned=True)
        async with asyncio.timeout(START_SECONDS):
            return await outcome
    finally:
        asyncio.get_running_loop().remove_reader(exited)
        os.close(exited)
        await connection.close()


def provide_udevd(undo: ExitStack, folder: Path) -> None:
    """The udevd that runs, or one of our own."""
    if succeeds("udevadm", "control", "--ping", "--timeout=5"):
        return
    for left in LEFT_BEHIND:
        if not os.path.exists(left):
            undo.callback(shutil.rmtree, left, ignore_errors=True)
    start_notifying(undo, folder, program_of("udev", *UDEVD), environment=os.environ)
    run("udevadm", "trigger", "--subsystem-match=block", "--action=add", "--settle")


@pytest.fixture(scope="session")
def bus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private bus where everyone may do everything; it takes no root and no devices."""
    machine = Machine(tmp_path_factory.mktemp("bus"))
    machine.start_bus()
    yield machine.bus_address
    machine.stop()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Machine]:
    """A bus of one test, which may stop it."""
    machine = Machine(tmp_path)
    machine.start_bus()
    yield machine
    machine.stop()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine that all tests of this run share; skipped where it cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("only root may attach a stick and mount it")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("there are no loop devices (/dev/loop-control)")
    folder = tmp_path_factory.mktemp("machine")
    with ExitStack() as undo:
        for mounts in MOUNT_FOLDERS:
            if not os.path.exists(mounts):
                undo.callback(remove_if_empty, mounts)
        provide_udevd(undo, folder)
        machine = Machine(folder)
        undo.callback(machine.stop)
        machine.start()
        yield machine
