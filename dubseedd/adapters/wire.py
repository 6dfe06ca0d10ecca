"""The bytes of a bus connection: what arrives is cut into messages, what leaves goes in order as the socket takes it.

Anybody on the bus may send us anything, so that nothing here is of a size that a stranger decides: a message that is
longer than its kind may be is passed over without being kept, and what nobody takes from us ends the connection.
"""

import asyncio
import io
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from dbus_next import Message
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.signature import SignatureTree

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
FIXED_BYTES = 16
HEADER_MOST_BYTES = 16 << 10
CALL_MOST_BYTES = 16 << 10
SIGNAL_MOST_BYTES = 256 << 10
"""The longest body of a call and of a signal; replies answer what we have asked and may be as long as they are."""
UNSENT_ROOM_BYTES = 256 << 10
UNSENT_MOST_BYTES = 32 << 20
DESCRIPTORS_MOST = 253
"""As many as the kernel lets through at a time."""
SIGNATURES_MOST = 500
"""The library keeps every signature that it has ever seen, those of strangers too."""

_DESCRIPTOR = struct.Struct("i")


class Frame(NamedTuple):
    """One message as it arrived; `data` is its header alone where the body is too long."""

    kind: int
    data: bytes
    too_long: bool

    def head(self) -> Message:
        """The message without its body."""
        return unmarshalled(self.data[:4] + bytes(4) + self.data[8:])

    def whole(self) -> Message:
        return unmarshalled(self.data)


def unmarshalled(data: bytes) -> Message:
    """A message of its bytes. Raises whatever the library does not like in it."""
    if len(SignatureTree._cache) > SIGNATURES_MOST:
        SignatureTree._cache.clear()
    return Unmarshaller(io.BytesIO(data)).unmarshall()


class Frames:
    """Cuts the stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    def cut(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes in; the messages that are complete with them."""
        passed = min(self._skip, len(data))
        self._skip -= passed
        self._buffer += data[passed:]
        while len(self._buffer) >= FIXED_BYTES:
            kind = self._buffer[1]
            order = "<" if self._buffer[0] == ord("l") else ">"
            body, _, fields = struct.unpack_from(f"{order}III", self._buffer, 4)
            header = FIXED_BYTES + fields + -fields % 8
            if header > HEADER_MOST_BYTES:
                self._drop(header + body)
                continue
            too_long = body > {METHOD_CALL: CALL_MOST_BYTES, SIGNAL: SIGNAL_MOST_BYTES}.get(kind, body)
            wanted = header if too_long else header + body
            if len(self._buffer) < wanted:
                return
            frame = Frame(kind, bytes(self._buffer[:wanted]), too_long)
            self._drop(header + body)
            if kind in {METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL}:  # others are to be ignored, says the specification
                yield frame

    def _drop(self, size: int) -> None:
        """Pass over so many bytes, those that have not arrived yet too."""
        here = min(size, len(self._buffer))
        del self._buffer[:here]
        self._skip += size - here


class _Letter(NamedTuple):
    """A message that waits to be sent."""

    data: bytes
    future: "asyncio.Future[None] | None"
    descriptors: Sequence[int]


class Outbox:
    """What waits to be sent. It stands in for the library's writer, which takes a full socket for a lost connection."""

    def __init__(self, sock: socket.socket, ready: Callable[[], bool], failed: Callable[[Exception], None]) -> None:
        self._socket = sock
        self._ready = ready
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[_Letter] = deque()
        self._sent_of_first = 0
        self.size = 0
        self.roomy = asyncio.Event()
        self.roomy.set()

    def schedule_write(self, message: Any = None, future: "asyncio.Future[None] | None" = None) -> None:
        """Send a message when all before it are sent; none: begin, for the bus knows us now."""
        if message is not None:
            descriptors = [os.dup(descriptor) for descriptor in message.unix_fds or ()]
            self.put(message._marshall(negotiate_unix_fd=True), future, descriptors)
        elif self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._write)

    def put(self, data: bytes, future: "asyncio.Future[None] | None" = None, descriptors: Sequence[int] = ()) -> None:
        """Send these bytes when all before them are sent, however many: what waits already tells if all is well.

        The descriptors go along and are closed then.
        """
        if self.size > UNSENT_MOST_BYTES:
            close_all(descriptors)
            self._failed(BrokenPipeError("the bus does not take what we send any more"))
            return
        self._unsent.append(_Letter(data, future, descriptors))
        self.size += len(data)
        if self.size > UNSENT_ROOM_BYTES:
            self.roomy.clear()
        if self._ready():
            self._loop.add_writer(self._socket.fileno(), self._write)

    def _write(self) -> None:
        try:
            while self._unsent:
                data, future, descriptors = self._unsent[0]
                rest = memoryview(data)[self._sent_of_first :]
                if descriptors and not self._sent_of_first:
                    self._sent_of_first += socket.send_fds(self._socket, [rest], descriptors)
                    close_all(descriptors)
                else:
                    self._sent_of_first += self._socket.send(rest)
                if self._sent_of_first < len(data):
                    return
                self._unsent.popleft()
                self._sent_of_first = 0
                self.size -= len(data)
                if future is not None and not future.done():
                    future.set_result(None)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(error)
            return
        finally:
            if self.size <= UNSENT_ROOM_BYTES:
                self.roomy.set()
        self._loop.remove_writer(self._socket.fileno())

    def drop(self) -> None:
        """Close the descriptors of what will never be sent."""
        for letter in list(self._unsent)[1 if self._sent_of_first else 0 :]:
            close_all(letter.descriptors)
        self._unsent.clear()


def receive(sock: socket.socket, most_bytes: int) -> tuple[bytes, list[int]]:
    """What has arrived: bytes, none at the end of the stream, and descriptors, which the caller closes."""
    room = socket.CMSG_LEN(DESCRIPTORS_MOST * _DESCRIPTOR.size)
    data, ancillary, *_ = sock.recvmsg(most_bytes, room, socket.MSG_CMSG_CLOEXEC)
    return data, [
        number
        for level, kind, rights in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (number,) in _DESCRIPTOR.iter_unpack(rights[: len(rights) // _DESCRIPTOR.size * _DESCRIPTOR.size])
    ]


def close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
