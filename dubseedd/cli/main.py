"""dubseedctl: what a person or a script says to dubseedd.

Exit status: 0 done; 1 refused or failed; 2 usage; 3 the daemon or the bus cannot be reached; 4 not authorised; 130
interrupted. Errors go to standard error as one sentence with what to do next.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from dubseedd import __version__
from dubseedd.cli import offline
from dubseedd.cli.exits import FAILED, INTERRUPTED, NOT_AUTHORISED, UNREACHABLE, USAGE
from dubseedd.core.config import ConfigError
from dubseedd.errors import Failure
from dubseedd.names import ERROR_PREFIX, ErrorName

EXAMPLES = """examples:
  dubseedctl status                          what is plugged in, what is installed, what to do next
  dubseedctl watch                           live progress until all is done
  dubseedctl sync --bundle llama             sync one bundle from whatever seed has it
  dubseedctl sync --from /media/seed --store /mnt/var/lib/dubnium/models
                                             the same work once, without a daemon
  dubseedctl verify --offline                read every installed bundle back
  dubseedctl eject                           let go of the stick
"""

NO_DAEMON = frozenset(
    {
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.Spawn.ChildExited",
        "org.freedesktop.DBus.Error.Spawn.Failed",
        "org.freedesktop.systemd1.NoSuchUnit",
    }
)
DENIED = frozenset({ErrorName.NOT_AUTHORIZED.full, "org.freedesktop.DBus.Error.AccessDenied"})


class Complaint(Exception):
    """What is said on standard error, and the exit status that goes with it."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="dubseedctl",
        description="Ask dubseedd what it does, and tell it what to do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"dubseedctl {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, *, data: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if data:
            added.add_argument("--json", action="store_true", help="JSON for programs")
        return added

    command("status", "daemon, seeds, jobs, bundles, and what to do next")
    watch = command("watch", "live progress; waits for the first job, ends with the last")
    ends = watch.add_mutually_exclusive_group()
    ends.add_argument("--once", action="store_true", help="do not wait for a job")
    ends.add_argument("--forever", action="store_true", help="do not end")
    command("list", "the bundles in the store")
    sync = command("sync", "sync bundles from a seed into the store")
    sync.add_argument("--seed", default="", metavar="S", help="UUID or device; default: every seed")
    sync.add_argument("--bundle", default="", metavar="B", help="one bundle; default: all")
    sync.add_argument("--dry-run", action="store_true", help="plan only, write nothing")
    sync.add_argument("--replace-foreign", action="store_true", help="replace a folder that dubseedd did not make")
    sync.add_argument("--from", dest="from_folder", metavar="DIR", help="without the daemon: a mounted seed or folder")
    _offline_options(sync)
    verify = command("verify", "read installed bundles back from the disk")
    verify.add_argument("bundles", nargs="*", metavar="BUNDLE", help="default: every bundle")
    verify.add_argument("--offline", action="store_true", help="without the daemon")
    _offline_options(verify)
    cancel = command("cancel", "cancel a job; what was verified is kept", data=False)
    cancel.add_argument("job", nargs="?", type=int, metavar="JOB", help="its number; default: every job")
    eject = command("eject", "end the jobs of a seed and unmount it", data=False)
    eject.add_argument("seed", nargs="?", metavar="SEED", help="device, UUID or mount point; default: the only one")
    eject.add_argument("--power-off", action="store_true", help="power its drive down as well")
    return top


def _offline_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--store", metavar="DIR", help="without the daemon: the store, default from the configuration")
    command.add_argument("--config", metavar="FILE", help="without the daemon: take just this configuration file")


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    top = parser()
    options = top.parse_args(argv)
    try:
        return _run(top, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Complaint as complaint:
        print(f"dubseedctl: {complaint}", file=sys.stderr)
        return complaint.status
    except Failure as failure:
        print(f"dubseedctl: {failure.sentence}", file=sys.stderr)
        return FAILED
    except ConfigError as error:
        print(f"dubseedctl: {error}", file=sys.stderr)
        return USAGE


def _run(top: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.command == "sync" and options.from_folder is not None:
        return offline.sync(options)
    if options.command == "verify" and options.offline:
        return offline.verify(options)
    if getattr(options, "store", None) or getattr(options, "config", None):
        alone = "--from DIR" if options.command == "sync" else "--offline"
        top.error(f"--store and --config go with {alone}: the daemon has its own")
    return asyncio.run(_ask(options))


async def _ask(options: argparse.Namespace) -> int:
    """Run a command that needs the daemon. The libraries that this takes are loaded only now."""
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
        async with Client.open() as client:
            return await table[options.command](client, options)
    except RemoteError as error:
        raise _complaint(error.name, error.text) from error
    except (BusGone, OSError, TimeoutError) as error:
        if isinstance(error, BrokenPipeError) and not isinstance(error, BusGone):
            raise
        raise Complaint(f"the system bus cannot be reached ({error}); is dbus.service running?", UNREACHABLE) from error


def _complaint(name: str, text: str) -> Complaint:
    if name in NO_DAEMON:
        return Complaint("dubseedd does not run; start it: systemctl start dubseedd", UNREACHABLE)
    if name in DENIED:
        return Complaint(text, NOT_AUTHORISED)
    if name.startswith(ERROR_PREFIX):
        return Complaint(text, FAILED)
    return Complaint(f"dubseedd does not answer as expected ({text}); see journalctl -u dubseedd", FAILED)


if __name__ == "__main__":
    sys.exit(main())
