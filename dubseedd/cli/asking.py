"""A command put to the daemon over the bus: a password asked for where one is needed, what goes wrong in words."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pkgutil import resolve_name
from typing import TYPE_CHECKING, TypeVar

from dubseedd.cli.agent import password_agent
from dubseedd.cli.exits import FAILED, NOT_AUTHORISED, UNREACHABLE, Complaint, bus_unreachable
from dubseedd.cli.views import NOT_RUNNING
from dubseedd.names import ERROR_PREFIX, ErrorName

if TYPE_CHECKING:
    from dubseedd.cli.client import Client

T = TypeVar("T")

NO_DAEMON = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
)
"""How the bus says that the daemon does not run."""
NO_START = ("org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1.")
"""How it says that it has tried to start it; these are families."""
DENIED = frozenset({ErrorName.NOT_AUTHORIZED.full, "org.freedesktop.DBus.Error.AccessDenied"})

PRIVILEGED = ("sync", "verify", "rollback", "remove", "cancel", "eject")
"""The commands for which the daemon may want a password."""


def ask(options: argparse.Namespace) -> int:
    """Run a command that needs the daemon; its exit status."""
    return asyncio.run(_ask(options))


async def _ask(options: argparse.Namespace) -> int:
    async def command(client: "Client") -> int:
        return int(await resolve_name(f"dubseedd.cli.{options.runs}")(client, options))

    with password_agent() if options.command in PRIVILEGED else nullcontext():
        return await asked(command)


async def asked(question: Callable[["Client"], Awaitable[T]]) -> T:
    """Put a question to the daemon. Raises Complaint with whatever stands in the way."""
    try:
        from dubseedd.adapters.messages import BusGone, RemoteError  # noqa: PLC0415 - offline commands work without them
        from dubseedd.cli.client import Client  # noqa: PLC0415
    except ImportError as error:
        raise Complaint(
            f"{error.name} is missing, which talks to the bus; install it, or do without the daemon: sync --from, "
            "verify --offline",
            UNREACHABLE,
        ) from error
    try:
        async with Client.open() as client:
            return await question(client)
    except RemoteError as error:
        raise complaint_of(error.name, error.text) from error
    except BusGone as error:
        raise bus_unreachable(error) from error
    except TimeoutError as error:
        raise Complaint(f"no answer: {error}; see systemctl status dubseedd dbus", UNREACHABLE) from error


def complaint_of(name: str, text: str) -> Complaint:
    """What the bus or the daemon has answered, in words for a person."""
    if name.startswith(NO_DAEMON):
        return Complaint(NOT_RUNNING, UNREACHABLE)
    if name.startswith(NO_START):
        return Complaint(f"dubseedd cannot be started ({text}); see systemctl status dubseedd", UNREACHABLE)
    if name in DENIED:
        return Complaint(text, NOT_AUTHORISED)
    if name.startswith(ERROR_PREFIX):
        return Complaint(text, FAILED)
    return Complaint(f"dubseedd does not answer as expected ({text}); see journalctl -u dubseedd", FAILED)
