"""A terminal with a test in the place of the person."""

import asyncio
import fcntl
import os
import struct
import termios

LIMIT_SECONDS = 20.0


class Terminal:
    """A terminal of so many columns. `end` is what a program takes for standard input, output and error, `seen` what
    has been shown; use it within a running loop."""

    def __init__(self, columns: int) -> None:
        self._ours, self.end = os.openpty()
        os.set_blocking(self._ours, False)
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._raw = b""

    @property
    def seen(self) -> str:
        return self._raw.decode(errors="replace")

    def type(self, words: str) -> None:
        os.write(self._ours, words.encode())

    async def until(self, words: str) -> str:
        """Read on until these words have been shown; what has been seen by then."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._ours, readable.set)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while words not in self.seen:
                    await readable.wait()
                    readable.clear()
                    self._raw += self._read()
        except TimeoutError:
            raise AssertionError(f"{words!r} was not shown, but {self.seen!r}") from None
        finally:
            loop.remove_reader(self._ours)
        return self.seen

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._ours)
        os.close(self.end)
