"""What systemd is told, over a real socket."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubseedd.adapters.notify import ServiceManager


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def told(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().splitlines()


def test_ready_comes_with_the_status(systemd: socket.socket) -> None:
    ServiceManager().ready("watching")
    assert told(systemd) == ["READY=1", "STATUS=watching"]


def test_a_status_of_two_lines_cannot_say_anything_else(systemd: socket.socket) -> None:
    ServiceManager().status("copying\nREADY=1")
    assert told(systemd) == ["STATUS=copying READY=1"]


def test_the_watchdog_is_petted_and_the_stop_is_told(systemd: socket.socket) -> None:
    manager = ServiceManager()
    manager.watchdog()
    assert told(systemd) == ["WATCHDOG=1"]
    manager.stopping()
    assert "STOPPING=1" in told(systemd)


def test_reloading_carries_the_time(systemd: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    ServiceManager().reloading()
    reloading, stamp = told(systemd)
    assert reloading == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_nothing_is_raised_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager().ready("watching")


def test_nothing_is_raised_when_the_socket_is_gone(systemd: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "notify").unlink()
    ServiceManager().watchdog()


@pytest.mark.parametrize(
    ("limit", "pid", "interval"),
    [
        ("30000000", None, 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        (None, None, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_is_petted_at_half_of_its_limit_if_it_is_ours(
    limit: str | None, pid: str | None, interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", limit), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert ServiceManager().watchdog_interval_seconds() == interval
