"""The journal, and whatever else writes events down: sinks behind a queue, so that none of them holds up the loop.

A stalled journald blocks whoever writes to it, and with no journal at all records vanish without an error. So one
thread feeds the sinks, and without /run/systemd/journal/socket the same lines go to standard error, where systemd and
a person understand the `<N>` in front.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from dubseedd.core.events import ERR, INFO, NOTICE, WARNING, Event
from dubseedd.names import IDENTIFIER
from systemd import journal

SOCKET = "/run/systemd/journal/socket"
DEBUG = 7

Sink = Callable[[Event], None]


class QueuedRecorder:
    """Takes events in at once and hands them to each sink, in order, from a thread of its own."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._queue: SimpleQueue[Event | threading.Event | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="dubseedd-recorder", daemon=True)
        self._thread.start()

    def record(self, event: Event) -> None:
        """Take an event in; returns at once."""
        self._queue.put(event)

    def flush(self, limit_seconds: float = 5.0) -> None:
        """Wait until all that was recorded is written, or the limit is over: a stalled journal stops nobody."""
        written = threading.Event()
        self._queue.put(written)
        written.wait(limit_seconds)

    def close(self, limit_seconds: float = 2.0) -> None:
        """Write what is left and end the thread."""
        self._queue.put(None)
        self._thread.join(limit_seconds)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            for sink in self._sinks:
                try:
                    sink(item)
                except Exception as error:  # noqa: BLE001 - one sink that fails must not silence the others
                    print(f"<{ERR}>an event could not be written down: {error}", file=sys.stderr, flush=True)


def journal_sink(socket: str = SOCKET) -> Sink:
    """Where events go: the journal, or standard error where there is none."""
    return _to_journal if os.path.exists(socket) else _to_stderr


def _to_journal(event: Event) -> None:
    fields = {field.value: str(value) for field, value in event.fields.items() if value != ""}
    journal.send(
        event.message, MESSAGE_ID=event.message_id, PRIORITY=event.priority, SYSLOG_IDENTIFIER=IDENTIFIER, **fields
    )


def _to_stderr(event: Event) -> None:
    print(f"<{event.priority}>{event.message}", file=sys.stderr, flush=True)


class _Handler(logging.Handler):
    """Log lines of our own go where events go."""

    _PRIORITIES = ((logging.ERROR, ERR), (logging.WARNING, WARNING), (logging.INFO, NOTICE), (logging.DEBUG, DEBUG))

    def __init__(self, write: Callable[[int, str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        priority = next((ours for level, ours in self._PRIORITIES if record.levelno >= level), INFO)
        self._write(priority, self.format(record))


def install_logging(level: str, socket: str = SOCKET) -> None:
    """Send the log lines of this process to the journal, or to standard error where there is none."""

    def to_journal(priority: int, line: str) -> None:
        journal.send(line, PRIORITY=priority, SYSLOG_IDENTIFIER=IDENTIFIER)

    def to_stderr(priority: int, line: str) -> None:
        print(f"<{priority}>{line}", file=sys.stderr, flush=True)

    queue: SimpleQueue[tuple[int, str]] = SimpleQueue()
    write: Any = to_journal if os.path.exists(socket) else to_stderr

    def work() -> None:
        while True:
            write(*queue.get())

    threading.Thread(target=work, name="dubseedd-log", daemon=True).start()
    logging.basicConfig(level=level, handlers=[_Handler(lambda *line: queue.put(line))], force=True)
