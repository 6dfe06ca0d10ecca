"""What crosses the bus, as plain values.

Variants in what arrives are unwrapped, structs are lists. Text that D-Bus does not know (NUL, names that are no UTF-8)
leaves with ? in its place: the bus would disconnect us for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dbus_next import Variant

__all__ = [
    "DBUS",
    "DBUS_PATH",
    "BusGone",
    "CallFailed",
    "Descriptor",
    "IncomingCall",
    "Match",
    "RemoteError",
    "Reply",
    "Signal",
    "Variant",
    "sendable",
    "unwrap",
]

DBUS = "org.freedesktop.DBus"
DBUS_PATH = "/org/freedesktop/DBus"


class BusGone(ConnectionError):
    """There is no connection to the bus."""


class RemoteError(Exception):
    """An error reply: its D-Bus name and its text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class CallFailed(Exception):
    """Raised by a handler: what the caller is told."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that arrived."""

    sender: str
    path: str
    interface: str
    member: str
    body: list[Any]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A method call to us; `interface` is empty where the caller gave none. `interactive`: its user may be asked for a
    password before it is answered."""

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: list[Any]
    interactive: bool = False


class Descriptor(int):
    """A file descriptor among the values that a method returns."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a method returns; variants inside are given as Variant.

    `descriptors` go along and are closed when they have been sent; the body has the place of each in this list.
    """

    signature: str = ""
    body: Sequence[Any] = ()
    descriptors: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """What to subscribe to; empty parts match everything. `below` matches a path and all paths under it."""

    sender: str = ""
    path: str = ""
    below: str = ""
    interface: str = ""
    member: str = ""
    arg0: str = ""

    @property
    def rule(self) -> str:
        parts = {
            "type": "signal",
            "sender": self.sender,
            "path": self.path,
            "path_namespace": self.below,
            "interface": self.interface,
            "member": self.member,
            "arg0": self.arg0,
        }
        return ",".join(f"{key}='{value}'" for key, value in parts.items() if value)

    def fits(self, signal: Signal) -> bool:
        """Does a signal belong to this subscription?

        Who owns a well-known name is left to the bus; that does not hold for a signal which somebody addresses to us
        directly, so a handler takes such a signal as a reason to look again, not as the truth.
        """
        exact = self.sender == DBUS or self.sender.startswith(":")
        return (
            (not exact or self.sender == signal.sender)
            and self.path in ("", signal.path)
            and (not self.below or signal.path == self.below or signal.path.startswith(f"{self.below}/"))
            and self.interface in ("", signal.interface)
            and self.member in ("", signal.member)
            and (not self.arg0 or signal.body[:1] == [self.arg0])
        )


def unwrap(value: Any) -> Any:
    """A value as it arrived, without variants, at any depth."""
    if isinstance(value, Variant):
        return unwrap(value.value)
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    return value


def sendable(value: Any) -> Any:
    """A value without text that D-Bus does not know, at any depth."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("\0", "?")
    if isinstance(value, Variant):
        return Variant(value.signature, sendable(value.value))
    if isinstance(value, list):
        return [sendable(item) for item in value]
    if isinstance(value, dict):
        return {sendable(key): sendable(item) for key, item in value.items()}
    return value
