"""The daemon as a process, on a bus that is silent or has nobody else on it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machine import Machine

Start = Callable[..., "subprocess.Popen[str]"]
RUN = "import sys; from dubseedd.daemon import main; sys.exit(main())"
CUT_SHORT = """
from dubseedd.adapters.link import Link
async def keep(link):
    raise RuntimeError("a bug in keep")
Link.keep = keep
"""
CANNOT_RELOAD = """
from dubseedd.service.conductor import Conductor
def reconfigure(conductor, config):
    raise RuntimeError("a bug in reconfigure")
Conductor.reconfigure = reconfigure
"""
IMPATIENT = "from dubseedd.adapters import mended; mended.CONNECT_LIMIT_SECONDS = 0.5"


@pytest.fixture
def silent_bus(tmp_path: Path) -> Iterator[socket.socket]:
    """It takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(tmp_path / "bus"))
        bus.listen()
        bus.settimeout(20)
        yield bus


@pytest.fixture
def start(tmp_path: Path, silent_bus: socket.socket) -> Iterator[Start]:
    """Starts a daemon on that bus, or another, after `code`."""
    started: list[subprocess.Popen[str]] = []
    config = tmp_path / "dubseedd.toml"
    config.write_text(f'store.path = "{tmp_path}/store"\nseed.label = "NOBODYS"\n')
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={silent_bus.getsockname()}"}

    def start(code: str = "", **more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}\n{RUN}", "--config", str(config)],
            env={**environment, "RUNTIME_DIRECTORY": str(tmp_path / "run"), **more},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd is told how the daemon is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        yield manager


def until(told: bytes, manager: socket.socket) -> None:
    while not manager.recv(4096).startswith(told):
        pass


def test_a_bus_that_does_not_answer_is_a_failed_start(start: Start, silent_bus: socket.socket) -> None:
    process = start(IMPATIENT)
    with silent_bus.accept()[0]:
        _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the system bus cannot be used: the bus did not answer within 0.5 s" in told


def test_what_else_the_system_refuses_is_not_told_as_trouble_with_the_bus(start: Start, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    process = start()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"dubseedd cannot run ({tmp_path}/run: File exists); mend that" in told
    assert "the system bus" not in told


def test_sigterm_ends_a_start_that_hangs(start: Start, silent_bus: socket.socket) -> None:
    process = start()
    with silent_bus.accept()[0]:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_reload_in_the_middle_of_the_start_waits_for_its_end(
    start: Start, silent_bus: socket.socket, manager: socket.socket
) -> None:
    process = start(NOTIFY_SOCKET=manager.getsockname())
    with silent_bus.accept()[0]:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert manager.recv(4096).startswith(b"STOPPING=1"), "it is neither reloading nor ready"
        assert process.wait(5) == 0


def test_what_ends_the_keeping_of_a_connection_by_a_bug_is_in_the_journal(
    start: Start, bus: Machine, manager: socket.socket
) -> None:
    process = start(CUT_SHORT, DBUS_SYSTEM_BUS_ADDRESS=bus.bus_address, NOTIFY_SOCKET=manager.getsockname())
    until(b"READY=1", manager)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "RuntimeError: a bug in keep" in told


def test_a_reload_that_ends_by_a_bug_keeps_systemd_waiting_for_nothing(
    start: Start, bus: Machine, manager: socket.socket
) -> None:
    process = start(CANNOT_RELOAD, DBUS_SYSTEM_BUS_ADDRESS=bus.bus_address, NOTIFY_SOCKET=manager.getsockname())
    until(b"READY=1", manager)
    process.send_signal(signal.SIGHUP)
    until(b"RELOADING=1", manager)
    until(b"READY=1", manager)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "RuntimeError: a bug in reconfigure" in told
