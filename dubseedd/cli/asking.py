"""A command put to the daemon over the bus: a password asked for where one is needed, what goes wrong in words."""

import argparse
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from dubseedd.cli.agent import password_agent
from dubseedd.cli.exits import FAILED, NOT_AUTHORISED, UNREACHABLE, Complaint
from dubseedd.names import ERROR_PREFIX, ErrorName

NO_DAEMON = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Spawn.",
    "org.freedesktop.systemd1.",
)
"""How the bus says that the daemon neither runs nor can be started; the last two are families."""
DENIED = frozenset({ErrorName.NOT_AUTHORIZED.full, "org.freedesktop.DBus.Error.AccessDenied"})

GUARDED = ("sync", "verify", "cancel", "eject")
"""The commands for which the daemon may want a password."""


async def ask(options: argparse.Namespace) -> int:
    """Run a command that needs the daemon; its exit status. The libraries that this takes are loaded only now."""
    try:
        from dubseedd.adapters.bus import BusGone, RemoteError  # noqa: PLC0415 - offline commands work without them
        from dubseedd.cli import online  # noqa: PLC0415
        from dubseedd.cli.client import Client  # noqa: PLC0415
    except ImportError as error:
        raise Complaint(
            f"{error.name} is missing, which talks to the bus; install it, or use --from", UNREACHABLE
        ) from error
    table: dict[str, Callable[[Any, argparse.Namespace], Awaitable[int]]] = {
        "status": online.status,
        "watch": online.watch,
        "list": online.list_bundles,
        "sync": online.sync,
        "verify": online.verify,
        "cancel": online.cancel,
        "eject": online.eject,
    }
    try:
        with password_agent() if options.command in GUARDED else nullcontext():
            async with Client.open() as client:
                return await table[options.command](client, options)
    except RemoteError as error:
        raise _complaint(error.name, error.text) from error
    except BusGone as error:
        raise Complaint(f"the system bus cannot be reached ({error}); is dbus.service running?", UNREACHABLE) from error
    except TimeoutError as error:
        raise Complaint(f"no answer: {error}; see systemctl status dubseedd dbus", UNREACHABLE) from error


def _complaint(name: str, text: str) -> Complaint:
    if name.startswith(NO_DAEMON):
        return Complaint("dubseedd does not run; start it: systemctl start dubseedd", UNREACHABLE)
    if name in DENIED:
        return Complaint(text, NOT_AUTHORISED)
    if name.startswith(ERROR_PREFIX):
        return Complaint(text, FAILED)
    return Complaint(f"dubseedd does not answer as expected ({text}); see journalctl -u dubseedd", FAILED)
