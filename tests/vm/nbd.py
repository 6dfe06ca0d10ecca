"""What is behind a USB stick: a disk image, served to QEMU, that can be slow, fail, hang and lie at an exact byte.

Source: the NBD protocol, doc/proto.md of nbd; fixed newstyle, simple replies.
"""

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm.journal import BOUND_SECONDS

SECTOR_BYTES = 512
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPTION_ABORT, OPTION_GO = 2, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 1 << 31 | 1
HAS_FLAGS, READ_ONLY, SEND_FLUSH = 1, 2, 4
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698


@dataclass
class Drive:
    """One stick. `keeps` writes to the image, else they are forgotten with the drive.

    `bytes_per_second` is its speed. Sectors in `bad` fail. Sectors in `fickle` have a bit flipped at the first read
    and are right from then on.
    """

    image: Path
    keeps: bool = False
    read_only: bool = False
    bytes_per_second: float = 0.0
    bad: set[int] = field(default_factory=set)
    fickle: set[int] = field(default_factory=set)
    bytes_read: int = 0
    bytes_written: int = 0
    _written: dict[int, bytes] = field(default_factory=dict, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _hung: bool = False
    _gone: bool = False

    def serve(self, path: Path) -> Callable[[], None]:
        """Serve one QEMU at this socket; returns the undo, which is the pull."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(1)
        self._gone, self._hung = False, False
        file = os.open(self.image, os.O_RDWR if self.keeps else os.O_RDONLY)
        thread = threading.Thread(target=self._converse, args=(listener, file), name=f"drive {path.name}", daemon=True)
        thread.start()

        def undo() -> None:
            self.let_go()
            listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a client
            listener.close()
            thread.join()
            os.close(file)
            path.unlink()

        return undo

    def let_go(self) -> None:
        """Whatever is read from now on, fails at once: what hangs hangs no longer."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()

    def hang(self) -> None:
        """Answer no read until `recover`."""
        with self._changed:
            self._hung = True

    def recover(self) -> None:
        with self._changed:
            self._hung = False
            self._changed.notify_all()

    def until_read(self, byte_count: int) -> None:
        """Wait until so many bytes have been read since the drive was made."""
        self._until(lambda: self.bytes_read, byte_count)

    def until_written(self, byte_count: int) -> None:
        """The same for what is written."""
        self._until(lambda: self.bytes_written, byte_count)

    def _until(self, counter: Callable[[], int], byte_count: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: counter() >= byte_count, BOUND_SECONDS):
                raise AssertionError(f"{counter():,} of {byte_count:,} bytes moved within {BOUND_SECONDS:.0f} s")

    def sector_of(self, data: bytes) -> int:
        """The first sector that is full of this file's data."""
        image = self.image.read_bytes()
        start = image.index(data[:4096])
        return -(-start // SECTOR_BYTES) + 1

    # The conversation

    def _converse(self, listener: socket.socket, file: int) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # nobody came
            return
        with connection:
            try:
                if self._greet(connection, os.fstat(file).st_size):
                    while self._answer(connection, file):
                        pass
            except (ConnectionError, EOFError):
                pass

    def _greet(self, connection: socket.socket, size: int) -> bool:
        """Agree on what is served; False where the client wants nothing after all."""
        connection.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
        receive(connection, 4)
        while True:
            _, option, length = struct.unpack(">QII", receive(connection, 16))
            receive(connection, length)
            if option == OPTION_GO:
                flags = HAS_FLAGS | SEND_FLUSH | (READ_ONLY if self.read_only else 0)
                answer_option(connection, option, REPLY_INFO, struct.pack(">HQH", 0, size, flags))
            supported = option in (OPTION_GO, OPTION_ABORT)
            answer_option(connection, option, REPLY_ACK if supported else REPLY_UNSUPPORTED)
            if supported:
                return bool(option == OPTION_GO)

    def _answer(self, connection: socket.socket, file: int) -> bool:
        """Answer one request; False at the last."""
        _, _, kind, handle, offset, length = struct.unpack(">IHHQQI", receive(connection, 28))
        error, data = 0, b""
        if kind == DISCONNECT:
            return False
        if kind == READ:
            error, data = self._read(file, offset, length)
        elif kind == WRITE:
            self._write(file, offset, receive(connection, length))
        elif kind == FLUSH and self.keeps:
            os.fsync(file)
        connection.sendall(struct.pack(">IIQ", REPLY_MAGIC, error, handle) + data)
        return True

    def _read(self, file: int, offset: int, length: int) -> tuple[int, bytes]:
        sectors = range(offset // SECTOR_BYTES, (offset + length) // SECTOR_BYTES)
        with self._changed:
            if self.bytes_per_second:
                self._changed.wait_for(lambda: self._gone, length / self.bytes_per_second)
            self._changed.wait_for(lambda: self._gone or not self._hung)
            self.bytes_read += length
            self._changed.notify_all()
        if self._gone or not self.bad.isdisjoint(sectors):
            return errno.EIO, b""
        data = bytearray(os.pread(file, length, offset))
        for sector in self._written.keys() & set(sectors) if self._written else ():
            start = sector * SECTOR_BYTES - offset
            data[start : start + SECTOR_BYTES] = self._written[sector]
        for sector in self.fickle.intersection(sectors):
            data[sector * SECTOR_BYTES - offset] ^= 1
            self.fickle.remove(sector)
        return 0, bytes(data)

    def _write(self, file: int, offset: int, data: bytes) -> None:
        if self.keeps:
            os.pwrite(file, data, offset)
            return
        for start in range(0, len(data), SECTOR_BYTES):
            self._written[(offset + start) // SECTOR_BYTES] = data[start : start + SECTOR_BYTES]
        with self._changed:
            self.bytes_written += len(data)
            self._changed.notify_all()


def receive(connection: socket.socket, length: int) -> bytes:
    """Just so many bytes."""
    data = bytearray()
    while len(data) < length:
        if not (more := connection.recv(length - len(data))):
            raise EOFError
        data += more
    return bytes(data)


def answer_option(connection: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    connection.sendall(struct.pack(">QIII", OPTION_REPLY_MAGIC, option, kind, len(data)) + data)
