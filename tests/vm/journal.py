"""The guest's journal as the host sees it: every entry as soon as it is written, and what waits for one."""

import json
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

BOUND_SECONDS = 180.0
"""How long anything is waited for; only a failure takes as long, on however slow a machine."""


class NotTold(AssertionError):
    """What should have been said was not."""


class Journal:
    """Follows the stream that the guest sends; what came stays here when the guest is gone."""

    def __init__(self, path: Path) -> None:
        self.entries: list[Entry] = []
        self._grown = threading.Condition()
        with ExitStack() as undo:
            self._socket = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self._socket.connect(str(path))
            undo.pop_all()
        self._thread = threading.Thread(target=self._follow, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):  # QEMU was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def forget(self) -> None:
        """What comes from now on is all that counts."""
        with self._grown:
            self.entries.clear()

    def until(self, seconds: float = BOUND_SECONDS, *, after: Entry | None = None, **fields: str) -> Entry:
        """Wait for an entry with these fields: event="bundle-installed", bundle="tiny", message="a part of it".

        With `after` it has to come later than that one.
        """
        if (found := self.heard(seconds, after=after, **fields)) is not None:
            return found
        told = "\n".join(str(entry.get("MESSAGE")) for entry in self.of_dubseedd()[-15:])
        raise NotTold(f"{fields} was not told within {seconds:.0f} s; the last of dubseedd:\n{told}")

    def heard(self, seconds: float, *, after: Entry | None = None, **fields: str) -> Entry | None:
        """The same, None where nothing came."""
        with self._grown:
            self._grown.wait_for(lambda: self._found(after, fields) is not None, seconds)
            return self._found(after, fields)

    def told(self, event: str, bundle: str = "") -> list[str]:
        """What was said of an event so far."""
        fields = {"event": event, **({"bundle": bundle} if bundle else {})}
        with self._grown:
            return [str(entry["MESSAGE"]) for entry in self.entries if matches(entry, fields)]

    def of_dubseedd(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.get("SYSLOG_IDENTIFIER") == "dubseedd"]

    def _found(self, after: Entry | None, fields: dict[str, str]) -> Entry | None:
        start = 0
        if after is not None:
            start = next(number for number, entry in enumerate(self.entries) if entry is after) + 1
        return next((entry for entry in self.entries[start:] if matches(entry, fields)), None)

    def _follow(self) -> None:
        with self._socket, self._socket.makefile("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:  # the machine was put back in the middle of a line
                    continue
                with self._grown:
                    self.entries.append(entry)
                    self._grown.notify_all()


def matches(entry: Entry, fields: dict[str, str]) -> bool:
    for name, value in fields.items():
        if name == "message":
            if value not in str(entry.get("MESSAGE")):
                return False
        elif str(entry.get(name if name.isupper() else f"DUBSEED_{name.upper()}")) != value:
            return False
    return True
