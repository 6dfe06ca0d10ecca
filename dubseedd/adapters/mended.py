"""dbus-next 0.2.3, mended at four places where a daemon that lives long would end:

- a full socket is taken for a lost connection: the writer's socket reports 0 bytes sent instead (`_PatientSocket`);
- a bus that hangs up during authentication stops the event loop: the end of the stream is looked for (`MendedBus`);
- sockets stay open and registered in the loop after the end: `release` closes them;
- descriptors that arrive with a message, and anybody may send some, stay open: `close_descriptors`.
"""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

from dbus_next import BusType, Message
from dbus_next.aio import MessageBus

CONNECT_LIMIT_SECONDS = 10.0

Ancillary = list[tuple[int, int, Any]]
"""What travels beside the bytes: (level, type, data)."""


class _PatientSocket:
    """A socket whose full buffer is 0 bytes sent: the writer then waits until it is writable again.

    The writer hands over descriptors once, with the first attempt to send a message: they wait here for the next.
    """

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._waiting: Ancillary = []

    def send(self, data: bytes) -> int:
        return self.sendmsg([data], self._waiting)

    def sendmsg(self, buffers: list[bytes], ancillary: Ancillary) -> int:
        try:
            sent = self._inner.sendmsg(buffers, ancillary)
        except (BlockingIOError, InterruptedError):
            self._waiting = ancillary
            return 0
        self._waiting = []
        return sent

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
    bus = MendedBus(bus_address=address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
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


def close_descriptors(message: Message, *, but: int = -1) -> None:
    """Close what came with a message, except for one."""
    for descriptor in message.unix_fds or ():
        if descriptor != but:
            with suppress(OSError):
                os.close(descriptor)


def _close_sockets(bus: MessageBus) -> None:
    for name in ("_stream", "_sock"):
        with suppress(Exception):
            getattr(bus, name).close()
