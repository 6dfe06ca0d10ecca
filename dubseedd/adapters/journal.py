"""The journal, and whatever else writes events down: each sink behind a queue, so that none of them holds up the loop.

A stalled journald blocks whoever writes to it, and with no journal at all records vanish without an error. So each sink
has a thread of its own, which waits for room before it sends, and without /run/systemd/journal/socket the same lines go
to standard error, where systemd and a person understand the `<N>` in front.
"""

import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

from dubseedd.core.events import ERR, INFO, WARNING, Event
from dubseedd.names import IDENTIFIER, Field
from systemd import journal

SOCKET = "/run/systemd/journal/socket"
DEBUG = 7
FLUSH_SECONDS = 5.0
CLOSE_SECONDS = 2.0

Sink = Callable[[Event], None]
Write = Callable[[int, str, Mapping[str, str]], None]
"""Writes one line: priority, text, further fields of the journal."""
Item = TypeVar("Item")


class _Outlet(Generic[Item]):
    """One sink and the thread that feeds it, in order. A sink that raises is told on standard error and goes on."""

    def __init__(self, sink: Callable[[Item], None], name: str) -> None:
        self._sink = sink
        self._queue: SimpleQueue[tuple[Item] | threading.Event] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, item: Item) -> None:
        self._queue.put((item,))

    def mark(self) -> threading.Event:
        """Set when all that was put in before is written."""
        written = threading.Event()
        self._queue.put(written)
        return written

    def _work(self) -> None:
        while True:
            entry = self._queue.get()
            if isinstance(entry, threading.Event):
                entry.set()
                continue
            try:
                self._sink(*entry)
            except Exception as error:  # noqa: BLE001 - whatever a sink raises, the next entry has its turn
                with suppress(OSError, ValueError):  # standard error may be gone as well
                    _to_stderr(ERR, f"this could not be written down: {error}: {entry[0]}", {})


class QueuedRecorder:
    """Takes events in at once and hands them to every sink, in order; none waits for another."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._outlets = [_Outlet(sink, f"{IDENTIFIER}-sink-{number}") for number, sink in enumerate(sinks)]

    def record(self, event: Event) -> None:
        """Take an event in; returns at once."""
        for outlet in self._outlets:
            outlet.put(event)

    def flush(self, limit_seconds: float = FLUSH_SECONDS) -> None:
        """Wait until all that was recorded is written, or the limit is over: a stalled journal stops nobody."""
        end = time.monotonic() + limit_seconds
        for written in [outlet.mark() for outlet in self._outlets]:
            written.wait(max(0.0, end - time.monotonic()))

    def close(self, limit_seconds: float = CLOSE_SECONDS) -> None:
        """Write what is left, within the limit."""
        self.flush(limit_seconds)


class LogHandler(logging.Handler):
    """Log lines of our own go where events go; `logging.shutdown` writes what is left."""

    _PRIORITIES = ((logging.ERROR, ERR), (logging.WARNING, WARNING), (logging.INFO, INFO))

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._outlet: _Outlet[tuple[int, str]] = _Outlet(lambda line: write(*line, {}), f"{IDENTIFIER}-log")

    def emit(self, record: logging.LogRecord) -> None:
        priority = next((ours for level, ours in self._PRIORITIES if record.levelno >= level), DEBUG)
        self._outlet.put((priority, self.format(record)))

    def flush(self) -> None:
        self._outlet.mark().wait(CLOSE_SECONDS)


def journal_sink(path: str = SOCKET) -> Sink:
    """Where events go: the journal, or standard error where there is none."""
    write = _writer(path)

    def sink(event: Event) -> None:
        fields = {field.value: str(value) for field, value in event.fields.items() if value != ""}
        told = {"MESSAGE_ID": event.message_id, Field.EVENT.value: event.name.value}
        write(event.priority, event.message, {**fields, **told})

    return sink


def install_logging(level: str, path: str = SOCKET) -> None:
    """Send the log lines of this process to the journal, or to standard error where there is none."""
    logging.basicConfig(level=level, format="%(message)s", handlers=[LogHandler(_writer(path))], force=True)


def _writer(path: str) -> Write:
    return _to_journal if os.path.exists(path) else _to_stderr


def _to_journal(priority: int, line: str, fields: Mapping[str, str]) -> None:
    _wait_for_room()
    printable = {name: _printable(value) for name, value in fields.items()}
    journal.send(_printable(line), PRIORITY=priority, SYSLOG_IDENTIFIER=IDENTIFIER, **printable)


def _wait_for_room() -> None:
    """Wait until journald takes a record. systemd-python holds the interpreter, all threads of it, while it sends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.connect(SOCKET)
        waiting = select.poll()
        waiting.register(probe, select.POLLOUT)
        waiting.poll()


def _to_stderr(priority: int, line: str, _fields: Mapping[str, str]) -> None:
    """Every line has its own prefix, or the rest of a traceback would be of another priority."""
    for part in _printable(line).splitlines():
        print(f"<{priority}>{part}", file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    """A file name on a stick may hold bytes that are no text; the journal takes only what can be encoded."""
    return text.encode(errors="backslashreplace").decode()
