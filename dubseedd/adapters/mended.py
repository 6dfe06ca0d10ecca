"""dbus-next 0.2.3, mended at three places where a daemon that lives long would end:

- a full socket is taken for a lost connection: the writer's socket reports 0 bytes sent instead (`_PatientSocket`);
- a bus that hangs up during authentication stops the event loop: the end of the stream is looked for (`MendedBus`);
- sockets stay open and registered in the loop after the end: `release` closes them.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from dbus_next import BusType
from dbus_next.aio import MessageBus

CONNECT_LIMIT_SECONDS = 10.0


class _PatientSocket:
    """A socket whose full buffer is 0 bytes sent: the writer then waits until it is writable again."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def send(self, data: bytes) -> int:
        try:
            return self._inner.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class MendedBus(MessageBus):  # type: ignore[misc]  # the library is not typed
    """A MessageBus that can fail to connect: it leaves no socket behind and notices that the bus hangs up."""

    def _setup_socket(self) -> None:
        try:
            super()._setup_socket()
        except BaseException:
            _close_sockets(self)
            raise

    async def _auth_readline(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            if not (byte := await self._loop.sock_recv(self._sock, 1)):
                raise EOFError
            line += byte
        return line[:-2].decode()


async def connected(address: str | None) -> MendedBus:
    """A connected bus, the system's by default. Raises what the library and the system raise, and TimeoutError."""
    bus = MendedBus(bus_address=address, bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(CONNECT_LIMIT_SECONDS):
            await bus.connect()
            bus._writer.sock = _PatientSocket(bus._writer.sock)
    except BaseException:
        release(bus)
        raise
    return bus


def release(bus: MessageBus) -> None:
    """Close the sockets; the loop forgets them first, for their descriptors are soon somebody else's."""
    loop = asyncio.get_running_loop()
    loop.remove_reader(bus._fd)
    loop.remove_writer(bus._fd)
    _close_sockets(bus)


def _close_sockets(bus: MessageBus) -> None:
    for name in ("_stream", "_sock"):
        with suppress(Exception):
            getattr(bus, name).close()
