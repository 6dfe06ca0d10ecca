"""dbus-next 0.2.3, mended where a daemon that lives long, among strangers, would end:

- a full socket is taken for a lost connection, a message that cannot be read too; one of any length is read, and
  reading goes on as long as somebody sends: reading and writing are ours (`wire`), a little at a time;
- calls are answered as they arrive, however many one caller sends: callers take turns (`Turns`);
- descriptors that anybody attaches to a message stay open: they are closed as they arrive, unless they are waited for;
- a bus that hangs up during authentication stops the event loop: the end of the stream is looked for (`MendedBus`);
- sockets stay open and registered in the loop after the end: `release` closes them.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Any

from dbus_next import BusType, Message, MessageFlag
from dbus_next.aio import MessageBus

from dubseedd.adapters.wire import METHOD_CALL, Frame, Frames, Outbox, close_all, receive

log = logging.getLogger(__name__)

CONNECT_LIMIT_SECONDS = 10.0
READ_BYTES = 16 << 10
"""What is read before everything else has its turn again."""
WAITING_MOST = 32
WAITING_MOST_BYTES = 1 << 20
"""Calls that have not been looked at yet: of one caller, and the bytes of all."""
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"


class Turns:
    """Calls that wait to be answered. Whoever has sent many waits for himself, not the others for him."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Frame]] = OrderedDict()
        self._bytes = 0
        self.some = asyncio.Event()

    def add(self, caller: str, frame: Frame) -> bool:
        """Let a call wait; False where too many do."""
        calls = self._waiting.get(caller, ())
        if len(calls) >= WAITING_MOST or self._bytes + len(frame.data) > WAITING_MOST_BYTES:
            return False
        self._waiting.setdefault(caller, deque()).append(frame)
        self._bytes += len(frame.data)
        self.some.set()
        return True

    def next(self) -> Frame:
        """The oldest call of the caller who has waited longest for his turn; there has to be one."""
        caller, calls = self._waiting.popitem(last=False)
        frame = calls.popleft()
        self._bytes -= len(frame.data)
        if calls:
            self._waiting[caller] = calls
        if not self._waiting:
            self.some.clear()
        return frame


class MendedBus(MessageBus):  # type: ignore[misc]  # the library is not typed
    """A MessageBus that can fail to connect, leaves no socket behind, and is at nobody's mercy."""

    def __init__(self, address: str | None, *, keeps_descriptors: bool) -> None:
        super().__init__(bus_address=address, bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
        self._keeps_descriptors = keeps_descriptors
        self._descriptors: list[int] = []
        self._frames = Frames()
        self._turns = Turns()
        self._writer = Outbox(self._sock, lambda: bool(self.unique_name), self._finalize)
        self._answering = asyncio.ensure_future(self._answer_in_turn())

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

    def _message_reader(self) -> None:
        try:
            data, descriptors = receive(self._sock, READ_BYTES)
            if not data:
                raise EOFError
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, EOFError) as error:
            self._finalize(error)
            return
        if self._keeps_descriptors:
            self._descriptors += descriptors
        else:
            close_all(descriptors)
        for frame in self._frames.cut(data):
            try:
                self._take(frame)
            except Exception as error:  # noqa: BLE001 - whatever it is that somebody has sent
                log.debug("a message that cannot be read is passed over: %s", error)

    def take_descriptor(self) -> int | None:
        """The oldest that has arrived, if any; the caller closes it."""
        return self._descriptors.pop(0) if self._descriptors else None

    def drop_descriptors(self) -> None:
        """Close what nobody has taken, and what was not sent."""
        close_all(self._descriptors)
        self._descriptors = []
        self._writer.drop()

    def _take(self, frame: Frame) -> None:
        if frame.kind != METHOD_CALL:
            if not frame.too_long:
                self._on_message(frame.whole())
            return
        head = frame.head()
        if frame.too_long:
            self._refuse(head, "the arguments are longer than any method here takes")
        elif not self._turns.add(head.sender or "", frame):
            self._refuse(head, "too many calls wait already; wait for answers before you send more")

    def _refuse(self, head: Message, why: str) -> None:
        """An answer, unless nobody takes those that there are."""
        if self._writer.roomy.is_set() and not head.flags & MessageFlag.NO_REPLY_EXPECTED:
            self.send(Message.new_error(head, LIMITS_EXCEEDED, why))

    async def _answer_in_turn(self) -> None:
        """Hand calls on, one whenever everything else has had its turn, and none while our answers are not taken."""
        while True:
            await self._turns.some.wait()
            await self._writer.roomy.wait()
            frame = self._turns.next()
            try:
                self._on_message(frame.whole())
            except Exception as error:  # noqa: BLE001 - whatever it is that somebody has sent
                log.debug("a call that cannot be read is passed over: %s", error)
            await asyncio.sleep(0)


async def connected(address: str | None, *, keeps_descriptors: bool = False) -> MendedBus:
    """A connected bus, the system's by default. Raises what the library and the system raise, and TimeoutError."""
    bus = MendedBus(address, keeps_descriptors=keeps_descriptors)
    try:
        async with asyncio.timeout(CONNECT_LIMIT_SECONDS):
            await bus.connect()
    except BaseException:
        release(bus)
        raise
    return bus


def release(bus: MendedBus) -> None:
    """Close the sockets; the loop forgets them first, for their descriptors are soon somebody else's."""
    bus._answering.cancel()
    bus.drop_descriptors()
    loop = asyncio.get_running_loop()
    loop.remove_reader(bus._fd)
    loop.remove_writer(bus._fd)
    _close_sockets(bus)


def _close_sockets(bus: Any) -> None:
    for name in ("_stream", "_sock"):
        with suppress(Exception):
            getattr(bus, name).close()
