"""QMP: what QEMU is told and tells, one JSON object a line.

Source: QEMU's docs/interop/qmp-spec.
"""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

COMMAND_SECONDS = 120.0
"""The longest that a command may take; saving a machine is the slowest."""


class QmpError(Exception):
    """QEMU refuses a command, or is gone."""


class Qmp:
    """A connection to one QEMU; events that come between are kept until somebody waits for them."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = b""
        self._events: list[dict[str, Any]] = []

    @classmethod
    def connect(cls, path: Path) -> Self:
        with ExitStack() as undo:
            connection = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            connection.connect(str(path))
            qmp = cls(connection)
            qmp._receive(COMMAND_SECONDS)  # the greeting
            qmp.command("qmp_capabilities")
            undo.pop_all()
            return qmp

    def close(self) -> None:
        self._socket.close()

    def command(self, name: str, **arguments: Any) -> Any:
        """What QEMU returns for a command; `read_only` stands for its read-only."""
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._socket.sendall(json.dumps({"execute": name, "arguments": named}).encode() + b"\n")
        deadline = time.monotonic() + COMMAND_SECONDS
        while True:
            said = self._receive(deadline - time.monotonic())
            if "error" in said:
                raise QmpError(f"{name}: {said['error']['desc']}")
            if "return" in said:
                return said["return"]
            self._events.append(said)

    def monitor(self, line: str) -> None:
        """A command that QMP has only as one for people; what it answers is a complaint."""
        if said := self.command("human-monitor-command", command_line=line).strip():
            raise QmpError(f"{line}: {said}")

    def until(self, event: str, matches: Callable[[dict[str, Any]], bool], seconds: float) -> None:
        """Wait for an event whose data matches; it is taken off, and so are those before it."""
        deadline = time.monotonic() + seconds
        while True:
            while self._events:
                said = self._events.pop(0)
                if said["event"] == event and matches(said.get("data", {})):
                    return
            self._events.append(self._receive(deadline - time.monotonic()))

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise QmpError(f"QEMU says nothing within {seconds:.0f} s") from None
            except ConnectionError:
                data = b""
            if not data:
                raise QmpError("QEMU is gone; qemu.log says why")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        said: dict[str, Any] = json.loads(line)
        return said
